"""Answer questions from a folder of texts.

The texts are cut into passages, some of which are retrieved by words (BM25) or by vectors; a reader
finds the span in them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..data.example import Notify
from ..data.formats.lines import conversion, decode_text, read_bytes
from ..errors import DataError, UsageError
from ..tasks.spans import EAST, apart

if TYPE_CHECKING:
    from ..decoding.settings import DecodingSettings
    from .loaded import Done
    from .predictor import Predictor

SUFFIXES = (".txt", ".md")
SHOWN = 5  # files that a notice names
# characters: paragraphs are joined up to it, longer ones are cut at sentences
LONGEST_PASSAGE = 1000
TOP = 5  # passages that the reader is given
# Exponent of a passage's score when it weighs the reader's probability, because a reader is as sure
# of itself in a wrong passage.
SHARPNESS = 4
_BLOCK = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+")  # lines up to an empty one
_SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？!?]+[”」』\"')）]*|\.(?=\s)|\n|$)\s*", re.DOTALL)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Passage:
    """Hold a piece of a file; `start` is its first character there."""

    file: str
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """Hold an answer and its place.

    Args:
        text: The answer.
        file: The file that it is in.
        line: Its line there, from 1.
        start: Its first character in the file.
        end: The end of its characters.
        score: Its share of the reader's probability.
        passage: The passage that it was found in.
    """

    text: str
    file: str
    line: int
    start: int
    end: int
    score: float
    passage: Passage

    def to_json(self) -> dict[str, object]:
        values = {
            name: getattr(self, name) for name in ("text", "score", "file", "line", "start", "end")
        }
        return {**values, "passage": self.passage.text}


class Retriever(Protocol):
    """Rank passages by a question."""

    def scores(self, question: str) -> np.ndarray:
        """Return (P,) how well each passage fits the question; more is better."""
        ...


# Documents ----------------------------------------------------------------------------------------


def read_documents(folder: str | Path, wrong: Notify) -> dict[str, str]:
    """Read every .txt and .md file below a folder, also as .gz, in the order of their names.

    Args:
        folder: The folder.
        wrong: Receives a message about each file that is skipped, because it is not UTF-8 or cannot
            be read, and one about all files of other kinds.

    Returns:
        File, relative to the folder -> text.

    Raises:
        UsageError: There is no text left.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(
            f"{folder} is not a folder. --documents names a folder with {' and '.join(SUFFIXES)} "
            "files, plain or .gz."
        )
    found: dict[str, str] = {}
    files = sorted(path for path in root.rglob("*") if path.is_file())
    others = [path for path in files if not path.name.startswith(".") and not is_document(path)]
    for path in (path for path in files if is_document(path)):
        try:
            found[str(path.relative_to(root))] = decode_text(
                read_bytes(path), str(path), advise=conversion
            )
        except DataError as error:
            wrong(f"{error} The file is skipped.")
    if others:
        more = f" and {len(others) - SHOWN:,} more" if len(others) > SHOWN else ""
        listed = ", ".join(str(path.relative_to(root)) for path in others[:SHOWN])
        wrong(
            f"{len(others):,} files of {folder} are not read, because only "
            f"{' and '.join(SUFFIXES)} are, plain or .gz: {listed}{more}."
        )
    if not any(text.strip() for text in found.values()):
        raise UsageError(
            f"{folder} has no UTF-8 text in {' or '.join(SUFFIXES)} files. Put the documents there."
        )
    return found


