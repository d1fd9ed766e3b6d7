"""Embed texts as vectors of length 1 for search: averaged states of an encoder.

See Reimers & Gurevych 2019, section 3. Nothing is learnt here: the vectors come from a run that was
imported, or trained for another task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.batches.windows import starts
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import DecodingSettings
from ..errors import DataError, UsageError
from .encoders import encoder_alone
from .options import EmbeddingOptions, read_options
from .task import Labels, Losses, Prediction, Purpose, Scores, Task, TaskSpec

if TYPE_CHECKING:
    from torch import nn

    from ..model.config import AnyConfig
    from ..model.transformer import Transformer


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    given = dict(values)
    if "stride" not in given and isinstance(window := given.get("window"), int):
        given["stride"] = window // 4
    options = read_options(EmbeddingOptions, given)
    return Task(
        spec=SPEC,
        options=asdict(options),
        needs=("text",),
        prepare=prepare,
        encode=partial(encode, window=options.window, stride=options.stride),
        head=partial(head, window=options.window),
        loss=_not_learnt,
        answer=partial(answer, pooling=options.pooling),
        read=partial(read, normalize=options.normalize),
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
    """Encode windows of `[begin] text [end]` that share `stride` tokens.

    metadata: a weight for each token of a window, 1 / the number of windows that hold it.
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
    found: list[Encoded] = []
    for first, last in places:
        source = np.concatenate(([tokenizer.begin_id], ids[first:last], [tokenizer.end_id])).astype(
            np.int64
        )
        weights = 1 / np.concatenate(([len(places)], often[first:last], [len(places)]))
        found.append(Encoded({"source": source}, metadata=weights.astype(np.float32)))
    return found


def head(config: AnyConfig, labels: Labels, *, window: int) -> nn.Module:
    """Build a head without parameters.

    With labels {"pooler": true} it keeps BERT's pooler, unused, for an export. Raises UsageError
    for a model that is not encoder-only, or that has fewer positions than a window has tokens.
    """
    from ..model.heads.pooling import Pooled

    encoder = encoder_alone(config, SPEC.name, window)
    return Pooled(encoder.width if labels.get("pooler") else None)


def answer(
    model: Transformer,
    head: nn.Module,
    batch: Batch,
    settings: DecodingSettings,
    tokenizers: Tokenizers,
    *,
    pooling: str,
) -> list[tuple[np.ndarray, float]]:
    """Return for each window the pooled vector (D,) float32 and the sum of its tokens' weights."""
    import torch

    from ..model.heads.pooling import pooled

    lengths = batch.inputs["source_lengths"]
    with torch.inference_mode():
        states = model(source=batch.inputs["source"], source_lengths=lengths)
        # (N,)
        weights = torch.as_tensor(np.concatenate([one.metadata for one in batch.encoded])).to(
            states.device
        )
        vectors = pooled(states, lengths, pooling, weights).cpu().numpy()
    return [
        (vector, float(one.metadata.sum()))
        for vector, one in zip(vectors, batch.encoded, strict=True)
    ]


def read(
    raw: Sequence[tuple[np.ndarray, float]],
    example: Example,
    tokenizers: Tokenizers,
    *,
    normalize: bool,
) -> Prediction:
    """Return details {"vector": [...], "tokens": N}, begin and end included.

    A token that is in several windows counts once.
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
        "The task embedding cannot be trained or scored: import a sentence encoder (triptych "
        "import), or embed texts with any encoder run (triptych embed)."
    )


def _not_learnt(output: object, batch: Batch) -> Losses:
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
