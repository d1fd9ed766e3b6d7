"""Does every task learn the same in two processes that share its weights (FSDP2) as in one?

    python benchmarks/sharded_tasks.py [--only KIND ...] [--steps 3] [--parallel fsdp]

A toy of every task is trained for some steps of three micro-batches, validated and written, by one
process and by two (gloo, one thread each) with `training.parallel`. Prints a line for each kind:
the largest difference of a weight, and of a number in metrics.jsonl (relative above 1). The last
line is one JSON object; exit code 1 where a kind failed or a weight differs by more than rounding.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "goldens"))

import toys  # noqa: E402
from bench import TINY, Values  # noqa: E402
from uses import recipe  # noqa: E402

# largest difference of a weight after some steps with Adam's epsilon at 1e-4; Newton-Schulz in bf16
# enlarges rounding
MOST, MOST_BY_MUON = 1e-6, 1e-4
TIMES = ("seconds", "tokens_per_second")
STUDENT = 'teacher = "{folder}/masked-words"\n'
START = 'start = "{folder}/%s"'


def started(text: str) -> str:
    """Return a recipe that has no preset, because it starts from a run."""
    return text.replace('preset = ""\n', "")


# name -> (recipe, toy data, overrides); a recipe may name a run of an earlier kind in {folder}
KINDS: dict[str, tuple[str, str, Values]] = {
    "translation": (
        recipe("translation", "transformer-tiny", "label_smoothing = 0.1"), "pairs", {}
    ),
    "classification": (
        recipe("classification", "encoder-tiny", "label_smoothing = 0.1\nr_drop = 1.0\n"
               "shortcut = true\nbigrams = 512"), "label", {}
    ),
    "classification-labels": (
        recipe("classification", "encoder-tiny", 'learn = "labels"'), "labels", {}
    ),
    "classification-pair": (
        recipe("classification", "encoder-tiny", 'learn = "value"\npair = true\n'
               'pooling = "compare"\nshortcut = true'), "value", {}
    ),
    "tagging": (recipe("tagging", "encoder-tiny"), "tags", {}),
    "tagging-crf": (
        recipe("tagging", "encoder-tiny"), "spans",
        {"task.scheme": "bioes", "task.decoding": "crf", "task.word_dropout": 0.2},
    ),
    "tagging-characters": (
        recipe("tagging", "encoder-tiny", 'unit = "character"\nbigrams = 512'), "characters", {}
    ),
    "parsing": (
        recipe("parsing", "encoder-tiny", "arc_width = 24\nrelation_width = 16"), "trees", {}
    ),
    "question-answering": (
        recipe("question-answering", "encoder-tiny", "window = 96\nstride = 16"), "questions", {}
    ),
    "masked-words": (
        recipe("masked-words", "encoder-tiny", "whole_words = true\nwindow = 32"), "texts", {}
    ),
    "language-modelling": (
        recipe("language-modelling", "decoder-tiny", "context = 48\nfill_in_the_middle = 0.5"),
        "texts", {},
    ),
    "chat": (recipe("chat", "decoder-tiny", "context = 64"), "talks", {}),
    "preference": (
        started(recipe("preference", "", "context = 64\nbeta = 0.2", "", START % "chat")),
        "preferences", {},
    ),
    "preference-adapters": (
        started(recipe("preference", "", "context = 64\nbeta = 0.2", "", START % "chat")),
        "preferences", {"model.lora_rank": 2, "model.lora_targets": ["query", "value", "output"]},
    ),
    "summarization": (
        recipe("summarization", "transformer-tiny", "longest_source = 64\nr_drop = 1.0"),
        "summaries", {},
    ),
    "generative-answering": (
        recipe("generative-answering", "transformer-tiny", "longest_source = 64"), "questions", {}
    ),
    "question-generation": (
        recipe("question-generation", "transformer-tiny", "longest_source = 64"), "questions", {}
    ),
    "text-to-text": (recipe("text-to-text", "transformer-tiny", 'prefix = "tag"'), "tasks", {}),
    "span-corruption": (
        recipe("span-corruption", "transformer-tiny", "window = 32"), "texts", {}
    ),
    "distillation": (
        started(recipe("masked-words", "", "window = 32", STUDENT,
                       f"{START % 'masked-words'}\nstart_layers = [0]")), "texts", {},
    ),
    "fine-tuning": (
        started(recipe("classification", "", "", "", START % "masked-words")), "label",
        {"training.layer_decay": 0.8, "training.head_rate": 3.0,
         "training.freeze": ["embedding", "encoder.blocks.0"]},
    ),
    "muon": (
        recipe("translation", "transformer-tiny"), "pairs", {"training.optimizer": "muon"}
    ),
}  # fmt: skip


def train(name: str, folder: Path, data: Path, asked: argparse.Namespace) -> None:
    """Train one kind into `folder`."""
    import triptych

    text, files, dials = KINDS[name]
    path = folder / f"{name}.{os.environ.get('RANK', '0')}.toml"
    path.write_text(text.replace("{folder}", str(folder)), encoding="utf-8")
    given: dict[str, Any] = {
        "tokenizer.vocabulary_size": 400,
        **TINY,
        "batches.accumulate": 3,
        "training.steps": asked.steps,
        "training.epsilon": 1e-4,
        "training.precision": "float32",
        "training.device": "cpu",
        "training.log_every_steps": 1,
        "training.parallel": asked.parallel,
        "validation.every_steps": asked.steps,
        "validation.examples": 4,
        "decoding.max_length": 10,
        **toys.table(data, files),
        **dials,
    }
    if "start = " in text:
        taken = ("tokenizer.vocabulary_size", "model.width", "model.heads", "model.inner_width")
        given = {key: value for key, value in given.items() if key not in taken}
    for _ in triptych.train(triptych.Recipe.load(path, given), folder / name):
        pass


def work(asked: argparse.Namespace) -> None:
    """Train all kinds, as one of the processes; what fails is written to NAME.failed."""
    import torch

    torch.set_num_threads(1)
    for name in asked.only:
        try:
            train(name, asked.folder, asked.data, asked)
        except Exception:
            (asked.folder / f"{name}.failed").write_text(traceback.format_exc())


def begun(size: int, folder: Path, data: Path, asked: argparse.Namespace) -> int:
    """Train all kinds in `size` processes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    more = ["--folder", str(folder), "--data", str(data), "--steps", str(asked.steps)]
    command = [sys.executable, __file__, *more, "--parallel", asked.parallel, "--only", *asked.only]
    world = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    source = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **source, **world, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
        )
        for rank in range(size)
    ]
    return max(abs(process.wait()) for process in processes)


