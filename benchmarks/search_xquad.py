"""XQuAD's 240 paragraphs as a collection: how often the right paragraph is retrieved, and how often
question to span comes out right.

    python benchmarks/search_xquad.py [--language en] [--retriever RUN] [--reader RUN] [--top 5]

Retrieval is by words (BM25) or by the vectors of --retriever. With --reader, a run for
question-answering, the answer over the `top` paragraphs is scored beside the answer from the right
paragraph alone. Prints one JSON object. A reader that was trained on folds of
XQuAD has seen these questions: give --fold, the one that was its test, to ask only those.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--language", default="en", choices=("en", "de", "zh"))
    parser.add_argument("--retriever")
    parser.add_argument("--reader")
    parser.add_argument("--fold", type=int)
    parser.add_argument("--top", type=int, default=5)
    options = parser.parse_args()

    from triptych.data.load import load_split
    from triptych.data.table import DataTable
    from triptych.errors import TriptychError
    from triptych.inference.loading import load
    from triptych.inference.search_index import SearchIndex, as_embedder, best, recall

    needs = ("question", "passage", "answers")
    try:
        everything = load_split(
            DataTable(set="xquad", source=options.language), "test", None, needs
        )
        asked = load_split(
            DataTable(set="xquad", source=options.language, fold=options.fold), "test", None, needs
        )
        embedder = as_embedder(load(options.retriever)) if options.retriever else None
        reader = load(options.reader) if options.reader else None
    except TriptychError as error:
        print(error, file=sys.stderr)
        return 1
    paragraphs = list(dict.fromkeys(one.passage or "" for one in everything))
    began = time.perf_counter()
    index = SearchIndex(
        {str(number): text for number, text in enumerate(paragraphs)}, embedder, longest=1_000_000
    )
    built = time.perf_counter() - began
    wanted = [paragraphs.index(one.passage or "") for one in asked]
    began = time.perf_counter()
    rankings = [best(index.retriever.scores(one.question or ""), 5) for one in asked]
    found = {
        "language": options.language,
        "paragraphs": len(paragraphs),
        "questions": len(asked),
        "retriever": options.retriever or "BM25",
        "recall@1": round(recall(rankings, wanted, 1), 1),
        "recall@5": round(recall(rankings, wanted, 5), 1),
        "seconds to build": round(built, 2),
        "questions a second": round(len(asked) / (time.perf_counter() - began), 1),
    }
    if reader is not None:
        hits = [index.answer(reader, one.question or "", options.top) for one in asked]
        found["end to end"] = scored([one[0].text if one else "" for one in hits], asked)
        found["from the right paragraph"] = scored(
            [one.text for one in reader.answer(asked)], asked
        )
        found["reader"], found["top"] = options.reader, options.top
    print(json.dumps(found, ensure_ascii=False))
    return 0


def scored(texts: list[str], asked: Sequence[Any]) -> dict[str, float]:
    from triptych.metrics.answers import exact_match, f1

    references, languages = (
        [[text for text, _ in one.answers] for one in asked],
        [one.source_language for one in asked],
    )
    return {
        "exact_match": round(exact_match(texts, references, languages).value, 2),
        "f1": round(f1(texts, references, languages).value, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
