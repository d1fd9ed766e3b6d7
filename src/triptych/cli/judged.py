"""Run `evaluate --as`: a language model on a set of another task, without training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..data.example import Example
from ..errors import UsageError, unknown
from ..messages import message
from .console import Counting, talk
from .judging import UNJUDGED, JudgementOutput, Judging, Tried
from .predict import decoding_changes
from .prompting import notice, unescaped

if TYPE_CHECKING:
    from ..data.table import DataTable
    from ..inference.few_shot import FewShot
    from ..inference.predictor import Predictor

MOST_CHOICES = 200  # labels that are taken from the data without --choices


@dataclass(frozen=True)
class Asked:
    """Hold a request to try a run on a set.

    Args:
        data: How the set is read.
        settings: Changes of decoding, for answers that are written.
    """

    predictor: Predictor
    split: str
    files: list[str]
    judging: Judging
    data: DataTable
    settings: Mapping[str, str]

    @property
    def kind(self) -> str:
        return str(self.judging.as_)

    def shots(self, worked: Sequence[Example], template: str) -> FewShot:
        """Return worked examples in the template that is given, or else this one."""
        from ..inference.few_shot import FewShot

        own = unescaped(self.judging.template) or template
        return FewShot(self.predictor, worked, own, self.judging.turns)

    def manner(self, worked: int, shots: FewShot) -> str:
        """Return how prompts were made, for a signature."""
        written = shots.template
        text = f"{written.before}{{text}}{written.between}{{label}}{written.after}"
        turns = ", turns" if self.judging.turns else ""
        return f"{worked} examples, template:{text!r}{turns}"


def judge_run(
    predictor: Predictor,
    split: str,
    files: list[str] | None,
    judging: Judging,
    overrides: Mapping[str, str],
    output: JudgementOutput,
) -> int:
    """Run `evaluate --as`: the scores of a run beside those of chance."""
    from ..data.hub.data_sets import located_name

    _refuse(predictor, judging)
    given = [name for part in files or [] for name in part.split(",")]
    names = [located_name(one, split, talk) for one in given]
    data, settings = _parted(judging, overrides)
    asked = Asked(predictor, split, names, judging, data, settings)
    judge = {"classification": _labels, "multiple-choice": _choices}.get(asked.kind, _written)
    judge(asked, output.resamples or 0).put(asked.kind, output)
    return 0


def _refuse(predictor: Predictor, judging: Judging) -> None:
    """Raise UsageError for a run that writes nothing, and for flags that do nothing."""
    if predictor.task.spec.architecture != "decoder":
        raise UsageError(
            "--as is for a run that generates text; this one is for {task}. Leave out --as.",
            task=predictor.task.name,
        )
    if judging.limit is not None and judging.limit < 1:
        raise UsageError("--limit is {limit}; it must be 1 or more.", limit=judging.limit)
    idle = {
        "classification": (),
        "multiple-choice": ("choices",),
    }.get(str(judging.as_), ("choices", "normalise"))
    for flag in idle:
        if getattr(judging, flag) != getattr(UNJUDGED, flag):
            raise UsageError(
                "--{flag} has no effect with --as {task}. Leave it out.",
                flag=flag,
                task=str(judging.as_),
            )


def _parted(judging: Judging, overrides: Mapping[str, str]) -> tuple[DataTable, dict[str, str]]:
    """Return how the set is read, and changes of decoding.

    Raises UsageError for other overrides, and for those of decoding where nothing is written.
    """
    from ..data.table import DataTable
    from ..inference.few_shot_tasks import KINDS
    from ..recipe.schema import nested

    kind = KINDS.get(str(judging.as_))
    settings = {key: value for key, value in overrides.items() if key.startswith("decoding.")}
    others = {key: value for key, value in overrides.items() if key not in settings}
    given = nested(others, task="classification" if kind is None else kind.task)
    wrong = [key for key in others if not key.startswith("data.")]
    wrong += list(settings) if kind is None else []
    if wrong:
        raise UsageError(
            f"--{wrong[0]} has no effect with --as, which reads only --data.KEY."
            if kind is None
            else f"--{wrong[0]} has no effect with --as {judging.as_}, which reads only "
            "--data.KEY and --decoding.KEY."
        )
    return DataTable(**given.get("data", {})), settings


# Data ---------------------------------------------------------------------------------------------


def _texts(asked: Asked, needs: tuple[str, ...]) -> tuple[list[Example], str]:
    """Return the texts to try and what they are called. Raise UsageError if there are none."""
    from ..data.load import evenly_spaced, load_split

    data, split = asked.data, asked.split
    if asked.files:
        found, name = _read(asked.files, data, needs), ", ".join(asked.files)
    else:
        found = load_split(data, split, talk, needs)
        name = split if data.set is None else f"{data.set} {split}"
    if not found:
        what = "text with a label" if "label" in needs else "usable example"
        raise UsageError(f"There is nothing to judge: {name} has no {what}.")
    return list(evenly_spaced(found, asked.judging.limit)), name


def _read(files: list[str], data: DataTable, needs: tuple[str, ...]) -> list[Example]:
    """Read files in the formats of a task."""
    from ..data.formats.pairs import read
    from ..data.formats.references import to_score
    from ..data.load import aligned, files_of, reader_of

    if not aligned(needs):
        return to_score(reader_of(needs)(files, data, needs, talk), needs)
    target = data.target[0] if isinstance(data.target, list) else data.target
    return list(read(files_of(files, data), data.source, target, talk))


def _worked(
    asked: Asked,
    needs: tuple[str, ...],
    shown: Callable[[Sequence[Example]], list[Example]] = list,
) -> list[Example]:
    """Return the worked examples: those of a file, or some drawn from the training part."""
    from ..data.load import load_split
    from ..inference.few_shot import drawn, read_examples

    count = asked.judging.examples or "0"
    if not count.isascii() or not count.isdigit():
        return read_examples(count)
    if not int(count):
        return []
    data = asked.data
    if asked.files and data.set is None and data.train is None:
        raise UsageError(
            f"--examples {count} draws from a training part, but --data names none. Give a file "
            "of examples."
        )
    return drawn(shown(load_split(data, "train", None, needs)), int(count), by_label=shown is list)


# Kinds --------------------------------------------------------------------------------------------


def _labels(asked: Asked, resamples: int) -> Tried:
    """Judge one of the same labels for each text: accuracy beside the share of the largest."""
    from ..inference.few_shot import TEMPLATE, judge
    from ..metrics.classification import SIGNATURES, accuracy, f1

    judging, needs = asked.judging, ("text", "label")
    examples, name = _texts(asked, needs)
    worked = _worked(asked, needs)
    shots = asked.shots(worked, TEMPLATE)
    gold = [example.label or "" for example in examples]
    choices = _words(judging.choices, [*gold, *(example.label or "" for example in worked)])
    talk(
        f"Judging {len(examples):,} texts of {name}, {len(choices)} labels, {len(worked)} "
        "examples in the prompt."
    )
    found = judge(shots, [example.text or "" for example in examples], choices, judging.normalise)
    notice([one.dropped for one in found], len(worked), shots.context)
    predicted = [one.label for one in found]
    scorers = {"accuracy": accuracy, "f1_macro": f1}

    def score(places: Sequence[int]) -> dict[str, float]:
        own = [predicted[place] for place in places], [gold[place] for place in places]
        return {key: scorer(*own) for key, scorer in scorers.items()}

    metrics = score(range(len(gold)))
    ends = _ends(score, metrics, len(gold), resamples)
    metrics["majority"] = 100.0 * max(Counter(gold).values()) / len(gold)
    signature = (
        f"accuracy = {SIGNATURES['accuracy']}; majority = share of the most frequent label of the "
        f"scored texts; judged by likelihood, normalise:{judging.normalise}, "
        f"{asked.manner(len(worked), shots)}"
    )
    return Tried(name, len(found), metrics, {}, signature, ends, predicted)


def _choices(asked: Asked, resamples: int) -> Tried:
    """Judge which of its own choices answers each question."""
    from ..data.load import evenly_spaced
    from ..inference.few_shot import drawn, judge
    from ..inference.few_shot_tasks import CHOICES_TEMPLATE, chance_of, choices_of, read_choices

    judging = asked.judging
    if not asked.files or asked.data.set is not None:
        raise UsageError(
            "--as multiple-choice reads your own file: give --data FILE.jsonl, whose lines have "
            "text, choices and answer."
        )
    whole = [one for file in asked.files for one in read_choices(file)]
    questions, name = evenly_spaced(whole, judging.limit), ", ".join(asked.files)
    count, train = judging.examples or "0", asked.data.train
    if not count.isascii() or not count.isdigit():
        worked = [one.example() for one in read_choices(count)]
    elif int(count) and train is None:
        raise UsageError(
            f"--examples {count} draws from a training part, but --data.train names none. Give it, "
            "or a file of examples."
        )
    else:
        names = [train] if isinstance(train, str) else list(train or [])
        pool = [one.example() for file in names for one in read_choices(file)] if int(count) else []
        worked = drawn(pool, int(count), by_label=False)
    shots = asked.shots(worked, CHOICES_TEMPLATE)
    talk(
        message(
            "Judging {count:,} questions of {name}, {worked} examples in the prompt.",
            count=len(questions),
            name=name,
            worked=len(worked),
        )
    )
    found = judge(shots, [one.text for one in questions], choices_of(questions), judging.normalise)
    notice([one.dropped for one in found], len(worked), shots.context)
    right = [
        100.0 * (one.label == question.answer)
        for one, question in zip(found, questions, strict=True)
    ]

    def score(places: Sequence[int]) -> dict[str, float]:
        return {"accuracy": sum(right[place] for place in places) / len(places)}

    metrics = score(range(len(right)))
    signature = (
        "accuracy = share of questions whose right choice is judged the most probable (0-100); "
        f"judged by likelihood, normalise:{judging.normalise}, {asked.manner(len(worked), shots)}"
    )
    ends = _ends(score, metrics, len(right), resamples)
    chance = {"accuracy": chance_of(questions)}
    return Tried(name, len(found), metrics, chance, signature, ends, [one.label for one in found])


def _written(asked: Asked, resamples: int) -> Tried:
    """Write an answer to each text, and score it as the task of the set does."""
    from ..inference.few_shot_tasks import KINDS, try_writing

    kind = KINDS[asked.kind]
    task = kind.build()
    examples, name = _texts(asked, task.needs)
    worked = _worked(asked, task.needs, kind.written)
    shots = asked.shots(worked, kind.template_of(examples))
    settings = asked.predictor.settings(**decoding_changes(dict(asked.settings)))
    talk(
        message(
            "Answering {count:,} examples of {name}, {worked} examples in the prompt.",
            count=len(examples),
            name=name,
            worked=len(worked),
        )
    )
    with Counting(len(examples), message("examples")) as counting:
        done = counting.begin(message("Answering"))
        trial = try_writing(shots, kind, examples, settings, done)
    notice(trial.dropped, len(worked), shots.context)
    if trial.cut:
        talk(
            message(
                "{count:,} answers were cut off at the maximum length (see --decoding.max_length).",
                count=trial.cut,
            )
        )

    def score(places: Sequence[int]) -> dict[str, float]:
        own = [trial.answers[place] for place in places], [examples[place] for place in places]
        return task.score(*own, {}).values

    metrics = trial.scores.values
    ends = _ends(score, metrics, len(examples), resamples)
    signature = (
        f"{trial.scores.signature}; chance = the references, dealt to other texts at random; "
        f"{asked.manner(len(worked), shots)}"
    )
    answers = [one.text for one in trial.answers]
    return Tried(name, len(answers), metrics, trial.chance, signature, ends, answers)


def _ends(
    score: Callable[[list[int]], Mapping[str, float]],
    metrics: Mapping[str, float],
    count: int,
    resamples: int,
) -> dict[str, tuple[float, float]]:
    """Return the ends of each metric's 95 % interval."""
    from ..metrics.bootstrap import between, redrawn

    drawn = redrawn(score, count, resamples)
    found = ((key, between(metrics[key], each)) for key, each in drawn.items() if key in metrics)
    return {key: (one.low, one.high) for key, one in found}


def _words(given: str | None, labels: Sequence[str]) -> dict[str, str]:
    """Return the words of each label.

    Raises:
        UsageError: A label of the data is missing from --choices.
    """
    known = sorted(set(labels))
    if given is None:
        if len(known) > MOST_CHOICES:
            raise UsageError(
                f"The data has {len(known):,} labels. Name those to choose from with --choices."
            )
        return {label: label for label in known}
    pairs = [part.partition("=") for part in given.split(",")]
    choices = {label.strip(): (words if sign else label).strip() for label, sign, words in pairs}
    for label in known:
        if label not in choices:
            raise unknown("label", label, choices, "in the data; --choices names others")
    return choices
