"""Read passages with questions and answers that are spans of them, from SQuAD's JSON or JSONL.

SQuAD (Rajpurkar et al. 2016, 2018), plain, .gz or in a tar, is {"data": [{"title", "paragraphs":
[{"context", "qas": [{"id", "question", "answers": [{"text", "answer_start"}],
"is_impossible"}]}]}]}. A JSONL file holds one question a line: {"question", "passage" or "context",
"answers": [{"text", "start" or "answer_start"}]}. In both an answer may be its text alone. Offsets
count characters; "27" and 27.0 are read as 27. A wrong offset is corrected if the text occurs near
it, or only once in the passage.
"""

from __future__ import annotations

import io
import json
import tarfile
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ..example import Example, Notify, OnProblem
from .answers import located, standing
from .foreign.own_lines import own_lines
from .json_lines import brief, first_object, is_text
from .lines import LONGEST_DOCUMENT_BYTES, read_bytes, stop

if TYPE_CHECKING:
    from ..table import DataTable

NAMED = 3  # places that a notice names


@dataclass(frozen=True, slots=True)
class LocatedQuestion:
    """Hold one question, the article of its passage, and the answers with a wrong offset."""

    example: Example
    article: str = ""
    moved: tuple[str, ...] = ()  # a sentence for each answer that was found elsewhere
    lost: tuple[str, ...] = ()  # a sentence for each that was not found


@dataclass(slots=True)
class QuestionCounts:
    """Collect the places of questions with moved, lost or empty parts while reading."""

    moved: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str] = (),
    report: Notify | None = None,
) -> list[Example]:
    """Read the questions of files with passages.

    Each has `place` = file#question-id and `source_language` = data.source. An empty list of
    answers means that the passage holds none. A question is left out if none of its answers can be
    found in its passage. Raises DataError with file and line for anything but SQuAD JSON.
    """
    found = [one for name in names for one in questions(name, data.source)]
    return usable(found, report, ", ".join(Path(name).name for name in names))


def usable(
    found: Sequence[LocatedQuestion], report: Notify | None, what: str, is_span: bool = True
) -> list[Example]:
    """Return the Examples that can be learnt from, and report moved and lost answers.

    is_span: an answer must be in its passage; else any text will do.
    """
    counts, examples = QuestionCounts(), []
    for one in found:
        example = one.example
        counts.moved += [example.place] * bool(one.moved and is_span)
        if not (example.question or "").strip() or not (example.passage or "").strip():
            counts.empty.append(example.place)
        elif one.lost and not (standing(example) if is_span else example.answers):
            counts.lost.append(example.place)
        else:
            examples.append(example)
    notify = report or (lambda message: None)
    if counts.moved:
        notify(
            f"{what}: answers of {_some(counts.moved)} are not at their offset. They were "
            "found near it, or in the only place of the passage that holds them."
        )
    if counts.lost:
        reason = "the answer is not found in the passage" if is_span else "the answer has no text"
        notify(f"{what}: {_some(counts.lost)} left out: {reason}. triptych data check lists them.")
    if counts.empty:
        notify(f"{what}: {_some(counts.empty)} left out: the question or the passage is empty.")
    return examples


def is_squad(name: str) -> bool:
    """Tell whether a file holds SQuAD JSON by its name, or JSONL questions by its first object."""
    plain = Path(name).name.removesuffix(".gz").lower()
    if plain.endswith((".jsonl", ".ndjson")) and Path(name).is_file():
        try:
            first = first_object(own_lines(name))
        except DataError:
            return False
        return (
            "question" in first
            and "answers" in first
            and bool({"passage", "context"} & first.keys())
        )
    return plain.endswith((".json", ".tar", ".tgz"))


def questions(
    path: str | Path, language: str | None = None, wrong: OnProblem = stop
) -> Iterator[LocatedQuestion]:
    """Yield every question of a file, also empty ones; `wrong` gets the errors of the format."""
    path = Path(path)
    for where, raw in contents(path):
        yield from parse(raw, where, language, wrong)


