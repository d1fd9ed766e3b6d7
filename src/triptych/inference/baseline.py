"""Score a simple model on the same examples, so that a run has something to beat.

Texts with labels or numbers: TF-IDF of words and characters under a linear model of scikit-learn
(the extra `baseline`). Words with tags: each word's most frequent tag in training.
"""

from __future__ import annotations

import importlib.util
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.example import Example
from ..data.formats.bio import OUTSIDE, scheme_of
from ..errors import DataError, UsageError
from ..messages import message
from ..tasks.task import Prediction, Scores, Task

LEARNT = ("label", "labels", "value")
MOST_FEATURES = 50_000  # of words, and of characters
# To take seconds: from so many characters on, only words are counted, and only what occurs twice;
# from so many texts times labels on, the model is fitted by averaged SGD.
MANY_CHARACTERS, MANY_TARGETS = 1_000_000, 5_000
INVERSE_PENALTY, RIDGE = 10.0, 1.0  # a weak penalty suits short texts; of a number a stronger one
SGD_PASSES = 10


@dataclass(frozen=True, slots=True)
class Baseline:
    """Hold the scores of a simple model.

    Args:
        model: What it is, in words.
        scores: By the metrics of the run's task.
        examples: How many training examples it learnt from.
        seconds: Time of learning and answering.
    """

    model: str
    scores: Scores
    examples: int
    seconds: float

    def beats(self, scores: Mapping[str, float]) -> bool:
        """Tell whether its main metric, of which more is better, is above that of `scores`."""
        main = next(iter(self.scores.values))
        return main in scores and self.scores.values[main] > scores[main]

    def to_json(self, scores: Mapping[str, float]) -> dict[str, object]:
        """Return it for JSON, beside the scores of a run."""
        return {
            "model": self.model,
            "metrics": self.scores.values,
            "training_examples": self.examples,
            "seconds": round(self.seconds, 2),
            "beats_the_run": self.beats(scores),
        }


def is_installed() -> bool:
    """Tell whether scikit-learn can be imported, without importing it."""
    return importlib.util.find_spec("sklearn") is not None


def refuse_without_baseline(task: Task) -> None:
    """Raise UsageError if there is no simple model for a task, or it is not installed."""
    if task.needs[-1] in LEARNT and task.needs[0] == "text":
        if not is_installed():
            raise UsageError(
                '--baseline needs scikit-learn. Install it: pip install "triptych[baseline]"'
            )
    elif task.needs[-1] != "tags" or task.break_down is None:
        raise UsageError(
            "--baseline is for labels or a number of a text, and for tags of given words; there is "
            f"none for this run ({task.name}). Leave it out."
        )


def baseline(task: Task, train: Sequence[Example], test: Sequence[Example]) -> Baseline:
    """Learn from `train`, answer `test`, and score the answers by the task's metrics.

    Raises:
        UsageError: There is no simple model for the task, or scikit-learn is not installed.
        DataError: The training texts have one label, so there is nothing to learn.
    """
    refuse_without_baseline(task)
    began = time.monotonic()
    kind = task.needs[-1]
    if kind == "tags":
        model, predictions = message("the most frequent tag of each word"), _tagged(train, test)
    elif kind == "value":
        features = _features_in_words(train)
        model = message("{features}, ridge", features=features)
        predictions = _valued(train, test)
    else:
        features = _features_in_words(train)
        model = message("{features}, logistic regression", features=features)
        predictions = _labelled(train, test, kind)
    scores = task.score(predictions, test, {})
    return Baseline(model, scores, len(train), time.monotonic() - began)


# Words --------------------------------------------------------------------------------------------


def _tagged(train: Sequence[Example], test: Sequence[Example]) -> list[Prediction]:
    """Tag every word as it, or its lower-case form, is tagged most often."""
    counts: dict[str, Counter[str]] = {}
    every = Counter[str]()
    for example in train:
        for word, tag in zip(_words(example), example.tags or (), strict=True):
            for form in {word, word.lower()}:
                counts.setdefault(form, Counter())[tag] += 1
            every[tag] += 1
    best = {form: found.most_common(1)[0][0] for form, found in counts.items()}
    unknown = OUTSIDE if scheme_of(every) != "plain" else every.most_common(1)[0][0]
    return [
        Prediction(
            "",
            details={
                "tags": [best.get(word, best.get(word.lower(), unknown)) for word in _words(one)]
            },
        )
        for one in test
    ]


def _words(example: Example) -> list[str]:
    return [(example.text or "")[start:end] for start, end in example.words or ()]


# Texts --------------------------------------------------------------------------------------------


