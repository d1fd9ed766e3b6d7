"""Texts as vectors of length 1, for search: the states of an encoder, averaged (Reimers & Gurevych 2019, section 3).

Nothing is learnt here: the vectors are those of a run that was imported, or trained for something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..data.batching import Batch, Encoded
from ..data.example import Example
from ..data.tokenizer import Tokenizers
from ..errors import DataError, UsageError, unknown
from .task import Labels, Prediction, Purpose, Scores, Task

OPTIONS: dict[str, Any] = {
    "pooling": "mean",  # of the states of all tokens, begin and end too; or "first": the begin token's state
    "normalize": True,  # to length 1, so that a scalar product is the cosine
    "window": 256,  # tokens that are read at once; a longer text is the mean over its windows, by their tokens
}
POOLINGS = ("mean", "first")


def build(options: Mapping[str, Any]) -> Task:
    """The task with its options checked. Raises UsageError for an unknown key or a value that cannot be."""
    for key in options:
        if key not in OPTIONS:
            raise unknown("recipe key", f"task.{key}", [f"task.{name}" for name in ("name", *OPTIONS)])
    chosen = {**OPTIONS, **options}
    if chosen["pooling"] not in POOLINGS:
        raise unknown("task.pooling", str(chosen["pooling"]), POOLINGS)
    if not isinstance(chosen["normalize"], bool):
        raise UsageError(f"task.normalize is {chosen['normalize']!r}; it must be true or false.")
    if isinstance(chosen["window"], bool) or not isinstance(chosen["window"], int) or chosen["window"] < 3:
        raise UsageError(f"task.window is {chosen['window']!r}; it must be a whole number, 3 or more.")
    return Task(
        name="embedding", options=chosen, needs=("text",), prepare=prepare, encode=partial(encode, window=chosen["window"]),
        head=head, loss=_not_learnt, answer=partial(answer, pooling=chosen["pooling"]),
        read=partial(read, normalize=chosen["normalize"]), score=_not_scored, windows=True,
    )  # fmt: skip


def prepare(examples: Sequence[Example]) -> Labels:
    raise _refusal()


def encode(example: Example, tokenizers: Tokenizers, labels: Labels, purpose: Purpose,
           generator: np.random.Generator | None = None, *, window: int) -> list[Encoded]:  # fmt: skip
    """Windows of `[begin] text [end]`, one after the other without overlap. Raises DataError where there is no text."""
    if example.text is None:
        raise DataError(f"{example.place or 'An example'} has no text.")
    tokenizer = tokenizers.source
    ids, room = tokenizer.encode(example.text), window - 2
    parts = [ids[start : start + room] for start in range(0, max(1, len(ids)), room)]
    return [Encoded({"source": np.array([tokenizer.begin_id, *part, tokenizer.end_id], dtype=np.int64)}) for part in parts]


def head(config: Any, labels: Labels) -> Any:
    """No parameters of its own; labels {"pooler": true}: BERT's pooler is kept beside, for an export, and not used."""
    from ..model.pooling import Pooled

    encoder = config.encoder
    if encoder is None or config.decoder is not None:
        raise UsageError("task embedding needs an encoder-only model, for example model.preset = 'encoder-small'.")
    return Pooled(encoder.width if labels.get("pooler") else None)


def answer(model: Any, head: Any, batch: Batch, settings: Any, tokenizers: Tokenizers, *, pooling: str) -> list[tuple[np.ndarray, int]]:
    """For each window the pooled vector (D,) float32 and its number of tokens."""
    import torch

    from ..model.pooling import pooled

    with torch.inference_mode():
        states = model(source=batch.inputs["source"], source_lengths=batch.inputs["source_lengths"])
        vectors = pooled(states, batch.inputs["source_lengths"], pooling).cpu().numpy()
    return [(vector, len(one.inputs["source"])) for vector, one in zip(vectors, batch.encoded, strict=True)]


def read(raw: Sequence[Any], example: Example, tokenizers: Tokenizers, *, normalize: bool) -> Prediction:
    """details: {"vector": [...], "tokens": N}."""
    tokens = sum(count for _, count in raw)
    vector = np.sum([vector.astype(np.float64) * count for vector, count in raw], axis=0) / tokens
    if normalize:
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return Prediction(text="", details={"vector": [float(value) for value in vector.astype(np.float32)], "tokens": tokens})


def _refusal() -> UsageError:
    return UsageError(
        "Vectors of texts are not trained or scored by themselves: import a sentence encoder (triptych import), or take them from any "
        "encoder run with triptych embed."
    )


def _not_learnt(output: Any, batch: Batch) -> dict[str, tuple[Any, int, float]]:
    raise _refusal()


def _not_scored(predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]) -> Scores:
    raise _refusal()
