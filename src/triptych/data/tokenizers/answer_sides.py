"""Say which tokens stand around a source and at the beginning of an answer in a published model.

T5 reads `text </s>` and begins an answer with the padding; BART reads `<s> text </s>` and begins
with `</s> <s>`; mBART-50 reads `language text </s>` and begins with `</s> language`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import RunError, UsageError, unknown

LANGUAGE = -1  # stands for the token of a language


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Hold the ids around a source and those that an answer begins with.

    Args:
        before: Before a source. LANGUAGE is the source's language.
        after: After a source.
        starts: At the beginning of an answer, one or more. LANGUAGE is the target's language.
        languages: Name -> token, of a model with several.
        language: That of a source where none is named.
    """

    before: Sequence[int] = ()
    after: Sequence[int] = ()
    starts: Sequence[int]
    languages: Mapping[str, int] = field(default_factory=dict)
    language: str | None = None

    def around_of(self, language: str | None) -> tuple[list[int], list[int]]:
        """Return the ids before and after a source in a language."""
        if LANGUAGE not in (*self.before, *self.after):
            return list(self.before), list(self.after)
        wanted = language or self.language
        if wanted is None:
            raise UsageError(
                "This model reads several languages; name that of the text with --from: {names}.",
                names=", ".join(self.languages),
            )
        token = self._token(wanted, "source language")
        return _filled(self.before, token), _filled(self.after, token)

    def starts_of(self, language: str | None) -> list[int]:
        """Return the ids that an answer in a language begins with."""
        if LANGUAGE not in self.starts:
            return list(self.starts)
        if language is None:
            raise UsageError(
                "This model writes several languages; name one with --to: {names}.",
                names=", ".join(self.languages),
            )
        return _filled(self.starts, self._token(language, "target language"))

    def _token(self, language: str, what: str) -> int:
        if language not in self.languages:
            raise unknown(what, language, list(self.languages))
        return self.languages[language]

    def to_json(self) -> dict[str, Any]:
        """Return the values as a tokenizer file holds them."""
        return {
            "before": list(self.before),
            "after": list(self.after),
            "starts": list(self.starts),
            **({"languages": dict(self.languages)} if self.languages else {}),
            **({"language": self.language} if self.language else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Sides:
        """Read the values. Raises RunError for one that is no token number."""
        found = cls(
            before=values["before"],
            after=values["after"],
            starts=values["starts"],
            languages=values.get("languages", {}),
            language=values.get("language"),
        )
        numbers = (*found.before, *found.after, *found.starts, *found.languages.values())
        if not found.starts or not all(type(one) is int and one >= LANGUAGE for one in numbers):
            raise RunError("before, after, starts and languages must be token numbers")
        return found


def _filled(ids: Sequence[int], token: int) -> list[int]:
    return [token if one == LANGUAGE else one for one in ids]
