"""Draw a beam tree as one SVG.

The answer's path is bold and pruned candidates are pale; each token has the log-probability of all
tokens up to it. Words in the picture are in English and 繁體中文 at once. The colours are those of
the page, if it defines its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from heapq import heapify, heappop, heappush

from ..beam_tree import ROOT, BeamTree, Branch
from .bars import escaped, width_of
from .labels import middle_cut

# pixels: a line, between columns, around, letters of numbers and of tokens
ROW, GAP, MARGIN, SMALL, SIZE = 22, 30, 14, 11, 14
MOST_ROWS = 120  # lines; beyond it the tree's weakest leaves are left out, pruned or given up
MOST_CHARACTERS = 18  # characters shown of a label
INK, SOFT, HEAT, MARK = "#1c2430", "#5d6a7a", "#0b5cad", "#b3480f"
END = "■"


def svg(tree: BeamTree) -> str:
    """Draw the tree.

    A tree without branches, of an answer that was forced, gives a picture of its root.
    """
    below, left_out = _drawn(tree)
    rows = _rows(tree, below)
    shown = sorted(place for places in below.values() for place in places)
    xs, width = _columns(tree, shown)
    height = MARGIN * 2 + ROW * (max(rows.values(), default=0) + 1)
    legend = _legend(MARGIN, height + 6, left_out)
    width = round(max(width + MARGIN, 640))
    aria = escaped(f"beam search, {tree.beams} beams: {tree.text} ({tree.score:.3f})")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tree" '
        f'width="{width}" height="{height + 62}" '
        f'viewBox="0 0 {width} {height + 62}" role="img" aria-label="{aria}" '
        f'data-left-out="{left_out}" '
        "font-family=\"system-ui, 'Noto Sans TC', 'Noto Sans CJK TC', sans-serif\" "
        f'font-size="{SIZE}">',
        f'<circle class="ink" fill="{INK}" cx="{MARGIN}" cy="{_y(rows[ROOT]) - 5}" r="4"/>',
    ]
    best = set(tree.best)
    # The answer is drawn last, over the others.
    for place in sorted(shown, key=lambda one: one in best):
        lines.append(_edge(tree, place, xs, rows, place in best))
    lines += [
        _node(
            tree.branches[place],
            place,
            xs[tree.branches[place].depth],
            _y(rows[place]),
            place in best,
        )
        for place in shown
    ]
    return "\n".join([*lines, *legend, "</svg>"])


def _drawn(tree: BeamTree) -> tuple[dict[int, list[int]], int]:
    """Return the children to draw by parent, and how many candidates are left out.

    The answer's child comes first, then the likeliest.
    """
    children: dict[int, list[int]] = defaultdict(list)
    for place, branch in enumerate(tree.branches):
        children[branch.parent].append(place)
    best = set(tree.best)
    for places in children.values():
        places.sort(key=lambda place: (place not in best, -tree.branches[place].log_probability))
    dropped = _dropped(tree, {parent: len(places) for parent, places in children.items()})
    return {
        parent: [place for place in places if place not in dropped]
        for parent, places in children.items()
    }, len(dropped)


def _dropped(tree: BeamTree, below: dict[int, int]) -> set[int]:
    """Return the branches that have no line among MOST_ROWS.

    The leaves least likely relative to the likeliest of their step go first; never the answer or
    another whole one. `below` counts the children of each branch.
    """
    likeliest: dict[int, float] = defaultdict(lambda: -math.inf)
    for branch in tree.branches:
        likeliest[branch.depth] = max(likeliest[branch.depth], branch.log_probability)
    kept = (
        set(tree.best)
        | {
            place
            for place, branch in enumerate(tree.branches)
            if branch.fate in ("finished", "cut")
        }
        | {ROOT}
    )
    behind = [branch.log_probability - likeliest[branch.depth] for branch in tree.branches]
    leaves = [place for place in range(len(tree.branches)) if place not in below]
    ends = [(behind[place], place) for place in leaves if place not in kept]
    heapify(ends)
    rows, dropped = len(leaves), set[int]()
    while rows > MOST_ROWS and ends:
        _, place = heappop(ends)
        dropped.add(place)
        parent = tree.branches[place].parent
        below[parent] -= 1
        if below[parent]:
            rows -= 1
        elif parent not in kept:  # The parent is now a leaf, on the line that became free.
            heappush(ends, (behind[parent], parent))
    return dropped


def _rows(tree: BeamTree, below: dict[int, list[int]]) -> dict[int, int]:
    """Return the line of each branch: its own for a leaf, else that of its first child."""
    rows: dict[int, int] = {}
    order, waiting = [], [ROOT]
    while waiting:  # depth first, in order
        place = waiting.pop()
        order.append(place)
        waiting += reversed(below.get(place, []))
    free = 0
    for place in order:
        if not below.get(place):
            rows[place], free = free, free + 1
    for place in reversed(order):
        if place not in rows:
            rows[place] = rows[below[place][0]]
    return rows


def _columns(tree: BeamTree, shown: list[int]) -> tuple[dict[int, float], float]:
    """Return where the labels of each depth begin, and the width of all."""
    widths: dict[int, float] = defaultdict(float)
    for place in shown:
        branch = tree.branches[place]
        widths[branch.depth] = max(widths[branch.depth], _width(branch))
    xs, at = {0: float(MARGIN)}, MARGIN + GAP
    for depth in range(1, max(widths, default=0) + 1):
        xs[depth] = float(at)
        at += round(widths[depth] + GAP)
    return xs, float(at)


def _y(row: int) -> int:
    return MARGIN + ROW * row + 16


def number(value: float) -> str:
    """Print nats with two digits and a real minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _text(branch: Branch) -> str:
    label = middle_cut(" ".join(branch.label.split()) or branch.label, MOST_CHARACTERS)
    return f"{END} {label}" if branch.fate == "finished" else label