def _labelled(train: Sequence[Example], test: Sequence[Example], kind: str) -> list[Prediction]:
    """Answer labels, or sets of labels, by logistic regression."""
    from sklearn.multiclass import OneVsRestClassifier

    learnt, asked = _features(train, test)
    if kind == "label":
        labels = [one.label or "" for one in train]
        if len(set(labels)) < 2:
            raise DataError("All training texts have one label: there is no baseline to learn.")
        model = _logistic(len(train), len(set(labels))).fit(learnt, labels)
        return [
            _prediction(dict(zip(model.classes_.tolist(), row, strict=True)))
            for row in model.predict_proba(asked).tolist()
        ]
    names = sorted({name for one in train for name in one.labels or ()})
    targets = np.array([[name in (one.labels or ()) for name in names] for one in train], dtype=int)
    # Of a label that all texts or none have there is nothing to learn.
    varied = [place for place in range(len(names)) if 0 < targets[:, place].sum() < len(targets)]
    chances = np.repeat(targets.mean(0, keepdims=True), len(test), 0)
    if varied:
        model = OneVsRestClassifier(_logistic(len(train), len(varied)))
        several = model.fit(learnt, targets[:, varied])
        chances[:, varied] = several.predict_proba(asked).reshape(len(test), len(varied))
    return [
        Prediction(
            "",
            details={"labels": [name for name, p in zip(names, row, strict=True) if p >= 0.5]},
        )
        for row in chances.tolist()
    ]


def _logistic(texts: int, labels: int) -> Any:
    """Return an untrained logistic regression for so many texts and labels."""
    from sklearn.linear_model import LogisticRegression, SGDClassifier

    if texts * labels <= MANY_TARGETS:
        return LogisticRegression(C=INVERSE_PENALTY, max_iter=300)
    return SGDClassifier(
        loss="log_loss",
        alpha=1 / (INVERSE_PENALTY * texts),
        max_iter=SGD_PASSES,
        tol=None,  # type: ignore[arg-type]
        average=True,
        random_state=1,
    )


def _prediction(table: dict[str, float]) -> Prediction:
    best = max(table, key=lambda name: table[name])
    return Prediction(best, score=table[best], details={"label": best, "probabilities": table})


def _valued(train: Sequence[Example], test: Sequence[Example]) -> list[Prediction]:
    """Answer numbers by ridge regression, within those of the training texts."""
    from sklearn.linear_model import Ridge

    values = np.array([one.value for one in train], dtype=float)
    learnt, asked = _features(train, test)
    found = Ridge(alpha=RIDGE, solver="sparse_cg").fit(learnt, values).predict(asked)
    found = np.clip(found, values.min(), values.max())
    return [Prediction(f"{one:.3f}", details={"value": one}) for one in found.tolist()]


def _features_in_words(train: Sequence[Example]) -> str:
    units = _units([text for one in train for text in _texts(one)])
    of = units[0] if len(units) == 1 else message("{one} and {other}", one=units[0], other=units[1])
    if _are_pairs(train):
        return message("TF-IDF of {units} of both texts", units=of)
    return message("TF-IDF of {units}", units=of)


def _units(texts: Sequence[str]) -> Sequence[str]:
    """Return what is counted in texts: in a script without spaces there are no words to count."""
    sample = texts[:: max(1, len(texts) // 1000)]
    if sum(text.count(" ") for text in sample) * 12 < sum(map(len, sample)):
        return [message("characters")]
    several = [message("words"), message("characters")]
    return several[:1] if sum(map(len, texts)) > MANY_CHARACTERS else several


def _texts(example: Example) -> list[str]:
    return [text for text in (example.text, example.text_pair) if text is not None]


def _are_pairs(examples: Sequence[Example]) -> bool:
    return bool(examples) and examples[0].text_pair is not None


def _features(train: Sequence[Example], test: Sequence[Example]) -> tuple[Any, Any]:
    """Return sparse features (texts, F) of both parts.

    Two texts u and v give both, their difference and product, and their cosine.
    """
    texts = [one.text or "" for one in train]
    if not _are_pairs(train):
        return _vectors(texts, texts, [one.text or "" for one in test])
    seconds = [one.text_pair or "" for one in train]
    parts = [*(texts, seconds), *([one.text or "" for one in test],
                                  [one.text_pair or "" for one in test])]  # fmt: skip
    u, v, w, x = _vectors(texts + seconds, *parts)
    return _compared(u, v), _compared(w, x)


def _compared(u: Any, v: Any) -> Any:
    from scipy.sparse import csr_matrix, hstack

    product = u.multiply(v).tocsr()
    cosine = csr_matrix(product.sum(1))
    return hstack([u, v, abs(u - v), product, cosine * 4.0], format="csr")


def _vectors(fitted: Sequence[str], *parts: Sequence[str]) -> tuple[Any, ...]:
    """Fit TF-IDF to texts and return the vectors of each part, of length 1."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    units = _units(fitted)
    shared: dict[str, Any] = {
        "sublinear_tf": True,
        "max_features": MOST_FEATURES,
        "dtype": np.float32,
        "min_df": 2 if sum(map(len, fitted)) > MANY_CHARACTERS else 1,
    }
    kinds: dict[str, dict[str, Any]] = {
        "words": {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
        "characters": {"ngram_range": (1, 2 + len(units)), "analyzer": "char_wb"},
    }
    found: list[list[Any]] = [[] for _ in parts]
    for unit in units:
        vectorizer = TfidfVectorizer(**kinds[unit], **shared)
        try:
            vectorizer.fit(fitted)
        except ValueError:  # no text has a word, or anything else to count
            continue
        for place, part in enumerate(parts):
            found[place].append(vectorizer.transform(part))
    if not found[0]:
        raise DataError("The training texts hold nothing to count: there is no baseline to learn.")
    return tuple(normalize(hstack(each, format="csr")) for each in found)
