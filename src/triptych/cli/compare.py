"""Run `triptych compare`: runs side by side on the same test data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import UsageError
from ..messages import Message, message
from .console import field, put, table, talk
from .evaluate import SplitName, chosen_examples, line_statistics, scored_anew
from .language import page_language, translated
from .outputs import refuse_page, tell_written
from .predict import decoding_changes

if TYPE_CHECKING:
    from ..data.example import Example
    from ..inference.evaluation import Evaluation
    from ..inference.predictor import Predictor


ROWS = {
    "parameters": message("parameters"),
    "updates": message("updates"),
    "minutes": message("minutes"),
    "tokens_per_second": message("tokens per second"),
    "answers_per_second": message("answers per second"),
    "answering_threads": message("answering threads"),
}


@dataclass
class Side:
    """Hold one run and its answers."""

    run: str  # the path as the user gave it
    name: str  # the name to show: the path's last part where it is unique
    predictor: Predictor
    evaluation: Evaluation
    lines: list[dict[str, Any]]  # metrics.jsonl


def compare(
    *runs: str,
    split: SplitName = "test",
    data: list[str] | None = None,
    to: str | None = None,
    bootstrap: int = 1000,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    html: Path | None = None,
    text: str | None = None,
    overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:
    """Compare runs on the same data: scores with 95 % intervals, speeds, updates.

    Of translators also BLEU by length of the source, and attention. Speed is in answers per second,
    without the time for scores and losses, on the number of threads shown.

    Parameters
    ----------
    runs
        Two or more run folders for the same task and languages; the others are compared with the
        first.
    split
        Which part of the first run's data all of them answer.
    data
        Another file like those of the runs, or two aligned files: --data a.en --data a.de.
    to
        For runs with several target languages: compare only this one.
    bootstrap
        How many random resamples of the test set the confidence intervals are estimated from.
    json_
        Print one JSON object as the last line.
    html
        Write a page with the attention of all runs on one sentence; it needs no network.
    text
        The sentence for --html; by default the test sentence of median length.
    """
    from ..inference.loading import load

    _refuse_wrong(runs, bootstrap, html)
    predictors = [load(run) for run in runs]
    _refuse_different(runs, predictors)
    if html is not None and not predictors[0].languages:
        raise UsageError(
            "compare --html needs a model with source-target attention. For a run for {task} use "
            "`triptych inspect`.",
            task=predictors[0].task.name,
        )
    examples, name = chosen_examples(predictors[0], split, data, to)
    changes = decoding_changes(overrides)
    names = shown_names(runs)
    sides = [
        _answered(*each, examples, changes) for each in zip(runs, names, predictors, strict=True)
    ]
    report = _report(sides, examples, name, bootstrap)
    if json_:
        put(json.dumps(report, ensure_ascii=False))
    else:
        _print(report, sides)
    if html is not None:
        _write_page(html, sides, examples, text, to, changes)
    return 0


def _refuse_wrong(runs: tuple[str, ...], bootstrap: int, html: Path | None) -> None:
    """Raise UsageError for flags that cannot be, before a run is loaded."""
    if len(runs) < 2:
        raise UsageError(message("Name two runs or more: triptych compare RUN RUN."))
    if bootstrap < 1:
        raise UsageError(
            "--bootstrap is {bootstrap}; it must be 1 or more, for example 1000.",
            bootstrap=bootstrap,
        )
    refuse_page(html)


def _refuse_different(runs: tuple[str, ...], predictors: list[Predictor]) -> None:
    first = predictors[0]
    for run, other in zip(runs[1:], predictors[1:], strict=True):
        if other.task.name != first.task.name:
            raise UsageError(
                "{run} is for {task} and {other} for {other_task}, so there is nothing to compare.",
                run=runs[0],
                task=first.task.name,
                other=run,
                other_task=other.task.name,
            )
        targets = [one.languages.get("targets", []) for one in (first, other)]
        if any(targets) and not set(targets[0]) & set(targets[1]):
            both = [", ".join(names) or "unnamed" for names in targets]
            named = {"run": runs[0], "targets": both[0], "other": run, "other_targets": both[1]}
            if first.task.spec.targets == "languages":
                raise UsageError(
                    "{run} translates to {targets} and {other} to {other_targets}. They have no "
                    "language in common.",
                    **named,
                )
            raise UsageError(
                "{run} learnt {targets} and {other} learnt {other_targets}. They have no task in "
                "common.",
                **named,
            )


def shown_names(runs: tuple[str, ...]) -> list[str]:
    """Return the folders' own names, or the paths as given where two folders have the same name."""
    names = [Path(run).resolve().name for run in runs]
    return names if len(set(names)) == len(names) else list(runs)


