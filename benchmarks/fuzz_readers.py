"""Can a damaged file of any format bring an error of triptych itself, a hang, or a full memory?

    python benchmarks/fuzz_readers.py [--files 2000] [--seed 1] [--format NAME ...] [--first 0]
        [--seconds 20] [--gigabytes 1.5] [--keep DIR] [--json FILE]

Small whole files of every format are damaged in many ways (fuzz_mutations.py) and given to the
commands that a user has for them (fuzz_formats.py): data check and stats, init, train --dry-run,
info, predict, train --resume, import. Every one must be read, or refused by an error of the
project's own. A worker process reads them one by one; it may take so many seconds of CPU time for
a file, and map so many gigabytes more than it had. The same seed gives the same files. The format
"planted" holds faults of its own, by which this program is tested.

Prints a table; exit code 1 where something else was found. With --keep the damaged files lie in
DIR/FORMAT-NUMBER, with what happened in traceback.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import fuzz_formats as formats
import fuzz_mutations as damage

IDLE = 60  # times the limit of CPU seconds that a worker may take by the clock
START = 300  # seconds in which a worker has made the whole files of a format
TRACE = "traceback.txt"
OURS = f"{os.sep}triptych{os.sep}"  # in the name of a file of the project
MEASURED = 1000.0, 1.0  # stands in for the speed that `init` measures
ENDLESS = resource.RLIM_INFINITY


@dataclass
class Result:
    """What came of one damaged file. found: kind of what must not be -> its last line and place."""

    number: int
    refused: bool = False
    found: dict[str, str] = field(default_factory=dict)
    trace: str = ""
    bytes: int = 0  # that the worker grew by while it read, at most


def chance(seed: int, name: str, number: int) -> random.Random:
    """Give the generator of a file: the same on every machine."""
    return random.Random(f"{seed}:{name}:{number}")


def damaged(name: str, rng: random.Random) -> tuple[formats.Seed, str, bytes]:
    """Give a seed of a format, which of its files is damaged, and what that file holds then."""
    seed = rng.choice(formats.seeds(name))
    path = rng.choice(sorted(seed.damaged))
    return seed, path, damage.mutated(seed.files[path], seed.damaged[path], rng)


def write(seed: formats.Seed, path: str, content: bytes) -> None:
    """Write the files of a seed into this folder, one of them damaged."""
    for name, whole in seed.files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content if name == path else whole)
    if seed.after is not None:
        seed.after()


def read(seed: formats.Seed, result: Result) -> None:
    """Run all ways of a seed in this folder; what is no error of the project's own is found."""
    from triptych.errors import TriptychError

    for way in seed.ways:
        try:
            formats.run(way)
        except TriptychError:
            result.refused = True
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            kind = "memory" if isinstance(error, MemoryError) else "foreign"
            result.found.setdefault(kind, f"{_called(way)}: {_last(error)}")
            with contextlib.suppress(RecursionError):
                lines = traceback.format_exception(error, limit=-30)
                result.trace += f"{_called(way)}\n{''.join(lines)}\n"


def _called(way: formats.Way) -> str:
    return getattr(way, "__name__", "") if callable(way) else f"triptych {' '.join(way)}"


def _last(error: BaseException) -> str:
    """Give the kind of an error, its text, and where in the project it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if OURS in frame.filename]
    where = f" ({Path(places[-1].filename).name}:{places[-1].lineno})" if places else ""
    return f"{type(error).__name__}{where}: {str(error)[:200]!r}"


# The worker ---------------------------------------------------------------------------------------


def quietly() -> None:
    """Send what the commands print nowhere, and let `init` measure no speed."""
    import triptych.setup.draft.measured as measured

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    for stream in (sys.stdout, sys.stderr):  # as the command line does
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    measured.measured_speed = lambda *given, **named: measured.Measured(*MEASURED)


def serve(
    name: str, seed: int, seconds: float, gigabytes: float, folder: str, asked: Connection
) -> None:  # fmt: skip
    """Read the files whose numbers come through `asked`, and send back a Result each."""
    trace = open(Path(folder) / TRACE, "w")  # noqa: SIM115  # to the end of the process
    faulthandler.enable(trace)  # of a crash
    faulthandler.register(signal.SIGXCPU, trace, chain=True)  # of a hang; then the process dies
    quietly()
    with contextlib.suppress(Exception):  # first calls import much, which is no growth
        whole = formats.seeds(name)[0]
        with formats.here():
            write(whole, "", b"")
            read(whole, Result(0))
    asked.send("ready")
    while (number := asked.recv()) is not None:
        chosen, path, content = damaged(name, chance(seed, name, number))
        result = Result(number)
        with formats.here(), limited(seconds, gigabytes, result):
            write(chosen, path, content)
            read(chosen, result)
        asked.send(result)


@contextlib.contextmanager
def limited(seconds: float, gigabytes: float, result: Result) -> Iterator[None]:
    """Bound the CPU seconds and the memory of what is done inside, and measure its memory."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = round(used.ru_utime + used.ru_stime + seconds)
    before = _memory("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the highest point counts from here
    room = _memory("VmSize") + round(gigabytes * 1e9)
    resource.setrlimit(resource.RLIMIT_CPU, (most, ENDLESS))
    resource.setrlimit(resource.RLIMIT_AS, (room, ENDLESS))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (ENDLESS, ENDLESS))
        resource.setrlimit(resource.RLIMIT_CPU, (ENDLESS, ENDLESS))
        result.bytes = max(0, _memory("VmHWM") - before)