def contents(path: Path) -> list[tuple[str, bytes]]:
    """Return (name for messages, content) of the file, or of each JSON file in a tar, by name."""
    name = path.name.removesuffix(".gz")
    raw = read_bytes(path, LONGEST_DOCUMENT_BYTES, path.suffix in (".gz", ".tgz"))
    if not name.endswith((".tar", ".tgz")):
        return [(str(path), raw)]
    return members(raw, str(path))


def members(raw: bytes, where: str) -> list[tuple[str, bytes]]:
    """Return the JSON files in a tar's content."""
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
            files = sorted(
                (one for one in tar if one.isfile() and one.name.endswith((".json", ".jsonl"))),
                key=lambda one: one.name,
            )
            # A sparse file stores holes as their length and can expand to any size.
            if large := next((one for one in files if one.size > len(raw)), None):
                raise DataError(
                    f"{where}:{large.name} claims {large.size:,} bytes in a tar of {len(raw):,}. "
                    "Pack it without --sparse."
                )
            found = [
                (f"{where}:{one.name}", stream.read())
                for one in files
                if (stream := tar.extractfile(one)) is not None
            ]
    except (tarfile.TarError, EOFError, OSError) as problem:
        raise DataError(f"{where} is not a whole tar file ({problem}). Copy it again.") from None
    if not found:
        raise DataError(f"{where} holds no .json file. Put SQuAD JSON files into it.")
    return found


def parse(
    raw: bytes, where: str, language: str | None = None, wrong: OnProblem = stop
) -> Iterator[LocatedQuestion]:
    """Yield the questions in a file's content; `where` is its name in messages."""
    if where.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        for number, line in enumerate(raw.split(b"\n"), 1):
            if line.removeprefix(BOM_UTF8).strip():
                yield from _line(line, where, number, language, wrong)
        return
    values = _loaded(raw, where, 1, wrong)
    if values is None:
        return
    articles = values.get("data") if isinstance(values, dict) else values
    if not isinstance(articles, list):
        wrong(
            f"{where}:1",
            'there is no list of articles under "data"; SQuAD JSON is {"data": [{"paragraphs": '
            '[{"context", "qas"}]}]}.',
        )
        return
    for number, article in enumerate(articles):
        at = f"data[{number}]"
        title = article.get("title") if isinstance(article, dict) else None
        for place, paragraph in enumerate(_list(article, "paragraphs", where, at, wrong)):
            yield from _paragraph(
                paragraph, where, f"{at}.paragraphs[{place}]", title or at, language, wrong
            )


def _loaded(raw: bytes, where: str, line: int, wrong: OnProblem) -> object:
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        line += raw.count(b"\n", 0, problem.start)
        wrong(
            f"{where}:{line}",
            f"byte 0x{raw[problem.start]:02X} is not UTF-8. Convert the file, for example: iconv "
            "-f latin1 -t utf-8",
        )
    except json.JSONDecodeError as problem:
        reason = f"not valid JSON ({problem.msg} at column {problem.colno})"
        wrong(
            f"{where}:{line + problem.lineno - 1}",
            f"{reason}. The file may be cut off; copy it again.",
        )
    except (RecursionError, ValueError) as problem:
        wrong(f"{where}:{line}", f"not valid JSON ({problem}).")
    return None


def _line(
    raw: bytes, where: str, number: int, language: str | None, wrong: OnProblem
) -> Iterator[LocatedQuestion]:
    values = _loaded(raw, where, number, wrong)
    if values is None:
        return
    if not isinstance(values, dict):
        wrong(
            f"{where}:{number}",
            'expected a JSON object. Write {"question": ..., "passage": ..., "answers": [{"text": '
            '..., "start": ...}]}.',
        )
        return
    passage = values.get("passage", values.get("context"))
    if not is_text(passage):
        wrong(
            f"{where}:{number}",
            "the passage (key 'passage' or 'context') is missing or is not a text.",
        )
        return
    yield from _question(
        values,
        passage,
        where,
        f"line {number}",
        str(values.get("title", "")),
        language,
        wrong,
        f"{where}:{number}",
    )


