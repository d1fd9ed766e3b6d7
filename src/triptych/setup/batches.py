"""Run the fifth stage: order the micro-batches, with what is drawn again in each epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.batches.order import MicroBatches
from ..data.batches.shards import Shards
from ..data.tokenizers.bpe_dropout import BpeDropout
from ..errors import UsageError
from ..training import streamed
from .model import BuiltModel


def micro_batches(built: BuiltModel) -> MicroBatches:
    """Return this process's share of the order of micro-batches."""
    tokenized, recipe, task = built.tokenized, built.resolved.recipe, built.task
    examples = tokenized.examples
    if isinstance(examples, Shards):
        encode, size = (
            streamed.cutter(examples, task, tokenized.tokenizers, recipe.training.seed),
            examples.sizes,
        )
    else:
        encode, size = _encoder(built), [len(tokenized.encoded)]
    settings, processes = recipe.batches, built.resolved.processes
    return MicroBatches(
        encode,
        size,
        batch_tokens=settings.batch_tokens,
        seed=recipe.training.seed,
        buffer=settings.buffer,
        batch_examples=settings.batch_examples,
        rank=processes.rank,
        world=processes.size,
        window=task.window,
    )


def _encoder(built: BuiltModel) -> Callable[[int, int], list[Encoded]]:
    """Return a function from (epoch, index) to an example's encodings.

    They are the stored ones, or drawn again in each epoch.
    """
    tokenized, recipe, task = built.tokenized, built.resolved.recipe, built.task
    examples, encoded, tokenizers = tokenized.examples, tokenized.encoded, tokenized.tokenizers
    dropout, seed = recipe.batches.bpe_dropout, recipe.training.seed
    if not 0 <= dropout < 1:
        raise UsageError(
            f"batches.bpe_dropout is {dropout}; it must be at least 0 (off) and below 1."
        )
    if not dropout and not task.draws:
        return lambda epoch, index: encoded[index]
    bpe_dropout = BpeDropout(tokenizers, dropout, seed) if dropout else None

    def encode(epoch: int, index: int) -> list[Encoded]:
        generator = np.random.default_rng((seed, epoch, index))
        if bpe_dropout is None and task.remask is not None:
            return task.remask(encoded[index], tokenizers, generator)
        drawn = tokenizers if bpe_dropout is None else bpe_dropout.tokenizers(generator)
        pieces = task.encode(examples[index], drawn, tokenized.labels, "train", generator)
        for one in pieces:
            one.index = index
        return pieces

    return encode
