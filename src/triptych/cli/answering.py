"""Answer blocks of lines with everything that `predict` was asked, and print the answers."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import UsageError
from ..messages import Message, conjoined, message
from .console import Counting, put, talk
from .console import field as escaped
from .inputs import (
    examples_of,
    read_passage,
    refuse_to,
    refuse_words,
    spoken,
    with_all_details,
)
from .loading import EngineName, Precision, load_run
from .notes import report_empty, some
from .prompting import NOTHING, Prompting, shots_ready

if TYPE_CHECKING:
    from ..data.example import Example
    from ..decoding.settings import DecodingSettings
    from ..inference.parts import Parts
    from ..inference.predictor import Predictor
    from ..inference.shares import LineFile
    from ..tasks.task import Prediction

BETWEEN = "\n----\n"  # separates answers of several lines
OF_LABELS = ("classifier", "tagger")  # heads of tasks whose answers are labels
# Settings of sampling, which have no effect at temperature 0.
OF_SAMPLING = ("top_k", "top_p", "min_p", "seed")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Hold all that `predict` is asked about texts: the run and the values of its flags."""

    run: str
    to: str | None = None
    source_language: str | None = None
    passage: str | None = None
    words: bool = False
    jsonl: bool = False
    truncate: int | None = None
    draft: str | None = None
    precision: Precision = "float32"
    engine: EngineName = "native"
    prompting: Prompting = NOTHING
    changes: dict[str, Any] = field(default_factory=dict)  # of the table `decoding`


class Answers:
    """Load the run that is asked, and print its answers to blocks of lines.

    Args:
        asked: The run and the flags.
        text: Texts given on the command line; they may gain the passage.
    """

    def __init__(self, asked: Asked, text: tuple[str, ...] = ()) -> None:
        self.asked = asked
        self.predictor = predictor = load_run(asked.run, asked.precision, asked.draft, asked.engine)
        self.settings = predictor.settings(**asked.changes)
        report_unsampled(asked.changes, self.settings)
        _refuse_idle(predictor, asked.to, asked.words)
        self.text, self.fixed = _fixed(predictor, text, asked.passage, asked.prompting)
        self.fixed |= spoken(predictor, asked.source_language)
        self.shots = asked.prompting.shots(predictor)

    def write(
        self,
        stream: TextIO,
        block: list[str],
        first: int,
        where: str,
        counting: Counting,
        given: bool = False,
    ) -> int:
        """Print the answers to a block.

        Args:
            stream: Receives the answers; notices go to stderr.
            block: The lines.
            first: Number of the first line, from 1.
            where: What stands before a line's number in notices.
            counting: Counts the answers.
            given: The lines were given on the command line.

        Returns:
            How many lines could not be read.
        """
        asked, predictor, settings = self.asked, self.predictor, self.settings
        places = [f"{where}{first + n}" for n in range(len(block))]
        problems: dict[int, str] = {}
        blank = given and predictor.task.spec.empty
        examples = examples_of(
            block, predictor, places, asked.to, self.fixed, asked.words, problems, blank
        )
        prompts = None
        if self.shots is not None:
            prompts, settings = shots_ready(self.shots, examples, settings)
        with counting:
            answers = predictor.answer(
                prompts or examples, settings, asked.truncate, problems, first - 1, counting.add
            )
            predictions = with_all_details(answers)
        _print_answers(
            stream, predictor, predictions, block, examples, asked.to, asked.jsonl, problems,
            prompts, given,
        )  # fmt: skip
        return len(problems)


def answer_block(
    answers: Answers, lines: LineFile, parts: Parts, block: int, counting: Counting
) -> None:
    """Answer one block and write its part."""
    block_lines, written = lines.read(block), io.StringIO()
    failed = answers.write(
        written, block_lines, lines.first(block), f"{lines.path.name}:", counting
    )
    content = written.getvalue().encode("utf-8", "backslashreplace")
    parts.write(block, content, len(block_lines), failed)


