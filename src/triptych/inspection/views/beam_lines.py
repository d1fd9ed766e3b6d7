"""Draw the beam tree of a long answer so that it can be read.

What was kept is divided into strands: the answer, and each branch that parts from it, or from
another branch, until it ends or is given up. A picture shows where they part; below it the answer
stands as text, interrupted only where a branch parts. Candidates that were pruned at once are named
at these places alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from ..beam_tree import ROOT, BeamTree
from ..html import Language, in_words
from . import beam
from .bars import escaped
from .labels import middle_cut, shortened

Decode = Callable[[Sequence[int]], str]
SHORT = 24  # tokens; a tree that is no deeper is drawn as one picture
MOST_STRANDS = 16  # strands beside the answer that are written out
MOST_LANES = 24  # lines of the picture
MOST_PRUNED = 6  # pruned candidates named at one place
SUMMARY = 64  # characters of a strand that stand on its line
NAME = 18  # characters of a pruned candidate
WIDTH, LANE, MARGIN = 960, 13, 12  # pixels: of the picture, between its lines, around them

WORDS: dict[str, dict[Language, str]] = {
    "kept": {
        "en": "kept for {n} tokens, then given up",
        "zh-Hant": "保留 {n} 個詞元後放棄",
    },
    "finished": {
        "en": "another whole answer, {n} tokens, score {score}",
        "zh-Hant": "另一個完整的答案，{n} 個詞元，分數 {score}",
    },
    "cut": {
        "en": "reached the maximum length after {n} tokens, score {score}",
        "zh-Hant": "{n} 個詞元後達到最大長度，分數 {score}",
    },
    "pruned": {"en": "Pruned at once here:", "zh-Hant": "此處立即捨棄："},
    "more": {"en": "and {n} more", "zh-Hant": "另 {n} 個"},
    "left_out": {
        "en": "{n} shorter branches are not written out.",
        "zh-Hant": "另有 {n} 條較短的分支未列出。",
    },
    "end": {"en": "end", "zh-Hant": "結束"},
    "how": {
        "en": (
            "Blue: the answer. Orange: other whole answers. Grey: kept for a while, then given up. "
            "Numbers are tokens and the log-probability of all tokens so far (nats)."
        ),
        "zh-Hant": (
            "藍色：答案。橘色：其他完整的答案。灰色：保留一段後放棄。數字為第幾個詞元，以及到該處為止的"
            "累計對數機率（奈特）。"
        ),
    },
    "all": {
        "en": "The tree with single candidates (wide)",
        "zh-Hant": "逐一畫出候選項的樹（很寬）",
    },
}


@dataclass(slots=True)
class Strand:
    """Hold branches that follow one another.

    Args:
        places: In the tree, from the root on.
        parent: The strand that it parts from; None for the answer's.
        forks: The strands that part where `places[index]` was chosen, by index.
    """

    places: list[int]
    parent: Strand | None = None
    forks: dict[int, list[Strand]] = field(default_factory=dict[int, list["Strand"]])

    def everything(self) -> Iterator[Strand]:
        """Yield this strand and all that part from it, each before its own."""
        yield self
        for several in self.forks.values():
            for one in several:
                yield from one.everything()


def markup(tree: BeamTree, decode: Decode) -> str:
    """Draw a tree: a short one as one picture, a long one as strands.

    Args:
        tree: The tree.
        decode: Turns ids into text.
    """
    depth = max((branch.depth for branch in tree.branches), default=0)
    if depth <= SHORT:
        return beam.svg(tree)
    answer = strands(tree)
    others = sorted(
        (one for one in answer.everything() if one.parent is not None),
        key=lambda one: (not _is_whole(tree, one), -len(one.places)),
    )
    page = _Page(tree, decode, {id(one) for one in others[:MOST_STRANDS]})
    left_out = len(others) - MOST_STRANDS
    note = f'<p class="legend">{_words("left_out", n=left_out)}</p>' if left_out > 0 else ""
    return (
        f'<div class="beam-lines"><p class="legend">{_words("how")}</p>'
        f"{_overview(tree, [answer, *others], depth)}{page.strand(answer)}{note}"
        f"<details><summary>{_words('all')}</summary>"
        f'<div class="scroll" tabindex="0">{beam.svg(tree)}</div></details></div>'
    )


def strands(tree: BeamTree) -> Strand:
    """Divide what was kept into strands and return the answer's.

    A strand goes on with the answer's branch, else towards a whole answer, else where it lasts
    longest.
    """
    children: dict[int, list[int]] = defaultdict(list)
    for place, branch in enumerate(tree.branches):
        if branch.fate != "pruned" or place in tree.best:
            children[branch.parent].append(place)
    rank: dict[int, tuple[bool, bool, int, float]] = {}
    best = set(tree.best)
    for place in reversed(range(len(tree.branches))):
        branch, below = tree.branches[place], children.get(place, [])
        whole = branch.fate in ("finished", "cut") or any(rank[one][1] for one in below)
        height = 1 + max((rank[one][2] for one in below), default=0)
        rank[place] = (place in best, whole, height, branch.log_probability)
    for several in children.values():
        several.sort(key=lambda place: rank[place], reverse=True)
    answer = Strand([])
    waiting = [answer]
    while waiting:
        strand = waiting.pop()
        at = strand.places[-1] if strand.places else ROOT
        while children.get(at):
            at, *others = children[at]
            if others:
                parted = [Strand([one], strand) for one in others]
                strand.forks[len(strand.places)] = parted
                waiting += parted
            strand.places.append(at)
    return answer


def _is_whole(tree: BeamTree, strand: Strand) -> bool:
    return tree.branches[strand.places[-1]].fate in ("finished", "cut")


def _words(key: str, **values: object) -> str:
    return in_words({name: text.format(**values) for name, text in WORDS[key].items()})


def _kind(tree: BeamTree, strand: Strand) -> str:
    """Return the class that gives a strand its colour."""
    if strand.parent is None:
        return "best"
    return "whole" if _is_whole(tree, strand) else "kept"


class _Page:
    """Write strands as text."""

    def __init__(self, tree: BeamTree, decode: Decode, listed: set[int]) -> None:
        self.tree = tree
        self.decode = decode
        self.listed = listed
        self.pruned: dict[int, list[int]] = defaultdict(list)
        for place, branch in enumerate(tree.branches):
            if branch.fate == "pruned" and place not in tree.best:
                self.pruned[branch.parent].append(place)

    def strand(self, strand: Strand) -> str:
        """Return a strand's text, interrupted where a listed strand parts from it."""
        parts, first = [f'<div class="strand {_kind(self.tree, strand)}">'], 0
        for index in sorted(strand.forks):
            forks = [one for one in strand.forks[index] if id(one) in self.listed]
            if forks:
                if index > first:
                    parts.append(self._run(strand.places[first:index]))
                parts.append(self._forks(self._before(strand, index), forks))
                first = index
        return "".join([*parts, self._run(strand.places[first:]), "</div>"])

    def _before(self, strand: Strand, index: int) -> int:
        """Return the branch before a place of a strand, ROOT for none."""
        return self.tree.branches[strand.places[index]].parent

    def _run(self, places: Sequence[int]) -> str:
        """Return branches that nothing parts from as one text with its numbers."""
        branches = self.tree.branches
        first, last = branches[places[0]], branches[places[-1]]
        numbers = f"{first.depth}–{last.depth}" if len(places) > 1 else str(first.depth)
        text = escaped(_visible(self._text(places)))
        if last.fate == "finished":
            text += f'<span class="end"> {beam.END} {_words("end")}</span>'
        return (
            f'<p class="run"><span class="range">{numbers}</span><span class="words">{text}</span>'
            f'<span class="nats">{beam.number(last.log_probability)}</span></p>'
        )

    def _forks(self, before: int, forks: Sequence[Strand]) -> str:
        """Return the strands that part at one place, and the candidates pruned there."""
        parts = ['<div class="forks">', *(self._fork(one) for one in forks)]
        pruned = sorted(
            self.pruned[before], key=lambda place: -self.tree.branches[place].log_probability
        )
        if pruned:
            shown = [self.tree.branches[place] for place in pruned[:MOST_PRUNED]]
            names = shortened([one.label for one in shown], NAME)
            named = ", ".join(
                f"“{escaped(name)}” {beam.number(one.log_probability)}"
                for name, one in zip(names, shown, strict=True)
            )
            rest = len(pruned) - len(shown)
            more = f" {_words('more', n=rest)}" if rest else ""
            parts.append(f'<p class="pruned">{_words("pruned")} {named}{more}</p>')
        return "".join([*parts, "</div>"])

    def _fork(self, strand: Strand) -> str:
        """Return a strand folded to one line, which opens to its whole text."""
        last = self.tree.branches[strand.places[-1]]
        score = "" if last.score is None else beam.number(last.score)
        fate = last.fate if last.fate in WORDS else "kept"
        text = self._text(strand.places)
        text = f"“{escaped(middle_cut(' '.join(text.split()), SUMMARY))}”" if text else beam.END
        kind = _kind(self.tree, strand)
        return (
            f'<details class="fork {kind}"><summary><span class="words">{text}</span> '
            f'<span class="nats">{_words(fate, n=len(strand.places), score=score)} · '
            f"{beam.number(last.log_probability)}</span></summary>{self.strand(strand)}</details>"
        )

    def _text(self, places: Sequence[int]) -> str:
        """Return what branches add to the text before them."""
        before = self._path(self.tree.branches[places[0]].parent)
        added = [self.tree.branches[place].token for place in places]
        known = self.decode(before).rstrip("\ufffd")
        whole = self.decode([*before, *added])
        return whole[len(known) :] if whole.startswith(known) else self.decode(added)

    def _path(self, place: int) -> list[int]:
        """Return the tokens from the root to a branch."""
        tokens: list[int] = []
        while place != ROOT:
            tokens.append(self.tree.branches[place].token)
            place = self.tree.branches[place].parent
        return tokens[::-1]


