"""Run `triptych predict`, which the verbs with a task's name call too."""

from __future__ import annotations

import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import DataError, UsageError, shell_command
from ..messages import Message, conjoined, message
from .console import field, put, talk
from .inputs import (
    count_inputs,
    examples_of,
    read_passage,
    refuse_to,
    refuse_words,
    spoken,
    with_all_details,
)
from .loading import EngineName, Precision, is_engine, load_run
from .notes import BLANK_TO_THE_END, ENDED, report_empty, some, tell_empty
from .prompting import NOTHING, Prompting, shots_ready

if TYPE_CHECKING:
    from ..data.example import Example
    from ..decoding.settings import DecodingSettings
    from ..inference.predictor import Predictor
    from ..tasks.task import Prediction, TaskSpec, Verb

BLOCK = 2000  # lines of stdin that are sorted by length and answered together
BETWEEN = "\n----\n"  # separates answers of several lines
OF_LABELS = ("classifier", "tagger")  # heads of tasks whose answers are labels
# Settings of sampling, which have no effect at temperature 0.
OF_SAMPLING = ("top_k", "top_p", "min_p", "seed")

Overrides = Annotated[dict[str, str] | None, Parameter(parse=False)]


def predict(
    run: str,
    /,
    *text: str,
    to: str | None = None,
    source_language: Annotated[str | None, Parameter(name="--from")] = None,
    passage: str | None = None,
    words: bool = False,
    jsonl: bool = False,
    truncate: int | None = None,
    draft: str | None = None,
    precision: Precision = "float32",
    engine: EngineName = "native",
    prompting: Annotated[Prompting, Parameter(name="*")] = NOTHING,
    overrides: Overrides = None,
) -> int:
    """Answer texts, or stdin line by line, with a run for any task.

    The commands named after tasks (translate, classify, ...) do the same with fewer options.

    Parameters
    ----------
    run
        Folder of a trained run.
    text
        One or several texts.
    to
        Target language; needed if the run has several and its recipe has no task.default_target.
    source_language
        Language of the texts, for an imported model that reads several.
    passage
        For a run that answers questions: a file or a text in which the answer is found.
    words
        For a run that tags or parses: the text is already split into words by spaces.
    jsonl
        Print one JSON object per text: the answer, its score, the number of tokens not read, and
        details that depend on the task.
    truncate
        Read only the first N tokens (pieces of words) of a longer text, with a notice.
    draft
        Generate faster: tokens are guessed by a smaller run with the same tokenizer, or from
        repeated words (ngram), and checked several at once. Probabilities do not change.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    check_truncate(truncate)
    predictor = load_run(run, precision, draft, engine)
    settings = predictor.settings(**(changes := decoding_changes(overrides)))
    report_unsampled(changes, settings)
    _refuse_idle(predictor, to, words)
    text, fixed = _fixed(predictor, text, passage, prompting)
    fixed |= spoken(predictor, source_language)
    shots = prompting.shots(predictor)
    blank = bool(text) and predictor.task.spec.empty
    failed, counting = 0, count_inputs(text, "texts")
    for first, block in blocks(text):
        places = [f"{'text ' if text else 'stdin:'}{first + n}" for n in range(len(block))]
        problems: dict[int, str] = {}
        examples = examples_of(block, predictor, places, to, fixed, words, problems, blank)
        asked, own = (None, settings) if shots is None else shots_ready(shots, examples, settings)
        with counting:
            answers = predictor.answer(
                asked or examples, own, truncate, problems, first - 1, counting.add
            )
            predictions = with_all_details(answers)
        _print_answers(
            predictor, predictions, block, examples, to, jsonl, problems, asked, bool(text)
        )
        failed += len(problems)
    report_drafts(predictor)
    return int(failed > 0)


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


def check_truncate(truncate: int | None) -> None:
    if truncate is not None and truncate < 2:
        raise UsageError("--truncate is {truncate}; it must be 2 or more.", truncate=truncate)


def demand(run: str, verb: Verb) -> TaskSpec:
    """Return the task of `run`.

    Raises:
        UsageError: The task of the run is not one of the verb's.
    """
    from ..runs.run import Run
    from ..tasks.specs import known, with_verb

    found = Run.open(run).read_config().task
    if found in known() and verb in known()[found].verbs:
        return known()[found]
    wanted = " or ".join(one.name for one in with_verb(verb))
    raise UsageError(
        "{run} is a run for {found}, not for {wanted}. Use: {command}",
        run=run,
        found=found,
        wanted=wanted,
        command=shell_command("triptych", "predict", run),
    )


def print_as_written(run: str, text: str, options: dict[str, Any]) -> int:
    """Print the answer to one text while it is generated, unless several are wanted."""
    changes = decoding_changes(options.get("overrides"))
    refuse_bytes(text, 1)
    several = changes.get("n_best", 1) > 1 or changes.get("samples", 1) > 1
    if several or not text.strip() or is_engine(options.get("engine")):
        return predict(run, text, **options)
    predictor = load_run(run, options.get("precision", "float32"), options.get("draft"))
    report_unsampled(changes, predictor.settings(**changes))
    fixed = options.get("prompting", NOTHING).fixed(predictor)
    fixed |= spoken(predictor, options.get("source_language"))
    unread: list[int] = []
    pieces, ended = (
        predictor.stream(
            {predictor.task.input: text, **fixed}, options.get("to"), unread.append, **changes
        ),
        None,
    )
    wrote = False
    while ended is None:
        try:
            put(piece := next(pieces), end="", flush=True)
            wrote |= bool(piece.strip())
        except StopIteration as end:
            ended = bool(end.value)
    print()
    if not wrote:
        tell_empty(["text 1"], ENDED if ended else BLANK_TO_THE_END)
    _report_cuts(
        ["text 1"] if wrote and not ended else [],
        [unread_tokens("text 1", count) for count in unread if count],
    )
    report_drafts(predictor)
    return 0


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


def blocks(texts: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield blocks of lines with the number of the first: the texts given, else stdin.

    In a terminal each line is a block of its own.
    """
    if texts:
        for number, one in enumerate(texts, 1):
            refuse_bytes(one, number)
        yield 1, list(texts)
        return
    typing = sys.stdin.isatty()
    if typing:
        talk(message("Write one text per line; Ctrl-D ends."))
    number, block = 1, []
    for raw in sys.stdin.buffer:  # only "\n" ends a line
        # Files that were concatenated may have byte order marks inside; they are no part of the
        # text.
        raw = raw.removeprefix(BOM_UTF8)
        try:
            block.append(raw.rstrip(b"\r\n").decode())
        except UnicodeDecodeError as error:
            place = number + len(block)
            if block:
                yield number, block
            from ..data.formats.lines import conversion

            raise DataError(
                "stdin:{place}: byte 0x{raw:02X} is not UTF-8; the lines before it are "
                "answered. {conversion}",
                place=place,
                raw=raw[error.start],
                conversion=conversion(raw),
            ) from None
        if typing or len(block) == BLOCK:
            yield number, block
            number, block = number + len(block), []
    if block:
        yield number, block


