"""What native libraries keep has a bound."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from triptych.inference.prepack import can_prepack
from triptych.runs.allocator import CAPACITIES, keep_few_programs

GROWN = """
import torch
from triptych.model.ops.onednn import PrepackedLinear
from triptych.runs.allocator import keep_few_programs, keep_freed_pages

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

torch.set_num_threads(1)
keep_freed_pages()
keep_few_programs(32)
before = resident()
with torch.no_grad():
    for width in range(16, 144, 16):
        packed = PrepackedLinear([torch.zeros(width, 16)], [None])
        for rows in range(1, 33):
            packed(torch.zeros(rows, 16))
print(resident() - before)
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not can_prepack(torch.float32),
    reason="this system has no packed products, or does not tell its memory",
)
def test_programs_for_ever_new_shapes_do_not_stay() -> None:
    clean = {key: value for key, value in os.environ.items() if key not in CAPACITIES}
    done = subprocess.run([sys.executable, "-c", GROWN], env=clean, capture_output=True, check=True)
    assert float(done.stdout) < 60  # 256 shapes: 150 MB without a bound


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {CAPACITIES[0]: "7"})
    keep_few_programs(32)
    assert os.environ == {CAPACITIES[0]: "7", CAPACITIES[1]: "32"}
