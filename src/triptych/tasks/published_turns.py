"""Write a conversation as tokens by the chat template of a published model.

A prompt is what the library transformers makes of the same messages, to the token, save that no
message can write a special token. To learn from a conversation, the assistant's words are found by
rendering: what the template writes of the messages before an answer, with the prompt for it, must
be how it writes the longer conversation, too. The loss falls on what follows, up to the token that
ends the answer.

A conversation that is too long loses its oldest messages, and is then rendered anew: a template
may write the first message in another way than the next ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..data.formats.messages import is_learnt
from ..data.templates.published import PublishedTemplate
from ..data.tokenizers.control import ControlTokens
from ..data.tokenizers.imported import ImportedTokenizer
from ..data.tokenizers.subwords import Tokenizer
from ..errors import DataError, RunError
from .turns import NONE, Turn

Message = Mapping[str, str]


class PublishedTurns:
    """Turn messages into ids by a published template. The face of `turns.ChatTemplate`.

    Args:
        forms: The label "template".
        where: The place of the template, for errors.

    Raises:
        RunError: The template does not compile.
    """

    def __init__(self, forms: Mapping[str, str], where: str = "labels.json") -> None:
        self.template, self.tags = PublishedTemplate(forms, where), list[str]()
        self._control: dict[str, ControlTokens] = {}

    def conversation(
        self,
        messages: Sequence[Message],
        tokenizer: Tokenizer,
        context: int,
        tools: str | None = None,
    ) -> PublishedConversation:
        """Return the messages as a conversation, to be cut to `context` tokens."""
        rendering = self.rendering(messages, tokenizer, tools)
        return PublishedConversation(rendering, list(messages), context)

    def answer(self, messages: Sequence[Message], text: str, tokenizer: Tokenizer) -> Turn:
        """Return an answer to `messages`, where their prompt ends."""
        told = [*messages, {"role": "assistant", "content": text}]
        spans = self.rendering(told, tokenizer).spans(told, [len(messages)])
        ids, targets = spans.ids, spans.targets
        places = [place for place, target in enumerate(targets) if target != NONE]
        wanted = [targets[place] for place in places]
        end = wanted.pop() if wanted and wanted[-1] in tokenizer.end_ids else None
        first = places[0] + 1 if places else len(ids)
        return Turn([], ids[first : first + len(wanted)], [], True, end)

    def rendering(
        self, messages: Sequence[Message], tokenizer: Tokenizer, tools: str | None = None
    ) -> Rendering:
        """Return what renders these messages, or some of them, as ids."""
        if not isinstance(tokenizer, ImportedTokenizer):
            raise RunError(
                "{where} holds a published chat template, but the run's tokenizer is not from the "
                "same model. Copy the whole run folder.",
                where=self.template.where,
            )
        key = tokenizer.fingerprint
        if key not in self._control:
            self._control[key] = tokenizer.control(self.template.literal)
        control = self._control[key]
        given = [text for one in messages for text in one.values()]
        return Rendering(
            self.template, control, control.mark_for([*given, tools or ""]), tokenizer, tools
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Hold ids and the target at each place, or NONE."""

    ids: list[int]
    targets: list[int]


