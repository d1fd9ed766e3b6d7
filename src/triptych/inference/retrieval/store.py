"""Keep an index on the disk: NumPy arrays that are mapped, a text and two JSON files, no pickle.

A folder holds `index.json` and one folder `data-N`. Another N is written beside it, and then
`index.json` is replaced in one step: a reader sees the old index or the new one, whole.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import RunError, UsageError, shell_command
from ...runs.storage import alone, flush, parsed, read_text, write_file, writing
from .postings import Array, Postings

FORMAT, VERSION = "triptych index", 1
HEADER, FILES, TEXTS, VECTORS = "index.json", "files.json", "texts.bin", "vectors"
DATA = "data-"
LOCK = ".indexing"
TRIES = 3  # an index may be replaced while it is opened
# Columns of the array `passages`.
FILE, LINE, START, TEXT_START, TEXT_END = range(5)
ARRAYS = ("passages", "digests", "terms", "starts", "places", "counts", "lengths")


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """Describe a file that was read: its name, what it is recognised by, how many passages."""

    name: str
    bytes: int
    mtime_ns: int
    sha256: str
    passages: int


@dataclass(frozen=True, slots=True)
class Embedding:
    """Describe the run whose vectors an index holds.

    probe: its vector of a fixed text, by which a changed run is recognised.
    """

    run: str
    width: int
    probe: list[float]


@dataclass(frozen=True, slots=True)
class Header:
    """Describe an index.

    source: what was indexed, as it was given. rows: the passages are rows of a table or a query,
    whose characters count from the row's text. reading: what else decides what is read (columns,
    encoding, query, the longest passage). indexed_ns: when reading began.
    """

    source: str
    rows: bool
    reading: dict[str, object]
    passages: int
    indexed_ns: int
    vectors: Embedding | None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """Hold everything that an index consists of.

    Args:
        header: What it is.
        files: Those that were read.
        passages: (P, 5) int64: file, line, first character, and the bytes of the text.
        digests: (P,) uint64, a hash of each text.
        texts: The texts in UTF-8, one after the other; uint8.
        postings: For BM25.
        vectors: (P, D) float32 of length 1, if there are any.
    """

    header: Header
    files: list[IndexedFile]
    passages: Array
    digests: Array
    texts: Array
    postings: Postings
    vectors: Array | None


def is_index(path: Path) -> bool:
    """Tell whether a folder holds an index."""
    return (path / HEADER).is_file()


def read(path: str | Path) -> Contents:
    """Open an index; its arrays are mapped, not read.

    Raises:
        UsageError: There is no index.
        RunError: It is damaged, or of another version of triptych.
    """
    path = Path(path)
    for left in reversed(range(TRIES)):
        header = _read_header(path)
        try:
            return _read_data(path / f"{DATA}{header.number}", header)
        except FileNotFoundError as error:
            if left == 0:
                raise RunError(
                    "{file} is missing. {way}", file=error.filename, way=_way_out(path)
                ) from None
    raise AssertionError("the last try returns or raises")


def _way_out(path: Path) -> str:
    command = shell_command("triptych", "index", "SOURCE", "--out", path)
    return f"Copy the whole folder, or remove it and index again: {command}"


def _read_header(path: Path) -> Header:
    if not is_index(path):
        raise UsageError(
            "{path} is not an index. Make one with: {command}",
            path=path,
            command=shell_command("triptych", "index", "SOURCE", "--out", path),
        )
    where = path / HEADER
    values = parsed(read_text(where), where, _way_out(path))
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise RunError("{where} does not describe an index. {way}", where=where, way=_way_out(path))
    if values.get("version") != VERSION:
        raise RunError(
            "{path} is an index of format {version}, and this triptych reads format {known}. "
            "Remove it and index again, or update triptych.",
            path=path,
            version=values.get("version"),
            known=VERSION,
        )
    try:
        given = {one.name: values[one.name] for one in fields(Header)}
        vectors = given["vectors"]
        given["vectors"] = None if vectors is None else Embedding(**vectors)
        return Header(**given)
    except (KeyError, TypeError) as problem:
        raise RunError(
            "{where} lacks a key or has a wrong one ({problem}). {way}",
            where=where,
            problem=problem,
            way=_way_out(path),
        ) from None


def _read_data(data: Path, header: Header) -> Contents:
    """Map the arrays. Raise FileNotFoundError if one is missing, RunError if one is damaged."""
    try:
        rows: list[list[Any]] = json.loads((data / FILES).read_text(encoding="utf-8"))
        files = [IndexedFile(*row) for row in rows]
        held = {name: _mapped(data / f"{name}.npy") for name in ARRAYS}
        texts = np.asarray(np.memmap(data / TEXTS, dtype=np.uint8, mode="r"))
        embedding = header.vectors
        vectors = None if embedding is None else _mapped(data / f"{VECTORS}.npy")
        _refuse_unequal(header, held, texts, vectors)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, EOFError) as problem:
        raise RunError(
            "{data} is cut off or damaged ({problem}). {way}",
            data=data,
            problem=problem,
            way=_way_out(data.parent),
        ) from None
    postings = Postings(*(held[name] for name in ARRAYS[2:]))
    return Contents(header, files, held["passages"], held["digests"], texts, postings, vectors)


def _mapped(path: Path) -> Array:
    """Map an array; as a plain one, whose slices cost less than those of a memmap."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _refuse_unequal(
    header: Header, held: dict[str, Array], texts: Array, vectors: Array | None
) -> None:
    """Raise ValueError if arrays do not belong together."""
    count = header.passages
    lengths = [len(held[name]) for name in ("passages", "digests", "lengths")]
    if held["passages"].shape != (count, 5) or lengths != [count] * 3:
        raise ValueError(f"{count} passages expected, {lengths} found")
    if count and int(held["passages"][-1, TEXT_END]) != len(texts):
        raise ValueError("the texts have another length")
    ends = int(held["starts"][-1])
    if len(held["starts"]) != len(held["terms"]) + 1 or ends != len(held["places"]):
        raise ValueError("the postings have another length")
    if len(held["counts"]) != len(held["places"]):
        raise ValueError("the counts have another length")
    embedding = header.vectors
    if vectors is not None and embedding and vectors.shape != (count, embedding.width):
        raise ValueError("the vectors have another shape")


