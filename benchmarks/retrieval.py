"""Answers from an index: what is found, how well it is answered, how fast, beside other searchers.

    python benchmarks/retrieval.py search [--set xquad|medquad] [--language en] [--embedder RUN]
        [--reranker RUN] [--txtai FOLDER]
    python benchmarks/retrieval.py answers --reader RUN --fold N [--embedder RUN]
    python benchmarks/retrieval.py scale FILE ... [--passages 100000] [--questions 50]

`search` asks XQuAD's 240 paragraphs of a language, or the answers of MedQuAD to the questions on a
fifth of its subjects (split by `focus`): recall@1 and @5 of BM25 alone, of the index, and of bm25s
and txtai where they are installed (--txtai: a folder of sentence-transformers). `answers` scores
the answers to the questions of one fold, and how many "no answer"s are right when the right
paragraph is taken out of the index. `scale` cuts text files into passages and times opening and
a question, own postings and bm25s in turn, in CPU time, which neighbours on the machine do not
touch. Each prints one JSON object.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = Path(os.environ.get("TRIPTYCH_DATA", "../shared/data"))
NEEDS = ("question", "passage", "answers")


def xquad(language: str, fold: int | None = None) -> list[Any]:
    from triptych.data.load import load_split
    from triptych.data.table import DataTable

    table = DataTable(set="xquad", source=language, fold=fold)
    return list(load_split(table, "test", None, NEEDS))


def medquad(most: int) -> tuple[list[str], list[tuple[str, set[int]]]]:
    """Return the answers, and questions with the numbers of their answers."""
    with gzip.open(DATA / "medquad" / "medquad.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts = list(dict.fromkeys(" ".join(row["answer"].split()) for row in rows))
    places = {text: place for place, text in enumerate(texts)}
    asked: dict[str, set[int]] = {}
    for row in rows:
        if hashlib.sha256(row["focus"].encode()).digest()[0] < 51:  # a fifth of the subjects
            place = places[" ".join(row["answer"].split())]
            asked.setdefault(" ".join(row["question"].split()), set()).add(place)
    kept = sorted(asked.items(), key=lambda one: hashlib.sha256(one[0].encode()).digest())[:most]
    wanted = sorted({place for _, places in kept for place in places})
    # With a bound on questions the collection is bounded too: their answers and nine times others.
    others = [place for place in range(len(texts)) if place not in set(wanted)]
    chosen = sorted(wanted + others[:: max(1, len(others) // (9 * len(wanted)))])
    new = {place: number for number, place in enumerate(chosen)}
    return [texts[place] for place in chosen], [
        (question, {new[place] for place in places}) for question, places in kept
    ]


def recalls(ranked: list[list[int]], wanted: list[set[int]]) -> dict[str, float]:
    found = {}
    for count in (1, 5):
        hits = sum(
            bool(right & set(one[:count])) for one, right in zip(ranked, wanted, strict=True)
        )
        found[f"recall@{count}"] = round(100 * hits / len(wanted), 1)
    return found


def index_of(folder: Path, texts: list[str], embedder: str | None) -> Path:
    """Index texts as rows of JSONL; the row of a passage is its line - 1."""
    from triptych.inference.loading import load
    from triptych.inference.retrieval.sources import Source
    from triptych.inference.retrieval.updating import update
    from triptych.inference.search_index import as_embedder

    table = folder / "texts.jsonl"
    table.write_text(
        "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    )
    loaded = None if embedder is None else (embedder, as_embedder(load(embedder)))
    update(Source(table, longest=4000), folder / "index", loaded)
    return folder / "index"


def rows_of(found: list[Any]) -> list[int]:
    return list(dict.fromkeys(one.line - 1 for one in found))


def search(options: argparse.Namespace) -> dict[str, Any]:
    from triptych.inference.loading import load
    from triptych.inference.retrieval.index import Index

    if options.set == "medquad":
        texts, pairs = medquad(options.questions)
        questions, wanted = [one for one, _ in pairs], [right for _, right in pairs]
    else:
        asked = xquad(options.language)
        texts = list(dict.fromkeys(one.passage for one in asked))
        places = {text: place for place, text in enumerate(texts)}
        questions, wanted = (
            [one.question for one in asked],
            [{places[one.passage]} for one in asked],
        )
    found: dict[str, Any] = {"texts": len(texts), "questions": len(questions)}
    with tempfile.TemporaryDirectory() as folder:
        path = index_of(Path(folder), texts, options.embedder)
        ways = {"BM25": Index.open(path, words_only=True)}
        if options.embedder:
            ways["BM25 and vectors"] = Index.open(path)
        if options.reranker:
            last = list(ways.values())[-1]
            ways["and pairs"] = Index(last.contents, path, last.embedder, load(options.reranker))
        for name, index in ways.items():
            found[name] = timed(lambda one, index=index: rows_of(index.search(one, 20)), questions)
            found[name] |= recalls(found[name].pop("ranked"), wanted)
    for name, ranker in others(texts, options.txtai).items():
        found[name] = timed(ranker, questions)
        found[name] |= recalls(found[name].pop("ranked"), wanted)
    return found


def timed(ranker: Callable[[str], list[int]], questions: list[str]) -> dict[str, Any]:
    began = time.perf_counter()
    ranked = [ranker(one) for one in questions]
    each = (time.perf_counter() - began) / len(questions)
    return {"ranked": ranked, "ms a question": round(1000 * each, 2)}


def others(texts: list[str], folder: str | None) -> dict[str, Callable[[str], list[int]]]:
    """Return the searchers of other libraries, where they are installed."""
    found: dict[str, Callable[[str], list[int]]] = {}
    try:
        import bm25s  # pyright: ignore[reportMissingImports]
    except ImportError:
        return found
    from triptych.inference.search_index import terms

    def ranker(cut: Callable[[list[str]], Any]) -> Callable[[str], list[int]]:
        model = bm25s.BM25(k1=1.2, b=0.75)
        model.index(cut(texts), show_progress=False)

        def ranked(question: str) -> list[int]:
            asked = cut([question])
            return model.retrieve(asked, k=min(5, len(texts)), show_progress=False)[0][0].tolist()

        return ranked

    found["bm25s, its words"] = ranker(
        lambda several: bm25s.tokenize(several, show_progress=False, return_ids=False)
    )
    found["bm25s, our words"] = ranker(lambda several: [terms(one) for one in several])
    if folder is not None:
        from txtai import Embeddings  # pyright: ignore[reportMissingImports]

        for name, settings in {
            "txtai, words": {"keyword": True},
            "txtai, words and vectors": {"hybrid": True, "path": folder},
        }.items():
            made = Embeddings(settings)
            made.index(texts)
            found[name] = lambda one, made=made: [place for place, _ in made.search(one, 5)]
    return found


def answers(options: argparse.Namespace) -> dict[str, Any]:
    from triptych.inference.loading import load
    from triptych.inference.retrieval.index import Index
    from triptych.metrics.answers import exact_match, f1

    everything, asked = xquad(options.language), xquad(options.language, options.fold)
    asked = asked[: options.questions]
    texts = list(dict.fromkeys(one.passage for one in everything))
    reader, found = load(options.reader), {"questions": len(asked), "top": options.top}
    gone = {one.passage for one in asked}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
        whole = Index.open(index_of(Path(folder), texts, options.embedder))
        rest = [text for text in texts if text not in gone]
        lacking = Index.open(index_of(Path(other), rest, options.embedder))
        given = [whole.answer(reader, one.question, options.top, least=0) for one in asked]
        absent = [lacking.answer(reader, one.question, options.top, least=0) for one in asked]
    references = [[text for text, _ in one.answers] for one in asked]
    languages = [one.source_language for one in asked]
    texts_given = [one.answer for one in given]
    found["exact_match"] = round(exact_match(texts_given, references, languages).value, 2)
    found["f1"] = round(f1(texts_given, references, languages).value, 2)
    stand = [
        any(one.answer.casefold() in each.text.casefold() for each in one.citations)
        for one in given
        if one.answer
    ]
    found["answers that stand in their citation, %"] = round(100 * sum(stand) / len(stand), 1)
    found["thresholds"] = thresholds(given, absent)
    return found


def thresholds(given: list[Any], absent: list[Any]) -> dict[str, dict[str, float]]:
    """Return for some least scores which answers are given, and which absences are told."""
    found = {}
    for least in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7):
        kept = sum(one.score >= least for one in given) / len(given)
        told = sum(one.score < least for one in absent) / len(absent)
        found[str(least)] = {
            "answered, %": round(100 * kept, 1),
            "absence told, %": round(100 * told, 1),
            "balanced, %": round(50 * (kept + told), 1),
        }
    return found


def scale(options: argparse.Namespace) -> dict[str, Any]:
    from triptych.data.formats.lines import decode_text, read_bytes
    from triptych.inference.retrieval.index import Index
    from triptych.inference.search_index import passages_of, terms

    passages: list[str] = []
    for name in options.files:
        text = decode_text(read_bytes(name, 1 << 30), name)
        passages += [one.text for one in passages_of(name, text, options.longest)]
    if len(passages) < options.passages:
        raise SystemExit(f"{len(passages):,} passages; name more files.")
    step = len(passages) / options.passages
    passages = [passages[int(number * step)] for number in range(options.passages)]
    chosen = passages[:: max(1, len(passages) // options.questions)][: options.questions]
    questions = [" ".join(one.split()[:12])[:60] for one in chosen]
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        path = index_of(Path(folder), passages, None)
        found: dict[str, Any] = {"passages": len(passages), "CPU s to index": since(began)}
        files = sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        found["MB on the disk"] = round(files / 1e6, 1)
        rivals = {"ours": lambda: Index.open(path)}
        try:
            import bm25s  # pyright: ignore[reportMissingImports]

            model = bm25s.BM25(k1=1.2, b=0.75)
            began = time.process_time()
            model.index([terms(one) for one in passages], show_progress=False)
            model.save(f"{folder}/bm25s")
            found["bm25s: CPU s to index"] = since(began)
            size = sum(one.stat().st_size for one in Path(folder, "bm25s").iterdir())
            found["bm25s: MB on the disk, without texts"] = round(size / 1e6, 1)
            rivals["bm25s"] = lambda: bm25s.BM25.load(f"{folder}/bm25s", mmap=True)
        except ImportError:
            pass
        ways: dict[str, Callable[[Any, str], Any]] = {
            "ours": lambda held, one: held.search(one, 5),
            "bm25s": lambda held, one: held.retrieve([terms(one)], k=5, show_progress=False),
        }
        opened: dict[str, list[float]] = {name: [] for name in rivals}
        asked: dict[str, list[float]] = {name: [] for name in rivals}
        for _ in range(5):
            for name, opening in rivals.items():
                began = time.process_time()
                held = opening()
                ways[name](held, questions[0])
                opened[name].append(time.process_time() - began)
                for one in questions:
                    began = time.process_time()
                    ways[name](held, one)
                    asked[name].append(time.process_time() - began)
        for name in rivals:
            found[f"{name}: CPU ms to open and search once"] = ms(opened[name])
            found[f"{name}: CPU ms a question, median and p95"] = [
                ms(asked[name]),
                round(1000 * sorted(asked[name])[int(0.95 * len(asked[name]))], 2),
            ]
    return found


def since(began: float) -> float:
    return round(time.process_time() - began, 1)


def ms(seconds: list[float]) -> float:
    return round(1000 * statistics.median(seconds), 2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ways = parser.add_subparsers(required=True)
    for name, way in {"search": search, "answers": answers, "scale": scale}.items():
        one = ways.add_parser(name)
        one.set_defaults(way=way)
        one.add_argument("--embedder")
        one.add_argument("--language", default="en", choices=("en", "de", "zh"))
        one.add_argument("--questions", type=int, default=50 if name == "scale" else 2000)
        if name == "search":
            one.add_argument("--set", default="xquad", choices=("xquad", "medquad"))
            one.add_argument("--reranker")
            one.add_argument("--txtai")
        elif name == "answers":
            one.add_argument("--reader", required=True)
            one.add_argument("--fold", type=int, required=True)
            one.add_argument("--top", type=int, default=5)
        else:
            one.add_argument("files", nargs="+")
            one.add_argument("--passages", type=int, default=100_000)
            one.add_argument("--longest", type=int, default=500)
    options = parser.parse_args()
    print(json.dumps(options.way(options), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
