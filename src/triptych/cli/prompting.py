"""Define the flags that build a language model's prompt: suffix, worked examples, labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ..errors import UsageError, unknown
from .console import field, put, table, talk
from .inputs import read_passage
from .language import help_text

if TYPE_CHECKING:
    from ..data.example import Example
    from ..decoding.settings import DecodingSettings
    from ..inference.few_shot import FewShot, Judgement
    from ..inference.predictor import Predictor

MOST_CHOICES = 200  # labels that are taken from the data without --choices


@dataclass(frozen=True, kw_only=True)
class Prompting:
    """Hold the flags that go with the texts to be continued."""

    suffix: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "For a run trained to fill in the middle: a file or a text that follows; what "
                "belongs between is generated."
            )
        ),
    ] = None
    examples: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "For a run that continues texts: a file of worked examples (TSV or JSONL: text and "
                "label, or input and answer) that is put before every text."
            )
        ),
    ] = None
    template: Annotated[
        str | None,
        Parameter(
            help=help_text(
                r'With --examples: how each is written, by default "{text}\nLabel: {label}\n\n".'
            )
        ),
    ] = None

    def fixed(self, predictor: Predictor) -> dict[str, object]:
        """Return the inputs that are the same for all texts."""
        if self.suffix is None:
            return {}
        if not predictor.task.spec.continues:
            raise UsageError(
                f"--suffix is for a run that generates text; this one is for {predictor.task.name}."
            )
        from ..tasks.fill_in import sentinels

        sentinels(predictor.tokenizers.target)
        return {"suffix": read_passage(self.suffix)}

    def shots(self, predictor: Predictor) -> FewShot | None:
        """Return the worked examples in their template, if there are any."""
        if self.examples is None and self.template is None:
            return None
        if self.suffix is not None:
            raise UsageError(
                "--suffix and --examples do not go together: a filled-in middle has no place for "
                "examples."
            )
        from ..inference.few_shot import TEMPLATE, FewShot, read_examples

        return FewShot(
            predictor,
            read_examples(self.examples) if self.examples else [],
            unescaped(self.template) or TEMPLATE,
        )


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Hold the flags that judge labels of a classification set by their likelihood."""

    as_: Annotated[
        Literal["classification"] | None,
        Parameter(
            name="--as",
            help=help_text(
                "Evaluate a language model on the classification set --data.set (or --data FILE) "
                "without training."
            ),
        ),
    ] = None
    examples: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "With --as: worked examples in the prompt, as a number to draw from the training "
                "part or as a file."
            )
        ),
    ] = None
    template: Annotated[
        str | None,
        Parameter(
            help=help_text(
                r'With --as: how an example is written, by default "{text}\nLabel: {label}\n\n".'
            )
        ),
    ] = None
    choices: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "With --as: the labels to choose from, a,b or label=words,label=words; by default "
                "those of the data."
            )
        ),
    ] = None
    normalise: Annotated[
        Literal["sum", "token", "byte", "prior"],
        Parameter(
            help=help_text(
                "With --as: what labels are compared by: their log-probability (sum), its mean "
                "per token or byte, or what the text adds to it (prior)."
            )
        ),
    ] = "sum"


NOTHING, UNJUDGED = Prompting(), Judging()


def unescaped(given: str | None) -> str | None:
    r"""Replace \n and \t in a template, as a shell passes them, by what they mean."""
    return None if given is None else given.replace("\\n", "\n").replace("\\t", "\t")


