"""Mean and sample standard deviation of several runs."""

from __future__ import annotations

import math

import pytest

from triptych.metrics.spread import spread


def test_mean_and_sample_deviation() -> None:
    means, deviations = spread([{"f1": 70.0}, {"f1": 74.0}, {"f1": 78.0}])
    assert means == {"f1": 74.0}
    assert deviations["f1"] == pytest.approx(4.0)  # divided by n - 1, not 3.27


def test_one_run_has_no_deviation() -> None:
    assert spread([{"f1": 70.0}]) == ({"f1": 70.0}, {"f1": None})


def test_what_one_run_lacks_has_neither() -> None:
    means, deviations = spread([{"f1": 70.0, "loss": math.nan}, {"loss": 1.0}])
    assert means == {"f1": None, "loss": None} == deviations
    assert spread([{"x": math.inf}, {"x": 1.0}])[0] == {"x": None}
    assert spread([]) == ({}, {})
