"""Draw label probabilities as horizontal bars, and a number on its scale.

The SVG can be used alone, and takes the colours of a page that defines its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from xml.sax.saxutils import escape

MOST = 12  # labels shown; the others are added up in one line
ROW, SIZE = 26, 14  # pixels: a line, a letter
TRACK, LONGEST_LABEL, NUMBER = 200, 240, 76  # pixels: of a bar that is 1, of a label, of a number
OTHERS, CHOSEN = "…", "✓ "
INK, LINE, HEAT, MARK = "#1c2430", "#d5dbe3", "#0b5cad", "#b3480f"
LONG, EDGE = 280, 32  # pixels: of the scale of a number, on either side of it
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def bars(
    probabilities: Mapping[str, float],
    most: int = MOST,
    chosen: Collection[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> str:
    """Return an SVG with the likeliest labels, each with its bar and number; the rest on one line.

    Args:
        probabilities: Label -> 0 to 1. If they do not add up to 1, the rest is not added up.
        most: Number of labels shown.
        chosen: The labels in bold, whatever their rank; None: the likeliest one.
        thresholds: Label -> probability from which it holds, drawn as a line in the bar. Chosen
            labels then have a sign.
    """
    ranked = sorted(probabilities.items(), key=lambda pair: -pair[1])
    chosen = [name for name, _ in ranked[:1]] if chosen is None else chosen
    shown = (
        ranked
        if len(ranked) <= most + 1
        else [pair for place, pair in enumerate(ranked) if place < most or pair[0] in chosen]
    )
    rest = (
        [pair for pair in ranked[most:] if pair[0] not in chosen]
        if len(shown) < len(ranked)
        else []
    )
    sign = {
        name: CHOSEN if thresholds is not None and name in chosen else "" for name in probabilities
    }
    rows: list[tuple[str | None, str, float, str]] = [
        (name, sign[name] + fitted(name), value, number(value)) for name, value in shown
    ]
    if rest:
        whole = thresholds is None and sum(probabilities.values()) < 1.01
        total = sum(value for _, value in rest) if whole else 0.0
        rows.append(
            (
                None,
                f"{OTHERS} ({len(rest)})",
                total,
                number(total) if whole else f"< {number(ranked[most - 1][1])}",
            )
        )
    left = (
        min(
            LONGEST_LABEL + SIZE * len(CHOSEN),
            max((width_of(name) for _, name, _, _ in rows), default=0),
        )
        + 10
    )
    width, height = round(left + TRACK + NUMBER), max(1, len(rows)) * ROW
    aria = escaped(
        "; ".join(
            f"{label if name is None else sign[name] + name} {text}"
            for name, label, _, text in rows
        )
    )
    lines = [_opening("bars", width, height, aria)]
    for place, (name, label, value, text) in enumerate(rows):
        y = place * ROW
        weight = ' font-weight="600"' if name is not None and name in chosen else ""
        bar = round(TRACK * min(1.0, max(0.0, value)), 2)
        least = None if thresholds is None or name is None else thresholds.get(name)
        mark = (
            ""
            if least is None
            else (
                f'<rect class="mark" fill="{MARK}" data-threshold="{least:.6f}" '
                f'x="{left + TRACK * min(1.0, max(0.0, least)) - 1:.1f}" y="{y + 2}" width="2" '
                f'height="{ROW - 4}"/>'
            )
        )
        lines += [
            (
                "<g "
                f'data-probability="{value:.6f}">'
                f"<title>{escaped(label if name is None else name)}: "
                f'{escaped(text)}</title><text class="ink" fill="{INK}" x="{left - 8:.1f}" '
                f'y="{y + 18}" text-anchor="end"{weight}>{escaped(label)}</text>'
            ),
            (
                f'<rect class="track" fill="{LINE}" x="{left:.1f}" y="{y + 5}" width="{TRACK}" '
                f'height="{ROW - 10}" rx="2"/><rect class="bar" fill="{HEAT}" x="{left:.1f}" '
                f'y="{y + 5}" width="{bar}" height="{ROW - 10}" rx="2"/>{mark}'
            ),
            (
                f'<text class="ink" fill="{INK}" x="{left + TRACK + 8:.1f}" '
                f'y="{y + 18}"{weight}>{escaped(text)}</text></g>'
            ),
        ]
    return "\n".join([*lines, "</svg>"])


def scale(value: float, low: float, high: float, mean: float) -> str:
    """Return an SVG with a number between the smallest and the largest, and the mean as a line.

    The number is above its place; the smallest and the largest are below both ends.

    Args:
        value: The number.
        low: The smallest number that there can be.
        high: The largest, above `low`.
        mean: Marked by the line.
    """

    def across(number: float) -> float:
        return round(EDGE + LONG * min(1.0, max(0.0, (number - low) / (high - low))), 1)

    width, height, top, tall = LONG + 2 * EDGE, 64, 24, ROW - 10
    shown, ends = f"{value:.3f}", [f"{end:.4g}" for end in (low, high)]
    texts = [
        (across(value), 16, shown, ' font-weight="600"'),
        (EDGE, 58, ends[0], ""),
        (EDGE + LONG, 58, ends[1], ""),
    ]
    return "\n".join(
        [
            _opening("scale", width, height, f"{shown} ({ends[0]} … {ends[1]})"),
            (
                f'<rect class="track" fill="{LINE}" x="{EDGE}" y="{top}" width="{LONG}" '
                f'height="{tall}" rx="2"/>'
            ),
            (
                f'<rect class="bar" fill="{HEAT}" data-value="{value:.6f}" x="{EDGE}" y="{top}" '
                f'width="{across(value) - EDGE:.1f}" height="{tall}" rx="2"/>'
            ),
            (
                f'<rect class="mark" fill="{MARK}" data-mean="{mean:.6f}" '
                f'x="{across(mean) - 1:.1f}" y="{top - 3}" width="2" height="{tall + 6}"/>'
            ),
            *(
                (
                    f'<text class="ink" fill="{INK}" x="{x}" y="{y}" '
                    f'text-anchor="middle"{weight}>{text}</text>'
                )
                for x, y, text, weight in texts
            ),
            "</svg>",
        ]
    )


def _opening(name: str, width: int, height: int, aria: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{name}" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{aria}" '
        f'font-family="system-ui, sans-serif" font-size="{SIZE}">'
    )


def number(value: float) -> str:
    """Print as many digits as a reader needs: 0.993, 0.041, and 0.000 or 1.000 only if exact."""
    if 0 < value < 0.0005:
        return "< 0.001"
    return "> 0.999" if 0.9995 <= value < 1 else f"{value:.3f}"


def escaped(text: str) -> str:
    """Escape for an element or an attribute of XML, which allows no control characters."""
    return escape(NOT_XML.sub("\ufffd", text), {'"': "&quot;"})


def width_of(text: str) -> float:
    """Estimate a text's width in pixels: a full-width character is as wide as it is high."""
    return sum(
        SIZE * (1.0 if unicodedata.east_asian_width(character) in "WF" else 0.62)
        for character in text
    )


def fitted(text: str) -> str:
    """Return `text`, cut off where it is wider than its place."""
    text = " ".join(text.split())
    if width_of(text) <= LONGEST_LABEL:
        return text
    while text and width_of(text) > LONGEST_LABEL - SIZE:
        text = text[:-1]
    return f"{text}…"
