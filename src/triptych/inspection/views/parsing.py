"""Draw a dependency tree as arcs over its words: one SVG per sentence, usable alone.

Subject, verb and object are coloured and named in a legend, in English and 繁體中文 at once.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

ROLES = {
    "subject": ("#0b5cad", "subject 主詞"),
    "verb": ("#b3480f", "verb 動詞"),
    "object": ("#1a7f37", "object 受詞"),
}
INK, SOFT = "#1c2430", "#5d6a7a"
SIZE, SMALL = 16, 12  # pixels: letters of words, of relations and parts of speech
# pixels: between levels of arcs, below the first, between words, around
LEVEL, BASE, GAP, MARGIN = 26, 22, 16, 16
MOST_CHARACTERS = 40  # characters shown of a word


def sentences_of(details: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Return a parse's words by sentence, each with its role: subject, verb, object or none."""
    roles = {
        (word["sentence"], word["id"]): role for role in ROLES for word in details.get(role, ())
    }
    found: dict[int, list[dict[str, Any]]] = {}
    for word in details.get("words", ()):
        found.setdefault(word["sentence"], []).append(
            {**word, "role": roles.get((word["sentence"], word["id"]), "")}
        )
    return list(found.values())


def levels(arcs: Sequence[tuple[int, int]]) -> list[int]:
    """Return the level of each arc (left, right), from 1.

    An arc is above every shorter arc that it overlaps.
    """
    order = sorted(
        range(len(arcs)), key=lambda place: (arcs[place][1] - arcs[place][0], arcs[place])
    )
    given: dict[int, int] = {}
    for place in order:
        left, right = arcs[place]
        below = (
            level
            for other, level in given.items()
            if arcs[other][0] < right and left < arcs[other][1]
        )
        given[place] = 1 + max(below, default=0)
    return [given[place] for place in range(len(arcs))]


def width_of(text: str, size: float) -> float:
    """Estimate a text's width in pixels.

    A full-width character is as wide as it is high, and a combining mark has no width.
    """
    total = 0.0
    for character in text:
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            continue
        total += 1.05 if unicodedata.east_asian_width(character) in "WF" else 0.62
    return total * size


def svg(words: Sequence[Mapping[str, Any]]) -> str:
    """Draw one sentence.

    Args:
        words: {"id", "text", "upos", "head", "relation", "role"}, ids from 1 in order, heads among
            them or 0.
    """
    arcs = [
        (min(word["id"], word["head"]), max(word["id"], word["head"]))
        for word in words
        if word["head"]
    ]
    dependents = [word for word in words if word["head"]]
    height_of = dict(zip((word["id"] for word in dependents), levels(arcs), strict=True))
    centres, width = _places(words)
    highest = max(height_of.values(), default=0) + 1
    baseline = MARGIN + SMALL + BASE + highest * LEVEL
    legend = baseline + SIZE + SMALL + 34
    aria = escape(
        "; ".join(
            f"{_clean(word['text'])} {word['relation']} {_head_text(words, word['head'])}"
            for word in words
        ),
        {'"': "&quot;"},
    )
    height = legend + MARGIN // 2
    legend_width = sum(width_of(name, SMALL) + 34 for _, name in ROLES.values()) + 2 * MARGIN
    width = round(max(width, legend_width))
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="arcs" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{aria}" '
            "font-family=\"system-ui, 'Noto Sans TC', 'Noto Sans CJK TC', sans-serif\" "
            'text-anchor="middle">'
        )
    ]
    for word in sorted(words, key=lambda one: -height_of.get(one["id"], highest)):
        lines.append(_arc(word, centres, baseline - SIZE - 6, height_of.get(word["id"], highest)))
    for word in words:
        x, role = centres[word["id"]], word["role"]
        colour, weight = (ROLES[role][0], ' font-weight="700"') if role else (INK, "")
        lines.append(
            f'<g data-word="{word["id"]}" '
            f'data-role="{role}"><title>{escape(_clean(word["text"]))} · {escape(word["upos"])} · '
            f'{escape(word["relation"])}</title><text class="{role or "ink"}" fill="{colour}" '
            f'x="{x:.1f}" y="{baseline}" '
            f'font-size="{SIZE}"{weight}>{escape(_shown(word["text"]))}</text><text class="soft" '
            f'fill="{SOFT}" x="{x:.1f}" y="{baseline + SMALL + 8}" '
            f'font-size="{SMALL - 1}">{escape(word["upos"])}</text></g>'
        )
    return "\n".join([*lines, *_legend(legend), "</svg>"])


