"""Draw heads against gold arcs, and a part at each checkpoint, as grids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..html import Language, Picture, in_words
from .bars import escaped
from .grid import Cell, Label, colour_bar, grid, printed
from .interventions_texts import ARCS, LEGENDS, TITLES

if TYPE_CHECKING:
    from ..at_checkpoints import AtCheckpoints
    from ..gold_heads import GoldHeads
    from ..results import InterventionResults

MOST_RELATIONS = 20


def followed(found: InterventionResults) -> list[Picture]:
    """Return a picture of gold arcs, and of each part that was followed."""
    drawn: list[Picture] = []
    if found.arcs is not None:
        drawn.append(Picture(_title("arcs", found.arcs.sentences), _arcs(found.arcs)))
    for one in found.checkpoints:
        drawn.append(Picture(_title("checkpoints", one.site), _checkpoints(one)))
    return drawn


def _title(key: str, value: object) -> dict[Language, str]:
    return {name: text.format(value) for name, text in TITLES[key].items()}


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _arcs(found: GoldHeads) -> str:
    """Draw the share of all words as layers by heads, and list the best head of each relation."""
    most = float(found.shares[0].max()) or 1e-12
    layers: dict[str, list[Cell | None]] = {}
    for site, share in zip(found.sites, found.shares[0].tolist(), strict=True):
        cell = Cell(share / most, _percent(share), f"{site}: {_percent(share)}", share,
                    share == most)  # fmt: skip
        layers.setdefault(f"{site.stack}.{site.layer + 1}", []).append(cell)
    heads = [str(number + 1) for number in range(max(map(len, layers.values())))]
    values = {
        name: _percent(float(found.offsets[offset][0]))
        for name, offset in (("back", -1), ("ahead", 1))
    }
    texts: dict[Language, str] = {
        name: text.format(**values) for name, text in LEGENDS["arcs"].items()
    }
    names = ("relation", "words", "head", "found", "offset")
    lines = ["<table><tr>", *(f"<th>{in_words(ARCS[name])}</th>" for name in names), "</tr>"]
    for row, relation in enumerate(found.relations[:MOST_RELATIONS]):
        (site, share), (offset, near) = found.best(row), found.baseline(row)
        lines.append(
            f"<tr><th>{escaped(relation)}</th><td>{found.counts[row]}</td><td>{site}</td>"
            f"<td>{_percent(share)}</td><td>{_percent(near)} ({offset:+d})</td></tr>"
        )
    return "\n".join(
        [f'<p class="legend">{in_words(texts)}</p>', grid(heads, list(layers.items()), "arcs"),
         colour_bar(most, has_sign=False), *lines, "</table>"]
    )  # fmt: skip


def _checkpoints(found: AtCheckpoints) -> str:
    """Draw the score and its change at each checkpoint; with losses those too."""
    columns = [str(at.step) if at.step is not None else "✓" for at in found.steps]
    series: dict[str, list[float]] = {
        "score": [at.score for at in found.steps],
        "change": [at.change for at in found.steps],
    }
    if found.examples:
        series["loss"] = [at.loss or 0.0 for at in found.steps]
        series["loss_change"] = [at.loss_change or 0.0 for at in found.steps]
    rows: list[tuple[Label, list[Cell | None]]] = []
    for name, values in series.items():
        most = max(map(abs, values)) or 1e-12
        cells: list[Cell | None] = [
            Cell(value / most, printed(value), f"{columns[place]}: {value:+.4f}", value)
            for place, value in enumerate(values)
        ]
        rows.append((ARCS[name], cells))
    legend = f'<p class="legend">{in_words(LEGENDS["checkpoints"])}</p>'
    return legend + grid(columns, rows, "checkpoints")
