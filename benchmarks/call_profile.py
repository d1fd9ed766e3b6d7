"""Measure how deep and how wide the calls of one forward and of one decoding step are.

    PYTHONPATH=SRC python benchmarks/call_profile.py [--package triptych]

The models are toys of two layers that are trained for one step through the public names and loaded
again: the packaged recipe phrasebook (encoder-decoder) and language modelling of four sentences
(decoder-only). Prints one JSON object, the package's folder and four measurements:

- a forward in training mode with dropout and gradients, of each toy, on two packed rows;
- one decoding step on two rows of each toy, the third after `start`, in inference mode.

Each is called once before it is measured, so that imports and tables that are made once do not
count. Counted are Python calls of code in the package's folder (`sys.setprofile`): calls of torch,
of the standard library and of C code are looked through, so depth is that of the package's own
frames. Comprehensions and generator expressions belong to the function around them; a lambda is a
function of its own; a generator function counts each time it is resumed. A loaded model has its
weights packed for the CPU, as `triptych.load` leaves it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

INLINE = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
SENTENCES = ("The cat sleeps.", "I drink tea.", "We see the small house.", "She reads a book.")
ONE_STEP: dict[str, Any] = {
    "training.steps": 1,
    "validation.examples": 2,
    "model.layers": 2,
    "model.dropout": 0.1,
}


def profile(call: Callable[[], Any], folder: str) -> tuple[Any, dict[str, Any]]:
    """Run a call and count what it calls inside a folder.

    Returns:
        What the call returns; and depth, functions, files and calls as numbers with the first
        deepest chain as text.
    """
    stack: list[CodeType] = []
    deepest: list[CodeType] = []
    seen: dict[CodeType, int] = {}

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal deepest
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(folder):
            return
        if code.co_name in INLINE:
            return
        if event == "return":
            if stack:
                stack.pop()
            return
        stack.append(code)
        seen[code] = seen.get(code, 0) + 1
        if len(stack) > len(deepest):
            deepest = list(stack)

    sys.setprofile(watch)
    try:
        result = call()
    finally:
        sys.setprofile(None)
    return result, {
        "depth": len(deepest),
        "functions": len(seen),
        "files": len({code.co_filename for code in seen}),
        "calls": sum(seen.values()),
        "deepest chain": " > ".join(map(_name, deepest)),
    }


def _name(code: CodeType) -> str:
    return code.co_qualname.replace("<locals>.", "")


def train_toy(recipe: Any, run: Path, package: Any) -> Any:
    """Train a recipe into a folder and return the loaded model."""
    for _ in package.train(recipe, run):
        pass
    return package.load(run).model


def toys(folder: Path, package: Any) -> tuple[Any, Any]:
    """Return the encoder-decoder toy and the decoder-only toy."""
    overrides = {**ONE_STEP, "data.examples": 100}
    pairs = package.Recipe.load("phrasebook", overrides)
    file = folder / "sentences.txt"
    file.write_text("\n\n".join(SENTENCES * 20) + "\n", encoding="utf-8")
    values: dict[str, Any] = {
        "task": {"name": "language-modelling", "context": 16},
        "data": {"train": [str(file)], "validation": [str(file)], "test": [str(file)]},
        "tokenizer": {"kind": "bytes"},
        "model": {"preset": "decoder-tiny", "layers": 2, "dropout": 0.1},
        "training": {"steps": 1, "precision": "float32"},
    }
    written = package.Recipe.from_values(values)
    return (
        train_toy(pairs, folder / "pairs", package),
        train_toy(written, folder / "written", package),
    )


def measure(package: Any) -> dict[str, dict[str, Any]]:
    """Return the four measurements by name."""
    import torch

    code = f"{os.path.dirname(os.path.abspath(package.__file__))}{os.sep}"
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        both, writer = toys(Path(folder), package)
    ids = torch.arange(10, 24)  # These are two packed rows.
    source = {"source": ids, "source_lengths": torch.tensor([8, 6])}
    target = {"target": ids[:10], "target_lengths": torch.tensor([4, 6])}
    for name, model, inputs, memory_inputs in (
        ("encoder-decoder", both, source | target, source),
        ("decoder-only", writer, target, None),
    ):
        model.train()
        model(**inputs)
        found[f"forward, {name}"] = profile(partial(model, **inputs), code)[1]
        model.eval()
        with torch.inference_mode():
            memory = None if memory_inputs is None else model.encode(memory_inputs)
            state = model.start(memory, 2)
            for step in range(3):
                call = partial(model.step, ids[step : step + 2, None], state)
                (_, state), found[f"decoding step, {name}"] = profile(call, code)
    return found


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--package", default="triptych")
    package = importlib.import_module(parser.parse_args().package)
    folder = os.path.dirname(os.path.abspath(package.__file__ or ""))
    print(json.dumps({"folder": folder, "measured": measure(package)}))


if __name__ == "__main__":
    main()
