"""Encode the texts of many examples at once, before their task asks for them one by one."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ...errors import DataError
from ..example import FIELDS, Example, texts_of
from ..pair_table import PairTable
from ..text_blocks import packed, packed_ids, unpacked, unpacked_ids
from ..workers import Parts, Work, Workers, spare_processes
from .loading import from_json
from .sides import Tokenizers
from .subwords import Tokenizer

TOGETHER = 4096  # examples
CHARACTERS = 2_000_000  # of the texts that are encoded at once
FEWEST_USED = 0.5  # of the texts: a task that reads other texts gains nothing


Sides = tuple[Tokenizer, Tokenizer]
Ids = tuple[list[list[int]], list[list[int]]]  # of the texts of both sides
# (field, whether it is of the source's side) of each field with text
TEXTS = tuple((name, one.role == "input") for name, one in FIELDS.items() if one.text)
PAIR = (("source", True), ("target", False))


@dataclass(frozen=True, slots=True)
class _Block:
    """Hold some examples, with the texts of both sides."""

    examples: list[Example]
    sources: list[str]
    targets: list[str]

    @property
    def packed(self) -> list[bytes]:
        return [*packed(self.sources), *packed(self.targets)]


def read_ahead(examples: Sequence[Example], tokenizers: Tokenizers) -> Iterator[Example]:
    """Yield the examples, while the tokenizers know the ids of those that follow.

    The texts are encoded many at a time, on all cores where there are many examples. None are if
    the task encodes few texts of the first examples as they are.
    """
    sides = tokenizers.source, tokenizers.target
    pending = iter(examples)
    some = partial(_some, pending, PAIR if isinstance(examples, PairTable) else TEXTS)
    first = some(64)
    if first is None:
        return
    used = yield from _with_ids(first, _encoded(first, sides), sides)
    if used < FEWEST_USED * (len(first.sources) + len(first.targets)):
        yield from pending
        return
    blocks = iter(partial(some, TOGETHER), None)
    count = spare_processes(len(examples))
    if not count:
        for block in blocks:
            yield from _with_ids(block, _encoded(block, sides), sides)
        return
    setup = json.dumps([one.to_json() for one in (sides[:1] if tokenizers.shared else sides)])
    workers = Workers(
        f"{__name__}:encode_work", setup.encode(), count, partial(_encoded_parts, sides)
    )
    for block, parts in workers.map((block, block.packed) for block in blocks):
        ids = (unpacked_ids(*parts[:2]), unpacked_ids(*parts[2:])) if parts else ([], [])
        yield from _with_ids(block, ids, sides)


def encode_work(setup: bytes) -> Work:
    """Return what encodes blocks of texts of both sides in another process."""
    found = [*map(from_json, json.loads(setup))]
    return partial(_encoded_parts, (found[0], found[-1]))


def _encoded_parts(sides: Sides, parts: list[bytes]) -> Parts:
    ids = _encoded(_Block([], unpacked(*parts[:2]), unpacked(*parts[2:])), sides)
    return [part for one in ids for part in packed_ids(one)] if any(ids) else []


def _encoded(block: _Block, sides: Sides) -> Ids:
    """Return the ids of each text of both sides.

    None at all if there is a text that cannot be encoded: its error is raised where the task reads
    it.
    """
    try:
        return sides[0].encode_batch(block.sources), sides[1].encode_batch(block.targets)
    except DataError:
        return [], []


def _with_ids(block: _Block, ids: Ids, sides: Sides) -> Generator[Example, None, int]:
    """Yield the examples of a block, while the tokenizers know its ids.

    Returns how many of the ids were used.
    """
    try:
        for tokenizer, texts, numbers in zip(
            sides, (block.sources, block.targets), ids, strict=True
        ):
            tokenizer.know_ahead(dict(zip(texts, numbers, strict=False)))
        yield from block.examples
        return sides[0].ahead_used + (0 if sides[0] is sides[1] else sides[1].ahead_used)
    finally:
        for tokenizer in sides:
            tokenizer.forget_ahead()


def _some(
    pending: Iterator[Example], names: Sequence[tuple[str, bool]], count: int
) -> _Block | None:
    """Take up to `count` examples, fewer where texts are long; None at the end."""
    block, held = _Block([], [], []), 0
    for one in pending:
        block.examples.append(one)
        for name, is_source in names:
            value = getattr(one, name)
            if value is not None:
                found = [value] if isinstance(value, str) else texts_of(value)
                (block.sources if is_source else block.targets).extend(found)
                held += len(value)
        if len(block.examples) == count or held > CHARACTERS:
            break
    return block if block.examples else None