def _busy(path: Path, process: str) -> UsageError:
    return UsageError(
        "{parent} is being written now, by process {value}. Wait until it ends, or name another "
        "folder with --out.",
        parent=path.parent,
        value=process,
    )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Make the folder if it is missing, and keep other processes from writing into it.

    Raises:
        UsageError: The folder holds something else, or another process writes it now.
    """
    if path.exists() and not path.is_dir():
        raise UsageError("--out {path} is a file. Name a folder.", path=path)
    if path.is_dir() and not is_index(path) and any(map(_is_foreign, path.iterdir())):
        raise UsageError(
            "--out {path} holds files and is not an index. Name a new folder.", path=path
        )
    is_new = not path.exists()
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    try:
        with alone(path / LOCK, _busy):
            yield
    finally:
        if is_new and not is_index(path):
            with contextlib.suppress(OSError):
                path.rmdir()


def _is_foreign(path: Path) -> bool:
    return not path.name.startswith((DATA, f".{DATA}", LOCK, f".{HEADER}"))


def write(path: Path, contents: Contents) -> None:
    """Replace an index in one step; the folder is `locked`. Where that fails, nothing changes."""
    numbers = (one.name.removeprefix(DATA) for one in path.glob(f"{DATA}*"))
    number = max((int(one) for one in numbers if one.isdecimal()), default=0) + 1
    data, aside = path / f"{DATA}{number}", path / f".{DATA}{number}.writing"
    for left in path.glob(f".{DATA}*.writing"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    try:
        with writing(path):
            aside.mkdir()
            _write_data(aside, contents)
            flush(aside)
            aside.rename(data)
        header = {"format": FORMAT, "version": VERSION, **asdict(contents.header)}
        header["number"] = number
        text = json.dumps(header, ensure_ascii=False, indent=1) + "\n"
        write_file(path / HEADER, text.encode("utf-8", "replace"))
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)
        raise
    for old in path.glob(f"{DATA}*"):
        if old != data:
            shutil.rmtree(old, ignore_errors=True)


def _write_data(folder: Path, contents: Contents) -> None:
    arrays = {
        "passages": contents.passages,
        "digests": contents.digests,
        **{name: getattr(contents.postings, name) for name in ARRAYS[2:]},
    }
    if contents.vectors is not None:
        arrays[VECTORS] = contents.vectors
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    contents.texts.tofile(folder / TEXTS)
    rows = [[getattr(one, each.name) for each in fields(one)] for one in contents.files]
    # Names that are not UTF-8 hold half characters, which only an escape can write.
    (folder / FILES).write_text(json.dumps(rows), encoding="ascii")
    for file in folder.iterdir():
        flush(file)


def text_of(contents: Contents, place: int) -> str:
    """Return the text of a passage."""
    row = contents.passages[place]
    return bytes(contents.texts[int(row[TEXT_START]) : int(row[TEXT_END])]).decode()


def texts_of(contents: Contents, places: Sequence[int]) -> list[str]:
    return [text_of(contents, place) for place in places]
