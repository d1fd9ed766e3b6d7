"""Read conversations, and pairs of a preferred and a rejected answer, from JSONL or a JSON list.

Imports no torch.

{"messages": [{"role", "content"}, ...]}, or Alpaca's {"instruction", "input", "output"} (Taori et
al. 2023) as two turns. A preference is {"prompt": text or messages, "chosen": text, "rejected":
text}; its prompt may be under "messages" too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..example import Example, Notify
from .foreign.own_lines import own_lines
from .json_lines import brief
from .messages import Messages, messages_of, text_of

if TYPE_CHECKING:
    from ..table import DataTable

BETWEEN = re.compile(r"\s*(,?)\s*")  # between two items of a JSON list


def read(
    names: Sequence[str], data: DataTable, needs: Sequence[str], report: Notify | None = None
) -> list[Example]:
    """Read the conversations of several files, each with a turn of the assistant.

    Alpaca records without an answer are left out. Raises DataError naming file, line and key of
    what cannot be read, UsageError for an unknown role.
    """
    return _read(names, conversation, "conversations", report)


def read_preferences(
    names: Sequence[str], data: DataTable, needs: Sequence[str], report: Notify | None = None
) -> list[Example]:
    """Read prompts with a chosen and a rejected answer. Raises as `read`."""
    return _read(names, preference, "preferences", report)


def _read(
    names: Sequence[str],
    make: Callable[[dict[str, object], str], Example | None],
    what: str,
    report: Notify | None,
) -> list[Example]:
    found: list[Example] = []
    for name in names:
        made = [
            make(values, place)
            for place, values in records("\n".join(own_lines(name, report)), name)
        ]
        kept = [one for one in made if one is not None]
        for one in kept:
            one.place = f"{Path(name).name}:{one.place.rsplit(':', 1)[1]}"
        if report is not None:
            empty = (
                f"; {len(made) - len(kept):,} have an empty output and are left out"
                if len(kept) < len(made)
                else ""
            )
            report(f"{Path(name).name}: {len(kept):,} {what}{empty}")
        found += kept
    return found


def records(text: str, where: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (file:line, object) of a JSON list's items, or of each line of JSONL."""
    for place, value in (
        _items(text, where) if text.lstrip().startswith("[") else _lines(text, where)
    ):
        if not isinstance(value, dict):
            raise DataError(
                f"{place}: expected a JSON object, got {brief(value)}. Write "
                '{"messages": [...]}, one a line or as a JSON list.'
            )
        yield place, value


def _lines(text: str, where: str) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"{where}:{number}", json.loads(line)
            except (ValueError, RecursionError) as problem:
                raise DataError(
                    f"{where}:{number}: not JSON ({problem}). JSONL holds one object a line."
                ) from None


def _items(text: str, where: str) -> Iterator[tuple[str, object]]:
    """Parse a list item by item, so that every item has its line number."""
    decoder, place, line, counted, first = json.JSONDecoder(), text.index("[") + 1, 1, 0, True
    while True:
        gap = BETWEEN.match(text, place)
        assert gap is not None, "the pattern can match nothing, so it always matches"
        place = gap.end()
        line, counted = line + text.count("\n", counted, place), place
        if not gap[1] and text.startswith("]", place):
            return
        if bool(gap[1]) == first:  # every item but the first follows a comma
            raise DataError(
                f"{where}:{line}: the JSON list is not closed with ], or a comma is missing. It "
                "may be cut off; copy it again."
            )
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as problem:
            raise DataError(
                f"{where}:{line}: not JSON ({problem}). The file may be cut off; copy it again."
            ) from None
        yield f"{where}:{line}", value
        place, first = end, False


def conversation(values: dict[str, object], place: str) -> Example | None:
    """Read one record as an Example with `messages`; None for an Alpaca record without output."""
    if "messages" in values:
        messages = messages_of(values["messages"], place)
        if not any(one["role"] == "assistant" for one in messages):
            raise DataError(
                f"{place}: messages hold no turn of the assistant, so there is nothing to learn "
                "from them."
            )
        return Example(messages=messages, place=place)
    if "instruction" not in values or "output" not in values:
        raise DataError(
            f"{place}: there is no 'messages', and no 'instruction' with 'output'. The keys are "
            f"{', '.join(values) or 'none'}."
        )
    if isinstance(values["output"], str) and not values["output"].strip():
        return None
    return Example(messages=instructed(values, place), place=place)


def instructed(values: dict[str, object], place: str) -> Messages:
    """Read an Alpaca record as two turns: instruction (an empty line, input) and output."""
    asked, given = text_of(values, "instruction", place), values.get("input")
    if given is not None and not (isinstance(given, str) and not given.strip()):
        asked += "\n\n" + text_of(values, "input", place)
    return [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": text_of(values, "output", place)},
    ]


def preference(values: dict[str, object], place: str) -> Example:
    """Read one record as an Example with `messages`, `chosen` and `rejected`."""
    key = next((name for name in ("messages", "prompt") if name in values), None)
    if key is None:
        raise DataError(
            f"{place}: there is no 'prompt' (a text) and no 'messages'. The keys are "
            f"{', '.join(values) or 'none'}."
        )
    messages = messages_of(values[key], place)
    if messages[-1]["role"] != "user":
        raise DataError(
            f"{place}: the last turn of '{key}' is by the {messages[-1]['role']}; the answers "
            "must follow a turn of the user."
        )
    chosen, rejected = text_of(values, "chosen", place), text_of(values, "rejected", place)
    if chosen == rejected:
        raise DataError(
            f"{place}: 'chosen' and 'rejected' are the same text, so there is no preference."
        )
    return Example(messages=messages, chosen=chosen, rejected=rejected, place=place)
