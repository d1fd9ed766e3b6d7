"""Stream sets larger than memory: texts are tokenized once into shards in the user's cache.

What memory holds at any time is bounded: a sample for the tokenizer, the held-out texts, one shard.
Imports no torch.
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError, UsageError
from ...messages import message
from ..example import Example, Notify
from ..formats.encodings import known, wide_mark
from ..formats.lines import MARK, missing, not_utf8, report_marks
from ..formats.texts import as_it_is, files_in, texts_of
from ..hub.data_sets import as_files
from ..sets.files import cache_folder
from ..split import division_of, sentence_key, split_of
from .cutting import ALONE, PROGRESS, Crew, Cutter, Progress, cut_into
from .shards import INDEX, VERSION, Shards, Writer

if TYPE_CHECKING:
    from ..table import DataTable
    from ..tokenizers.subwords import Tokenizer

AUTOMATIC_BYTES = 1_000_000_000  # of text; larger sets are streamed unless the recipe decides
GZIP_RATIO = 3  # approximate size of a text relative to its .gz
SAMPLE_CHARACTERS = 50_000_000  # of the sample that the tokenizer is trained on
HELD_CHARACTERS = 4_000_000  # of the validation part, and of the test part
LINE_BYTES = 64_000_000  # longer lines are refused
_NOT_STREAMED = (
    "{path}: a streamed set is read line by line, which {name} does not allow. Convert the file, "
    "for example: iconv -f {name} -t utf-8, or set data.stream = false."
)


@dataclass(slots=True)
class ReservoirSample:
    """Sample as many texts of a stream as fit, spread evenly over it.

    It keeps every text at first, then every second, every fourth, ...
    """

    characters: int
    step: int = 1
    seen: int = 0
    held: int = 0
    kept: list[Example] = dataclasses.field(default_factory=list)

    def add(self, example: Example) -> None:
        if self.seen % self.step == 0:
            self.kept.append(example)
            self.held += len(example.text or "")
            while self.held > self.characters and len(self.kept) > 1:
                self.kept, self.step = self.kept[::2], self.step * 2
                self.held = sum(len(one.text or "") for one in self.kept)
        self.seen += 1


def resolved(data: DataTable, can_stream: bool) -> DataTable:
    """Return the table with `stream` decided: as given, else true above AUTOMATIC_BYTES.

    can_stream: the task can read ids from shards. Raises UsageError for an impossible request.
    """
    if data.stream:
        if data.set is not None or data.train is None:
            raise UsageError(
                "data.stream reads your own text files: give data.train. A set of the catalogue "
                "is always read into memory."
            )
        if not can_stream:
            raise UsageError(
                "data.stream is for language modelling, which reads plain text. Leave it out for "
                "this task."
            )
        if data.examples is not None:
            raise UsageError(
                "data.examples picks from texts in memory, and data.stream does not read them "
                "into memory. Leave one of them out."
            )
    elif (
        data.stream is None
        and can_stream
        and data.train is not None
        and data.set is None
        and data.examples is None
    ):
        sizes = [
            size * GZIP_RATIO if name.endswith(".gz") else size
            for name, size, _ in _marks(files_in(_names(as_files(data).train or []), data.verbatim))
        ]
        if sum(sizes) > AUTOMATIC_BYTES:
            return dataclasses.replace(data, stream=True)
    return data


class Corpus:
    """Read the training texts of a recipe that are too many for memory."""

    def __init__(self, data: DataTable, report: Notify | None = None) -> None:
        data = as_files(data, report)
        self._data, self._notify = data, report or (lambda message: None)
        self.paths = files_in(_names(data.train or []), data.verbatim)
        self._key = (data.listed(("text",)) or ["text"])[0]
        self._missing = [name for name in ("validation", "test") if getattr(data, name) is None]
        self._shares = division_of(data).shares

    def texts(self, report: Notify | None = None) -> Iterator[tuple[int, Example]]:
        """Yield (number of its file, text); `report` gets notices on byte order marks."""
        for number, path in enumerate(self.paths):
            for example in texts_of(
                _lines(path, report, self._data.encoding),
                path,
                self._key,
                as_it_is(path, self._data.verbatim),
            ):
                yield number, example

    def part(self, example: Example) -> str:
        """Return the split of a text; a split with files of its own takes nothing from here."""
        part = (
            split_of(sentence_key(example.text or ""), self._shares) if self._missing else "train"
        )
        return part if part in self._missing else "train"

    @cached_property
    def samples(self) -> dict[str, ReservoirSample]:
        """Sample each split evenly within bounded memory, by one reading of all texts."""
        found = {
            part: ReservoirSample(SAMPLE_CHARACTERS if part == "train" else HELD_CHARACTERS)
            for part in ("train", *self._missing)
        }
        for _, example in self.texts(self._notify):
            found[self.part(example)].add(example)
        sample, held = found["train"], sum(found[part].seen for part in self._missing)
        if held and not sample.seen:
            files = " and ".join(f"data.{part}" for part in self._missing)
            raise DataError(
                f"There is nothing to train on: all texts ({held:,}) fall to the held-out parts. "
                f"Name {files}."
            )
        self._notify(
            f"{len(self.paths):,} files are streamed: {sum(one.seen for one in found.values()):,} "
            f"texts, {sample.seen:,} to train on; the sample for the tokenizer and the first look "
            f"has {len(sample.kept):,} of them, {sample.held:,} characters."
        )
        return found

    def held(self, part: str) -> list[Example]:
        """Return the texts held out for a split that has no file of its own."""
        held = self.samples[part]
        if len(held.kept) < held.seen:
            self._notify(f"{part}: {len(held.kept):,} of {held.seen:,} texts, evenly spread.")
        return held.kept

    def folder(self, tokenizer: Tokenizer) -> Path:
        """Return the shards' folder; it differs for other texts, tokenizers or sizes of shards."""
        key = [
            VERSION,
            _marks(self.paths),
            self._key,
            self._missing,
            self._data.shard_tokens,
            self._data.verbatim,
            *([self._data.encoding] if self._data.encoding else []),
            tokenizer.fingerprint,
        ]
        return cache_folder() / "shards" / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]

    def find(self, tokenizer: Tokenizer) -> Shards | None:
        """Return the shards if they are already written."""
        folder = self.folder(tokenizer)
        return Shards.open(folder) if (folder / INDEX).is_file() else None

    def shards(self, tokenizer: Tokenizer, writes: bool = True, crew: Crew = ALONE) -> Shards:
        """Return the shards, and write them first if needed, from where a killed process was.

        writes: this process writes; only one of a machine's processes does, the others wait.
        crew: the processes that cut texts into tokens.
        """
        folder = self.folder(tokenizer)
        while not writes and not (folder / INDEX).is_file():
            time.sleep(0.5)
        found = self.find(tokenizer)
        if found is not None:
            self._notify(
                f"Token shards: {folder}, {len(found.sizes):,} with {found.tokens:,} tokens."
            )
            return found
        with _own_folder(folder) as aside:
            if (folder / INDEX).is_file():  # another process was faster
                return Shards.open(folder)
            return self._written(folder, aside, tokenizer, crew)

    def _written(self, folder: Path, aside: Path, tokenizer: Tokenizer, crew: Crew) -> Shards:
        """Write the shards aside, move them to their folder and open them."""
        try:
            self._write(aside, tokenizer, crew)
            # If the index exists now, another process was faster and wrote the same.
            if not (folder / INDEX).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                os.rename(aside, folder)
        except OSError as problem:
            raise DataError(
                f"{folder} cannot be written: {problem.strerror or problem}. Name another folder "
                "with XDG_CACHE_HOME."
            ) from None
        shutil.rmtree(aside, ignore_errors=True)
        return Shards.open(folder)

    def _write(self, folder: Path, tokenizer: Tokenizer, crew: Crew) -> None:
        held = self.held("validation") if "validation" in self._missing else []
        writer = Writer(folder, tokenizer.vocabulary_size, self._data.shard_tokens)
        progress = Progress.read(folder)
        if progress.texts:
            self._notify(
                message(
                    "Cutting into tokens goes on after {texts:,} texts, which {shards:,} shards "
                    "hold.",
                    texts=progress.texts,
                    shards=len(progress.shards),
                )
            )
        reported_at = time.monotonic()

        def tell(seen: int) -> None:
            nonlocal reported_at
            if time.monotonic() - reported_at > 30:
                reported_at = time.monotonic()
                self._notify(
                    f"Cutting into tokens: {seen:,} texts, {len(writer.shards):,} shards written."
                )

        cutter = Cutter(tokenizer, self._shares, self._missing)
        texts = cut_into(writer, self.texts(), cutter, progress, crew, tell)
        if not texts:
            raise DataError("There is nothing to train on: the training data holds no text.")
        writer.finish(
            held, tokenizer=tokenizer.fingerprint, sources=[path.name for path in self.paths]
        )
        (folder / PROGRESS).unlink(missing_ok=True)
        self._notify(
            f"Token shards: {len(writer.shards):,} written to "
            f"{folder.with_name(self.folder(tokenizer).name)}; later trainings use them again."
        )


