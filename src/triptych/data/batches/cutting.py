"""Cut the texts of a streamed set into token shards, in several processes, and go on after a kill.

A process cuts some texts at a time; the first process reads them and writes the shards, in the
order of the texts, so the shards do not depend on the number of processes. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError
from ...messages import message
from ..example import Example
from ..formats.texts import bounded
from ..sets.download import write_whole
from ..split import sentence_keys, split_of
from .shards import Shard, Writer

if TYPE_CHECKING:
    from ..tokenizers.subwords import Tokenizer

PROGRESS = (
    "progress.json"  # which shards are whole, and how many texts they and what is before took
)
TOGETHER = 1_000_000  # characters that a process cuts at a time
Texts = Iterator[tuple[int, Example]]  # (number of its file, text)


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cut texts into tokens.

    shares: of the texts that are held out; missing: the parts that are taken out of training.
    """

    tokenizer: Tokenizer
    shares: Mapping[str, float]
    missing: Sequence[str]

    def cut(self, texts: Sequence[tuple[str, bool, bool]]) -> list[np.ndarray | None]:
        """Return the ids of each (text, begins, ends), or None if it is held out."""
        held = [False] * len(texts)
        if self.missing:
            keys = sentence_keys(text for text, _, _ in texts)
            held = [split_of(key, self.shares) in self.missing for key in keys]
        kept = [one for one, is_held in zip(texts, held, strict=True) if not is_held]
        ids = iter(self.tokenizer.encode_batch([text for text, _, _ in kept]))
        found = iter(
            np.array(
                bounded(next(ids), Example(begins=begins, ends=ends), self.tokenizer), np.uint32
            )
            for _, begins, ends in kept
        )
        return [None if is_held else next(found) for is_held in held]


_cutter: Cutter | None = None  # of a worker process


def _begin(tokenizer: str, shares: Mapping[str, float], missing: Sequence[str]) -> None:
    """Begin a worker process. The first process handles Ctrl-C, and ends the workers."""
    from ..tokenizers.loading import from_json

    global _cutter
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _cutter = Cutter(from_json(tokenizer), shares, missing)


def _end_with_parent() -> None:
    """End this process when the first one has: a killed one closes no queue."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _cut(texts: Sequence[tuple[str, bool, bool]]) -> list[np.ndarray | None]:
    assert _cutter is not None, "a worker process begins with its cutter"
    return _cutter.cut(texts)


Batch = list[tuple[int, Example]]
Cut = list[np.ndarray | None]


def _batches(texts: Texts) -> Iterator[Batch]:
    """Group texts until they have TOGETHER characters."""
    batch, held = [], 0
    for one in texts:
        batch.append(one)
        held += len(one[1].text or "")
        if held >= TOGETHER:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _plain(batch: Batch) -> list[tuple[str, bool, bool]]:
    return [(one.text or "", one.begins, one.ends) for _, one in batch]


Submit = Callable[[list[tuple[str, bool, bool]]], Callable[[], Cut]]


@dataclass(frozen=True, slots=True)
class Crew:
    """Cut texts in some processes of this machine; one is this process.

    size: how many cut at the same time.
    """

    size: int = 1

    @contextmanager
    def begin(self, cutter: Cutter) -> Iterator[Submit]:
        """Give a function that begins to cut some texts and returns a function for the result.

        Raises DataError if a process ends before its work.
        """
        if self.size == 1:
            yield lambda texts: partial(cutter.cut, texts)
            return
        given = cutter.tokenizer.to_json(), dict(cutter.shares), list(cutter.missing)
        with ProcessPoolExecutor(self.size, get_context("spawn"), _begin, given) as pool:
            try:
                yield lambda texts: pool.submit(_cut, texts).result
            except BrokenProcessPool:
                raise DataError(
                    message(
                        "A process that cuts texts into tokens was ended from outside, perhaps "
                        "for lack of memory. Run the same command again, which goes on from the "
                        "last whole shard, with fewer --processes."
                    )
                ) from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


ALONE = Crew()


def in_order(texts: Texts, cutter: Cutter, crew: Crew) -> Iterator[tuple[Batch, Cut]]:
    """Yield the texts, some at a time, with the ids of each, in their order.

    Raises DataError if a process ends before its work.
    """
    most = 2 * crew.size if crew.size > 1 else 0
    with crew.begin(cutter) as submit:
        pending: deque[tuple[Batch, Callable[[], Cut]]] = deque()
        for batch in chain(_batches(texts), [None]):
            if batch is not None:
                pending.append((batch, submit(_plain(batch))))
            while pending and (batch is None or len(pending) > most):
                own, result = pending.popleft()
                yield own, result()


@dataclass
class Progress:
    """Record beside the shards how far the cutting is."""

    folder: Path
    texts: int = 0  # that need not be read again, held-out ones included
    longest: int = 0
    shards: tuple[Shard, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Progress:
        """Return the progress of a folder; none if it is not whole."""
        try:
            values = json.loads((folder / PROGRESS).read_text("utf-8"))
            found = cls(folder, values["texts"], values["longest"], tuple(values["shards"]))
            marks = [(n, m["sha256"]) for one in found.shards for n, m in one["files"].items()]
            if all(_sha256(folder / name) == wanted for name, wanted in marks):
                return found
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return cls(folder)

    def write(self, texts: int, writer: Writer) -> None:
        """Record that the shards of `writer` hold what is kept of the first `texts` texts."""
        values = {"texts": texts, "longest": writer.longest, "shards": writer.shards}
        write_whole(self.folder / PROGRESS, json.dumps(values).encode())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cut_into(
    writer: Writer,
    texts: Texts,
    cutter: Cutter,
    progress: Progress,
    crew: Crew,
    tell: Callable[[int], None],
) -> int:
    """Write texts into shards, from where `progress` is; return how many texts are in them.

    tell: called with the number of texts that were read, once for every batch.
    """
    for left in progress.folder.glob("*.part"):  # by a process that was killed while writing
        left.unlink(missing_ok=True)
    writer.go_on(progress.shards, progress.longest)
    seen, kept = progress.texts, sum(one["texts"] for one in progress.shards)
    for batch, cut in in_order(islice(texts, seen, None), cutter, crew):
        for (number, one), ids in zip(batch, cut, strict=True):
            seen += 1
            if ids is None:
                continue
            whole = len(writer.shards)
            writer.add(ids, number, int(one.place.rsplit(":", 1)[1]))
            kept += 1
            if len(writer.shards) > whole:
                progress.write(seen, writer)
        tell(seen)
    return kept
