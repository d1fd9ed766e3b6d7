"""How well a run that writes knows code it has not seen: bits per byte beside gzip's and xz's, and lines completed exactly.

    python benchmarks/code_completion.py RUN [--split test] [--lines 500] [--seed 1] [--json FILE]

Lines: given a file up to a line that is drawn by chance and its indentation, the rest of that line has to be written, greedily; it
counts where it is the same character for character, spaces at its end aside. Filled in: the lines after it are given too, for a run
that was trained for it. Bits per byte: windows of the run's context that do not overlap, ends of texts counted; compressed sizes are
of the same bytes, every module by itself, all one after the other, and (xz) after the run's training part in one stream.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import platform
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.example import Example
from triptych.data.parts import read_part
from triptych.data.sets_code import module_of
from triptych.inference.predictor import Predictor, load
from triptych.recipe import Recipe
from triptych.tasks.fill_in import SENTINELS

NEW_TOKENS = 64  # of a line
REACH = 12  # characters a token at most, of what stands around a line: more does not fit the context anyway


def gzip9(content: bytes) -> int:
    return len(gzip.compress(content, 9, mtime=0))


def xz9(content: bytes) -> int:
    return len(lzma.compress(content, preset=9))


def compressed(held: Sequence[Example], train: Sequence[Example]) -> dict[str, float]:
    """Bits per byte of what gzip -9 and xz -9 make of the held-out texts."""
    modules = [_bytes(group) for _, group in groupby(held, key=lambda one: module_of(one.place))]
    whole, before = _bytes(held), _bytes(train)
    found = {}
    compressors: dict[str, Callable[[bytes], int]] = {"gzip -9": gzip9, "xz -9": xz9}
    for name, size in compressors.items():
        found[f"{name}, each module alone"] = 8 * sum(map(size, modules)) / len(whole)
        found[f"{name}, one stream"] = 8 * size(whole) / len(whole)
    if before:
        found["xz -9, after the training part"] = 8 * (xz9(before + whole) - xz9(before)) / len(whole)
    return found


def _bytes(examples: Any) -> bytes:
    return b"".join((example.text or "").encode() for example in examples)


def cut_lines(held: Sequence[Example], count: int, seed: int) -> list[tuple[str, str, str]]:
    """(all before a line's first word, its rest, all after it with the line end) of lines that are not empty, drawn by chance."""
    places = [
        (number, line) for number, example in enumerate(held) for line, text in enumerate((example.text or "").split("\n")) if text.strip()
    ]
    chosen = np.random.default_rng(seed).choice(len(places), min(count, len(places)), replace=False)
    found = []
    for number, place in sorted(places[one] for one in chosen.tolist()):
        lines = (held[number].text or "").split("\n")
        line = lines[place]
        indentation = len(line) - len(line.lstrip())
        before = "".join(f"{one}\n" for one in lines[:place]) + line[:indentation]
        after = "\n".join(["", *lines[place + 1 :]])
        found.append((before, line[indentation:], after))
    return found


def exact(predictor: Predictor, cut: Sequence[tuple[str, str, str]], filled_in: bool) -> float:
    """Percentage of lines that are written as they were."""
    reach = REACH * int(predictor.task.options["context"])
    asked: list[dict[str, str]] = [
        {"text": before[-reach:], **({"suffix": after[:reach]} if filled_in else {})} for before, _, after in cut
    ]
    written = predictor.predict(asked, beams=1, temperature=0.0, max_length=NEW_TOKENS, stop=["\n"], stop_at_dedent=False)
    right = sum(one.text.rstrip() == line.rstrip() for one, (_, line, _) in zip(written, cut, strict=True))
    return 100.0 * right / max(1, len(cut))


def measure(predictor: Predictor, held: Sequence[Example], train: Sequence[Example], lines: int, seed: int) -> dict[str, Any]:
    """Everything, by name."""
    began = time.monotonic()
    tokens = sum(len(predictor.tokenizers.target.encode(example.text or "")) for example in held)
    size = sum(example.bytes for example in held)
    scores = predictor.evaluate(held).scores.values
    cut = cut_lines(held, lines, seed)
    found: dict[str, Any] = {
        "modules": len({module_of(example.place) for example in held}), "files": len(held), "bytes": size,
        "bytes_per_token": size / max(1, tokens),
        "bits_per_byte": {"the run": scores["bits_per_byte"], **compressed(held, train)},
        "lines": len(cut), "seed": seed, "exact_match": {"what follows": exact(predictor, cut, False)},
    }  # fmt: skip
    if all(name in predictor.tokenizers.target.tags for name in SENTINELS):
        found["exact_match"]["filled in"] = exact(predictor, cut, True)
    return {**found, "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("run")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    predictor = load(given.run)
    if predictor.task.name != "language-modelling":
        parser.error(f"{given.run} is a run for {predictor.task.name}; this measures runs that write text")
    data = Recipe.load(given.run).data
    held, train = (read_part(data, part, print, ("text",)) for part in (given.split, "train"))
    if not held:
        parser.error(f"{given.run} has no {given.split} part")
    about = {"run": given.run, "split": given.split, "python": platform.python_version()}
    found = {**about, **measure(predictor, held, train, given.lines, given.seed)}
    print(f"{found['modules']} modules, {found['files']} files, {found['bytes']:,} bytes, {found['bytes_per_token']:.2f} bytes a token")
    for name, value in found["bits_per_byte"].items():
        print(f"{name:34}{value:8.3f} bits a byte")
    for name, value in found["exact_match"].items():
        print(f"{name:34}{value:8.1f} % of {found['lines']} lines exactly")
    line = json.dumps(found, ensure_ascii=False)
    print(line)
    if given.json is not None:
        given.json.write_text(line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
