"""Draw label probabilities as horizontal bars, and a number on its scale.

Bars and numbers stand in lines of text, which the page's style arranges for the width of the
screen. The scale is an SVG that can be used alone, in the colours of a page that defines its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .labels import shortened

MOST = 12  # labels shown; the others are added up in one line
ROW, SIZE = 26, 14  # pixels: a line, a letter
LONGEST_LABEL = 120  # characters
OTHERS, CHOSEN = "…", "✓ "
INK, LINE, HEAT, MARK = "#1c2430", "#d5dbe3", "#0b5cad", "#b3480f"
LONG, EDGE = 280, 32  # pixels: of the scale of a number, on either side of it
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one line of a chart.

    Args:
        label: The whole label.
        value: The bar's length, 0 to 1.
        text: The number printed after it.
        is_chosen: Printed in bold.
        threshold: Drawn as a line across the bar.
    """

    label: str
    value: float
    text: str
    is_chosen: bool = False
    threshold: float | None = None


def bars(
    probabilities: Mapping[str, float],
    most: int = MOST,
    chosen: Collection[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> str:
    """Draw the likeliest labels, each with its bar and number; the rest on one line.

    Args:
        probabilities: Label -> 0 to 1. If they do not add up to 1, the rest is not added up.
        most: Number of labels shown.
        chosen: The labels in bold, whatever their rank; None: the likeliest one.
        thresholds: Label -> probability from which it holds, drawn as a line in the bar. Chosen
            labels then have a sign.
    """
    ranked = sorted(probabilities.items(), key=lambda pair: -pair[1])
    chosen = [name for name, _ in ranked[:1]] if chosen is None else chosen
    has_rest = len(ranked) > most + 1
    shown = [
        pair
        for place, pair in enumerate(ranked)
        if not has_rest or place < most or pair[0] in chosen
    ]
    sign, known = CHOSEN if thresholds is not None else "", thresholds or {}
    found = [
        Line(
            (sign if name in chosen else "") + name,
            value,
            number(value),
            name in chosen,
            known.get(name),
        )
        for name, value in shown
    ]
    if has_rest:
        rest = [value for name, value in ranked[most:] if name not in chosen]
        whole = thresholds is None and sum(probabilities.values()) < 1.01
        total = sum(rest) if whole else 0.0
        text = number(total) if whole else f"< {number(ranked[most - 1][1])}"
        found.append(Line(f"{OTHERS} ({len(rest)})", total, text))
    return chart(found)


def chart(lines: Sequence[Line]) -> str:
    """Draw lines with their labels beside them; a long label wraps.

    On a narrow screen page.css writes the labels above the bars.
    """
    shown = shortened([line.label for line in lines], LONGEST_LABEL)
    drawn = ['<div class="bars" role="list">']
    for line, label in zip(lines, shown, strict=True):
        title = escaped(f"{line.label}: {line.text}")
        mark = "" if line.threshold is None else _threshold(line.threshold)
        drawn.append(
            f'<div class="line{" chosen" if line.is_chosen else ""}" role="listitem" '
            f'data-probability="{line.value:.6f}" title="{title}">'
            f'<span class="label">{escaped(label)}</span>'
            '<svg xmlns="http://www.w3.org/2000/svg" class="measure" aria-hidden="true">'
            f'<rect class="track" fill="{LINE}" width="100%" height="100%" rx="2"/>'
            f'<rect class="bar" fill="{HEAT}" width="{_percent(line.value)}" height="100%" '
            f'rx="2"/>{mark}</svg><span class="number">{escaped(line.text)}</span></div>'
        )
    return "\n".join([*drawn, "</div>"])


def _threshold(least: float) -> str:
    return (
        f'<rect class="mark" fill="{MARK}" data-threshold="{least:.6f}" x="{_percent(least)}" '
        'width="2" height="100%"/>'
    )


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


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
