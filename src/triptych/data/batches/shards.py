"""Store a set larger than memory as token shards on disk, and map one shard at a time.

Imports no torch.

    index.json      format version, tokenizer's fingerprint, number type, each shard's sizes and
                    checksums; written last
    00000.ids.npy   begin, text, end of one text after the other, uint16 or uint32; a piece of a
                    longer text has the begin or the end only where the text has it
    00000.ends.npy  the end of each text in them, int64
    00000.places.npy  (texts, 2) uint32: number of the file, number of the line
    held.jsonl      texts held out for validation

The files are plain .npy without objects: nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from ...errors import DataError
from ..example import Example
from ..sets.download import write_whole

VERSION = 2
INDEX, HELD = "index.json", "held.jsonl"
PARTS = ("ids", "ends", "places")


class Mark(TypedDict):
    """Describe a file, by which it is recognised."""

    bytes: int
    sha256: str


class Shard(TypedDict):
    """Describe one shard: how much it holds, and its files."""

    texts: int
    tokens: int
    files: dict[str, Mark]


class Index(TypedDict):
    """Describe what is read of index.json."""

    sources: list[str]
    longest: int
    digest: str
    shards: list[Shard]


class Shards(Sequence[Example]):
    """Read a folder of shards.

    As a sequence it gives Examples that have only their place; `ids(index)` gives the tokens.

    sizes: texts of each shard; tokens: all ids with begins and ends; longest: the longest text's
    length; digest: of all content. Only the shard that was read last is mapped.
    """

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder, self._index = folder, index
        self.sizes: list[int] = [shard["texts"] for shard in index["shards"]]
        self.tokens: int = sum(shard["tokens"] for shard in index["shards"])
        self.longest: int = index["longest"]
        self.digest: str = index["digest"]
        self._firsts = np.cumsum([0, *self.sizes])
        self._checked: set[str] = set()
        self._mapped: tuple[int, dict[str, np.ndarray]] = (-1, {})

    @classmethod
    def open(cls, folder: Path) -> Shards:
        """Open a folder. Raises DataError for a missing or truncated file, or another version."""
        path = folder / INDEX
        try:
            index = json.loads(path.read_text("utf-8"))
            version = index["format_version"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
            raise DataError(
                f"{path} is not a whole index of token shards ({problem}). {_way_out(folder)}"
            ) from None
        if version != VERSION:
            raise DataError(
                f"{path} has version {version}; this triptych reads {VERSION}. {_way_out(folder)}"
            )
        try:
            found = cls(folder, index)
            marks = {
                name: mark["bytes"]
                for shard in index["shards"]
                for name, mark in shard["files"].items()
                if mark["sha256"]
            }
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as problem:
            raise DataError(
                f"{path} is not an index of token shards ({type(problem).__name__}: {problem}). "
                f"{_way_out(folder)}"
            ) from None
        for name, size in marks.items():
            found._check_size(folder / name, size)
        return found

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        arrays, own = self._find(index)
        file, line = arrays["places"][own].tolist()
        return Example(place=f"{self._index['sources'][file]}:{line}")

    def ids(self, index: int) -> np.ndarray:
        """Return begin, text, end of one text: (N + 2,), fewer for a piece; a view of the file."""
        arrays, own = self._find(index)
        ends = arrays["ends"]
        return arrays["ids"][int(ends[own - 1]) if own else 0 : int(ends[own])]

    def held(self) -> list[Example]:
        """Return the texts held out for validation."""
        path = self.folder / HELD
        try:
            return [
                Example(**json.loads(line)) for line in path.read_text("utf-8").split("\n")[:-1]
            ]
        except (OSError, ValueError, TypeError, RecursionError) as problem:
            raise DataError(
                f"{path} does not hold the texts held out for validation ({problem}). "
                f"{_way_out(self.folder)}"
            ) from None

    def _find(self, index: int) -> tuple[dict[str, np.ndarray], int]:
        """Return the arrays of the shard that holds a text, and the text's number in it."""
        shard = int(np.searchsorted(self._firsts, index, "right")) - 1
        if self._mapped[0] != shard:
            self._mapped = -1, {}  # releases the old mapping before the new one is made
            self._mapped = shard, self._map(shard)
        return self._mapped[1], index - int(self._firsts[shard])

    def _map(self, shard: int) -> dict[str, np.ndarray]:
        """Map a shard's arrays, and compare its checksums the first time."""
        for name, mark in self._index["shards"][shard]["files"].items():
            path = self.folder / name
            self._check_size(path, mark["bytes"])
            if name not in self._checked:
                with open(path, "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != mark["sha256"]:
                        raise DataError(
                            f"{path} is damaged: its SHA-256 is not the one in the index. "
                            f"{_way_out(self.folder)}"
                        )
                self._checked.add(name)
        return {
            part: np.load(self.folder / f"{shard:05d}.{part}.npy", "r", allow_pickle=False).view(
                np.ndarray
            )
            for part in PARTS
        }

    def _check_size(self, path: Path, wanted: int) -> None:
        size = path.stat().st_size if path.is_file() else None
        if size != wanted:
            has = (
                "is missing"
                if size is None
                else f"is truncated: it has {size:,} bytes, and {wanted:,} were written"
            )
            raise DataError(f"{path} {has}. {_way_out(self.folder)}")


def _way_out(folder: Path) -> str:
    return f"Delete the folder {folder}: the next training writes it again from the texts."


class Writer:
    """Write texts as ids into shards of at least `shard_tokens` (the last has fewer).

    Memory holds at most one shard.
    """

    def __init__(self, folder: Path, vocabulary_size: int, shard_tokens: int) -> None:
        self.folder, self._shard_tokens = folder, shard_tokens
        self._kind = np.uint16 if vocabulary_size <= 1 << 16 else np.uint32
        self.shards: list[Shard] = []
        self.longest = 0
        self._begin()

    def _begin(self) -> None:
        self._ids: list[np.ndarray] = []
        self._places: list[tuple[int, int]] = []
        self._tokens = 0

    def go_on(self, shards: Sequence[Shard], longest: int) -> None:
        """Begin after shards that are written already."""
        self.shards, self.longest = list(shards), longest

    def add(self, ids: Sequence[int] | np.ndarray, file: int, line: int) -> None:
        """Add a text, with its begin and end, from line `line` of file number `file`."""
        self._ids.append(np.array(ids, dtype=self._kind))
        self._places.append((file, line))
        self._tokens += len(ids)
        self.longest = max(self.longest, len(ids))
        if self._tokens >= self._shard_tokens:
            self._flush()

    def _flush(self) -> None:
        if not self._ids:
            return
        arrays = {
            "ids": np.concatenate(self._ids),
            "ends": np.cumsum([len(one) for one in self._ids], dtype=np.int64),
            "places": np.array(self._places, dtype=np.uint32),
        }
        self._ids = []
        files: dict[str, Mark] = {}
        for part in PARTS:
            content, name = io.BytesIO(), f"{len(self.shards):05d}.{part}.npy"
            np.save(content, arrays.pop(part), allow_pickle=False)
            raw = content.getvalue()
            write_whole(self.folder / name, raw)
            files[name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        self.shards.append({"texts": len(self._places), "tokens": self._tokens, "files": files})
        self._begin()

    def finish(self, held: Sequence[Example], **values: object) -> None:
        """Write the last shard, the held-out texts and, last, the index with `values` in it."""
        self._flush()
        kept = ("text", "place", "begins", "ends")
        lines = [
            json.dumps({name: getattr(one, name) for name in kept}, ensure_ascii=False) + "\n"
            for one in held
        ]
        write_whole(self.folder / HELD, "".join(lines).encode())
        sums = [mark["sha256"] for shard in self.shards for mark in shard["files"].values()]
        index = {
            "format_version": VERSION,
            **values,
            "number": np.dtype(self._kind).name,
            "longest": self.longest,
            "digest": hashlib.sha256(" ".join(sums).encode()).hexdigest(),
            "shards": self.shards,
        }
        write_whole(self.folder / INDEX, json.dumps(index, indent=1, ensure_ascii=False).encode())
