"""Write Examples as files of our own formats: JSONL, TSV, CSV, CoNLL, CoNLL-U, plain text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from ..errors import UsageError
from .example import Example, Notify
from .formats.answers import ELSEWHERE
from .formats.headers import NAMES
from .formats.texts import joined
from .validation.conllu import UPOS

To = Literal["jsonl", "tsv", "csv", "conll", "conllu", "text"]
Needs = Sequence[str]
ENDINGS: dict[str, str] = {
    "jsonl": ".jsonl", "tsv": ".tsv", "csv": ".csv", "conll": ".conll", "conllu": ".conllu",
    "text": ".txt", "srt": ".srt", "vtt": ".vtt",
}  # fmt: skip


def lines_of(to: To, examples: Sequence[Example], needs: Needs, notify: Notify) -> list[str]:
    """Write Examples with the fields `needs` as the lines of a file.

    notify: receives a sentence on everything that the format cannot hold.

    Raises UsageError if the format has no place for such records.
    """
    if to == "jsonl":
        return [json.dumps(own_record(one, needs), ensure_ascii=False) for one in examples]
    return WRITERS[to](examples, needs, notify)


def own_record(one: Example, needs: Needs) -> dict[str, object]:
    """Return an Example as the object that a line of JSONL holds.

    Raises UsageError for trees, which have a format of their own.
    """
    if "relations" in needs:
        raise _unfit("JSONL", "trees", "conllu")
    if "tags" in needs:
        words = [(one.text or "")[start:end] for start, end in one.words or []]
        record: dict[str, object] = {"words": words, "tags": one.tags}
        return record if one.text == " ".join(words) else {"text": one.text, **record}
    found: dict[str, object] = {}
    for need in needs:
        value = getattr(one, need)
        if need == "answers":
            found[need] = [
                {"text": text} if start == ELSEWHERE else {"text": text, "start": start}
                for text, start in one.answers or []
            ]
        elif need == "target" and one.references is not None:
            found[need] = one.references if len(one.references) > 1 else one.target
        elif need == "messages" and "chosen" in needs:
            found["prompt"] = value
        elif need != "references":
            found[_key(need)] = value
    return found


def _key(need: str) -> str:
    return NAMES[need][0] if need in NAMES else need


def _unfit(kind: str, records: str, better: str) -> UsageError:
    return UsageError(f"{kind} cannot hold {records}. Write them as {better}: --to {better}.")


def _table(examples: Sequence[Example], needs: Needs, notify: Notify, sign: str) -> list[str]:
    """Write one row for each Example, below a header."""
    kind = "TSV" if sign == "\t" else "CSV"
    for field, records, better in (
        ("relations", "trees", "conllu"),
        ("tags", "words with tags", "conll"),
        ("messages", "conversations", "jsonl"),
        ("answers", "questions with the places of their answers", "jsonl"),
    ):
        if field in needs:
            raise _unfit(kind, records, better)
    columns = [need for need in needs if need != "references"]
    several = sum(len(one.references or []) > 1 for one in examples)
    if several:
        notify(f"{several:,} records have several targets, of which {kind} holds the first.")
    rows = [[_key(need) for need in columns]]
    rows += [[_cell(getattr(one, need)) for need in columns] for one in examples]
    plain = sign == "\t" and not any(
        any(character in cell for character in '\t\n\r"') for row in rows for cell in row
    )
    if plain:
        return ["\t".join(row) for row in rows]
    return [line for row in rows for line in _csv_row(row, sign).split("\n")]


def _csv_row(row: Sequence[str], sign: str) -> str:
    """Write a row without its end. Both characters of the end are quoted inside a cell."""
    file = io.StringIO()
    csv.writer(file, delimiter=sign, lineterminator="\r\n").writerow(row)
    return file.getvalue().removesuffix("\r\n")


def _cell(value: object) -> str:
    if isinstance(value, list):
        texts = [str(one) for one in value]
        alone = any("|" in one or one.startswith("[") for one in texts)
        return json.dumps(texts, ensure_ascii=False) if alone else "|".join(texts)
    return "" if value is None else str(value)


def _tsv(examples: Sequence[Example], needs: Needs, notify: Notify) -> list[str]:
    return _table(examples, needs, notify, "\t")


def _csv(examples: Sequence[Example], needs: Needs, notify: Notify) -> list[str]:
    return _table(examples, needs, notify, ",")


def _conll(examples: Sequence[Example], needs: Needs, notify: Notify) -> list[str]:
    """Write a word and its tag a line; words are numbered below their text where that differs."""
    if "tags" not in needs:
        raise UsageError("CoNLL holds words with tags, and these records have none.")
    rows = [(_words(one), one.tags or [], one.text or "") for one in examples]
    numbered = any(text != " ".join(words) for words, _, text in rows)
    broken = sum("\n" in text for _, _, text in rows) if numbered else 0
    if broken:
        notify(f"{broken:,} texts have several lines, which CoNLL writes as one.")
    lines: list[str] = []
    for words, tags, text in rows:
        if numbered:
            lines.append(f"# text = {' '.join(text.split())}")
        for number, (word, tag) in enumerate(zip(words, tags, strict=True), 1):
            cells = [" ".join(word.split()), tag]
            lines.append("\t".join([str(number), *cells] if numbered else cells))
        lines.append("")
    return lines


def _words(one: Example) -> list[str]:
    return [(one.text or "")[start:end] for start, end in one.words or []]


def _conllu(examples: Sequence[Example], needs: Needs, notify: Notify) -> list[str]:
    """Write words with parts of speech as CoNLL-U, without trees."""
    kinds = {tag for one in examples for tag in one.tags or []}
    if "tags" not in needs or not kinds <= UPOS:
        what = ", ".join(sorted(kinds - UPOS)[:3])
        raise UsageError(
            "CoNLL-U holds trees and parts of speech"
            + (f", and these tags are others ({what}): --to conll." if what else ".")
        )
    notify("The words have no heads and relations, so the file serves tagging, not parsing.")
    lines: list[str] = []
    for one in examples:
        text = one.text or ""
        lines.append(f"# text = {' '.join(text.split())}")
        for number, ((start, end), tag) in enumerate(
            zip(one.words or [], one.tags or [], strict=True), 1
        ):
            glued = end < len(text) and not text[end].isspace()
            misc = "SpaceAfter=No" if glued else "_"
            lines.append("\t".join([str(number), text[start:end], "_", tag, *"_____", misc]))
        lines.append("")
    return lines


def _text(examples: Sequence[Example], needs: Needs, notify: Notify) -> list[str]:
    """Write the texts with an empty line after each document."""
    if "text" not in needs:
        raise UsageError(
            "These records have no text of their own. Write them as JSONL: --to jsonl."
        )
    others = [need for need in needs if need not in ("text", "words")]
    if others:
        notify(f"Plain text holds the texts alone, without {', '.join(others)}.")
    lines: list[str] = []
    held: list[str] = []
    for one in examples:  # a long document is several Examples
        held.append(one.text or "")
        if one.ends:
            lines += [*joined(held).split("\n"), ""]
            held = []
    return [*lines, *([joined(held)] if held else [])]


def aligned_texts(examples: Iterable[Example], notify: Notify) -> tuple[list[str], list[str]]:
    """Write pairs as the lines of two files."""
    sides = [((one.source or ""), (one.target or "")) for one in examples]
    broken = sum("\n" in source or "\n" in target for source, target in sides)
    if broken:
        notify(f"{broken:,} pairs have a text of several lines, which is written as one.")
    return (
        [" ".join(source.split("\n")) for source, _ in sides],
        [" ".join(target.split("\n")) for _, target in sides],
    )


WRITERS: dict[str, Callable[[Sequence[Example], Needs, Notify], list[str]]] = {
    "tsv": _tsv,
    "csv": _csv,
    "conll": _conll,
    "conllu": _conllu,
    "text": _text,
}
