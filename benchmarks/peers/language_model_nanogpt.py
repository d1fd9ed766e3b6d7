"""One window of nanoGPT's own train.py on a processor, in fp32 (it has no other there): characters
a second after 20 steps.

python language_model_nanogpt.py CHECKOUT DATA LAYERS WIDTH HEADS CONTEXT BATCH VOCABULARY SECONDS
CHECKOUT: of github.com/karpathy/nanoGPT. DATA: a folder with train.bin and val.bin (uint16). Needs
    torch, numpy and what it imports.
"""

from __future__ import annotations

import json
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WARM = 20  # steps that are left out
LINE = re.compile(r"iter (\d+): loss [\d.naif]+, time ([\d.]+)ms")


def main() -> None:
    checkout, data = Path(sys.argv[1]), Path(sys.argv[2])
    layers, width, heads, context, batch, vocabulary = sys.argv[3:9]
    place = checkout / "data" / "shakespeare_char"
    for part in ("train.bin", "val.bin"):
        shutil.copy(data / part, place / part)
    # where nanoGPT looks for the size of its vocabulary
    with (place / "meta.pkl").open("wb") as file:
        pickle.dump({"vocab_size": int(vocabulary), "itos": {}, "stoi": {}}, file)
    times, began, told = [], 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        dials = {
            "device": "cpu",
            "compile": "False",
            "eval_iters": 1,
            "log_interval": 1,
            "block_size": context,
            "batch_size": batch,
            "n_layer": layers,
            "n_head": heads,
            "n_embd": width,
            "dropout": 0.0,
            "max_iters": 10**6,
            "eval_interval": 10**6,
            "out_dir": folder,
        }
        command = [
            sys.executable,
            "-u",
            "train.py",
            "config/train_shakespeare_char.py",
            *(f"--{key}={value}" for key, value in dials.items()),
        ]
        run = subprocess.Popen(
            command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert run.stdout is not None
        try:
            for line in run.stdout:
                told.append(line)
                found = LINE.match(line)
                if found is None or int(found[1]) < WARM:
                    continue
                began = began or time.perf_counter()
                times.append(float(found[2]))
                if time.perf_counter() - began > float(sys.argv[9]):
                    break
        finally:
            run.terminate()
            run.wait()
    if not times:
        sys.exit("nanoGPT gave no step:\n" + "".join(told[-30:]))
    print(
        json.dumps(
            {
                "tokens_per_second": int(batch) * int(context) * len(times) * 1000 / sum(times),
                "steps": len(times),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
