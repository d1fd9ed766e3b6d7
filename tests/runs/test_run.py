"""The run folder: what is written is read again; what is damaged is named."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from triptych.errors import RunError, TrainingError, UsageError
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.runs.checkpoint import load_weights, weights_of
from triptych.runs.run import Run, RunConfig, read_tensors, write_file, write_tensors

MODELS = [
    ModelConfig(
        encoder=StackConfig(layers=2),
        decoder=StackConfig(norm="rms", key_heads=2),
        vocabulary_size=9,
    ),
    ModelConfig(decoder=StackConfig()),
    RecurrentConfig(attention=False, vocabulary_size=5),
]


@pytest.mark.parametrize("model", MODELS)
def test_config_round_trip(tmp_path: Path, model: ModelConfig | RecurrentConfig) -> None:
    run = Run.create(tmp_path / "run")
    languages = {"source": ["en"], "targets": ["zh-Hant"]}
    config = RunConfig(
        task="translation",
        model=model,
        languages=languages,
        tokenizers={"shared": "tokenizer.json"},
        options={"label_smoothing": 0.1},
        decoding={"beams": 5},
        parameters=12,
        name="測試",
    )
    run.write_config(config)
    assert Run.open(tmp_path / "run").read_config() == config


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run folder"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"config\.json is missing"):
        Run.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        Run.create(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"config\.json:1 is not valid JSON"),
        (b'{"task": "tr', r"config\.json:1 is not valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "format_version"),
        (b'{"format_version": 99}', "format version 99"),
        (b'{"format_version": 1}', "does not fit"),
        (
            b'{"format_version": 1, "task": "t", "model": {"kind": "transformer", "encoder": '
            b'{"layerz": 1}, "decoder": null}}',
            "layerz",
        ),
        (
            b'{"format_version": 1, "task": "t", "model": {"kind": "transformer", "encoder": '
            b'{"layers": "6"}, "decoder": null}}',
            "layers is '6'",
        ),
        (
            b'{"format_version": 1, "task": "t", "model": {"kind": "transformer", "encoder": '
            b'{"norm": "x"}, "decoder": null}}',
            "norm is 'x'",
        ),
        (
            b'{"format_version": 1, "task": "t", "model": {"kind": "recurrent", "width": true}}',
            "width is True",
        ),
        (b'{"format_version": 1, "task": "t", "model": {"kind": "fish"}}', "fish"),
        (
            b'{"format_version": 1, "task": "t", "later": 1, "model": {"kind": "recurrent"}}',
            "later",
        ),
    ],
)
def test_damaged_config(tmp_path: Path, content: bytes, said: str) -> None:
    run = Run.create(tmp_path / "run")
    (run.path / "config.json").write_bytes(content)
    with pytest.raises(RunError, match=said):
        run.read_config()


def test_missing_files_are_named(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    for read, name in (
        (run.read_labels, "labels.json"),
        (run.read_recipe, "recipe.toml"),
        (run.read_config, "config.json"),
    ):
        with pytest.raises(RunError, match=f"{name} is missing"):
            read()
    with pytest.raises(RunError, match=r"no weights: model\.safetensors is missing"):
        run.weights()
    with pytest.raises(RunError, match="is missing"):
        read_tensors(run.path / "model.safetensors")


@pytest.mark.parametrize("kept", [0, 4, 60, -1])
def test_truncated_weights(tmp_path: Path, kept: int) -> None:
    run = Run.create(tmp_path / "run")
    run.write_model({"weight": torch.ones(50)})
    path = run.path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(RunError, match=r"model\.safetensors .*cut off or damaged"):
        run.load_into(nn.Linear(1, 1))


def test_every_mismatch_is_listed(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    with pytest.raises(RunError) as caught:
        load_weights(tmp_path / "m", {"weight": torch.ones(2, 2), "other": torch.ones(1)}, model)
    text = str(caught.value)
    assert (
        "'bias' is missing" in text
        and "'other' has no place" in text
        and "'weight' has shape (2, 2) instead of (3, 2)" in text
    )


def test_weights_round_trip_with_head(tmp_path: Path) -> None:
    run, model, head = Run.create(tmp_path / "run"), nn.Linear(2, 3), nn.Linear(3, 1)
    run.write_model(weights_of(model, head))
    assert set(read_tensors(run.weights())) == {"weight", "bias", "head.weight", "head.bias"}
    again, head_again = nn.Linear(2, 3), nn.Linear(3, 1)
    run.load_into(again, head_again)
    assert torch.equal(model.weight, again.weight) and torch.equal(head.bias, head_again.bias)


def test_metrics_survive_a_cut_line(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    assert run.read_metrics() == [] and run.metrics_size() == 0
    run.append_metrics({"step": 1})
    size = run.metrics_size()
    run.append_metrics({"step": 2})
    with open(run.path / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 3, "lo')
    assert [line["step"] for line in run.read_metrics()] == [1, 2]
    run.truncate_metrics(size)
    assert [line["step"] for line in run.read_metrics()] == [1]


def test_checkpoints_are_pruned(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    for step in (1, 2, 3, 10, 20):
        run.write_checkpoint(
            step,
            {"model.safetensors": {"w": torch.full((3,), float(step))}, "averages.safetensors": {}},
            {"step": step},
        )
    (run.path / "checkpoints" / ".step-9.writing").mkdir()
    run.prune_checkpoints(3, best_step=2)
    assert [checkpoint.step for checkpoint in run.checkpoints()] == [2, 3, 10, 20]
    assert not list((run.path / "checkpoints").glob(".*"))
    latest = run.latest_checkpoint()
    assert (
        latest is not None
        and latest.state() == {"step": 20}
        and float(latest.tensors("model.safetensors")["w"][0]) == 20
    )
    assert (
        latest.tensors("averages.safetensors") == {}
        and run.weights() == latest.path / "model.safetensors"
    )
    with pytest.raises(UsageError, match="already holds a run"):
        Run.create(tmp_path / "run")


def test_a_checkpoint_is_written_anew(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    for value in (1, 2):
        run.write_checkpoint(5, {}, {"value": value})
    latest = run.latest_checkpoint()
    assert latest is not None and latest.state() == {"value": 2}
    assert [path.name for path in (run.path / "checkpoints").iterdir()] == ["step-5"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_nothing_is_destroyed_by_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "recipe.toml"
    write_file(path, b"first")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(
        TrainingError if number == errno.ENOSPC else RunError, match=r"recipe\.toml"
    ):
        write_file(path, b"second")
    with pytest.raises((TrainingError, RunError), match=r"model\.safetensors"):
        write_tensors(tmp_path / "model.safetensors", {"w": torch.ones(2)})
    assert path.read_bytes() == b"first" and [found.name for found in tmp_path.iterdir()] == [
        "recipe.toml"
    ]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB, where one may be mounted."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)],
        capture_output=True,
        check=False,
        timeout=300,
    )
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=False, timeout=300)


def test_a_disk_that_is_really_full(tiny_disk: Path) -> None:
    run = Run.create(tiny_disk / "run")
    run.write_checkpoint(1, {"model.safetensors": {"w": torch.ones(10_000)}}, {"step": 1})
    with pytest.raises(TrainingError, match="disk is full"):
        run.write_checkpoint(2, {"model.safetensors": {"w": torch.ones(100_000)}}, {"step": 2})
    with pytest.raises(TrainingError, match="disk is full"):
        run.write_model({"w": torch.ones(100_000)})
    latest = run.latest_checkpoint()
    assert latest is not None and latest.step == 1 and not run.has_model()


def test_imports_no_torch() -> None:
    code = (
        "import sys, triptych.runs.run, triptych.training.settings, triptych.training.job; assert "
        "'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        timeout=300,
    )


def test_config_is_plain_json(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    run.write_config(RunConfig(task="translation", model=MODELS[0]))
    values = json.loads((run.path / "config.json").read_text())
    assert (
        values["format_version"] == 1
        and values["model"]["kind"] == "transformer"
        and values["model"]["encoder"]["layers"] == 2
    )
