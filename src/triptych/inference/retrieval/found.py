"""Describe a passage that was found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """Hold a passage that was found.

    Args:
        place: Its number in the index.
        file: The file that it is in, relative to the source.
        line: The line of its first character, or its row, from 1.
        start: Its first character in the file, or in the row.
        text: The passage.
        score: By which it was ranked, at most 1.
        coverage: Which share of the question's words it holds, rare ones weighing more, 0 to 1.
        similarity: The cosine of its vector with the question's, where there are vectors.
        relevance: What a run for pairs says, 0 to 1.
    """

    place: int
    file: str
    line: int
    start: int
    text: str
    score: float
    coverage: float
    similarity: float | None = None
    relevance: float | None = None

    @property
    def end(self) -> int:
        """Return the end of its characters."""
        return self.start + len(self.text)

    def to_json(self) -> dict[str, object]:
        names = ("file", "line", "start", "end", "text", "score")
        return {name: getattr(self, name) for name in names}
