"""Say where a set is too small for what is measured on it or learnt from it. Imports no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ..messages import Message, in_brief, listed, message
from .example import Example
from .pair_table import PairTable

PARTS = (message("train"), message("validation"), message("test"))  # named to a user
FEW_TEXTS = 100  # a part with fewer says little
FEW_OF_A_CLASS = 10  # a class with fewer training texts can hardly be learnt
FEW_CHARACTERS = 20_000  # of plain text, about 5,000 tokens: less says little about a loss
MOST_NAMED = 20  # classes that a sentence names
# Up to so many records -> the share that `init` keeps out for each part, so that from 1,000 records
# on the test has at least FEW_TEXTS; more have enough with the usual 2.5 %.
SHARES = ((2_000, 0.1), (4_000, 0.05))


def share_for(records: int) -> float | None:
    """Return the share to hold out of so many records for each part; None: the usual one."""
    return next((share for most, share in SHARES if records < most), None)


def share_of_text(characters: int) -> float | None:
    """Return the share to hold out of so much plain text for each part; None: the usual one.

    It is what has FEW_CHARACTERS, as far as a tenth does.
    """
    if characters >= FEW_CHARACTERS / 0.025:
        return None
    return 0.05 if characters >= FEW_CHARACTERS / 0.05 else 0.1


def characters_of(examples: Iterable[Example]) -> int:
    """Count the characters of plain text."""
    return sum(len(one.text or "") for one in examples)


def too_few(
    examples: Sequence[Example], part: str, needs: Sequence[str], records: str, is_share: bool
) -> Message | None:
    """Return a warning if a part is too small to measure on, else None.

    Plain text is measured by its characters, everything else by its records.

    Args:
        examples: Those of the part.
        part: Its name, "test"; "" for files that are no part of the run's data.
        needs: The fields that the task reads.
        records: What the examples are called.
        is_share: What is measured is the share of records with a right answer.
    """
    if tuple(needs) != ("text",) or not examples:
        return few_texts(len(examples), part, records, is_share)
    count = characters_of(examples)
    if count >= FEW_CHARACTERS:
        return None
    return message(
        "Only {count:,} characters of {part}: a score measured on so little text is uncertain; "
        "triptych evaluate RUN --bootstrap 1000 shows by how much.",
        count=count,
        part=message("{part} text", part=Message(part)) if part else message("text"),
    )


def margin(count: int) -> float:
    """Return how far a percentage measured on so many texts may be off (95 %, at worst)."""
    return 100 * 1.96 * 0.5 / math.sqrt(max(1, count))


def few_texts(
    count: int, part: str, records: str = message("texts"), is_share: bool = True
) -> Message | None:
    """Return a warning if a part is too small to measure on, else None.

    Args:
        count: Its records.
        part: Its name, "test".
        records: What they are called.
        is_share: What is measured is the share of records with a right answer.
    """
    if count >= FEW_TEXTS:
        return None
    if not count:
        return message(
            "There are no {part} {records}: nothing can be measured on them.",
            part=Message(part),
            records=records,
        )
    more = records if count > 1 else Message(records.removesuffix("s"))
    only = (
        message("Only {count:,} {part} {more}:", count=count, part=Message(part), more=more)
        if part
        else message("Only {count:,} {more}:", count=count, more=more)
    )
    if is_share:
        return message(
            "{only} a percentage measured on so few is uncertain by up to "
            "{margin:.0f} points (95 %).",
            only=only,
            margin=margin(count),
        )
    return message(
        "{only} a score measured on so few is uncertain; triptych evaluate RUN "
        "--bootstrap 1000 shows by how much.",
        only=only,
    )


def class_counts(examples: Iterable[Example]) -> dict[str, int]:
    """Count the texts of each label, the most frequent first; empty for numbers."""
    if isinstance(examples, PairTable):  # has no labels
        return {}
    return dict(
        Counter(
            name
            for one in examples
            for name in ([one.label] if one.label is not None else one.labels or ())
        ).most_common()
    )


def rare_classes(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the classes with few training texts, the rarest first."""
    rare = [(name, count) for name, count in counts.items() if count < FEW_OF_A_CLASS]
    return dict(sorted(rare, key=lambda pair: (pair[1], pair[0])))


def few_of_a_class(examples: Sequence[Example]) -> Message | None:
    """Return a warning that names the classes with few training texts, else None."""
    rare = rare_classes(class_counts(examples))
    if not rare:
        return None
    named = [f"'{in_brief(name)}' ({count})" for name, count in list(rare.items())[:MOST_NAMED]]
    over = len(rare) - MOST_NAMED
    more = message(" and {count:,} more", count=over) if over > 0 else ""
    if examples[0].label is None:  # the labels of a text are not weighed
        return message(
            "Classes with fewer than {few_of_a_class} training texts are hard to learn: "
            "{names}{more}. Add texts, or join such classes.",
            few_of_a_class=FEW_OF_A_CLASS,
            names=listed(named),
            more=more,
        )
    return message(
        "Classes with fewer than {few_of_a_class} training texts are hard to "
        "learn: {names}{more}. Add texts, join such classes, or weigh them "
        "(task.class_weights).",
        few_of_a_class=FEW_OF_A_CLASS,
        names=listed(named),
        more=more,
    )
