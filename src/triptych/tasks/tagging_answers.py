"""Write tags as predictions: words, entities in brackets, or word/TAG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..data.formats import bio
from ..data.segmentation import words as rules
from .task import Prediction

BEGINS, GOES_ON = "B", "I"  # the tags with unit = "character"


def in_words(text: str, places: rules.Words, tags: Sequence[str]) -> Prediction:
    """Join characters to words: one with tag I belongs to the word before it."""
    found: list[tuple[int, int]] = []
    for (start, end), tag in zip(places, tags, strict=True):
        if tag == BEGINS or not found:
            found.append((start, end))
        else:
            found[-1] = found[-1][0], end
    words = [text[start:end] for start, end in found]
    return Prediction(
        text=" ".join(words), details={"words": words, "offsets": [list(one) for one in found]}
    )


def tag_prediction(
    text: str, words: rules.Words, tags: list[str], sure: np.ndarray, spans: bool
) -> Prediction:
    """Return the text with entities in brackets, or as word/TAG."""
    surface = [text[start:end] for start, end in words]
    details: dict[str, object] = {
        "words": surface,
        "offsets": [list(one) for one in words],
        "tags": tags,
    }
    if not spans:
        return Prediction(
            text=" ".join(f"{word}/{tag}" for word, tag in zip(surface, tags, strict=True)),
            details=details,
        )
    entities: list[dict[str, object]] = []
    shown: list[str] = []
    at = 0
    for kind, first, last in bio.spans(tags):
        start, end = words[first][0], words[last - 1][1]
        chance = math.exp(float(np.log(np.maximum(sure[first:last], 1e-12)).mean()))
        entities.append(
            {
                "start": start,
                "end": end,
                "label": kind,
                "text": text[start:end],
                "score": round(chance, 4),
            }
        )
        shown += [text[at:start], f"[{kind} {text[start:end]}]"]
        at = max(at, end)
    details["entities"] = entities
    return Prediction(text="".join([*shown, text[at:]]), details=details)
