"""Make an index, or bring it up to date: only what changed is read, counted and embedded again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.example import Notify
from ...errors import DataError
from ...messages import Message, message
from . import store
from .embedding import embedding_of, fits, vectors_of
from .postings import Array, count_terms, moved, postings_of
from .sources import Piece, Source, SourceFile, files_of

if TYPE_CHECKING:
    from ..loaded import Done
    from ..predictor import Predictor

# A file that was written so shortly before it was read may have changed since without a new time.
RECENT_NS = 2_000_000_000
Begin = Callable[[Message, int], "Done"]  # (what is done, passages) -> receives how many are done


@dataclass(frozen=True, slots=True)
class Changes:
    """Count what an update did.

    added, changed, unchanged, removed, skipped: files. passages: all of them. counted: those whose
    text is new. embedded: those whose vector was computed.
    """

    added: int
    changed: int
    unchanged: int
    removed: int
    skipped: int
    passages: int
    counted: int
    embedded: int


@dataclass(slots=True)
class _Gathered:
    """Hold the passages of the new index, in order.

    kept: the place of each in the old index, -1 for one that was read. pieces: those that were
    read, with their place. owners: the file of each.
    """

    files: list[store.IndexedFile]
    kept: list[int]
    owners: list[int]
    pieces: dict[int, Piece]


def update(
    source: Source,
    out: str | Path,
    embedder: tuple[str, Predictor] | None = None,
    words_only: bool = False,
    report: Notify = lambda text: None,
    begin: Begin | None = None,
) -> Changes:
    """Index a source into the folder `out`, or bring the index there up to date.

    The folder changes in one step at the end; where this is stopped before, nothing changes.

    Args:
        source: What is indexed.
        out: A new folder, or one with an index.
        embedder: A run whose vectors are kept beside the words, and how it was named; None: the
            one that the index has.
        words_only: Keep no vectors.
        report: Receives sentences about what is not read.
        begin: Called before each long step; what it returns receives how far it is.

    Raises:
        UsageError: The source or the folder does not fit, or another process writes the folder.
        DataError: There is no text.
        RunError: The index cannot be read, or its run has changed.
    """
    out = Path(out)
    if not source.path.exists():
        files_of(source, report)  # raises the error before a folder is made
    with store.locked(out):
        began = time.time_ns()
        old = store.read(out) if store.is_index(out) else None
        found = files_of(source, report, out)
        embedder = _embedder_of(old, embedder, words_only, out)
        gathered, counts = _gather(source, found, old, report)
        if not gathered.kept:
            raise DataError(
                "{path} holds no text to index. Put texts there, or name another source.",
                path=source.path,
            )
        contents, counted, embedded = _contents(source, gathered, old, embedder, began, begin)
        store.write(out, contents)
    return Changes(**counts, passages=len(gathered.kept), counted=counted, embedded=embedded)


def _embedder_of(
    old: store.Contents | None,
    given: tuple[str, Predictor] | None,
    words_only: bool,
    out: Path,
) -> tuple[str, Predictor] | None:
    """Return the run that embeds, loaded; the one of the old index if none is given."""
    embedding = None if old is None else old.header.vectors
    if words_only or given is not None or embedding is None:
        return None if words_only else given
    from .embedding import load_embedder

    return embedding.run, load_embedder(embedding, out)


def _gather(
    source: Source, found: Sequence[SourceFile], old: store.Contents | None, report: Notify
) -> tuple[_Gathered, dict[str, int]]:
    """Return the passages of all files, and how many files are new, changed and so on."""
    gathered = _Gathered([], [], [], {})
    counts = dict.fromkeys(("added", "changed", "unchanged", "skipped"), 0)
    known, firsts = _known(source, old)
    for one in found:
        before = known.get(one.name)
        try:
            digest = _same(one, before, old)
            if before is not None and digest == before.sha256:
                counts["unchanged"] += 1
                first = firsts[one.name]
                _add(gathered, one, digest, list(range(first, first + before.passages)), [])
                continue
            pieces = one.pieces()
        except DataError as error:
            if source.rows:
                raise
            report(message("{error} The file is skipped.", error=error.args[0]))
            counts["skipped"] += 1
            continue
        listed = old is not None and any(each.name == one.name for each in old.files)
        counts["changed" if listed else "added"] += 1
        _add(gathered, one, digest, [-1] * len(pieces), pieces)
    names = {one.name for one in gathered.files}
    gone = [] if old is None else [one for one in old.files if one.name not in names]
    return gathered, {**counts, "removed": len(gone)}


def _known(
    source: Source, old: store.Contents | None
) -> tuple[dict[str, store.IndexedFile], dict[str, int]]:
    """Return the files whose passages can be kept, and the first passage of each."""
    if old is None or old.header.reading != source.reading() or old.header.rows != source.rows:
        return {}, {}
    firsts, place = dict[str, int](), 0
    for one in old.files:
        firsts[one.name] = place
        place += one.passages
    return {one.name: one for one in old.files}, firsts


def _same(one: SourceFile, before: store.IndexedFile | None, old: store.Contents | None) -> str:
    """Return the SHA-256 of a file, without reading it if its size and time are those of before."""
    if before is not None and old is not None and one.mtime_ns >= 0:
        settled = one.mtime_ns < old.header.indexed_ns - RECENT_NS
        if settled and (one.bytes, one.mtime_ns) == (before.bytes, before.mtime_ns):
            return before.sha256
    return one.digest()


def _add(
    gathered: _Gathered, one: SourceFile, digest: str, kept: list[int], pieces: list[Piece]
) -> None:
    number, first = len(gathered.files), len(gathered.kept)
    gathered.files.append(store.IndexedFile(one.name, one.bytes, one.mtime_ns, digest, len(kept)))
    gathered.kept += kept
    gathered.owners += [number] * len(kept)
    gathered.pieces.update(enumerate(pieces, first))


def _contents(
    source: Source,
    gathered: _Gathered,
    old: store.Contents | None,
    embedder: tuple[str, Predictor] | None,
    began: int,
    begin: Begin | None,
) -> tuple[store.Contents, int, int]:
    """Return the new index, how many passages were counted, and how many were embedded."""
    kept = np.array(gathered.kept, dtype=np.int64)
    passages, digests, texts = _passages(gathered, kept, old)
    reused = _reused(kept, digests, old)
    new = np.flatnonzero(reused < 0)
    fresh = [gathered.pieces[int(place)].text for place in new]
    done = None if begin is None else begin(message("Counting words"), len(fresh))
    (keys, places, counts), long = count_terms(fresh, done)
    parts = [(keys, new[places].astype(np.int32), counts)]
    lengths = np.zeros(len(kept), dtype=np.int32)
    lengths[new] = long
    if old is not None:
        to = np.full(len(old.postings.lengths), -1, dtype=np.int64)
        to[reused[reused >= 0]] = np.flatnonzero(reused >= 0)
        parts.append(moved(old.postings.entries(), to))
        lengths[reused >= 0] = old.postings.lengths[reused[reused >= 0]]
    vectors, embedding, embedded = None, None, 0
    if embedder is not None:
        run, predictor = embedder
        same = old is not None and fits(old.header.vectors, predictor)
        places_ = np.where(same, reused, -1)
        needed = np.flatnonzero(places_ < 0)
        done = None if begin is None else begin(message("Embedding"), len(needed))
        inside = _texts(passages, texts, needed)
        computed = vectors_of(predictor, inside, done)
        vectors = np.zeros((len(kept), computed.shape[1]), dtype=np.float32)
        vectors[needed] = computed
        if old is not None and old.vectors is not None and same:
            vectors[places_ >= 0] = old.vectors[places_[places_ >= 0]]
        embedding, embedded = embedding_of(run, predictor), len(needed)
    header = store.Header(
        str(source.path), source.rows, source.reading(), len(kept), began, embedding
    )
    return (
        store.Contents(
            header, gathered.files, passages, digests, texts, postings_of(parts, lengths), vectors
        ),
        len(new),
        embedded,
    )


def _passages(
    gathered: _Gathered, kept: Array, old: store.Contents | None
) -> tuple[Array, Array, Array]:
    """Return the arrays `passages`, `digests` and `texts` of the new index."""
    passages = np.zeros((len(kept), 5), dtype=np.int64)
    digests = np.zeros(len(kept), dtype=np.uint64)
    passages[:, store.FILE] = gathered.owners
    parts: list[bytes] = []
    size = 0
    for place, before in enumerate(kept.tolist()):
        if before < 0:
            piece = gathered.pieces[place]
            text, line, start = piece.text.encode("utf-8", "replace"), piece.line, piece.start
            digests[place] = digest_of(text)
        else:
            assert old is not None, "a kept passage was in the old index"
            row = old.passages[before]
            line, start = int(row[store.LINE]), int(row[store.START])
            text = bytes(old.texts[int(row[store.TEXT_START]) : int(row[store.TEXT_END])])
            digests[place] = old.digests[before]
        passages[place, store.LINE :] = (line, start, size, size + len(text))
        size += len(text)
        parts.append(text)
    return passages, digests, np.frombuffer(b"".join(parts), dtype=np.uint8)


def digest_of(text: bytes) -> int:
    """Return 64 bits that stand for the text of a passage."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


def _reused(kept: Array, digests: Array, old: store.Contents | None) -> Array:
    """Return for each passage one of the old index with the same text, or -1.

    A passage of a changed file is often unchanged itself. An old passage is reused once.
    """
    if old is None or not len(old.digests):
        return np.full(len(kept), -1, dtype=np.int64)
    order = np.argsort(old.digests, kind="stable")
    ranked = old.digests[order]
    found = np.minimum(np.searchsorted(ranked, digests), len(ranked) - 1)
    found = np.where(ranked[found] == digests, order[found], -1)
    found[np.isin(found, kept[kept >= 0])] = -1
    _, first = np.unique(found, return_index=True)
    once = np.full(len(kept), -1, dtype=np.int64)
    once[first] = found[first]
    return np.where(kept >= 0, kept, once)


def _texts(passages: Array, texts: Array, places: Array) -> list[str]:
    rows = passages[places]
    return [
        bytes(texts[int(row[store.TEXT_START]) : int(row[store.TEXT_END])]).decode() for row in rows
    ]