def shots_ready(
    shots: FewShot, examples: Sequence[Example], settings: DecodingSettings
) -> tuple[list[Example], DecodingSettings]:
    """Return the Examples as prompts, and settings that end an answer as the template does."""
    from dataclasses import replace

    new = settings.max_length or 2 * shots.longest_answer + 8
    settings = replace(settings, max_length=new, stop=settings.stop or shots.stop)
    found = [
        shots.asked(one, min(new, shots.context // 2)) if one.text is not None else (one, 0)
        for one in examples
    ]
    notice([dropped for _, dropped in found], len(shots.examples), shots.context)
    return [example for example, _ in found], settings


def notice(dropped: Sequence[int], count: int, context: int) -> None:
    """Report how many prompts lack worked examples, and how many they lack."""
    short = [one for one in dropped if one]
    if not short:
        return
    talk(
        f"{len(short):,} of {len(dropped):,} prompts do not fit the context of {context:,} tokens "
        f"with all {count:,} examples. Whole examples were left out, the first ones first, up to "
        f"{min(count, max(short)):,} of them."
    )
    if max(short) > count:
        talk(f"{sum(one > count for one in short):,} texts also lost their beginning.")


@dataclass(frozen=True)
class JudgementOutput:
    """Hold where a judgement goes besides being printed."""

    as_json: bool
    resamples: int | None
    answers: Path | None


def write_answers(path: Path, answers: Sequence[str], blocks: bool = False) -> None:
    """Write the answers to a file, one per line.

    With `blocks` answers keep their lines, and an empty line follows each.
    """
    texts = [
        f"{answer}\n\n" if blocks else " ".join(answer.split("\n")) + "\n" for answer in answers
    ]
    path.write_text("".join(texts), encoding="utf-8")


def judge_run(
    predictor: Predictor,
    split: str,
    files: list[str] | None,
    judging: Judging,
    overrides: dict[str, str],
    report: JudgementOutput,
) -> int:
    """Run `evaluate --as classification`: accuracy beside the share of the largest label."""
    from ..inference.few_shot import TEMPLATE, FewShot, judge
    from ..metrics.bootstrap import between, redrawn
    from ..metrics.classification import SIGNATURES, accuracy, f1

    if not predictor.task.spec.continues:
        raise UsageError(
            f"--as is for a run that generates text; this one is for {predictor.task.name}. Leave "
            "out --as."
        )
    examples, worked, name = _data(split, files, judging, overrides)
    shots = FewShot(predictor, worked, unescaped(judging.template) or TEMPLATE)
    gold = [example.label or "" for example in examples]
    choices = _choices(judging.choices, [*gold, *(example.label or "" for example in worked)])
    talk(
        f"Judging {len(examples):,} texts of {name}, {len(choices)} labels, {len(worked)} "
        "examples in the prompt."
    )
    found = judge(shots, [example.text or "" for example in examples], choices, judging.normalise)
    notice([one.dropped for one in found], len(worked), shots.context)
    predicted = [one.label for one in found]
    if report.answers is not None:
        write_answers(report.answers, predicted)
    scorers = {"accuracy": accuracy, "f1_macro": f1}
    metrics = {key: scorer(predicted, gold) for key, scorer in scorers.items()}
    metrics["majority"] = 100.0 * max(Counter(gold).values()) / len(gold)
    drawn = redrawn(
        lambda places: {
            key: scorer([predicted[place] for place in places], [gold[place] for place in places])
            for key, scorer in scorers.items()
        },
        len(gold),
        report.resamples or 0,
    )
    intervals = {
        key: (ends.low, ends.high)
        for key, ends in ((key, between(metrics[key], each)) for key, each in drawn.items())
    }
    signature = (
        f"accuracy = {SIGNATURES['accuracy']}; majority = share of the most frequent label of the "
        f"scored texts; judged by likelihood, {len(worked)} examples, "
        f"normalise:{judging.normalise}, template:{unescaped(judging.template) or TEMPLATE!r}"
    )
    _print(metrics, intervals, signature, name, found, report.as_json)
    return 0


def _print(
    metrics: dict[str, float],
    intervals: dict[str, tuple[float, float]],
    signature: str,
    name: str,
    found: Sequence[Judgement],
    as_json: bool,
) -> None:
    if as_json:
        values: dict[str, object] = {
            "task": "classification",
            "split": name,
            "examples": len(found),
            "metrics": metrics,
        }
        values |= {"signature": signature} | ({"intervals": intervals} if intervals else {})
        put(json.dumps(values, ensure_ascii=False))
        return
    ends = {key: f"[{low:.2f}, {high:.2f}]" for key, (low, high) in intervals.items()}
    put(table([[key, f"{value:.2f}", ends.get(key, "")] for key, value in metrics.items()]))
    put(field(signature))


def _data(
    split: str, files: list[str] | None, judging: Judging, overrides: dict[str, str]
) -> tuple[list[Example], list[Example], str]:
    """Return the texts to judge, the examples for the prompt, and a name for the texts."""
    from ..data.hub.data_sets import located_name
    from ..data.load import load_split, reader_of
    from ..data.table import DataTable
    from ..inference.few_shot import drawn, read_examples
    from ..recipe.schema import nested

    given = nested(overrides, task="classification")
    for name in given:
        if name != "data":
            raise UsageError(
                f"--{next(key for key in overrides if key.startswith(name))} has no effect with "
                "--as, which reads only --data.KEY."
            )
    data, needs = DataTable(**given.get("data", {})), ("text", "label")
    if files:
        given_names = [name for part in files for name in part.split(",")]
        names = [located_name(one, split, talk) for one in given_names]
        examples, called = reader_of(needs)(names, data, needs, talk), ", ".join(given_names)
    else:
        examples, called = (
            load_split(data, split, talk, needs),
            split if data.set is None else f"{data.set} {split}",
        )
    if not examples:
        raise UsageError(f"There is nothing to judge: {called} has no text with a label.")
    count = judging.examples or "0"
    if not count.isascii() or not count.isdigit():
        return examples, read_examples(count), called
    if int(count) and files and data.set is None and data.train is None:
        raise UsageError(
            f"--examples {count} draws from a training part, but --data names none. Give a file "
            "of examples."
        )
    return (
        examples,
        drawn(load_split(data, "train", None, needs), int(count)) if int(count) else [],
        called,
    )


def _choices(given: str | None, labels: Sequence[str]) -> dict[str, str]:
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
