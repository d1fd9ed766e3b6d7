"""Convert files, of other tools too, to one of Triptych's own formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..data.formats.foreign.foreign_file import ForeignFile
from ..data.formats.foreign.own_lines import foreign, own_lines
from ..data.formats.json_lines import is_object
from ..data.formats.subtitles import read_subtitles
from ..data.load import aligned
from ..data.table import DataTable
from ..data.writing import ENDINGS, To, aligned_texts, lines_of
from ..errors import DataError, UsageError
from .named_data import NamedData, named_data, read

if TYPE_CHECKING:
    from ..data.example import Example, Notify

Format = Literal["jsonl", "tsv", "csv", "conll", "conllu", "text", "srt", "vtt"]
SUBTITLES = ("srt", "vtt")
# The field that is learnt -> the format of choice; JSONL for the others.
USUAL: dict[str, Format] = {"tags": "conll", "relations": "conllu", "text": "text"}
NAMES = {"jsonl": "JSONL", "tsv": "TSV", "csv": "CSV", "conll": "CoNLL", "conllu": "CoNLL-U",
         "text": "plain text", "srt": "SubRip", "vtt": "WebVTT"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """Hold what to convert, and where to.

    files: one file or folder, or two aligned files. to: a format, or the name of the file to write;
    None: the usual one. task, columns, encoding: how the files are read, as `named_data` takes
    them. out: the file to write; None: beside the first file.
    """

    files: Sequence[Path]
    to: str | None = None
    task: str | None = None
    columns: dict[str, str | int] | None = None
    encoding: str | None = None
    out: Path | None = None


def convert(asked: Conversion, notify: Notify) -> list[Path]:
    """Convert files and return what was written: one file, or two with a line for each pair.

    Records of another tool are written as JSONL as they are read from its file by all readers.

    Raises UsageError if a file exists already, or the format cannot hold the records; DataError
    naming file and line of what cannot be read.
    """
    to, out = _target(asked)
    names = [str(path) for path in asked.files]
    if to in SUBTITLES:
        return _subtitles(asked, to, _free(asked, to, out))
    found = named_data(names, asked.task, asked.encoding, asked.columns)
    if found.data.set is not None or found.is_recipe:
        raise UsageError(f"{names[0]} is a recipe or a set, not a file. Name files.")
    if found.guess is not None:
        notify(found.guess)
    other = foreign(names[0], encoding=asked.encoding) if len(names) == 1 else None
    to = to or ("jsonl" if other is not None else USUAL.get(found.learns_from, "jsonl"))
    out = _free(asked, to, out)
    if other is not None and to == "jsonl" and not asked.columns and _holds_objects(other):
        return _as_it_is(other, asked.files[0], out, notify)
    if to == "conllu" and found.learns_from == "relations":
        lines = [line for name in names for line in own_lines(name, notify, asked.encoding)]
        return _write(out, lines, notify, f"{out.name}: {NAMES[to]}.")
    examples = read(names, found, notify)
    if to == "text" and aligned(found.needs):
        return _two_files(examples, out, notify)
    lines = lines_of(_own(to), examples, found.needs, notify)
    written = _write(out, lines, notify, f"{out.name}: {len(examples):,} records as {NAMES[to]}.")
    _compare(examples, found, out, to, notify)
    return written


def _own(to: Format) -> To:
    assert to not in SUBTITLES, "subtitles are written elsewhere"
    return to  # type: ignore[return-value]


def _target(asked: Conversion) -> tuple[Format | None, Path | None]:
    """Return the format and the file that are asked for."""
    to, out = asked.to, asked.out
    if to is not None and to not in ENDINGS:
        path = Path(to)
        if path.suffix.lower() not in ENDINGS.values():
            formats = ", ".join(ENDINGS)
            raise UsageError(
                f"--to {to} is neither a format ({formats}) nor a file with one of their endings "
                f"({', '.join(ENDINGS.values())})."
            )
        if out is not None:
            raise UsageError(f"--to {to} and --out {out} both name a file. Name one.")
        to, out = None, path
    if to is None and out is not None:
        to = next((one for one, end in ENDINGS.items() if end == out.suffix.lower()), None)
    return to, out  # type: ignore[return-value]


def _free(asked: Conversion, to: Format, out: Path | None) -> Path:
    """Return the file to write. Raises UsageError if it exists, or its folder does not."""
    first = asked.files[0]
    if out is None:
        stem = first.name if first.is_dir() else first.name.removesuffix(".gz")
        stem = stem if first.is_dir() else Path(stem).stem
        out = first.parent / f"{stem}{ENDINGS[to]}"
        if out.name == first.name.removesuffix(".gz"):
            out = first.parent / f"{stem}.converted{ENDINGS[to]}"
    if out.exists():
        raise UsageError(
            f"{out} already exists and is not overwritten. Name another file with --out."
        )
    if not out.parent.is_dir():
        raise UsageError(
            f"There is no folder {out.parent} for {out.name}. Create it, or name another file with "
            "--out."
        )
    return out


def _holds_objects(file: ForeignFile) -> bool:
    """Tell whether the lines are JSONL; those of a workbook are CSV."""
    return is_object(next((line for line in file.lines if line.strip()), "{}"))


def _as_it_is(file: ForeignFile, path: Path, out: Path, notify: Notify) -> list[Path]:
    """Write the records of another tool's file as all readers see them."""
    file.refuse_empty(path)
    file.tell(path, notify)
    lines = [line for line in file.lines if line.strip()]
    return _write(out, lines, notify, f"{out.name}: {len(lines):,} records as JSONL.")


