"""Run `triptych index`: texts, tables and databases become an index that answers are found in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..messages import Message, message
from .columns import AS_FOUND, ReadingFlags, parsed, settled
from .console import Counting, talk
from .predict import Precision, load_run

if TYPE_CHECKING:
    from ..inference.loaded import Done
    from ..inference.retrieval.sources import Source
    from ..inference.retrieval.updating import Changes

NO_VECTORS = "none"  # --embedder none


def index(
    source: Path,
    /,
    *,
    out: Path,
    query: str | None = None,
    reading: Annotated[ReadingFlags, Parameter(name="*")] = AS_FOUND,
    embedder: str | None = None,
    precision: Precision = "float32",
) -> int:
    """Index your own documents, or bring an index up to date; then see triptych answer --index.

    Only files that changed are read again. The index holds the texts themselves, so that it can be
    moved and used without them.

    Parameters
    ----------
    source
        A folder with .txt and .md files, plain or .gz; one such file; a table (CSV, TSV, JSONL);
        or an SQLite database.
    out
        Folder of the index: a new one, or one to bring up to date.
    query
        The SELECT whose rows are indexed; for an SQLite database, which is only read.
    embedder
        A run whose vectors are kept beside the words (see triptych embed), so that passages are
        also found by their meaning; none leaves out those that the index has.
    precision
        Number format in which vectors are computed; auto uses bfloat16 where that is faster.
    """
    from ..inference.retrieval.sources import Source
    from ..inference.retrieval.updating import update
    from ..inference.search_index import as_embedder

    given = Source(source, parsed(reading.columns), reading.encoding, query)
    given = _with_columns(given)
    loaded = None
    if embedder not in (None, NO_VECTORS):
        loaded = (str(embedder), as_embedder(load_run(str(embedder), precision)))
    counting: list[Counting] = []

    def begin(what: Message, count: int) -> Done:
        for one in counting:
            one.__exit__()
        counting[:] = [Counting(count, "passages")]
        return counting[0].begin(what)

    try:
        changes = update(given, out, loaded, embedder == NO_VECTORS, talk, begin)
    finally:
        for one in counting:
            one.__exit__()
    talk(_summary(out, changes))
    return 0


def _with_columns(source: Source) -> Source:
    """Return the source with the columns that are in doubt, as the user names them."""
    from dataclasses import replace

    from ..inference.retrieval.sources import needs_of, refuse_fields

    if not source.path.is_file() or not source.rows or source.is_database:
        return source
    refuse_fields(source.columns)
    needs = needs_of(source.columns)
    columns = settled(source.path, needs, source.columns, encoding=source.encoding)
    return replace(source, columns=columns)


def _summary(out: Path, changes: Changes) -> Message:
    parts = message(
        "{added:,} new, {changed:,} changed, {unchanged:,} unchanged, {removed:,} gone",
        added=changes.added,
        changed=changes.changed,
        unchanged=changes.unchanged,
        removed=changes.removed,
    )
    if changes.skipped:
        parts = message("{parts}, {count:,} skipped", parts=parts, count=changes.skipped)
    return message(
        "Written: {path}, {passages:,} passages, {counted:,} of them new. Files: {parts}.",
        path=out,
        passages=changes.passages,
        counted=changes.counted,
        parts=parts,
    )
