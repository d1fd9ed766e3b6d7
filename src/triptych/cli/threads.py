"""How many threads compute, and how they wait for each other. Set before torch is loaded, which
reads it once; imports no torch.

Threads share every small product out and meet again after it. By default (libgomp) who comes first
looks for the others up to 300,000
times, some milliseconds, before he sleeps: where another program has one of the cores, he keeps it
from the very thread that he waits for, and the whole is several times slower than one thread alone.
So who waits looks for a shorter while, which costs nothing on a quiet machine, or sleeps at once,
which costs some hundredths there, where other programs run already (benchmarks/threads.py). The
number stays what it
is however busy the machine: with another the sums round otherwise, and the same seed gave other
    weights.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from ..errors import UsageError

# looks before a thread sleeps: 5,000 cost 6 % on a quiet machine, these nothing (RESULTS.md)
SPINS = "20000"
# how often, and how many seconds apart, it is asked how many others run
SAMPLES, BETWEEN = 5, 0.004
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # a person's own word on it counts
# of torch, of its products, of the tokenizers
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
BUSY_CORES = 0.4  # what other programs may take before it is said


@dataclass(frozen=True)
class Settled:
    """What was chosen when the command began."""

    why: str  # who gave the number
    sleeps: bool  # who waits sleeps at once, because other programs run
    counters: tuple[float, float, float] | None  # of the processors at that time: see `_counters`


settled = Settled("", False, None)


def take_threads(arguments: list[str]) -> tuple[list[str], str | None]:
    """`--threads N` taken out of the arguments; after `--` everything is text."""
    rest, given = list(arguments), None
    end = rest.index("--") if "--" in rest else len(rest)
    for place in reversed(range(end)):
        if rest[place].startswith("--threads="):
            given = given or rest.pop(place).partition("=")[2]
        elif rest[place] == "--threads":
            if place + 1 >= end:
                raise UsageError("--threads needs a number, for example --threads 1.")
            given = given or rest[place + 1]
            del rest[place : place + 2]
    return rest, given


def settle(given: str | None = None) -> None:
    """Brief waiting, and the number of threads where --threads or $TRIPTYCH_THREADS gives one.
    Raises UsageError for what is none.
    """
    global settled
    name, value = (
        ("--threads", given)
        if given is not None
        else ("TRIPTYCH_THREADS", os.environ.get("TRIPTYCH_THREADS") or None)
    )
    between = " " if given is not None else "="
    if value is not None:
        if not (value.isascii() and value.isdigit() and int(value) > 0):
            raise UsageError(
                f"{name} is {value!r}; it must be a whole number from 1, for example "
                f"{name}{between}1."
            )
        os.environ.update(dict.fromkeys(POOLS, value))
        if "torch" in sys.modules:  # it has read the environment already
            sys.modules["torch"].set_num_threads(int(value))
        why = f"{name}{between}{value}"
    elif "OMP_NUM_THREADS" in os.environ:
        why = f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"
    else:
        why = "one for each core; --threads N takes another number"
    sleeps = False
    if not any(name in os.environ for name in WAITING):
        sleeps = is_crowded(_wanted())
        os.environ.update({"OMP_WAIT_POLICY": "PASSIVE"} if sleeps else {"GOMP_SPINCOUNT": SPINS})
    settled = Settled(why, sleeps, _counters())


def thread_notes() -> list[str]:
    """The number of threads and why; and that others keep the machine busy, where they do. Loads
    torch.
    """
    import torch

    number = torch.get_num_threads()
    asleep = (
        "; they wait asleep, because other programs run" if settled.sleeps and number > 1 else ""
    )
    lines = [
        f"Threads: {number} ({settled.why}){asleep}." if settled.why else f"Threads: {number}."
    ]
    taken, cores = others(settled.counters), os.cpu_count() or 1
    if taken is not None and taken > BUSY_CORES:
        hint = (
            f"; --threads {max(1, int(cores - taken + 0.5))} may be faster"
            if number > max(1, cores - taken + 0.5)
            else ""
        )
        lines.append(
            f"Other programs keep {taken:.1f} of {cores} cores busy: it takes longer than on a "
            f"quiet machine{hint}."
        )
    return lines


def others(before: tuple[float, float, float] | None) -> float | None:
    """Cores that other programs have kept busy since `before`; None where the system does not
    say.
    """
    now = _counters()
    if before is None or now is None or now[0] - before[0] < 0.2:
        return None
    passed, busy, own = (late - early for late, early in zip(now, before, strict=True))
    return max(0.0, (busy - own) / passed)


def is_crowded(threads: int) -> bool:
    """Whether so many threads of ours and what runs now need more cores than there are; False where
    the system does not say.
    """
    running = []
    for _ in range(SAMPLES):
        try:
            with open("/proc/loadavg", encoding="ascii") as file:
                running.append(int(file.read().split()[3].partition("/")[0]) - 1)  # without us
        except (OSError, ValueError, IndexError):
            return False
        time.sleep(BETWEEN)
    return threads > 1 and sorted(running)[SAMPLES // 2] + threads > (os.cpu_count() or 1)


def _wanted() -> int:
    """Threads that torch will take: those of the environment, or one for each core that this
    process may use.
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdigit():
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _counters() -> tuple[float, float, float] | None:
    """(seconds of the clock, processor seconds of the whole machine, of this process); None where
    there is no /proc/stat.
    """
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:8])
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    own = os.times()
    return time.monotonic(), (user + nice + system + sum(interrupts)) / ticks, sum(own[:4])
