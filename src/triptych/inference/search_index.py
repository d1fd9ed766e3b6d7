"""Questions to a folder of texts: cut it into passages, retrieve some by words (BM25) or by
vectors, and let a reader find the span.
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
from ..errors import DataError, UsageError
from ..tasks.spans import EAST, apart

if TYPE_CHECKING:
    from ..decoding.settings import DecodingSettings
    from .predictor import Predictor

SUFFIXES = (".txt", ".md")
LONGEST_PASSAGE = 1000  # characters; paragraphs are joined up to it, and cut at sentences beyond it
TOP = 5  # passages that the reader is given
# the power of a passage's score as it weighs the reader's belief: a reader is as sure of itself in
# a wrong passage
SHARPNESS = 4
_BLOCK = re.compile(r"(?:[^\n]*\S[^\n]*(?:\n|$))+")  # lines up to one that is empty
_SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？!?]+[”」』\"')）]*|\.(?=\s)|\n|$)\s*", re.DOTALL)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a file. start: its first character there."""

    file: str
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """An answer and where it stands. start, end: characters of the file; line: from 1; score: share
    of the reader's belief.
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
    """What ranks passages by a question."""

    def scores(self, question: str) -> np.ndarray:
        """(P,) how well each passage fits the question; more is better."""
        ...


# Documents ----------------------------------------------------------------------------------------


def read_documents(folder: str | Path, wrong: Notify) -> dict[str, str]:
    """File (as named from the folder) -> text, of every .txt and .md below it, in the order of
    their names.

    `wrong` is told of a file that is not UTF-8 or cannot be read, which is passed over. Raises
    UsageError where nothing is left.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(
            f"{folder} is not a folder. --documents names a folder with {' and '.join(SUFFIXES)} "
            "files."
        )
    found: dict[str, str] = {}
    for path in sorted(
        path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    ):
        try:
            found[str(path.relative_to(root))] = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            wrong(
                f"{path}:{line}: byte 0x{error.object[error.start]:02X} is not UTF-8; the file is "
                "passed over. Convert it, for example: iconv -f latin1 -t utf-8"
            )
        except OSError as error:
            wrong(f"{path} cannot be read ({error.strerror or error}) and is passed over.")
    if not any(text.strip() for text in found.values()):
        raise UsageError(
            f"{folder} holds no text in {' or '.join(SUFFIXES)} files, in UTF-8. Put the "
            "documents there."
        )
    return found


def passages_of(file: str, text: str, longest: int = LONGEST_PASSAGE) -> list[Passage]:
    """Paragraphs, joined while they are short, cut at sentences where they are long; nothing but
    white space is left out.
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
    """A block as spans of at most `longest` characters, at the ends of sentences where there are
    some.
    """
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
    """What is looked up: words in lower case; of Chinese and Japanese every character and every two
    neighbours.
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
    """Okapi BM25 (Robertson & Zaragoza 2009, section 3.3) over passages, in memory."""

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
        """(P,) float64; 0 for a passage that shares no term with the question."""
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
    """Cosine of the question's vector with each passage's, by a run that embeds."""

    def __init__(self, passages: Sequence[str], embedder: Predictor) -> None:
        self._embedder = embedder
        self.matrix = embed(embedder, passages)  # (P, D)

    def scores(self, question: str) -> np.ndarray:
        return self.matrix @ embed(self._embedder, [question])[0]


def as_embedder(predictor: Predictor) -> Predictor:
    """The run itself where it embeds, else its encoder with the states' mean, over windows that it
    has positions for.
    """
    import dataclasses

    from ..tasks.embedding import build
    from ..tasks.options import EmbeddingOptions

    if predictor.task.spec.head == "pooling":
        return predictor
    config = predictor.model.config
    if config.architecture != "encoder":
        raise UsageError(
            f"A run for {predictor.task.name} has no encoder alone, whose states could stand for "
            "a text."
        )
    longest = EmbeddingOptions().window
    window = min(longest, config.context("source") or longest)
    task = build({"window": window})
    return dataclasses.replace(predictor, task=task, head=task.head(config, {}), labels={})


def embed(
    predictor: Predictor, texts: Sequence[str], settings: DecodingSettings | None = None
) -> np.ndarray:
    """(len(texts), D) float32; a text without a character has the vector of zeros."""
    from ..data.example import Example

    width = predictor.model.config.encoder.width
    examples = [Example(text=text, place=f"text {number}") for number, text in enumerate(texts, 1)]
    found = [
        one.details.get("vector") or [0.0] * width for one in predictor.answer(examples, settings)
    ]
    return np.array(found, dtype=np.float32).reshape(-1, width)


def best(scores: np.ndarray, count: int) -> list[int]:
    """Places of the `count` best scores, the best first; the earlier of equal ones first."""
    return np.argsort(-scores, kind="stable")[:count].tolist()


def recall(rankings: Sequence[Sequence[int]], wanted: Sequence[int], count: int) -> float:
    """Percentage of questions whose passage is among the first `count` of their ranking."""
    hits = sum(right in ranking[:count] for ranking, right in zip(rankings, wanted, strict=True))
    return 100.0 * hits / max(1, len(wanted))


# Answers ------------------------------------------------------------------------------------------


class SearchIndex:
    """Documents cut into passages, ready to be asked."""

    def __init__(
        self,
        documents: dict[str, str],
        embedder: Predictor | None = None,
        longest: int = LONGEST_PASSAGE,
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
        self.retriever: Retriever = BM25(texts) if embedder is None else Vectors(texts, embedder)

    def retrieve(self, question: str, count: int = TOP) -> list[tuple[Passage, float]]:
        """The passages that fit best, and how well."""
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
        """The reader's answers over the `count` best passages, the likeliest first; none where it
        finds none.

        A passage whose share is nothing is not read. on_truncated: called with the number of tokens
        of the question that were not seen.
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
    """What retrieval says of each passage beforehand: its share of the scores' powers. Equal where
    no word of the question is anywhere.
    """
    most = max([*scores, 0.0]) or 1.0
    positive = [(max(0.0, score) / most) ** SHARPNESS for score in scores]
    total = sum(positive)
    return (
        [score / total for score in positive]
        if total
        else [1.0 / max(1, len(scores))] * len(scores)
    )
