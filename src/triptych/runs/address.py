"""Copy checkpoints to an address of fsspec (s3://, gs://, a path), and fetch them from there.

fsspec comes with torch. What reads and writes an address of a provider is a package of its own
(s3fs, gcsfs), which fsspec names where it is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ..errors import RunError, TriptychError, UsageError, brief
from .checkpoint import COMPLETE, Checkpoint, begun, folders_of
from .storage import flush, replace_folder


class Address:
    """Hold a folder of checkpoints at an address: ADDRESS/step-N/, as in a run folder.

    Raises:
        UsageError: fsspec does not know the address, or lacks a package for it.
    """

    def __init__(self, address: str) -> None:
        from fsspec.core import url_to_fs

        self.address = address
        try:
            found: tuple[Any, str] = url_to_fs(address)
        except (ValueError, ImportError, OSError) as error:
            raise UsageError(
                "training.checkpoint_address '{address}' cannot be used: {error}. Give a path, or "
                "an address that fsspec knows (s3://bucket/folder), and install the package that "
                "it needs.",
                address=address,
                error=brief(error),
            ) from None
        self._system, root = found
        self._root = root.rstrip("/")

    def steps(self) -> list[int]:
        """Return the steps of the checkpoints that are complete there, the newest first."""
        with self._used("read"):
            if not self._system.exists(self._root):
                return []
            self._system.invalidate_cache()
            marked = self._system.glob(f"{self._root}/step-*/{COMPLETE}")
        numbers = [path.split("/")[-2].removeprefix("step-") for path in marked]
        return sorted((int(one) for one in numbers if one.isdigit()), reverse=True)

    def put(self, checkpoint: Checkpoint) -> None:
        """Copy a complete checkpoint; its mark comes last."""
        folder = f"{self._root}/{checkpoint.path.name}"
        files = [path for path in checkpoint.path.rglob("*") if path.is_file()]
        with self._used("written"):
            if self._system.exists(f"{folder}/{COMPLETE}"):
                self._system.rm_file(f"{folder}/{COMPLETE}")
            for path in sorted(files, key=lambda path: path.name == COMPLETE):
                target = f"{folder}/{path.relative_to(checkpoint.path).as_posix()}"
                self._system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                self._system.put_file(str(path), target)

    def fetch(self, step: int, run: Path) -> Checkpoint:
        """Copy a checkpoint into a run folder. Raise RunError where it is not whole."""
        source, (_, final) = f"{self._root}/step-{step}", folders_of(run, step)
        with begun(run, step) as aside:
            with self._used("read"):
                for name in self._system.find(source):
                    path = aside / name[len(source) :].lstrip("/")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._system.get_file(name, str(path))
            if (problem := Checkpoint(aside, step).problem()) is not None:
                raise RunError(
                    "Checkpoint {address} is incomplete and skipped: {problem}.",
                    address=f"{self.address}/step-{step}",
                    problem=problem,
                )
            for path in aside.rglob("*"):
                flush(path)
            replace_folder(aside, final)
        return Checkpoint(final, step)

    def prune(self, kept: Collection[int]) -> None:
        """Remove all complete checkpoints but those of some steps; their marks go first."""
        for step in self.steps():
            if step not in kept:
                with self._used("written"):
                    self._system.rm_file(f"{self._root}/step-{step}/{COMPLETE}")
                    self._system.rm(f"{self._root}/step-{step}", recursive=True)

    @contextlib.contextmanager
    def _used(self, how: str) -> Iterator[None]:
        """Turn whatever a file system raises into a sentence."""
        try:
            yield
        except TriptychError:
            raise
        except Exception as error:
            raise RunError(
                "{address} cannot be {how}: {error}. Check training.checkpoint_address, and what "
                "you may do there.",
                address=self.address,
                how=how,
                error=brief(error),
            ) from error


def fetch_newest(address: Address, run: Path, newest: int, notices: list[str]) -> Checkpoint | None:
    """Fetch the newest whole checkpoint of an address, if it is newer than step `newest`.

    What is wrong with others is appended to `notices`.
    """
    for step in address.steps():
        if step <= newest:
            break
        try:
            return address.fetch(step, run)
        except RunError as problem:
            notices.append(str(problem))
    return None