def _numbers(branch: Branch) -> str:
    whole = "" if branch.score is None else f" ({number(branch.score)})"
    return f"{number(branch.log_probability)}{whole}"


def _width(branch: Branch) -> float:
    return _label_width(branch) + width_of(_numbers(branch)) * SMALL / SIZE


def _label_width(branch: Branch) -> float:
    """Return a label's width with the gap before the numbers; bold text is wider."""
    return 1.12 * width_of(_text(branch)) + 9


def _edge(
    tree: BeamTree, place: int, xs: dict[int, float], rows: dict[int, int], is_best: bool
) -> str:
    branch = tree.branches[place]
    u, v = xs[branch.depth] - 4, _y(rows[place]) - 5
    if branch.parent == ROOT:
        x, y = MARGIN + 5.0, _y(rows[ROOT]) - 5
    else:
        parent = tree.branches[branch.parent]
        x, y = xs[parent.depth] + _width(parent) + 4, _y(rows[branch.parent]) - 5
    style = {
        True: f'stroke="{HEAT}" stroke-width="2.5"',
        False: f'stroke="{SOFT}" stroke-width="1.3"',
    }[is_best]
    if branch.fate == "pruned":
        style = f'stroke="{SOFT}" stroke-width="1" stroke-dasharray="3 3" stroke-opacity="0.6"'
    middle = max(x, u - GAP)
    return (
        f'<path class="edge {"best" if is_best else branch.fate}" fill="none" {style} d="M{x:.1f} '
        f"{y}L{middle:.1f} {y}C{(middle + u) / 2:.1f} {y} {(middle + u) / 2:.1f} {v} {u:.1f} "
        f'{v}"/>'
    )


def _node(branch: Branch, place: int, x: float, y: int, is_best: bool) -> str:
    kind = "best" if is_best else branch.fate
    colour = HEAT if is_best else MARK if branch.fate == "finished" else INK
    weight, pale = (
        (' font-weight="700"' if is_best else ""),
        (' opacity="0.6"' if branch.fate == "pruned" else ""),
    )
    text = escaped(_text(branch))
    return (
        f'<g class="{kind}" data-branch="{place}" data-parent="{branch.parent}" '
        f'data-fate="{branch.fate}" data-best="{int(is_best)}" '
        f'data-total="{branch.log_probability:.6f}"{pale}>'
        f"<title>{escaped(branch.label)}: {escaped(_numbers(branch))} · {branch.fate}</title>"
        f'<text class="{"bar" if is_best else "mark" if branch.fate == "finished" else "ink"}" '
        f'fill="{colour}" x="{x:.1f}" y="{y}"{weight}>'
        f'{text}</text><text class="soft" fill="{SOFT}" '
        f'x="{x + _label_width(branch):.1f}" y="{y}" font-size="{SMALL}">'
        f"{escaped(_numbers(branch))}</text></g>"
    )


def _legend(x: int, y: int, left_out: int) -> list[str]:
    """Explain lines and numbers in both languages."""
    entries = [
        ("the answer 答案", f'class="edge best" stroke="{HEAT}" stroke-width="2.5"'),
        ("kept, then given up 保留過", f'class="edge kept" stroke="{SOFT}" stroke-width="1.3"'),
        (
            "pruned 捨棄",
            f'class="edge pruned" stroke="{SOFT}" stroke-width="1" stroke-dasharray="3 3"',
        ),
    ]
    lines, at = [], float(x)
    for text, style in entries:
        lines.append(f'<path fill="none" {style} d="M{at:.1f} {y + 8}h22"/>')
        lines.append(
            f'<text class="soft" fill="{SOFT}" font-size="12" x="{at + 28:.1f}" '
            f'y="{y + 12}">{text}</text>'
        )
        at += 44 + width_of(text) * 12 / SIZE
    more = (
        f" · {left_out} weaker candidates not drawn 另有 {left_out} 個較弱的候選項未畫出"
        if left_out
        else ""
    )
    lines.append(
        f'<text class="soft" fill="{SOFT}" font-size="12" x="{x}" y="{y + 32}">'
        f"{END} end 結束 · log-probability of all so far, nats "
        f"累計對數機率 · (score of a whole answer 完整答案的分數){more}</text>"
    )
    return lines
