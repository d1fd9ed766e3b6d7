"""Read conversations as ChatGPT exports them (conversations.json), by the branch shown last.

{"title", "mapping": {id: {"message", "parent", "children"}}, "current_node": id}: a tree, as a
question that was put anew begins a branch.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....messages import message
from ..json_lines import is_list, is_record
from .json_records import OwnRecords, Record, RecordForm, Unusable, each

ROLES = ("system", "user", "assistant")


def knows(record: object) -> bool:
    """Tell whether a value is a conversation of an export of ChatGPT."""
    return is_record(record) and is_record(record.get("mapping")) and "current_node" in record


def own(records: Sequence[object]) -> OwnRecords:
    """Write each conversation as its messages. See `RecordForm`."""
    skipped: list[int] = []

    def one_record(record: object) -> Record:
        turns, others = _turns(record)
        skipped.append(others)
        if not any(one["role"] == "assistant" for one in turns):
            raise Unusable(message("without an answer"))
        return {"messages": turns}

    found = each(one_record, records)
    notes: list[str] = []
    if sum(skipped):
        notes.append(
            message(
                "{count:,} turns of tools, pictures and files are not read.", count=sum(skipped)
            )
        )
    return OwnRecords(message("conversations of ChatGPT"), found, notes)


def _turns(record: object) -> tuple[list[dict[str, str]], int]:
    """Return the turns from the first to the current one, and how many are not text."""
    mapping = record.get("mapping") if is_record(record) else None
    if not is_record(record) or not is_record(mapping):
        raise Unusable(message("not a conversation"))
    key, seen, others = record.get("current_node"), set[str](), 0
    turns: list[dict[str, str]] = []
    while isinstance(key, str) and key not in seen:
        seen.add(key)
        node = mapping.get(key)
        if not is_record(node):
            break
        role, text, is_text = _turn(node.get("message"))
        if text and role in ROLES:
            turns.append({"role": role, "content": text})
        others += not is_text
        key = node.get("parent")
    return _merged(turns[::-1]), others


def _turn(given: object) -> tuple[str, str, bool]:
    """Return the role and text of a message, and False if it holds what is not text."""
    if not is_record(given):  # the root
        return "", "", True
    author, content = given.get("author"), given.get("content")
    role = str(author.get("role")) if is_record(author) else ""
    parts = content.get("parts") if is_record(content) else None
    texts = [one for one in parts if isinstance(one, str)] if is_list(parts) else []
    whole = is_list(parts) and len(texts) == len(parts) and role in ROLES
    return role, "\n".join(texts).strip(), whole


def _merged(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """Join turns of one speaker that follow each other, as an answer around a tool's does."""
    found: list[dict[str, str]] = []
    for one in turns:
        if found and found[-1]["role"] == one["role"]:
            found[-1]["content"] += f"\n\n{one['content']}"
        else:
            found.append(one)
    return found


FORM = RecordForm(knows, own)
