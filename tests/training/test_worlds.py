"""One, two and three processes, whole or sharded, compute the same and go on from each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_distributed import free_port, start
from toy_world import train_all
from waits import killed_after

from triptych.runs.run import Run, read_tensors

SCRIPT = Path(__file__).with_name("toy_world.py")
SETTINGS = {"accumulate": 4, "epsilon": 1e-4, "average": 0.9, "keep_checkpoints": 9}
SPARSE = {"layers": 2, "by_block": {"experts": [0, 4]}, "expert_capacity_factor": 1.25}
# what each sharded run is beside its whole twin
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"steps": 12},
    "uneven": {"steps": 11, "accumulate": 3},
    "muon": {"steps": 3, "optimizer": "muon"},
    "adapters": {"steps": 3, "lora_rank": 4, "learning_rate": 0.01},
    "experts": {"steps": 3, "accumulate": 3, "dials": SPARSE},
    "offloaded": {"steps": 3, "fsdp_offload": True},
}
Jobs = list[dict[str, Any]]


def in_world(size: int, folder: Path, jobs: Jobs) -> list[str]:
    """Train jobs in `size` processes; what each printed."""
    if size == 1:
        train_all(folder, jobs)
        return []
    listed, port = folder / "jobs.json", free_port()
    listed.write_text(json.dumps(jobs))
    processes = [start(folder, rank, port, SCRIPT, size, str(listed)) for rank in range(size)]
    with killed_after(*processes):
        told = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, "\n".join(told)
    return told


def order_of(folder: Path, name: str) -> list[Any]:
    """What every micro-batch of a run held, in the order of their numbers."""
    found = [
        json.loads(line)
        for path in folder.glob(f"{name}.order-*")
        for line in path.read_text().splitlines()
    ]
    return sorted(found)


def assert_same_weights(one: Path, two: Path, most: float = 3e-6) -> None:
    wanted, found = read_tensors(one), read_tensors(two)
    assert wanted.keys() == found.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(
            found[name], tensor, rtol=0, atol=most, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The runs of KINDS of one process, and of worlds of several: two, then three, then one."""
    torch.set_num_threads(1)
    whole, shared = (tmp_path_factory.mktemp(name) for name in ("whole", "shared"))
    jobs = [{"name": name, **SETTINGS, **given} for name, given in KINDS.items()]
    in_world(1, whole, jobs)
    plain = jobs[0]
    in_world(1, shared, [{**plain, "steps": 3}])
    others = [{**one, "parallel": "fsdp"} for one in jobs[1:]]
    in_world(2, shared, [{**plain, "steps": 6, "parallel": "fsdp", "resume": True}, *others])
    in_world(3, shared, [{**plain, "steps": 9, "parallel": "fsdp", "resume": True}])
    in_world(1, shared, [{**plain, "resume": True}])
    return whole, shared


@pytest.mark.parametrize("kind", KINDS)
def test_shared_is_whole(kind: str, runs: tuple[Path, Path]) -> None:
    whole, shared = runs
    # Newton-Schulz in bf16 enlarges the rounding of sums over processes, sharded or not.
    most = 1e-4 if kind == "muon" else 3e-6
    one, two = (folder / kind / "model.safetensors" for folder in runs)
    assert_same_weights(one, two, most)
    assert order_of(shared, kind) == order_of(whole, kind)


def test_checkpoints_of_shards(runs: tuple[Path, Path]) -> None:
    checkpoint = Run(runs[1] / "uneven").checkpoints()[-1]
    assert checkpoint.problem() is None
    files = {path.relative_to(checkpoint.path).as_posix() for path in checkpoint.path.rglob("*.*")}
    shards = {name for name in files if "/" in name}
    assert len(shards) == 6  # of two processes: model, optimizer and averages
    assert files - shards == {
        "model.safetensors",
        "averages.safetensors",
        "shards.json",
        "state.json",
    }
    assert all(name.endswith((".safetensors", ".json")) for name in files)
    for path in checkpoint.path.rglob("*.safetensors"):
        read_tensors(path)  # no file of another kind under this name
