"""What a pretrained start brings: the same encoder fine-tuned from a run of masked words, and trained from nothing, on several sets.

    triptych train masked-words-en
    python benchmarks/transfer.py runs/masked-words-en --out FOLDER [--sets banking77 wnut17 ...] [--seeds 3] [--threads 1]
    python benchmarks/transfer.py runs/masked-words-en-distilled --out FOLDER2 --only start    # a student's fine-tuning, for its teacher's

Both sides have the shape and the dropout of START (0.1; a recipe's own, up to 0.3, goes with its smaller model), the same task options,
batches and number of updates; each its own learning rates, chosen once on development data (RATES). From nothing a tokenizer is learnt
from the set itself, and where the recipe says so words are cut anew in every epoch (batches.bpe_dropout), which a tokenizer that is
given rules out. Whatever a recipe adds beside the Transformer's states (its words, pairs of words) is left out on both sides. The weights
are those of the best development score; the test part is read once by each run. Runs are kept in FOLDER, a second call goes on with
what is missing; prints one line a set: both means and their spreads.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

SETS = {  # recipe -> updates, what the score is called
    "banking77": (500, "accuracy"), "wnut17": (800, "f1"), "stsb": (300, "pearson"), "sms-spam": (150, "f1"),
    "uner-english-ewt": (1500, "f1"),
}  # fmt: skip
BARE = {"task.shortcut": False, "task.bigrams": 0, "task.r_drop": 0.0}  # of recipes for classification
RATES = {  # of all weights; of the head, times that
    "scratch": (1e-3, 1.0),
    "start": (3e-4, 1.0),
}
SHAPE = ("layers", "width", "heads", "inner_width")


def overrides(name: str, side: str, start: Path, seed: int) -> list[str]:
    """What is changed of the recipe `name`, as arguments."""
    from triptych.recipe import Recipe

    recipe = Recipe.load(name)
    changes: dict[str, object] = {"training.seed": seed, "training.steps": SETS[name][0]}
    changes |= dict(zip(("training.learning_rate", "training.head_rate"), RATES[side], strict=True))
    if recipe.task["name"] == "classification":
        changes |= BARE
    if side == "start":
        changes |= {"model.start": start.resolve(), "batches.bpe_dropout": 0.0}
    else:
        about = json.loads((start / "config.json").read_text())["model"]
        changes |= {f"model.encoder.{dial}": about["encoder"][dial] for dial in SHAPE}
        changes |= {"model.preset": "encoder-small", "tokenizer.vocabulary_size": about["vocabulary_size"]}
    return [part for key, value in changes.items() for part in (f"--{key}", str(value).lower() if isinstance(value, bool) else str(value))]


def score(name: str, side: str, seed: int, options: argparse.Namespace) -> float:
    """Train (or go on, or find it done) and read the test part once."""
    folder = options.out / f"{name}-{side}-{seed}"
    found = folder.with_suffix(".json")
    if not found.exists():
        environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
        triptych = [sys.executable, "-m", "triptych"]
        begun = any(folder.glob("checkpoints/step-*/COMPLETE"))
        command = [str(folder), "--resume"] if begun else [name, "--out", str(folder), *overrides(name, side, options.start, seed)]
        with folder.with_suffix(".log").open("ab") as log:
            subprocess.run([*triptych, "train", *command], env=environment, stdout=log, stderr=log, check=True)
        answer = subprocess.run([*triptych, "evaluate", str(folder), "--json"], env=environment, stdout=subprocess.PIPE, check=True)
        found.write_bytes(answer.stdout.strip().split(b"\n")[-1])
    return json.loads(found.read_text())["metrics"][SETS[name][1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=list(RATES), help="one side alone")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        scores = {side: [score(name, side, seed, options) for seed in range(1, options.seeds + 1)]
                  for side in ([options.only] if options.only else RATES)}  # fmt: skip
        spread = max(max(found) - min(found) for found in scores.values())
        told = ", ".join(
            f"{side} {statistics.mean(found):.2f} ({' '.join(f'{one:.2f}' for one in found)})" for side, found in scores.items()
        )
        gain = "" if options.only else f" {statistics.mean(scores['start']) - statistics.mean(scores['scratch']):+.2f},"
        print(f"{name}, {SETS[name][0]} updates, {SETS[name][1]}: {told};{gain} largest spread of seeds {spread:.2f}", flush=True)


if __name__ == "__main__":
    main()
