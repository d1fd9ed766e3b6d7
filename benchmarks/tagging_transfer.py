"""CoNLL-2003 with a pretrained encoder: our fine-tuning beside transformers' of the same folder.

    python benchmarks/tagging_transfer.py SOURCE --work PEERS_WORK [--seed 1] [--only peer|ours]
    [--rates 2e-4 4e-4]

SOURCE is a BERT folder of the library transformers. PEERS_WORK holds the virtual environment `hf/`
(torch, transformers, seqeval). Both see the same sentences, take as many epochs, and choose rate
and weights on the development part; the test part is read once by each. $TRIPTYCH_DATA holds
conll2003-en.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# 4 epochs of 14,041 sentences, about 32 in a batch of 640 tokens
RATES, STEPS = (1e-4, 2e-4, 4e-4), 1760


def export(work: Path) -> None:
    from triptych.data.load import load_split
    from triptych.data.table import DataTable

    for part in ("train", "validation", "test"):
        found = load_split(DataTable(set="conll2003"), part, None, ("text", "words", "tags"))
        rows = [[[one.text[first:last] for first, last in one.words], one.tags] for one in found]  # type: ignore[index,union-attr]
        (work / f"{part}.json").write_text(json.dumps(rows))


def ours(source: str, folder: Path, seed: int, rates: list[float]) -> None:
    """Each rate in turn; the best on the development part reads the test part."""
    from triptych.api import train
    from triptych.inference.loading import load
    from triptych.recipe.schema import Recipe

    best: tuple[float, float, Path, float] = (-1.0, 0.0, folder, 0.0)
    for rate in rates:
        out = folder / f"rate-{rate}"
        recipe = Recipe.load(
            "conll2003",
            {
                "model.start": source,
                "training.steps": STEPS,
                "training.learning_rate": rate,
                "training.seed": seed,
                "training.schedule": "linear",
                "training.warmup_steps": STEPS // 10,
                "training.average": 0.99,
                "training.head_rate": 10.0,
                "batches.batch_tokens": 640,
                "batches.bpe_dropout": 0.0,
                "task.dropout": 0.1,
            },
        )
        score, seconds = 0.0, 0.0
        for progress in train(recipe, out):
            score, seconds = max(score, progress.scores.get("f1", 0.0)), progress.seconds
        print(
            json.dumps(
                {"rate": rate, "seed": seed, "validation_f1": score, "minutes": seconds / 60}
            ),
            flush=True,
        )
        best = max(best, (score, rate, out, seconds / 60), key=lambda one: one[0])
    score, rate, out, minutes = best
    from triptych.data.load import load_split
    from triptych.data.table import DataTable

    predictor = load(out)
    found = predictor.evaluate(
        load_split(DataTable(set="conll2003"), "test", None, predictor.task.needs)
    ).scores.values
    print(
        json.dumps(
            {
                "who": "triptych",
                "rate": rate,
                "seed": seed,
                "validation_f1": score,
                "f1": found["f1"],
                "minutes": minutes,
            }
        ),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("peer", "ours"))
    parser.add_argument(
        "--rates", type=float, nargs="+", default=RATES, help="ours; the peer tries its own three"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "peer":
            ours(options.source, Path(folder), options.seed, options.rates)
        if options.only != "ours":
            export(Path(folder))
            python = str(options.work.resolve() / "hf/bin/python")
            script = str(HERE / "peers" / "tagging_transformers.py")
            code = subprocess.run(
                [python, script, folder, options.source, str(options.seed)]
            ).returncode
            if code:
                sys.exit(code)


if __name__ == "__main__":
    main()
