"""Draw learning curves as SVG, without any library: one panel alone, or all in one picture.

Presentation attributes give the colours of a light page, and rules for a dark one override them, so
that the picture can also be used where style sheets are not read.
"""

from __future__ import annotations

from typing import Literal

from .curves import Curves, Panel, Series
from .scales import Scale, label, labels, scale_of
from .views.bars import escaped, width_of
from .views.labels import shortened

Language = Literal["en", "zh-Hant"]
LIGHT = ("#0b5cad", "#c2410c", "#15803d", "#9333ea", "#be123c", "#0f766e", "#854d0e", "#64748b")
DARK = ("#6db3f8", "#ffb27d", "#6fdc8c", "#c79bff", "#ff8fa8", "#5fd3c8", "#e0b45c", "#a8b4c4")
DASHES = ("", "7 3", "2 3")  # of runs that share a colour
INK, SOFT, LINE, PAPER = "#1c2430", "#5d6a7a", "#d5dbe3", "#ffffff"
WIDTH, HEIGHT = 420, 250  # pixels: of a panel
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 34, 42  # pixels: between its edge and its axes
GAP = 12  # pixels: around panels
FONT = "font-family=\"system-ui, 'Noto Sans TC', sans-serif\""
DOTS = 60  # points of validation that are marked one by one
LONGEST_NAME = 36  # characters of a run's name in the legend
ROW = 24  # pixels: a line of the legend
FROM_ZERO = ("learning_rate", "tokens_per_second")
WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Learning curves",
        "loss": "Loss",
        "learning_rate": "Learning rate",
        "tokens_per_second": "Tokens per second",
        "gradient_norm": "Gradient norm",
        "step": "Step",
        "minutes": "Minutes",
        "tokens": "Tokens",
        "train": "training",
        "validation": "validation",
        "log": "logarithmic",
    },
    "zh-Hant": {
        "title": "學習曲線",
        "loss": "損失",
        "learning_rate": "學習率",
        "tokens_per_second": "每秒詞元數",
        "gradient_norm": "梯度範數",
        "step": "步數",
        "minutes": "分鐘",
        "tokens": "詞元數",
        "train": "訓練",
        "validation": "驗證",
        "log": "對數尺度",
    },
}


def svg(curves: Curves, language: Language = "en") -> str:
    """Return one SVG with the legend and all panels, two in a row."""
    columns = min(2, len(curves.panels))
    width = columns * WIDTH + (columns + 1) * GAP
    legend, top = _legend(curves, width, language)
    rows = -(-len(curves.panels) // columns)
    height = top + rows * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{WORDS[language]["title"]}" '
        f'{FONT} font-size="13">',
        f"<style>{style()}</style>",
        f'<rect class="paper" fill="{PAPER}" width="{width}" height="{height}"/>',
        *legend,
    ]
    for place, panel in enumerate(curves.panels):
        x = GAP + place % columns * (WIDTH + GAP)
        y = top + place // columns * (HEIGHT + GAP)
        parts.append(f'<g transform="translate({x} {y})">{inside(curves, panel, language)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel_svg(curves: Curves, panel: Panel, language: Language) -> str:
    """Return one panel as an SVG of its own, for a page."""
    said = escaped(summary(curves, panel, language))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{said}" {FONT} font-size="13">{inside(curves, panel, language)}</svg>'
    )


def style() -> str:
    """Return the rules for a dark page."""
    rules = [f".{name}{{fill:{colour}}}" for name, colour in (
        ("paper", "#12161c"), ("ink", "#e6ebf2"), ("soft", "#9aa7b8"))]  # fmt: skip
    rules += [".grid{stroke:#38424f}", ".stroke{stroke:#9aa7b8}"]
    for place, colour in enumerate(DARK):
        rules.append(f".run-{place}{{stroke:{colour}}}.dot.run-{place}{{fill:{colour}}}")
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def scales(curves: Curves, panel: Panel) -> tuple[Scale, Scale]:
    """Return the horizontal scale, which all panels share, and the vertical one."""
    across = [x for one in curves.panels for series in one.series for x, _ in series.points]
    up = [y for series in panel.series for _, y in series.points]
    near = min(across) <= 0.1 * max(across)
    horizontal = scale_of([0.0, *across] if near else across, LEFT, WIDTH - RIGHT, zero=near)
    return horizontal, scale_of(
        up, HEIGHT - BOTTOM, TOP, log=panel.log, zero=panel.key in FROM_ZERO
    )


def title_of(panel: Panel, language: Language) -> str:
    words = WORDS[language]
    splits = {one.split for one in panel.series}
    if panel.key == "loss":
        words = words | {"train": "", "validation": ""} if len(splits) > 1 else words
    elif splits == {"train"}:
        words = words | {"train": ""}  # a rate or a speed is always one of training
    notes = [words[split] for split in ("train", "validation") if split in splits]
    notes = [note for note in [*notes, words["log"] if panel.log else ""] if note]
    return words.get(panel.key, panel.key) + (f" ({', '.join(notes)})" if notes else "")


