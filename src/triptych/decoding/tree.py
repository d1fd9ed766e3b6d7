"""Find the best dependency tree with exactly one root (Chu & Liu 1965; Edmonds 1967).

Universal Dependencies require exactly one word below the root. If the maximum spanning arborescence
has several, all arcs from the root get a penalty that exceeds any gain, so that the optimum has as
few of them as possible, which is one (Stanojević & Cohen 2021, section 4.2). Re-rooting afterwards
would not be exact (Zmigrod, Vieira & Cotterell 2020).
"""

from __future__ import annotations

import numpy as np

LOWEST = -1e6  # replaces minus infinity, so that sums stay finite


def best_tree(scores: np.ndarray) -> list[int]:
    """Find the tree with one root and the largest sum of scores; among ties, any.

    It takes O(W^3) time, usually O(W^2). A word is never its own head.

    Args:
        scores: (W, W + 1), each word's candidate heads: the root first, then the words. Larger is
            better; minus infinity or NaN forbids an arc.

    Returns:
        The head of each word, 0 for the root.
    """
    count = len(scores)
    if count == 0:
        return []
    arcs = np.full((count + 1, count + 1), -np.inf)  # [dependent, head]; nothing enters the root
    arcs[1:] = np.maximum(
        np.nan_to_num(scores.astype(np.float64), nan=LOWEST, posinf=-LOWEST, neginf=LOWEST), LOWEST
    )
    np.fill_diagonal(arcs, -np.inf)
    heads = _arborescence(arcs)
    if (heads[1:] == 0).sum() != 1:
        finite = arcs[1:][np.isfinite(arcs[1:])]
        arcs[1:, 0] -= (finite.max() - finite.min() + 1.0) * (count + 1)
        heads = _arborescence(arcs)
    return heads[1:].tolist()


def _arborescence(scores: np.ndarray) -> np.ndarray:
    """Return the heads (W + 1,) of the maximum arborescence, -1 for the root 0.

    Scores are [dependent, head]; minus infinity means no arc. A cycle of best arcs is contracted to
    one of its nodes, whose arcs are the best that enter or leave the cycle. In the end the cycles
    are expanded in reverse order, each opened where its arc enters.
    """
    arcs, active = scores.copy(), np.ones(len(scores), dtype=bool)
    contracted: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    while True:
        heads = arcs.argmax(1)
        cycle = _cycle(heads, active)
        if cycle is None:
            break
        kept, inside = int(cycle[0]), heads[cycle]
        # the gain of an arc into each member over the arc that it replaces
        entering = arcs[cycle] - arcs[cycle, inside][:, None]
        leaving = arcs[:, cycle]
        contracted.append(
            (kept, cycle, inside, cycle[entering.argmax(0)], cycle[leaving.argmax(1)])
        )
        arcs[kept], arcs[:, kept] = entering.max(0), leaving.max(1)
        arcs[cycle[1:]] = arcs[:, cycle[1:]] = -np.inf
        arcs[kept, cycle] = -np.inf
        active[cycle[1:]] = False
    heads[0] = -1
    for kept, cycle, inside, enters, leaves in reversed(contracted):
        from_cycle = heads == kept
        above = heads[kept]
        heads[from_cycle] = leaves[from_cycle]
        heads[cycle] = inside
        heads[enters[above]] = above
    return heads


def _cycle(heads: np.ndarray, active: np.ndarray) -> np.ndarray | None:
    """Return the members of one cycle among the heads of active nodes, or None."""
    above = heads.tolist()
    seen = [0] * len(above)
    seen[0] = -1
    for start in np.flatnonzero(active).tolist():
        node = start
        while seen[node] == 0:
            seen[node] = start
            node = above[node]
        if seen[node] == start and start != 0:
            members = [node]
            while above[members[-1]] != node:
                members.append(above[members[-1]])
            return np.array(members)
    return None