@dataclass(frozen=True, slots=True)
class Rendering:
    """Render messages as text and as ids. `mark` is a character that none of them holds."""

    template: PublishedTemplate
    control: ControlTokens
    mark: str
    tokenizer: ImportedTokenizer
    tools: str | None = None

    def text(self, messages: Sequence[Message], prompt: bool) -> str:
        protect = partial(self.control.protect, mark=self.mark)
        return self.template.render(
            [_parsed(one) for one in messages],
            prompt,
            protect,
            None if self.tools is None else json.loads(self.tools),
            partial(protect, answer=True),
        )

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation, with what comes before the next answer."""
        return self.control.encode(self.text(messages, True), self.mark)[0]

    def spans(self, messages: Sequence[Message], learnt: Sequence[int]) -> Window:
        """Return the ids of a conversation whose last message is learnt.

        Args:
            messages: The conversation.
            learnt: The numbers of the messages that are learnt.

        Raises:
            DataError: The template writes earlier turns in another way once there are more.
        """
        whole = self.text(messages, False)
        borders: list[int] = []
        for number in learnt:
            before = self.text(messages[:number], True)
            through = self.text(messages[: number + 1], False)
            if not (through.startswith(before) and whole.startswith(through)):
                raise DataError(
                    "The chat template of the model changes earlier turns as a conversation goes "
                    "on (after message {number}), so what the assistant wrote cannot be told "
                    "apart for training. Train on conversations of one answer, or set "
                    "task.template = 'text'.",
                    number=number,
                )
            bare = max(len(before), len(through.rstrip()))
            borders += [len(before), bare, len(through)]
        ids, counts = self.control.encode(whole, self.mark, borders)
        targets = [NONE] * len(ids)
        for start, bare, stop in zip(*(counts[part::3] for part in range(3)), strict=True):
            ends = [place for place in range(start, stop) if ids[place] in self.tokenizer.end_ids]
            last = ends[0] + 1 if ends else bare
            targets[max(0, start - 1) : last - 1] = ids[max(1, start) : last]
            if not ends and last:  # the template leaves the end to the model
                targets[last - 1] = self.tokenizer.end_id
        last = max((place for place, one in enumerate(targets) if one != NONE), default=-1)
        # What follows the last answer's end is never read.
        return Window(ids[: last + 1], targets[: last + 1])


@dataclass
class PublishedConversation:
    """Hold messages that are rendered anew whenever some of them are left out."""

    rendering: Rendering
    messages: list[Message]
    context: int
    _all: Window | None = field(default=None, init=False)

    @property
    def head(self) -> list[Message]:
        """Return the system message, if there is one."""
        first = self.messages[:1]
        return first if first and first[0]["role"] == "system" else []

    @property
    def learnable(self) -> int:
        """Count the tokens that the model learns to write, ends of turns included."""
        return sum(one != NONE for one in self.whole().targets)

    def whole(self) -> Window:
        """Return the conversation up to its last learnt turn, however long."""
        if self._all is None:
            learnt = _learnt(self.messages)
            told = self.messages[: learnt[-1] + 1] if learnt else []
            self._all = self.rendering.spans(told, learnt) if told else Window([], [])
        return self._all

    def prompt(self) -> tuple[list[int], int]:
        """Return the prompt for the assistant's answer, and how many tokens were left out.

        The prompt has at most half a context, so that the other half is free for the answer.
        """
        room = self.context - self.context // 2
        ids = self.rendering.prompt(self.messages)
        if len(ids) <= room:
            return ids, 0
        total, head, turns = len(ids), self._short_head(), self.messages[len(self.head) :]
        starts = [n for n, one in enumerate(turns) if one["role"] == "user"] or [0]
        for start in starts:
            ids = self.rendering.prompt([*head, *turns[start:]])
            if len(ids) <= room:
                return ids, total - len(ids)
        ids = self._last_shortened(head, turns[starts[-1] :], room)
        return ids, total - len(ids)

    def windows(self) -> list[tuple[list[int], list[int]]]:
        """Return (ids, targets) of windows of at most `context` tokens; NONE is no target.

        Each answer is learnt in one window. A conversation that is too long goes on in another
        window, under at most half a context of the turns before; an answer that is longer than a
        window loses its end.
        """
        whole = self.whole()
        if len(whole.ids) <= self.context:
            return [(whole.ids, whole.targets)] if whole.ids else []
        head, turns = self._short_head(), self.messages[len(self.head) :]
        groups = _exchanges(turns)
        found: list[tuple[list[int], list[int]]] = []
        first = 0
        while first < len(groups):
            window, first = self._window(head, groups, first)
            ids, targets = window.ids[: self.context], window.targets[: self.context]
            if any(one != NONE for one in targets):
                found.append((ids, targets))
        return found

    def _window(
        self, head: list[Message], groups: list[list[Message]], first: int
    ) -> tuple[Window, int]:
        """Return the window that begins to learn at group `first`, and the group after it."""
        begin = first
        while begin:
            before = [*head, *(one for group in groups[begin - 1 : first] for one in group)]
            if len(self.rendering.prompt(before)) > self.context // 2:
                break
            begin -= 1
        until, window = first, None
        while until < len(groups):
            told = [*head, *(one for group in groups[begin : until + 1] for one in group)]
            skipped = len(head) + sum(map(len, groups[begin:first]))
            learnt = [number for number in _learnt(told) if number >= skipped]
            longer = self.rendering.spans(told, learnt)
            if window is not None and len(longer.ids) > self.context:
                break
            window, until = longer, until + 1
        assert window is not None, "a window has at least one answer"
        return window, until

    def _short_head(self) -> list[Message]:
        """Return the system message with at most a quarter of the context."""
        return [
            {**one, "content": _first(one["content"], self.context // 4, self.rendering.tokenizer)}
            for one in self.head
        ]

    def _last_shortened(self, head: list[Message], turns: list[Message], room: int) -> list[int]:
        """Return the prompt with the beginning of the first of `turns` left out as far as needed.

        Where even that is not enough, the prompt loses its own beginning.
        """
        first, *others = turns
        ids, lost = self.rendering.prompt([*head, *turns]), 0
        _, offsets = self.rendering.tokenizer.encode_with_offsets(first["content"])
        while len(ids) > room and lost < len(offsets) - 1:
            lost = min(len(offsets) - 1, lost + len(ids) - room)
            kept = replace_content(first, first["content"][offsets[lost][0] :])
            ids = self.rendering.prompt([*head, kept, *others])
        return ids[-room:]


def _parsed(message: Message) -> dict[str, Any]:
    """Return a message with its calls of tools as values; a text otherwise is a text."""
    found: dict[str, Any] = {**message}
    if "tool_calls" in found:
        found["tool_calls"] = json.loads(found["tool_calls"])
        if not found["content"]:
            del found["content"]
    return found


def replace_content(message: Message, text: str) -> Message:
    """Return a message with another text."""
    return {**message, "content": text.strip() or message["content"][-1]}


def _learnt(messages: Sequence[Message]) -> list[int]:
    return [number for number, one in enumerate(messages) if is_learnt(one)]


def _exchanges(messages: Sequence[Message]) -> list[list[Message]]:
    """Return what is said up to and with each turn that is learnt, without what follows them."""
    groups: list[list[Message]] = [[]]
    for one in messages:
        groups[-1].append(one)
        if is_learnt(one):
            groups.append([])
    return groups[:-1]


def _first(text: str, tokens: int, tokenizer: ImportedTokenizer) -> str:
    """Return the first tokens of a text."""
    _, offsets = tokenizer.encode_with_offsets(text)
    return text if len(offsets) <= tokens else text[: offsets[tokens][0]].strip() or text[:1]
