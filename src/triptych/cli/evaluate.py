"""Run `triptych evaluate`: score a run's answers against references."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..data.sets.entry import SplitName
from ..errors import DataError, UsageError
from .columns import AS_FOUND, ReadingFlags
from .console import Counting, field, put, table, talk
from .predict import Precision, decoding_changes, load_run
from .prompting import UNJUDGED, JudgementOutput, Judging, judge_run, write_answers
from .threads import thread_notes

if TYPE_CHECKING:
    import numpy as np

    from ..data.example import Example
    from ..inference.evaluation import Evaluation
    from ..inference.predictor import Predictor


def evaluate(
    run: str,
    /,
    *,
    split: SplitName = "test",
    data: list[str] | None = None,
    to: str | None = None,
    json_: Annotated[bool, Parameter(name="--json")] = False,
    bootstrap: int | None = None,
    predictions: Path | None = None,
    precision: Precision = "float32",
    judging: Annotated[Judging, Parameter(name="*")] = UNJUDGED,
    reading: Annotated[ReadingFlags, Parameter(name="*")] = AS_FOUND,
    overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:
    """Score a run on its own test split, or on other data.

    Answers are decoded as the recipe's table [decoding] says. With --data.leaks test, texts of a
    public set that are in its training part too are left out of the test.

    Parameters
    ----------
    run
        Folder of a trained run.
    split
        Which part of the run's data to score.
    data
        Another file like those of the run, or two aligned files: --data a.en --data a.de.
    to
        Score only this target language; or the language of --data, for a run with several.
    json_
        Print one JSON object as the last line.
    bootstrap
        Add 95 % intervals, from this many random resamples of the texts, for example 1000.
    predictions
        Write the answers to this file, one per line; those of a parser as CoNLL-U.
    precision
        Precision of the arithmetic; auto uses bfloat16 where the processor is faster with it.
    """
    if bootstrap is not None and bootstrap < 1:
        raise UsageError(f"--bootstrap is {bootstrap}; it must be 1 or more, for example 1000.")
    predictor = load_run(run, precision)
    if judging.as_ is not None:
        output = JudgementOutput(json_, bootstrap, predictions)
        return judge_run(predictor, split, data, judging, overrides or {}, output)
    if judging != UNJUDGED:
        raise UsageError(
            "--examples, --template, --choices and --normalise configure how a language model is "
            "judged. Give --as classification with them."
        )
    by_losses = predictor.task.spec.by_losses
    if by_losses and predictions is not None:
        raise UsageError(
            f"A run for {predictor.task.name} is scored by its losses and gives no answers to "
            "write. Leave out --predictions."
        )
    overrides, changed = _parted(overrides or {}, reading)
    examples, name = chosen_examples(predictor, split, data, to, changed)
    settings = predictor.settings(**decoding_changes(overrides))
    how = f" with {settings.beams} beams" if settings.beams > 1 and not by_losses else ""
    talk(
        f"{'Scoring' if by_losses else 'Answering'} {len(examples):,} examples of {name}{how}. "
        f"{' '.join(thread_notes())}"
    )
    began = time.monotonic()
    with Counting(len(examples), "examples") as counting:
        evaluation = predictor.evaluate(examples, settings, counting.begin)
    seconds = time.monotonic() - began
    if cut := sum(prediction.cut for prediction in evaluation.predictions):
        talk(f"{cut:,} answers were cut off at the maximum length (see --decoding.max_length).")
    if unread := sum(bool(one.truncated_input_tokens) for one in evaluation.predictions):
        talk(f"Truncated: {unread:,} inputs, which are longer than this run reads.")
    if predictions is not None:
        write_answers(
            predictions, [one.text for one in evaluation.predictions], predictor.task.spec.block
        )
    intervals = (
        {
            key: list(pair)
            for key, pair in bootstrapped(evaluation, examples, bootstrap, predictor).items()
        }
        if bootstrap
        else {}
    )
    _print(predictor, evaluation, name, len(examples), intervals, seconds, json_)
    return 0


def _parted(
    overrides: Mapping[str, str], reading: ReadingFlags
) -> tuple[dict[str, str], dict[str, object]]:
    """Part overrides into those of decoding, and those that say how the data is read."""
    leaks = {key: value for key, value in overrides.items() if key == "data.leaks"}
    rest = {key: value for key, value in overrides.items() if key not in leaks}
    return rest, reading.overrides() | leaks


def _print(
    predictor: Predictor,
    evaluation: Evaluation,
    name: str,
    count: int,
    intervals: dict[str, list[float]],
    seconds: float,
    as_json: bool,
) -> None:
    scores = evaluation.scores
    if as_json:
        values: dict[str, object] = {
            "task": predictor.task.name,
            "split": name,
            "examples": count,
            "metrics": scores.values,
            "signature": scores.signature,
        }
        put(
            json.dumps(values | ({"intervals": intervals} if intervals else {}), ensure_ascii=False)
        )
        return
    rows = []
    for key, value in scores.values.items():
        low_high = intervals.get(key)
        rows.append([key, f"{value:.4f}" if key in ("loss", "perplexity") else f"{value:.2f}",
                     f"[{low_high[0]:.2f}, {low_high[1]:.2f}]" if low_high else ""])  # fmt: skip
    put(table(rows))
    for key, signature in scores.signatures.items():
        put(field(f"{key}: {signature}"))
    answering = (
        ""
        if evaluation.seconds is None
        else f", answering took {evaluation.seconds:.1f} s on {evaluation.threads} threads"
    )
    talk(f"{count:,} examples in {seconds:.1f} s{answering}.")


def chosen_examples(
    predictor: Predictor,
    split: str,
    data: list[str] | None,
    to: str | None,
    changed: Mapping[str, object] | None = None,
) -> tuple[list[Example], str]:
    """Return the examples to score and a name for them.

    Raises:
        UsageError: The request does not fit the run.
        DataError: There are no examples to score.
    """
    from ..data.formats.pairs import read
    from ..data.formats.references import to_score
    from ..data.load import aligned, files_of, fitting, load_split, reader_of
    from ..errors import unknown
    from ..recipe.schema import Recipe

    assert predictor.run is not None, "a loaded run has a folder"
    languages = predictor.languages
    targets, needs = languages.get("targets", []), predictor.task.needs
    if to is not None and to not in targets:
        raise unknown("target language", to, targets, f"of {predictor.run.path}")
    recipe = Recipe.load(predictor.run.path, changed or {})
    if data:
        if to is None and len(targets) > 1 and aligned(needs):
            raise UsageError(
                "This run translates into several languages. Name the one of --data with --to: "
                f"{', '.join(targets)}."
            )
        names = [name for part in data for name in part.split(",")]
        name, table = ", ".join(names), fitting(recipe.data, names, talk)
        if not aligned(needs):
            examples = to_score(reader_of(needs)(names, table, needs, talk), needs)
        else:
            source = languages.get("source", [])
            target = to or (targets[0] if targets else None)
            examples = read(files_of(names, table), source[0] if source else None, target, talk)
    else:
        examples, name = load_split(recipe.data, split, talk, needs), split
    if to is not None and not (data and aligned(needs)):
        examples = [example for example in examples if example.target_language == to]
    if not examples:
        raise DataError(
            f"There is nothing to score: {name} has no example with {' and '.join(needs)}."
        )
    return examples, name


def bootstrapped(
    evaluation: Evaluation, examples: list[Example], resamples: int, predictor: Predictor
) -> dict[str, tuple[float, float]]:
    """Return the ends of each metric's 95 % interval.

    Translations into one language use sums over lines where a metric is such a sum; everything else
    is scored again on every resample.
    """
    from ..data.load import aligned
    from ..metrics.bootstrap import between, interval

    if aligned(predictor.task.needs):
        found = {
            key: interval(*each, resamples)
            for key, each in line_statistics(evaluation, examples).items()
        }
    else:
        drawn, known = (
            scored_anew(evaluation, examples, resamples, predictor),
            evaluation.scores.values,
        )
        found = {key: between(known[key], each) for key, each in drawn.items() if key in known}
    return {key: (one.low, one.high) for key, one in found.items()}


def scored_anew(
    evaluation: Evaluation, examples: list[Example], resamples: int, predictor: Predictor
) -> dict[str, np.ndarray]:
    """Return every metric of the task on each resample of the examples (resamples,).

    The resamples are the same for all runs. A task that is scored by its losses gives the losses.
    """
    from ..inference.evaluation import means
    from ..metrics.bootstrap import redrawn

    task = predictor.task
    sums = predictor.losses_of_each(examples) if task.spec.by_losses else None

    def score(places: list[int]) -> dict[str, float]:
        losses = means(*(sums[place] for place in places)) if sums is not None else {}
        return task.score(
            [evaluation.predictions[place] for place in places],
            [examples[place] for place in places],
            losses,
        ).values

    return redrawn(score, len(examples), resamples)


def line_statistics(evaluation: Evaluation, examples: list[Example]) -> dict[str, tuple[Any, Any]]:
    """Return for each metric what each line adds, and how the sum becomes a score.

    With several languages `bleu_<language>` is left out, because a mean over languages is not a sum
    over lines.
    """
    from ..metrics.bleu import bleu_of, bleu_statistics, chrf_of, chrf_statistics
    from ..metrics.bootstrap import exact_statistics, mean

    languages = {example.target_language or "" for example in examples}
    texts, references = (
        [one.text for one in evaluation.predictions],
        [example.target or "" for example in examples],
    )
    found: dict[str, tuple[Any, Any]] = {}
    known = evaluation.scores.values
    if len(languages) == 1:
        language = languages.pop()
        if "bleu" in known:
            found["bleu"] = (bleu_statistics(texts, references, language), bleu_of)
        if "bleu_tokenized_lowercased" in known:
            statistics = bleu_statistics(texts, references, language, tokenized=True)
            found["bleu_tokenized_lowercased"] = (statistics, bleu_of)
    if "chrf" in known and len(languages) <= 1:
        found["chrf"] = (chrf_statistics(texts, references), chrf_of)
    if "exact_match" in known and len(languages) <= 1:
        found["exact_match"] = (exact_statistics(texts, references), mean)
    return found
