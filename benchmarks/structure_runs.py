"""Measure what only running shows: calls of a forward, strict type errors, starting times."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from structure_counts import Counts

HERE = Path(__file__).resolve().parent
STRICT_ROOMS = ("model", "training", "tasks", "decoding")
TIMES = 5


def run(command: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with a tree's package first on the path, with one thread."""
    env = {**os.environ, "PYTHONPATH": str(root.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], env=env, capture_output=True, text=True)


def calls(root: Path) -> Counts:
    """Measure depth, functions, files and calls in a process of its own; see `call_profile`.

    Where the toys cannot be built or run, the rows say "failed" and the details say why.
    """
    answer = run([str(HERE / "call_profile.py"), "--package", root.name], root)
    if answer.returncode:
        why = answer.stderr.strip().splitlines()[-1:]
        return Counts({"calls of a forward": "failed"}, {"calls of a forward failed": why})
    answered, counts = json.loads(answer.stdout.splitlines()[-1]), Counts()
    assert Path(answered["folder"]).samefile(root), f"{answered['folder']} was run, not {root}"
    for name, found in answered["measured"].items():
        counts.details[f"deepest chain of a {name}"] = found.pop("deepest chain")
        counts.rows |= {f"{what} of a {name}": number for what, number in found.items()}
    return counts


def strict_errors(root: Path) -> Counts:
    """Count the errors that pyright reports in strict mode, for each room that must be strict.

    Pyright passes over absolute folders in `include`, so the tree is linked beside the settings.
    """
    rooms = [room for room in STRICT_ROOMS if (root / room).is_dir()]
    config = {
        "include": [f"src/{root.name}/{room}" for room in rooms],
        "extraPaths": ["src"],
        "typeCheckingMode": "strict",
        "reportPrivateImportUsage": "none",
    }
    with tempfile.TemporaryDirectory() as folder:
        linked = Path(folder).resolve() / "src"
        linked.symlink_to(root.parent)
        file = linked.with_name("pyrightconfig.json")
        file.write_text(json.dumps(config), encoding="utf-8")
        options = ["--project", str(file), "--pythonpath", sys.executable, "--outputjson"]
        answer = run(["-m", "pyright", *options], root)
    found = json.loads(answer.stdout) if answer.stdout.startswith("{") else {}
    if not found.get("summary", {}).get("filesAnalyzed"):
        why = (answer.stdout + answer.stderr).strip().splitlines()[-1:]
        return Counts({"strict type errors": "failed"}, {"strict type errors failed": why})
    errors = [one for one in found["generalDiagnostics"] if one["severity"] == "error"]
    number = Counter(Path(one["file"]).relative_to(linked / root.name).parts[0] for one in errors)
    rules = Counter(one.get("rule", "none") for one in errors)
    counts = Counts({"strict type errors": len(errors)}, {"strict errors by rule": rules})
    counts.rows |= {f"strict type errors in {room}": number[room] for room in STRICT_ROOMS}
    return counts


def starting_times(root: Path) -> Counts:
    """Measure seconds of `python -m PACKAGE --help` and of importing it, the median of five."""
    commands = {
        f"seconds of {root.name} --help": ["-m", root.name, "--help"],
        f"seconds of import {root.name}": ["-c", f"import {root.name}"],
        "seconds of an empty Python": ["-c", "pass"],
    }
    counts = Counts()
    for label, command in commands.items():
        seconds: list[float] = []
        for _ in range(TIMES):
            began = time.perf_counter()
            answer = run(command, root)
            seconds.append(time.perf_counter() - began)
            if answer.returncode:
                counts.rows[label] = "failed"
                counts.details[f"{label} failed"] = answer.stderr.strip().splitlines()[-1:]
                break
        else:
            counts.rows[label] = round(statistics.median(seconds), 3)
            counts.details[label] = seconds
    return counts
