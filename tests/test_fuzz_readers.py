"""Damaged files of every format are read, or refused by an error of the project's own.

`benchmarks/fuzz_readers.py` is the long form, with a worker process and bounds of time and memory.
"""

from __future__ import annotations

import importlib
import signal
from argparse import Namespace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from triptych.setup.draft.measured import Measured

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FORMATS = (
    "pairs", "tsv", "csv", "jsonl", "text", "conll", "conllu", "squad", "srt", "chat", "recipe",
    "run-config", "run-labels", "run-metrics", "run-tokenizer", "run-recipe", "run-weights",
    "run-data", "run-state", "run-complete", "run-optimizer",
    "run-imported", "hf-config", "hf-tokenizer",
    "hf-tokenizer-config", "hf-weights", "hf-index", "llama2.c",
)  # fmt: skip
WHOLE = (  # all seeds are in one of these
    *FORMATS[:11], "run-recipe", "run-state", "run-imported", "hf-config", "hf-index", "llama2.c",
)  # fmt: skip
SECONDS, GIGABYTES = 20.0, 1.5


@pytest.fixture(scope="module")
def fuzz() -> Any:
    """The module of the long form; nothing that `init` would measure is measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        module = importlib.import_module("fuzz_readers")
        measured = Measured(*module.MEASURED)
        patch.setattr(
            "triptych.setup.draft.measured.measured_speed", lambda *given, **named: measured
        )
        yield module


def _too_long(number: int, frame: object) -> None:
    raise AssertionError(f"over {SECONDS:g} s of CPU time for one file")


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(fuzz: Any, name: str) -> None:
    before = signal.signal(signal.SIGXCPU, _too_long)

    @settings(
        max_examples=6 if name.startswith(("run", "hf", "llama")) else 12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.randoms(use_true_random=False))
    def check(rng: Random) -> None:
        seed, path, content = fuzz.damaged(name, rng)
        note(f"{path}: {content[:2000]!r}")
        result = fuzz.Result(0)
        with fuzz.formats.here(), fuzz.limited(SECONDS, GIGABYTES, result):
            fuzz.write(seed, path, content)
            fuzz.read(seed, result)
        assert not result.found, f"{result.found}\n{result.trace}"

    try:
        check()
    finally:
        signal.signal(signal.SIGXCPU, before)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_read(fuzz: Any, name: str) -> None:
    for place, seed in enumerate(fuzz.formats.seeds(name)[:: 13 if name == "recipe" else 1]):
        result = fuzz.Result(0)
        with fuzz.formats.here():
            fuzz.write(seed, "", b"")
            fuzz.read(seed, result)
        assert not result.found and not result.refused, f"seed {place}: {result}"


def test_no_format_is_forgotten(fuzz: Any) -> None:
    assert list(FORMATS) == list(fuzz.formats.FORMATS)


def test_what_must_not_be_is_found(fuzz: Any, tmp_path: Path) -> None:
    options = Namespace(files=4, first=0, seed=56, seconds=1.0, gigabytes=1.0, keep=tmp_path)
    row = fuzz.fuzz("planted", options)
    assert (row.files, row.foreign, row.hangs, row.memory, row.read) == (4, 1, 1, 1, 1)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 3
    told = "".join((tmp_path / name / "traceback.txt").read_text() for name in kept)
    assert "KeyError" in told and "planted_loop" in told and "MemoryError" in told


def test_the_same_seed_gives_the_same_files(fuzz: Any) -> None:
    def contents(seed: int) -> list[bytes]:
        return [fuzz.damaged("squad", fuzz.chance(seed, "squad", one))[2] for one in range(5)]

    assert contents(1) == contents(1) != contents(2) and len(set(contents(1))) == 5
