"""Train on a set that is read from token shards instead of Examples in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
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

CORPUS = "corpus.json"  # in a run folder: identifies its shards


def begin(data: DataTable, corpus: Corpus, origin: Run | None, task: Task,
          report: Notify) -> tuple[list[Example], Sequence[Example]]:  # fmt: skip
    """Return a sample to train the tokenizer on, and texts to validate on.

    If shards for the tokenizer of `origin` exist, only they are read, and the sample is their first
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
    """Open or write the set's shards.

    Args:
        corpus: The set.
        tokenizers: Cut its texts.
        before: The run that is resumed, if any.
        dropout: The recipe's batches.bpe_dropout, which must be 0.
        refuse: Called if the shards are not those that `before` was trained on.

    Raises:
        UsageError: `dropout` is set.
    """
    if dropout:
        raise UsageError(
            "batches.bpe_dropout tokenizes a text anew in each epoch, but data.stream tokenizes it "
            "once. Leave one of them out."
        )
    found = corpus.shards(tokenizers.target, writes=os.environ.get("LOCAL_RANK", "0") == "0")
    if before is not None and _digest_of(before) != found.digest:
        refuse(before)
    return found


def _digest_of(run: Run) -> str | None:
    values: object = run.read_json(CORPUS)
    return cast("dict[str, Any]", values).get("digest") if isinstance(values, dict) else None


def remember(run: Run, found: Shards) -> None:
    """Record which shards the run is trained on."""
    run.write_text(
        CORPUS,
        json.dumps({"digest": found.digest, "shards": len(found.sizes), "tokens": found.tokens}),
    )


def cutter(
    found: Shards, task: Task, tokenizers: Tokenizers, seed: int
) -> Callable[[int, int], list[Encoded]]:
    """Return a function from (epoch, index) to the Encoded of a text of the shards.

    Its random draws are those of a text in memory.
    """
    encode_ids = task.encode_ids
    assert encode_ids is not None, "this task cannot read shards"

    def encode(epoch: int, index: int) -> list[Encoded]:
        pieces = encode_ids(
            found.ids(index), tokenizers, np.random.default_rng((seed, epoch, index))
        )
        for one in pieces:
            one.index = index
        return pieces

    return encode
