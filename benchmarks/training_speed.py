"""Training speed beside eole and transformers' Seq2SeqTrainer: interleaved windows in one run, medians, ratios.

All train 3+3 layers of width 256 (4 heads, inner 1024, tied 8k vocabulary, 7.58 M parameters) on Multi30k English-German, 128 pairs a batch
of like length, dropout 0.1 on embeddings, residuals and inside the feed-forward, none on attention weights, label smoothing 0.1,
Adam, activations in bf16 and weights in fp32. Tokens are SentencePiece pieces and one end a side, source and target, no padding; the
first 20 steps of a window are left out. Then Triptych and transformers train equally many updates from scratch, and the development
loss (nats per target token, no smoothing, fp32) of both is taken.

    python benchmarks/training_speed.py --work PEERS_WORK --scripts PEERS_SCRIPTS [--seconds 45] [--windows 3] [--updates 200]

PEERS_WORK holds `data/` (Multi30k as pieces) and the virtual environments `hf/` and `eole/`; PEERS_SCRIPTS the scripts that run the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAD = 7999  # begins a target in the peers' vocabulary


def pairs(work: Path, split: str) -> list[tuple[list[int], list[int]]]:
    """[(source ids, target ids)], each with its end (id 0)."""
    rows = (work / "data" / "sp.vocab").read_text(encoding="utf-8").split("\n")
    ids = {row.split("\t")[0]: number for number, row in enumerate(rows) if row}
    sides = []
    for language in ("en", "de"):
        lines = (work / "data" / f"{split}.sp.{language}").read_text(encoding="utf-8").split("\n")[:-1]
        sides.append([[ids.get(piece, 1) for piece in line.split()] + [0] for line in lines])
    return list(zip(*sides, strict=True))


def ours(work: Path, seconds: float, updates: int, precision: str) -> dict[str, float]:
    """Train with the product's own loop for `seconds` after 20 steps, or for `updates`; speed and development loss."""
    import numpy as np
    import torch

    from triptych.data.batching import Encoded, MicroBatches, collate
    from triptych.model.config import ModelConfig, StackConfig
    from triptych.model.heads import NextToken
    from triptych.model.transformer import Transformer
    from triptych.run import Run
    from triptych.tasks import translation
    from triptych.training.job import Job
    from triptych.training.settings import TrainingSettings
    from triptych.training.trainer import train

    def encode(source: list[int], target: list[int], index: int) -> Encoded:
        inputs = {"source": np.array(source), "target": np.array([PAD, *target[:-1]])}
        return Encoded(inputs, {"tokens": np.array(target)}, index)

    data = [encode(*pair, index) for index, pair in enumerate(pairs(work, "train"))]
    torch.manual_seed(1)
    stack = StackConfig(layers=3, width=256, heads=4, inner_width=1024, norm_placement="pre", dropout=0.1, inner_dropout=0.1)
    model = Transformer(ModelConfig(encoder=stack, decoder=stack, vocabulary_size=8000))
    settings = TrainingSettings(
        steps=updates or 100_000, learning_rate=1e-3, schedule="constant", warmup_steps=200, weight_decay=0.0, clip_norm=None,
        precision=precision, checkpoint_every_steps=10**6, log_every_steps=20,  # type: ignore[arg-type]
    )  # fmt: skip
    batches = MicroBatches(lambda epoch, index: [data[index]], len(data), batch_tokens=10**6, batch_examples=128, seed=1)
    tokens, started, ended = 0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        job = Job(model=model, head=NextToken(), task=translation.build({}), batches=batches, run=Run.create(folder), settings=settings)
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
                development = [encode(*pair, index) for index, pair in enumerate(pairs(work, "val"))]
                for start in range(0, len(development), 64):
                    batch = collate(development[start : start + 64])
                    logits = model.project(model(**batch.inputs))
                    total += float(torch.nn.functional.cross_entropy(logits, batch.targets["tokens"], reduction="sum"))
                    count += batch.counts["tokens"]
            result["development_loss"] = total / count
    return result


LOSS_OF_PEER = """
import json, sys, torch
sys.path.insert(0, sys.argv[1])
from common import pairs
from transformers import MarianMTModel
model = MarianMTModel.from_pretrained(sys.argv[2]).eval()
total = count = 0
with torch.inference_mode():
    for x, y in pairs("val"):
        logits = model(input_ids=torch.tensor([x]), decoder_input_ids=torch.tensor([[7999] + y[:-1]])).logits[0]
        total += float(torch.nn.functional.cross_entropy(logits, torch.tensor(y), reduction="sum")); count += len(y)
print(json.dumps({"development_loss": total / count}))
"""


def call(command: list[str], work: Path) -> dict:
    """The last JSON line that a command prints."""
    environment = dict(os.environ, PEERS_DATA=str(work / "data"), PEERS_OUT=str(work / "out"), HF_HUB_OFFLINE="1")
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=work)
    lines = [line for line in answer.stdout.split("\n") if line.startswith("{")]
    if not lines:
        raise SystemExit(f"{' '.join(command)} gave no result:\n{answer.stdout[-2000:]}\n{answer.stderr[-2000:]}")
    return json.loads(lines[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scripts", type=Path)
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--windows", type=int, default=3)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--ours", action="store_true", help="one window of ours alone; --updates N: to N updates, with the loss")
    options = parser.parse_args()
    work = options.work.resolve()
    if options.ours:
        print(json.dumps(ours(work, options.seconds, 0 if options.seconds else options.updates, options.precision)))
        return
    scripts, hf, eole = options.scripts.resolve(), str(work / "hf/bin/python"), str(work / "eole/bin/python")
    own = [sys.executable, str(Path(__file__).resolve()), "--work", str(work), "--ours"]
    speeds: dict[str, list[float]] = {"triptych": [], "eole": [], "transformers": []}
    for _ in range(options.windows):
        speeds["triptych"].append(call([*own, "--seconds", str(options.seconds)], work)["tokens_per_second"])
        speeds["eole"].append(call([eole, str(scripts / "eole_run.py"), "train", "--steps", "100", "--dtype", "bf16"], work)["tok_s"])
        peer = call([hf, str(scripts / "hf_train.py"), "--seconds", str(options.seconds), "--bf16"], work)
        speeds["transformers"].append(peer["tok_s"])
        print(json.dumps({name: round(values[-1]) for name, values in speeds.items()}), flush=True)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    ratios = {f"triptych / {name}": round(medians["triptych"] / value, 2) for name, value in medians.items() if name != "triptych"}
    windows = {name: list(map(round, values)) for name, values in speeds.items()}
    print(json.dumps({"windows": windows, "medians": medians, "ratios": ratios}))
    saved = work / "out" / "hf_equal_updates"
    peer = call([hf, str(scripts / "hf_train.py"), "--seconds", str(2 * options.seconds), "--bf16", "--save", str(saved)], work)
    updates = peer["steps"] + 20
    mine = call([*own, "--seconds", "0", "--updates", str(updates)], work)
    theirs = call([hf, "-c", LOSS_OF_PEER, str(scripts), str(saved)], work)
    losses = {"triptych": mine["development_loss"], "transformers": theirs["development_loss"]}
    print(json.dumps({"updates": updates, "development_loss": losses}))


if __name__ == "__main__":
    main()
