"""Draw what interventions found: maps, lens, patching, contributions, attributions and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..attributions import RANDOM
from ..html import Language, Picture, in_words
from .bars import HEAT, INK, LINE, MARK, escaped
from .followed import followed
from .grid import Cell, Label, colour_bar, grid, printed
from .interventions_texts import LEGENDS, METHODS, TITLES

if TYPE_CHECKING:
    from ..ablation import AblationMap
    from ..attributions import DeletionCurves
    from ..contributions import Contributions
    from ..lens import Lens
    from ..patching import Patching
    from ..results import InterventionResults

MOST_BARS = 16  # contributions drawn one by one
ACROSS, EDGE, TALL = 360, 170, 22  # pixels of the bars: their room, their labels', a line's
CHART = (420, 240, 46, 26)  # pixels of the curves: width, height, left and lower edge
COLOURS = ("#1f77b4", "#c2410c", "#15803d", "#9333ea", "#be123c", "#64748b")


def pictures(found: InterventionResults) -> list[Picture]:
    """Return a picture of each thing that was measured, in the order of the options."""
    drawn: list[Picture] = []
    if found.without:
        names = "<br>".join(map(escaped, found.without))
        key = "without_mean" if found.has_means else "without"
        drawn.append(Picture(TITLES[key], f'<p class="text">{names}</p>' + _legend(key)))
    for lens, answers in zip(found.lens, found.answers, strict=True):
        drawn.append(Picture(_title("lens", lens.stack), _lens(found, lens, answers)))
    for one in found.ablation:
        drawn.append(Picture(_title("ablation", _measure(found, one)), _ablation(one)))
    for one, other in zip(found.patching, found.other, strict=True):
        drawn.append(Picture(_title("patching", one.stack), _patching(found, one, other)))
    if found.contributions is not None:
        own = found.contributions
        title = _title("contributions", *own.choice)
        drawn.append(Picture(title, _contributions(own)))
    if found.attributions:
        name = found.score or "…"
        drawn.append(Picture(_title("attributions", name), _attributions(found)))
    if found.deletion is not None:
        title = _title("deletion", str(found.deletion.sentences))
        drawn.append(Picture(title, _curves(found.deletion)))
    return [*drawn, *followed(found)]


def _title(key: str, *values: str) -> dict[Language, str]:
    """Return a title in each language; a value that is itself a key of METHODS is translated."""
    return {
        language: text.format(*(METHODS.get(one, {}).get(language, one) for one in values))
        for language, text in TITLES[key].items()
    }


def _legend(key: str, values: Mapping[str, str] | None = None) -> str:
    texts = {name: text.format(**(values or {})) for name, text in LEGENDS[key].items()}
    return f'<p class="legend">{in_words(texts)}</p>'  # type: ignore[arg-type]


def _measure(found: InterventionResults, one: AblationMap) -> str:
    if one.measure == "score":
        return f"log p({found.score or '…'})"
    return f"{one.measure}, n = {one.examples}"


def _largest(values: Sequence[float]) -> float:
    return max((abs(one) for one in values), default=0.0) or 1e-12


def _ablation(one: AblationMap) -> str:
    """Draw a row for each part and a column for each head; a part without heads is one cell."""
    most = _largest(one.changes)
    parts: dict[str, list[Cell | None]] = {}
    for site, change in zip(one.sites, one.changes, strict=True):
        share, text = change / most, printed(change)
        cell = Cell(share, text, f"{site}: {change:+.4f}", change, abs(share) > 0.5)
        parts.setdefault(f"{site.stack}.{site.layer + 1}.{site.part}", []).append(cell)
    heads = [str(number + 1) for number in range(max(map(len, parts.values())))]
    key = "ablation_mean" if one.has_means else "ablation"
    return (
        _legend(key, {"base": f"{one.base:.4f}"})
        + grid(heads, list(parts.items()), "ablation")
        + colour_bar(most)
    )


def _lens(found: InterventionResults, one: Lens, answers: list[list[list[str]]]) -> str:
    """Draw a row for each stage, the last one on top, and a column for each token."""
    rows: list[tuple[str, list[Cell | None]]] = []
    for stage, name in enumerate(one.stages):
        cells: list[Cell | None] = []
        for row, labels in enumerate(answers[stage]):
            chances = one.top[1][stage, row]
            listed = "\n".join(
                f"{label} {chance:.3f}" for label, chance in zip(labels, chances, strict=True)
            )
            title = (
                f"{name}\n{listed}\n#{one.ranks[stage, row]}: {one.probabilities[stage, row]:.4f}"
            )
            is_final = int(one.top[0][stage, row, 0]) == int(one.final[row])
            chance = float(chances[0])
            cells.append(Cell(chance, labels[0], title, chance, is_final))
        rows.append((name, cells))
    key = "lens_norm" if one.has_final_norm else "lens"
    feet = found.written if one.stack == "decoder" else ()
    return (
        _legend(key)
        + grid(found.row_labels(one), rows[::-1], "lens", feet)
        + colour_bar(1.0, has_sign=False)
    )


def _patching(found: InterventionResults, one: Patching, other: Sequence[str]) -> str:
    own = found.source if one.stack == "encoder" else found.target
    heads = [a if a == b else f"{a} ← {b}" for a, b in zip(own, other, strict=True)]
    most = _largest(one.changes.ravel().tolist())
    rows: list[tuple[str, list[Cell | None]]] = []
    for layer, name in enumerate(one.layers):
        cells: list[Cell | None] = []
        for place, change in enumerate(one.changes[layer].tolist()):
            share = change / most
            title = f"{name}, {heads[place]}: {change:+.4f}"
            cells.append(Cell(share, printed(change), title, change, abs(share) > 0.5))
        rows.append((name, cells))
    values = {
        "chosen": one.names[0],
        "rival": one.names[1],
        "base": f"{one.base:.3f}",
        "other": f"{one.other:.3f}",
    }
    return _legend("patching", values) + grid(heads, rows[::-1], "patching") + colour_bar(most)


def _contributions(one: Contributions) -> str:
    """Draw the largest contributions as bars from a middle line, and the others in one."""
    ranked = sorted(zip(one.names, one.values.tolist(), strict=True), key=lambda p: -abs(p[1]))
    shown, rest = ranked[:MOST_BARS], ranked[MOST_BARS:]
    if rest:
        shown.append((f"… ({len(rest)})", sum(value for _, value in rest)))
    most, middle = _largest([value for _, value in shown]), EDGE + ACROSS / 2
    height = TALL * len(shown) + 6
    width = EDGE + ACROSS + 10
    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="contributions" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="contributions" font-family="system-ui, sans-serif" font-size="12">'
        )
    ]
    room = ACROSS / 2 - 48
    for line, (name, value) in enumerate(shown):
        long, top = room * abs(value) / most, TALL * line + 3
        start = middle if value >= 0 else middle - long
        end, anchor = (middle + long + 4, "start") if value >= 0 else (middle - long - 4, "end")
        kind, colour = ("bar", HEAT) if value >= 0 else ("mark", MARK)
        drawn.append(
            f'<g data-value="{value:.6g}"><title>{escaped(name)}: {value:+.4f}</title>'
            f'<text class="ink" fill="{INK}" x="{EDGE - 6}" y="{top + 14}" text-anchor="end">'
            f"{escaped(name)}</text>"
            f'<rect class="{kind}" fill="{colour}" x="{start:.1f}" y="{top + 2}" '
            f'width="{max(long, 0.5):.1f}" height="{TALL - 8}" rx="2"/>'
            f'<text class="ink" fill="{INK}" x="{end:.1f}" y="{top + 14}" '
            f'text-anchor="{anchor}">{printed(value)}</text></g>'
        )
    drawn.append(
        f'<rect class="track" fill="{LINE}" x="{middle - 0.5}" y="0" width="1" '
        f'height="{height}"/></svg>'
    )
    values = {
        "chosen": one.choice[0],
        "rival": one.choice[1],
        "difference": f"{one.difference:.3f}",
    }
    return _legend("contributions", values) + "\n".join(drawn)


def _attributions(found: InterventionResults) -> str:
    """Draw a row for each method, each in the colours of its own largest value."""
    rows: list[tuple[Label, list[Cell | None]]] = []
    drawn = _legend("attributions", {"value": f"{found.value:.3f}"})
    for name, values in found.attributions.items():
        most = _largest(values.tolist())
        cells: list[Cell | None] = [
            Cell(value / most, printed(value, name not in ("attention", "rollout")),
                 f"{token}: {value:+.5f}", value, abs(value) == most)
            for token, value in zip(found.tokens, values.tolist(), strict=True)
        ]  # fmt: skip
        rows.append((METHODS[name], cells))
    return drawn + grid(found.tokens, rows, "attributions")


def _curves(found: DeletionCurves) -> str:
    """Draw the fall of the score over the share of tokens that are taken away."""
    width, height, left, low = CHART
    values = [value for one in found.curves.values() for value in one.tolist()]
    top, bottom = max(*values, 1e-9), min(*values, 0.0)

    def at(share: float, value: float) -> str:
        x = left + share * (width - left - 24)
        y = 8 + (top - value) / (top - bottom) * (height - low - 8)
        return f"{x:.1f},{y:.1f}"

    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="deletion" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="deletion" '
            f'font-family="system-ui, sans-serif" font-size="12">'
        )
    ]
    for value in (bottom, 0.0, top):
        (x, y), end = at(0, value).split(","), at(1, value).split(",")[0]
        drawn.append(
            f'<line class="edge" stroke="{LINE}" x1="{x}" y1="{y}" x2="{end}" y2="{y}"/>'
            f'<text class="ink" fill="{INK}" x="{left - 6}" y="{float(y) + 4}" '
            f'text-anchor="end">{printed(value, has_sign=False)}</text>'
        )
    for share in (0.0, 0.5, 1.0):
        x = at(share, 0).split(",")[0]
        drawn.append(
            f'<text class="ink" fill="{INK}" x="{x}" y="{height - 6}" text-anchor="middle">'
            f"{share:.0%}</text>"
        )
    lines = ['<div class="bars" role="list">']
    ranked = sorted(found.curves, key=lambda name: -found.areas[name])
    for number, name in enumerate(ranked):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="4 4"' if name == RANDOM else ""
        points = " ".join(map(at, found.shares.tolist(), found.curves[name].tolist()))
        drawn.append(
            f'<polyline data-method="{name}" fill="none" stroke="{colour}" stroke-width="2"{dash} '
            f'points="{points}"/>'
        )
        lines.append(
            f'<div class="line{" chosen" if name == found.best else ""}" role="listitem" '
            f'data-area="{found.areas[name]:.6g}"><span class="label">'
            f"{in_words(METHODS[name])}</span>"
            '<svg xmlns="http://www.w3.org/2000/svg" class="measure" aria-hidden="true">'
            f'<rect fill="{colour}" y="6" width="100%" height="4"/></svg>'
            f'<span class="number">{printed(found.areas[name])}</span></div>'
        )
    return _legend("deletion") + "\n".join([*drawn, "</svg>", *lines, "</div>"])
