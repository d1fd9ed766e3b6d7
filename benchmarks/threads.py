"""Speed by the number of threads and how they wait: training and prediction, on a quiet machine and
with one core kept busy.

Every measurement is a process of its own and the ways take turns, A B C A B C; medians of the
rounds. Training: the product's own loop on made-up pairs, tokens a second after the first steps;
prediction: 4 beams, answers a second. Ways: `torch` as it comes; `chosen`: what `triptych` sets,
see src/triptych/cli/threads.py; `one` thread; `passive`: all, and who waits sleeps; `spin N`: all,
and who waits looks N times before he sleeps. Busy: one process that computes, kept on the first
core ("pinned") or where the system puts it ("free").

    python benchmarks/threads.py [--rounds 3] [--seconds 6] [--shapes tiny small] [--work training
    prediction]
        [--loads quiet pinned free] [--ways torch chosen one passive] [--json FILE] [--quick]

Nothing else should run beside it. --quick: one round of one shape, a second each, to see that it
works.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SHAPES = {
    "tiny": {"model.preset": "transformer-tiny", "batches.batch_tokens": 1500},
    "small": {
        "model.preset": "transformer-small",
        "model.width": 192,
        "model.inner_width": 512,
        "batches.batch_tokens": 4096,
    },
}
WAYS = {
    "torch": {},
    "chosen": {},
    "one": {"OMP_NUM_THREADS": "1"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}
LOADS = ("quiet", "pinned", "free")
OURS = (
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "MKL_NUM_THREADS",
    "TRIPTYCH_THREADS",
)
WARM_STEPS = 8
PAIRS = 2000
TEXTS = 128


def recipe_of(folder: Path, shape: str) -> Path:
    """A recipe on made-up pairs in `folder`."""
    import tomllib

    pairs, path = folder / "pairs.tsv", folder / f"{shape}.toml"
    drawn = random.Random(1)
    words = [
        "".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=drawn.randint(2, 9)))
        for _ in range(600)
    ]
    rows = [
        [" ".join(drawn.choices(words, k=drawn.randint(5, 15))) for _ in range(2)]
        for _ in range(PAIRS)
    ]
    pairs.write_text("source\ttarget\n" + "".join("\t".join(row) + "\n" for row in rows))
    tables: dict[str, list[str]] = {}
    for key, value in SHAPES[shape].items():
        tables.setdefault(key.split(".")[0], []).append(
            f"{key.split('.')[1]} = {json.dumps(value)}"
        )
    fixed = {
        "data": [f"train = {json.dumps(str(pairs))}"],
        "tokenizer": ["vocabulary_size = 2000"],
        "training": ["steps = 100000", "log_every_steps = 100000"],
        "validation": ["every_steps = 100000"],
    }
    text = "".join(
        f"[{table}]\n" + "\n".join(lines) + "\n" for table, lines in {**fixed, **tables}.items()
    )
    tomllib.loads(text)
    path.write_text(text)
    return path


def train(recipe: Path, out: Path, seconds: float) -> tuple[float, float]:
    """(tokens a second, processor seconds a second) of training."""
    import triptych

    tokens, began, used = 0, 0.0, 0.0
    for progress in triptych.train(str(recipe), out):
        if progress.event == "step" and progress.step > WARM_STEPS:
            tokens += progress.tokens
            if (passed := time.monotonic() - began) > seconds:
                return tokens / passed, (time.process_time() - used) / passed
        elif progress.step == WARM_STEPS:
            began, used = time.monotonic(), time.process_time()
    raise AssertionError("the recipe has too few steps")


def predict(run: Path, pairs: Path, seconds: float) -> tuple[float, float]:
    """(answers a second, processor seconds a second) of prediction."""
    import triptych
    from triptych.runs.allocator import keep_freed_pages

    keep_freed_pages(4)
    predictor = triptych.load(run)
    texts = [line.split("\t")[0] for line in pairs.read_text().split("\n")[1 : 1 + TEXTS]]
    dials: dict[str, Any] = {"beams": 4, "max_length": 16, "min_length": 15, "batch_tokens": 400}
    predictor.predict(texts[:16], **dials)
    answered, began, used = 0, time.monotonic(), time.process_time()
    while (passed := time.monotonic() - began) < seconds or not answered:
        answered += len(predictor.predict(texts, **dials))
    return answered / passed, (time.process_time() - used) / passed


def measure(folder: Path, shape: str, work: str, way: str, seconds: float) -> dict[str, float]:
    """One measurement, in this process."""
    if way == "chosen":
        from triptych.cli.threads import settle

        settle()
    if work == "prediction":
        rate, cores = predict(folder / f"run-{shape}", folder / "pairs.tsv", seconds)
    else:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            rate, cores = train(folder / f"{shape}.toml", Path(out) / "run", seconds)
    import torch

    return {"rate": rate, "cores": cores, "threads": torch.get_num_threads()}


def call(folder: Path, shape: str, work: str, way: str, seconds: float) -> dict[str, float]:
    """`measure` in a process of its own, its environment that of the way."""
    surroundings = {name: value for name, value in os.environ.items() if name not in OURS}
    surroundings |= {"GOMP_SPINCOUNT": way.split()[1]} if way.startswith("spin ") else WAYS[way]
    command = [
        sys.executable,
        __file__,
        "--measure",
        str(folder),
        shape,
        work,
        way,
        "--seconds",
        str(seconds),
    ]
    answer = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f"{way}, {work} of {shape} failed:\n{answer.stderr[-2000:]}")
    return json.loads(answer.stdout.strip().split("\n")[-1])


@contextmanager
def load(kind: str) -> Iterator[None]:
    """One process that computes beside us, or none."""
    if kind == "quiet":
        yield
        return
    keep = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        if kind == "pinned"
        else ""
    )
    busy = subprocess.Popen([sys.executable, "-c", f"{keep}while True: pass"])
    try:
        time.sleep(1.0)
        yield
    finally:
        busy.kill()
        busy.wait()


def prepare(folder: Path, shape: str) -> None:
    """The recipe of a shape, and a run of one step to predict with."""
    import triptych

    recipe = triptych.Recipe.load(str(recipe_of(folder, shape)), {"training.steps": 1})
    for _ in triptych.train(recipe, folder / f"run-{shape}"):
        pass


def table(found: list[dict]) -> str:
    """Medians (least to most) a load, and beside them the share of the first way on the quiet
    machine.
    """
    lines = []
    for shape, work in dict.fromkeys((one["shape"], one["work"]) for one in found):
        rows = [one for one in found if (one["shape"], one["work"]) == (shape, work)]
        lines.append(
            f"{work} of {shape}, {'tokens' if work == 'training' else 'answers'} a second: median "
            "(least to most), threads"
        )
        for way in dict.fromkeys(one["way"] for one in rows):
            cells = [f"  {way:12}"]
            for kind in dict.fromkeys(one["load"] for one in rows):
                mine = [one for one in rows if one["way"] == way and one["load"] == kind]
                rates = [one["rate"] for one in mine]
                threads = "/".join(sorted({str(one["threads"]) for one in mine}))
                cells.append(
                    f"{kind} {statistics.median(rates):,.0f} ({min(rates):,.0f} to "
                    f"{max(rates):,.0f}), {threads}"
                )
            lines.append("   ".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument(
        "--work", nargs="+", choices=("training", "prediction"), default=["training", "prediction"]
    )
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS))
    parser.add_argument(
        "--ways", nargs="+", default=list(WAYS), help="torch, chosen, one, passive, or 'spin N'"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--measure", nargs=4, metavar=("FOLDER", "SHAPE", "WORK", "WAY"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.measure:
        folder, shape, work, way = options.measure
        print(json.dumps(measure(Path(folder), shape, work, way, options.seconds)))
        return
    if options.quick:
        options.rounds, options.seconds, options.shapes, options.ways = (
            1,
            1.0,
            options.shapes[:1],
            options.ways[:2],
        )
    found: list[dict] = []
    with tempfile.TemporaryDirectory() as work_folder:
        folder = Path(work_folder)
        for shape in options.shapes:
            prepare(folder, shape)
        for kind in options.loads:
            with load(kind):
                for _ in range(options.rounds):
                    for shape in options.shapes:
                        for work in options.work:
                            for way in options.ways:
                                details = {"load": kind, "shape": shape, "work": work, "way": way}
                                found.append(
                                    {**details, **call(folder, shape, work, way, options.seconds)}
                                )
                                print(json.dumps(found[-1]), file=sys.stderr, flush=True)
                                if options.json:
                                    options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found))


if __name__ == "__main__":
    main()