def _memory(name: str) -> int:
    """Give bytes of this process as Linux counts them."""
    lines = Path("/proc/self/status").read_text().split("\n")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


class Worker:
    """A process that reads, and that is begun anew when it died or had to be ended."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        self.name, self.options = name, options
        self.folder = tempfile.mkdtemp(prefix="triptych-fuzz-")
        context = multiprocessing.get_context("spawn")
        self.line, other = context.Pipe()
        self.process = context.Process(
            target=serve,
            args=(name, options.seed, options.seconds, options.gigabytes, self.folder, other),
            daemon=True,
        )
        self.process.start()
        other.close()
        if not self.line.poll(START):
            raise SystemExit(f"The whole files of {name} were not made in {START} s.")
        self.line.recv()

    def read(self, number: int) -> Result:
        """Give the Result of a file; of one that ends the worker, how it ended."""
        self.line.send(number)
        try:
            if self.line.poll(IDLE * self.options.seconds):
                return self.line.recv()
            how = "hang", f"no end in {IDLE * self.options.seconds:g} s"
        except EOFError:
            self.process.join()
            code = self.process.exitcode or 0
            if -code == signal.SIGXCPU:
                how = "hang", f"over {self.options.seconds:g} s of CPU time"
            else:
                how = "foreign", f"the process died (exit code {code})"
        trace = (Path(self.folder) / TRACE).read_text(errors="replace")
        place = next((line.strip() for line in trace.split("\n") if OURS in line), "")
        return Result(number, found={how[0]: f"{how[1]} {place}"}, trace=trace)

    def end(self) -> None:
        """End the process and remove its folder."""
        self.process.kill()
        self.process.join()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(formats.folder_of(self.process.pid or 0), ignore_errors=True)


# The table ----------------------------------------------------------------------------------------


@dataclass
class Row:
    """Counts of a format. found: kind and place -> how often; first: its first number."""

    format: str
    files: int = 0
    refused: int = 0
    read: int = 0
    foreign: int = 0
    hangs: int = 0
    memory: int = 0  # over the limit
    bytes: int = 0  # the most that a file took
    seconds: float = 0.0
    found: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        self.files += 1
        self.foreign += "foreign" in result.found
        self.hangs += "hang" in result.found
        self.memory += "memory" in result.found
        self.refused += result.refused and not result.found
        self.read += not result.refused and not result.found
        self.bytes = max(self.bytes, result.bytes)
        for kind, text in result.found.items():
            place = text if kind == "hang" else text.split(": ", 1)[-1].split(": ")[0]
            what = f"{kind}: {place}"
            self.found[what] += 1
            self.first.setdefault(what, result.number)


def keep(folder: Path, name: str, result: Result, seed: int) -> None:
    """Write a damaged file with its company, and what happened."""
    chosen, path, content = damaged(name, chance(seed, name, result.number))
    place = folder / f"{name}-{result.number}"
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(place):
        write(chosen, path, content)
    said = "".join(f"{kind}: {text}\n" for kind, text in result.found.items())
    (place / TRACE).write_text(f"Damaged: {path}\n{said}\n{result.trace}", errors="replace")


def fuzz(name: str, options: argparse.Namespace) -> Row:
    """Read all damaged files of a format."""
    row, began, worker = Row(name), time.monotonic(), Worker(name, options)
    for number in range(options.first, options.first + options.files):
        result = worker.read(number)
        row.add(result)
        if result.found:
            print(f"{name} {number}: {result.found}", file=sys.stderr, flush=True)
            if options.keep:
                keep(options.keep, name, result, options.seed)
        if not worker.process.is_alive() or "hang" in result.found:
            worker.end()
            worker = Worker(name, options)
    worker.end()
    row.seconds = time.monotonic() - began
    return row


HEAD = ("format", "files", "refused", "read", "foreign", "hangs", "memory", "most MB", "seconds")


def line(cells: tuple[object, ...]) -> str:
    """Give a line of the table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main() -> int:
    """Fuzz the formats asked for and print the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--files", type=int, default=2000, help="of each format")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--seed", type=int, default=1)
    known = list(formats.FORMATS)
    parser.add_argument("--format", nargs="*", choices=[*known, "planted"], default=known)
    parser.add_argument("--seconds", type=float, default=20.0, help="of CPU time for a file")
    parser.add_argument("--gigabytes", type=float, default=1.5, help="of address space for a file")
    parser.add_argument("--keep", type=lambda text: Path(text).resolve())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers
    rows = []
    print(line(HEAD) + "\n" + line(("---",) * len(HEAD)), flush=True)
    for name in options.format:
        row = fuzz(name, options)
        rows.append(row)
        counts = (row.files, row.refused, row.read, row.foreign, row.hangs, row.memory)
        print(line((name, *counts, round(row.bytes / 1e6), round(row.seconds))), flush=True)
    for row in rows:
        for what, count in row.found.most_common():
            print(f"{row.format}: {count} x {what} (first: {row.first[what]})")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return int(any(row.foreign or row.hangs or row.memory for row in rows))


if __name__ == "__main__":
    sys.exit(main())
