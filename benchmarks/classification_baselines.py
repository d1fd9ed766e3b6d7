"""What bags of words reach on the classification sets: TF-IDF with logistic regression and naive Bayes, on Triptych's own splits.

    python benchmarks/classification_baselines.py [SET ...] [--leaks train|test|keep]

The same training and test texts as a recipe sees (validation is not used, nothing is tuned). Chinese is cut into single
characters and pairs of them, all else into words and pairs of words. STS-B: the cosine of the two texts' TF-IDF vectors.
Needs scikit-learn (the extra `dev`); all sets take under three minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from triptych.data import catalog
from triptych.data.example import Example
from triptych.data.parts import DataTable, read_part
from triptych.data.sets_classification import LAYOUTS
from triptych.metrics.classification import accuracy, f1, pearson


def vectorizer(chinese: bool, **dials: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    shape = {"analyzer": "char", "ngram_range": (1, 2)} if chinese else {"ngram_range": (1, 2), "token_pattern": r"(?u)\S+|\w+"}
    return TfidfVectorizer(**shape, sublinear_tf=True, min_df=1, **dials)


def scores(name: str, predicted: list[str], test: list[Example]) -> str:
    gold = [example.label or "" for example in test]
    text = f"accuracy {accuracy(predicted, gold):.1f}"
    return text + (f"  F1 of spam {f1(predicted, gold, 'spam'):.1f}" if name == "sms-spam" else f"  macro F1 {f1(predicted, gold):.1f}")


def classify(name: str, train: list[Example], test: list[Example], chinese: bool) -> list[tuple[str, str, float]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB

    rows, labels = [], [example.label for example in train]
    for title, dials, model in (
        ("TF-IDF, logistic regression", {}, LogisticRegression(C=10.0, max_iter=200)),
        ("naive Bayes (counts)", {"use_idf": False, "norm": None}, MultinomialNB(alpha=0.3)),
    ):
        began = time.monotonic()
        cut = vectorizer(chinese, **dials)
        model.fit(cut.fit_transform([example.text or "" for example in train]), labels)
        predicted = model.predict(cut.transform([example.text or "" for example in test])).tolist()
        rows.append((title, scores(name, predicted, test), time.monotonic() - began))
    return rows


def overlap(train: list[Example], test: list[Example]) -> list[tuple[str, str, float]]:
    began = time.monotonic()
    cut = vectorizer(False).fit([text for example in train for text in (example.text or "", example.text_pair or "")])
    one, other = (cut.transform([getattr(example, side) for example in test]) for side in ("text", "text_pair"))
    cosine = one.multiply(other).sum(1).A1 if hasattr(one.multiply(other).sum(1), "A1") else one.multiply(other).sum(1)
    gold = [example.value or 0.0 for example in test]
    return [("cosine of TF-IDF", f"pearson {pearson([float(value) for value in cosine], gold):.1f}", time.monotonic() - began)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("sets", nargs="*", default=list(LAYOUTS))
    parser.add_argument("--leaks", choices=["train", "test", "keep"], default="train")
    given = parser.parse_args()
    print(f"{'set':14}{'train':>8}{'test':>8}  {'model':30}{'scores':34}{'seconds':>8}")
    for name in given.sets:
        about = catalog.entry(name)
        data = DataTable(set=name, leaks=given.leaks)
        train, test = (read_part(data, part, needs=about.fields) for part in ("train", "test"))
        rows = overlap(train, test) if "value" in about.fields else classify(name, train, test, "zh" in about.languages)
        for title, text, seconds in rows:
            print(f"{name:14}{len(train):8,}{len(test):8,}  {title:30}{text:34}{seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()
