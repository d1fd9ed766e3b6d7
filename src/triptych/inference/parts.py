"""Keep the answers to a large file in parts that are each there whole or not at all.

The lines of the file are divided into blocks of equal length, and the answers to a block are a
part. Which process answers which block changes nothing, so any number of processes can share the
work, and what a killed process left is continued by the next. Imports no torch.

    manifest.json   marks of the input and of the run, the settings, the length of a block
    00000.part      a line of JSON (block, lines, failed, bytes, sha256, work), then the answers
    work.lock       held by every process that answers or joins: alone by one that answers all
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import RunError, UsageError
from ..messages import message
from ..runs.run import Run
from ..runs.storage import alone, fingerprint, flush, parsed, read_text, whole, writing
from .shares import LineFile, Share

VERSION = 1
MANIFEST = "manifest.json"
LOCK = "work.lock"
# What the answers of a run depend on: its small files and its weights.
OF_ANSWERS = ("config.json", "labels.json", "tokenizer*.json", "*.safetensors", "words/*.json",
              "words/*.safetensors")  # fmt: skip
COPY_BYTES = 1 << 20
SHOWN = 20  # shares that a message lists
HEAD_BYTES = 1000  # more than the first line of a part has


def mark_of_run(run: str | Path) -> str:
    """Return a SHA-256 of everything in a run folder that its answers depend on."""
    folder, digest = Run.open(run).path, hashlib.sha256()
    for path in sorted({path for name in OF_ANSWERS for path in folder.glob(name)}):
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name} {fingerprint(path)['sha256']}\n".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Manifest:
    """Describe what the parts of a folder answer, by which with which settings."""

    input: dict[str, int | str]
    run: str
    settings: dict[str, Any]
    block_lines: int
    blocks: int
    shards: int
    format_version: int = VERSION

    @classmethod
    def of(cls, lines: LineFile, run: str, settings: dict[str, Any], shards: int) -> Manifest:
        about = {"bytes": lines.bytes, "sha256": lines.sha256, "lines": lines.lines}
        settings = json.loads(json.dumps(settings))  # as they will be read again
        return cls(about, run, settings, lines.block_lines, lines.blocks, shards)

    @cached_property
    def work(self) -> str:
        """Return a mark of the input, the run and the settings, which every part repeats."""
        values = {name: value for name, value in asdict(self).items() if name != "shards"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def length(self, block: int) -> int:
        """Return how many lines a block has."""
        return min(self.block_lines, int(self.input["lines"]) - block * self.block_lines)


@dataclass(frozen=True)
class Part:
    """Describe one part, as its first line does."""

    block: int
    lines: int
    failed: int
    bytes: int
    sha256: str
    work: str


class Parts:
    """Read and write the parts of one folder."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    @classmethod
    def open(cls, folder: Path, manifest: Manifest) -> Parts:
        """Open a folder, which is made where it is missing.

        Raises:
            UsageError: It holds answers to another input, by another run or with other settings.
        """
        path = folder / MANIFEST
        if not path.exists():
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            _make(path, json.dumps(asdict(manifest), ensure_ascii=False, indent=1) + "\n")
        return cls(folder, _same(folder, manifest))

    @classmethod
    def there(cls, folder: Path, manifest: Manifest) -> Parts:
        """Open a folder that must exist."""
        if not (folder / MANIFEST).exists():
            raise RunError(
                "There are no answers to join: {folder} is missing. Answer the lines first, with "
                "--shard 1/n to n/n.",
                folder=folder,
            )
        return cls(folder, _same(folder, manifest))

    def path(self, block: int) -> Path:
        return self.folder / f"{block:05}.part"

    @contextmanager
    def alone(self, share: Share) -> Iterator[None]:
        """Hold a share while it is answered. Raise UsageError where another process holds it."""
        name = f"{share.number % share.count}-of-{share.count}.lock"

        def busy(path: Path, process: str) -> UsageError:
            return UsageError(
                "Shard {share} of {folder} is being answered now, by process {process}. Wait "
                "until it ends, or stop it.",
                share=share,
                folder=self.folder,
                process=process,
            )

        with self._held(is_all=share.count == 1), alone(self.folder / name, busy):
            yield

    @contextmanager
    def _held(self, is_all: bool) -> Iterator[None]:
        """Hold the folder: alone for a process that removes it at its end, else with others."""
        try:
            import fcntl

            file = (self.folder / LOCK).open("a")
        except (ImportError, OSError):  # a folder that can only be read, perhaps
            yield
            return
        with file:
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if is_all else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _busy(self.folder, is_all) from None
            except OSError:  # a disk without such locks
                pass
            yield

    def write(self, block: int, content: bytes, lines: int, failed: int) -> None:
        """Write the part of a block, whole or not at all."""
        digest = hashlib.sha256(content).hexdigest()
        part = Part(block, lines, failed, len(content), digest, self.manifest.work)
        with whole(self.path(block), is_shared=True) as aside:
            aside.write_bytes(json.dumps(asdict(part)).encode() + b"\n" + content)

    def check(self, block: int) -> Part | None:
        """Return the part of a block; None where there is none.

        Raises:
            RunError: The part is damaged.
        """
        path = self.path(block)
        try:
            with open(path, "rb") as file:
                part = _part(file.readline(HEAD_BYTES))
                digest, size = hashlib.sha256(), 0
                while chunk := file.read(COPY_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunError("{path} cannot be read: {reason}.", path=path, reason=reason) from None
        wanted = (block, self.manifest.length(block), size, digest.hexdigest(), self.manifest.work)
        about = part and (part.block, part.lines, part.bytes, part.sha256, part.work)
        if part is None or about != wanted:
            raise RunError(
                "{path} is damaged, or a part of other answers: its first line does not fit its "
                "content and the manifest. Answer its lines again with the same command and "
                "--shard {share}.",
                path=path,
                share=self.share_with(block),
            )
        return part

    def share_with(self, block: int) -> Share:
        """Return the share that a block belongs to, of as many as began the work."""
        return Share(block % self.manifest.shards, self.manifest.shards)

    def checked(self, blocks: Iterable[int]) -> Iterator[tuple[int, Part | None]]:
        """Yield each block with its part; None where that is missing or damaged."""
        for block in blocks:
            try:
                yield block, self.check(block)
            except RunError:
                yield block, None

    def join(self, target: Path) -> int:
        """Write all parts, in order, to one file, whole or not at all.

        Returns:
            How many lines could not be answered.

        Raises:
            RunError: A part is missing or damaged.
        """
        with self._held(is_all=False), alone(target.with_name(f".{target.name}.lock"), _joining):
            self._refuse_missing()
            return self._joined(target)

    def _joined(self, target: Path) -> int:
        failed = 0
        with whole(target) as aside, open(aside, "wb") as file:
            for block in range(self.manifest.blocks):
                part = self.check(block)
                assert part is not None, "missing parts were refused"
                failed += part.failed
                with open(self.path(block), "rb") as source:
                    source.readline()
                    shutil.copyfileobj(source, file, COPY_BYTES)
        return failed

    def _refuse_missing(self) -> None:
        absent = [block for block in range(self.manifest.blocks) if not self.path(block).exists()]
        if absent:
            shares = sorted({str(self.share_with(block)) for block in absent}, key=_number)
            raise RunError(
                "{folder} is not complete: {count:,} of {blocks:,} parts are missing, the first "
                "is {name}. Run the same command with --shard {shares}.",
                folder=self.folder,
                count=len(absent),
                blocks=self.manifest.blocks,
                name=self.path(absent[0]).name,
                shares=", ".join(shares[:SHOWN]) + ", ..." * (len(shares) > SHOWN),
            )

    def remove(self) -> None:
        """Delete the folder, whose answers are joined."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _number(share: str) -> int:
    return int(share.partition("/")[0])


def _part(head: bytes) -> Part | None:
    """Return what the first line of a part says; None where it is no such line."""
    try:
        part = Part(**json.loads(head))
    except (ValueError, TypeError, RecursionError):
        return None
    counts = (part.block, part.lines, part.failed, part.bytes)
    return part if all(type(one) is int and one >= 0 for one in counts) else None


def _joining(path: Path, process: str) -> UsageError:
    """Return the error for a file that another process is writing."""
    return UsageError(
        "{path} is being written now, by process {process}. Wait until it ends, or stop it.",
        path=path.with_name(path.name.removeprefix(".").removesuffix(".lock")),
        process=process,
    )


def _busy(folder: Path, is_all: bool) -> UsageError:
    """Return the error for a folder in which others answer."""
    if is_all:
        return UsageError(
            "Other processes answer shares of {folder} now. Wait until they end, or stop them.",
            folder=folder,
        )
    return UsageError(
        "Another process, without --shard, answers all of {folder} now. Wait until it ends, or "
        "stop it.",
        folder=folder,
    )


def _make(path: Path, text: str) -> None:
    """Write a file that several processes may make at once: the first makes it, whole."""
    aside = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}")
    with writing(path):
        aside.write_text(text, encoding="utf-8")
        flush(aside)
        try:
            os.link(aside, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
        with suppress(OSError):
            flush(path.parent)


def _same(folder: Path, wanted: Manifest) -> Manifest:
    """Return the manifest of a folder. Raise UsageError where it is not the wanted one."""
    path = folder / MANIFEST
    way_out = message("Delete {folder}, or name another file with --out.", folder=folder)
    values = parsed(read_text(path), path, way_out)
    held = _manifest(values)
    if held is None:
        raise RunError(
            "{path} is not a manifest that this triptych reads. Delete {folder}, or name another "
            "file with --out.",
            path=path,
            folder=folder,
        )
    if held.input != wanted.input:
        raise UsageError(
            "{folder} holds answers to another input ({lines:,} lines, SHA-256 {one}; now "
            "{lines2:,} lines, {other}). Delete the folder, or name another file with --out.",
            folder=folder,
            lines=held.input.get("lines", 0),
            one=str(held.input.get("sha256"))[:12],
            lines2=wanted.input["lines"],
            other=str(wanted.input["sha256"])[:12],
        )
    if held.run != wanted.run:
        raise UsageError(
            "{folder} holds answers of another run, or of this one before it was changed. Delete "
            "the folder, or name another file with --out.",
            folder=folder,
        )
    ours, theirs = ({**one.settings, "block_lines": one.block_lines} for one in (wanted, held))
    names = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    if names:
        raise UsageError(
            "{folder} holds answers with other settings ({names}). Give the same ones, delete the "
            "folder, or name another file with --out.",
            folder=folder,
            names=", ".join(f"{name}: {theirs.get(name)}, now {ours.get(name)}" for name in names),
        )
    return replace(wanted, shards=held.shards)


def _manifest(values: Any) -> Manifest | None:
    """Return the manifest that a file holds; None where it is none, or of another version."""
    try:
        held = Manifest(**values)
        fits = type(held.input["lines"]) is int and type(held.shards) is int and held.shards > 0
    except (TypeError, KeyError):
        return None
    are_tables = isinstance(held.input, dict) and isinstance(held.settings, dict)
    return held if fits and are_tables and held.format_version == VERSION else None
