"""triptych chat: a conversation with a run, streamed in a terminal, turn by turn on a pipe."""

from __future__ import annotations

import contextlib
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..data.example import Notify
from ..errors import DataError, TriptychError
from .console import put, talk
from .predict import (
    Overrides,
    Precision,
    decoding_changes,
    demand,
    load_run,
    tell_drafts,
    tell_undrawn,
)

if TYPE_CHECKING:
    from ..inference.predictor import Predictor

RESET, PROMPT = "/reset", "> "


def chat(
    run: str,
    /,
    *,
    system: str | None = None,
    draft: str | None = None,
    precision: Precision = "float32",
    overrides: Overrides = None,
) -> int:
    """Talk with a run that was trained to chat. Dials of decoding are given as
    --decoding.temperature 0.8.

    In a terminal answers come as they are written; Ctrl-C stops an answer, Ctrl-D ends. On a pipe
    every line of stdin is a turn and every answer one line of stdout. /reset begins a new
    conversation.

    Parameters
    ----------
    run
        Folder of a trained run.
    system
        What the assistant is told before the conversation.
    draft
        A smaller run with the same tokenizer, or ngram: it proposes tokens, several of which the
            run checks at once.
    precision
        Of the arithmetic. auto takes bfloat16 where the processor multiplies it faster.
    """
    demand(run, "chat")
    changes = decoding_changes(overrides)
    predictor = load_run(run, precision, draft)
    conversation = ChatSession(predictor, changes, system)
    tell_undrawn(changes, conversation.settings)
    code = in_terminal(conversation) if sys.stdin.isatty() else on_pipe(conversation)
    tell_drafts(predictor)
    return code


class ChatSession:
    """What was said so far, and how it goes on. Raises UsageError for a dial of decoding or a
    system text that cannot be.
    """

    def __init__(self, predictor: Predictor, changes: dict[str, Any], system: str | None) -> None:
        from ..data.formats.messages import messages_of

        self.predictor, self.changes = predictor, changes
        self.settings = predictor.settings(**changes)
        self.head = (
            messages_of([{"role": "system", "content": system}], "--system")
            if system is not None
            else []
        )
        if self.head and "system" not in predictor.labels.get("roles", ()):
            talk("This run has met no system text in training, so it may make nothing of --system.")
        self.answered = 0
        self.reset()

    def reset(self) -> None:
        self.messages, self.warned = list(self.head), False

    def say(self, text: str, show: Notify) -> str:
        """The answer to a turn, shown piece by piece. An interrupt stops it: what was said until
        then is kept, and raised on.

        A turn that gets no answer, or that cannot be read, is forgotten.
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
        """Whole where the answer is chosen among several, else as it is written."""
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
                f"The conversation is longer than half the context of {context:,} tokens: "
                f"{encoded.metadata:,} of its oldest are not seen."
            )
            self.warned = True
        # the same words can be answered anew
        dials = {**self.changes, "seed": self.settings.seed + self.answered}
        self.answered += 1
        if max(self.settings.samples, self.settings.beams, self.settings.n_best) > 1:
            yield predictor.predict([given], **dials)[0].text
        else:
            yield from predictor.stream(given, **dials)


def in_terminal(conversation: ChatSession) -> int:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  lines can be edited and found again
    talk(f"Say something. {RESET} begins anew, Ctrl-C stops an answer, Ctrl-D ends.")
    while True:
        try:
            text = input(PROMPT).strip()
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            talk("", "Ctrl-D ends.")
            continue
        except UnicodeDecodeError:
            talk("That was not UTF-8; set the terminal to it.")
            continue
        if text == RESET:
            conversation.reset()
            talk("A new conversation.")
        elif text:
            try:
                conversation.say(text, lambda piece: put(piece, end="", flush=True))
                print()
            except KeyboardInterrupt:
                talk("", "(stopped)")
            except TriptychError as problem:
                talk(f"triptych: {problem}")


def on_pipe(conversation: ChatSession) -> int:
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            text = raw.removeprefix(BOM_UTF8).decode().strip()
        except UnicodeDecodeError as error:
            raise DataError(
                f"stdin:{number}: byte 0x{raw[error.start]:02X} is not UTF-8; the turns before it "
                "are answered. Convert the text, for example: iconv -f latin1 -t utf-8"
            ) from None
        if text == RESET:
            conversation.reset()
        else:
            reply = conversation.say(text, lambda piece: None) if text else ""
            put(" ".join(reply.split("\n")).strip(), flush=True)
    return 0
