"""Run `triptych answer` and `triptych embed`.

`answer` finds spans in a passage or in a folder of documents; `embed` turns texts into vectors.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import RunError, UsageError
from ..messages import Message, message
from .answer_indexed import (
    WITHOUT,
    IndexFlags,
    answer_indexed,
    refuse_beside_index,
    refuse_without_index,
)
from .answering import decoding_changes, unread_tokens
from .console import Counting, is_terminal, put, talk
from .filing import UNFILED, Filing
from .inputs import count_inputs
from .loading import EngineName, Precision, load_run
from .notes import NO_INPUT, some, tell_empty
from .outputs import refuse_output
from .predict import Overrides, blocks, demand, predict

if TYPE_CHECKING:
    import numpy as np

    from ..inference.search_index import Hit
    from ..tasks.task import TaskSpec

NOWHERE = message("none of the documents holds an answer")
SHOWN = 60  # characters of the passage on either side of an answer


def answer(
    run: str,
    /,
    *question: str,
    passage: str | None = None,
    documents: Path | None = None,
    retriever: str | None = None,
    top: int = 5,
    jsonl: bool = False,
    indexed: Annotated[IndexFlags, Parameter(name="*")] = WITHOUT,
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    precision: Precision = "float32",
    engine: EngineName = "native",
    overrides: Overrides = None,
) -> int:
    """Answer questions from a passage, a folder of documents or an index, with their place.

    Parameters
    ----------
    run
        Folder of a run for question-answering, which finds answers, or for generative-answering,
        which writes them.
    question
        One or several questions; with --out the file that holds them. With neither --passage nor
        --documents each is a question and a passage with a tab between, or a JSON object with the
        keys question and passage.
    passage
        A file or a text in which to find the answers.
    documents
        A folder whose .txt and .md files are searched for the answers.
    retriever
        With --documents: a run whose vectors rank the passages (see triptych embed); by default
        they are ranked by the words that they share with the question (BM25).
    top
        With --documents or --index: number of passages that are read for each question.
    jsonl
        Print one JSON object per question: the answer, its score and its place, with --index its
        citations.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    if top < 1:
        raise UsageError("--top is {top}; it must be 1 or more.", top=top)
    if indexed.index is not None:
        filing.refuse_beside("--index")
        refuse_beside_index(passage, documents, retriever, engine)
        return answer_indexed(run, question, indexed, top, jsonl, precision, overrides)
    refuse_without_index(indexed)
    refuse_writing(run, demand(run, "answer"), documents)
    if documents is None:
        _refuse_retriever(retriever)
        return predict(
            run, *question, passage=passage, jsonl=jsonl, precision=precision, engine=engine,
            filing=filing, overrides=overrides,
        )  # fmt: skip
    _refuse_both(passage)
    filing.refuse_beside("--documents")
    return _search(run, question, documents, retriever, top, jsonl, (precision, engine), overrides)


def _refuse_retriever(retriever: str | None) -> None:
    """Raise UsageError for a retriever without documents."""
    if retriever is not None:
        raise UsageError(
            message("--retriever chooses among documents; name their folder with --documents.")
        )


def _refuse_both(passage: str | None) -> None:
    """Raise UsageError for flags that do not go with documents."""
    if passage is not None:
        raise UsageError(message("Give --passage or --documents, not both."))


def refuse_writing(run: str, spec: TaskSpec, documents: Path | None) -> None:
    """Raise UsageError for --documents with a run whose answers have no place in them."""
    if documents is not None and spec.head != "span":
        raise UsageError(
            "{run} generates its answers and cannot locate them in documents. Use --passage, or "
            "make an index (triptych index) and use --index.",
            run=run,
        )


