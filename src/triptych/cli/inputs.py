"""What a person gives to be answered, a line each, as Examples: a text, columns between tabs, or a
JSON object.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, TriptychError, UsageError

if TYPE_CHECKING:
    from ..data.example import Example
    from ..inference.predictor import Predictor


def read_passage(given: str | None) -> str | None:
    """--passage: the content of a file of that name, else the text itself."""
    from ..data.formats.lines import decode_lines

    if given is None:
        return None
    path = Path(given)
    try:
        if not path.is_file():
            return given
        raw = path.read_bytes()
    except (OSError, ValueError):  # too long for a file's name, or with a zero in it: a text
        return given
    decode_lines(raw, given)  # says what is wrong with it
    return raw.decode("utf-8-sig")


def refuse_to(predictor: Predictor) -> None:
    """Raise UsageError where --to would mean nothing."""
    from ..inference import examples

    examples.refuse_to(predictor.task)


def refuse_words(predictor: Predictor) -> None:
    """Raise UsageError where --words would mean nothing."""
    if not predictor.task.spec.reads_words:
        raise UsageError(
            f"--words means nothing here: a run for {predictor.task.name} reads the text as it is."
        )
    if predictor.labels.get("unit") == "character":
        raise UsageError(
            "--words gives the words, and this run is there to find them: leave it out."
        )


def example_of(
    line: str, predictor: Predictor, place: str, to: str | None, fixed: dict[str, Any], split: bool
) -> Example:
    """A line as an Example. fixed: inputs that are the same for all lines; split: words stand
    between spaces.

    Several inputs stand between tabs in the order of the task's `needs`, or in a JSON object under
    their names. Raises DataError or UsageError naming `place`.
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
                f"{place} has {len(parts)} columns; a run for {predictor.task.name} needs "
                f"{len(wanted)} between tabs: {', '.join(wanted)}."
            )
        values = dict(zip(wanted, parts, strict=True))
    elif wanted == ["messages"] and _is_conversation(line):
        values = _object(line, place)
    elif predictor.task.input in fixed:
        raise UsageError(f"The {predictor.task.input} is given twice.")
    else:
        values = {predictor.task.input: line}
    if split:
        values["words"] = [
            found.span() for found in re.finditer(r"\S+", values[predictor.task.input])
        ]
    return predictor.example({**values, **fixed}, place, to)


def _is_conversation(line: str) -> bool:
    """Whether a line is an object with messages, also among other keys; or would be, were it
    whole.
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
            f"{place} is not valid JSON ({error.msg} at column {error.colno})."
        ) from None
    except (ValueError, RecursionError) as error:  # too many digits, or nested too deeply
        raise DataError(f"{place} is not JSON that can be read ({error}).") from None
    for name, value in values.items():
        if not isinstance(value, str) and name != "messages":
            raise DataError(f"{place}: '{name}' is {brief(value)}; it must be a text.")
    return values


def examples_of(
    block: list[str],
    predictor: Predictor,
    places: list[str],
    to: str | None,
    fixed: dict[str, Any],
    split: bool,
    problems: dict[int, str],
    blank: bool = False,
) -> list[Example]:
    """One Example a line; what cannot be one is noted in `problems` by its place in the block, and
    is empty. blank: a line without a word is a text too, to be written on from.
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
