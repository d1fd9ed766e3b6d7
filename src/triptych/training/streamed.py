"""Training on a set that is read from token shards: what replaces Examples in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.batches.shards import Shards
from ..data.batches.streaming import Corpus
from ..data.example import Example, Notify
from ..data.load import load_split
from ..data.table import DataTable
from ..data.tokenizers.sides import Tokenizers
from ..errors import UsageError
from ..runs.run import Run
from ..tasks.task import Task

CORPUS = "corpus.json"  # in a run: by what its shards are known again


def begin(data: DataTable, corpus: Corpus, origin: Run | None, task: Task,
          report: Notify) -> tuple[list[Example], list[Example]]:  # fmt: skip
    """(a sample to train the tokenizer on, texts to validate on). Where the shards for the
    tokenizer of `origin` are at hand, nothing is read but them, and the sample is their first
    text.
    """
    known = None if origin is None else Tokenizers.load(origin.path).target
    shards = None if known is None else corpus.find(known)
    if data.validation is not None:
        validation = load_split(data, "validation", report, task.needs)
    else:
        validation = corpus.held("validation") if shards is None else shards.held()
    if known is not None and shards is not None:
        return [
            Example(text=known.decode(shards.ids(0).tolist()), place=shards[0].place)
        ], validation
    return corpus.samples["train"].kept, validation


def shards(corpus: Corpus, tokenizers: Tokenizers, before: Run | None, dropout: float,
           refuse: Callable[[Run], None]) -> Shards:  # fmt: skip
    """Open or write the set's shards. Raises UsageError for subwords that are to be drawn anew.

    refuse: called where they are not those that the resumed run `before` was trained on.
    """
    if dropout:
        raise UsageError(
            "batches.bpe_dropout cuts texts anew each time, and data.stream cuts them once. Leave "
            "one of them out."
        )
    found = corpus.shards(tokenizers.target, writes=os.environ.get("LOCAL_RANK", "0") == "0")
    if before is not None and _digest_of(before) != found.digest:
        refuse(before)
    return found


def _digest_of(run: Run) -> str | None:
    values: object = run.read_json(CORPUS)
    return cast("dict[str, Any]", values).get("digest") if isinstance(values, dict) else None


def remember(run: Run, found: Shards) -> None:
    """Write down which shards the run is trained on."""
    run.write_text(
        CORPUS,
        json.dumps({"digest": found.digest, "shards": len(found.sizes), "tokens": found.tokens}),
    )


def cutter(
    found: Shards, task: Task, tokenizers: Tokenizers, seed: int
) -> Callable[[int, int], list[Encoded]]:
    """(epoch, index) -> a text's Encoded out of its shard, drawn as if the text lay in memory."""
    encode_ids = task.encode_ids
    assert encode_ids is not None, "this task reads no shards"

    def encode(epoch: int, index: int) -> list[Encoded]:
        pieces = encode_ids(
            found.ids(index), tokenizers, np.random.default_rng((seed, epoch, index))
        )
        for one in pieces:
            one.index = index
        return pieces

    return encode
