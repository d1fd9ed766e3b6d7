"""One, two and three processes, whole or sharded, compute the same and go on from each other."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from test_distributed import free_port, start
from toy_training import make_job
from toy_world import train_all
from waits import killed_after

from triptych.errors import RunError
from triptych.runs.address import Address
from triptych.runs.run import Run, read_tensors
from triptych.training.trainer import train

SCRIPT = Path(__file__).with_name("toy_world.py")
SETTINGS = {"accumulate": 4, "epsilon": 1e-4, "average": 0.9, "validates": False}
SPARSE = {"layers": 2, "by_block": {"experts": [0, 4]}, "expert_capacity_factor": 1.25}
# what each run of two processes is, and its twin of one
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"steps": 12, "validates": True},
    "added": {"steps": 6, "accumulate": 3, "average": 0.0, "parallel": "ddp"},
    "uneven": {"steps": 11, "accumulate": 3},
    "bfloat16": {"steps": 3, "precision": "bfloat16", "fsdp_precision": "bfloat16"},
    "muon": {"steps": 3, "optimizer": "muon"},
    "adapters": {"steps": 3, "lora_rank": 4, "learning_rate": 0.01},
    "experts": {"steps": 3, "accumulate": 3, "dials": SPARSE},
    "offloaded": {"steps": 3, "fsdp_offload": True},
}
# what goes wrong in the second of two processes
TROUBLES: dict[str, dict[str, Any]] = {
    "recipe": {},
    "data": {},
    "full disk": {"parallel": "fsdp"},
    "nan": {"parallel": "fsdp"},
    "sigterm": {"parallel": "fsdp"},
    "dies": {"parallel": "fsdp"},
}
Jobs = list[dict[str, Any]]


def in_world(size: int, folder: Path, jobs: Jobs, dies: bool = False) -> list[str]:
    """Train jobs in `size` processes, of which the last may be killed; what each printed."""
    if size == 1:
        train_all(folder, jobs)
        return []
    listed, port = folder / "jobs.json", free_port()
    listed.write_text(json.dumps(jobs))
    processes = [start(folder, rank, port, SCRIPT, size, str(listed)) for rank in range(size)]
    with killed_after(*processes):
        told = [process.communicate(timeout=200)[0] for process in processes]
    last = -signal.SIGKILL if dies else 0
    codes = [process.returncode for process in processes]
    assert codes == [*[0] * (size - 1), last], "\n".join(told)
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


class Runs(NamedTuple):
    """What the processes of this file have trained."""

    whole: Path  # runs of KINDS of one process
    shared: Path  # of several
    told: list[str]  # what the first of two processes printed, in lines


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The runs of KINDS of one process, and of worlds of several: two, then three, then one.

    The two processes then meet TROUBLES.
    """
    torch.set_num_threads(1)
    whole, shared = (tmp_path_factory.mktemp(name) for name in ("whole", "shared"))
    jobs = [{"name": name, **SETTINGS, **given} for name, given in KINDS.items()]
    in_world(1, whole, jobs)
    plain = jobs[0]
    in_world(1, shared, [{**plain, "steps": 3}])
    others = [{"parallel": "fsdp", **one} for one in jobs[1:]]
    kept = {"checkpoint_address": str(shared / "kept")}
    others = [one | kept if one["name"] == "uneven" else one for one in others]
    troubles = [
        {"name": name, "trouble": name, "validates": False, "steps": 6}
        | {"checkpoint_every_steps": 1, **given}
        for name, given in TROUBLES.items()
    ]
    again = {**plain, "steps": 6, "parallel": "fsdp", "resume": True}
    told = in_world(2, shared, [again, *others, *troubles], dies=True)
    in_world(3, shared, [{**plain, "steps": 9, "parallel": "fsdp", "resume": True}])
    in_world(1, shared, [{**plain, "resume": True}])
    return Runs(whole, shared, told[0].splitlines())


@pytest.mark.parametrize("kind", KINDS)
def test_shared_is_whole(kind: str, runs: Runs) -> None:
    # Newton-Schulz in bf16 enlarges the rounding of sums over processes, sharded or not.
    most = {"muon": 1e-4, "bfloat16": 2e-3}.get(kind, 3e-6)
    one, two = (folder / kind / "model.safetensors" for folder in runs[:2])
    assert_same_weights(one, two, most)
    assert order_of(runs.shared, kind) == order_of(runs.whole, kind)


def test_checkpoints_of_shards(runs: Runs) -> None:
    run = Run(runs.shared / "uneven")
    checkpoint = run.checkpoints()[-1]
    assert checkpoint.problem() is None
    assert Address(str(runs.shared / "kept")).steps() == [
        one.step for one in reversed(run.checkpoints())
    ]
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


def said_of(runs: Runs, name: str) -> list[str]:
    """What the first of two processes said of a trouble, without its steps."""
    lines = [line.removeprefix(f"{name} ") for line in runs.told if line.startswith(f"{name} ")]
    return [line for line in lines if not line.startswith(("step", "validation"))]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("recipe", "Process 1 has training.steps = 1, and the first process has 0. "),
        ("data", "Process 1 reads other train data than the first process. "),
        ("full disk", "Process 1: The disk is full: "),
        (
            "nan",
            "Step 5: the loss is nan; first in the output of layer 'decoder.blocks.0.feed_forward",
        ),
        ("dies", "Another process of this training has ended, so this one ends too. "),
    ],
)
def test_one_sentence(name: str, sentence: str, runs: Runs) -> None:
    said = [line for line in said_of(runs, name) if not line.startswith("checkpoint")]
    assert len(said) == 1
    assert said[0].startswith(f"refused 0 {sentence}")


def test_full_disk_leaves_no_checkpoint(runs: Runs) -> None:
    assert list((runs.shared / "full disk" / "checkpoints").iterdir()) == []


def test_a_signal_of_one_process_saves(runs: Runs) -> None:
    *_, stopped, last = said_of(runs, "sigterm")
    newest = Run(runs.shared / "sigterm").latest_checkpoint()
    assert newest is not None and newest.step < 6
    assert stopped.startswith(
        f"interrupted {newest.step} Stopped after step {newest.step}, and saved."
    )
    assert last == "exit 143"


def test_a_damaged_shard_is_named(runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(runs.shared / "uneven", tmp_path / "run")
    newest, before = (Run(tmp_path / "run").checkpoints()[place] for place in (-1, -2))
    shard = next((newest.path / "optimizer").iterdir())
    shard.write_bytes(shard.read_bytes()[:-4] + b"torn")
    notices: list[str] = []
    assert Run(tmp_path / "run").latest_checkpoint(notices) == before
    assert str(shard) in notices[0] and "does not have its SHA-256" in notices[0]
    shutil.rmtree(before.path / "optimizer")
    Run(tmp_path / "run").latest_checkpoint(notices)
    assert "shard-00001-model-00001-of-00001.safetensors is missing" in notices[-1]


def test_a_checkpoint_of_another_model(runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(runs.shared / "uneven", tmp_path / "run")
    job = make_job(tmp_path / "run", resume=True, dials={"inner_width": 48}, steps=12)
    with pytest.raises(RunError, match="does not fit the model"):
        list(train(job))
