"""Encode the texts of many examples at once, before their task asks for them one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...errors import DataError
from ..example import FIELDS, Example, texts_of
from .sides import Tokenizers
from .subwords import Tokenizer

TOGETHER = 4096  # examples
CHARACTERS = 2_000_000  # of the texts that are encoded at once
FEWEST_USED = 0.5  # of the texts: a task that reads other texts gains nothing


# (field, whether it is of the source's side) of each field with text
TEXTS = tuple((name, one.role == "input") for name, one in FIELDS.items() if one.text)


def read_ahead(examples: Sequence[Example], tokenizers: Tokenizers) -> Iterator[Example]:
    """Yield the examples, while the tokenizers know the ids of those that follow.

    The texts are encoded many at a time. It ends at the first examples of whose texts the task
    encodes few as they are.
    """
    sides = tokenizers.source, tokenizers.target
    pending, size = iter(examples), 64
    while True:
        block, sources, targets = _some(pending, size)
        if not block:
            return
        try:
            _know(sides[0], sources)
            _know(sides[1], targets)
            yield from block
            used = sides[0].ahead_used + (0 if tokenizers.shared else sides[1].ahead_used)
        finally:
            for tokenizer in sides:
                tokenizer.forget_ahead()
        if used < FEWEST_USED * (len(sources) + len(targets)):
            yield from pending
            return
        size = TOGETHER


def _know(tokenizer: Tokenizer, texts: Sequence[str]) -> None:
    """Encode texts; what cannot be encoded raises its error where the task reads it."""
    try:
        tokenizer.know_ahead(texts)
    except DataError:
        return


def _some(pending: Iterator[Example], count: int) -> tuple[list[Example], list[str], list[str]]:
    """Take up to `count` examples, fewer where texts are long, with the texts of both sides."""
    block, held = list[Example](), 0
    sources, targets = list[str](), list[str]()
    for one in pending:
        block.append(one)
        for name, is_source in TEXTS:
            value = getattr(one, name)
            if value is not None:
                found = [value] if isinstance(value, str) else texts_of(value)
                (sources if is_source else targets).extend(found)
                held += len(value)
        if len(block) == count or held > CHARACTERS:
            break
    return block, sources, targets