def _paragraph(
    paragraph: object, where: str, at: str, title: str, language: str | None, wrong: OnProblem
) -> Iterator[LocatedQuestion]:
    passage = paragraph.get("context") if isinstance(paragraph, dict) else None
    if not is_text(passage):
        wrong(f"{where}: {at}", "the passage (key 'context') is missing or is not a text.")
        return
    for number, one in enumerate(_list(paragraph, "qas", where, at, wrong)):
        if not isinstance(one, dict):
            wrong(f"{where}: {at}.qas[{number}]", "expected an object with question and answers.")
            continue
        yield from _question(one, passage, where, f"{at}.qas[{number}]", title, language, wrong)


def _question(
    values: Mapping[str, object],
    passage: str,
    where: str,
    at: str,
    title: str,
    language: str | None,
    wrong: OnProblem,
    place: str | None = None,
) -> Iterator[LocatedQuestion]:
    """Read one question. Its answers may be a list of objects or, as `datasets` writes them, lists.

    An empty list, or a question marked as impossible, has no answer.
    """
    name = values.get("id")
    place = place or (f"{where}#{name}" if name not in (None, "") else f"{where}: {at}")
    question, answers = values.get("question"), values.get("answers")
    if not is_text(question):
        wrong(place, "the question is missing or is not a text.")
        return
    impossible = _truth(values.get("is_impossible"))
    if impossible is None:
        wrong(
            place, f"is_impossible is {brief(values['is_impossible'])}; it must be true or false."
        )
        return
    if isinstance(answers, dict) and isinstance(answers.get("text"), list):
        answers = _listed(answers, answers["text"], place, wrong)
        if answers is None:
            return
    if answers is None and impossible:
        answers = []
    if not isinstance(answers, list):
        wrong(
            place,
            'the answers are not a list of {"text", "answer_start"}; a question without an answer '
            "has an empty list.",
        )
        return
    kept, moved, lost = located([] if impossible else answers, passage)
    yield LocatedQuestion(
        Example(
            question=question, passage=passage, answers=kept, source_language=language, place=place
        ),
        title,
        tuple(moved),
        tuple(lost),
    )


def _listed(
    answers: Mapping[str, object], texts: list[object], place: str, wrong: OnProblem
) -> list[dict[str, object]] | None:
    """Return the answers of an object of lists; report to `wrong` if it lacks offsets or texts."""
    starts = answers.get("answer_start", answers.get("start"))
    if starts is not None and (not isinstance(starts, list) or len(starts) != len(texts)):
        has = (
            f"{len(starts):,} offsets"
            if isinstance(starts, list)
            else "offsets that are not a list"
        )
        wrong(
            place,
            f"the answers have {len(texts):,} texts and {has}; every text needs one.",
        )
        return None
    starts = starts or [None] * len(texts)
    return [{"text": text, "start": start} for text, start in zip(texts, starts, strict=True)]


def _truth(given: object) -> bool | None:
    """Read a JSON value as True (true, 1, "true"), False (false, 0, "false", missing) or None."""
    if isinstance(given, str):
        return {"true": True, "1": True, "false": False, "0": False, "": False}.get(
            given.strip().lower()
        )
    if given is None or (isinstance(given, bool | int | float) and given in (0, 1)):
        return bool(given)
    return None


def _list(values: object, key: str, where: str, at: str, wrong: OnProblem) -> list[object]:
    found = values.get(key) if isinstance(values, dict) else None
    if not isinstance(found, list):
        wrong(f"{where}: {at}", f"there is no list under '{key}'.")
        return []
    return found


def _some(places: Sequence[str]) -> str:
    names = ", ".join(Path(place).name if "/" in place else place for place in places[:NAMED])
    return (
        f"{len(places):,} question{'s' if len(places) > 1 else ''} "
        f"({names}{', ...' if len(places) > NAMED else ''})"
    )
