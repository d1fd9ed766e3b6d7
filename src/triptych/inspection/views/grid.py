"""Draw a table of numbers as a grid of coloured cells, in SVG that needs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..html import Language
from .bars import HEAT, INK, LINE, MARK, escaped, width_of
from .labels import middle_cut

TALL, PAD, SIZE = 26, 8, 12  # pixels: of a cell, around a text, of its letters
NARROW, WIDE = 46, 132  # pixels: width of a cell
LONGEST = 16  # characters of a label
STRONGEST = 0.62  # opacity of the largest value, so that letters on it can be read
STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)


Label = str | Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold one cell of a grid.

    Args:
        share: From -1 to 1: the strength of its colour, and which.
        text: Printed in it.
        title: Shown when it is pointed at.
        value: The number itself, which tests and scripts read.
        is_strong: Printed in bold.
    """

    share: float
    text: str
    title: str
    value: float
    is_strong: bool = False


def grid(
    columns: Sequence[str],
    rows: Sequence[tuple[Label, Sequence[Cell | None]]],
    name: str,
    feet: Sequence[str] = (),
) -> str:
    """Return the SVG.

    Args:
        columns: Labels above the cells.
        rows: (label, cells), from top to bottom; None leaves a place empty. A label may be given
            in each language.
        name: What a screen reader calls it, and its class.
        feet: Labels below the cells.
    """
    heads = [middle_cut(one, LONGEST) for one in columns]
    texts = [*heads, *(middle_cut(one, LONGEST) for one in feet)]
    texts += [one.text for _, cells in rows for one in cells if one is not None]
    scale = SIZE / 14
    wide = min(WIDE, max(NARROW, *(width_of(one) * scale + PAD for one in texts), 0))
    labels = [[label] if isinstance(label, str) else list(label.values()) for label, _ in rows]
    left = max((width_of(one) * scale for each in labels for one in each), default=0.0) + PAD
    width = left + wide * len(columns) + 2
    height = TALL * (len(rows) + 1 + bool(feet)) + 4
    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="{name} grid" width="{width:.0f}" '
            f'height="{height}" viewBox="0 0 {width:.0f} {height}" role="img" '
            f'aria-label="{escaped(name)}" font-family="system-ui, sans-serif" '
            f'font-size="{SIZE}">'
        )
    ]
    for number, label in enumerate(heads):
        drawn.append(_text(left + wide * (number + 0.5), TALL - PAD, label, columns[number]))
    for row, (label, cells) in enumerate(rows, 1):
        top = TALL * row
        drawn.append(
            f'<text class="ink" fill="{INK}" x="{left - PAD:.1f}" y="{top + TALL - PAD}" '
            f'text-anchor="end">{_in_words(label)}</text>'
        )
        drawn += [
            _cell(one, left + wide * number, top, wide)
            for number, one in enumerate(cells)
            if one is not None
        ]
    for number, label in enumerate(feet):
        middle = left + wide * (number + 0.5)
        drawn.append(_text(middle, TALL * (len(rows) + 2) - PAD, middle_cut(label, LONGEST), label))
    return "\n".join([*drawn, "</svg>"])


def _in_words(label: Label) -> str:
    if isinstance(label, str):
        return escaped(label)
    return "".join(f'<tspan lang="{name}">{escaped(text)}</tspan>' for name, text in label.items())


def _text(x: float, y: float, text: str, title: str = "", is_strong: bool = False) -> str:
    weight = ' font-weight="700"' if is_strong else ""
    told = f"<title>{escaped(title)}</title>" if title != text else ""
    return (
        f'<text class="ink" fill="{INK}" x="{x:.1f}" y="{y}" text-anchor="middle"{weight}>'
        f"{told}{escaped(text)}</text>"
    )


def _cell(one: Cell, x: float, y: int, wide: float) -> str:
    kind, colour = ("mark", MARK) if one.share < 0 else ("bar", HEAT)
    opacity = STRONGEST * min(1.0, abs(one.share))
    return (
        f'<g data-value="{one.value:.6g}"><title>{escaped(one.title)}</title>'
        f'<rect fill="none" stroke="{LINE}" class="edge" x="{x:.1f}" y="{y}" width="{wide:.1f}" '
        f'height="{TALL}"/>'
        f'<rect class="{kind}" fill="{colour}" fill-opacity="{opacity:.3f}" x="{x + 0.5:.1f}" '
        f'y="{y + 0.5}" width="{wide - 1:.1f}" height="{TALL - 1}"/>'
        f"{_text(x + wide / 2, y + TALL - PAD, one.text, one.text, one.is_strong)}</g>"
    )


def colour_bar(most: float, has_sign: bool = True) -> str:
    """Return an SVG of the colours of a grid with their numbers; `most` has the full colour."""
    steps = STEPS if has_sign else (0.0, 0.25, 0.5, 0.75, 1.0)
    cells: list[Cell | None] = [
        Cell(share, printed(share * most, has_sign), printed(share * most, has_sign), share * most)
        for share in steps
    ]
    return grid([""] * len(steps), [("", cells)], "colours")


def printed(value: float, has_sign: bool = True) -> str:
    """Print a number in few digits: +0.12, −3.4, 0."""
    size = abs(value)
    text = f"{size:.0f}" if size >= 100 else f"{size:.1f}" if size >= 10 else f"{size:.2f}"
    if float(text) == 0:
        return "0"
    sign = "−" if value < 0 else "+" if has_sign else ""
    return f"{sign}{text}"
