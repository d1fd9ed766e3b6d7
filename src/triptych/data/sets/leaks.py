"""Remove the texts of a public set that are in training and in test or validation.

`data.leaks` decides where a leak is removed: from training ("train"), from test and validation
("test"), or nowhere ("keep").
"""

from __future__ import annotations

from collections.abc import Sequence

from ..example import Example, Notify
from .entry import SplitName

LEAKS_NOTE = "data.leaks = 'keep' keeps them, 'test' removes them from the scored split instead"


def leaking(split: SplitName, leaks: str, carved: bool = False) -> list[SplitName]:
    """Return the splits whose texts are removed from `split`.

    carved: Validation is carved out of training, so that a text of it was training when it leaked.
    """
    if leaks == "train":
        return {
            "train": ["validation", "test"],
            "validation": ["test"] if carved else [],
            "test": [],
        }[split]
    if leaks == "test":
        return {
            "train": [],
            "validation": ["train"],
            "test": ["train", "validation"] if carved else ["train"],
        }[split]
    return []


def without_leaks(
    name: str,
    split: SplitName,
    leaks: str,
    keyed: Sequence[tuple[str, Example]],
    others: set[str],
    report: Notify | None,
) -> list[Example]:
    """Return the Examples whose key is not in `others`; `report` gets the number of the rest."""
    kept = [example for key, example in keyed if key not in others]
    if report is not None and len(kept) < len(keyed):
        where = "validation or test" if leaks == "train" else "training"
        report(
            f"{name}: {len(keyed) - len(kept):,} texts of {split} that are also in {where} are "
            "left out (data.leaks)."
        )
    return kept
