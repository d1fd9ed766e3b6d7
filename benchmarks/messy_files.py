"""Do files as people have them go in? From a file of another tool to a trained run.

For each file of `messy_files_made.py`: `triptych init` with the arguments that the documentation
gives, then `triptych train` for a few steps. Where `init` stops, its message is searched for the
flag that it tells to give (`--encoding NAME`, `--columns ...`, `--source-language`), and `init` is
tried once more with it: such a file counts as told, not as unhelped.

    python benchmarks/messy_files.py [--only NAME ...] [--steps 30] [--keep FOLDER] [--json FILE]

Needs TRIPTYCH_DATA: the records come from public sets. About 20 seconds a file on two cores.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from messy_files_made import MAKERS

COMMAND = [sys.executable, "-m", "triptych"]
FLAG = re.compile(r"(--(?:encoding|columns|source-language|target-language)[ =][\w=,.+-]+)")


def run(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Run `triptych` in a folder. Returns its exit status and what it said."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def tried(name: str, folder: Path, steps: int) -> dict[str, object]:
    """Bring one file in. Returns what happened."""
    folder.mkdir(parents=True)
    arguments = MAKERS[name](folder)
    begin, told = time.perf_counter(), ""
    init = ["init", *arguments, "--out", "my.toml"]
    code, said = run(init, folder)
    found = FLAG.search(said) if code else None
    first = said
    if found is not None:
        told = found[1]
        code, said = run([*init, *re.split("[ =]", told, maxsplit=1)], folder)
    notes = [line for line in said.splitlines() if "left out" in line or "read as" in line]
    if code == 0:
        train = ["train", "my.toml", "--out", "run", "--training.steps", str(steps)]
        code, said = run(train, folder)
    return {
        "file": name,
        "from": (MAKERS[name].__doc__ or "").split("\n")[0],
        "init": " ".join(arguments),
        "went_in": code == 0,
        "told": told,
        "said": first.strip().splitlines()[-1:] if told else [],
        "notes": notes if code == 0 else said.strip().splitlines()[-2:],
        "seconds": round(time.perf_counter() - begin, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="*", choices=MAKERS, default=list(MAKERS))
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="a folder that must not exist yet")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as held:
        for name in given.only:
            one = tried(name, (given.keep or Path(held)) / name, given.steps)
            results.append(one)
            how = f"told {one['told']}" if one["told"] else "unhelped"
            print(f"{name:22} {how if one['went_in'] else 'FAILED':28} {one['seconds']:>6} s")
            for line in [*one["said"], *one["notes"]]:  # type: ignore[misc]
                print(f"    {line[:160]}")
            sys.stdout.flush()
    went = sum(bool(one["went_in"]) for one in results)
    unhelped = sum(bool(one["went_in"]) and not one["told"] for one in results)
    print(f"{len(results)} files: {went} went in, {unhelped} of them unhelped.")
    if given.json is not None:
        given.json.write_text(json.dumps(results, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
