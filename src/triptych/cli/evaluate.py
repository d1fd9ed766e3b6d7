"""Run `triptych evaluate`: score a run's answers against references."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..data.sets.entry import SplitName
from ..errors import DataError, UsageError
from ..messages import Message, conjoined, listed, message, sentences
from .columns import AS_FOUND, ReadingFlags
from .console import Counting, talk
from .judged import judge_run
from .judging import UNJUDGED, JudgementOutput, Judging, write_answers
from .language import help_text
from .outputs import refuse_output, refuse_page
from .predict import EngineName, Precision, decoding_changes, load_run
from .threads import thread_notes

if TYPE_CHECKING:
    import numpy as np

    from ..data.example import Example
    from ..inference.evaluation import Evaluation
    from ..inference.predictor import Predictor
    from ..tasks.task import Prediction


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """Hold the flags that show more than the scores."""

    html: Annotated[
        Path | None,
        Parameter(
            help=help_text(
                "Write a page with the scores of each class, the confusion matrix and the surest "
                "mistakes to this file."
            )
        ),
    ] = None
    baseline: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text(
                "Also learn and score a simple model on the same data: TF-IDF under a linear model "
                "(needs scikit-learn), or the most frequent tag of each word. The model card keeps "
                "the result."
            ),
        ),
    ] = False


@dataclass(frozen=True)
class Asked:
    """Hold what is scored and where the results go."""

    split: str
    data: list[str] | None
    to: str | None
    as_json: bool
    bootstrap: int | None
    predictions: Path | None
    comparing: Comparing


SCORES_ALONE = Comparing()


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
    engine: EngineName = "native",
    comparing: Annotated[Comparing, Parameter(name="*")] = SCORES_ALONE,
    judging: Annotated[Judging, Parameter(name="*")] = UNJUDGED,
    reading: Annotated[ReadingFlags, Parameter(name="*")] = AS_FOUND,
    overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:
    """Score a run on its own test data, or on other data.

    Answers are generated as the table [decoding] of the run's recipe says. --data.leaks test
    leaves out test texts of a public data set that are also in its training part.

    Parameters
    ----------
    run
        Folder of a trained run.
    split
        Which part of the run's data is scored.
    data
        Another file like those of the run, two aligned files (--data a.en --data a.de), or a data
        set of the hub (hf:org/name#SPLIT).
    to
        For a run with several target languages: score only this one, or say which one --data has.
    json_
        Print one JSON object as the last line.
    bootstrap
        Add 95 % confidence intervals from this many random resamples, for example 1000.
    predictions
        Write the answers to this file, one per line (of a parser: as CoNLL-U).
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    _refuse_wrong(bootstrap, comparing.html, predictions)
    reading.begin()
    predictor = load_run(run, precision, engine=engine)
    if judging.as_ is not None:
        _refuse_beside_judging(comparing)
        output = JudgementOutput(json_, bootstrap, predictions)
        return judge_run(predictor, split, data, judging, overrides or {}, output)
    _refuse_judging(judging)
    asked = Asked(split, data, to, json_, bootstrap, predictions, comparing)
    _refuse_idle(predictor, asked)
    return _evaluate(predictor, asked, overrides or {}, reading)


def _refuse_wrong(bootstrap: int | None, html: Path | None, predictions: Path | None) -> None:
    """Raise UsageError for flags that cannot be, before a run is loaded."""
    if bootstrap is not None and bootstrap < 1:
        raise UsageError(
            "--bootstrap is {bootstrap}; it must be 1 or more, for example 1000.",
            bootstrap=bootstrap,
        )
    refuse_page(html)
    refuse_output(predictions, "--predictions")


def _refuse_beside_judging(comparing: Comparing) -> None:
    """Raise UsageError for flags that --as does not take."""
    given = [name for name in ("html", "baseline") if getattr(comparing, name)]
    if given:
        raise UsageError("--{flag} has no effect with --as. Leave it out.", flag=given[0])


def _refuse_judging(judging: Judging) -> None:
    """Raise UsageError for flags that do nothing without --as."""
    if judging != UNJUDGED:
        raise UsageError(
            message(
                "--examples, --template, --turns, --limit, --choices and --normalise configure how "
                "a language model is judged. Give --as TASK with them."
            )
        )


def _refuse_idle(predictor: Predictor, asked: Asked) -> None:
    """Raise UsageError, before anything is answered, for what a task does not give."""
    task = predictor.task
    if task.spec.by_losses and asked.predictions is not None:
        raise UsageError(
            "A run for {task} is scored by its losses and gives no answers to write. Leave out "
            "--predictions.",
            task=task.name,
        )
    if asked.comparing.html is not None and task.break_down is None:
        raise UsageError(
            "--html shows the scores of classes or of tags; a run for {task} with these options "
            "has none. Leave it out.",
            task=task.name,
        )
    if asked.comparing.baseline:
        from ..inference.baseline import refuse_without_baseline

        refuse_without_baseline(task)


def _evaluate(
    predictor: Predictor, asked: Asked, overrides: Mapping[str, str], reading: ReadingFlags
) -> int:
    """Answer, score, compare and print."""
    from .evaluate_shown import Result, keep, put_result, write_page

    by_losses = predictor.task.spec.by_losses
    of_decoding, changed = _parted(overrides, reading)
    examples, name = chosen_examples(predictor, asked.split, asked.data, asked.to, changed)
    settings = predictor.settings(**decoding_changes(of_decoding))
    _tell_begun(len(examples), name, settings.beams, by_losses)
    if by_losses and predictor.engine is not None:
        talk(message("Losses are computed by Triptych itself, not by the engine."))
    began = time.monotonic()
    with Counting(len(examples), message("examples")) as counting:
        evaluation = predictor.evaluate(examples, settings, counting.begin)
    seconds = time.monotonic() - began
    _tell_cut(evaluation.predictions)
    if asked.predictions is not None:
        answers = [one.text for one in evaluation.predictions]
        write_answers(asked.predictions, answers, predictor.task.spec.block)
    intervals: dict[str, tuple[float, float]] = {}
    if asked.bootstrap:
        intervals = bootstrapped(evaluation, examples, asked.bootstrap, predictor)
    result = Result.of(
        predictor,
        evaluation,
        examples,
        name,
        intervals=intervals,
        seconds=seconds,
        own=asked.data is None,
        with_baseline=asked.comparing.baseline,
    )
    put_result(result, asked.as_json)
    if asked.comparing.html is not None:
        write_page(asked.comparing.html, result)
    if asked.comparing.baseline and asked.data is None and asked.split == "test":
        keep(result)
    return 0


def _tell_begun(count: int, name: str, beams: int, by_losses: bool) -> None:
    """Say what is done with how many examples, and on how many threads."""
    how = message(" with {count} beams", count=beams) if beams > 1 and not by_losses else ""
    given = {"count": count, "name": Message(name), "how": how}
    begun = (
        message("Scoring {count:,} examples of {name}{how}.", **given)
        if by_losses
        else message("Answering {count:,} examples of {name}{how}.", **given)
    )
    talk(sentences([begun, *thread_notes()]))


def _tell_cut(predictions: Sequence[Prediction]) -> None:
    """Say how many answers were cut off, and how many inputs were."""
    if cut := sum(prediction.cut for prediction in predictions):
        talk(
            message(
                "{count:,} answers were cut off at the maximum length (see --decoding.max_length).",
                count=cut,
            )
        )
    if unread := sum(bool(one.truncated_input_tokens) for one in predictions):
        talk(
            message(
                "Truncated: {count:,} inputs, which are longer than this run reads.", count=unread
            )
        )


def _parted(
    overrides: Mapping[str, str], reading: ReadingFlags
) -> tuple[dict[str, str], dict[str, object]]:
    """Part overrides into those of decoding, and those that say how the data is read."""
    leaks = {key: value for key, value in overrides.items() if key == "data.leaks"}
    rest = {key: value for key, value in overrides.items() if key not in leaks}
    return rest, reading.overrides() | leaks


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
    from ..data.hub.data_sets import located_name
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
                "{targets}.",
                targets=listed(targets),
            )
        given = [name for part in data for name in part.split(",")]
        name, names = ", ".join(given), [located_name(one, split, talk) for one in given]
        table = fitting(recipe.data, names, talk)
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
            "There is nothing to score: {name} has no example with {needs}.",
            name=Message(name),
            needs=conjoined(needs),
        )
    return list(examples), name


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
        if sums is not None and not losses["count"]:
            return {}  # none of these examples has a token that is learnt
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