def _visible(text: str) -> str:
    """Mark line ends, and spaces that stand alone."""
    return text.replace("\n", "⏎\n") if text.strip(" ") else "␣" * len(text)


def _overview(tree: BeamTree, found: Sequence[Strand], depth: int) -> str:
    """Draw each strand as a line over the numbers of its tokens; the answer is the first."""
    lanes = _lanes(tree, found)
    step = (WIDTH - 2 * MARGIN) / depth
    height = MARGIN * 2 + LANE * (1 + max(lanes.values())) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tree strands" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{tree.beams} beams" font-family="system-ui, sans-serif" font-size="11">'
    ]
    every = next(size for size in (5, 10, 20, 50, 100, 200, 500, depth) if depth / size <= 20)
    for token in range(every, depth + 1, every):
        x = MARGIN + step * token
        lines.append(
            f'<path class="rule" fill="none" stroke="{beam.SOFT}" stroke-opacity="0.3" '
            f'd="M{x:.1f} {MARGIN - 6}V{height - 22}"/><text class="soft" fill="{beam.SOFT}" '
            f'x="{x:.1f}" y="{height - 8}" text-anchor="middle">{token}</text>'
        )
    for strand in reversed(found):  # The answer is drawn last, over the others.
        if id(strand) in lanes:
            lines.append(_line(tree, strand, lanes, step))
    return f'<div class="scroll" tabindex="0">{"".join(lines)}</svg></div>'


