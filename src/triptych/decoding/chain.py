"""Find the best path through a linear chain of labels, and the marginal probabilities.

The chain scores each label at each position, and each pair of neighbouring labels. This is plain
numpy: the windows of a document are joined first, so a chain can have 100,000 positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NEVER = -1e4  # the score of an impossible label: below any model's score, yet finite
# The least log ratio of a label to the best one at its position, so that no sum underflows.
LEAST = -60.0


class Chain(NamedTuple):
    """Hold the scores of transitions.

    Args:
        pairs: (L, L), from the row's label to the column's.
        first: (L,), for beginning with a label.
        last: (L,), for ending with a label.
    """

    pairs: np.ndarray
    first: np.ndarray
    last: np.ndarray


def best_path(scores: np.ndarray, chain: Chain) -> list[int]:
    """Return the labels with the highest total score (Viterbi 1967) for scores (W, L)."""
    if not len(scores):
        return []
    columns, back = chain.pairs.T.copy(), np.zeros(scores.shape, dtype=np.int32)
    best = scores[0] + chain.first
    labels = np.arange(scores.shape[1], dtype=np.int64)
    for place in range(1, len(scores)):
        reached = columns + best  # (L to, L from)
        back[place] = reached.argmax(1)
        best = reached[labels, back[place]] + scores[place]
    path = [int((best + chain.last).argmax())]
    for place in range(len(scores) - 1, 0, -1):
        path.append(int(back[place, path[-1]]))
    return path[::-1]


def marginals(scores: np.ndarray, chain: Chain) -> np.ndarray:
    """Return the probability of each label at each position (W, L), summed over all paths.

    This is the forward-backward algorithm (Rabiner 1989, section III).
    """
    if not len(scores):
        return scores.copy()
    pairs = np.exp(chain.pairs - chain.pairs.max())
    local = np.exp(np.maximum(scores - scores.max(1, keepdims=True), LEAST))
    forward, backward = np.empty(scores.shape), np.empty(scores.shape)
    forward[0] = _share(local[0] * np.exp(np.maximum(chain.first - chain.first.max(), 2 * LEAST)))
    for place in range(1, len(scores)):
        forward[place] = _share(forward[place - 1] @ pairs * local[place])
    backward[-1] = _share(np.exp(np.maximum(chain.last - chain.last.max(), 2 * LEAST)))
    for place in range(len(scores) - 2, -1, -1):
        backward[place] = _share(pairs @ (backward[place + 1] * local[place + 1]))
    both = forward * backward
    return both / np.maximum(both.sum(1, keepdims=True), 1e-300)


def _share(values: np.ndarray) -> np.ndarray:
    return values / max(values.sum(), 1e-300)