def _places(words: Sequence[Mapping[str, Any]]) -> tuple[dict[int, float], float]:
    """Return the middle of each word, and the width of all.

    The words are so far apart that every arc's label fits under it.
    """
    centres: dict[int, float] = {}
    edge = float(MARGIN)
    ending: dict[int, list[tuple[int, float]]] = {}
    for word in words:
        if word["head"]:
            left, right = sorted((word["id"], word["head"]))
            ending.setdefault(right, []).append((left, width_of(word["relation"], SMALL) + 26))
    for word in words:
        half = max(width_of(_shown(word["text"]), SIZE), width_of(word["upos"], SMALL)) / 2
        if not word["head"]:
            half = max(half, width_of(word["relation"], SMALL) / 2)
        x = edge + half
        for left, needed in ending.get(word["id"], ()):
            x = max(x, centres[left] + needed)
        centres[word["id"]] = x
        edge = x + half + GAP
    return centres, edge - GAP + MARGIN


def _arc(word: Mapping[str, Any], centres: Mapping[int, float], foot: float, level: int) -> str:
    """Draw an arc from head to word with its relation on top and an arrow at the word.

    The root's arc comes from above.
    """
    role = word["role"]
    colour = ROLES[role][0] if role else SOFT
    end, top = centres[word["id"]], foot - BASE - level * LEVEL + LEVEL / 2
    if word["head"]:
        side = 1 if word["head"] > word["id"] else -1
        end += 4 * side  # Arcs that enter and leave a word are set apart.
        start = centres[word["head"]] - 4 * side
        radius = min(10.0, abs(start - end) / 2)
        path = (
            f"M{start:.1f} {foot:.1f}V{top + radius:.1f}Q{start:.1f} {top:.1f} "
            f"{start - side * radius:.1f} {top:.1f}H{end + side * radius:.1f}Q{end:.1f} {top:.1f} "
            f"{end:.1f} {top + radius:.1f}V{foot - 5:.1f}"
        )
        middle = (start + end) / 2
    else:
        path, middle = f"M{end:.1f} {top + 6:.1f}V{foot - 5:.1f}", end
    kind = role or "soft"
    return (
        f'<g data-arc="{word["id"]}"><path class="line {role}" d="{path}" fill="none" '
        f'stroke="{colour}" stroke-width="{2 if role else 1.2}"/><path class="{kind}" '
        f'fill="{colour}" d="M{end - 3.5:.1f} {foot - 7:.1f}h7l-3.5 7z"/><text class="{kind} '
        f'halo" fill="{colour}" stroke="#fff" stroke-width="4" paint-order="stroke" '
        f'x="{middle:.1f}" y="{top + 4:.1f}" '
        f'font-size="{SMALL}">{escape(word["relation"])}</text></g>'
    )


def _legend(y: float) -> list[str]:
    lines, x = [], float(MARGIN)
    for role, (colour, name) in ROLES.items():
        lines.append(
            f'<rect class="{role}" fill="{colour}" x="{x:.1f}" y="{y - 10:.1f}" width="11" '
            f'height="11" rx="2"/><text class="{role}" fill="{colour}" x="{x + 16:.1f}" '
            f'y="{y:.1f}" font-size="{SMALL}" text-anchor="start">{name}</text>'
        )
        x += width_of(name, SMALL) + 34
    return lines


def _head_text(words: Sequence[Mapping[str, Any]], head: int) -> str:
    return f"← {_clean(words[head - 1]['text'])}" if head else ""


def _clean(text: str) -> str:
    """Replace what XML cannot hold, and put the text on one line."""
    return " ".join(
        "".join(
            one if one.isprintable() or one.isspace() else "\ufffd"
            for one in text
            if one != "\u200d"
        ).split()
    )


def _shown(text: str) -> str:
    text = "".join(one if one.isprintable() or one in "\u200d\ufe0f" else " " for one in text)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 9]}…{text[-8:]}"
