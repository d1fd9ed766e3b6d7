"""The best dependency tree with exactly one root: maximum spanning arborescence (Chu & Liu 1965;
Edmonds 1967).

Exactly one word hangs from the root, as Universal Dependencies want it. Where the free optimum has
several, all arcs from the root are made dearer by more than any tree can win, so that the optimum
has as few of them as can be, which is one (Stanojević & Cohen 2021, section 4.2; that re-rooting
afterwards is not exact: Zmigrod, Vieira & Cotterell 2020).
"""

from __future__ import annotations

import numpy as np

LOWEST = -1e6  # stands for minus infinity, so that sums stay finite


def best_tree(scores: np.ndarray) -> list[int]:
    """Find the best tree for scores (W, W + 1) of each word's candidates for its head, the root
    first, then the words. Larger is better; minus infinity forbids, not a number counts as that.
    Returns the head of each word, 0 for the root: a tree with one root whose sum of scores is the
    largest there is (ties: any). A word is never its own head. Time O(W^3), usually O(W^2).
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
    """Return heads (W + 1,), -1 for the root 0, of the maximum arborescence. scores [dependent,
    head], minus infinity: no arc.

    A cycle of best arcs becomes one of its nodes, whose arcs are the best that enter or leave the
    cycle; when none is left, the cycles are opened again in reverse order, each where its arc
    enters.
    """
    arcs, active = scores.copy(), np.ones(len(scores), dtype=bool)
    contracted: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    while True:
        heads = arcs.argmax(1)
        cycle = _cycle(heads, active)
        if cycle is None:
            break
        kept, inside = int(cycle[0]), heads[cycle]
        # what an arc into each member wins over the one that it replaces
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
    """The members of one cycle, or None. heads: of each active node; the root 0 has none."""
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
