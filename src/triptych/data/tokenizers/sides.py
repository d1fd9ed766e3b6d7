"""Hold the tokenizers of a model's two sides, as a run folder stores them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .loading import load
from .subwords import Tokenizer


@dataclass(frozen=True, slots=True)
class Tokenizers:
    """Hold the two sides' tokenizers; both are one object if they share a vocabulary."""

    source: Tokenizer
    target: Tokenizer

    @property
    def shared(self) -> bool:
        return self.source is self.target

    def files(self) -> dict[str, str]:
        """Map each side ("shared", or "source" and "target") to its file name in a run folder."""
        return (
            {"shared": "tokenizer.json"}
            if self.shared
            else {side: f"tokenizer.{side}.json" for side in ("source", "target")}
        )

    def with_begin(self) -> Tokenizers:
        """See `Tokenizer.with_begin`."""
        source = self.source.with_begin()
        return Tokenizers(source, source if self.shared else self.target.with_begin())

    def save(self, folder: str | Path) -> None:
        for side, name in self.files().items():
            (self.target if side == "target" else self.source).save(Path(folder) / name)

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizers:
        folder = Path(folder)
        if (folder / "tokenizer.source.json").exists():
            return cls(
                load(folder / "tokenizer.source.json"), load(folder / "tokenizer.target.json")
            )
        one = load(folder / "tokenizer.json")
        return cls(one, one)