def _lanes(tree: BeamTree, found: Sequence[Strand]) -> dict[int, int]:
    """Return the lane of each strand by its id: the first that is free where it runs."""
    free: list[list[tuple[int, int]]] = []
    lanes: dict[int, int] = {}
    for strand in found:
        # A line begins where it parts and needs a little room after its end.
        start = tree.branches[strand.places[0]].depth - 1
        end = start + len(strand.places) + 1
        lane = next(
            (
                number
                for number, taken in enumerate(free)
                if number and all(end <= low or start >= high for low, high in taken)
            ),
            len(free),
        )
        if lane < MOST_LANES and (strand.parent is None or id(strand.parent) in lanes):
            if lane == len(free):
                free.append([])
            free[lane].append((start, end))
            lanes[id(strand)] = lane
    return lanes


def _line(tree: BeamTree, strand: Strand, lanes: dict[int, int], step: float) -> str:
    first, last = tree.branches[strand.places[0]], tree.branches[strand.places[-1]]
    kind = _kind(tree, strand)
    colour = {"best": beam.HEAT, "whole": beam.MARK}.get(kind, beam.SOFT)
    x, y = MARGIN + step * (first.depth - 1), MARGIN + LANE * lanes[id(strand)]
    end = MARGIN + step * last.depth
    start = ""
    if strand.parent is not None:
        start = f"M{x:.1f} {MARGIN + LANE * lanes[id(strand.parent)]}"
        start += f"L{x + min(step, 6):.1f} {y}"
    path = f"{start or f'M{x:.1f} {y}'}H{end:.1f}"
    dot = "" if kind == "kept" else f'<circle cx="{end:.1f}" cy="{y}" r="3.5" fill="{colour}"/>'
    title = f"{first.depth}–{last.depth}: {beam.number(last.log_probability)}"
    return (
        f'<g class="strand-line {kind}"><title>{title}</title><path class="edge {kind}" '
        f'fill="none" stroke="{colour}" stroke-width="{3 if kind == "best" else 1.6}" d="{path}"/>'
        f"{dot}</g>"
    )