def _two_files(examples: Sequence[Example], out: Path, notify: Notify) -> list[Path]:
    """Write both sides of pairs to two files of plain text."""
    sides = aligned_texts(examples, notify)
    outs = [out.with_name(f"{out.stem}.{side}{out.suffix}") for side in ("source", "target")]
    for one, lines in zip(outs, sides, strict=True):
        if one.exists():
            raise UsageError(f"{one} already exists and is not overwritten. Name another --out.")
        _write(one, lines, notify, f"{one.name}: {len(lines):,} lines.")
    return outs


def _subtitles(asked: Conversion, to: Format, out: Path) -> list[Path]:
    """Write subtitles as another kind of them."""
    if len(asked.files) != 1 or asked.task is not None or asked.columns is not None:
        raise UsageError(f"--to {to} takes one file of subtitles, without --task and --columns.")
    found = read_subtitles(asked.files[0], asked.encoding)
    out.write_bytes(found.to_bytes("srt" if to == "srt" else "vtt"))
    return [out]


def _write(out: Path, lines: Sequence[str], notify: Notify, words: str) -> list[Path]:
    try:
        with open(out, "x", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError:
        raise UsageError(
            f"{out} already exists and is not overwritten. Name another file with --out."
        ) from None
    except OSError as problem:
        raise UsageError(f"{out} cannot be written: {problem.strerror or problem}.") from None
    notify(words)
    return [out]


def _compare(
    examples: Sequence[Example], found: NamedData, out: Path, to: Format, notify: Notify
) -> None:
    """Read what was written, and report records that are not the same any more."""
    if to == "text":  # it holds the texts alone, which was said
        return
    own = NamedData(DataTable(train=[str(out)]), found.needs)
    try:
        again = read([str(out)], own, None)
    except DataError as problem:
        notify(f"{out.name} cannot be read as it was written: {problem} Take --to jsonl.")
        return

    def same(one: Example) -> Example:
        return replace(one, place="", source_language=None, target_language=None)

    other = [
        number
        for number, (one, two) in enumerate(zip(examples, again, strict=False), 1)
        if same(one) != same(two)
    ]
    if len(again) != len(examples):
        notify(f"{out.name}: {len(examples):,} records were written and {len(again):,} are read.")
    elif other:
        notify(
            f"{out.name}: {len(other):,} records are not the same when they are read again, the "
            f"first is record {other[0]:,}. --to jsonl keeps everything."
        )
