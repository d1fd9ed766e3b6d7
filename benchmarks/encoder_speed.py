"""Encoder speed beside transformers: training a classifier with its Trainer, using one with its
pipeline.

One BERT shape on both sides (6 layers of width 256, 4 heads, inner 1024, learned positions,
post-norm, GELU, 8k vocabulary, dropout 0.1 on activations and on attention weights, the first
token's state through a dense tanh layer to the labels), the same token ids, AG News at its real
lengths, interleaved windows in one run, medians. Training: 32 texts a batch of like length, AdamW,
activations in bf16 and weights in fp32; the first 20 steps of a window are left out; tokens are
those of the texts with begin and end, no padding. Use: from texts to labels with the weights that a
training window of ours gave, texts in the order given and sorted by length; transformers has the
best of its batch sizes and precisions. Then the labels: how many are the same.

    python benchmarks/encoder_speed.py --work PEERS_WORK [--seconds 45] [--windows 3] [--texts 2000]

PEERS_WORK holds the virtual environment `hf/` (torch, transformers, accelerate, datasets).
$TRIPTYCH_DATA holds ag-news.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.recipe.schema import Recipe

HERE = Path(__file__).resolve().parent
WARM_STEPS = 20  # left out of a window
GOALS = {"training": 1.6, "given": 4.5, "sorted": 3.0}


def recipe() -> Recipe:
    """The setting as a recipe: what `triptych train` would run."""
    from triptych.recipe.schema import Recipe

    return Recipe.from_values(
        {
            "task": {
                "name": "classification",
                "pooling": "first",
                "hidden": True,
                "dropout": 0.1,
                "calibrate": False,
            },
            "data": {"set": "ag-news"},
            "tokenizer": {"kind": "bpe", "vocabulary_size": 8000},
            "model": {
                "preset": "bert-base",
                "layers": 6,
                "width": 256,
                "heads": 4,
                "inner_width": 1024,
            },
            "batches": {"batch_tokens": 10**6, "batch_examples": 32},
            "training": {
                "steps": 10**6,
                "learning_rate": 3e-4,
                "schedule": "constant",
                "warmup_steps": 100,
                "weight_decay": 0.0,
                "beta2": 0.999,
                "epsilon": 1e-8,
                "precision": "bfloat16",
                "checkpoint_every_steps": 10**6,
            },
            "validation": {"every_steps": 10**6, "examples": 64},
        },
        name="encoder-speed",
    )


def our_training(folder: Path, seconds: float) -> None:
    """One window of the product's own loop; leaves a run in `folder`, and beside it what the peers
    need.
    """
    from triptych.data.load import load_split
    from triptych.inference.evaluation import encode_all
    from triptych.runs.checkpoint import weights_of
    from triptych.setup.job import prepare

    prepared = prepare(recipe(), folder)
    tokens, steps, started, ended = 0, 0, 0.0, 0.0
    for progress in prepared.train():
        if progress.event != "step":
            continue
        if progress.step == WARM_STEPS:
            started = time.perf_counter()
        elif progress.step > WARM_STEPS:
            tokens, steps, ended = tokens + progress.tokens, steps + 1, time.perf_counter()
            if ended - started > seconds:
                break
    prepared.job.run.write_model(weights_of(prepared.job.model, prepared.job.head))
    rate = tokens / (ended - started)
    print(json.dumps({"who": "triptych", "steps": steps, "tokens_per_second": rate}), flush=True)
    pieces = encode_all(prepared.job.task, prepared.examples, prepared.tokenizers, prepared.labels)
    rows = [[one.inputs["source"].tolist(), int(one.targets["label"][0])] for one in pieces]
    test = load_split(prepared.recipe.data, "test", None, prepared.job.task.needs)
    (folder.parent / "train.json").write_text(json.dumps(rows))
    (folder.parent / "test.json").write_text(json.dumps([[one.text, one.label] for one in test]))
    (folder.parent / "labels.json").write_text(json.dumps(prepared.labels["labels"]))


def our_inference(folder: Path, precision: str, count: int) -> None:
    """One window of the product's predictor: a JSON line for each order of the texts."""
    from triptych.cli.loading import DECODING_ARENAS
    from triptych.inference.loading import load
    from triptych.runs.allocator import keep_freed_pages

    keep_freed_pages(arenas=DECODING_ARENAS)
    predictor = load(folder, precision)  # type: ignore[arg-type]
    texts = [text for text, _ in json.loads((folder.parent / "test.json").read_text())[:count]]
    for order in ("given", "sorted"):
        chosen = texts if order == "given" else sorted(texts, key=len)
        tokens = sum(len(predictor.tokenizers.source.encode(text)) + 2 for text in chosen)
        predictor.predict(chosen[:200])
        began = time.perf_counter()
        found = predictor.predict(chosen)
        rate = tokens / (time.perf_counter() - began)
        if order == "given":
            (folder.parent / f"triptych-{precision}.json").write_text(
                json.dumps([one.text for one in found])
            )
        print(
            json.dumps({"who": f"triptych {precision}", "order": order, "tokens_per_second": rate}),
            flush=True,
        )


