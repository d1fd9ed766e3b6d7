"""Print and keep what an evaluation found: scores, classes, confusions, a baseline, warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..messages import Message, in_brief, listed, message
from . import console
from .class_tables import class_table, confusion_table
from .console import put, table, talk
from .language import page_language, translated
from .outputs import tell_written

if TYPE_CHECKING:
    from ..data.example import Example
    from ..data.table import DataTable
    from ..inference.baseline import Baseline
    from ..inference.evaluation import Evaluation
    from ..inference.predictor import Predictor
    from ..metrics.classes import Breakdown

SMALL_PART = (
    1_000  # examples scored, up to which the training data is read to look for rare classes
)
MOST_NAMED = 20  # classes that a note names
FOUR_DIGITS = ("loss", "perplexity")


@dataclass(frozen=True, kw_only=True)
class Result:
    """Hold everything that one evaluation found.

    Args:
        name: Of the part that was scored, "test" or the names of files.
        intervals: Metric -> ends of its 95 % interval.
        notes: Warnings.
        trained: Class -> number of training texts, where the training data was read.
    """

    predictor: Predictor
    evaluation: Evaluation
    examples: Sequence[Example]
    name: str
    intervals: dict[str, tuple[float, float]]
    seconds: float
    breakdown: Breakdown | None
    baseline: Baseline | None
    notes: list[str]
    trained: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        evaluation: Evaluation,
        examples: Sequence[Example],
        name: str,
        *,
        intervals: dict[str, tuple[float, float]],
        seconds: float,
        own: bool,
        with_baseline: bool,
    ) -> Result:
        """Break the scores down by class, score a baseline, and look for what is too small.

        own: the examples are a part of the run's own data.
        """
        from ..data.small import class_counts, few_of_a_class
        from ..inference.baseline import baseline
        from ..recipe.schema import Recipe

        task = predictor.task
        assert predictor.run is not None, "a loaded run has a folder"
        data = Recipe.load(predictor.run.path).data
        notes = _notes(predictor, examples, name, data, own)
        small = own and len(examples) < SMALL_PART
        trained: dict[str, int] = {}
        found: Baseline | None = None
        if with_baseline or (small and task.break_down is not None):
            train = _training_examples(data, task.needs, with_baseline)
            trained, rare = class_counts(train), few_of_a_class(train)
            notes += [rare] if rare else []
            if with_baseline:
                talk(message("Baseline: learning from {count:,} examples.", count=len(train)))
                found = baseline(task, train, examples)
        breakdown = _by_class(predictor, evaluation, examples)
        if breakdown is not None and breakdown.unmeasured:
            notes.append(_unmeasured(breakdown.unmeasured))
        return cls(
            predictor=predictor,
            evaluation=evaluation,
            examples=examples,
            name=name,
            intervals=intervals,
            seconds=seconds,
            breakdown=breakdown,
            baseline=found,
            notes=notes,
            trained=trained,
        )

    @property
    def metrics(self) -> dict[str, float]:
        """Return the scores, and with classes the mean of their F1."""
        values = self.evaluation.scores.values
        if self.breakdown is None or self.breakdown.unit != "texts":
            return values
        return {**values, "f1_macro": self.breakdown.f1_macro}

    @property
    def verdict(self) -> str | None:
        """Return a sentence where the run is worse than the baseline."""
        from ..data.small import margin

        if self.baseline is None or not self.baseline.beats(self.metrics):
            return None
        main, value = next(iter(self.baseline.scores.values.items()))
        count = len(self.examples)
        chance = (
            message(" On {count:,} examples such a difference may be chance.", count=count)
            if value - self.metrics[main] < margin(count)
            else ""
        )
        return message(
            "This run is below the baseline: {main} {metrics:.2f} against "
            "{value:.2f} of {model}.{chance} Start from a pretrained model "
            "(triptych init --start RUN), train longer or on more data, or use the "
            "baseline.",
            main=main,
            metrics=self.metrics[main],
            value=value,
            model=self.baseline.model,
            chance=chance,
        )


def _by_class(
    predictor: Predictor, evaluation: Evaluation, examples: Sequence[Example]
) -> Breakdown | None:
    """Return the scores of each class that the model knows, also of those without an example."""
    from ..data.formats.bio import OUTSIDE, parts

    if predictor.task.break_down is None:
        return None
    found = predictor.task.break_down(evaluation.predictions, examples)
    known: list[str] = predictor.labels.get("labels" if found.unit == "texts" else "names", [])
    if found.unit == "entities":
        known = sorted({parts(tag)[1] for tag in known} - {"", OUTSIDE})
    return found.with_known(known)


def _unmeasured(names: Sequence[str]) -> Message:
    """Say which classes have no example among those that were scored."""
    shown = [f"'{in_brief(name)}'" for name in names[:MOST_NAMED]]
    over = len(names) - MOST_NAMED
    more = message(" and {count:,} more", count=over) if over > 0 else ""
    return message(
        "No example that was scored has one of these classes, so the scores say nothing about "
        "them: {names}{more}.",
        names=listed(shown),
        more=more,
    )


def _training_examples(data: DataTable, needs: Sequence[str], needed: bool) -> list[Example]:
    """Return what the run was trained on; nothing if it is not there and not needed."""
    from ..data.load import evenly_spaced, load_split
    from ..errors import TriptychError

    try:
        return list(evenly_spaced(load_split(data, "train", None, needs), data.examples))
    except TriptychError:
        if needed:
            raise
        return []


def _notes(
    predictor: Predictor, examples: Sequence[Example], name: str, data: DataTable, own: bool
) -> list[str]:
    """Return warnings on the part that was scored, and on how sure its answers may be."""
    from ..data.small import too_few
    from ..inference.evaluation import uncalibrated
    from ..training.resuming import changes_since

    task = predictor.task
    notes: list[str] = []
    is_share = task.break_down is not None and task.needs[-1] != "tags"
    records = message("texts") if is_share else message("examples")
    few = too_few(examples, name if own else "", task.needs, records, is_share)
    notes += [few] if few else []
    unsure = uncalibrated(predictor)
    notes += [unsure] if unsure else []
    if own and data.split == "stratified" and predictor.run is not None:
        changed = changes_since(predictor.run, data)
        if changed:
            notes.append(
                message(
                    "The data has changed since the run was trained: {names}. A stratified "
                    "split moves texts when the file grows, so some of these may have been "
                    "trained on.",
                    names="; ".join(changed),
                )
            )
    return notes


# Printing -----------------------------------------------------------------------------------------


def put_result(result: Result, as_json: bool) -> None:
    """Print scores, classes and confusions on stdout, warnings on stderr."""
    for note in result.notes:
        talk(message("Note: {note}", note=note))
    if as_json:
        put(json.dumps(as_values(result), ensure_ascii=False))
    else:
        _put_tables(result)
    if result.verdict:
        talk(result.verdict)


def as_values(result: Result) -> dict[str, object]:
    """Return the result for JSON."""
    scores = result.evaluation.scores
    values: dict[str, object] = {
        "task": result.predictor.task.name,
        "split": result.name,
        "examples": len(result.examples),
        "metrics": result.metrics,
        "signature": scores.signature,
    }
    if result.intervals:
        values["intervals"] = {key: list(pair) for key, pair in result.intervals.items()}
    if result.breakdown is not None:
        values["classes"] = {name: one.to_json() for name, one in result.breakdown.classes.items()}
        if result.breakdown.confusion is not None:
            values["confusion"] = result.breakdown.confusion.to_json()
    if result.baseline is not None:
        values["baseline"] = result.baseline.to_json(result.metrics)
    return values


def score_rows(result: Result) -> list[tuple[str, str, str, str]]:
    """Return for each metric its name, value, interval and the baseline's value."""
    theirs = {} if result.baseline is None else result.baseline.scores.values
    metrics = dict(result.metrics)
    if "f1" in metrics and math.isclose(metrics["f1"], metrics.get("f1_macro", -1.0)):
        del metrics["f1_macro"]  # without a positive label f1 is this mean already
    rows: list[tuple[str, str, str, str]] = []
    for key, value in metrics.items():
        ends = result.intervals.get(key)
        rows.append(
            (
                key,
                f"{value:.4f}" if key in FOUR_DIGITS else f"{value:.2f}",
                f"[{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "",
                f"{theirs[key]:.2f}" if key in theirs else "",
            )
        )
    return rows


