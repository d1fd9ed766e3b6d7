"""The slow proofs one after the other; what lacks its peers or its run is named and passed over.

    python benchmarks/run_all.py [--work PEERS_WORK] [--run RUN] [--only NAME ...]

Hours with everything. PEERS_WORK: the peers' environments, each script says which; RUN: a finished
run of multi30k-en-de, for decoding_speed.py. Exit code 1 where one of them failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    peers = ["--work", str(options.work)] if options.work else None
    decoding = (
        [str(options.run), "--work", str(options.work)] if options.run and options.work else None
    )
    proofs: dict[str, tuple[list[str] | None, str]] = {
        "kill_and_resume": ([], ""),
        "training_speed": (peers, "--work"),
        "decoding_speed": (decoding, "--run and --work"),
        "encoder_speed": (peers, "--work"),
        "language_model_speed": (peers, "--work"),
        "classification_baselines": ([], ""),
        "summary_baselines": ([], ""),
        "search_xquad": ([], ""),
    }
    failed = []
    for name, (arguments, needs) in proofs.items():
        if options.only and name not in options.only:
            continue
        if arguments is None:
            print(f"== {name}: passed over, it needs {needs}", flush=True)
            continue
        print(f"== {name}", flush=True)
        began = time.monotonic()
        code = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *arguments]).returncode
        print(
            f"== {name}: {'done' if not code else f'failed with exit code {code}'} in "
            f"{(time.monotonic() - began) / 60:.1f} minutes",
            flush=True,
        )
        failed += [name] if code else []
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
