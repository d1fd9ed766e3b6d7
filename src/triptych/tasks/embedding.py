"""Texts as vectors of length 1, for search: the states of an encoder, averaged (Reimers & Gurevych
2019, section 3).

Nothing is learnt here: the vectors are those of a run that was imported, or trained for something
    else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.batches.windows import starts
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..errors import DataError, UsageError, unknown
from .task import Labels, Prediction, Purpose, Scores, Task, TaskSpec

OPTIONS: dict[str, Any] = {
    # of the states of all tokens, begin and end too; or "first": the begin token's state
    "pooling": "mean",
    "normalize": True,  # to length 1, so that a scalar product is the cosine
    # tokens that are read at once, begin and end included; a longer text is read in several windows
    "window": 256,
    # tokens of a longer text that two windows share; where only the window is given, a quarter of
    # it
    "stride": 64,
}
POOLINGS = ("mean", "first")


def build(options: Mapping[str, Any]) -> Task:
    """The task with its options checked. Raises UsageError for an unknown key or a value that
    cannot be.
    """
    for key in options:
        if key not in OPTIONS:
            raise unknown(
                "recipe key", f"task.{key}", [f"task.{name}" for name in ("name", *OPTIONS)]
            )
    chosen = {**OPTIONS, **options}
    if chosen["pooling"] not in POOLINGS:
        raise unknown("task.pooling", str(chosen["pooling"]), POOLINGS)
    if not isinstance(chosen["normalize"], bool):
        raise UsageError(f"task.normalize is {chosen['normalize']!r}; it must be true or false.")
    window = chosen["window"]
    if isinstance(window, bool) or not isinstance(window, int) or window < 3:
        raise UsageError(f"task.window is {window!r}; it must be a whole number, 3 or more.")
    chosen["stride"] = stride = options.get("stride", window // 4)
    if isinstance(stride, bool) or not isinstance(stride, int) or not 0 <= stride < window - 2:
        raise UsageError(
            f"task.stride is {stride!r}; it must be a whole number from 0 to below task.window - "
            f"2 = {window - 2}."
        )
    return Task(
        spec=SPEC,
        options=chosen,
        needs=("text",),
        prepare=prepare,
        encode=partial(encode, window=window, stride=stride),
        head=partial(head, window=window),
        loss=_not_learnt,
        answer=partial(answer, pooling=chosen["pooling"]),
        read=partial(read, normalize=chosen["normalize"]),
        score=_not_scored,
    )


def prepare(examples: Sequence[Example]) -> Labels:
    raise _refusal()


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    window: int,
    stride: int,
) -> list[Encoded]:
    """Windows of `[begin] text [end]` that share `stride` tokens. metadata: a weight for each of a
    window's tokens (S,), one over the windows that it stands in, so that all weights of a text add
    up to its N + 2 tokens. Raises DataError where there is no text.
    """
    if example.text is None:
        raise DataError(f"{example.place or 'An example'} has no text.")
    tokenizer, room = tokenizers.source, window - 2
    ids = np.array(tokenizer.encode(example.text), dtype=np.int64)
    places = [
        (first, min(first + room, len(ids))) for first in starts(len(ids), room, room - stride)
    ]
    often = np.zeros(len(ids))
    for first, last in places:
        often[first:last] += 1
    found = []
    for first, last in places:
        source = np.concatenate(([tokenizer.begin_id], ids[first:last], [tokenizer.end_id])).astype(
            np.int64
        )
        weights = 1 / np.concatenate(([len(places)], often[first:last], [len(places)]))
        found.append(Encoded({"source": source}, metadata=weights.astype(np.float32)))
    return found


def head(config: Any, labels: Labels, *, window: int) -> Any:
    """No parameters of its own; labels {"pooler": true}: BERT's pooler is kept beside, for an
    export, and not used.

    Raises UsageError for a model that is no encoder alone, or with fewer positions than a window
    has tokens.
    """
    from ..model.heads.pooling import Pooled

    encoder = getattr(config, "encoder", None)
    if encoder is None or config.decoder is not None:
        raise UsageError(
            "task embedding needs an encoder-only model, for example model.preset = "
            "'encoder-small'."
        )
    if encoder.positions == "learned" and window > encoder.max_positions:
        raise UsageError(
            f"task.window is {window}; this model has {encoder.max_positions} positions. Lower "
            "task.window."
        )
    return Pooled(encoder.width if labels.get("pooler") else None)


def answer(
    model: Any, head: Any, batch: Batch, settings: Any, tokenizers: Tokenizers, *, pooling: str
) -> list[tuple[np.ndarray, float]]:
    """For each window the pooled vector (D,) float32 and the sum of its tokens' weights."""
    import torch

    from ..model.heads.pooling import pooled

    lengths = batch.inputs["source_lengths"]
    with torch.inference_mode():
        states = model(source=batch.inputs["source"], source_lengths=lengths)
        # (N,)
        weights = torch.from_numpy(np.concatenate([one.metadata for one in batch.encoded])).to(
            states.device
        )
        vectors = pooled(states, lengths, pooling, weights).cpu().numpy()
    return [
        (vector, float(one.metadata.sum()))
        for vector, one in zip(vectors, batch.encoded, strict=True)
    ]


def read(
    raw: Sequence[Any], example: Example, tokenizers: Tokenizers, *, normalize: bool
) -> Prediction:
    """details: {"vector": [...], "tokens": N}, begin and end counted. What stands in several
    windows counts once.
    """
    total = sum(weight for _, weight in raw)
    vector = np.sum([vector.astype(np.float64) * weight for vector, weight in raw], axis=0) / total
    if normalize:
        vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return Prediction(
        text="",
        details={
            "vector": [float(value) for value in vector.astype(np.float32)],
            "tokens": round(total),
        },
    )


def _refusal() -> UsageError:
    return UsageError(
        "Vectors of texts are not trained or scored by themselves: import a sentence encoder "
        "(triptych import), or take them from any encoder run with triptych embed."
    )


def _not_learnt(output: Any, batch: Batch) -> dict[str, tuple[Any, int, float]]:
    raise _refusal()


def _not_scored(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    raise _refusal()


SPEC = TaskSpec(
    name="embedding",
    build=build,
    architecture="encoder",
    head="pooling",
    windows=True,
)
