"""Hold this work tree's results against those of an earlier commit, bit for bit.

    python tests/goldens/compare.py                       the commit in tests/goldens/BASE
    python tests/goldens/compare.py main --only task-chat writer-plain
    python tests/goldens/compare.py --list

Both sides run `produce.py` of this work tree with one thread, each with its own package on
PYTHONPATH. What the earlier commit produced is kept in the system's temporary folder, by commit,
producer, torch and processor, so that later only this work tree is run. The exit code is 1 where
anything differs, fails, or is there on one side alone.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
PRODUCER = (
    "produce.py",
    "bench.py",
    "toys.py",
    "uses.py",
    "kinds.py",
    "kinds_dials.py",
    "kinds_packaged.py",
    "kinds_tasks.py",
    "kinds_verbs.py",
)
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
    "COLUMNS": "120",
}
SHOWN = 100  # characters of a value that differs


@dataclass(frozen=True)
class Difference:
    """The first place where two results are not the same."""

    path: str
    old: str
    new: str


def main() -> int:
    """Read the command line, run both sides and print the table."""
    given = command_line()
    wanted = chosen(given.only, given.precision, given.slow)
    if given.list or not wanted:
        print("\n".join(wanted) or "No kind has such a name; --list names all.")
        return 0 if wanted else 2
    base = commit_of(given.base or (HERE / "BASE").read_text("utf-8").strip())
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="triptych-goldens-") as scratch:
        old, new = kept_folder(base), Path(scratch) / "new"
        run_old(base, old, wanted, given.fresh)
        print(f"The work tree: running {len(wanted)}.", file=sys.stderr)
        produce(given.source.resolve(), new, wanted)
        code = report(old, new, wanted)
        if given.keep is not None:
            left = shutil.ignore_patterns("data", "work", "cache")
            for side, folder in (("old", old), ("new", new)):
                shutil.copytree(folder, given.keep / side, dirs_exist_ok=True, ignore=left)
    print(f"Base {base[:12]}, {time.monotonic() - began:.0f} seconds.")
    return code


def command_line() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, both = parser.add_argument, ["float32", "bfloat16"]
    add("base", nargs="?", help="the commit to compare with instead of that in tests/goldens/BASE")
    add("--only", nargs="+", metavar="KIND", help="kinds, or the first letters of their names")
    add("--precision", nargs="+", choices=both, default=both)
    add("--slow", action="store_true", help="also kinds that take half a minute each")
    add("--keep", type=Path, metavar="FOLDER", help="keep the results of both sides there")
    add("--fresh", action="store_true", help="run the earlier commit again, whatever was kept")
    add("--source", type=Path, default=TREE / "src", help="another folder with the new package")
    add("--list", action="store_true", help="name the kinds and stop")
    return parser.parse_args()


# What is run --------------------------------------------------------------------------------------


def chosen(only: list[str] | None, precisions: list[str], slow: bool) -> list[str]:
    """Return PRECISION/KIND for every kind that is wanted."""
    listed = subprocess.run(
        [sys.executable, HERE / "produce.py", "--list"],
        env=environment(TREE / "src"),
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    found = [one for one in listed if one.split("/")[0] in precisions]
    if only is None:
        return [one for one in found if slow or "/slow-" not in one]
    return [one for one in found if one.split("/")[1].startswith(tuple(only))]


def commit_of(name: str) -> str:
    return subprocess.run(
        ["git", "rev-parse", f"{name}^{{commit}}"],
        cwd=TREE,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def kept_folder(base: str) -> Path:
    """Return where the results of the earlier commit are kept: by all that they depend on."""
    digest = hashlib.sha256()
    for name in PRODUCER:
        digest.update((HERE / name).read_bytes())
    data = os.environ.get("TRIPTYCH_DATA", "")
    for part in (
        base,
        importlib.metadata.version("torch"),
        platform.python_version(),
        processor(),
        data,
    ):
        digest.update(part.encode())
    return (
        Path(tempfile.gettempdir()) / "triptych-goldens" / f"{base[:12]}-{digest.hexdigest()[:12]}"
    )


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def run_old(base: str, folder: Path, wanted: list[str], fresh: bool) -> None:
    """Run the kinds whose results are not kept yet, in a copy of the earlier commit's package."""
    missing = [one for one in wanted if fresh or not (folder / f"{one}.json").is_file()]
    print(
        f"The base: running {len(missing)} of {len(wanted)}, the others are kept in {folder}.",
        file=sys.stderr,
    )
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="triptych-base-") as scratch:
        packed = subprocess.run(
            ["git", "archive", base, "src"], cwd=TREE, check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(scratch, filter="data")
        produce(Path(scratch) / "src", folder, missing)


def environment(source: Path) -> dict[str, str]:
    """Return the environment of a side: one thread, its own package."""
    return {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(source)}


def produce(source: Path, folder: Path, wanted: list[str]) -> None:
    """Run the producer in one process of its own with the package under `source`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, HERE / "produce.py", folder, "--source", source, "--wanted", *wanted]
    log = folder / "log.txt"
    with open(log, "wb") as file:
        done = subprocess.run(
            command,
            env=environment(source) | {"XDG_CACHE_HOME": str(folder / "cache")},
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    if done.returncode:
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-20:])
        raise SystemExit(f"The producer ended with {done.returncode}:\n{tail}")


# What is compared ---------------------------------------------------------------------------------


def report(old: Path, new: Path, wanted: list[str]) -> int:
    """Print a line for each kind. Return 1 where one differs or failed."""
    code, total, skipped, differing = 0, 0, 0, 0
    width = max(len(one) for one in wanted)
    for one in wanted:
        before, after = (
            json.loads((side / f"{one}.json").read_text("utf-8")) for side in (old, new)
        )
        failed = before.get("error") or after.get("error")
        sides = "on both sides" if "error" in before and "error" in after else "on one side"
        count = sum(1 for _ in leaves(before.get("values")))
        total += count
        if failed:
            code, said = 1, f"FAILED {sides}: {failed}"
        elif "skipped" in before["values"] and before["values"] == after["values"]:
            skipped, said = skipped + 1, f"skipped: {before['values']['skipped']}"
        elif (difference := first_difference(before["values"], after["values"])) is not None:
            code, differing = 1, differing + 1
            said = f"DIFFERS in {difference.path}: {difference.old} -> {difference.new}"
        else:
            said = "equal"
        print(f"{one:<{width}}  {count:>6}  {said}")
    print(f"{len(wanted)} kinds, {total:,} values, {differing} differ, {skipped} skipped.")
    return code


def first_difference(old: Any, new: Any, path: str = "") -> Difference | None:
    """Return the first place where two JSON values differ; numbers count as they are written."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            if key not in old or key not in new:
                sides = [
                    json.dumps(side[key])[:SHOWN] if key in side else "(missing)"
                    for side in (old, new)
                ]
                return Difference(f"{path}/{key}", *sides)
            if (found := first_difference(old[key], new[key], f"{path}/{key}")) is not None:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list):
        for place, (one, other) in enumerate(zip(old, new, strict=False)):
            if (found := first_difference(one, other, f"{path}/{place}")) is not None:
                return found
        return (
            None
            if len(old) == len(new)
            else Difference(path, f"{len(old)} items", f"{len(new)} items")
        )
    sides = [json.dumps(side, ensure_ascii=False) for side in (old, new)]
    return None if sides[0] == sides[1] else Difference(path, sides[0][:SHOWN], sides[1][:SHOWN])


def leaves(value: Any) -> Iterator[Any]:
    """Yield every value that is neither a list nor an object."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)
    else:
        yield value


if __name__ == "__main__":
    sys.exit(main())
