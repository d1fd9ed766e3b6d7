"""Try a language model on the sets of other tasks without training: `evaluate --as`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..messages import message
from .console import field, put, table
from .language import help_text

Kind = Literal["classification", "multiple-choice", "translation", "answering", "summarization"]


@dataclass(frozen=True, kw_only=True)
class Judging:
    """Hold the flags that try a language model on a set of another task."""

    as_: Annotated[
        Kind | None,
        Parameter(
            name="--as",
            help=help_text(
                "Evaluate a language model without training, on the set --data.set or --data FILE "
                "of this task. Labels and choices are judged by their likelihood; translations, "
                "answers and summaries are written."
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
                r"With --as: how an example is written, with {text} and {label}, for example "
                r'"{text}\nLabel: {label}\n\n".'
            )
        ),
    ] = None
    turns: Annotated[
        bool,
        Parameter(
            negative=(),
            help=help_text(
                "With --as, for a run that converses: examples are turns of a conversation in the "
                "run's own chat template."
            ),
        ),
    ] = False
    limit: Annotated[
        int | None,
        Parameter(
            help=help_text("With --as: score only this many texts, spaced evenly over the set.")
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


UNJUDGED = Judging()


@dataclass(frozen=True)
class JudgementOutput:
    """Hold where a judgement goes besides being printed."""

    as_json: bool
    resamples: int | None
    answers: Path | None


@dataclass(frozen=True)
class Tried:
    """Hold how a language model did on a set of another task.

    Args:
        name: What the texts are called.
        examples: How many there are.
        metrics: Scores of the answers.
        chance: What chance scores; empty where `metrics` say it.
        signature: How the scores were computed.
        ends: Metric -> its 95 % interval.
        answers: The labels, choices or texts.
    """

    name: str
    examples: int
    metrics: dict[str, float]
    chance: dict[str, float]
    signature: str
    ends: dict[str, tuple[float, float]]
    answers: list[str]

    def put(self, task: str, output: JudgementOutput) -> None:
        """Print the result, and write the answers if it is asked for."""
        if output.answers is not None:
            write_answers(output.answers, self.answers)
        if output.as_json:
            values: dict[str, object] = {
                "task": task,
                "split": self.name,
                "examples": self.examples,
                "metrics": self.metrics,
            }
            values |= {"chance": self.chance} if self.chance else {}
            values |= {"signature": self.signature} | (
                {"intervals": self.ends} if self.ends else {}
            )
            put(json.dumps(values, ensure_ascii=False))
            return
        ends = {key: f"[{low:.2f}, {high:.2f}]" for key, (low, high) in self.ends.items()}
        lines = [[key, f"{value:.2f}", ends.get(key, "")] for key, value in self.metrics.items()]
        if self.chance:
            for line, key in zip(lines, self.metrics, strict=True):
                line.append(message("chance {value:.2f}", value=self.chance[key]))
        put(table(lines))
        put(field(self.signature))


def write_answers(path: Path, answers: Sequence[str], blocks: bool = False) -> None:
    """Write the answers to a file, one per line.

    With `blocks` answers keep their lines, and an empty line follows each.
    """
    texts = [
        f"{answer}\n\n" if blocks else " ".join(answer.split("\n")) + "\n" for answer in answers
    ]
    path.write_text("".join(texts), encoding="utf-8")