def summary(curves: Curves, panel: Panel, language: Language) -> str:
    """Return in words what a panel shows: where each line begins and ends."""
    words = WORDS[language]
    lines = [
        f"{curves.names[one.run]} ({words[one.split]}) {label(one.points[0][1])} → "
        f"{label(one.points[-1][1])}"
        for one in panel.series
    ]
    return f"{title_of(panel, language)}: {'; '.join(lines)}"


def inside(curves: Curves, panel: Panel, language: Language) -> str:
    """Return the content of a panel: title, axes and lines."""
    across, up = scales(curves, panel)
    parts = [
        f'<text class="ink" fill="{INK}" x="{LEFT}" y="20" font-size="14" font-weight="600">'
        f"{escaped(title_of(panel, language))}</text>"
    ]
    for tick, text in zip(ticks := up.ticks(), labels(ticks), strict=True):
        y = up(tick)
        parts.append(
            f'<path class="grid" stroke="{LINE}" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>'
            f'<text class="soft" fill="{SOFT}" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" '
            f'font-size="12">{text}</text>'
        )
    bottom = HEIGHT - BOTTOM
    parts.append(f'<path class="grid" stroke="{LINE}" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
    for tick, text in zip(
        ticks := across.ticks(6, whole=curves.axis != "minutes"), labels(ticks), strict=True
    ):
        parts.append(
            f'<text class="soft" fill="{SOFT}" x="{across(tick)}" y="{bottom + 17}" '
            f'text-anchor="middle" font-size="12">{text}</text>'
        )
    parts.append(
        f'<text class="soft" fill="{SOFT}" x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" '
        f'text-anchor="end" font-size="12">{WORDS[language][curves.axis]}</text>'
    )
    both = len({one.split for one in panel.series}) > 1
    return "".join(
        [*parts, *(_line(curves, one, across, up, both, language) for one in panel.series)]
    )


def _line(
    curves: Curves, one: Series, across: Scale, up: Scale, both: bool, language: Language
) -> str:
    """Return a line; beside one of validation, which is thick and has dots, training is thin."""
    colour = LIGHT[one.run % len(LIGHT)]
    pixels = [f"{across(x)} {up(y)}" for x, y in one.points]
    wide = 2.0 if one.split == "validation" else 1.2 if both else 1.5
    name = escaped(f"{curves.names[one.run]} ({WORDS[language][one.split]})")
    path = (
        f'<path class="run-{one.run % len(LIGHT)}" stroke="{colour}" fill="none" '
        f'stroke-width="{wide}" stroke-opacity="{0.6 if wide < 1.5 else 1}" '
        f'stroke-linejoin="round"{_dash(one.run)} d="M{"L".join(pixels)}"/>'
    )
    marks = pixels if one.split == "validation" and len(pixels) <= DOTS else pixels[:1]
    if len(pixels) > 1 and marks == pixels[:1]:
        marks = []
    dots = "".join(
        f'<circle class="dot run-{one.run % len(LIGHT)}" fill="{colour}" stroke="{colour}" '
        f'cx="{x}" cy="{y}" r="2.5"/>'
        for x, y in (pixel.split() for pixel in marks)
    )
    return f'<g data-run="{one.run}"><title>{name}</title>{path}{dots}</g>'


def _dash(run: int) -> str:
    dash = DASHES[run // len(LIGHT) % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _legend(curves: Curves, width: int, language: Language) -> tuple[list[str], int]:
    """Return the names of the runs beside their colours, and where the panels begin."""
    parts: list[str] = []
    x, y = GAP + 8, GAP + 16
    cut = shortened(curves.names, LONGEST_NAME)
    for run, (name, shown) in enumerate(zip(curves.names, cut, strict=True)):
        wide = 34 + width_of(shown) + 18
        if x > GAP + 8 and x + wide > width:
            x, y = GAP + 8, y + ROW
        colour = LIGHT[run % len(LIGHT)]
        parts.append(
            f'<path class="run-{run % len(LIGHT)}" stroke="{colour}" stroke-width="3"'
            f'{_dash(run)} d="M{x:.0f} {y - 5}h26"/><text class="ink" fill="{INK}" '
            f'x="{x + 34:.0f}" y="{y}"><title>{escaped(name)}</title>{escaped(shown)}</text>'
        )
        x += wide
    if len(curves.splits) == 2:
        y += ROW
        parts.append(
            f'<g class="soft" fill="{SOFT}"><path class="stroke" stroke="{SOFT}" '
            f'stroke-width="1.2" d="M{GAP + 8} {y - 5}h26"/>'
            f'<text x="{GAP + 42}" y="{y}">{WORDS[language]["train"]}</text>'
            f'<path class="stroke" stroke="{SOFT}" stroke-width="2" d="M{GAP + 128} {y - 5}h26"/>'
            f'<circle cx="{GAP + 141}" cy="{y - 5}" r="3"/>'
            f'<text x="{GAP + 162}" y="{y}">{WORDS[language]["validation"]}</text></g>'
        )
    return parts, y + GAP
