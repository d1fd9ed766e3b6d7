"""Two processes that share a model's parameters by FSDP2 compute what one computes that has them
all.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_distributed import free_port, start
from torch import Tensor, distributed

from triptych.runs.run import read_tensors
from triptych.training.distributed import World

if not (distributed.is_available() and distributed.is_gloo_available()):
    reason = "This build of torch has no gloo, by which two processes on a CPU speak."
    pytest.skip(reason, allow_module_level=True)

from toy_sharded import CASES, results

SCRIPT = Path(__file__).with_name("toy_sharded.py")
SECONDS = 120  # many times what the two processes take


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Tensor]]:
    """What every case gave in each process: "CASE/NAME" -> tensor."""
    folder, port = tmp_path_factory.mktemp("sharded"), free_port()
    processes = [start(folder, rank, port, script=SCRIPT) for rank in (0, 1)]
    try:
        told = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(told)
    return [read_tensors(folder / f"{rank}.safetensors") for rank in (0, 1)]


@pytest.mark.parametrize("case", CASES)
def test_sharded_is_whole(case: str, sharded: list[dict[str, Tensor]]) -> None:
    wanted = results(case, World())
    for found in sharded:
        own = {
            name.removeprefix(f"{case}/"): tensor
            for name, tensor in found.items()
            if name.startswith(f"{case}/")
        }
        assert own.keys() == wanted.keys()
        for name, tensor in wanted.items():
            torch.testing.assert_close(
                own[name], tensor, rtol=0, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
            )
