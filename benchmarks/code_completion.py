"""How well a run that writes knows code it has not seen: bits per byte beside gzip's and xz's,
lines completed, functions written.

    python benchmarks/code_completion.py RUN [--split test] [--lines 500] [--functions 200] [--seed
    1] [--json FILE]

Lines: given a file up to a line that is drawn by chance and its indentation, the rest of that line
has to be written, greedily; it counts where it is the same character for character, spaces at its
end aside. Filled in: the lines after it are given too, for a run that was trained for it. Bits per
byte: windows of the run's context that do not overlap, ends of texts counted; compressed sizes are
of the same bytes, every module by itself, all one after the other, and (xz) after the run's
training part in one stream.

Functions: given a file up to the end of a function's docstring, its body has to be written,
greedily, until a line is indented less. Counted are the bodies that come to their end, those that
are Python with the signature before them, and those whose syntax tree is that of the body in the
file. The bodies stand in FILE.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import lzma
import platform
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from triptych.data.example import Example
from triptych.data.load import load_split
from triptych.data.sets.code import module_of
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor
from triptych.recipe.schema import Recipe
from triptych.tasks.fill_in import SENTINELS

NEW_TOKENS = 64  # of a line
BODY_TOKENS = 192  # of a function's body
# characters a token at most, of what stands around a line: more does not fit the context anyway
REACH = 12


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
        found["xz -9, after the training part"] = (
            8 * (xz9(before + whole) - xz9(before)) / len(whole)
        )
    return found


def _bytes(examples: Any) -> bytes:
    return b"".join((example.text or "").encode() for example in examples)


def cut_lines(held: Sequence[Example], count: int, seed: int) -> list[tuple[str, str, str]]:
    """(all before a line's first word, its rest, all after it with the line end) of lines that are
    not empty, drawn by chance.
    """
    places = [
        (number, line)
        for number, example in enumerate(held)
        for line, text in enumerate((example.text or "").split("\n"))
        if text.strip()
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
        {"text": before[-reach:], **({"suffix": after[:reach]} if filled_in else {})}
        for before, _, after in cut
    ]
    written = predictor.predict(
        asked, beams=1, temperature=0.0, max_length=NEW_TOKENS, stop=["\n"], stop_at_dedent=False
    )
    right = sum(
        one.text.rstrip() == line.rstrip() for one, (_, line, _) in zip(written, cut, strict=True)
    )
    return 100.0 * right / max(1, len(cut))


class Function(NamedTuple):
    """A function with a docstring, cut after it."""

    # the file up to the body's first line that is not empty, and that line's indentation
    before: str
    signature: str  # from `def` to the end of the docstring and the indentation after it
    body: str  # the rest of the function, from the indentation on

    def tree(self, body: str) -> str | None:
        """The syntax tree of the function with this body; None where that is no Python."""
        try:
            return ast.dump(
                ast.parse(
                    ("if True:\n" if self.signature[:1].isspace() else "") + self.signature + body
                )
            )
        except (SyntaxError, ValueError):
            return None


def cut_functions(held: Sequence[Example], count: int, seed: int) -> list[Function]:
    """Functions and methods whose docstring stands on lines of its own and is not all they have,
    drawn by chance.
    """
    found = []
    for example in held:
        try:
            tree = ast.parse(example.text or "")
        except (SyntaxError, ValueError):  # a file of another Python, or a piece of one
            continue
        lines = (example.text or "").split("\n")
        for node in ast.walk(tree):
            if (
                not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                or ast.get_docstring(node) is None
                or len(node.body) < 2
            ):
                continue
            said = node.body[0]
            first, end = node.lineno - 1, said.end_lineno or said.lineno
            while end < node.body[1].lineno - 1 and not lines[end].strip():
                end += 1
            indentation = lines[said.lineno - 1][: said.col_offset]
            rest = "\n".join(lines[end : node.end_lineno])
            if (
                indentation.strip()
                or node.body[1].lineno <= end
                or not rest.startswith(indentation)
            ):
                continue
            before = "".join(f"{one}\n" for one in lines[:end]) + indentation
            found.append(
                Function(
                    before,
                    "".join(f"{one}\n" for one in lines[first:end]) + indentation,
                    rest[len(indentation) :],
                )
            )
    chosen = (
        np.random.default_rng(seed).choice(len(found), min(count, len(found)), replace=False)
        if found
        else np.zeros(0, int)
    )
    return [found[one] for one in sorted(chosen.tolist())]


def write_functions(predictor: Predictor, cut: Sequence[Function]) -> dict[str, Any]:
    """Percentages of bodies that end, that are Python, that are as they were; and the bodies."""
    reach = REACH * int(predictor.task.options["context"])
    asked = [{"text": one.before[-reach:]} for one in cut]
    written = predictor.predict(
        asked, beams=1, temperature=0.0, max_length=BODY_TOKENS, stop_at_dedent=True
    )
    trees = [
        (one.tree(answer.text), one.tree(one.body))
        for one, answer in zip(cut, written, strict=True)
    ]
    counted = {
        "come to their end": sum(not answer.cut for answer in written),
        "Python": sum(tree is not None for tree, _ in trees),
        "as in the file": sum(tree is not None and tree == wanted for tree, wanted in trees),
    }
    shares = {name: 100.0 * count / max(1, len(cut)) for name, count in counted.items()}
    return {
        "count": len(cut),
        **shares,
        "bodies": [one.signature + answer.text for one, answer in zip(cut, written, strict=True)],
    }


def measure(
    predictor: Predictor,
    held: Sequence[Example],
    train: Sequence[Example],
    lines: int,
    functions: int,
    seed: int,
) -> dict[str, Any]:
    """Everything, by name."""
    began = time.monotonic()
    tokens = sum(len(predictor.tokenizers.target.encode(example.text or "")) for example in held)
    size = sum(example.bytes for example in held)
    scores = predictor.evaluate(held).scores.values
    cut = cut_lines(held, lines, seed)
    found: dict[str, Any] = {
        "modules": len({module_of(example.place) for example in held}),
        "files": len(held),
        "bytes": size,
        "bytes_per_token": size / max(1, tokens),
        "bits_per_byte": {"the run": scores["bits_per_byte"], **compressed(held, train)},
        "lines": len(cut),
        "seed": seed,
        "exact_match": {"what follows": exact(predictor, cut, False)},
    }
    if all(name in predictor.tokenizers.target.tags for name in SENTINELS):
        found["exact_match"]["filled in"] = exact(predictor, cut, True)
    found["functions"] = write_functions(predictor, cut_functions(held, functions, seed))
    return {**found, "seconds": round(time.monotonic() - began, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("run")
    parser.add_argument("--split", choices=["test", "validation"], default="test")
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--functions", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    predictor = load(given.run)
    if predictor.task.name != "language-modelling":
        parser.error(
            f"{given.run} is a run for {predictor.task.name}; this measures runs that write text"
        )
    data = Recipe.load(given.run).data
    held, train = (load_split(data, part, print, ("text",)) for part in (given.split, "train"))
    if not held:
        parser.error(f"{given.run} has no {given.split} part")
    details = {"run": given.run, "split": given.split, "python": platform.python_version()}
    found = {**details, **measure(predictor, held, train, given.lines, given.functions, given.seed)}
    print(
        f"{found['modules']} modules, {found['files']} files, {found['bytes']:,} bytes, "
        f"{found['bytes_per_token']:.2f} bytes a token"
    )
    for name, value in found["bits_per_byte"].items():
        print(f"{name:34}{value:8.3f} bits a byte")
    for name, value in found["exact_match"].items():
        print(f"{name:34}{value:8.1f} % of {found['lines']} lines exactly")
    for name in ("come to their end", "Python", "as in the file"):
        print(
            f"{'functions: ' + name:34}{found['functions'][name]:8.1f} % of "
            f"{found['functions']['count']} bodies"
        )
    if given.json is not None:
        given.json.write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")
    del found["functions"]["bodies"]
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
