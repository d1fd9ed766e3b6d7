"""Print the scores of each class, and which classes are confused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..messages import Message, message
from . import console
from .console import table
from .language import translated

if TYPE_CHECKING:
    from ..metrics.classes import Breakdown, Confusion

MOST_COLUMNS = 12  # classes of a confusion matrix that is printed
MOST_PAIRS = 10  # confusions that are printed of a larger one
NARROW = 14  # columns of a label over its column


def class_table(found: Breakdown, trained: dict[str, int]) -> str:
    """Return the scores of each class, the most frequent first."""
    heads = [
        *(translated(message("class")), *[translated(message("in training"))] * bool(trained)),
        *(translated(Message(found.unit)), translated(message("precision"))),
        *(translated(message("recall")), "f1"),
    ]
    rows = [
        [
            _name(name),
            *([f"{trained.get(name, 0):,}"] if trained else []),
            f"{one.support:,}",
            *(
                f"{value:.2f}" if one.occurs else "-"
                for value in (one.precision, one.recall, one.f1)
            ),
        ]
        for name, one in found.classes.items()
    ]
    return table([heads, *rows])


def confusion_table(found: Confusion) -> str:
    """Return the matrix, or of many classes the most frequent confusions."""
    if len(found.labels) > MOST_COLUMNS:
        pairs = found.pairs()
        if not pairs:
            return translated(message("No answer is wrong."))
        rows = [
            [_name(one), f"answered {_name(other)}", f"{count:,}"]
            for one, other, count in pairs[:MOST_PAIRS]
        ]
        more = (
            f"; {len(pairs) - MOST_PAIRS:,} more pairs: --html" if len(pairs) > MOST_PAIRS else ""
        )
        return f"Most frequent confusions{more}\n{table(rows, right=False)}"
    names = [_name(name) for name in found.labels]
    short = all(console.width(name) <= NARROW for name in names)
    heads = names if short else [str(place) for place in range(1, len(names) + 1)]
    sides = names if short else [f"{place} {name}" for place, name in enumerate(names, 1)]
    rows = [
        [side, *(f"{count:,}" if count else "." for count in counts)]
        for side, counts in zip(sides, found.counts, strict=True)
        if any(counts)
    ]
    title = translated(
        message("Confusions: a row for each class of the data, a column for each answer")
    )
    return f"{title}\n{table([['', *heads], *rows])}"


def _name(label: str) -> str:
    return console.label(label) or "(no answer)"