def _fixed(
    predictor: Predictor, text: tuple[str, ...], passage: str | None, prompting: Prompting
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the texts, and the fields of an input that are the same for all of them."""
    inside = read_passage(passage)
    if inside is not None and predictor.task.input == "passage":  # The passage is the input itself.
        text, inside = (*text, inside), None
    return text, {**({} if inside is None else {"passage": inside}), **prompting.fixed(predictor)}


def _refuse_idle(predictor: Predictor, to: str | None, words: bool) -> None:
    """Raise UsageError where --to or --words would have no effect."""
    if to is not None:
        refuse_to(predictor)
    if words:
        refuse_words(predictor)


def decoding_changes(overrides: dict[str, str] | None) -> dict[str, Any]:
    """Return the overrides of the table `decoding`, by type.

    Raises:
        UsageError: An override is of another table.
    """
    from ..recipe.schema import nested

    given = nested(overrides or {})
    for table in given:
        if table != "decoding":
            key = next(key for key in overrides or {} if key.startswith(f"{table}."))
            raise UsageError(
                "--{key} has no effect on a trained run; only --decoding.KEY can be changed here.",
                key=key,
            )
    return given.get("decoding", {})


def report_unsampled(changes: dict[str, object], settings: DecodingSettings) -> None:
    """Report settings of sampling that have no effect because nothing is sampled."""
    idle = [f"--decoding.{name}" for name in OF_SAMPLING if name in changes]
    if idle and settings.temperature == 0:
        talk(
            message(
                "No effect: {names}, because nothing is sampled without --decoding.temperature.",
                names=conjoined(idle),
            )
        )


def report_drafts(predictor: Predictor) -> None:
    """Report how many proposed tokens were accepted."""
    if predictor.drafted is not None and predictor.drafted.tally.steps:
        talk(message("Draft: {tally}.", tally=predictor.drafted.tally))


def _print_answers(
    stream: TextIO,
    predictor: Predictor,
    predictions: list[Prediction],
    block: list[str],
    examples: list[Example],
    to: str | None,
    jsonl: bool,
    problems: dict[int, str],
    asked: list[Example] | None,
    given: bool,
) -> None:
    """Print the answers to a block.

    `asked` are the prompts that contain the texts, if there are any. Answers to texts `given` on
    the command line may have several lines: a line of hyphens separates them, and a single text
    shows all its answers.
    """
    alone = given and len(block) == 1

    def shown(prediction: Prediction) -> list[Prediction]:
        return [prediction, *prediction.alternatives] if alone else [prediction]

    for prediction in predictions if asked else ():
        for one in (prediction, *prediction.alternatives):
            one.text = one.text.strip()
    for place, (text, prediction) in enumerate(zip(block, predictions, strict=True)):
        if jsonl:
            name = predictor.task.input
            item = prediction.to_json()
            # The key "text" is the answer, so a text that was asked about has another key.
            asked_for = {"input" if name in item else name: getattr(examples[place], name) or text}
            values = {**asked_for, **({"to": to} if to else {}), **item}
            values |= {"error": problems[place]} if place in problems else {}
            put(json.dumps(values, ensure_ascii=False), stream=stream)
        elif predictor.task.spec.block:
            put(prediction.text, end="\n\n", stream=stream)
        elif given and predictor.task.spec.continues:
            put(
                *(one.text for one in shown(prediction)),
                sep=BETWEEN,
                end=BETWEEN if place + 1 < len(block) else "\n",
                stream=stream,
            )
        else:
            put(
                *(
                    " ".join(one_line(predictor, one.text, stream).split("\n"))
                    for one in shown(prediction)
                ),
                sep="\n",
                stream=stream,
            )
    stream.flush()
    if not (jsonl or alone) and any(one.alternatives for one in predictions):
        talk(message("Only the best answer to each text is shown; --jsonl prints the others."))
    for problem in problems.values():
        talk(message("triptych: {problem} Its answer is left empty.", problem=problem))
    _notices(predictions, [example.place for example in examples])
    report_empty(predictor, predictions, examples, problems)


def one_line(predictor: Predictor, text: str, stream: TextIO | None = None) -> str:
    """Escape an answer of labels, or of words with tags, for a terminal.

    Any other answer is returned as it is.
    """
    return escaped(text, stream) if predictor.task.spec.head in OF_LABELS else text


def _notices(predictions: list[Prediction], places: list[str]) -> None:
    # Of an empty answer the reason for that is said.
    cut = [
        place
        for place, one in zip(places, predictions, strict=True)
        if one.cut and one.text.strip()
    ]
    unseen = [
        unread_tokens(place, one.truncated_input_tokens)
        for place, one in zip(places, predictions, strict=True)
        if one.truncated_input_tokens
    ]
    report_cuts(cut, unseen)


def report_cuts(cut: Sequence[str], unseen: Sequence[str]) -> None:
    if cut:
        talk(
            message(
                "Cut off at the maximum length (see --decoding.max_length): {places}.",
                places=some(cut),
            )
        )
    if unseen:
        talk(message("Truncated: {places}.", places=some(unseen)))


def unread_tokens(place: str, count: int) -> Message:
    """Return a place with how much of its text was not read."""
    return message("{place} ({count:,} tokens not read)", place=place, count=count)
