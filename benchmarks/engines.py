"""Other runtimes beside Triptych: the same answers? and how fast?

    python benchmarks/engines.py --translator RUN --classifier RUN --writer RUN [--lines 500]
        [--pairs 3] [--tokens 32] [--json FILE]

Each run answers examples of its test split (a writer: --prompts FILE, a prompt in each line, or its
validation texts) by Triptych and by its engine, in turn (A B A B ...), in one process.

same: of so many examples, how many have the same text (of a writer: the same --tokens tokens)
largest: the largest difference of a label's logit, for a classifier
sentences/s: of Triptych and of the engine; the ratio is the median of the pairs
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.data.load import evenly_spaced, load_split
from triptych.decoding.settings import DecodingSettings
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor
from triptych.model.heads.tokens import output_of
from triptych.recipe.schema import Recipe
from triptych.setup.runtimes import use_runtime

KINDS = {"translator": "ctranslate2", "classifier": "onnxruntime", "writer": "llama.cpp"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in KINDS:
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name, engine in KINDS.items():
        if (path := getattr(given, name)) is not None:
            rows += measured(path, engine, name, given)
    print(table(rows))
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


def measured(path: Path, engine: str, name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each way of decoding."""
    predictor = load(path)
    use_runtime(predictor, engine, say)
    held = predictor.engine
    if held is None:
        raise SystemExit(f"{path} is not answered by {engine}.")
    examples = of_run(predictor, name, given)
    ways: dict[str, dict[str, Any]] = {"": {}}
    if name == "translator":
        ways = {"greedy": {"beams": 1}, "5 beams": {"beams": 5}}
    elif name == "writer":
        ways = {f"greedy, {given.tokens} tokens": {"max_length": given.tokens, "beams": 1}}
    rows: list[dict[str, Any]] = []
    for way, changes in ways.items():
        settings = predictor.settings(**changes)
        found = in_turn(predictor, held, examples, settings, given.pairs)
        row = {"run": f"{path.name} ({name})", "engine": engine, "way": way, **found}
        if name == "classifier":
            row["largest"] = largest_difference(predictor, held, examples, settings)
        print(json.dumps(row), file=sys.stderr)
        rows.append(row)
    return rows


def of_run(predictor: Predictor, name: str, given: argparse.Namespace) -> Sequence[Example]:
    """Return the examples to answer."""
    if name == "writer" and given.prompts is not None:
        lines = given.prompts.read_text(encoding="utf-8").splitlines()
        return [predictor.example(line, f"prompt {place}") for place, line in enumerate(lines, 1)]
    assert predictor.run is not None, "a loaded run has a folder"
    data, needs = Recipe.load(predictor.run.path, {}).data, predictor.task.needs
    split = "validation" if name == "writer" else "test"
    return evenly_spaced(load_split(data, split, say, needs), given.lines)


def in_turn(
    predictor: Predictor,
    engine: Any,
    examples: Sequence[Example],
    settings: DecodingSettings,
    pairs: int,
) -> dict[str, Any]:
    """Answer by both, in turn; the first pair warms up and is not timed."""
    texts: list[list[str]] = [[], []]
    seconds: list[list[float]] = [[], []]
    for _ in range(pairs + 1):
        for side, one in enumerate((None, engine)):
            predictor.engine = one
            began = time.perf_counter()
            texts[side] = [answer.text for answer in predictor.answer(examples, settings)]
            seconds[side].append(time.perf_counter() - began)
    native, other = (len(examples) / statistics.median(each[1:]) for each in seconds)
    ratios = [one / two for one, two in zip(seconds[0][1:], seconds[1][1:], strict=True)]
    return {
        "examples": len(examples),
        "same": sum(one == two for one, two in zip(*texts, strict=True)),
        "native": native,
        "there": other,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def largest_difference(
    predictor: Predictor, engine: Any, examples: Sequence[Example], settings: DecodingSettings
) -> float:
    """Return the largest difference of a logit."""
    import torch

    encoded = [one for example in examples for one in predictor.encode(example)[0]]
    worst = 0.0
    for start in range(0, len(encoded), 32):
        inputs = collate(encoded[start : start + 32]).inputs
        with torch.no_grad():
            ours = output_of(predictor.model, predictor.head, inputs).logits
            theirs = output_of(engine.run, engine.head, inputs).logits
        worst = max(worst, float((ours - theirs).abs().max()))
    return worst


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [
        "| run | engine | decoding | same | largest | Triptych, sentences/s | there | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = f"{row['same']:,} of {row['examples']:,}"
        largest = f"{row['largest']:.1e}" if "largest" in row else "–"
        spread = f"{row['ratio']:.2f} ({min(row['ratios']):.2f}–{max(row['ratios']):.2f})"
        lines.append(
            f"| {row['run']} | {row['engine']} | {row['way'] or '–'} | {share} | {largest} "
            f"| {row['native']:.1f} | {row['there']:.1f} | {spread} |"
        )
    return "\n".join(lines)


def say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
