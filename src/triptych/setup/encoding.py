"""Encode training examples once: pairs of a large table in blocks, on all cores."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..data.batches.encoded import without_features
from ..data.batches.encoded_table import EncodedTable
from ..data.batches.framed import framed
from ..data.example import Example
from ..data.pair_table import PairTable
from ..data.text_blocks import TOGETHER
from ..data.tokenizers.ahead import read_ahead
from ..data.tokenizers.loading import from_json
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..data.workers import Parts, Work, Workers, spare_processes
from ..errors import DataError
from ..tasks.specs import SPECS
from ..tasks.task import Labels, Task


@dataclass(frozen=True, slots=True)
class EncodedPart:
    """Hold what examples were encoded to.

    table: of those that are kept. kept: (examples,) bool, False for those that are too long.
    """

    table: EncodedTable = field(default_factory=EncodedTable, repr=False)
    kept: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encode examples as their task does.

    Args:
        task: The recipe's task.
        tokenizers: Trained already.
        labels: What the task found in the data.
        longest: Of each side, in tokens; longer examples are left out.
    """

    task: Task
    tokenizers: Tokenizers
    labels: Labels
    longest: int

    def encode(self, examples: Sequence[Example]) -> EncodedPart:
        """Encode all examples, those of a table of pairs in blocks, of a large one on all cores."""
        if not isinstance(examples, PairTable):
            return self.encode_here(examples)
        rows = [
            slice(first, min(first + TOGETHER, len(examples)))
            for first in range(0, len(examples), TOGETHER)
        ]
        parts = (self.encode_block(examples[one]) for one in rows)
        if count := spare_processes(len(examples)):
            setup = self._setup(examples)
            parts = self._elsewhere(examples, rows, setup, count) if setup else parts
        table, kept = EncodedTable(), [np.empty(0, dtype=bool)]
        for part in parts:
            table.extend(part.table)
            kept.append(part.kept)
        return EncodedPart(table, np.concatenate(kept))

    def _elsewhere(
        self, examples: PairTable, rows: Sequence[slice], setup: bytes, count: int
    ) -> Iterator[EncodedPart]:
        workers = Workers(f"{__name__}:encode_work", setup, count, encode_work(setup, self))
        blocks = ((one, examples.parts(one.start, one.stop)) for one in rows)
        for own, parts in workers.map(blocks):
            if parts:
                kept = np.frombuffer(parts[0], bool)
                yield EncodedPart(EncodedTable.of_parts(parts[1:]), kept)
            else:
                yield self.encode_block(examples[own])

    def encode_block(self, examples: PairTable) -> EncodedPart:
        """Encode some pairs, at once where the task and the tokenizers allow it."""
        sides = (self.tokenizers.source, self.tokenizers.target)
        frame = self.task.frame
        if frame is None or not len(examples) or any(type(one) is not Tokenizer for one in sides):
            return self.encode_here(examples)
        around = frame(examples[0], self.tokenizers, self.labels)
        try:
            ids = [
                one.encode_arrays([*examples.texts(side)])
                for one, side in zip(sides, ("source", "target"), strict=True)
            ]
        except DataError:  # It is raised again where it can be said of which pair.
            return self.encode_here(examples)
        return EncodedPart(*framed(ids[0], ids[1], around, self.longest))

    def encode_here(self, examples: Sequence[Example]) -> EncodedPart:
        """Encode all examples in this process."""
        table, kept = EncodedTable(), np.ones(len(examples), dtype=bool)
        task = self.task
        # What is drawn anew in every epoch is not kept: features of sound are large.
        is_redrawn = task.draws and task.remask is None and task.fit_head is None
        for number, example in enumerate(read_ahead(examples, self.tokenizers)):
            pieces = task.encode(example, self.tokenizers, self.labels, "train", None)
            sides = (values for one in pieces for values in one.inputs.values())
            if not task.spec.windows and any(len(values) > self.longest for values in sides):
                kept[number] = False
                continue
            for one in pieces:
                one.index = len(table)
            table.append([without_features(one) for one in pieces] if is_redrawn else pieces)
        return EncodedPart(table, kept)

    def _setup(self, examples: PairTable) -> bytes | None:
        """Return what another process needs to encode rows of the table; None if it cannot."""
        if SPECS.get(self.task.name) is not self.task.spec:  # of the user's own code
            return None
        sides = (self.tokenizers.source, self.tokenizers.target)
        values = {
            "task": self.task.name,
            "options": dict(self.task.options),
            "tokenizers": [one.to_json() for one in sides[: 2 - self.tokenizers.shared]],
            "labels": self.labels,
            "longest": self.longest,
            "name": examples.name,
            "languages": examples.languages,
        }
        return json.dumps(values).encode()


def encode_work(setup: bytes, encoder: Encoder | None = None) -> Work:
    """Return what encodes rows of a table of pairs, in another process or this one.

    encoder: that of this process.
    """
    values = json.loads(setup)
    if encoder is None:
        found = [*map(from_json, values["tokenizers"])]
        encoder = Encoder(
            SPECS[values["task"]].build(values["options"]),
            Tokenizers(found[0], found[-1]),
            values["labels"],
            values["longest"],
        )

    def work(parts: list[bytes]) -> Parts:
        one, other = values["languages"]
        part = encoder.encode_block(PairTable.of_parts(values["name"], (one, other), parts))
        table = part.table.to_parts()
        return [] if table is None else [part.kept.tobytes(), *table]

    return work
