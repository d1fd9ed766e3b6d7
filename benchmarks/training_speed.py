"""Training speed beside eole and transformers' Seq2SeqTrainer: interleaved windows in one run,
medians, ratios.

All train 3+3 layers of width 256 (4 heads, inner 1024, tied 8k vocabulary, 7.58 M parameters) on
Multi30k English-German, 128 pairs a batch of like length, dropout 0.1 on embeddings, residuals and
inside the feed-forward, none on attention weights, label smoothing 0.1, Adam, activations in bf16
and weights in fp32. Tokens are pieces of Triptych's BPE and one end a side, source and target, no
padding; the first 20 steps of a window are left out. Then Triptych and transformers train equally
many updates from scratch, and the development loss (nats per target token, no smoothing, fp32) of
both is taken.

    python benchmarks/training_speed.py --work PEERS_WORK [--seconds 45] [--windows 3] [--skip eole]

PEERS_WORK holds the virtual environments `hf/` (torch, transformers, accelerate, datasets) and
`eole/`. $TRIPTYCH_DATA holds multi30k-task1.
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

HERE = Path(__file__).resolve().parent
VOCABULARY = 8000


def prepare(folder: Path) -> None:
    """data.json in `folder`: Multi30k English-German as ids of one BPE for both, each text with its
    end.
    """
    from triptych.data.load import load_split
    from triptych.data.table import DataTable
    from triptych.data.tokenizers.subwords import Tokenizer

    data = DataTable(set="multi30k", source="en", target="de")
    parts = {
        part: load_split(data, part, None, ("source", "target")) for part in ("train", "validation")
    }
    texts = {
        part: [(one.source or "", one.target or "") for one in found]
        for part, found in parts.items()
    }
    tokenizer = Tokenizer.train(
        [text for pair in texts["train"] for text in pair], "bpe", VOCABULARY
    )
    pairs = {
        part: [[[*tokenizer.encode(text), tokenizer.end_id] for text in pair] for pair in found]
        for part, found in texts.items()
    }
    details = {"vocabulary": VOCABULARY, "begin": tokenizer.begin_id, "end": tokenizer.end_id}
    (folder / "data.json").write_text(json.dumps({**details, **pairs}))


def ours(work: Path, seconds: float, updates: int, precision: str) -> dict[str, float]:
    """Train with the product's own loop for `seconds` after 20 steps, or for `updates`; speed and
    development loss.
    """
    import numpy as np
    import torch

    from triptych.data.batches.encoded import Encoded, collate
    from triptych.data.batches.order import MicroBatches
    from triptych.model.config import ModelConfig, StackConfig
    from triptych.model.heads.tokens import NextToken
    from triptych.model.transformer import Transformer
    from triptych.runs.run import Run
    from triptych.tasks import translation
    from triptych.training.job import Job
    from triptych.training.settings import TrainingSettings
    from triptych.training.trainer import train

    given = json.loads((work / "data.json").read_text())

    def encode(source: list[int], target: list[int], index: int) -> Encoded:
        inputs = {"source": np.array(source), "target": np.array([given["begin"], *target[:-1]])}
        return Encoded(inputs, {"tokens": np.array(target)}, index)

    data = [encode(pair[0], pair[1], index) for index, pair in enumerate(given["train"])]
    torch.manual_seed(1)
    stack = StackConfig(
        layers=3,
        width=256,
        heads=4,
        inner_width=1024,
        norm_placement="pre",
        dropout=0.1,
        inner_dropout=0.1,
    )
    model = Transformer(
        ModelConfig(encoder=stack, decoder=stack, vocabulary_size=given["vocabulary"])
    )
    settings = TrainingSettings(
        steps=updates or 100_000,
        learning_rate=1e-3,
        schedule="constant",
        warmup_steps=200,
        weight_decay=0.0,
        clip_norm=None,
        precision=precision,  # type: ignore[arg-type]
        checkpoint_every_steps=10**6,
        log_every_steps=20,
    )
    batches = MicroBatches(
        lambda epoch, index: [data[index]],
        len(data),
        batch_tokens=10**6,
        batch_examples=128,
        seed=1,
    )
    tokens, started, ended = 0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            model=model,
            head=NextToken(),
            task=translation.build({}),
            batches=batches,
            run=Run.create(folder),
            settings=settings,
        )
        for progress in train(job):
            if progress.event != "step":
                continue
            if progress.step == 20:
                started = time.perf_counter()
            elif progress.step > 20:
                tokens, ended = tokens + progress.tokens, time.perf_counter()
                if not updates and ended - started > seconds:
                    break
        result = {"tokens_per_second": tokens / (ended - started), "updates": progress.step}
        if updates:
            model.eval().precision = torch.float32
            total = count = 0.0
            with torch.inference_mode():
                development = [
                    encode(pair[0], pair[1], index)
                    for index, pair in enumerate(given["validation"])
                ]
                for start in range(0, len(development), 64):
                    batch = collate(development[start : start + 64])
                    logits = model.project(model(**batch.inputs))
                    total += float(
                        torch.nn.functional.cross_entropy(
                            logits, batch.targets["tokens"], reduction="sum"
                        )
                    )
                    count += batch.counts["tokens"]
            result["development_loss"] = total / count
    return result


def call(command: list[str]) -> dict:
    """The last JSON line that a command prints."""
    answer = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in answer.stdout.split("\n") if line.startswith("{")]
    if not lines:
        raise SystemExit(
            f"{' '.join(command)} gave no result:\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}"
        )
    return json.loads(lines[-1])


def measure(options: argparse.Namespace, work: Path) -> None:
    """The windows, interleaved, medians and ratios; then the losses after equal updates."""
    hf, eole = (str(options.work.resolve() / name / "bin/python") for name in ("hf", "eole"))
    own = [
        sys.executable,
        str(HERE / "training_speed.py"),
        "--data",
        str(work),
        "--precision",
        options.precision,
    ]
    marian = [hf, str(HERE / "peers" / "translation_transformers.py"), str(work)]
    commands = {
        "triptych": [*own, "--seconds", str(options.seconds)],
        "eole": [eole, str(HERE / "peers" / "translation_eole.py"), str(work), "100"],
        "transformers": [*marian, str(options.seconds)],
    }
    speeds: dict[str, list[float]] = {name: [] for name in commands if name not in options.skip}
    for _ in range(options.windows):
        for name, values in speeds.items():
            values.append(call(commands[name])["tokens_per_second"])
        print(json.dumps({name: round(values[-1]) for name, values in speeds.items()}), flush=True)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {
        f"triptych / {name}": round(medians["triptych"] / value, 2)
        for name, value in medians.items()
        if name != "triptych"
    }
    windows = {name: list(map(round, values)) for name, values in speeds.items()}
    print(json.dumps({"windows": windows, "medians": medians, "ratios": ratios}))
    theirs = call([*marian, str(2 * options.seconds), "--loss"])
    mine = call([*own, "--seconds", "0", "--updates", str(theirs["updates"])])
    losses = {"triptych": mine["development_loss"], "transformers": theirs["development_loss"]}
    print(json.dumps({"updates": theirs["updates"], "development_loss": losses}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--skip", nargs="*", default=[], choices=["eole"])
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument(
        "--data", type=Path, help="one window of ours alone, with the data.json there"
    )
    parser.add_argument(
        "--updates",
        type=int,
        default=0,
        help="with --data and --seconds 0: so many updates, with the loss",
    )
    options = parser.parse_args()
    if options.data is not None:
        print(
            json.dumps(
                ours(
                    options.data,
                    options.seconds,
                    0 if options.seconds else options.updates,
                    options.precision,
                )
            )
        )
        return
    if options.work is None:
        parser.error("--work is missing: the folder with the peers' environments")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        measure(options, Path(folder))


if __name__ == "__main__":
    main()
