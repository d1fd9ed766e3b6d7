"""Turn the user's inputs, one per line, into Examples: a text, columns between tabs, or JSON."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, TriptychError, UsageError
from ..messages import message
from .console import Counting, is_terminal

if TYPE_CHECKING:
    from ..data.example import Example
    from ..inference.predictor import Predictor
    from ..tasks.task import Prediction


def with_all_details(answers: Iterable[Prediction]) -> list[Prediction]:
    """Give answers to empty texts the keys of the others, so that all lines of JSONL have them."""
    found = list(answers)
    known = next((one.details for one in found if one.details), {})
    for one in found:
        one.details = one.details or {
            key: [] if isinstance(value, list) else {} if isinstance(value, dict) else None
            for key, value in known.items()
        }
    return found


COUNTED_BYTES = 1 << 30  # of a larger file lines are not counted before it is read
CHUNK_BYTES = 1 << 20
PASSAGE_ENDINGS = (".txt", ".md", ".text", ".html", ".json")


def count_inputs(texts: Sequence[str], unit: str) -> Counting:
    """Return what counts the inputs: the texts given, else the lines of stdin."""
    if texts:
        return Counting(len(texts), unit)
    return Counting(lines_ahead(), unit, quiet=is_terminal(sys.stdin))


def lines_ahead() -> int | None:
    """Return how many lines stdin has where it is a file; None where that is not known."""
    try:
        descriptor = sys.stdin.fileno()
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > COUNTED_BYTES:
            return None
        place, lines, last = os.lseek(descriptor, 0, os.SEEK_CUR), 0, b"\n"
        while chunk := os.pread(descriptor, CHUNK_BYTES, place):
            place, lines, last = place + len(chunk), lines + chunk.count(b"\n"), chunk[-1:]
    except (OSError, ValueError, AttributeError):
        return None  # it is closed, or not a file of the system
    return lines + (last != b"\n")


def read_passage(given: str | None) -> str | None:
    """Return the content of the file that --passage names, else the text itself.

    Raises DataError for one word with the ending of a text file: a file that is not there.
    """
    from ..data.formats.lines import decode_lines, missing

    if given is None:
        return None
    path = Path(given)
    try:
        if not path.is_file():
            if path.suffix.lower() in PASSAGE_ENDINGS and not any(map(str.isspace, given)):
                raise missing(path)
            return given
        raw = path.read_bytes()
    except (OSError, ValueError):  # A text too long for a file name, or with a NUL in it.
        return given
    decode_lines(raw, given)  # It raises an error that names the file.
    return raw.decode("utf-8-sig")


def refuse_to(predictor: Predictor) -> None:
    """Raise UsageError where --to would have no effect."""
    from ..inference import examples

    examples.refuse_to(predictor.task)


def spoken(predictor: Predictor, language: str | None) -> dict[str, str]:
    """Return the input that --from gives. Raise UsageError where it would have no effect."""
    if language is None:
        return {}
    if not predictor.tokenizers.source.marks_sources:
        raise UsageError(
            message(
                "--from names the language of a text for a model that reads several; this run "
                "does not ask for it. Leave it out."
            )
        )
    return {"source_language": language}


def refuse_words(predictor: Predictor) -> None:
    """Raise UsageError where --words would have no effect."""
    if not predictor.task.spec.reads_words:
        raise UsageError(
            "--words has no effect here, because a run for {name} reads the text "
            "as it is. Leave it out.",
            name=predictor.task.name,
        )
    if predictor.labels.get("unit") == "character":
        raise UsageError(
            message("--words gives the words, but this run finds them itself. Leave it out.")
        )


def example_of(
    line: str,
    predictor: Predictor,
    place: str,
    to: str | None,
    fixed: dict[str, object],
    split: bool,
) -> Example:
    """Return a line as an Example.

    Several inputs are separated by tabs in the order of the task's `needs`, or are in a JSON object
    under their names.

    Args:
        line: One line of input.
        predictor: The run that will answer.
        place: Where the line comes from, for errors.
        to: A target language, or one of the data's tasks.
        fixed: Inputs that are the same for all lines.
        split: Words are separated by spaces.

    Raises:
        DataError: The line cannot be read; the text names `place`.
        UsageError: An input is missing or given twice.
    """
    from ..data.example import FIELDS
    from ..inference.examples import OPTIONAL_INPUTS

    wanted = [
        name
        for name in predictor.task.needs
        if FIELDS[name].role == "input" and name not in (*fixed, *OPTIONAL_INPUTS)
    ]
    values: dict[str, Any] = {}
    if len(wanted) > 1 and line.lstrip().startswith("{"):
        values = _object(line, place)
    elif len(wanted) > 1:
        parts = line.split("\t")
        if len(parts) != len(wanted):
            raise UsageError(
                "{place} has {count} columns; a run for {name} needs {count2} "
                "separated by tabs: {names}.",
                place=place,
                count=len(parts),
                name=predictor.task.name,
                count2=len(wanted),
                names=", ".join(wanted),
            )
        values = dict(zip(wanted, parts, strict=True))
    elif wanted == ["messages"] and _is_conversation(line):
        values = _object(line, place)
    elif predictor.task.input in fixed:
        raise UsageError("The {input} is given twice.", input=predictor.task.input)
    else:
        values = {predictor.task.input: line}
    if split:
        values["words"] = [
            found.span() for found in re.finditer(r"\S+", values[predictor.task.input])
        ]
    return predictor.example({**values, **fixed}, place, to)


def _is_conversation(line: str) -> bool:
    """Tell whether a line is a JSON object with messages, perhaps among other keys.

    A line that would be one if it were not cut off counts too.
    """
    if not line.lstrip().startswith("{"):
        return False
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return re.match(r'\s*\{\s*"messages"', line) is not None
    return isinstance(values, dict) and "messages" in values


def _object(line: str, place: str) -> dict[str, Any]:
    from ..data.formats.json_lines import brief

    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            "{place} is not valid JSON ({msg} at column {colno}).",
            place=place,
            msg=error.msg.removesuffix(" at"),  # "starting at"
            colno=error.colno,
        ) from None
    except (ValueError, RecursionError) as error:  # Too many digits, or nested too deeply.
        raise DataError(
            "{place} cannot be read as JSON ({error}).", place=place, error=error
        ) from None
    for name, value in values.items():
        if not isinstance(value, str) and name != "messages":
            raise DataError(
                "{place}: '{name}' is {brief}; it must be a text.",
                place=place,
                name=name,
                brief=brief(value),
            )
    return values


def examples_of(
    block: list[str],
    predictor: Predictor,
    places: list[str],
    to: str | None,
    fixed: dict[str, object],
    split: bool,
    problems: dict[int, str],
    blank: bool = False,
) -> list[Example]:
    """Return one Example per line, an empty one where the line cannot be read.

    Args:
        block: The lines.
        predictor: The run that will answer.
        places: Where each line comes from, for errors.
        to: A target language, or one of the data's tasks.
        fixed: Inputs that are the same for all lines.
        split: Words are separated by spaces.
        problems: Receives the error of each line that cannot be read, by its place in the block.
        blank: A line without a word is an input too, to be continued.
    """
    from ..data.example import Example

    found = []
    for number, (line, place) in enumerate(zip(block, places, strict=True)):
        if not (line.strip() or blank or "suffix" in fixed):
            found.append(Example(place=place))
            continue
        try:
            found.append(example_of(line, predictor, place, to, fixed, split))
        except TriptychError as error:
            problems[number] = str(error)
            found.append(Example(place=place))
    return found
