"""Run `triptych predict`, which the verbs with a task's name call too."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import DataError, UsageError, shell_command
from ..messages import message
from .answering import (
    Answers,
    Asked,
    decoding_changes,
    report_cuts,
    report_drafts,
    report_unsampled,
    unread_tokens,
)
from .console import put, talk
from .filing import BLOCK, UNFILED, Filing
from .inputs import count_inputs, spoken
from .loading import EngineName, Precision, is_engine, load_run
from .notes import BLANK_TO_THE_END, ENDED, tell_empty
from .prompting import NOTHING, Prompting

if TYPE_CHECKING:
    from ..tasks.task import TaskSpec, Verb

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
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    overrides: Overrides = None,
) -> int:
    """Answer texts, or stdin line by line, with a run for any task.

    The commands named after tasks (translate, classify, ...) do the same with fewer options.

    Parameters
    ----------
    run
        Folder of a trained run.
    text
        One or several texts; with --out the file whose lines are answered.
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
    asked = Asked(
        run=run, to=to, source_language=source_language, passage=passage, words=words,
        jsonl=jsonl, truncate=truncate, draft=draft, precision=precision, engine=engine,
        prompting=prompting, changes=decoding_changes(overrides),
    )  # fmt: skip
    if filing.is_given():
        return filing.answer(asked, text)
    answers = Answers(asked, text)
    text, failed, counting = answers.text, 0, count_inputs(answers.text, "texts")
    for first, block in blocks(text):
        where = "text " if text else "stdin:"
        failed += answers.write(sys.stdout, block, first, where, counting, given=bool(text))
    report_drafts(answers.predictor)
    return int(failed > 0)


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
    report_cuts(
        ["text 1"] if wrote and not ended else [],
        [unread_tokens("text 1", count) for count in unread if count],
    )
    report_drafts(predictor)
    return 0


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
