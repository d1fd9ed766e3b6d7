"""Describe a family of published sizes. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..model.config import AnyConfig

Config = TypeVar("Config", bound=AnyConfig, covariant=True)
OWN = "Triptych"  # the family of sizes that are published nowhere


@dataclass(frozen=True, kw_only=True)
class Published(Generic[Config]):
    """Hold the sizes of one family, and where they were published.

    Args:
        family: What its authors call it.
        paper: Authors, year and section; or the file that gives the numbers.
        vocabulary: Entries of the vocabulary that its sizes were published with.
        sizes: Name -> configuration, which has no vocabulary: that comes from the tokenizer.
        others: Name -> entries of the vocabulary where they differ.
    """

    family: str
    paper: str
    vocabulary: int
    sizes: Mapping[str, Config]
    others: Mapping[str, int] | None = None

    def vocabulary_of(self, name: str) -> int:
        """Return the published vocabulary's entries of a size."""
        return (self.others or {}).get(name, self.vocabulary)


def sizes_of(*families: Published[Config]) -> dict[str, Config]:
    """Return name -> configuration of several families."""
    return {name: size for family in families for name, size in family.sizes.items()}
