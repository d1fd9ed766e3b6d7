"""Show what interventions measured as short tables in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..messages import message
from .language import translated

if TYPE_CHECKING:
    from ..inspection.results import InterventionResults

MOST = 12  # rows of a table in a terminal
ARCS = (
    message("relation"),
    message("words"),
    message("best head"),
    message("found"),
    message("offset"),
)
STEPS = (
    message("step"),
    message("score"),
    message("change"),
    message("loss"),
    message("loss change"),
)
FINAL = message("final")


def tables(results: InterventionResults) -> list[tuple[str, list[list[str]]]]:
    """Return what was measured in short, for a terminal: titles with rows."""
    found: list[tuple[str, list[list[str]]]] = []
    for one in results.ablation:
        pairs = list(zip(map(str, one.sites), one.changes, strict=True))
        title = message(
            "Without each part, the largest changes of {measure} ({base:.4f} with all):",
            measure=one.measure,
            base=one.base,
        )
        found.append((title, _strongest(pairs)))
    for one, answers in zip(results.lens, results.answers, strict=True):
        names = results.row_labels(one)
        rows = [
            [stage, *(f"{row[0]} {chance:.2f}" for row, chance in zip(labels, top, strict=True))]
            for stage, labels, top in zip(
                one.stages, answers, one.top[1][:, :, 0].tolist(), strict=True
            )
        ]
        title = message(
            "What the {stack} would answer after each part, with its probability:", stack=one.stack
        )
        found.append((title, [["", *names], *rows]))
    for one, other in zip(results.patching, results.other, strict=True):
        pairs = [
            (f"{layer} {place} {name}", float(one.changes[row, place - 1]))
            for row, layer in enumerate(one.layers)
            for place, name in enumerate(other, 1)
        ]
        title = message(
            "Layer, position and token whose state moves {chosen} - {rival} the most ({base:.3f}; "
            "the other text: {other:.3f}):",
            chosen=one.names[0],
            rival=one.names[1],
            base=one.base,
            other=one.other,
        )
        found.append((title, _strongest(pairs)))
    if results.contributions is not None:
        own = results.contributions
        title = message(
            "What each part added to {chosen} - {rival} ({difference:.3f}):",
            chosen=own.choice[0],
            rival=own.choice[1],
            difference=own.difference,
        )
        pairs = list(zip(own.names, own.values.tolist(), strict=True))
        found.append((title, _strongest(pairs)))
    return [*found, *_attributed(results), *_followed(results)]


def _attributed(results: InterventionResults) -> list[tuple[str, list[list[str]]]]:
    found: list[tuple[str, list[list[str]]]] = []
    if results.attributions:
        columns = list(results.attributions.values())
        rows = [
            [token, *(f"{values[place]:+.4f}" for values in columns)]
            for place, token in enumerate(results.tokens)
        ]
        title = message("How much each token matters:")
        found.append((title, [["", *results.attributions], *rows]))
    if results.deletion is not None:
        title = message(
            "Mean fall of the score as tokens are taken away, over {count} development sentences; "
            "the most faithful here is {best}:",
            count=results.deletion.sentences,
            best=results.deletion.best,
        )
        found.append((title, _strongest(list(results.deletion.areas.items()))))
    return found


def _followed(results: InterventionResults) -> list[tuple[str, list[list[str]]]]:
    """Return gold arcs by relation, and what parts do at each checkpoint."""
    found: list[tuple[str, list[list[str]]]] = []
    arcs = results.arcs
    if arcs is not None:
        rows = [[*map(translated, ARCS)]]
        for row, name in enumerate(arcs.relations[:MOST]):
            (site, share), (offset, near) = arcs.best(row), arcs.baseline(row)
            rows.append(
                [name, str(arcs.counts[row]), str(site), f"{100 * share:.1f} %",
                 f"{100 * near:.1f} % ({offset:+d})"]
            )  # fmt: skip
        title = message(
            "Words whose most attended word is their gold head, over {count} sentences "
            "({left_out} left out):",
            count=arcs.sentences,
            left_out=arcs.left_out,
        )
        found.append((title, rows))
    for one in results.checkpoints:
        rows = [[*map(translated, STEPS[: 3 if one.examples == 0 else 5])]]
        for at in one.steps:
            values = [at.score, at.change]
            values += [] if at.loss is None else [at.loss, at.loss_change or 0.0]
            step = translated(FINAL) if at.step is None else f"{at.step:,}"
            rows.append([step, *(f"{value:+.4f}" for value in values)])
        title = message("Without {site}, at each checkpoint of the run:", site=str(one.site))
        found.append((title, rows))
    return found


def _strongest(pairs: Sequence[tuple[str, float]]) -> list[list[str]]:
    ranked = sorted(pairs, key=lambda pair: -abs(pair[1]))[:MOST]
    return [[name, f"{value:+.4f}"] for name, value in ranked]