def _search(
    run: str,
    questions: tuple[str, ...],
    folder: Path,
    retriever: str | None,
    top: int,
    jsonl: bool,
    computing: tuple[Precision, EngineName],
    overrides: dict[str, str] | None,
) -> int:
    from ..inference.search_index import SearchIndex, as_embedder, read_documents

    problems: list[str] = []
    documents = read_documents(folder, problems.append)
    for problem in problems:
        talk(f"triptych: {problem}")
    reader = load_run(run, computing[0], engine=computing[1])
    settings = reader.settings(**decoding_changes(overrides))
    embedder = None if retriever is None else as_embedder(load_run(retriever, computing[0]))
    with Counting(None, "passages") as counting:
        index = SearchIndex(documents, embedder, done=counting.begin(message("Embedding")))
    talk(
        message(
            "{documents:,} documents, {passages:,} passages.",
            documents=len(documents),
            passages=len(index.passages),
        )
    )
    counting = count_inputs(questions, "questions")
    counting.quiet |= is_terminal(sys.stdout)  # there the answers themselves show how far it is
    with counting:
        for first, block in blocks(questions):
            missed: list[str] = []
            empty: dict[Message, list[str]] = {}
            for number, line in enumerate(block, first):
                unseen, asked = [0], line.strip()
                hits = index.answer(reader, asked, top, settings, unseen.append) if asked else []
                put(
                    json.dumps(_json(line, hits, unseen[-1]), ensure_ascii=False)
                    if jsonl
                    else _summary(hits, folder)
                )
                name = f"{'text ' if questions else 'stdin:'}{number}"
                if not hits:
                    empty.setdefault(NOWHERE if asked else NO_INPUT, []).append(name)
                missed += [unread_tokens(name, unseen[-1])] * bool(unseen[-1])
                counting.add()
            sys.stdout.flush()
            if missed:
                talk(message("Truncated: {places}.", places=some(missed)))
            for why, places in empty.items():
                tell_empty(places, why)
    return 0


def _json(question: str, hits: list[Hit], unseen: int) -> dict[str, object]:
    values = {"text": "", "score": None} if not hits else hits[0].to_json()
    return {
        "question": question,
        **values,
        "candidates": [hit.to_json() for hit in hits[1:5]],
        "truncated_input_tokens": unseen,
    }


def _summary(hits: list[Hit], folder: Path) -> str:
    """Return the answer, its place and the words around it, separated by tabs."""
    if not hits:
        return "\t\t"
    hit = hits[0]
    start, end = hit.start - hit.passage.start, hit.end - hit.passage.start
    around = hit.passage.text[max(0, start - SHOWN) : end + SHOWN]
    place = f"{folder / hit.file}:{hit.line} (characters {hit.start} to {hit.end})"
    return "\t".join(" ".join(part.split()) for part in (hit.text, place, around))


def embed(
    run: str,
    /,
    *text: str,
    npy: Path | None = None,
    precision: Precision = "float32",
    engine: EngineName = "native",
    overrides: Overrides = None,
) -> int:
    """Print each text as a vector of length 1, so that a dot product is a cosine similarity.

    Each line is a JSON object with the keys text and vector.

    Parameters
    ----------
    run
        Folder of an imported sentence encoder, or of any encoder-only run.
    text
        One or several texts.
    npy
        Write all vectors to this file instead of JSON lines: one row per text, float32, in NumPy's
        format (numpy.load reads it).
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    import numpy as np

    from ..inference.search_index import as_embedder
    from ..inference.search_index import embed as vectors_of

    refuse_output(npy, "--npy")
    predictor = as_embedder(load_run(run, precision, engine=engine))
    settings = predictor.settings(**decoding_changes(overrides))
    kept, counting = [], count_inputs(text, "texts")
    for _, block in blocks(text):
        with counting:
            vectors = vectors_of(predictor, block, settings, counting.add)
        if npy is not None:
            kept.append(vectors)
            continue
        for one, vector in zip(block, vectors.tolist(), strict=True):
            put(
                json.dumps(
                    {"text": one, "vector": [round(value, 7) for value in vector]},
                    ensure_ascii=False,
                )
            )
        sys.stdout.flush()
    if npy is not None:
        whole = (
            np.concatenate(kept)
            if kept
            else np.zeros((0, predictor.model.config.encoder.width), dtype=np.float32)
        )
        _save(npy, whole)
    return 0


def _save(npy: Path, vectors: np.ndarray) -> None:
    """Write vectors (N, D) in NumPy's format."""
    import numpy as np

    try:
        with npy.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
    except OSError as error:
        raise RunError(
            f"{npy} cannot be written: {error.strerror or error}. Name another file."
        ) from None
    talk(
        message(
            "Written: {path}, {count:,} vectors of {width:,} numbers.",
            path=npy,
            count=vectors.shape[0],
            width=vectors.shape[1],
        )
    )
