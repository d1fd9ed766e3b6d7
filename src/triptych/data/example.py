"""One record before tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Field:
    """What a field of an Example is: given in use or only learnt from, and whether its text trains a tokenizer."""

    role: Literal["input", "target"]
    text: bool


FIELDS: dict[str, Field] = {
    "source": Field("input", True),
    "target": Field("target", True),
    "source_language": Field("input", False),
    "target_language": Field("input", False),
}


@dataclass(slots=True)
class Example:
    """One record from a closed table of fields (`FIELDS`); a field that a task does not need stays None.

    place: where it came from ("train.en:17"), for messages.
    """

    source: str | None = None
    target: str | None = None
    source_language: str | None = None
    target_language: str | None = None
    place: str = ""

    @property
    def bytes(self) -> int:
        """UTF-8 bytes of its text fields."""
        texts = (getattr(self, name) for name, field in FIELDS.items() if field.text)
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if text is not None)
