"""Set how many threads compute and how they wait for each other.

This happens before torch is loaded, because torch reads these settings once. The module imports no
torch.

Threads share every small product and synchronise after it. By default (libgomp) a thread that is
done spins up to 300,000 times, for some milliseconds, before it sleeps. Where another program
occupies one of the cores, it thereby keeps the core from the very thread that it waits for, and the
whole is several times slower than a single thread. Waiting threads therefore spin for a shorter
time, which costs nothing on a quiet machine, or sleep at once where other programs run already,
which costs a few hundredths (benchmarks/threads.py).

The number of threads does not depend on how busy the machine is: with another number the sums are
rounded differently, and the same seed would give other weights.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from ..errors import UsageError
from ..messages import message
from .given import take_value

# Spins before a thread sleeps: 5,000 cost 6 % on a quiet machine, these cost nothing (RESULTS.md).
SPINS = "20000"
# How often, and how many seconds apart, the number of running processes is sampled.
SAMPLES, BETWEEN = 5, 0.004
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # Left alone where the user has set them.
# The thread pools of torch, of its matrix products and of the tokenizers.
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
BUSY_CORES = 0.4  # Cores that other programs may use before a notice is printed.


@dataclass(frozen=True)
class Settled:
    """Hold what was chosen when the command began."""

    why: str  # where the number comes from
    sleeps: bool  # waiting threads sleep at once, because other programs run
    counters: tuple[float, float, float] | None  # processor time at that moment, see `_counters`


settled = Settled("", False, None)


def take_threads(arguments: list[str]) -> tuple[list[str], str | None]:
    """Split `--threads N` off the arguments."""
    return take_value(arguments, "--threads", "a number, for example --threads 1")


def settle(given: str | None = None) -> None:
    """Shorten the threads' waiting, and set their number from --threads or $TRIPTYCH_THREADS.

    Raises:
        UsageError: The number given is not a whole number from 1.
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
                "{name} is {value!r}; it must be a whole number from 1, for example "
                "{name}{between}1.",
                name=name,
                value=value,
                between=between,
            )
        os.environ.update(dict.fromkeys(POOLS, value))
        if "torch" in sys.modules:  # torch has already read the environment
            sys.modules["torch"].set_num_threads(int(value))
        why = f"{name}{between}{value}"
    elif "OMP_NUM_THREADS" in os.environ:
        why = f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"
    else:
        why = message("one per core; set another number with --threads N")
    sleeps = False
    if not any(name in os.environ for name in WAITING):
        sleeps = is_crowded(_wanted())
        os.environ.update({"OMP_WAIT_POLICY": "PASSIVE"} if sleeps else {"GOMP_SPINCOUNT": SPINS})
    settled = Settled(why, sleeps, _counters())


def thread_notes() -> list[str]:
    """Return the number of threads and its reason, and whether others keep the machine busy."""
    import torch

    number = torch.get_num_threads()
    asleep = (
        message("; waiting threads sleep, because other programs run")
        if settled.sleeps and number > 1
        else ""
    )
    lines: list[str] = [
        message("Threads: {number} ({why}){asleep}.", number=number, why=settled.why, asleep=asleep)
        if settled.why
        else message("Threads: {number}.", number=number)
    ]
    taken, cores = others(settled.counters), os.cpu_count() or 1
    if taken is not None and taken > BUSY_CORES:
        hint = (
            message("; --threads {number} may be faster", number=max(1, int(cores - taken + 0.5)))
            if number > max(1, cores - taken + 0.5)
            else ""
        )
        lines.append(
            message(
                "Other programs keep {taken:.1f} of {cores} cores busy, so this takes "
                "longer than on a quiet machine{hint}.",
                taken=taken,
                cores=cores,
                hint=hint,
            )
        )
    return lines


def others(before: tuple[float, float, float] | None) -> float | None:
    """Return how many cores other programs have kept busy since `before`.

    None where the system does not report it.
    """
    now = _counters()
    if before is None or now is None or now[0] - before[0] < 0.2:
        return None
    passed, busy, own = (late - early for late, early in zip(now, before, strict=True))
    return max(0.0, (busy - own) / passed)


def is_crowded(threads: int) -> bool:
    """Tell whether `threads` of ours and all running processes need more cores than there are.

    False where the system does not report it.
    """
    running = []
    for _ in range(SAMPLES):
        try:
            with open("/proc/loadavg", encoding="ascii") as file:
                # This process is not counted.
                running.append(int(file.read().split()[3].partition("/")[0]) - 1)
        except (OSError, ValueError, IndexError):
            return False
        time.sleep(BETWEEN)
    return threads > 1 and sorted(running)[SAMPLES // 2] + threads > (os.cpu_count() or 1)


def _wanted() -> int:
    """Return how many threads torch will use: by the environment, else one per usable core."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdigit():
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _counters() -> tuple[float, float, float] | None:
    """Return the clock, and the processor time of the whole machine and of this process.

    All in seconds; None where there is no /proc/stat.
    """
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:8])
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    own = os.times()
    return time.monotonic(), (user + nice + system + sum(interrupts)) / ticks, sum(own[:4])