def is_document(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def passages_of(file: str, text: str, longest: int = LONGEST_PASSAGE) -> list[Passage]:
    """Cut a text into passages; nothing but white space is left out.

    Short paragraphs are joined, and long ones are cut at sentences.
    """
    spans: list[tuple[int, int]] = []
    for start, end in (
        part for block in _BLOCK.finditer(text) for part in _cut(text, *block.span(), longest)
    ):
        if spans and end - spans[-1][0] <= longest:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [
        Passage(file, start, text[start:end]) for start, end in spans if text[start:end].strip()
    ]


def _cut(text: str, start: int, end: int, longest: int) -> Iterator[tuple[int, int]]:
    """Yield a block as spans of at most `longest` characters, cut at sentences if possible."""
    begin = start
    for sentence in _SENTENCE.finditer(text, start, end):
        if sentence.end() - begin > longest and sentence.start() > begin:
            yield begin, sentence.start()
            begin = sentence.start()
        while sentence.end() - begin > longest:
            yield begin, begin + longest
            begin += longest
    if begin < end:
        yield begin, end


# Retrieval ----------------------------------------------------------------------------------------


def terms(text: str) -> list[str]:
    """Return the terms of a text that are looked up.

    They are words in lower case; in Chinese and Japanese every character and every two neighbouring
    ones.
    """
    found, before, place = [], "", -1
    for start, part in apart(unicodedata.normalize("NFKC", text).casefold()):
        if EAST.fullmatch(part):
            found += [part, before + part] if place == start else [part]
            before, place = part, start + 1
        else:
            found += _WORD.findall(part)
    return found


class BM25:
    """Rank passages by Okapi BM25 (Robertson & Zaragoza 2009, section 3.3), in memory."""

    def __init__(self, passages: Sequence[str], k1: float = 1.2, b: float = 0.75) -> None:
        counts = [Counter(terms(passage)) for passage in passages]
        lengths = np.array([count.total() for count in counts], dtype=np.float64)
        self.size = len(passages)
        self._norms = k1 * (1 - b + b * lengths / max(1.0, lengths.mean() if len(lengths) else 1.0))
        self._k1 = k1
        postings: dict[str, tuple[list[int], list[int]]] = {}
        for place, count in enumerate(counts):
            for term, times in count.items():
                places, often = postings.setdefault(term, ([], []))
                places.append(place)
                often.append(times)
        self._postings = {
            term: (np.array(places), np.array(often, dtype=np.float64))
            for term, (places, often) in postings.items()
        }

    def scores(self, question: str) -> np.ndarray:
        """Return (P,) float64; 0 for a passage that shares no term with the question."""
        found = np.zeros(self.size)
        for term, times in Counter(terms(question)).items():
            if term in self._postings:
                places, often = self._postings[term]
                weight = math.log(1 + (self.size - len(places) + 0.5) / (len(places) + 0.5))
                found[places] += (
                    times * weight * often * (self._k1 + 1) / (often + self._norms[places])
                )
        return found


class Vectors:
    """Rank passages by the cosine of their vectors with the question's, by an embedding run."""

    def __init__(
        self, passages: Sequence[str], embedder: Predictor, done: Done | None = None
    ) -> None:
        self._embedder = embedder
        self.matrix = embed(embedder, passages, done=done)  # (P, D)

    def scores(self, question: str) -> np.ndarray:
        return self.matrix @ embed(self._embedder, [question])[0]


def as_embedder(predictor: Predictor) -> Predictor:
    """Return the run itself if it embeds, else its encoder with mean pooling.

    Its windows are no longer than its positions.
    """
    import dataclasses

    from ..tasks.embedding import build
    from ..tasks.options import EmbeddingOptions

    if predictor.task.spec.head == "pooling":
        return predictor
    config = predictor.model.config
    if config.architecture != "encoder":
        raise UsageError(
            f"A run for {predictor.task.name} is not encoder-only, so it cannot turn a text into "
            "a vector."
        )
    longest = EmbeddingOptions().window
    window = min(longest, config.context("source") or longest)
    task = build({"window": window})
    head = task.head(config, {})
    return dataclasses.replace(predictor, task=task, head=head, labels={}, engine=None)


def embed(
    predictor: Predictor,
    texts: Sequence[str],
    settings: DecodingSettings | None = None,
    done: Done | None = None,
) -> np.ndarray:
    """Return (len(texts), D) float32; a text without a character has the zero vector.

    `done` receives how many texts were embedded, a batch at a time.
    """
    from ..data.example import Example

    width = predictor.model.config.encoder.width
    examples = [Example(text=text, place=f"text {number}") for number, text in enumerate(texts, 1)]
    found = [
        one.details.get("vector") or [0.0] * width
        for one in predictor.answer(examples, settings, done=done)
    ]
    return np.array(found, dtype=np.float32).reshape(-1, width)


def best(scores: np.ndarray, count: int) -> list[int]:
    """Return the places of the `count` best scores, the best first; of equal ones the earlier."""
    return np.argsort(-scores, kind="stable")[:count].tolist()


def recall(rankings: Sequence[Sequence[int]], wanted: Sequence[int], count: int) -> float:
    """Return the percentage of questions whose passage is among the first `count` ranked."""
    hits = sum(right in ranking[:count] for ranking, right in zip(rankings, wanted, strict=True))
    return 100.0 * hits / max(1, len(wanted))


# Answers ------------------------------------------------------------------------------------------


class SearchIndex:
    """Hold documents cut into passages, ready to be searched."""

    def __init__(
        self,
        documents: dict[str, str],
        embedder: Predictor | None = None,
        longest: int = LONGEST_PASSAGE,
        done: Done | None = None,
    ) -> None:
        self.documents = documents
        self.passages = [
            passage
            for file, text in documents.items()
            for passage in passages_of(file, text, longest)
        ]
        if not self.passages:
            raise DataError("There is no passage to search: the documents are empty.")
        texts = [passage.text for passage in self.passages]
        self.retriever: Retriever = (
            BM25(texts) if embedder is None else Vectors(texts, embedder, done)
        )

    def retrieve(self, question: str, count: int = TOP) -> list[tuple[Passage, float]]:
        """Return the passages that fit best, and their scores."""
        scores = self.retriever.scores(question)
        return [(self.passages[place], float(scores[place])) for place in best(scores, count)]

    def answer(
        self,
        reader: Predictor,
        question: str,
        count: int = TOP,
        settings: DecodingSettings | None = None,
        on_truncated: Callable[[int], object] | None = None,
    ) -> list[Hit]:
        """Return the reader's answers over the `count` best passages, the likeliest first.

        A passage whose share is 0 is not read, and there may be no answer.

        Args:
            reader: A run that finds spans.
            question: The question.
            count: Number of passages that are read.
            settings: How answers are decoded.
            on_truncated: Receives the number of tokens of the question that were not read.
        """
        from ..data.example import Example

        found = self.retrieve(question, count)
        shared = [
            (passage, share)
            for (passage, _), share in zip(
                found, shares([score for _, score in found]), strict=True
            )
            if share
        ]
        examples = [
            Example(question=question, passage=passage.text, place="question")
            for passage, _ in shared
        ]
        predictions = list(reader.answer(examples, settings))
        if on_truncated is not None:
            on_truncated(max(one.truncated_input_tokens for one in predictions))
        hits: dict[tuple[str, int, int], Hit] = {}
        for (passage, share), one in zip(shared, predictions, strict=True):
            if not one.text:
                continue
            for span in one.details["candidates"]:
                start = passage.start + span["start"]
                line = self.documents[passage.file].count("\n", 0, start) + 1
                hit = Hit(
                    span["text"],
                    passage.file,
                    line,
                    start,
                    passage.start + span["end"],
                    share * span["probability"],
                    passage,
                )
                hits[passage.file, start, hit.end] = hit
        return sorted(hits.values(), key=lambda hit: -hit.score)


def shares(scores: Sequence[float]) -> list[float]:
    """Return each passage's prior probability: its share of the scores' powers.

    All are equal if no term of the question occurs anywhere.
    """
    most = max([*scores, 0.0]) or 1.0
    positive = [(max(0.0, score) / most) ** SHARPNESS for score in scores]
    total = sum(positive)
    return (
        [score / total for score in positive]
        if total
        else [1.0 / max(1, len(scores))] * len(scores)
    )
