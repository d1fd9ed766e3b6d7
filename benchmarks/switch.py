"""Does Switch beat its dense twin at equal work a token? Curves, loads of experts, step times.

Two language models are trained step by step in turn, with the same batches, seeds and steps: a
dense one, and one whose every second block has `--experts` experts, of which a token uses one. So a
token costs the same products in both, but for the routers. Weights are chosen on a development
part; the test part is read once, at the end. WikiText-2's training part is not to be had here: its
validation part is trained on, and every eighth article of that is the development part.

    python benchmarks/switch.py --work FOLDER [--steps 2000] [--set war-and-peace] [--experts 8]
    python benchmarks/switch.py --work FOLDER --tiny          some steps of two toys, as a check

A call that was stopped goes on when it is repeated. `FOLDER/switch.json` holds the curves (training
loss without the routers' losses, development loss in nats a token), the share of tokens of each
expert by step, the dropped share, the test losses, and the ratio of step times: the median over
pairs of neighbouring steps. `curves.svg` and `load.svg` draw the curves and the loads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

DEVELOPMENT = 8  # one article of so many, where the training part is another part of the set
WARM_UP = 5  # pairs of steps whose times do not count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder of both runs")
    parser.add_argument("--set", default="war-and-peace", help="a set of language modelling")
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
    parser.add_argument("--checkpoints", type=int, default=10, help="of each run")
    parser.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: of this process alone, for a machine that others use too",
    )
    given = parser.parse_args()
    if given.tiny:
        small = {"steps": 30, "layers": 2, "width": 32, "heads": 2, "inner": 64, "experts": 4,
                 "context": 64, "batch_tokens": 1024, "vocabulary": 400, "validate": 2}  # fmt: skip
        vars(given).update(small)
    return given


def write_texts(name: str, folder: Path) -> dict[str, str]:
    """Write the three parts of a set as files of lines; return their paths."""
    from triptych.data.load import load_split
    from triptych.data.table import DataTable

    def read(part: str) -> list[str]:
        return [one.text or "" for one in load_split(DataTable(set=name), part, None, ("text",))]

    texts = {"validation": read("validation"), "test": read("test")}
    if name == "wikitext-2":
        own = texts["validation"]
        texts["train"] = [one for place, one in enumerate(own) if (place + 1) % DEVELOPMENT]
        texts["validation"] = own[DEVELOPMENT - 1 :: DEVELOPMENT]
    else:
        texts["train"] = read("train")
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, str] = {}
    for part, each in texts.items():
        path = folder / f"{part}.txt"
        path.write_text("\n\n".join(each) + "\n", encoding="utf-8")
        paths[part] = str(path)
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
            "device": given.device,
            "checkpoint_every_steps": max(1, given.steps // given.checkpoints),
        },
        "validation": {"every_steps": max(10, given.steps // 20), "examples": given.validate},
    })  # fmt: skip


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def timed(course: Iterator[Any], clock: Callable[[], float]) -> Iterator[tuple[int, float]]:
    """Yield the number and the seconds of each step, without what follows it."""
    while True:
        started = clock()
        progress = next(course, None)
        if progress is None:
            return
        if progress.event == "step":
            yield progress.step, clock() - started


def in_turn(courses: dict[str, Iterator[tuple[int, float]]], log: Path) -> None:
    """Train all in turn, a step each; add the seconds of the steps to a file of lines."""
    left = dict(courses)
    with log.open("a", encoding="utf-8") as file:
        while left:
            for name, steps in list(left.items()):
                if (passed := next(steps, None)) is None:
                    del left[name]
                elif len(left) == len(courses):  # one alone would be faster
                    file.write(json.dumps([name, *passed]) + "\n")
            file.flush()


def seconds_of(log: Path) -> dict[str, list[float]]:
    """Return the seconds of the steps that all runs have, without those after a start."""
    found: dict[str, dict[int, float]] = {"dense": {}, "switch": {}}
    first = {name: 0 for name in found}
    for line in log.read_text(encoding="utf-8").splitlines():
        name, step, passed = json.loads(line)
        if step - 1 not in found[name] or step in found[name]:
            first[name] = step
        found[name][step] = passed if step >= first[name] + WARM_UP else 0.0
    both = [step for step in found["dense"] if found["dense"][step] and found["switch"].get(step)]
    return {name: [steps[step] for step in both] for name, steps in found.items()}


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


def draw(found: dict[str, Any], folder: Path) -> None:
    """Draw the curves of both, and the share of tokens of each expert."""
    from triptych.inspection.curves import Curves, Panel, Series
    from triptych.inspection.curves_svg import svg

    names = ["dense", "switch"]
    lines = [
        Series(place, split, [(step, loss) for step, loss in found[name][split]])
        for split in ("train", "validation")
        for place, name in enumerate(names)
    ]
    drawn = Curves(names, "step", [Panel("loss", lines, False)])
    (folder / "curves.svg").write_text(svg(drawn), encoding="utf-8")
    loads = found["switch"]["loads"]
    panels = []
    for block in loads[0]["experts"]:
        shares = [[(line["step"], 100 * share) for share in line["experts"][block]]
                  for line in loads]  # fmt: skip
        each = [Series(expert, "train", list(points))
                for expert, points in enumerate(zip(*shares, strict=True))]  # fmt: skip
        panels.append(Panel(f"% of tokens, {block}", each, False))
    experts = [f"expert {number + 1}" for number in range(len(panels[0].series))]
    (folder / "load.svg").write_text(svg(Curves(experts, "step", panels)), encoding="utf-8")


def test_loss(run: Path, path: str) -> float:
    """Return the loss of a finished run on a text, in nats a token."""
    from triptych.data.load import load_split
    from triptych.data.table import DataTable
    from triptych.inference.evaluation import loss_sums
    from triptych.inference.loading import load

    examples = load_split(DataTable(train=path), "train", None, ("text",))
    total, count = next(iter(loss_sums(load(run), examples).values()))
    return total / count


def result_of(given: argparse.Namespace, test: str) -> dict[str, Any]:
    """Return what both finished runs have logged, their sizes and their test losses."""
    from triptych.model.config import ModelConfig
    from triptych.presets import active_parameter_count, parameter_count
    from triptych.runs.run import Run

    seconds = seconds_of(given.work / "steps.jsonl")
    ratios = [b / a for a, b in zip(seconds["dense"], seconds["switch"], strict=True)]
    found: dict[str, Any] = {
        "set": given.set,
        "settings": {key: str(value) if isinstance(value, Path) else value
                     for key, value in vars(given).items()},
        "step_time_ratio": round(statistics.median(ratios), 3),
        "pairs_of_steps": len(ratios),
    }  # fmt: skip
    for name in ("dense", "switch"):
        run = given.work / name
        config = Run.open(run).read_config().model
        assert isinstance(config, ModelConfig), "both are Transformers"
        found[name] = {
            "parameters": parameter_count(config),
            "active_parameters": active_parameter_count(config),
            "seconds_a_step": round(statistics.median(seconds[name]), 4),
            **curves_of(run),
            "test_loss": round(test_loss(run, test), 4),
        }
        found[name]["best_validation_loss"] = min(loss for _, loss in found[name]["validation"])
    return found


def main() -> None:
    given = arguments()
    import triptych
    from triptych.runs.run import Run

    texts = write_texts(given.set, given.work / "texts")
    runs = {name: given.work / name for name in ("dense", "switch")}
    clock = time.process_time if given.clock == "cpu" else time.perf_counter
    courses = {
        name: triptych.train(
            recipe_of(given, texts, name == "switch"), run,
            resume=bool(Run(run).checkpoints()),
        )
        for name, run in runs.items()
        if not (run / "model.safetensors").exists()
    }  # fmt: skip
    if courses:
        steps = {name: timed(course, clock) for name, course in courses.items()}
        in_turn(steps, given.work / "steps.jsonl")
    found = result_of(given, texts["test"])
    (given.work / "switch.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draw(found, given.work)
    for name in runs:
        one = found[name]
        print(f"{name}: {one['parameters']:,} parameters, {one['active_parameters']:,} used by a "
              f"token, best development loss {one['best_validation_loss']:.4f}, test loss "
              f"{one['test_loss']:.4f}, {one['seconds_a_step']:.3f} s a step")  # fmt: skip
    for block, shares in found["switch"]["loads"][-1]["experts"].items():
        print(f"{block}: {' '.join(f'{share:.0%}' for share in shares)} of tokens")
    print(f"step time: {found['step_time_ratio']} x the dense twin (median of pairs)")


if __name__ == "__main__":
    main()
