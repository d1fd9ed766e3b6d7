"""Read conversations, and pairs of a preferred and a rejected answer, from JSONL or a JSON list.

Imports no torch.

{"messages": [{"role", "content"}, ...]}, or Alpaca's {"instruction", "input", "output"} (Taori et
al. 2023) as two turns. A preference is {"prompt": text or messages, "chosen": text, "rejected":
text}; its prompt may be under "messages" too. `foreign/conversations.py` and
`foreign/preferences.py` name the forms of other tools. A record that cannot be used is left out,
counted and reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ...errors import DataError
from ...messages import message
from ..example import Example, Notify
from .foreign.conversations import Remark, turns_of
from .foreign.preferences import preference_of
from .json_lines import FIRST_LINES, brief, damage, is_record
from .messages import UnknownRole, Unusable, is_learnt, messages_of, own_messages
from .named_fields import field_lines
from .record_notes import RecordNotes

if TYPE_CHECKING:
    from ..table import DataTable

SAMPLE = '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", ...}]}'
# A message as a telephone exports it: [24.12.23, 18:05:59] Ann: Hello, or 12/24/23, 6:05 PM - Ann:.
PHONE = re.compile(
    r"[\u200e\u200f]?\[?\d{1,4}[./-]\d{1,2}[./-]\d{1,4},?\s+\d{1,2}:\d{2}(:\d{2})?(\s?[apAP]\.?[mM]\.?)?"
    r"(\]|\s-)\s"
)
UNUSABLE = (Unusable, UnknownRole)  # errors that leave a record out


class RecordReader(Protocol):
    """Read one record as an Example, or as None where it is left out without an error."""

    def __call__(
        self, values: dict[str, object], place: str, remark: Remark = ...
    ) -> Example | None: ...


def read(
    names: Sequence[str], data: DataTable, needs: Sequence[str], report: Notify | None = None
) -> list[Example]:
    """Read the conversations of several files, each with a turn of the assistant.

    Records that cannot be used, or have no answer, are left out and reported. Raises DataError
    naming file and line of what is not JSON, or if no record of a file can be used.
    """
    return _read(names, data, conversation, message("conversations"), report)


def read_preferences(
    names: Sequence[str], data: DataTable, needs: Sequence[str], report: Notify | None = None
) -> list[Example]:
    """Read prompts with a chosen and a rejected answer. Raises as `read`."""
    return _read(names, data, preference, message("preferences"), report)


def _read(
    names: Sequence[str], data: DataTable, make: RecordReader, what: str, report: Notify | None
) -> list[Example]:
    found: list[Example] = []
    for name in names:
        notes, kept, empty = RecordNotes(), list[Example](), 0
        for place, values in records(field_lines(name, data.columns, report, data.encoding), name):
            try:
                one = make(values, place, notes.remark)
            except UNUSABLE as problem:
                notes.leave_out(place, problem.reason, str(problem))
                continue
            if one is None:
                empty += 1
            else:
                one.place = f"{Path(name).name}:{one.place.rsplit(':', 1)[1]}"
                kept.append(one)
        if notes.left_out and not kept:
            notes.refuse_all(name, what)
        if report is not None:
            notes.tell(name, what, report)
            more = (
                message("; {count:,} have an empty output and are left out", count=empty)
                if empty
                else ""
            )
            report(
                message(
                    "{name}: {count:,} {records}{more}",
                    name=Path(name).name,
                    count=len(kept),
                    records=what,
                    more=more,
                )
            )
        found += kept
    return found


def records(lines: Sequence[str], where: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (file:line, object) of each line of JSONL. Raises DataError if one is not an object."""
    refuse_other(lines, where)
    for number, line in enumerate(lines, 1):
        if line.strip():
            place = f"{where}:{number}"
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as problem:
                raise DataError(f"{place}: {damage(line, problem)}") from None
            if not is_record(value):
                raise DataError(
                    f"{place}: expected a JSON object, got {brief(value)}. Write "
                    '{"messages": [...]}, one a line or as a JSON list.'
                )
            yield place, value


