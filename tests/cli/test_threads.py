"""Test the number of threads, how they wait, and what is measured beside other programs."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_run import TINY

from triptych.cli import threads
from triptych.errors import UsageError
from triptych.model.config import ModelConfig
from triptych.presets import configure
from triptych.setup.draft import measured
from triptych.setup.draft.measured import Measured, measured_speed

Command = Callable[..., SimpleNamespace]
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove all settings of threads from the environment, and restore it."""
    for name in (*POOLS, *threads.WAITING, "TRIPTYCH_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "settled", threads.settled)
    return monkeypatch


def test_the_flag_is_taken_out_of_the_arguments() -> None:
    assert threads.take_threads(["predict", "run", "--threads", "2", "a"]) == (
        ["predict", "run", "a"],
        "2",
    )
    assert threads.take_threads(["--threads=3", "info"]) == (["info"], "3")
    # the last one counts
    assert threads.take_threads(["info", "--threads", "1", "--threads=2"]) == (["info"], "2")
    assert threads.take_threads(["predict", "run", "--", "--threads", "2"]) == (
        ["predict", "run", "--", "--threads", "2"],
        None,
    )


@pytest.mark.parametrize("given", ["0", "-1", "two", "1.5", ""])
def test_a_number_of_threads_is_a_whole_number_from_one(
    given: str, surroundings: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"--threads is .* whole number from 1"):
        threads.settle(given)
    if given:
        surroundings.setenv("TRIPTYCH_THREADS", given)
        with pytest.raises(UsageError, match=r"TRIPTYCH_THREADS is .* whole number from 1"):
            threads.settle()


def test_wrong_usage_of_the_flag(triptych: Command) -> None:
    done = triptych("info", "--threads")
    assert done.code == 2 and "--threads needs a number" in done.err
    done = triptych("data", "list", "--threads", "2")
    assert done.code == 2 and "--threads has no effect on `triptych data`" in done.err


def test_waiting_is_brief_unless_a_person_says_otherwise(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setattr(threads, "is_crowded", lambda number: False)
    threads.settle()
    assert os.environ["GOMP_SPINCOUNT"] == threads.SPINS and "OMP_WAIT_POLICY" not in os.environ
    assert not any(name in os.environ for name in POOLS)
    for name, value in (("GOMP_SPINCOUNT", "77"), ("OMP_WAIT_POLICY", "ACTIVE")):
        surroundings.delenv("GOMP_SPINCOUNT", raising=False)
        surroundings.setenv(name, value)
        threads.settle()
        assert os.environ[name] == value and os.environ.get("GOMP_SPINCOUNT", "77") == "77"
        surroundings.delenv(name)


def test_who_waits_sleeps_where_others_run(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setattr(threads, "is_crowded", lambda number: number > 1)
    threads.settle("2")
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE" and "GOMP_SPINCOUNT" not in os.environ
    surroundings.setattr(torch, "get_num_threads", lambda: 2)
    assert (
        threads.thread_notes()[0]
        == "Threads: 2 (--threads 2); waiting threads sleep, because other programs run."
    )
    surroundings.delenv("OMP_WAIT_POLICY")
    threads.settle("1")
    assert "OMP_WAIT_POLICY" not in os.environ


@pytest.mark.parametrize(
    ("running", "cores", "ours", "crowded"),
    [(1, 2, 2, False), (2, 2, 2, True), (2, 2, 1, False), (9, 64, 16, False)],
)
def test_a_machine_is_crowded_where_cores_are_too_few(
    running: int,
    cores: int,
    ours: int,
    crowded: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "loadavg").write_text(f"0.41 0.22 0.15 {running}/123 4567\n")
    monkeypatch.setattr(
        "builtins.open", lambda path, **how: (tmp_path / Path(path).name).open(**how)
    )
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert threads.is_crowded(ours) == crowded


def test_the_number_given_computes_and_is_said(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setenv("OMP_NUM_THREADS", "4")
    surroundings.setattr(threads, "is_crowded", lambda number: False)
    surroundings.setattr(
        torch,
        "set_num_threads",
        lambda number: surroundings.setattr(torch, "get_num_threads", lambda: number),
    )
    threads.settle("3")
    # the flag goes before the environment
    assert [os.environ[name] for name in POOLS] == ["3", "3", "3"]
    assert threads.thread_notes()[0] == "Threads: 3 (--threads 3)."
    surroundings.setenv("TRIPTYCH_THREADS", "2")
    threads.settle()
    assert threads.thread_notes()[0] == "Threads: 2 (TRIPTYCH_THREADS=2)."
    surroundings.delenv("TRIPTYCH_THREADS")
    threads.settle()
    assert threads.thread_notes()[0] == "Threads: 2 (OMP_NUM_THREADS=2)."


def test_that_others_keep_the_machine_busy_is_said(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setattr(os, "cpu_count", lambda: 4)
    surroundings.setattr(torch, "get_num_threads", lambda: 4)
    surroundings.setattr(threads, "is_crowded", lambda number: False)
    counters = {"now": (100.0, 500.0, 30.0)}
    surroundings.setattr(threads, "_counters", lambda: counters["now"])
    threads.settle()
    counters["now"] = (
        110.0,
        516.0,
        36.0,
    )  # 16 seconds of processor time in ten seconds, 6 of them ours
    assert threads.thread_notes()[1] == (
        "Other programs keep 1.0 of 4 cores busy, so this takes longer than on a quiet machine; "
        "--threads 3 may be faster."
    )
    counters["now"] = (110.0, 507.0, 36.0)
    assert len(threads.thread_notes()) == 1
    counters["now"] = (100.1, 500.1, 30.0)  # too short a time to measure
    assert threads.others((100.0, 500.0, 30.0)) is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/stat")
def test_our_own_work_is_not_that_of_others() -> None:
    before = threads._counters()
    assert before is not None
    while time.monotonic() - before[0] < 0.3:
        pass
    now = threads._counters()
    assert now is not None and 0 < now[2] - before[2] <= now[1] - before[1] + 0.05


def test_training_and_scoring_say_their_threads(
    triptych: Command, files: Path, trained: Path, tmp_path: Path
) -> None:
    done = triptych("train", files / "my.toml", "--out", tmp_path / "run", "--dry-run", *TINY)
    assert "Threads: 1 (OMP_NUM_THREADS=1)." in done.err
    assert "Threads: 1 (OMP_NUM_THREADS=1)." in triptych("evaluate", trained).err


def test_torch_takes_the_number_from_the_flag() -> None:
    free = {
        name: value
        for name, value in os.environ.items()
        if name not in (*POOLS, "TRIPTYCH_THREADS")
    }
    told = subprocess.run(
        [sys.executable, "-m", "triptych", "info", "--threads", "1"],
        env=free,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert any(line.split() == ["threads", "1"] for line in told.stdout.split("\n")), told


def small(preset: str) -> ModelConfig:
    config = configure(preset, {"width": 32, "heads": 2, "layers": 1})
    assert isinstance(config, ModelConfig)
    return dataclasses.replace(config, vocabulary_size=200)


def test_the_speed_that_is_measured_is_that_of_a_quiet_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = small("transformer-tiny")
    quiet, clock = measured_speed(config, 10, 400), time.monotonic
    # Others have the processor for 49 of 50 seconds. Python's own clock stays as it is: the threads
    # of other tests sleep by it.
    slow = SimpleNamespace(monotonic=lambda: 50 * clock(), thread_time=time.thread_time)
    monkeypatch.setattr(measured, "time", slow)
    busy = measured_speed(config, 10, 400)
    assert quiet.speed / 5 < busy.speed < 5 * quiet.speed
    assert (
        busy.slowdown > 10 * quiet.slowdown
        and "other programs keep this machine busy" in busy.words
    )


@pytest.mark.parametrize("preset", ["encoder-tiny", "decoder-tiny"])
def test_a_stack_alone_is_measured_too(preset: str) -> None:
    assert measured_speed(small(preset), 10, 100).speed > 0


def test_what_is_measured_is_said() -> None:
    assert (
        Measured(1000.0, 1.0).words == "(measured just now)"
        and "3.0 times as long" in Measured(1000.0, 3.0).words
    )
