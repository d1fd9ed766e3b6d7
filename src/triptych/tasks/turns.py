"""Write a conversation as tokens by a template, which has a form for each role.

The template is saved with the run. A form is text around `{content}`. `<system>`, `<user>` and
`<assistant>` in it are special tokens of the tokenizer, which no text can spell; all else is
ordinary text. The assistant's form has `<end>` right after its content: what the model writes when
it has finished. The end is only ever a target, never an input: in a history the next turn's mark
takes its place. So a model that learnt from plain texts, where nothing follows an end, meets
nothing new (docs/decisions/011-chat-turns.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..data.formats.messages import ROLES, is_learnt
from ..data.tokenizers.subwords import Tokenizer
from ..errors import DataError, UsageError

CONTENT, END = "{content}", "<end>"
MARK = re.compile(rf"<({'|'.join(ROLES)})>")
NONE = -1  # no target at this position
# "marks" has a special token for each role; "text" is for a tokenizer without them, like that of a
# run trained by language modelling.
TEMPLATES: dict[str, dict[str, str]] = {
    "marks": {
        "system": "<system>{content}",
        "user": "<user>{content}",
        "assistant": "<assistant>{content}<end>",
    },
    "text": {
        "system": "System: {content}\n",
        "user": "User: {content}\n",
        "assistant": "Assistant: {content}<end>\n",
    },
}


@dataclass(frozen=True, slots=True)
class Turn:
    """Hold a message as ids: lead before its text, content, and what comes after.

    learnt: True where the model learns to write it. end: what it writes after the content, None
    for a turn that is cut off.
    """

    lead: list[int]
    content: list[int]
    after: list[int]
    learnt: bool
    end: int | None

    @property
    def ids(self) -> list[int]:
        return [*self.lead, *self.content, *self.after]

    def __len__(self) -> int:
        return len(self.lead) + len(self.content) + len(self.after)


@dataclass(frozen=True, slots=True)
class Form:
    """Hold a role's form, cut at its content.

    space: the content begins with a space, as a word inside a text does.
    """

    lead: str
    after: str
    space: bool


class ChatTemplate:
    """Turn messages into ids by the forms of their roles.

    Raises UsageError for a form without content, and for an assistant's form without an end mark.
    """

    def __init__(self, forms: Mapping[str, str]) -> None:
        missing = [role for role in ROLES if role not in forms]
        if missing:
            raise UsageError(f"The template has no form for {', '.join(missing)}.")
        self.forms = {role: _form(role, forms[role]) for role in ROLES}
        text = "".join(forms[role] for role in ROLES)
        # These special tokens must be in the tokenizer.
        self.tags = [role for role in sorted(ROLES) if f"<{role}>" in text]

    def turn(self, message: Mapping[str, str], tokenizer: Tokenizer) -> Turn:
        form = self.forms[message["role"]]
        content = tokenizer.encode_within(" " * form.space + message["content"].strip())
        return Turn(
            _ids(form.lead, tokenizer),
            content,
            _ids(form.after, tokenizer),
            is_learnt(message),
            tokenizer.end_id,
        )

    def answer(
        self, messages: Sequence[Mapping[str, str]], text: str, tokenizer: Tokenizer
    ) -> Turn:
        """Return an answer to `messages`, where their prompt ends."""
        turn = self.turn({"role": "assistant", "content": text}, tokenizer)
        return replace(turn, lead=[], after=[])

    def conversation(
        self,
        messages: Sequence[Mapping[str, str]],
        tokenizer: Tokenizer,
        context: int,
        tools: str | None = None,
    ) -> Conversation:
        """Return the messages as turns, to be cut to `context` tokens.

        Raises DataError for tools, which have no form.
        """
        if tools is not None or any(message["role"] not in self.forms for message in messages):
            raise DataError(
                "The run's template has no form for tools. Only a model that was imported with a "
                "chat template of its own may read them."
            )
        turns = [self.turn(message, tokenizer) for message in messages]
        head, unread = [tokenizer.begin_id], 0
        if messages and messages[0]["role"] == "system":
            first, room = turns.pop(0), max(1, context // 4)
            kept = max(0, room - len(first.lead) - len(first.after))
            head += [*first.lead, *first.content[:kept], *first.after]
            unread = max(0, len(first.content) - kept)
        return Conversation(
            head,
            turns,
            _ids(self.forms["assistant"].lead, tokenizer),
            context,
            unread,
        )


@dataclass(frozen=True, slots=True)
class Conversation:
    """Hold turns under a head: begin and the system message.

    The system message keeps at most a quarter of the context; `unread` tokens are cut off.
    """

    head: list[int]
    turns: list[Turn]
    lead: list[int]  # ids before the assistant's next content
    context: int
    unread: int = 0

    @property
    def learnable(self) -> int:
        """Count the tokens that the model learns to write, ends of turns included."""
        return sum(len(turn.content) + 1 for turn in self.turns if turn.learnt)

    def prompt(self) -> tuple[list[int], int]:
        """Return the prompt for the assistant's answer, and how many tokens were left out.

        The prompt has at most half a context, so that the other half is free for the answer.
        """
        room = self.context - self.context // 2 - len(self.head) - len(self.lead)
        ids, lost = _last(self.turns, max(1, room))
        return [*self.head, *ids, *self.lead], self.unread + lost

    def windows(self) -> list[tuple[list[int], list[int]]]:
        """Return (ids, targets) of windows of at most `context` tokens; NONE is no target.

        Each answer is learnt in one window. A conversation that is too long goes on in another
        window, under at most half a context of the turns before; an answer that is longer than a
        window loses its end.
        """
        turns, first = list(self.turns), 0
        found: list[tuple[list[int], list[int]]] = []
        while turns and not turns[-1].learnt:
            turns.pop()
        while first < len(turns):
            ids = [*self.head, *_last(turns[:first], self.context // 2 - len(self.head))[0]]
            targets, begun = [NONE] * len(ids), first
            while first < len(turns) and (
                first == begun or len(ids) + len(turns[first]) <= self.context
            ):
                put(ids, targets, turns[first])
                first += 1
            if first < len(turns) and not turns[first - 1].learnt and first - begun > 1:
                first -= 1  # a question stays with its answer
            if any(one != NONE for one in targets[: self.context]):
                found.append((ids[: self.context], targets[: self.context]))
        return found


def put(ids: list[int], targets: list[int], turn: Turn) -> None:
    """Append a turn to ids and targets.

    Every token and the end of a learnt turn is the target at the position before it.
    """
    ids += turn.lead
    targets += [NONE] * len(turn.lead)
    if turn.learnt:
        targets[-1:] = [*turn.content, NONE if turn.end is None else turn.end]
    else:
        targets += [NONE] * len(turn.content)
    ids += [*turn.content, *turn.after]
    targets += [NONE] * len(turn.after)


def _last(turns: Sequence[Turn], room: int) -> tuple[list[int], int]:
    """Return the ids of the last turns that fit into `room` tokens, and how many tokens are lost.

    Turns stay whole; only where the very last does not fit, it loses its beginning.
    """
    total = sum(map(len, turns))
    ids: list[int] = []
    for turn in reversed(turns):
        if len(ids) + len(turn) > room:
            break
        ids = [*turn.ids, *ids]
    if not ids and turns:
        kept = max(0, room - len(turns[-1].lead) - len(turns[-1].after))
        ids = [
            *turns[-1].lead,
            *turns[-1].content[len(turns[-1].content) - kept :],
            *turns[-1].after,
        ]
    return ids, total - len(ids)


def _form(role: str, form: str) -> Form:
    key = f"task.{role}_form"
    if form.count(CONTENT) != 1:
        raise UsageError(
            f"{key} is {form!r}; it must hold {CONTENT} once, where the text of a message goes."
        )
    lead, after = form.split(CONTENT)
    if role == "assistant":
        if not after.startswith(END):
            raise UsageError(
                f"{key} is {form!r} and has no end mark: the model would never learn to stop. Put "
                f"{END} right after {CONTENT}, for example {TEMPLATES['text']['assistant']!r}."
            )
        after = after.removeprefix(END)
        if not lead.strip():
            raise UsageError(
                f"{key} is {form!r}; it must have a text before {CONTENT} that marks the "
                "assistant's turn, like Assistant:."
            )
    if END in lead + after:
        raise UsageError(
            f"{key} is {form!r}; {END} may be written only once, right after the assistant's "
            f"{CONTENT}."
        )
    return Form(lead.removesuffix(" "), after, lead.endswith(" "))


def _ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """Encode a text, with marks as the tokenizer's special tokens."""
    found: list[int] = []
    for place, part in enumerate(MARK.split(text)):
        found += (
            [tokenizer.tags[part]] if place % 2 else tokenizer.encode_within(part) if part else []
        )
    return found