def _answered(
    run: str, name: str, predictor: Predictor, examples: list[Example], changes: dict[str, Any]
) -> Side:
    talk(message("Answering {count:,} examples with {run}.", count=len(examples), run=run))
    evaluation = predictor.evaluate(examples, predictor.settings(**changes))
    assert predictor.run is not None, "a loaded run has a folder"
    return Side(run, name, predictor, evaluation, predictor.run.read_metrics())


def _report(
    sides: list[Side], examples: list[Example], name: str, resamples: int
) -> dict[str, Any]:
    from numpy import isnan

    from ..data.load import aligned
    from ..metrics.bootstrap import between, compared, interval
    from ..metrics.bootstrap import compare as paired

    pairs = aligned(sides[0].predictor.task.needs)
    drawn = (
        []
        if pairs
        else [scored_anew(side.evaluation, examples, resamples, side.predictor) for side in sides]
    )
    lines = [line_statistics(side.evaluation, examples) for side in sides] if pairs else []
    runs = []
    for place, side in enumerate(sides):
        scores = side.evaluation.scores.values
        values: dict[str, Any] = {"run": side.run, "metrics": scores, "training": _training(side)}
        if pairs:
            own = {key: interval(*one, resamples) for key, one in lines[place].items()}
            both = (
                {
                    key: paired(lines[0][key][0], *one, resamples)
                    for key, one in lines[place].items()
                    if key in lines[0]
                }
                if place
                else {}
            )
        else:
            own = {
                key: between(scores[key], one) for key, one in drawn[place].items() if key in scores
            }
            first = sides[0].evaluation.scores.values
            shared = [key for key in own if key in drawn[0] and key in first] if place else []
            shared = [key for key in shared if not isnan(drawn[place][key] - drawn[0][key]).all()]
            both = {
                key: compared((first[key], scores[key]), (drawn[0][key], drawn[place][key]), 1)
                for key in shared
            }
        values["intervals"] = {key: one.to_json() for key, one in own.items()}
        if place:
            values["against_first"] = {key: one.to_json() for key, one in both.items()}
        values["bleu_by_source_length"] = _by_length(side, examples, resamples) if pairs else []
        runs.append(values)
    return {
        "task": sides[0].predictor.task.name,
        "split": name,
        "examples": len(examples),
        "runs": runs,
        "validation_at_equal_cost": _equal_cost(sides),
        "signature": sides[0].evaluation.scores.signature,
    }


def _by_length(side: Side, examples: list[Example], resamples: int) -> list[dict[str, Any]]:
    """Return BLEU by length of the source; nothing where several target languages are mixed."""
    from ..metrics.by_length import bleu_by_length

    languages = {example.target_language or "" for example in examples}
    if len(languages) > 1:
        return []
    buckets = bleu_by_length(
        [example.source or "" for example in examples],
        [one.text for one in side.evaluation.predictions],
        [example.target or "" for example in examples],
        languages.pop(),
        resamples=resamples,
    )
    return [{"words": one.name, "lines": one.lines, **one.bleu.to_json()} for one in buckets]


def _training(side: Side) -> dict[str, Any]:
    steps = [line for line in side.lines if line.get("split") == "train"]
    last: dict[str, Any] = max(side.lines, key=lambda line: line.get("step", 0), default={})
    speeds = [line["tokens_per_second"] for line in steps if line.get("tokens_per_second")]
    config, answers = side.predictor.config, side.evaluation
    rate = (
        None if answers.seconds is None else len(answers.predictions) / max(answers.seconds, 1e-9)
    )
    return {
        "parameters": config.parameters if config else 0,
        "updates": last.get("step", 0),
        "minutes": round(last.get("seconds", 0.0) / 60, 2),
        "tokens_per_second": round(median(speeds), 1) if speeds else None,
        "answers_per_second": None if rate is None else round(rate, 1),
        "answering_threads": answers.threads,
    }


