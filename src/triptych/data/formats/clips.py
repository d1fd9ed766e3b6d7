"""Read the user's clips of sound with their texts: manifests, and folders of sound files.

A manifest is TSV, CSV or JSONL with a column `audio` (or path, file ...) and a column `text` (or
target, transcript ...), and may have `start` and `end` in seconds. Names of files are relative to
the manifest. In a folder the text of a clip stands in a file of the same name (`clip.txt`), or is
its name, as `data.pattern` says: "{text}_{speaker}_{number}", "{text}/{clip}".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError, UsageError
from ...messages import listed, message
from ..example import Example, Notify, OnProblem
from .foreign.own_lines import own_file, own_lines
from .json_lines import object_of
from .lines import decode_text, missing, read_bytes, stop
from .table_format import Format, is_header, rows_of, sniffed

if TYPE_CHECKING:
    from ..table import DataTable

SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au")
AUDIO = ("audio", "audio_path", "audio_filepath", "path", "file", "filename", "file_name", "wav",
         "clip")  # fmt: skip
TEXT = ("text", "target", "transcript", "transcription", "sentence", "label")
TIMES = ("start", "end")
Columns = Mapping[str, str | int]


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str],
    report: Notify | None = None,
) -> list[Example]:
    """Read the clips of manifests and folders; those without a text are left out and counted.

    Raises DataError naming file and line of the first record that cannot be read.
    """
    found, without = list[Example](), 0
    for name in names:
        for one in clips(name, data.columns, data.pattern, data.encoding):
            if (one.target or "").strip():
                found.append(one)
            else:
                without += 1
    if without and report is not None:
        report(
            message(
                "{names}: {count:,} clips without text are left out; triptych data check lists "
                "them.",
                names=listed(Path(name).name for name in names),
                count=without,
            )
        )
    return found


def clips(
    name: str | Path,
    columns: Columns | None = None,
    pattern: str | None = None,
    encoding: str | None = None,
    wrong: OnProblem = stop,
    needs_text: bool = True,
) -> Iterator[Example]:
    """Yield the clips of a manifest or a folder; a file of sound is one clip without a text.

    Args:
        name: The manifest, folder or file of sound.
        columns: Field -> column or key of a manifest.
        pattern: What the names of a folder's files consist of.
        encoding: That of the manifest.
        wrong: Receives the place and reason of each record that cannot be read.
        needs_text: False if no text is wanted.
    """
    path = Path(name)
    if path.is_dir():
        yield from _of_folder(path, pattern, needs_text)
        return
    if pattern is not None:
        raise UsageError(
            "data.pattern reads texts out of the names in a folder, and {path} is a file. Leave it "
            "out.",
            path=path,
        )
    if path.suffix.lower() in SOUNDS:
        yield Example(audio=str(path), place=str(path))
        return
    yield from _of_manifest(path, columns or {}, encoding, wrong, needs_text)


def is_clips(name: str | Path, encoding: str | None = None) -> bool:
    """Tell whether a file or folder holds clips of sound: its first record names a sound file."""
    path = Path(name)
    if path.is_dir():
        return next(_sounds(path), None) is not None
    if path.suffix.lower() in SOUNDS:
        return True
    try:
        lines = own_file(path, encoding=encoding).lines
        form = sniffed(path, lines, [])
        if form.kind == "text":
            return False
        names, _ = _choice(form, {}, True)
        records = islice(_records(lines, form, stop), 2)
        values = [cells.get(names["audio"]) for _, cells in records]
    except DataError:
        return False
    return any(isinstance(one, str) and one.lower().endswith(SOUNDS) for one in values)


def _of_manifest(
    path: Path, columns: Columns, encoding: str | None, wrong: OnProblem, needs_text: bool
) -> Iterator[Example]:
    if not path.exists():
        raise missing(path)
    lines = own_lines(path, encoding=encoding)
    form = sniffed(path, lines, [])
    if form.kind == "text":
        raise DataError(
            "{path} is no manifest of sound: it needs a column audio and a column text, with a tab "
            "between them (TSV), or is CSV or JSONL.",
            path=path,
        )
    names, has_header = _choice(form, columns, needs_text)
    for number, cells in _records(lines, form, wrong):
        if has_header and form.kind != "jsonl" and _is_title(form, number, cells):
            continue
        place = f"{path}:{number}"
        try:
            yield _clip(path, cells, names, f"{path.name}:{number}", needs_text)
        except ValueError as problem:
            wrong(place, str(problem))


def _is_title(form: Format, number: int, cells: Mapping[str, object]) -> bool:
    return number == form.begins or is_header([str(one) for one in cells.values()], form)


def _records(
    lines: Sequence[str], form: Format, wrong: OnProblem
) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (line number, key or number of column -> value)."""
    if form.kind != "jsonl":
        for number, row in rows_of(lines, form):
            yield number, {str(place): cell.strip() for place, cell in enumerate(row, 1)}
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, object_of(line)
            except ValueError as problem:
                wrong(f"{form.path}:{number}", str(problem))


