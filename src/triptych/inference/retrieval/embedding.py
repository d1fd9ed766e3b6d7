"""Compute the vectors of an index, and recognise the run that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import RunError, UsageError
from ..search_index import as_embedder, embed
from .postings import Array
from .store import Embedding

if TYPE_CHECKING:
    from ..loaded import Done
    from ..predictor import Predictor

# A run that has changed gives this text another vector; other precision moves it by less than NEAR.
PROBE = "Who wrote the letter of 3 May 1871? 這封信是誰寫的？"
NEAR = 0.01
EMBEDDED = 2000  # passages at a time, sorted by length


def vectors_of(embedder: Predictor, texts: Sequence[str], done: Done | None = None) -> Array:
    """Return (len(texts), D) float32 of length 1; an empty text has the zero vector."""
    parts = [
        embed(embedder, texts[first : first + EMBEDDED], done=done)
        for first in range(0, len(texts), EMBEDDED)
    ]
    if not parts:
        return np.zeros((0, embedder.model.config.encoder.width), dtype=np.float32)
    found = np.concatenate(parts)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    return (found / np.maximum(norms, 1e-12)).astype(np.float32)


def embedding_of(run: str, embedder: Predictor) -> Embedding:
    """Describe a run that embeds."""
    probe = vectors_of(embedder, [PROBE])[0]
    return Embedding(run, len(probe), [round(float(value), 6) for value in probe])


def fits(embedding: Embedding | None, embedder: Predictor) -> bool:
    """Tell whether the vectors of an index are those of a run."""
    if embedding is None:
        return False
    probe = vectors_of(embedder, [PROBE])[0]
    return len(probe) == embedding.width and bool(
        np.abs(probe - np.array(embedding.probe, dtype=np.float32)).max() < NEAR
    )


def load_embedder(embedding: Embedding, index: Path, named: str | None = None) -> Predictor:
    """Load the run that made the vectors of an index.

    Args:
        embedding: What the index says about it.
        index: Folder of the index; a run is also looked for where it was beside the index.
        named: Where the run is now; None: where it was.

    Raises:
        UsageError: The run is not there.
        RunError: The run has changed since.
    """
    from ..loading import load

    path = named or embedding.run
    if not Path(path).exists() and (index.parent / path).exists():
        path = str(index.parent / path)
    if not Path(path).exists():
        raise UsageError(
            "{index} holds vectors of the run {run}, which is not there. Name the run with "
            "--embedder, or leave the vectors out with --embedder none.",
            index=index,
            run=path,
        )
    embedder = as_embedder(load(path))
    if not fits(embedding, embedder):
        raise RunError(
            "{index} holds vectors of {run}, which has changed since, so they do not fit. Compute "
            "them again: triptych index SOURCE --out {index} --embedder {path}",
            index=index,
            run=embedding.run,
            path=path,
        )
    return embedder