def difference(one: Path, two: Path) -> tuple[float, float]:
    """Return the largest difference of a weight, and of a number in metrics.jsonl."""
    from safetensors.numpy import load_file

    wanted, found = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert wanted.keys() == found.keys(), "other weights"
    weights = max(float(abs(wanted[name].astype("float64") - found[name]).max()) for name in wanted)
    logs = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (one, two)
    ]
    numbers = 0.0
    for left, right in zip(*logs, strict=True):
        assert left.keys() == right.keys(), "other lines of metrics"
        for key in left.keys() - set(TIMES):
            if isinstance(left[key], float):
                most = max(1.0, abs(left[key]))
                numbers = max(numbers, abs(left[key] - right[key]) / most)
    return weights, numbers


def main() -> None:
    """Train everything twice and compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--parallel", choices=["ddp", "fsdp"], default="fsdp")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.folder is not None:
        return work(asked)
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        one, two, data = (Path(scratch) / name for name in ("one", "two", "data"))
        toys.write(data)
        for size, folder in ((1, one), (2, two)):
            folder.mkdir()
            begun(size, folder, data, asked)
        for name in asked.only:
            failed = [folder / f"{name}.failed" for folder in (one, two)]
            texts = [path.read_text().strip() for path in failed if path.exists()]
            if texts:
                told[name] = {"failed": texts[0].splitlines()[-1]}
                print(name, texts[0], sep="\n", file=sys.stderr)
            else:
                weights, numbers = difference(one / name, two / name)
                told[name] = {"weights": weights, "metrics": numbers}
            print(name, told[name])
    print(json.dumps(told))
    wrong = [
        name
        for name, one in told.items()
        if one.get("weights", 1.0) > (MOST_BY_MUON if name == "muon" else MOST)
    ]
    raise SystemExit(f"More than rounding: {', '.join(wrong)}" if wrong else 0)


if __name__ == "__main__":
    main()
