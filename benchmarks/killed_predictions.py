"""Do n processes that are killed at random moments and started again answer a file with the same
bytes as one process that nobody stops?

    python benchmarks/killed_predictions.py RUN [--texts FILE] [--lines 1000000] [--workers 2]
        [--kills 20] [--longest 30] [--seed 1] [--threads 1] [--folder FOLDER] [FLAG ...]

Draws the lines from FILE (without it, from words), answers them once in one process, then in
`--workers` shares while SIGKILL strikes one of them after up to `--longest` seconds, until there
were enough kills; each is started again until its share is complete. Then the shares are joined.
Further flags, like --jsonl, go to `triptych predict`. Prints one JSON object with the largest
memory of a process; the exit code is 1 where the bytes differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

WORDS = ("the", "cat", "sees", "small", "dog", "old", "teacher", "likes", "river", "and", "not")
TICK_SECONDS = 0.05


@dataclass
class Process:
    """Hold a command that runs, and what it used when it has ended."""

    command: list[str]
    began: float = field(default_factory=time.monotonic)
    process: subprocess.Popen[bytes] = field(init=False)
    told: IO[bytes] = field(init=False)
    code: int | None = None
    peak_bytes: int = 0

    def __post_init__(self) -> None:
        self.told = tempfile.TemporaryFile()  # noqa: SIM115  # A pipe that is not read fills up.
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=self.told)

    def ended(self, wait: bool = False) -> bool:
        """Tell whether it has ended; its errors are read then."""
        if self.code is None:
            number, status, used = os.wait4(self.process.pid, 0 if wait else os.WNOHANG)
            if number:
                self.code = self.process.returncode = os.waitstatus_to_exitcode(status)
                self.peak_bytes = used.ru_maxrss * 1024
        return self.code is not None

    def errors(self) -> str:
        self.told.seek(0)
        return self.told.read().decode(errors="replace")


def write_lines(path: Path, texts: list[str] | None, count: int, rng: random.Random) -> None:
    """Write `count` lines, one at a time."""
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            words = rng.choices(WORDS, k=rng.randint(1, 12)) if texts is None else ()
            file.write(f"{rng.choice(texts) if texts is not None else ' '.join(words)}\n")


def once(command: list[str]) -> tuple[float, int]:
    """Run a command to its end; return its seconds and its largest memory."""
    process = Process(command)
    process.ended(wait=True)
    if process.code != 0:
        sys.exit(f"{' '.join(command)} failed:\n{process.errors()}")
    return time.monotonic() - process.began, process.peak_bytes


def shares(
    command: list[str], workers: int, kills: int, longest: float, rng: random.Random
) -> dict[str, float | int]:
    """Run all shares to their end while processes are killed."""
    began, struck, starts, peak = time.monotonic(), 0, workers, 0
    running = {k: Process([*command, "--shard", f"{k}/{workers}"]) for k in range(1, workers + 1)}
    due = began + rng.uniform(0, longest)
    while running:
        time.sleep(TICK_SECONDS)
        if struck < kills and time.monotonic() >= due:
            running[rng.choice(list(running))].process.send_signal(signal.SIGKILL)
            struck, due = struck + 1, time.monotonic() + rng.uniform(0, longest)
        for number, one in list(running.items()):
            if not one.ended():
                continue
            peak = max(peak, one.peak_bytes)
            if one.code == 0:
                del running[number]
            elif one.code == -signal.SIGKILL:
                running[number] = Process(one.command)
                starts += 1
            else:
                sys.exit(f"shard {number} failed:\n{one.errors()}")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "kills": struck,
        "starts": starts,
        "peak_bytes": peak,
    }


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    given, flags = parser.parse_known_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        lines, whole, joined = (Path(folder) / name for name in ("lines.txt", "whole", "joined"))
        texts = given.texts.read_text("utf-8").split("\n") if given.texts is not None else None
        write_lines(lines, texts, given.lines, rng)
        base = [sys.executable, "-m", "triptych", "predict", given.run, str(lines), *flags]
        base += ["--threads", str(given.threads), "--out"]
        seconds, peak = once([*base, str(whole)])
        found = shares([*base, str(joined)], given.workers, given.kills, given.longest, rng)
        join_seconds, join_peak = once([*base, str(joined), "--shard", "join"])
        equal = digest(whole) == digest(joined)
        print(
            json.dumps(
                {
                    "lines": given.lines,
                    "bytes": whole.stat().st_size,
                    "equal": equal,
                    "one_process": {"seconds": round(seconds, 1), "peak_bytes": peak},
                    "shares": {"workers": given.workers, **found},
                    "join": {"seconds": round(join_seconds, 1), "peak_bytes": join_peak},
                    "seed": given.seed,
                }
            )
        )
    return int(not equal)


if __name__ == "__main__":
    sys.exit(main())
