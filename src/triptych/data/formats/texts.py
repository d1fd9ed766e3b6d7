"""Read plain text as documents: text files, JSONL with a `text`, and folders of them.

Imports no torch. In a text file an empty line ends a document, and the lines of a document are
joined by a space, or by nothing between two characters of a script without spaces. In JSONL every
object is a document. With `data.verbatim`, and in files whose name is that of code, a file or an
object is one document and keeps its lines. A long document is cut into several Examples, which
record whether they begin and end it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError
from ...messages import Message, listed, message
from ..example import Example, Notify, OnProblem
from .json_lines import damage
from .lines import encoding_of, lines_of, stop
from .named_fields import field_lines
from .refused import notebook
from .subtitle_kinds import is_subtitles
from .subtitle_pairs import timed_texts

if TYPE_CHECKING:
    from ..table import DataTable
    from ..tokenizers.subwords import Tokenizer

# Characters after which a long document continues in a new Example, at the end of a line.
MOST_FILES = 3  # each of which is reported on a line of its own
PIECE = 4000
WHOLE = 1_000_000  # the same for a file that keeps its lines
FINER = 200  # pieces that few long texts are cut into if the split would hold none out
SUFFIXES = (".txt", ".jsonl", ".ndjson")  # read from a folder, each also with .gz
CODE = (
    ".py",
    ".pyi",
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".hpp",
    ".java",
    ".js",
    ".ts",
    ".go",
    ".rs",
    ".rb",
    ".php",
    ".sh",
    ".sql",
    ".lua",
)
# Characters of scripts without spaces: CJK ideographs with extensions, kana, full-width signs.
UNSPACED = re.compile(
    r"[\u2E80-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\uFF00-\uFFEF\U00020000-\U0003FFFF]"
)


def read(
    names: Sequence[str], data: DataTable, needs: Sequence[str], report: Notify | None = None
) -> list[Example]:
    """Read the documents of several files or folders; long ones are cut into pieces.

    `data.columns` names the key of the text in JSONL, or its column in a table; `data.fields` the
    key. Raises DataError naming file
    and line of what cannot be read.
    """
    notify = report or (lambda message: None)
    key = (data.listed(("text",)) or ["text"])[0]
    found: list[Example] = []
    read_, lines_read = list[Message](), 0  # what is said of each file
    for path in files_in(names, data.verbatim):
        whole, is_table = as_it_is(path, data.verbatim), bool(data.columns) and not _is_jsonl(path)
        if is_subtitles(path):
            lines = [one.text for one in timed_texts(path, notify, data.encoding)]
            kept = list(texts_of(lines, path, key))
        elif is_table:
            lines = field_lines(path, data.columns, notify, data.encoding)
            kept = list(_objects(lines, path, "text", whole, stop))
        else:
            lines = lines_of(path, notify, data.encoding)
            kept = list(texts_of(lines, path, key, whole))
        read_.append(_said(path, whole, is_table, len(lines), len(kept), data.encoding))
        found += kept
        lines_read += len(lines)
    for said in read_[:1] if len(read_) > MOST_FILES else read_:
        notify(said)
    if len(read_) > MOST_FILES:
        notify(
            message(
                "{names}: {files:,} files like this one, {lines:,} lines in all; {texts:,} texts",
                names=listed(Path(name).name for name in names),
                files=len(read_),
                lines=lines_read,
                texts=len(found),
            )
        )
    return found


def _said(
    path: Path, whole: bool, is_table: bool, lines: int, texts: int, encoding: str | None
) -> Message:
    """Say what was read of a file."""
    kind = (
        message("subtitles")
        if is_subtitles(path)
        else message("a table")
        if is_table
        else "JSONL"
        if _is_jsonl(path)
        else message("plain text")
    )
    how = (
        message("as they are written, of at most about {longest:,} characters", longest=WHOLE)
        if whole
        else message("of at most about {longest:,} characters", longest=PIECE)
    )
    size = (
        kind  # whose lines are not those of a text
        if is_table or is_subtitles(path)
        else message(
            "{kind}, {lines:,} lines, {encoding}",
            kind=kind,
            lines=lines,
            encoding=encoding_of(path, encoding),
        )
    )
    return message(
        "{name}: {size}; {texts:,} texts {how}", name=path.name, size=size, texts=texts, how=how
    )


def texts_of(lines: Iterable[str], path: Path, key: str, whole: bool = False,
             wrong: OnProblem = stop) -> Iterator[Example]:  # fmt: skip
    """Yield the texts of one file, JSONL or plain text by its name, holding one text at a time.

    whole: see `as_it_is`. wrong: gets the place and reason of each line that is not a text.

    Raises DataError for a JSON list, whose brackets and keys would be learnt with its texts.
    """
    if _is_jsonl(path):
        return _objects(lines, path, key, whole, wrong)
    if _suffix(path) == ".ipynb" and not whole:
        raise notebook(path)
    if _suffix(path) == ".json" and not whole:
        raise DataError(
            f"{path} is JSON, not plain text. Write JSONL (one object a line) and name it .jsonl, "
            "or learn from it as it is written with data.verbatim = true."
        )
    return (
        _as_written(enumerate(lines, 1), path.name)
        if whole
        else _flowing(enumerate(lines, 1), path.name)
    )


def bounded(ids: Sequence[int], example: Example, tokenizer: Tokenizer) -> list[int]:
    """Add the begin and end tokens to a text's ids where its document begins and ends.

    Returns (N,) to (N + 2,) ids.
    """
    return [*[tokenizer.begin_id] * example.begins, *ids, *[tokenizer.end_id] * example.ends]


def as_it_is(path: Path, verbatim: bool) -> bool:
    """Tell whether a file is one document that keeps its lines: if `verbatim`, and for code."""
    return verbatim or _suffix(path) in CODE


def _is_jsonl(path: Path) -> bool:
    return _suffix(path) in (".jsonl", ".ndjson")


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def documents(lines: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """Yield the numbered lines of each document; empty lines separate documents."""
    document: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            document.append((number, line))
        elif document:
            yield document
            document = []
    if document:
        yield document


def pieces(found: Iterable[Sequence[tuple[int, str]]], name: str) -> Iterator[Example]:
    """Make each document one Example, or several of about PIECE characters.

    The place of each is its first line.
    """
    for document in found:
        yield from _flowing(document, name, ends=False)


def _flowing(lines: Iterable[tuple[int, str]], name: str, ends: bool = True) -> Iterator[Example]:
    """Join numbered lines to texts of about PIECE characters. ends: empty lines end a text."""
    held: list[str] = []
    first, length, begins = 0, 0, True
    for number, line in lines:
        blank = not line.strip()
        ended = ends and blank
        if held and (ended or (not blank and length + len(line) > PIECE)):
            yield Example(text=joined(held), place=f"{name}:{first}", begins=begins, ends=ended)
            held, length, begins = [], 0, ended
        if held or not blank:
            first = first if held else number
            held.append(line)
            length += len(line) + 1
    if held:
        yield Example(text=joined(held), place=f"{name}:{first}", begins=begins)


def _as_written(
    lines: Iterable[tuple[int, str]], name: str, size: int | None = None, end: str = "\n"
) -> Iterator[Example]:
    """Join numbered lines with their ends and spaces to texts of about `size` characters (WHOLE).

    Nothing is made of white space alone.
    """
    held: list[str] = []
    first, length, begins = 1, 0, True
    for number, line in lines:
        if held and length + len(line) > (size or WHOLE):
            yield Example(text="".join(held), place=f"{name}:{first}", begins=begins, ends=False)
            held, first, length, begins = [], number, 0, False
        held.append(f"{line}{end}")
        length += len(line) + len(end)
    text = "".join(held)
    if text.strip() or not begins:
        yield Example(text=text, place=f"{name}:{first}", begins=begins)


def finer(found: list[Example]) -> list[Example]:
    """Cut texts that keep their lines into about FINER pieces, at the ends of lines.

    Of one or two files the hash might hold none out of training.
    """
    size = max(PIECE, sum(len(example.text or "") for example in found) // FINER)
    cut: list[Example] = []
    for example in found:
        name, _, first = (example.place or "").rpartition(":")
        numbered = enumerate(StringIO(example.text, newline="\n"), int(first or 1))
        parts = list(_as_written(numbered, name, size, end="")) or [example]
        parts[0].begins, parts[-1].ends = example.begins, example.ends
        cut += parts
    return cut


def joined(lines: Iterable[str]) -> str:
    """Join lines to running text: white space becomes one space, none within Chinese."""
    parts: list[str] = []
    for line in lines:
        text = " ".join(line.split())
        if not text:
            continue
        if parts and not (UNSPACED.match(text) and UNSPACED.match(parts[-1][-1])):
            parts.append(" ")
        parts.append(text)
    return "".join(parts)


def files_in(names: Sequence[str], code_too: bool = False) -> list[Path]:
    """List the named files, and of each folder all files that hold text by their names.

    Code is listed if asked for, or if the folder holds nothing else.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        there = {
            one: one.name.removesuffix(".gz").lower()
            for one in sorted(path.rglob("*"))
            if one.is_file()
        }
        text, code = (
            [one for one, name in there.items() if name.endswith(ends)] for ends in (SUFFIXES, CODE)
        )
        inside = sorted(text + code) if code_too else text or code
        if not inside:
            raise DataError(
                f"The folder {path} holds no text file. Name files, or a folder with "
                f"{', '.join(SUFFIXES)} (also .gz) or with code ({', '.join(CODE)})."
            )
        found += inside
    return found


def _objects(
    lines: Iterable[str], path: Path, key: str, whole: bool, wrong: OnProblem
) -> Iterator[Example]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as problem:
            wrong(place, damage(line, problem))
            continue
        text = values.get(key) if isinstance(values, dict) else None
        if not isinstance(text, str):
            has = (
                f"it has {', '.join(values) or 'none'}"
                if isinstance(values, dict)
                else "the line is not an object"
            )
            wrong(
                place,
                f"there is no text under the key '{key}'; {has}. Name another key in "
                "data.columns (--columns text=KEY).",
            )
            continue
        if any("\ud800" <= character <= "\udfff" for character in text):
            wrong(
                place,
                f"'{key}' holds half a character (a lone surrogate, \\ud800 to \\udfff), which "
                "UTF-8 text cannot hold.",
            )
            continue
        if whole:
            yield from [Example(text=text, place=f"{path.name}:{number}")] if text.strip() else []
        else:
            yield from pieces([[(number, one) for one in text.split("\n")]], path.name)
