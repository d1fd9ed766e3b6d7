"""Encode a rendered conversation: tokens that the template wrote, text that only looks like them.

The library transformers cuts a rendered conversation at every control token in it. Here those that
stand in a message are broken by a mark first, so that nobody can end a turn, or begin the system's,
by typing its token. All else has the same ids, because the same library cuts the text: each
control token of the template is spelt as an alias that no text holds, with the token's own rules
for the white space around it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

import tokenizers

from ...errors import DataError, brief, is_failure
from .panics import unheard
from .tokenizer_file import AddedToken, TokenizerJson

# Characters that no text should hold: the mark and the border of an alias are taken from them.
UNUSED = [chr(number) for number in (*range(0xFDD0, 0xFDF0), *range(0xF0000, 0xF1000))]


class ControlTokens:
    """Tell a template's control tokens from texts that spell them.

    Control tokens are the special tokens of a tokenizer, and other added tokens (`<tool_call>`)
    that the template writes.

    Args:
        values: The tokenizer.json.
        literal: The template, which spells the tokens that it writes.
    """

    def __init__(self, values: TokenizerJson, literal: str) -> None:
        added = [one for one in values.get("added_tokens") or () if len(one["content"]) > 1]
        self._special = [one for one in added if one.get("special")]
        written = [
            one
            for one in added
            if not one.get("special") and one["content"] in literal and not one["content"].isspace()
        ]
        self._control: list[AddedToken] = [*self._special, *written]
        controls = {one["content"] for one in self._control}
        self._values = json.dumps(
            {
                **values,
                "added_tokens": [
                    {**one, "special": True} if one["content"] in controls else one
                    for one in values.get("added_tokens") or ()
                ],
            }
        )
        self._any = _alternatives(controls)
        self._of_answers = _alternatives({one["content"] for one in self._special})
        self._edges = _Edges(controls)
        self._aliased = lru_cache(maxsize=2)(self._with_aliases)

    @staticmethod
    def mark_for(texts: Iterable[str]) -> str:
        """Return a character that none of the texts holds."""
        return _absent("".join(texts))

    def protect(self, text: str, mark: str, answer: bool = False) -> str:
        """Return a message's text with each control token in it, or half of one, broken by `mark`.

        answer: the text is the assistant's, who writes tokens like `<think>` itself, so that only
        special tokens are broken.
        """
        pattern = self._of_answers if answer else self._any
        broken = pattern.sub(lambda found: found[0][0] + mark + found[0][1:] + mark, text)
        before, after = self._edges.of(text)
        start, end = len(broken) - len(broken.lstrip()), len(broken.rstrip())
        inner = f"{mark * before}{broken[start:end]}{mark * after}"
        return f"{broken[:start]}{inner}{broken[end:]}" if before or after else broken

    def encode(
        self, rendered: str, mark: str, borders: Iterable[int] = ()
    ) -> tuple[list[int], list[int]]:
        """Return the ids of a rendered conversation, and for each border how many are before it.

        Args:
            rendered: Of texts that `protect` has changed.
            mark: The character by which it did; it is removed.
            borders: Characters of `rendered`. A token over a border is before it.
        """
        alias = _absent(rendered + mark)
        backend, names, numbers = self._aliased(alias)
        text = self._spelt(rendered, mark, names)
        try:
            with unheard():
                encoding = backend.encode(text, add_special_tokens=False)
        except BaseException as problem:
            if not is_failure(problem):
                raise
            raise DataError(
                "The tokenizer cannot cut a conversation into tokens ({problem}).",
                problem=brief(problem),
            ) from None
        starts = [start for start, _ in encoding.offsets]
        places = [len(self._spelt(rendered[:border], mark, names)) for border in borders]
        counts = [sum(start < place for start in starts) for place in places]
        return [numbers.get(number, number) for number in encoding.ids], counts

    def first_of(self, text: str) -> str | None:
        """Return the first control token in a text."""
        found = self._any.search(text)
        return found[0] if found else None

    def _spelt(self, text: str, mark: str, names: Mapping[str, str]) -> str:
        """Spell control tokens as aliases and remove marks."""
        text = self._any.sub(lambda found: names[found[0]], text)
        return text.replace(mark, "").replace(json.dumps(mark)[1:-1], "")

    def _with_aliases(
        self, alias: str
    ) -> tuple[tokenizers.Tokenizer, dict[str, str], dict[int, int]]:
        """Return a tokenizer that reads only aliases as control tokens.

        With it come the alias of each control token, and the id of each alias.
        """
        backend = tokenizers.Tokenizer.from_str(self._values)
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        names: dict[str, str] = {}
        added: list[tokenizers.AddedToken] = []
        for place, one in enumerate(self._control):
            names[one["content"]] = name = f"{alias}{place}{alias}"
            rules = {key: one.get(key, False) for key in ("single_word", "lstrip", "rstrip")}
            normalized = bool(one.get("normalized", False))
            added.append(tokenizers.AddedToken(name, normalized=normalized, **rules))
        backend.add_tokens(added)
        numbers: dict[int, int] = {}
        for content, name in names.items():
            given, own = backend.token_to_id(name), backend.token_to_id(content)
            assert given is not None and own is not None, "an added token has an id"
            numbers[given] = own
        return backend, names, numbers


class _Edges:
    """Find texts that a template could complete to a control token by writing before or after."""

    def __init__(self, controls: Collection[str]) -> None:
        self._begins = {one[:size] for one in controls for size in range(1, len(one))}
        self._ends = {one[-size:] for one in controls for size in range(1, len(one))}
        self._longest = max(map(len, controls), default=0)
        self._all = "\n".join(controls)

    def of(self, text: str) -> tuple[bool, bool]:
        """Tell whether a mark is needed before the text, and after it."""
        bare = text.strip()
        sizes = range(1, min(self._longest, len(bare)) + 1)
        inside = 0 < len(bare) <= self._longest and bare in self._all
        return (
            inside or any(bare[:size] in self._ends for size in sizes),
            inside or any(bare[-size:] in self._begins for size in sizes),
        )


def _alternatives(contents: Collection[str]) -> re.Pattern[str]:
    """Match any of the texts, the longest first; without any, nothing."""
    ordered = sorted(contents, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")


def _absent(text: str) -> str:
    held = set(text)
    return next(one for one in UNUSED if one not in held)
