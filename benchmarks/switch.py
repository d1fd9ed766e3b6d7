"""Does Switch beat its dense twin at equal work a token? Both curves, loads of experts, step times.

Two language models are trained step by step in turn, with the same batches, seeds and steps: a
dense one, and one whose every second block has `--experts` experts, of which a token uses one. So a
token costs the same products in both, but for the routers. WikiText-2's training part is not to be
had here: its validation part is trained on, and its test part scored (`--set wikitext-2`); other
sets are trained on as they are split.

    python benchmarks/switch.py --work FOLDER [--steps 2000] [--set wikitext-2] [--experts 8]
    python benchmarks/switch.py --work FOLDER --tiny          some steps of two toys, as a check

The JSON holds the curves (training loss without the routers' losses, validation loss in nats a
token), the share of tokens of each expert by step, the dropped share, and the ratio of step times:
the median over pairs of neighbouring steps. `triptych plot FOLDER/dense FOLDER/switch` draws them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PARTS = {"wikitext-2": ("validation", "test")}  # to train on and to score on
WARM_UP = 5  # pairs of steps whose times do not count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="a new folder for both runs")
    parser.add_argument("--set", default="wikitext-2", help="a set of language modelling")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--inner", type=int, default=1024)
    parser.add_argument("--experts", type=int, default=8)
    parser.add_argument("--capacity", type=float, default=1.25, help="factor; 0: no limit")
    parser.add_argument("--jitter", type=float, default=0.01)
    parser.add_argument("--expert-dropout", type=float, default=None)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--balance", type=float, default=0.01)
    parser.add_argument("--router-z", type=float, default=0.001)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--batch-tokens", type=int, default=8192)
    parser.add_argument("--vocabulary", type=int, default=4000)
    parser.add_argument("--validate", type=int, default=60, help="examples; evenly spaced")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true", help="toys, 30 steps")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.tiny:
        small = {"steps": 30, "layers": 2, "width": 32, "heads": 2, "inner": 64, "experts": 4,
                 "context": 64, "batch_tokens": 1024, "vocabulary": 400, "validate": 2}  # fmt: skip
        vars(given).update(small)
    return given


def write_texts(name: str, folder: Path) -> dict[str, str]:
    """Write the texts to train on and to score on as files of lines; return their paths."""
    from triptych.data.load import load_split
    from triptych.data.table import DataTable

    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, str] = {}
    parts = PARTS.get(name, ("train", "validation"))
    for key, part in zip(("train", "validation"), parts, strict=True):
        texts = load_split(DataTable(set=name), part, None, ("text",))
        path = folder / f"{key}.txt"
        path.write_text("\n\n".join(one.text or "" for one in texts) + "\n", encoding="utf-8")
        paths[key] = str(path)
    return paths


def recipe_of(given: argparse.Namespace, texts: dict[str, str], is_sparse: bool) -> Any:
    """Return the recipe of one of the twins."""
    from triptych.recipe.schema import Recipe

    stack: dict[str, Any] = {
        "layers": given.layers,
        "width": given.width,
        "heads": given.heads,
        "inner_width": given.inner,
        "dropout": given.dropout,
    }
    if is_sparse:
        stack |= {
            "by_block": {"experts": [0, given.experts]},
            "expert_capacity_factor": given.capacity or None,
            "expert_jitter": given.jitter,
            "expert_dropout": given.expert_dropout,
        }
    return Recipe.from_values({
        "task": {"name": "language-modelling", "context": given.context},
        "data": texts,
        "tokenizer": {"kind": "bpe", "vocabulary_size": given.vocabulary},
        "model": {"preset": "decoder-small", "decoder": _without_none(stack)},
        "batches": {"batch_tokens": given.batch_tokens},
        "training": {
            "steps": given.steps, "seed": given.seed, "learning_rate": given.rate,
            "schedule": "trapezoid", "warmup_steps": min(100, given.steps // 10), "beta2": 0.99,
            "balance_weight": given.balance, "router_z_weight": given.router_z,
            "log_every_steps": max(1, given.steps // 100), "precision": given.precision,
            "device": given.device, "checkpoint_every_steps": given.steps,
        },
        "validation": {"every_steps": max(10, given.steps // 20), "examples": given.validate},
    })  # fmt: skip


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def steps_of(course: Iterator[Any]) -> Iterator[float]:
    """Yield the seconds of each step; what follows a step is done before the next is timed."""
    while True:
        started = time.perf_counter()
        progress = next(course, None)
        if progress is None:
            return
        if progress.event == "step":
            yield time.perf_counter() - started


def in_turn(courses: dict[str, Iterator[Any]]) -> dict[str, list[float]]:
    """Train all in turn, a step each; return the seconds of their steps."""
    seconds: dict[str, list[float]] = {name: [] for name in courses}
    timed = {name: steps_of(course) for name, course in courses.items()}
    while True:
        for name, steps in timed.items():
            passed = next(steps, None)
            if passed is None:
                for other in timed.values():  # validation and checkpoint of the others' end
                    assert next(other, None) is None, "the runs have different numbers of steps"
                return seconds
            seconds[name].append(passed)


def curves_of(run: Path) -> dict[str, Any]:
    """Return what a run has logged."""
    from triptych.runs.run import Run

    lines = Run(run).read_metrics()
    train = [line for line in lines if line["split"] == "train"]
    found: dict[str, Any] = {
        "train": [[line["step"], line.get("nll", line["loss"])] for line in train],
        "validation": [[line["step"], line["loss"]] for line in lines
                       if line["split"] == "validation"],
    }  # fmt: skip
    if "experts" in train[-1]:
        keys = ("experts", "experts_dropped", "dropped", "balance", "router_z")
        found["loads"] = [{key: line[key] for key in ("step", *keys)} for line in train]
    return found


def main() -> None:
    given = arguments()
    import triptych
    from triptych.model.config import ModelConfig
    from triptych.presets import active_parameter_count, parameter_count
    from triptych.runs.run import Run

    texts = write_texts(given.set, given.work / "texts")
    recipes = {name: recipe_of(given, texts, name == "switch") for name in ("dense", "switch")}
    runs = {name: given.work / name for name in recipes}
    seconds = in_turn({name: triptych.train(one, runs[name]) for name, one in recipes.items()})
    ratios = [b / a for a, b in zip(seconds["dense"], seconds["switch"], strict=True)][WARM_UP:]
    found: dict[str, Any] = {
        "set": given.set,
        "settings": {key: str(value) if isinstance(value, Path) else value
                     for key, value in vars(given).items()},
        "step_time_ratio": round(statistics.median(ratios), 3),
    }  # fmt: skip
    for name, run in runs.items():
        config = Run.open(run).read_config().model
        assert isinstance(config, ModelConfig), "both are Transformers"
        found[name] = {
            "parameters": parameter_count(config),
            "active_parameters": active_parameter_count(config),
            "seconds_a_step": round(statistics.median(seconds[name][WARM_UP:]), 4),
            **curves_of(run),
        }
        best = min(loss for _, loss in found[name]["validation"])
        found[name]["best_validation_loss"] = best
        print(f"{name}: {found[name]['parameters']:,} parameters, "
              f"{found[name]['active_parameters']:,} used by a token, best validation loss "
              f"{best:.4f}, {found[name]['seconds_a_step']:.3f} s a step")  # fmt: skip
    for block, shares in found["switch"]["loads"][-1]["experts"].items():
        print(f"{block}: {' '.join(f'{share:.0%}' for share in shares)} of tokens")
    print(f"step time: {found['step_time_ratio']} x the dense twin (median of pairs)")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
