"""What no processor changes: names, shapes and keys of toys, and runs of an earlier commit in use.

tests/goldens/make_runs.py wrote what is compared here; tests/goldens/compare.py compares every bit.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "goldens"))

import compare
import make_runs
import toys
from bench import Bench

ANSWERS = json.loads((make_runs.RUNS / "answers.json").read_text("utf-8"))


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_a_run_of_the_base_answers_as_it_did(name: str) -> None:
    found = make_runs.asked(make_runs.RUNS / name, ANSWERS[name]["asked"])
    assert_near(found, ANSWERS[name]["answers"])


def test_names_shapes_and_keys_are_those_of_the_base(tmp_path: Path) -> None:
    toys.write(tmp_path / "data")
    (tmp_path / "work").mkdir()
    found = make_runs.names(Bench(tmp_path / "work", tmp_path / "data", "float32"))
    wanted = json.loads(make_runs.NAMES.read_text("utf-8"))
    assert compare.first_difference(wanted, found) is None


def test_the_first_difference_is_found() -> None:
    old: Any = {"a": [1.0, {"b": "x"}], "c": None}
    assert compare.first_difference(old, json.loads(json.dumps(old))) is None
    changed = {"a": [1.0, {"b": "y"}], "c": None}
    assert compare.first_difference(old, changed) == compare.Difference("/a/1/b", '"x"', '"y"')
    assert compare.first_difference({"a": 1.0}, {"a": 1}) is not None
    assert compare.first_difference({"a": 1}, {}) == compare.Difference("/a", "1", "(missing)")
    assert compare.first_difference([1], [1, 2]) == compare.Difference("", "1 items", "2 items")


def assert_near(found: Any, wanted: Any) -> None:
    """Compare JSON values; numbers may be 1e-5 apart, as far as processors round differently."""
    if isinstance(wanted, float) and isinstance(found, float):
        assert found == pytest.approx(wanted, abs=1e-5)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_near(found[key], value)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_near(one, other)
    else:
        assert found == wanted
