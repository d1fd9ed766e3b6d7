"""Embedding: a text as one vector, the mean of its encoder's states, so that texts alike in meaning stand close to each other.

(Reimers & Gurevych 2019, section 3.) The vectors are those of the encoder; nothing is learnt here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from ..data.batching import Batch, Encoded
from ..data.example import Example
from ..data.tokenizer import Tokenizers
from ..errors import DataError, UsageError, unknown
from .task import Labels, Prediction, Purpose, Task

OPTIONS: dict[str, Any] = {
    "pooling": "mean",  # "mean" of all tokens' states, or "first": the state of the first token
    "normalize": True,  # to length 1, so that a dot product is a cosine
    "window": 256,  # tokens read at once, begin and end included; a longer text is read in windows that follow each other
}


def build(options: Mapping[str, Any]) -> Task:
    """The task with its options checked. Raises UsageError for an unknown key or a value that cannot be."""
    for key in options:
        if key not in OPTIONS:
            raise unknown("recipe key", f"task.{key}", [f"task.{name}" for name in ("name", *OPTIONS)])
    chosen = {**OPTIONS, **options}
    if chosen["pooling"] not in ("mean", "first"):
        raise unknown("pooling", str(chosen["pooling"]), ["mean", "first"], "in task.pooling")
    if not isinstance(chosen["normalize"], bool):
        raise UsageError(f"task.normalize is {chosen['normalize']!r}; it must be true or false.")
    if isinstance(chosen["window"], bool) or not isinstance(chosen["window"], int) or chosen["window"] < 3:
        raise UsageError(f"task.window is {chosen['window']!r}; it must be 3 tokens or more.")
    return Task(
        name="embedding", options=chosen, needs=("text",), prepare=_untrained, encode=partial(encode, window=chosen["window"]),
        head=partial(head, pooling=chosen["pooling"]), loss=_untrained, answer=answer,
        read=partial(read, normalize=chosen["normalize"]), score=_untrained, windows=True,
    )  # fmt: skip


def _untrained(*_: Any) -> NoReturn:
    raise UsageError("A run for embedding is imported or taken from another run; there is nothing to train or to score in it.")


def encode(example: Example, tokenizers: Tokenizers, labels: Labels, purpose: Purpose, generator: np.random.Generator | None = None,
           *, window: int = OPTIONS["window"]) -> list[Encoded]:  # fmt: skip
    """source = begin pieces end, in windows."""
    if example.text is None:
        raise DataError(f"{example.place or 'An example'} has no text.")
    tokenizer, room = tokenizers.source, window - 2
    ids = tokenizer.encode(example.text)
    parts = [ids[start : start + room] for start in range(0, max(1, len(ids)), room)]
    return [Encoded({"source": np.array([tokenizer.begin_id, *part, tokenizer.end_id], dtype=np.int64)}) for part in parts]


def head(config: Any, labels: Labels, pooling: str = "mean") -> Any:
    """labels: {"pooler": true} where the encoder came with a pooler, whose weights are kept."""
    from ..model.embedding import Pool

    return Pool(config.encoder.width, pooling, bool(labels.get("pooler")))


def answer(model: Any, head: Any, batch: Batch, settings: Any, tokenizers: Tokenizers) -> list[Any]:
    """(sum of what is pooled (D,), of how many) a window."""
    import torch

    with torch.no_grad():
        sums, counts = head(model, model(**batch.inputs), batch.inputs)
    return [(row.double().numpy(), count) for row, count in zip(sums.cpu(), counts.tolist(), strict=True)]


def read(raw: Sequence[Any], example: Example, tokenizers: Tokenizers, normalize: bool = True) -> Prediction:
    """The mean over all windows, in details["vector"]."""
    vector = sum(total for total, _ in raw) / sum(count for _, count in raw)
    if normalize:
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    values = [float(value) for value in vector.astype(np.float32)]
    return Prediction(" ".join(f"{value:.6f}" for value in values), details={"vector": values})