def _put_tables(result: Result) -> None:
    evaluation, rows = result.evaluation, score_rows(result)
    if result.baseline is None:
        put(table([row[:3] for row in rows]))
    else:
        heads = translated(message("this run")), "", translated(message("baseline"))
        put(table([("", *heads), *rows]))
    for key, signature in evaluation.scores.signatures.items():
        put(console.field(f"{key}: {signature}"))
    if result.baseline is not None:
        found = result.baseline
        words = message(
            "baseline: {model}, from {examples:,} training examples in {seconds:.1f} s",
            model=found.model,
            examples=found.examples,
            seconds=found.seconds,
        )
        put(translated(words))
    if result.breakdown is not None:
        put(f"\n{class_table(result.breakdown, result.trained)}")
        if result.breakdown.confusion is not None:
            put(f"\n{confusion_table(result.breakdown.confusion)}")
    answering = (
        ""
        if evaluation.seconds is None
        else message(
            ", answering took {seconds:.1f} s on {threads} threads",
            seconds=evaluation.seconds,
            threads=evaluation.threads,
        )
    )
    talk(
        message(
            "{count:,} examples in {seconds:.1f} s{answering}.",
            count=len(result.examples),
            seconds=result.seconds,
            answering=answering,
        )
    )


# Keeping ------------------------------------------------------------------------------------------


def write_page(path: Path, result: Result) -> None:
    """Write the page of an evaluation."""
    from ..inspection.report import Report, write

    assert result.breakdown is not None, "refused before anything was answered"
    names = [name for name in ("text", "text_pair") if name in result.predictor.task.needs]
    write(
        path,
        Report(
            title=f"{result.predictor.name} · {result.name} · {len(result.examples):,}",
            rows=score_rows(result),
            notes=[
                translated(note)
                for note in (*result.notes, *([result.verdict] if result.verdict else []))
            ],
            breakdown=result.breakdown,
            texts=[
                "\n".join(getattr(one, name) or "" for name in names) for one in result.examples
            ],
            trained=result.trained,
        ),
        page_language(),
    )
    tell_written(path)


def keep(result: Result) -> None:
    """Write the comparison with the baseline into the run's model card."""
    from ..errors import TriptychError
    from ..runs.model_card import Compared, with_baseline

    found, run = result.baseline, result.predictor.run
    assert found is not None and run is not None, "a baseline was scored for a run in a folder"
    compared = Compared(
        split=result.name,
        examples=len(result.examples),
        model=found.model,
        rows=[(name, mine, theirs) for name, mine, _, theirs in score_rows(result) if theirs],
        verdict=result.verdict or "",
    )
    try:
        run.write_card(with_baseline(run.read_card(), compared))
    except TriptychError as problem:
        talk(message("The model card does not get the baseline: {problem}", problem=problem))
