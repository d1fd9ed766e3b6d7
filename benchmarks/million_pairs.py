"""How long, and with how much memory, is a large set checked, drafted, prepared, cut into shards?

    python benchmarks/million_pairs.py --pairs 1000000 --folder FOLDER [--stages check init]
    python benchmarks/million_pairs.py --lines 10000000 --folder FOLDER --stages shards
    [--source SRC] [--processes N]

The lines are those of tatoeba-en-de ($TRIPTYCH_DATA), repeated: after the first pass each line is
two sentences, of which the second changes with the pass, so that all pairs are distinct. Every
stage is a process of its own: `check` and `init` are the commands, `prepare` is `train --dry-run`,
`stages` gives the seconds of each stage of `prepare`, and `shards` cuts plain text into token
shards. Memory is the largest sum over the process and its children (proportional set sizes, sampled
every 0.1 s) and the largest resident set of one process. `--source` names the source folder of
another commit, for figures before a change. Prints one JSON object a stage.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ONE, OTHER = 7919, 104729  # primes: the second sentence of line i in pass k is i * ONE + k * OTHER
RECIPE = """
[task]
name = "translation"
[data]
source = "en"
target = "de"
train = {train}
[tokenizer]
vocabulary_size = 24000
[model]
preset = "transformer-base"
[batches]
batch_tokens = 8192
[training]
steps = 10
"""
TEXTS = """
[task]
name = "language-modelling"
[data]
train = {train}
stream = true
[tokenizer]
vocabulary_size = 8000
[model]
preset = "decoder-tiny"
[training]
steps = 1
"""
STAGES = """
import json, resource, sys, time
from pathlib import Path
from triptych.recipe.schema import Recipe
from triptych.setup import data, job, model, resolve, tokenizer
def clock(name, call):
    begun = time.monotonic()
    result = call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"stage": name, "seconds": round(time.monotonic() - begun, 1),
                      "peak_mb": peak // 1024}), flush=True)
    return result
recipe = Recipe.load(sys.argv[1])
found = resolve.resolve(recipe, Path(sys.argv[2]), resume=False, dry=True, report=print,
                        data_changed=False)
loaded = clock("load_data", lambda: data.load_data(found))
tokenized = clock("tokenize", lambda: tokenizer.tokenize(loaded))
built = clock("build_model", lambda: model.build_model(tokenized))
made = clock("job_of", lambda: job.job_of(built))
prepared = job.Prepared(built=built, job=made)
clock("describe", prepared.describe)
"""


def pairs() -> list[tuple[str, str]]:
    """Return the pairs of tatoeba-en-de."""
    path = Path(os.environ["TRIPTYCH_DATA"]) / "tatoeba-en-de" / "deu.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [(line.split("\t")[0], line.rstrip("\n").split("\t")[1]) for line in file]


def write(folder: Path, count: int) -> list[str]:
    """Write `count` aligned lines, unless they are there; return the two files."""
    paths = [folder / f"{count}.en", folder / f"{count}.de"]
    if not all(path.is_file() for path in paths):
        base = pairs()
        with (
            open(paths[0], "w", encoding="utf-8") as one,
            open(paths[1], "w", encoding="utf-8") as two,
        ):
            for number in range(count):
                turn, place = divmod(number, len(base))
                source, target = base[place]
                if turn:
                    more = base[(place * ONE + turn * OTHER) % len(base)]
                    source, target = f"{source} {more[0]}", f"{target} {more[1]}"
                one.write(source + "\n")
                two.write(target + "\n")
    return [str(path) for path in paths]


def write_texts(folder: Path, count: int) -> list[str]:
    """Write `count` lines of plain text, a document of five lines each; return the file."""
    path = folder / f"{count}.txt"
    if not path.is_file():
        base = pairs()
        with open(path, "w", encoding="utf-8") as file:
            for number in range(count):
                turn, place = divmod(number, len(base))
                text = base[place][0]
                if turn:
                    text = f"{text} {base[(place * ONE + turn * OTHER) % len(base)][0]}"
                file.write(text + ("\n\n" if number % 5 == 4 else "\n"))
    return [str(path)]


def proportional(root: int) -> int:
    """Return the sum of the proportional set sizes of a process and its children, in bytes."""
    total, pending = 0, [root]
    while pending:
        one = pending.pop()
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            for task in Path(f"/proc/{one}/task").iterdir():
                pending += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):
            continue
        total += next(
            (int(line.split()[1]) * 1024 for line in rollup.splitlines() if line[:4] == "Pss:"), 0
        )
    return total


def measured(command: list[str], source: Path, **environment: str) -> dict[str, Any]:
    """Run a command; return its seconds, memory and last line of output."""
    variables = {**os.environ, "PYTHONPATH": str(source), **environment}
    begun, most, over = time.monotonic(), [0], threading.Event()
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as child:  # fmt: skip

        def sample() -> None:
            while not over.wait(0.1):
                most[0] = max(most[0], proportional(child.pid))

        watcher = threading.Thread(target=sample)
        watcher.start()
        assert child.stdout is not None, "the output is a pipe"
        said = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        watcher.join()
    return {
        "seconds": round(time.monotonic() - begun, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": most[0] >> 20,
        "largest_process_mb": used.ru_maxrss >> 10,
        "exit": child.returncode,
        "said": said.strip().splitlines()[-12:],
    }


def command_of(stage: str, files: list[str], folder: Path, processes: int | None) -> list[str]:
    """Return the command of a stage; recipes are written into the folder."""
    triptych = [sys.executable, "-m", "triptych"]
    recipe, drafted = folder / f"{stage}.toml", folder / "drafted.toml"
    drafted.unlink(missing_ok=True)
    text = TEXTS if stage == "shards" else RECIPE
    recipe.write_text(text.format(train=json.dumps(files)), "utf-8")
    if stage == "check":
        return [*triptych, "data", "check", *files]
    if stage == "init":
        return [*triptych, "init", "translation", "--source", files[0], "--target", files[1],
                "--out", str(drafted)]  # fmt: skip
    if stage == "stages":
        return [sys.executable, "-c", STAGES, str(recipe), str(folder / "run")]
    if stage == "prepare":
        return [*triptych, "train", str(recipe), "--dry-run", "--out", str(folder / "run")]
    more = [] if processes is None else ["--processes", str(processes)]
    return [*triptych, "data", "shards", str(recipe), *more]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", default=["check", "init", "prepare"])
    parser.add_argument("--source", type=Path, default=ROOT / "src")
    parser.add_argument("--processes", type=int)
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for stage in given.stages:
        is_text = stage == "shards"
        count = given.lines if is_text else given.pairs
        files = (write_texts if is_text else write)(folder, count)
        command = command_of(stage, files, folder, given.processes)
        found = measured(command, given.source.resolve(), XDG_CACHE_HOME=str(folder / "cache"))
        print(
            json.dumps({"stage": stage, "records": count, **found}, ensure_ascii=False), flush=True
        )


if __name__ == "__main__":
    main()
