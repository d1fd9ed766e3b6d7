"""Speed of training a language model beside transformers' Trainer and nanoGPT: interleaved windows
in one run, medians, ratios.

Two shapes: 6 layers, width 384, 6 heads, 256 characters, batches of 16; and 4 layers, width 128, 4
heads, 64 characters, batches of 12. All train GPT-2's architecture (learned positions, tied
embeddings; GELU exact as nanoGPT has it, transformers' in its tanh form) on the characters of Tiny
Shakespeare from random starting places, AdamW, no dropout. Triptych and transformers compute in
bf16 with weights in fp32; nanoGPT has no bf16 on a processor, and computes in fp32. A token is a
character read; the first 20 steps of a window are left
out, and everything that follows is counted: the data, the step, clipping.

    python benchmarks/language_model_speed.py --work PEERS_WORK [--seconds 45] [--windows 3]
    [--shape large]

PEERS_WORK holds the virtual environment `hf/` (torch, transformers, accelerate) and a checkout of
nanoGPT (`nanoGPT/`). $TRIPTYCH_DATA holds tinyshakespeare. transformers in fp32 is measured too
with --without (nothing).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.data.batches.encoded import Encoded

HERE = Path(__file__).resolve().parent
SHAPES = {
    "large": {"layers": 6, "d": 384, "heads": 6, "block": 256, "bs": 16},
    "small": {"layers": 4, "d": 128, "heads": 4, "block": 64, "bs": 12},
}


def prepare(folder: Path) -> int:
    """train.bin and val.bin in `folder`, a uint16 a character, the last tenth apart; returns how
    many characters there are.
    """
    import numpy as np

    from triptych.data.load import load_split
    from triptych.data.table import DataTable

    data = DataTable(set="tinyshakespeare")
    train, rest = (
        "".join(one.text or "" for one in load_split(data, part, None, ("text",)))
        for part in ("train", "validation")
    )
    numbers = {character: number for number, character in enumerate(sorted(set(train + rest)))}
    for name, text in (("train", train), ("val", rest)):
        np.array([numbers[character] for character in text], dtype=np.uint16).tofile(
            folder / f"{name}.bin"
        )
    return len(numbers)


def train_for(
    model: Any,
    encode: Callable[[int, int], list[Encoded]],
    context: int,
    rows: int,
    seconds: float,
    *,
    precision: str,
    device: str = "cpu",
    warm_up: int = 20,
) -> dict[str, float]:
    """Train with the product's own loop for `seconds` after `warm_up` steps of so many rows of a
    context; tokens a second.
    """
    import torch

    from triptych.data.batches.order import MicroBatches
    from triptych.model.heads.tokens import NextToken
    from triptych.runs.run import Run
    from triptych.tasks import language_modelling
    from triptych.training.job import Job
    from triptych.training.settings import TrainingSettings
    from triptych.training.trainer import train

    def now() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    settings = TrainingSettings(
        steps=10**6,
        learning_rate=1e-3,
        schedule="constant",
        warmup_steps=0,
        precision=precision,  # type: ignore[arg-type]
        device=device,  # type: ignore[arg-type]
        checkpoint_every_steps=10**7,
        log_every_steps=50,
    )
    batches = MicroBatches(encode, 10**6, batch_tokens=rows * context, seed=1, buffer=64 * rows)
    tokens, steps, started, ended = 0, 0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            model=model,
            head=NextToken(),
            task=language_modelling.build({"context": context}),
            batches=batches,
            run=Run.create(folder),
            settings=settings,
        )
        for progress in train(job):
            if progress.event != "step":
                continue
            if progress.step == warm_up:
                started = now()
            elif progress.step > warm_up:
                tokens, steps = tokens + progress.tokens, steps + 1
                if time.perf_counter() - started > seconds:
                    ended = now()
                    break
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "tokens_per_second": tokens / (ended - started),
        "steps": steps,
        "parameters": parameters,
    }


def ours(
    data: Path, characters: int, shape: dict[str, int], seconds: float, precision: str
) -> dict[str, float]:
    """One window of ours; characters a second."""
    import numpy as np
    import torch

    from triptych.data.batches.encoded import Encoded
    from triptych.model.config import ModelConfig, StackConfig
    from triptych.model.transformer import Transformer

    ids, block = np.fromfile(data / "train.bin", dtype=np.uint16), shape["block"]

    def encode(epoch: int, index: int) -> list[Encoded]:
        start = int(np.random.default_rng((epoch, index)).integers(0, len(ids) - block))
        return [
            Encoded(
                {"target": ids[start : start + block]},
                {"tokens": ids[start + 1 : start + block + 1]},
                index,
            )
        ]

    torch.manual_seed(1)
    stack = StackConfig(
        layers=shape["layers"],
        width=shape["d"],
        heads=shape["heads"],
        inner_width=4 * shape["d"],
        activation="gelu",
        norm_placement="pre",
        positions="learned",
        max_positions=block,
        dropout=0.0,
    )
    model = Transformer(
        ModelConfig(decoder=stack, vocabulary_size=characters, embedding_scale=False)
    )
    return train_for(model, encode, block, shape["bs"], seconds, precision=precision)


def call(command: list[str], work: Path) -> dict:
    """The last JSON line that a command prints."""
    answer = subprocess.run(command, capture_output=True, text=True, cwd=work)
    lines = [line for line in answer.stdout.split("\n") if line.startswith("{")]
    if not lines:
        raise SystemExit(
            f"{' '.join(command)} gave no result:\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}"
        )
    return json.loads(lines[-1])


def measure(options: argparse.Namespace, name: str, data: Path, characters: int) -> None:
    """The windows of one shape, interleaved, then medians and ratios."""
    work, peers = options.work.resolve(), HERE / "peers"
    python, seconds = str(work / "hf/bin/python"), str(options.seconds)
    shape = [*(str(value) for value in SHAPES[name].values()), str(characters), seconds]
    transformers = [
        python,
        str(peers / "language_model_transformers.py"),
        str(data / "train.bin"),
        *shape,
    ]
    commands = {
        "triptych": [
            sys.executable,
            str(HERE / "language_model_speed.py"),
            "--ours",
            name,
            "--data",
            str(data),
            "--characters",
            str(characters),
            "--seconds",
            seconds,
            "--precision",
            options.precision,
        ],
        "transformers": [*transformers, "bfloat16"],
        "transformers fp32": [*transformers, "float32"],
        "nanoGPT": [
            python,
            str(peers / "language_model_nanogpt.py"),
            str(work / "nanoGPT"),
            str(data),
            *shape,
        ],
    }
    speeds: dict[str, list[float]] = {peer: [] for peer in commands if peer not in options.without}
    for _ in range(options.windows):
        for peer, values in speeds.items():
            values.append(call(commands[peer], work)["tokens_per_second"])
        print(
            json.dumps(
                {"shape": name, **{peer: round(values[-1]) for peer, values in speeds.items()}}
            ),
            flush=True,
        )
    medians = {peer: round(statistics.median(values)) for peer, values in speeds.items()}
    ratios = {
        f"triptych / {peer}": round(medians["triptych"] / value, 2)
        for peer, value in medians.items()
        if peer != "triptych"
    }
    print(
        json.dumps({"shape": {name: SHAPES[name]}, "medians": medians, "ratios": ratios}),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--shape", choices=[*SHAPES, "both"], default="both")
    parser.add_argument(
        "--without", nargs="*", default=["transformers fp32"], help="peers that are left out"
    )
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument(
        "--ours", choices=list(SHAPES), help="one window of ours alone, of this shape"
    )
    parser.add_argument("--data", type=Path, help="with --ours: the folder of train.bin")
    parser.add_argument("--characters", type=int, default=0, help="with --ours: how many there are")
    options = parser.parse_args()
    if options.ours:
        print(
            json.dumps(
                ours(
                    options.data,
                    options.characters,
                    SHAPES[options.ours],
                    options.seconds,
                    options.precision,
                )
            )
        )
        return
    if options.work is None:
        parser.error("--work is missing: the folder with the peers' environments")
    with tempfile.TemporaryDirectory() as folder:
        characters = prepare(Path(folder))
        for name in SHAPES if options.shape == "both" else [options.shape]:
            measure(options, name, Path(folder), characters)


if __name__ == "__main__":
    main()
