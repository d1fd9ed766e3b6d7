"""Find labels that stand for a missing value, as programs write them: NULL, nan, N/A, None, -."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...messages import Message, listed, message

# Without their case; "none" and "-" can be real classes, so such labels are named, not left out.
WRITTEN = frozenset(
    {
        *("null", "nil", "none", "nan", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "<na>", "nat"),
        *("-nan", "(null)", "<null>", "\\n", "undefined", "missing", "-", "--", "---", "–", "—"),
        *(
            "?",
            ".",
            '""',
            "''",
            "無",
            "无",
            "空",
            "缺",
            "空白",
            "沒有",
            "#value!",
            "#ref!",
            "#name?",
        ),
    }
)
# Such a label has a meaning of its own where its opposite is a label too.
OPPOSITES = {"-": "+", "–": "+", "—": "+", "--": "++", "---": "+++", "無": "有", "无": "有"}
MOST_SHOWN = 10


def missing_labels(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the labels that usually stand for a missing value, with their counts."""
    return {
        label: count
        for label, count in counts.items()
        if label.casefold() in WRITTEN and OPPOSITES.get(label) not in counts
    }


def warning_of(counts: Mapping[str, int]) -> Message | None:
    """Return a warning that names such labels, how many texts have them and the way out."""
    found = missing_labels(counts)
    if not found:
        return None
    return message(
        "{labels}: such a label usually stands for a missing value, but it is learnt as a class. "
        "To leave its texts out, empty their label or delete their lines.",
        labels=listed(_counted(found.items())),
    )


def _counted(found: Iterable[tuple[str, int]]) -> list[Message]:
    """Return each label with its number of texts."""
    return [
        message("'{label}' ({count:,} texts)", label=label, count=count)
        for label, count in list(found)[:MOST_SHOWN]
    ]
