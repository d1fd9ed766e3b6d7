"""What a pretrained start brings: the same encoder fine-tuned from a run of masked words, and
trained from nothing, on several sets.

    triptych train masked-words-en python benchmarks/transfer.py runs/masked-words-en --out FOLDER
    [--sets banking77 wnut17 ...] [--seeds 3] [--threads 1]
    python benchmarks/transfer.py runs/masked-words-en-distilled --out FOLDER2 --only start    # a
    student's fine-tuning, for its teacher's

Both sides have the shape and the dropout of START (0.1; a recipe's own, up to 0.3, goes with its
smaller model), the same task options, batches and number of updates; each its own learning rates:
the first seed tries those of RATES, and the best on the development part is kept for the other
seeds. From nothing a tokenizer is learnt from the set itself, and where the recipe says so words
are cut anew in every epoch (batches.bpe_dropout), which a tokenizer that is given rules out.
Whatever a recipe adds beside the Transformer's states (its words, pairs of words) is left out on
both sides. The weights are those of the best of ten development scores; the test part is read by
what was chosen, once for each seed. Runs are kept in FOLDER, a second call goes on with what is
missing; prints one line a set: both means and their spreads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

SETS = {  # recipe -> updates, what the score is called
    "wnut17": (800, "f1"),
    "stsb": (300, "pearson"),
    "sms-spam": (150, "f1"),
    "uner-english-ewt": (700, "f1"),
    "banking77": (300, "accuracy"),
}
# of recipes for classification
BARE = {"task.shortcut": False, "task.bigrams": 0, "task.r_drop": 0.0}
RATES = {  # of all weights; of the head, times that
    "scratch": [(1e-3, 1.0), (2e-3, 1.0)],
    "start": [(3e-4, 10.0), (1e-3, 1.0)],
}
SHAPE = ("layers", "width", "heads", "inner_width")


def overrides(
    name: str, side: str, start: Path, seed: int, rates: tuple[float, float]
) -> list[str]:
    """What is changed of the recipe `name`, as arguments."""
    from triptych.recipe.schema import Recipe

    recipe = Recipe.load(name)
    changes: dict[str, object] = {"training.seed": seed, "training.steps": SETS[name][0]}
    changes |= {"validation.every_steps": SETS[name][0] // 10, "validation.every_minutes": 1e4}
    changes |= dict(zip(("training.learning_rate", "training.head_rate"), rates, strict=True))
    if recipe.task["name"] == "classification":
        changes |= BARE
    if side == "start":
        changes |= {"model.start": start.resolve(), "batches.bpe_dropout": 0.0}
    else:
        config = json.loads((start / "config.json").read_text())["model"]
        changes |= {f"model.encoder.{dial}": config["encoder"][dial] for dial in SHAPE}
        changes |= {
            "model.preset": "encoder-small",
            "tokenizer.vocabulary_size": config["vocabulary_size"],
        }
    return [
        part
        for key, value in changes.items()
        for part in (f"--{key}", str(value).lower() if isinstance(value, bool) else str(value))
    ]


def train(
    name: str, side: str, seed: int, rates: tuple[float, float], options: argparse.Namespace
) -> tuple[float, Path]:
    """Train, or go on, or find it done: the best development score, and the run."""
    folder = options.out / f"{name}-{side}-{seed}-{rates[0]:g}-{rates[1]:g}"
    found = folder.with_name(folder.name + ".validation.json")
    if not found.exists():
        begun = any(folder.glob("checkpoints/step-*/COMPLETE"))
        start = (
            [str(folder), "--resume"]
            if begun
            else [name, "--out", str(folder), *overrides(name, side, options.start, seed, rates)]
        )
        with folder.with_name(folder.name + ".log").open("ab") as log:
            triptych(["train", *start], options, stdout=log, stderr=log)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        found.write_text(
            json.dumps(
                max(line[SETS[name][1]] for line in lines if line.get("split") == "validation")
            )
        )
    return json.loads(found.read_text()), folder


def score(folder: Path, name: str, options: argparse.Namespace) -> float:
    """The test part, read once."""
    found = folder.with_name(folder.name + ".test.json")
    if not found.exists():
        answer = triptych(
            ["evaluate", str(folder), "--json"], options, stdout=subprocess.PIPE
        ).stdout
        found.write_bytes(answer.strip().split(b"\n")[-1])
    return json.loads(found.read_text())["metrics"][SETS[name][1]]


def triptych(
    arguments: list[str], options: argparse.Namespace, **streams: Any
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    return subprocess.run(
        [sys.executable, "-m", "triptych", *arguments], env=environment, check=True, **streams
    )


def side_of(name: str, side: str, options: argparse.Namespace) -> tuple[list[float], str]:
    """The scores of all seeds, and which rates they had."""
    tried = [(train(name, side, 1, rates, options), rates) for rates in RATES[side]]
    (_, first), rates = max(tried, key=lambda one: one[0][0])
    folders = [
        first,
        *(train(name, side, seed, rates, options)[1] for seed in range(2, options.seeds + 1)),
    ]
    development = ", ".join(f"{found:.2f} at {of[0]:g} x {of[1]:g}" for (found, _), of in tried)
    return [score(folder, name, options) for folder in folders], f"development {development}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("start", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=list(RATES), help="one side alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        sides = {
            side: side_of(name, side, options)
            for side in ([options.only] if options.only else RATES)
        }
        spread = max(max(found) - min(found) for found, _ in sides.values())
        told = "; ".join(
            (
                f"{side} {statistics.mean(found):.2f} ({' '.join(f'{one:.2f}' for one in found)}; "
                f"{rates})"
            )
            for side, (found, rates) in sides.items()
        )
        gain = (
            ""
            if options.only
            else (
                " "
                f"{statistics.mean(sides['start'][0]) - statistics.mean(sides['scratch'][0]):+.2f},"
            )
        )
        print(
            f"{name}, {SETS[name][0]} updates, {SETS[name][1]}: {told};{gain} largest spread of "
            f"seeds {spread:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
