"""Answer from an index: `triptych answer RUN --index INDEX`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import UsageError, shell_command
from ..messages import Message, message
from .answering import decoding_changes, unread_tokens
from .console import put, talk
from .inputs import count_inputs
from .language import help_text
from .loading import Precision, load_run
from .notes import NO_INPUT, some, tell_empty
from .predict import blocks

if TYPE_CHECKING:
    from ..inference.retrieval.answers import CitedAnswer
    from ..inference.retrieval.index import Index
    from ..tasks.task import TaskSpec

NOWHERE = message("the passages hold no answer")
SHOWN = 60  # characters of the passage on either side of a citation


@dataclass(frozen=True, kw_only=True)
class IndexFlags:
    """Hold the flags of an answer from an index."""

    index: Annotated[
        Path | None,
        Parameter(
            help=help_text(
                "An index (see triptych index) from which to answer; the run may also be one that "
                "writes: for generative-answering or chat."
            )
        ),
    ] = None
    embedder: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "With --index: where the run is now whose vectors the index holds; none uses the "
                "words alone."
            )
        ),
    ] = None
    reranker: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "With --index: a run for classification of pairs that ranks the best passages "
                "again."
            )
        ),
    ] = None
    least: Annotated[
        float | None,
        Parameter(
            help=help_text(
                "With --index: an answer is not given if its passage holds less than this share "
                "of the question's words, from 0 to 1, rare words weighing more; by default 0.4."
            )
        ),
    ] = None


WITHOUT = IndexFlags()


def refuse_flags(flags: IndexFlags) -> None:
    """Raise UsageError for a share that is none, and for flags that have no effect."""
    if flags.index is None:
        refuse_without_index(flags)
    if flags.least is not None and not 0 <= flags.least <= 1:
        raise UsageError("--least is {least}; it must be from 0 to 1.", least=flags.least)


def refuse_without_index(flags: IndexFlags) -> None:
    """Raise UsageError for flags that have no effect without --index."""
    for name in ("embedder", "reranker", "least"):
        if getattr(flags, name) is not None:
            raise UsageError(
                "--{name} is for answers from an index; name it with --index.", name=name
            )


def refuse_beside_index(*others: object) -> None:
    """Raise UsageError if another place to answer from is given."""
    if any(one not in (None, "native") for one in others):
        raise UsageError(
            message(
                "--index takes no --passage, --documents, --retriever or --engine. Leave them out."
            )
        )


def spec_of(run: str) -> TaskSpec:
    """Return the task of a run that can answer from an index.

    Raises:
        UsageError: It cannot.
    """
    from ..runs.run import Run
    from ..tasks.specs import known

    task = Run.open(run).read_config().task
    spec = known().get(task)
    if spec is None or not {"answer", "chat"} & set(spec.verbs):
        raise UsageError(
            "{run} is a run for {task}, not for question-answering, generative-answering or chat. "
            "Use: {command}",
            run=run,
            task=task,
            command=shell_command("triptych", "predict", run),
        )
    return spec


def answer_indexed(
    run: str,
    questions: tuple[str, ...],
    flags: IndexFlags,
    top: int,
    jsonl: bool,
    precision: Precision,
    overrides: dict[str, str] | None,
) -> int:
    """Print the answer to each question with its citations."""
    refuse_flags(flags)
    spec_of(run)
    index = open_index(flags, precision)
    reader = load_run(run, precision)
    settings = reader.settings(**decoding_changes(overrides))
    counting = count_inputs(questions, "questions")
    told: set[str] = set()
    with counting:
        for first, block in blocks(questions):
            missed: list[str] = []
            empty: dict[Message, list[str]] = {}
            for number, line in enumerate(block, first):
                found = index.answer(reader, line, top, settings, flags.least)
                put(
                    json.dumps({"question": line, **found.to_json()}, ensure_ascii=False)
                    if jsonl
                    else _summary(found, index)
                )
                name = f"{'text ' if questions else 'stdin:'}{number}"
                if not found.answer:
                    empty.setdefault(NOWHERE if line.strip() else NO_INPUT, []).append(name)
                unseen = found.truncated_input_tokens
                missed += [unread_tokens(name, unseen)] * bool(unseen)
                _tell_changed(found, index, told)
                counting.add()
            sys.stdout.flush()
            if missed:
                talk(message("Truncated: {places}.", places=some(missed)))
            for why, places in empty.items():
                tell_empty(places, why)
    return 0


def open_index(flags: IndexFlags, precision: Precision) -> Index:
    """Open the index of the flags, with the runs that they name."""
    from ..inference.retrieval.index import Index

    assert flags.index is not None, "the caller has looked"
    none = flags.embedder == "none"
    reranker = None if flags.reranker is None else load_run(flags.reranker, precision)
    return Index.open(flags.index, None if none else flags.embedder, reranker, words_only=none)


def _place(file: str, index: Index) -> Path:
    """Return where a file of an index is, if its source is still there."""
    source = Path(index.contents.header.source)
    path = source / file if source.is_dir() else source
    return path if path.exists() else Path(file)


def _summary(found: CitedAnswer, index: Index) -> str:
    """Return the answer, its first place and the words around it, separated by tabs."""
    if not found.answer:
        return "\t\t"
    one = found.citations[0]
    within = next(
        each
        for each in found.passages
        if each.file == one.file and each.start <= one.start and one.end <= each.end
    )
    start, end = one.start - within.start, one.end - within.start
    around = within.text[max(0, start - SHOWN) : end + SHOWN]
    place = f"{_place(one.file, index)}:{one.line} (characters {one.start} to {one.end})"
    return "\t".join(" ".join(part.split()) for part in (found.answer, place, around))


def _tell_changed(found: CitedAnswer, index: Index, told: set[str]) -> None:
    """Say once of each cited file that it is not any more as it was indexed."""
    source = Path(index.contents.header.source)
    known = {one.name: one for one in index.contents.files}
    for name in dict.fromkeys(one.file for one in found.citations):
        held, path = known[name], source / name if source.is_dir() else source
        if name in told or held.mtime_ns < 0 or not source.exists():
            continue
        told.add(name)
        if not path.exists():
            talk(message("{path} is gone since it was indexed.", path=path))
        elif (path.stat().st_size, path.stat().st_mtime_ns) != (held.bytes, held.mtime_ns):
            talk(
                message(
                    "{path} has changed since it was indexed. To bring the index up to date: "
                    "{command}",
                    path=path,
                    command=shell_command("triptych", "index", source, "--out", index.path),
                )
            )
