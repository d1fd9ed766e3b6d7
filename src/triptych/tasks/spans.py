"""Merge the spans of windows into one answer.

It has its place in the user's text and candidates over all windows, or is "no answer".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..data.batches.encoded import Batch
from ..data.tokenizers.subwords import Tokenizer
from .task import Prediction

if TYPE_CHECKING:
    from torch import Tensor

    from ..model.transformer import Transformer

PER_WINDOW = 20  # spans kept for each window
EAST = re.compile(
    "[\u3005-\u3007\u303b\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af]"
)


@dataclass(frozen=True, slots=True)
class Window:
    """Describe one window.

    first: its first passage token. offsets: the characters of each passage token (S, 2), in use.
    unseen: question tokens that were cut off. answerable: True where the question has an answer.
    """

    first: int
    offsets: np.ndarray | None
    unseen: int = 0
    answerable: bool = True


@dataclass(frozen=True, slots=True)
class WindowAnswers:
    """Hold the answers of one window.

    spans: (log-probability, first character, end character), best first. no_answer: log-probability
    that the answer is not in the window. threshold: of the head. unseen: question tokens that were
    not read.
    """

    spans: list[tuple[float, int, int]]
    no_answer: float
    threshold: float
    unseen: int = 0


class SpanHead(Protocol):
    """Describe a head with the logits of spans and a threshold for "no answer"."""

    threshold: Tensor

    def __call__(
        self, model: Transformer, states: Tensor, inputs: dict[str, Tensor], /
    ) -> Tensor: ...


def apart(text: str) -> Iterator[tuple[int, str]]:
    """Yield (first character, part): each Chinese or Japanese character, and the text between."""
    place = 0
    for match in EAST.finditer(text):
        if match.start() > place:
            yield place, text[place : match.start()]
        yield match.start(), match[0]
        place = match.end()
    if place < len(text):
        yield place, text[place:]


@lru_cache(maxsize=16)
def folded(tokenizer: Tokenizer) -> np.ndarray:
    """Return (V,) a key for each token: equal where two are the same letters in any case.

    0 for a token without a letter or digit, which matches nothing.
    """
    numbers: dict[str, int] = {"": 0}
    shown = (
        "".join(part for part in piece.casefold() if part.isalnum())
        for piece in tokenizer.pieces(range(tokenizer.vocabulary_size))
    )
    return np.array([numbers.setdefault(key, len(numbers)) for key in shown], dtype=np.int64)


def runs(keys: np.ndarray, length: int) -> np.ndarray:
    """Return (S - length + 1,) one number for each run of `length` keys.

    Keys are below 2**21; a run that includes key 0 is 0.
    """
    found = np.zeros(max(0, len(keys) - length + 1), dtype=np.int64)
    whole = np.ones(len(found), dtype=bool)
    for place in range(length):
        inside = keys[place : place + len(found)]
        found, whole = (found << 21) + inside, whole & (inside > 0)
    return found * whole


def spans_of(logits: Tensor, batch: Batch, longest: int, threshold: float) -> list[WindowAnswers]:
    """Map logits (N, 2) to the answers of each window of the batch."""
    from ..model.heads.span import best_spans, log_probabilities

    chances = log_probabilities(logits, batch.inputs["source_lengths"])  # (B, T, 2)
    none = chances[:, 0].sum(-1).cpu().numpy().tolist()
    scores, starts, ends = (
        values.cpu().numpy().tolist() for values in best_spans(chances, longest, PER_WINDOW)
    )
    found: list[WindowAnswers] = []
    for row, one in enumerate(batch.encoded):
        metadata: Window = one.metadata
        assert metadata.offsets is not None, "windows in use have offsets"
        spans = [
            (
                value,
                int(metadata.offsets[start - metadata.first, 0]),
                int(metadata.offsets[end - metadata.first, 1]),
            )
            for value, start, end in zip(scores[row], starts[row], ends[row], strict=True)
            if value > -math.inf
        ]
        found.append(WindowAnswers(spans, none[row], threshold, metadata.unseen))
    return found


def best_prediction(raw: Sequence[WindowAnswers], passage: str, candidates: int) -> Prediction:
    """Return one answer from all windows.

    Windows share tokens, so a span can be found twice: the more probable one counts. probability:
    of a span among all candidates and no answer. no_answer_score: nats by which "no answer in any
    window" is more probable than the best span. details start, end: characters of the passage.
    """
    best: dict[tuple[int, int], float] = {}
    for one in raw:
        for value, start, end in one.spans:
            place = trimmed(passage, start, end)
            if place[0] < place[1]:
                best[place] = max(value, best.get(place, -math.inf))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    none, threshold = min(one.no_answer for one in raw), raw[0].threshold
    top = max([none, *(value for _, value in ranked[:1])])
    total = math.fsum(math.exp(value - top) for value in [none, *best.values()])
    chances = [(place, math.exp(value - top) / total) for place, value in ranked]
    named = [
        {"text": passage[start:end], "start": start, "end": end, "probability": round(chance, 6)}
        for (start, end), chance in chances[:candidates]
    ]
    apart = none - ranked[0][1] if ranked else math.inf
    no_answer = not ranked or apart > threshold
    start, end = (None, None) if no_answer else ranked[0][0]
    chance = math.exp(none - top) / total if no_answer else chances[0][1]
    details = {
        "start": start,
        "end": end,
        "no_answer_score": round(apart, 6) if math.isfinite(apart) else None,
        "candidates": named,
    }
    text = "" if no_answer else passage[start:end]
    return Prediction(
        text=text, score=round(chance, 6), truncated_input_tokens=raw[0].unseen, details=details
    )


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return [start, end) without white space: a token includes the space before its word."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def fit_threshold(
    model: Transformer, head: SpanHead, batches: Sequence[Batch], longest: int
) -> str | None:
    """Set head.threshold to the value of the best mean F1 on development data.

    F1 is over tokens (Rajpurkar et al. 2018, section 5).
    """
    from ..model.heads.span import best_spans, log_probabilities

    # Example -> log-probability of its best span, and that span's F1
    best: dict[int, tuple[float, float]] = {}
    none: dict[int, float] = {}
    answerable: dict[int, bool] = {}
    for batch in batches:
        logits = head(model, model(**batch.inputs), batch.inputs)
        chances = log_probabilities(logits, batch.inputs["source_lengths"])
        scores, starts, ends = best_spans(chances, longest, 1)
        for row, (index, one) in enumerate(zip(batch.examples, batch.encoded, strict=True)):
            answerable[index] = one.metadata.answerable
            none[index] = min(none.get(index, math.inf), float(chances[row, 0].sum()))
            wanted = int(one.targets["start"][0]), int(one.targets["end"][0])
            overlap = (
                _overlap((int(starts[row, 0]), int(ends[row, 0])), wanted) if wanted[0] else 0.0
            )
            if index not in best or float(scores[row, 0]) > best[index][0]:
                best[index] = (float(scores[row, 0]), overlap)
    if all(answerable.values()) or not any(answerable.values()):
        return None
    apart = np.array([none[index] - best[index][0] for index in best])
    right = np.array([best[index][1] for index in best])
    absent = np.array([not answerable[index] for index in best], dtype=float)
    order = np.argsort(apart, kind="stable")
    # With the threshold after the k-th, the first k are answered and the others are not.
    totals = (
        np.concatenate(([0.0], np.cumsum(right[order])))
        + absent.sum()
        - np.concatenate(([0.0], np.cumsum(absent[order])))
    )
    cut = int(totals.argmax())
    sorted_apart = np.clip(apart[order], -1e4, 1e4)
    low = sorted_apart[cut - 1] if cut else sorted_apart[0] - 1.0
    high = sorted_apart[cut] if cut < len(sorted_apart) else sorted_apart[-1] + 1.0
    head.threshold.fill_(float(low + high) / 2)
    return (
        f"A question has no answer above a score of {float(head.threshold):.2f} nats, fitted on "
        f"{len(best):,} validation questions ({int(absent.sum()):,} without an answer): F1 over "
        f"tokens {100 * totals[cut] / len(best):.1f}."
    )


def _overlap(given: tuple[int, int], wanted: tuple[int, int]) -> float:
    shared = max(0, min(given[1], wanted[1]) - max(given[0], wanted[0]) + 1)
    return 2 * shared / (given[1] - given[0] + wanted[1] - wanted[0] + 2)
