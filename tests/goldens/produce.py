"""Run kinds with the Triptych under SOURCE, and write what comes of each as one JSON file.

    PYTHONPATH=src python tests/goldens/produce.py FOLDER --source src --wanted float32/task-chat

`compare.py` starts this once for each side. Only promised names of the package are imported, so the
same script runs with another layout of its modules.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
import traceback
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import torch
import toys
from bench import Bench, Precision, attempt
from kinds import KINDS, SkippedKind, precisions

import triptych

torch.set_num_threads(1)


def main() -> None:
    """Read the command line and run each kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--wanted", nargs="+", default=[], metavar="PRECISION/KIND")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{precision}/{name}" for name in KINDS for precision in precisions(name)))
        return
    found = Path(str(triptych.__file__)).resolve()
    if given.source is not None and given.source.resolve() not in found.parents:
        raise SystemExit(f"triptych was imported from {found}, not from {given.source}.")
    folder: Path = given.folder.resolve()
    data = folder / "data"
    toys.write(data)
    toys.write_wide(data)
    for one in given.wanted:
        precision, name = one.split("/")
        produce(folder, data, name, precision)


def produce(folder: Path, data: Path, name: str, precision: Precision) -> None:
    """Run one kind; write PRECISION/NAME.json with its values, or with the error that ended it."""
    began = time.process_time()
    bench = Bench(folder / "work" / name, data, precision)
    values: dict[str, Any]
    try:
        values = {"values": attempt(KINDS[name], bench)}
    except SkippedKind as reason:
        values = {"values": {"skipped": str(reason)}}
    except Exception as error:
        values = {
            "error": f"{type(error).__name__}: {bench.plain(str(error))}",
            "where": traceback.format_exc(),
        }
    shutil.rmtree(bench.work, ignore_errors=True)
    values["seconds"] = round(time.process_time() - began, 2)
    path = folder / precision / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, ensure_ascii=False, sort_keys=True), encoding="utf-8")
    print(f"{precision} {name} {values['seconds']}", flush=True)


if __name__ == "__main__":
    main()