def _choice(form: Format, columns: Columns, needs_text: bool) -> tuple[dict[str, str], bool]:
    """Return field -> key or number of column, and whether the first row is a header."""
    titles = {title.lower(): title for title in form.first}
    place = {title: str(number) for number, title in enumerate(form.first, 1)}
    usual = {"audio": AUDIO, "target": TEXT, "start": ("start",), "end": ("end",)}
    found: dict[str, str] = {}
    for field, names in usual.items():
        given = columns.get(field, columns.get("text") if field == "target" else None)
        wanted = names if given is None else (str(given),)
        name = next((titles[one.lower()] for one in wanted if one.lower() in titles), None)
        if name is not None:
            found[field] = name if form.kind == "jsonl" else place[name]
        elif given is not None and form.kind != "jsonl" and str(given).isdigit():
            found[field] = str(given)
        elif given is not None:
            raise DataError(
                "{path} has no column {name!r}; there are {names}.",
                path=form.path,
                name=str(given),
                names=", ".join(form.first),
            )
    has_header = columns.get("header") != "no" and any(
        title.lower() in (*AUDIO, *TEXT, *(str(one).lower() for one in columns.values()))
        for title in form.first
    )
    if "audio" not in found and form.kind != "jsonl" and not has_header and len(form.first) > 1:
        found = {"audio": "1", "target": "2", **found}  # the usual order
    lacking = [
        shown
        for field, shown in (("audio", "audio"), ("target", "text"))
        if field not in found and (needs_text or field == "audio")
    ]
    if lacking:
        raise DataError(
            "{path} has no column {lacking}; there are {names}. Name the columns with --columns "
            "audio=COLUMN text=COLUMN.",
            path=form.path,
            lacking=" and no column ".join(lacking),
            names=", ".join(form.first),
        )
    return found, has_header


def _clip(
    path: Path, cells: Mapping[str, object], names: Mapping[str, str], place: str, needs_text: bool
) -> Example:
    """Return one clip. Raises ValueError with the reason if the record is not one."""
    audio, text = cells.get(names["audio"]), cells.get(names.get("target", ""))
    if not isinstance(audio, str) or not audio.strip():
        raise ValueError(message("no file of sound is named."))
    if needs_text and text is None:
        raise ValueError(message("the text is missing."))
    if text is not None and not isinstance(text, str):
        raise ValueError(message("the text is not a text but {kind}.", kind=type(text).__name__))
    times = [_seconds(cells.get(names.get(one, "")), one) for one in TIMES]
    return Example(
        audio=str(_located(path.parent, audio.strip())),
        target=text,
        start=times[0],
        end=times[1],
        place=place,
    )


def _seconds(value: object, name: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(message("{name} must be seconds, not {value!r}.", name=name, value=value))
    return seconds


def _located(folder: Path, name: str) -> Path:
    """Return a file of sound; a name without its ending may stand for one, also in `wavs`."""
    path = folder / name
    if path.exists() or path.suffix.lower() in SOUNDS:
        return path
    beside = (folder / sub / f"{name}{ending}" for sub in ("", "wavs") for ending in SOUNDS)
    return next((one for one in beside if one.exists()), path)


# Folders ------------------------------------------------------------------------------------------


def _sounds(folder: Path) -> Iterator[Path]:
    """Yield the files of sound in a folder and below it, in order."""
    yield from (one for one in sorted(folder.rglob("*")) if one.suffix.lower() in SOUNDS)


def _of_folder(folder: Path, pattern: str | None, needs_text: bool) -> Iterator[Example]:
    form = None if pattern is None else compiled(pattern)
    count = 0
    for count, path in enumerate(_sounds(folder), 1):  # noqa: B007
        name = path.relative_to(folder).as_posix()
        text = _text_of(path, name, form, pattern) if needs_text else None
        yield Example(audio=str(path), target=text, place=name)
    if not count:
        raise DataError(
            "{folder} holds no sound: no file in it ends in {endings}.",
            folder=folder,
            endings=", ".join(SOUNDS),
        )


def _text_of(
    path: Path, name: str, form: Callable[[str], str | None] | None, pattern: str | None
) -> str:
    """Return the text of a clip: what `data.pattern` finds in its name, a file beside it, its name.

    In a name that is the text an underscore stands for a space.
    """
    if form is not None:
        text = form(name)
        if text is None:
            raise DataError(
                "{name} does not fit data.pattern = {pattern!r}.", name=name, pattern=pattern
            )
        return text
    beside = path.with_suffix(".txt")
    if beside.is_file():
        return " ".join(decode_text(read_bytes(beside), str(beside)).split())
    return path.stem.replace("_", " ").strip()


def compiled(pattern: str) -> Callable[[str], str | None]:
    """Return what finds the text in a file's name, None if it does not fit.

    Raises UsageError for a pattern without {text}.
    """
    parts = re.split(r"\{(\w*)\}", pattern)
    names = parts[1::2]
    if names.count("text") != 1 or "" in names:
        raise UsageError(
            "data.pattern is {pattern!r}; it must have {{text}} once, and may have other names, "
            "like '{{text}}_{{speaker}}_{{number}}'.",
            pattern=pattern,
        )
    inner = ("" if "/" in pattern else r"(?:.*/)?") + "".join(
        re.escape(part) if place % 2 == 0 else r"(?P<text>[^/]+?)" if part == "text" else "[^/]+"
        for place, part in enumerate(parts)
    )
    form = re.compile(inner)

    def find(name: str) -> str | None:
        stem = re.sub(r"\.[^./]+$", "", name)
        found = form.fullmatch(stem)
        return None if found is None else found["text"].replace("_", " ").strip()

    return find
