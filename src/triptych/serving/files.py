"""Keep translated files for their clients for a while, no more than fit."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .limits import BODY_BYTES
from .problems import ApiError

KEPT_FILES, KEPT_BYTES, KEPT_SECONDS = 64, 4 * BODY_BYTES, 600.0
KEY = re.compile("[0-9a-f]{32}")


class Kept(Protocol):
    """Keep files by keys that no one can guess."""

    def add(self, name: str, content: bytes) -> str:
        """Keep a file and return its key."""
        ...

    def get(self, key: str) -> tuple[str, bytes]:
        """Return the name and the content of a file. Raises ApiError, 404."""
        ...


def missing() -> ApiError:
    """Return the error for a file that is not kept."""
    return ApiError("There is no such file, or it was kept long enough.").at(404)


@dataclass(slots=True)
class Files:
    """Keep files in the memory of this process."""

    held: OrderedDict[str, tuple[float, str, bytes]] = field(default_factory=OrderedDict)

    def add(self, name: str, content: bytes) -> str:
        """Keep a file and return its key."""
        key = uuid.uuid4().hex
        self.held[key] = time.monotonic() + KEPT_SECONDS, name, content
        self._drop()
        return key

    def get(self, key: str) -> tuple[str, bytes]:
        """Return the name and the content of a file. Raises ApiError, 404."""
        self._drop()
        if key not in self.held:
            raise missing()
        return self.held[key][1:]

    def _drop(self) -> None:
        now = time.monotonic()
        while self.held:
            until, *_ = next(iter(self.held.values()))
            size = sum(len(content) for *_, content in self.held.values())
            if until > now and len(self.held) <= KEPT_FILES and size <= KEPT_BYTES:
                return
            self.held.popitem(last=False)


@dataclass(frozen=True, slots=True)
class SharedFiles:
    """Keep files in a folder that several workers share: another one may be asked for them."""

    folder: Path

    def add(self, name: str, content: bytes) -> str:
        """Keep a file and return its key."""
        key = uuid.uuid4().hex
        written = self.folder / f"{key}.part"
        written.write_bytes(json.dumps(name).encode() + b"\n" + content)
        written.rename(self.folder / key)
        self._drop()
        return key

    def get(self, key: str) -> tuple[str, bytes]:
        """Return the name and the content of a file. Raises ApiError, 404."""
        self._drop()
        try:
            if KEY.fullmatch(key) is None:
                raise missing()
            name, _, content = (self.folder / key).read_bytes().partition(b"\n")
        except OSError:
            raise missing() from None
        return json.loads(name), content

    def _drop(self) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            try:
                state = path.stat()
            except OSError:  # another worker has dropped it
                continue
            found.append((state.st_mtime, state.st_size, path))
        size = 0
        for place, (when, own, path) in enumerate(sorted(found, reverse=True)):
            size += own
            if place >= KEPT_FILES or size > KEPT_BYTES or when < time.time() - KEPT_SECONDS:
                path.unlink(missing_ok=True)
