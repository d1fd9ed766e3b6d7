"""What bags of words reach on the classification sets: TF-IDF with logistic regression and naive
Bayes, on Triptych's own splits.

    python benchmarks/classification_baselines.py [SET ...] [--leaks train|test|keep]

The same parts as a recipe sees. How long the n-grams are and, for naive Bayes, its smoothing are
chosen by accuracy on the development part, of every set alike; the test part is read once. Chinese
is cut into characters, all else into words. STS-B: the cosine of the two texts' TF-IDF vectors.
Needs scikit-learn (the extra `dev`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from triptych.data.example import Example
from triptych.data.load import load_split
from triptych.data.sets import catalog
from triptych.data.sets.classification import LAYOUTS
from triptych.data.sets.entry import SPLITS
from triptych.data.table import DataTable
from triptych.metrics.classification import accuracy, f1, pearson

# What is tried on the development part: of naive Bayes both, of logistic regression the n-grams.
LONGEST, ALPHAS = {"words": (1, 2, 3), "characters": (2, 3, 4)}, (1.0, 0.3, 0.1, 0.03)

Texts = dict[str, list[str]]  # of each part


def shape(chinese: bool, longest: int) -> dict[str, Any]:
    """How texts become features: n-grams of one to `longest` characters, or words."""
    return {
        "ngram_range": (1, longest),
        **({"analyzer": "char"} if chinese else {"token_pattern": r"(?u)\b\w+\b"}),
    }


def scores(name: str, predicted: list[str], test: Sequence[Example]) -> str:
    gold = [example.label or "" for example in test]
    text = f"accuracy {accuracy(predicted, gold):.1f}"
    return text + (
        f"  F1 of spam {f1(predicted, gold, 'spam'):.1f}"
        if name == "sms-spam"
        else f"  macro F1 {f1(predicted, gold):.1f}"
    )


def classify(
    name: str, parts: dict[str, Sequence[Example]], chinese: bool, only: str | None
) -> Iterator[tuple[str, str, float]]:
    texts = {part: [example.text or "" for example in examples] for part, examples in parts.items()}
    labels = {
        part: [example.label or "" for example in examples] for part, examples in parts.items()
    }
    unit = "characters" if chinese else "words"
    for title, fit in MODELS.items():
        if only not in (None, fit.__name__):
            continue
        began = time.monotonic()
        tried = [
            one for longest in LONGEST[unit] for one in fit(texts, labels, shape(chinese, longest))
        ]
        best = max(tried, key=lambda one: one.accuracy)  # of equals the first, which is the smaller
        dials = f"1-{best.longest} {unit}" + (f", alpha {best.alpha}" if best.alpha else "")
        text = (
            f"{scores(name, best.predicted, parts['test'])}  ({dials}; development "
            f"{best.accuracy:.1f})"
        )
        yield title, text, time.monotonic() - began


@dataclass
class Tried:
    """One way of fitting: its accuracy on the development part decides, and its answers to the test
    part are scored if it is the best.
    """

    longest: int
    alpha: float | None
    accuracy: float
    predicted: list[str]


def logistic(texts: Texts, labels: Texts, dials: dict[str, Any]) -> Iterator[Tried]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    cut = TfidfVectorizer(**dials, sublinear_tf=True, min_df=2)
    model = LogisticRegression(C=10.0, max_iter=200, tol=1e-3).fit(
        cut.fit_transform(texts["train"]), labels["train"]
    )
    found = {
        part: model.predict(cut.transform(texts[part])).tolist() for part in ("validation", "test")
    }
    yield Tried(
        dials["ngram_range"][1],
        None,
        accuracy(found["validation"], labels["validation"]),
        found["test"],
    )


def naive_bayes(texts: Texts, labels: Texts, dials: dict[str, Any]) -> Iterator[Tried]:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    cut = CountVectorizer(**dials, binary=True)
    train = cut.fit_transform(texts["train"])
    validation, test = cut.transform(texts["validation"]), cut.transform(texts["test"])
    for alpha in ALPHAS:
        model = MultinomialNB(alpha=alpha).fit(train, labels["train"])
        score = accuracy(model.predict(validation).tolist(), labels["validation"])
        yield Tried(dials["ngram_range"][1], alpha, score, model.predict(test).tolist())


MODELS = {"naive Bayes": naive_bayes, "TF-IDF, logistic regression": logistic}


def overlap(train: Sequence[Example], test: Sequence[Example]) -> list[tuple[str, str, float]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    began = time.monotonic()
    cut = TfidfVectorizer(**shape(False, 2), sublinear_tf=True).fit(
        texts_of(train, "text") + texts_of(train, "text_pair")
    )
    one, other = (cut.transform(texts_of(test, side)) for side in ("text", "text_pair"))
    product: Any = one.multiply(other)  # type: ignore[union-attr]
    cosine = np.asarray(product.sum(1)).ravel().tolist()
    found = pearson(cosine, [example.value or 0.0 for example in test])
    return [("cosine of TF-IDF", f"pearson {found:.1f}", time.monotonic() - began)]


def texts_of(examples: Sequence[Example], side: str) -> list[str]:
    return [getattr(example, side) or "" for example in examples]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("sets", nargs="*", default=list(LAYOUTS))
    parser.add_argument("--leaks", choices=["train", "test", "keep"], default="train")
    parser.add_argument("--only", choices=[fit.__name__ for fit in MODELS.values()])
    given = parser.parse_args()
    print(f"{'set':14}{'train':>8}{'test':>8}  {'model':30}{'scores':84}{'seconds':>8}")
    for name in given.sets:
        entry = catalog.entry(name)
        data = DataTable(set=name, leaks=given.leaks)
        parts = {part: load_split(data, part, needs=entry.fields) for part in SPLITS}
        train, test = parts["train"], parts["test"]
        rows = (
            overlap(train, test)
            if "value" in entry.fields
            else classify(name, parts, "zh" in entry.languages, given.only)
        )  # type: ignore[arg-type]
        for title, text, seconds in rows:
            print(
                f"{name:14}{len(train):8,}{len(test):8,}  {title:30}{text:84}{seconds:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
