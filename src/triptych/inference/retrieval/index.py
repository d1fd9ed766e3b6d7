"""Search an index: words and vectors fused, then ranked again by a run that reads pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.example import Example
from ...errors import UsageError
from . import store
from .answers import TOP, CitedAnswer, Reader, answer
from .embedding import load_embedder, vectors_of
from .found import Found
from .postings import Array, MappedBM25

if TYPE_CHECKING:
    from ...decoding.settings import DecodingSettings
    from ..predictor import Predictor

VECTOR_WEIGHT = 0.5  # of the cosine beside the words; measured in docs/decisions/033
RERANKED = 20  # passages that the run for pairs reads
PAIR_WEIGHT = 0.5  # of its score beside the fused one


class Index:
    """Search passages on the disk. Several threads may search at once.

    Args:
        contents: The index, as it was opened.
        path: Its folder.
        embedder: The run whose vectors it holds; None: only words are compared.
        reranker: A run that scores pairs of texts.
    """

    def __init__(
        self,
        contents: store.Contents,
        path: Path,
        embedder: Predictor | None = None,
        reranker: Predictor | None = None,
    ) -> None:
        self.contents, self.path = contents, path
        self.embedder = None if contents.vectors is None else embedder
        self.reranker = reranker
        self.words = MappedBM25(contents.postings)
        if reranker is not None:
            refuse_unpaired(reranker)

    @classmethod
    def open(
        cls,
        path: str | Path,
        embedder: str | None = None,
        reranker: Predictor | None = None,
        words_only: bool = False,
    ) -> Index:
        """Open an index.

        Args:
            path: Its folder.
            embedder: Where the run is now whose vectors it holds; None: where it was.
            reranker: A run that scores pairs of texts.
            words_only: Do not use its vectors.

        Raises:
            UsageError: There is no index, or the run of its vectors is not there.
            RunError: The index is damaged or of another version, or the run has changed.
        """
        contents = store.read(path)
        embedding = contents.header.vectors
        if embedder is not None and embedding is None:
            raise UsageError(
                "{path} holds no vectors. Add them: triptych index SOURCE --out {path} --embedder "
                "{embedder}",
                path=path,
                embedder=embedder,
            )
        loaded = None
        if embedding is not None and not words_only:
            loaded = load_embedder(embedding, Path(path), embedder)
        return cls(contents, Path(path), loaded, reranker)

    def __len__(self) -> int:
        return self.contents.header.passages

    def search(self, question: str, count: int = TOP) -> list[Found]:
        """Return the `count` passages that fit a question best, the best first.

        A passage that shares no word with the question and has no vector is not among them.
        """
        if not question.strip() or count < 1:
            return []
        scores, cosines = self._scores(question)
        several = max(count, RERANKED) if self.reranker is not None else count
        places = _best(scores, several)
        relevance: Sequence[float | None] = [None] * len(places)
        ranked = {place: float(scores[place]) for place in places}
        if self.reranker is not None:
            texts = store.texts_of(self.contents, places)
            relevance = pair_scores(self.reranker, question, texts)
            for place, one in zip(places, relevance, strict=True):
                ranked[place] = (1 - PAIR_WEIGHT) * ranked[place] + PAIR_WEIGHT * (one or 0.0)
        order = sorted(range(len(places)), key=lambda number: -ranked[places[number]])[:count]
        coverage = self.words.coverage(question, [places[number] for number in order])
        return [
            self._found(
                places[number],
                ranked[places[number]],
                share,
                None if cosines is None else float(cosines[places[number]]),
                relevance[number],
            )
            for number, share in zip(order, coverage, strict=True)
        ]

    def answer(
        self,
        reader: Reader,
        question: str,
        count: int = TOP,
        settings: DecodingSettings | None = None,
        least: float | None = None,
    ) -> CitedAnswer:
        """Answer a question from the `count` best passages. See `answers.answer`."""
        return answer(self, reader, question, count, settings, least)

    def _scores(self, question: str) -> tuple[Array, Array | None]:
        """Return (P,) the fused scores, at most 1, and the cosines."""
        words = self.words.scores(question)
        words = words / max(float(words.max(initial=0.0)), 1e-9)
        if self.embedder is None or self.contents.vectors is None:
            return words, None
        cosines = self.contents.vectors @ vectors_of(self.embedder, [question])[0]
        return fused(words, cosines), cosines

    def _found(
        self,
        place: int,
        score: float,
        coverage: float,
        similarity: float | None,
        relevance: float | None,
    ) -> Found:
        row = self.contents.passages[place]
        return Found(
            place,
            self.contents.files[int(row[store.FILE])].name,
            int(row[store.LINE]),
            int(row[store.START]),
            store.text_of(self.contents, place),
            score,
            coverage,
            similarity,
            relevance,
        )


def fused(words: Array, cosines: Array) -> Array:
    """Return (P,) the weighted sum of BM25, the best one being 1, and cosines."""
    return (1 - VECTOR_WEIGHT) * words + VECTOR_WEIGHT * cosines


def _best(scores: Array, count: int) -> list[int]:
    """Return the places of the best scores above 0, the best first; of equal ones the earlier."""
    some = np.arange(len(scores))
    if count < len(scores):
        # Of those that equal the last one, the earlier are wanted.
        last = np.partition(scores, len(scores) - count)[len(scores) - count]
        some = np.flatnonzero(scores >= last)
    order = some[np.argsort(-scores[some], kind="stable")][:count]
    return order[scores[order] > 0].tolist()


# Pairs --------------------------------------------------------------------------------------------


def refuse_unpaired(run: Predictor) -> None:
    """Raise UsageError for a run that does not score pairs of texts."""
    if run.task.spec.head != "classifier" or "text_pair" not in run.task.needs:
        raise UsageError(
            "A run for {name} does not score pairs of texts. --reranker takes a run for "
            "classification with task.pair = true: a number, or two labels.",
            name=run.task.name,
        )
    if "labels" in run.task.needs:
        raise UsageError(
            "--reranker takes a run that gives a number or one of two labels, and this one gives "
            "several labels."
        )


def pair_scores(run: Predictor, question: str, passages: Sequence[str]) -> list[float]:
    """Return how well each passage fits the question, 0 to 1: a probability, or a scaled number."""
    examples = [Example(text=question, text_pair=text, place="question") for text in passages]
    predictions = list(run.answer(examples))
    if not predictions:
        return []
    if "value" in predictions[0].details:
        scale = run.labels.get("value") or {}
        low, high = float(scale.get("low", 0.0)), float(scale.get("high", 1.0))
        width = max(high - low, 1e-9)
        return [(float(one.details["value"]) - low) / width for one in predictions]
    table = predictions[0].details["probabilities"]
    positive = run.task.options.get("positive") or (max(table) if len(table) == 2 else None)
    if positive not in table:
        raise UsageError(
            "--reranker: it is not clear which of the labels {names} says that a passage fits. "
            "Train the run with task.positive.",
            names=", ".join(sorted(table)),
        )
    return [float(one.details["probabilities"][positive]) for one in predictions]