def call(command: list[str]) -> list[dict[str, Any]]:
    """The JSON lines that a command prints."""
    answer = subprocess.run(command, capture_output=True, text=True)
    # a Trainer prints dicts too
    lines = [json.loads(line) for line in answer.stdout.split("\n") if line.startswith('{"')]
    if answer.returncode or not lines:
        raise SystemExit(
            f"{' '.join(command)} failed:\n{answer.stdout[-1000:]}\n{answer.stderr[-3000:]}"
        )
    for line in lines:
        print(json.dumps(line), flush=True)
    return lines


def training(own: list[str], peer: list[str], work: Path, options: argparse.Namespace) -> None:
    """Interleaved windows of training; the last of ours leaves the run that is used afterwards."""
    rates: dict[str, list[float]] = {"triptych": [], "transformers": []}
    for window in range(options.windows):
        rates["triptych"].append(
            call([*own, "--ours", str(work / f"run-{window}")])[-1]["tokens_per_second"]
        )
        rates["transformers"].append(
            call([*peer, "train", str(work), str(options.seconds)])[-1]["tokens_per_second"]
        )
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratio = medians["triptych"] / medians["transformers"]
    print(
        f"training, tokens a second: triptych {medians['triptych']:,.0f}, transformers "
        f"{medians['transformers']:,.0f}; ratio {ratio:.2f} (goal {GOALS['training']})"
    )


def inference(own: list[str], peer: list[str], work: Path, options: argparse.Namespace) -> None:
    """Interleaved windows of use, then the labels side by side."""
    run = str(work / f"run-{options.windows - 1}")
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.windows):
        commands = [
            [*own, "--ours", run, "--precision", precision] for precision in ("float32", "bfloat16")
        ]
        for command in [*commands, [*peer, "infer", str(work), run, str(options.texts)]]:
            for line in call(command):
                rates.setdefault((line["who"], line["order"]), []).append(line["tokens_per_second"])
    medians = {case: statistics.median(values) for case, values in rates.items()}
    for order in ("given", "sorted"):
        best = {
            side: max(
                (value, who)
                for (who, at), value in medians.items()
                if at == order and who.startswith(side)
            )
            for side in ("triptych", "transformers")
        }
        (mine, my_name), (theirs, their_name) = best["triptych"], best["transformers"]
        print(
            f"use, texts {order}, tokens a second: {my_name} {mine:,.0f}, {their_name} "
            f"{theirs:,.0f}; ratio {mine / theirs:.2f} (goal {GOALS[order]})"
        )
    truth = [label for _, label in json.loads((work / "test.json").read_text())[: options.texts]]
    labels = {
        name: json.loads((work / f"{name}.json").read_text())
        for name in (
            "triptych-float32",
            "triptych-bfloat16",
            "transformers-float32",
            "transformers-bfloat16",
        )
    }
    for name, found in labels.items():
        same = [
            sum(map(str.__eq__, found, other)) / len(found)
            for other in (labels["transformers-float32"], truth)
        ]
        print(
            f"{name}: {100 * same[0]:.2f} % as transformers in float32, {100 * same[1]:.2f} % right"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path)
    parser.add_argument(
        "--scripts",
        type=Path,
        default=HERE / "peers",
        help="where the peer's script is, if elsewhere",
    )
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument(
        "--ours",
        type=Path,
        help="one window of ours alone: train into this folder, or with --precision use its run",
    )
    parser.add_argument("--precision")
    options = parser.parse_args()
    if options.ours and options.precision:
        our_inference(options.ours, options.precision, options.texts)
    elif options.ours:
        our_training(options.ours, options.seconds)
    elif options.work is None:
        parser.error("--work is missing")
    else:
        script = options.scripts / "encoder_transformers.py"
        peer = [
            str(options.work.resolve() / "hf/bin/python"),
            str(script if script.exists() else HERE / "peers" / script.name),
        ]
        own = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--seconds",
            str(options.seconds),
            "--texts",
            str(options.texts),
        ]
        with tempfile.TemporaryDirectory() as folder:
            training(own, peer, Path(folder), options)
            inference(own, peer, Path(folder), options)


if __name__ == "__main__":
    main()