@contextmanager
def _own_folder(folder: Path) -> Iterator[Path]:
    """Give the folder in which shards are written before they are moved to `folder`.

    It is kept if writing ends early, so that the next process goes on. Where another process is
    writing the same shards, or files cannot be locked, it is a folder of this process alone.
    """
    aside, lock = folder.with_name(f"{folder.name}.writing"), None
    try:
        import fcntl

        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = open(folder.with_name(f"{folder.name}.lock"), "wb")  # noqa: SIM115
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        own = folder.with_name(f"{folder.name}.{os.getpid()}.writing")
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)
    else:
        yield aside
    finally:
        if lock is not None:
            lock.close()


def _names(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _marks(paths: list[Path]) -> list[tuple[str, int, int]]:
    """Identify files without reading them: path, bytes, time of the last change (ns)."""
    found: list[tuple[str, int, int]] = []
    for path in paths:
        try:
            key = path.stat()
        except OSError:
            raise missing(path) from None
        found.append((str(path.resolve()), key.st_size, key.st_mtime_ns))
    return found


def _lines(path: Path, report: Notify | None = None, encoding: str | None = None) -> Iterator[str]:
    """Yield the lines of a file, plain or gzipped. Raises DataError naming a broken line."""
    number, marked = 0, list[int]()
    name = "utf-8" if encoding is None else known(encoding).removesuffix("-sig")
    if name.startswith(("utf-16", "utf-32")):
        raise DataError(_NOT_STREAMED.format(path=path, name=name))
    try:
        with _opened(path) as file:
            while raw := file.readline(LINE_BYTES):
                number += 1
                if len(raw) == LINE_BYTES and not raw.endswith(b"\n"):
                    raise DataError(
                        f"{path}:{number}: the line has over {LINE_BYTES:,} bytes. A streamed set "
                        "is read line by line: cut it into lines, for example with fold "
                        "-s."
                    )
                try:
                    line = raw.decode(name).removesuffix("\n").removesuffix("\r")
                except UnicodeDecodeError as problem:
                    if number == 1 and (wide := wide_mark(raw)):
                        raise DataError(_NOT_STREAMED.format(path=path, name=wide)) from None
                    place, byte = f"{path}:{number}", raw[problem.start]
                    if encoding is None:
                        raise not_utf8(place, byte, raw) from None
                    raise DataError(
                        f"{place}: byte 0x{byte:02X} is not in the encoding ({encoding}) that "
                        "data.encoding (--encoding) names."
                    ) from None
                marked += [number] * (number > 1 and line.startswith(MARK))
                yield line.lstrip(MARK)
        report_marks(str(path), marked, report)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        raise DataError(f"{path} is not a whole gzip file ({problem}). Copy it again.") from None
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror or problem}.") from None


def _opened(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")
