"""Probabilities of labels as horizontal bars: one SVG that stands alone, and takes the colours of a page that has its own."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from xml.sax.saxutils import escape

MOST = 12  # labels shown; the others are added up in one line
ROW, SIZE = 26, 14  # pixels: a line, a letter
TRACK, LONGEST_LABEL = 260, 240  # pixels: of a bar that is 1, of a label
OTHERS = "…"
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def bars(probabilities: Mapping[str, float], most: int = MOST, chosen: str | None = None) -> str:
    """An SVG with the `most` likeliest labels, likeliest first, each with its bar and its number; the rest in one line.

    probabilities: label -> 0 to 1; of several labels that may all hold they need not add up to 1, and then nothing is added up.
    chosen: the label that stands in bold; without it the likeliest one.
    """
    ranked = sorted(probabilities.items(), key=lambda pair: -pair[1])
    shown, rest = (ranked, []) if len(ranked) <= most + 1 else (ranked[:most], ranked[most:])
    chosen = chosen if chosen is not None or not ranked else ranked[0][0]
    rows = [(name, value, number(value)) for name, value in shown]
    if rest:
        whole = sum(probabilities.values()) < 1.01
        total = sum(value for _, value in rest)
        rows.append((f"{OTHERS} ({len(rest)})", total if whole else 0.0, number(total) if whole else f"< {number(shown[-1][1])}"))
    left = min(LONGEST_LABEL, max((width_of(name) for name, _, _ in rows), default=0)) + 10
    width, height = round(left + TRACK + 60), max(1, len(rows)) * ROW
    said = escaped("; ".join(f"{name} {text}" for name, _, text in rows))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="bars" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{said}" font-family="system-ui, sans-serif" font-size="{SIZE}">'
    ]
    for place, (name, value, text) in enumerate(rows):
        y = place * ROW
        weight = ' font-weight="600"' if name == chosen else ""
        bar = round(TRACK * min(1.0, max(0.0, value)), 2)
        lines += [
            f'<g data-probability="{value:.6f}"><title>{escaped(name)}: {escaped(text)}</title>'
            f'<text class="ink" fill="#1c2430" x="{left - 8:.1f}" y="{y + 18}" text-anchor="end"{weight}>{escaped(fitted(name))}</text>',
            f'<rect class="track" fill="#d5dbe3" x="{left:.1f}" y="{y + 5}" width="{TRACK}" height="{ROW - 10}" rx="2"/>'
            f'<rect class="bar" fill="#0b5cad" x="{left:.1f}" y="{y + 5}" width="{bar}" height="{ROW - 10}" rx="2"/>',
            f'<text class="ink" fill="#1c2430" x="{left + TRACK + 8:.1f}" y="{y + 18}"{weight}>{escaped(text)}</text></g>',
        ]
    return "\n".join([*lines, "</svg>"])


def number(value: float) -> str:
    """As much as a reader needs: 0.993, 0.041, and never 0.000 or 1.000 for what is not."""
    if 0 < value < 0.0005:
        return "< 0.001"
    return "> 0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def escaped(text: str) -> str:
    """For an element or an attribute of XML, which knows no control characters."""
    return escape(NOT_XML.sub("\ufffd", text), {'"': "&quot;"})


def width_of(text: str) -> float:
    """Pixels that a text needs, about: a full-width character is as wide as it is high."""
    return sum(SIZE * (1.0 if unicodedata.east_asian_width(character) in "WF" else 0.58) for character in text)


def fitted(text: str) -> str:
    """`text`, cut where it is wider than the place for it."""
    text = " ".join(text.split())
    if width_of(text) <= LONGEST_LABEL:
        return text
    while text and width_of(text) > LONGEST_LABEL - SIZE:
        text = text[:-1]
    return f"{text}…"
