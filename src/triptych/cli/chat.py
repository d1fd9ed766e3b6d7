"""Run `triptych chat`: a conversation, streamed in a terminal, turn by turn on a pipe."""

from __future__ import annotations

import contextlib
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..data.example import Notify
from ..errors import DataError, TriptychError
from ..messages import message
from .console import put, talk
from .notes import ENDED, NO_INPUT, tell_empty
from .predict import (
    Overrides,
    Precision,
    decoding_changes,
    demand,
    load_run,
    refuse_bytes,
    report_drafts,
    report_unsampled,
)

if TYPE_CHECKING:
    from ..inference.predictor import Predictor

RESET, PROMPT = "/reset", "> "
UNWRITTEN = message(
    "The answer is empty: the model ended at once. The message is taken back; say it in other "
    "words."
)


def chat(
    run: str,
    /,
    *text: str,
    system: str | None = None,
    draft: str | None = None,
    precision: Precision = "float32",
    overrides: Overrides = None,
) -> int:
    """Chat with a run that was trained on conversations.

    In a terminal answers appear as they are generated; Ctrl-C stops an answer, Ctrl-D ends. On a
    pipe every line of stdin is a turn and every answer one line of stdout. /reset begins a new
    conversation.

    Parameters
    ----------
    run
        Folder of a trained run.
    text
        Messages to answer, one turn after the other, instead of those that are typed or piped.
    system
        The system message at the beginning of the conversation; by default there is none.
    draft
        Generate faster: tokens are guessed by a smaller run with the same tokenizer, or from
        repeated words (ngram), and checked several at once.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    """
    demand(run, "chat")
    changes = decoding_changes(overrides)
    predictor = load_run(run, precision, draft)
    conversation = ChatSession(predictor, changes, system)
    report_unsampled(changes, conversation.settings)
    if text:
        code = of_texts(conversation, text)
    else:
        code = in_terminal(conversation) if sys.stdin.isatty() else on_pipe(conversation)
    report_drafts(predictor)
    return code


class ChatSession:
    """Hold a conversation and continue it.

    Raises:
        UsageError: A decoding setting or the system message is not possible.
    """

    def __init__(
        self, predictor: Predictor, changes: dict[str, object], system: str | None
    ) -> None:
        from ..data.formats.messages import messages_of

        self.predictor, self.changes = predictor, changes
        self.settings = predictor.settings(**changes)
        self.head = (
            messages_of([{"role": "system", "content": system}], "--system")
            if system is not None
            else []
        )
        if self.head and "system" not in predictor.labels.get("roles", ()):
            talk(
                message(
                    "This run was trained without system messages, so --system may have no effect."
                )
            )
        self.answered = 0
        self.reset()

    def reset(self) -> None:
        self.messages, self.warned = list(self.head), False

    def say(self, text: str, show: Notify) -> str:
        """Return the answer to a turn, shown piece by piece.

        An interrupt stops it: what was generated until then is kept, and the interrupt is raised
        again. A turn that gets no answer, or that cannot be read, is removed.
        """
        self.messages.append({"role": "user", "content": text})
        reply = ""
        try:
            for piece in self._pieces():
                reply += piece
                show(piece)
        finally:
            if reply.strip():
                self.messages.append({"role": "assistant", "content": reply.strip()})
            else:
                self.messages.pop()
        return reply

    def _pieces(self) -> Iterator[str]:
        """Yield the answer piece by piece, or whole where it is chosen among several."""
        predictor, given = self.predictor, {"messages": self.messages}
        (encoded,) = predictor.task.encode(
            predictor.example(given, "the turn"),
            predictor.tokenizers,
            predictor.labels,
            "use",
            None,
        )
        if encoded.metadata and not self.warned:
            context = predictor.task.options["context"]
            talk(
                message(
                    "The conversation is longer than half the context of {context:,} tokens: its "
                    "oldest {count:,} tokens are not read.",
                    context=context,
                    count=encoded.metadata,
                )
            )
            self.warned = True
        # A new seed for each turn lets the same words be answered differently.
        decoding = {**self.changes, "seed": self.settings.seed + self.answered}
        self.answered += 1
        if max(self.settings.samples, self.settings.beams, self.settings.n_best) > 1:
            yield predictor.predict([given], **decoding)[0].text
        else:
            yield from predictor.stream(given, **decoding)


def in_terminal(conversation: ChatSession) -> int:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  lines can be edited and found again
    talk(
        message(
            "Write a message. {reset} begins a new conversation, Ctrl-C stops an answer, Ctrl-D "
            "ends.",
            reset=RESET,
        )
    )
    answer: list[str] = []

    def show(piece: str) -> None:
        answer.append(piece)
        put(piece, end="", flush=True)

    while True:
        try:
            text = input(PROMPT).strip()
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            talk("", message("Ctrl-D ends."))
            continue
        except UnicodeDecodeError:
            talk(message("The input was not UTF-8. Set the terminal to UTF-8."))
            continue
        if text == RESET:
            conversation.reset()
            talk(message("A new conversation."))
        elif text:
            try:
                answer.clear()
                conversation.say(text, show)
                print()
                if not "".join(answer).strip():
                    talk(UNWRITTEN)
            except KeyboardInterrupt:
                talk("", message("(stopped)"))
            except TriptychError as problem:
                talk(message("triptych: {problem}", problem=problem))


def of_texts(conversation: ChatSession, texts: Sequence[str]) -> int:
    """Answer the messages of the command line, turn by turn, as they are generated."""
    for number, text in enumerate(texts, 1):
        place = f"text {number}"
        refuse_bytes(text, number)
        if not text.strip():
            put("")
            tell_empty([place], NO_INPUT)
            continue
        reply = conversation.say(text.strip(), lambda piece: put(piece, end="", flush=True))
        put("")
        if not reply.strip():
            tell_empty([place], ENDED)
    return 0


def on_pipe(conversation: ChatSession) -> int:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            text = raw.removeprefix(BOM_UTF8).decode().strip()
        except UnicodeDecodeError as error:
            from ..data.formats.lines import conversion

            raise DataError(
                "stdin:{number}: byte 0x{byte:02X} is not UTF-8; the turns before it are answered. "
                "{conversion}",
                number=number,
                byte=raw[error.start],
                conversion=conversion(raw),
            ) from None
        if text == RESET:
            conversation.reset()
        else:
            reply = conversation.say(text, lambda piece: None) if text else ""
            put(" ".join(reply.split("\n")).strip(), flush=True)
            if not reply.strip():
                tell_empty([f"stdin:{number}"], ENDED if text else NO_INPUT)
    return 0