def _equal_cost(sides: list[Side]) -> list[dict[str, Any]]:
    """Compare validations at equal cost.

    Returns:
        The last validation of each run before the smallest number of updates, and before the
        smallest number of minutes, that any run had (up to 1 % later is accepted).
    """
    found = []
    for cost, unit, share in (("step", "updates", 1), ("seconds", "minutes", 60)):
        curves = [
            [line for line in side.lines if line.get("split") == "validation" and cost in line]
            for side in sides
        ]
        if not all(curves):
            return []
        limit = min(max(line[cost] for line in curve) for curve in curves)
        at = [
            max(
                (line for line in curve if line[cost] <= 1.01 * limit),
                key=lambda line: line[cost],
                default=None,
            )
            for curve in curves
        ]
        wanted = [*list(sides[0].evaluation.scores.values)[:2], "loss", "step", "seconds"]
        scores = [
            {key: line[key] for key in wanted if key in line} if line else None for line in at
        ]
        found.append({"at": f"{limit / share:,.4g} {unit}", "runs": scores})
    return found


def _print(report: dict[str, Any], sides: list[Side]) -> None:
    runs = report["runs"]
    put(
        field(
            translated(
                message(
                    "{task}, {split}, {count:,} examples; [95 % by bootstrap]",
                    task=report["task"],
                    split=Message(report["split"]),
                    count=report["examples"],
                )
            )
        ),
        end="\n\n",
    )
    rows = [["", *(side.name for side in sides)]]
    for key in runs[0]["metrics"]:
        rows.append([key, *(_score(run, key) for run in runs)])
    for key in list(runs[0]["metrics"])[:1] + ["exact_match"] * ("bleu" in runs[0]["metrics"]):
        if any(key in run.get("against_first", {}) for run in runs[1:]):
            rows.append(
                [
                    translated(message("{key}, against the first", key=key)),
                    "",
                    *(_difference(run["against_first"].get(key)) for run in runs[1:]),
                ]
            )
    for key in runs[0]["training"]:
        name = translated(ROWS.get(key, key.replace("_", " ")))
        rows.append([name, *(_number(run["training"][key]) for run in runs)])
    put(table(rows))
    if runs[0]["bleu_by_source_length"]:
        heads = message("BLEU by words of the source"), message("lines")
        rows = [[*map(translated, heads), *(side.name for side in sides)]]
        for buckets in zip(*(run["bleu_by_source_length"] for run in runs), strict=True):
            scores = (
                f"{one['value']:.1f} [{one['low']:.1f}, {one['high']:.1f}]" for one in buckets
            )
            rows.append([buckets[0]["words"], f"{buckets[0]['lines']:,}", *scores])
        put(f"\n{table(rows)}")
    for point in report["validation_at_equal_cost"]:
        main = next(iter(runs[0]["metrics"]))
        scores = [
            ", ".join(
                f"{key} {one[key]:.{3 if key == 'loss' else 2}f}"
                for key in dict.fromkeys((main, "loss"))
                if key in one
            )
            if one
            else translated(message("none yet"))
            for one in point["runs"]
        ]
        pairs = "; ".join(
            f"{side.name}: {score}" for side, score in zip(sides, scores, strict=True)
        )
        words = message("Validation at {at}: {scores}", at=point["at"], scores=field(pairs))
        put(f"\n{translated(words)}")
    put(f"\n{field(report['signature'])}")


def _score(run: dict[str, Any], key: str) -> str:
    value, drawn = run["metrics"].get(key), run["intervals"].get(key)
    if value is None:
        return ""
    return f"{value:.2f}" + (f" [{drawn['low']:.2f}, {drawn['high']:.2f}]" if drawn else "")


def _difference(found: dict[str, Any] | None) -> str:
    return (
        "" if found is None else f"{found['difference']['value']:+.2f} (p = {found['p_value']:.3f})"
    )


def _number(value: object) -> str:
    return (
        ""
        if value is None
        else f"{value:,.0f}"
        if isinstance(value, float) and value >= 100
        else f"{value:,}"
    )


def _write_page(
    html: Path,
    sides: list[Side],
    examples: list[Example],
    text: str | None,
    to: str | None,
    changes: dict[str, Any],
) -> None:
    from ..data.example import FIELDS
    from ..inspection.html import write

    given: str | dict[str, object] | None = text
    if given is None:
        names = [
            name
            for name in sides[0].predictor.task.needs
            if FIELDS[name].role == "input" and FIELDS[name].text
        ]
        chosen = sorted(examples, key=lambda example: len(getattr(example, names[-1]) or ""))[
            len(examples) // 2
        ]
        given, to = {name: getattr(chosen, name) for name in names}, to or chosen.target_language
    traces = [side.predictor.trace(given, to=to, label=side.name, **changes) for side in sides]
    write(html, traces, language=page_language())
    tell_written(html)
