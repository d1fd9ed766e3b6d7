"""eole's `eole train` of training_speed.py, its speed read from its own log.

python translation_eole.py WORK STEPS WORK holds data.json (translation_transformers.py says what is
in it). Needs eole, whose command stands beside the interpreter.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TOLD = re.compile(r"(\d+)/\s*(\d+) tok/s")
SIDES = ("src", "tgt")


def files(work: Path, folder: Path) -> dict:
    """The data as eole wants it: a word for each id, the end left out (eole adds its own); its
    table `data`.
    """
    given = json.loads((work / "data.json").read_text())
    (folder / "vocabulary.txt").write_text(
        "".join(f"t{number}\n" for number in range(given["vocabulary"]))
    )
    for part in ("train", "validation"):
        for place, side in enumerate(SIDES):
            lines = (" ".join(f"t{number}" for number in pair[place][:-1]) for pair in given[part])
            (folder / f"{part}.{side}").write_text("".join(f"{line}\n" for line in lines))
    paths = {
        part: {f"path_{side}": str(folder / f"{part}.{side}") for side in SIDES}
        for part in ("train", "validation")
    }
    return {"corpus_1": {**paths["train"], "weight": 1}, "valid": paths["validation"]}


def main(work: Path, steps: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vocabulary = str(folder / "vocabulary.txt")
        config = {
            "save_data": str(folder / "saved"),
            "overwrite": True,
            "seed": 1,
            "report_every": 20,
            "src_vocab": vocabulary,
            "tgt_vocab": vocabulary,
            "share_vocab": True,
            "src_vocab_size": 8000,
            "tgt_vocab_size": 8000,
            "n_sample": 0,
            "transforms": [],
            "data": files(work, folder),
            "training": {
                "model_path": str(folder / "run"),
                "train_steps": steps,
                "valid_steps": 10**6,
                "save_checkpoint_steps": steps,
                "bucket_size": 29000,
                "num_workers": 0,
                "world_size": 1,
                "gpu_ranks": [],
                "batch_type": "sents",
                "batch_size": 128,
                "batch_size_multiple": 1,
                "dropout": [0.1],
                "attention_dropout": [0.0],
                "compute_dtype": "bf16",
                "optim": "adam",
                "learning_rate": 1e-3,
                "warmup_steps": 200,
                "decay_method": "none",
                "label_smoothing": 0.1,
                "param_init_method": "xavier_uniform",
                "self_attn_backend": "pytorch",
                "normalization": "tokens",
                "max_grad_norm": 0,
            },
            "model": {
                "architecture": "transformer",
                "hidden_size": 256,
                "layers": 3,
                "heads": 4,
                "transformer_ff": 1024,
                "share_embeddings": True,
                "share_decoder_embeddings": True,
                "embeddings": {
                    "word_vec_size": 256,
                    "position_encoding_type": "SinusoidalInterleaved",
                },
            },
        }
        (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
        command = [
            str(Path(sys.executable).with_name("eole")),
            "train",
            "-config",
            str(folder / "config.yaml"),
        ]
        log = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ).stdout
    told = [tuple(map(float, one)) for one in TOLD.findall(log)]
    if len(told) < 3:
        sys.exit(f"eole told no speed:\n{log[-3000:]}")
    pairs = json.loads((work / "data.json").read_text())["train"]
    source, target = (sum(len(pair[place]) for pair in pairs) for place in (0, 1))
    # of target tokens, ends counted; the first 20 steps are left out
    speed = statistics.median(one[1] for one in told[1:])
    print(
        json.dumps(
            {"tokens_per_second": speed * (source + target) / target, "steps": 20 * (len(told) - 1)}
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