def refuse_other(lines: Sequence[str], where: str) -> None:
    """Raise DataError for a file without JSON, and for a JSON list not read as of objects."""
    text = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())
    number, begins = next(text, (1, ""))
    if PHONE.match(begins):
        raise DataError(
            "{where} is a chat as WhatsApp exports it: a time, a name and a message a line. Write "
            "each conversation as an object of JSONL, with the turns of one person as the "
            "assistant's: {sample}.",
            where=where,
            sample=SAMPLE,
        )
    if begins.startswith("["):
        number, begins = (number, begins) if begins != "[" else next(text, (number, begins))
        raise DataError(
            f'{where}:{number}: the JSON list must hold objects, {{"messages": [...]}}, but begins '
            f"with {begins[:40]!r}. It may be damaged; copy it again."
        )
    if not begins or any(line.lstrip().startswith("{") for line in lines[:FIRST_LINES]):
        return
    raise DataError(
        "{where} is not JSON: it begins with {begins!r}. Conversations are JSONL, one object a "
        "line: {sample}. Of a table name the columns: "
        "--columns instruction=QUESTION,output=ANSWER.",
        where=where,
        begins=begins[:40],
        sample=SAMPLE,
    )


def unheeded(place: str, what: str) -> None:
    """Report nothing: the default where nobody asks what of a record is not read."""


def conversation(
    values: dict[str, object], place: str, remark: Remark = unheeded
) -> Example | None:
    """Read one record as an Example with `messages`; None for an instruction without an answer.

    Raises Unusable, a DataError, or UnknownRole, a UsageError.
    """
    turns = turns_of(values, place, remark)
    if turns is None:
        return None
    messages = messages_of(turns, place, weights=True)
    if not any(one["role"] == "assistant" for one in messages):
        raise Unusable(
            f"{place}: messages hold no turn of the assistant, so there is nothing to learn from "
            "them.",
            "there is no turn of the assistant",
        )
    if not any(map(is_learnt, messages)):
        raise Unusable(
            f"{place}: every turn of the assistant has the weight 0, so there is nothing to learn "
            "from them.",
            "every turn of the assistant has the weight 0",
        )
    return Example(messages=messages, place=place)


def preference(values: dict[str, object], place: str, remark: Remark = unheeded) -> Example:
    """Read one record as an Example with `messages`, `chosen` and `rejected`.

    Raises as `conversation`.
    """
    turns, *answers = preference_of(values, place, remark)
    messages = messages_of(turns, place)
    if messages[-1]["role"] != "user":
        raise Unusable(
            f"{place}: the last turn of the prompt is by the {messages[-1]['role']}; the answers "
            "must follow a turn of the user.",
            "its prompt does not end with a turn of the user",
        )
    texts: list[str] = []
    for key, one in zip(("chosen", "rejected"), answers, strict=True):
        (message,) = messages_of([one], f"{place}: '{key}'")
        if message["role"] != "assistant":
            raise Unusable(
                f"{place}: '{key}' is a turn by the {message['role']}, not by the assistant.",
                "an answer is not by the assistant",
            )
        texts.append(message["content"])
    if texts[0] == texts[1]:
        raise Unusable(
            f"{place}: 'chosen' and 'rejected' are the same text, so there is no preference.",
            "'chosen' and 'rejected' are the same text",
        )
    return Example(messages=messages, chosen=texts[0], rejected=texts[1], place=place)


def own_record(example: Example) -> dict[str, object]:
    """Write a conversation or a preference as a record of our own JSONL."""
    messages = own_messages(example.messages or [])
    if example.chosen is None:
        return {"messages": messages}
    return {"prompt": messages, "chosen": example.chosen, "rejected": example.rejected}