def refuse_bytes(text: str, number: int) -> None:
    """Raise DataError for an argument of the command line that was not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(
            "Text {number} is not UTF-8. Give it in a file, in UTF-8, on stdin.", number=number
        ) from None


def _print_answers(
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

    for one in (
        one for prediction in predictions if asked for one in (prediction, *prediction.alternatives)
    ):
        one.text = one.text.strip()
    for place, (text, prediction) in enumerate(zip(block, predictions, strict=True)):
        if jsonl:
            name = predictor.task.input
            item = prediction.to_json()
            # The key "text" is the answer, so a text that was asked about has another key.
            asked_for = {"input" if name in item else name: getattr(examples[place], name) or text}
            values = {**asked_for, **({"to": to} if to else {}), **item}
            values |= {"error": problems[place]} if place in problems else {}
            put(json.dumps(values, ensure_ascii=False))
        elif predictor.task.spec.block:
            put(prediction.text, end="\n\n")
        elif given and predictor.task.spec.continues:
            put(
                *(one.text for one in shown(prediction)),
                sep=BETWEEN,
                end=BETWEEN if place + 1 < len(block) else "\n",
            )
        else:
            put(
                *(" ".join(one_line(predictor, one.text).split("\n")) for one in shown(prediction)),
                sep="\n",
            )
    sys.stdout.flush()
    if not (jsonl or alone) and any(one.alternatives for one in predictions):
        talk(message("Only the best answer to each text is shown; --jsonl prints the others."))
    for problem in problems.values():
        talk(message("triptych: {problem} Its answer is left empty.", problem=problem))
    _notices(predictions, [example.place for example in examples])
    report_empty(predictor, predictions, examples, problems)


def one_line(predictor: Predictor, text: str) -> str:
    """Escape an answer of labels, or of words with tags, for a terminal.

    Any other answer is returned as it is.
    """
    return field(text) if predictor.task.spec.head in OF_LABELS else text


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
    _report_cuts(cut, unseen)


def _report_cuts(cut: Sequence[str], unseen: Sequence[str]) -> None:
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
