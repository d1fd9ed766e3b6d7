"""train --seeds: a run for each seed, the table of their scores, and going on; train --track."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY
from waits import killed_after

from triptych.cli.main import run as run_command
from triptych.cli.seeds import read_seeds
from triptych.errors import UsageError

Command = Callable[..., SimpleNamespace]


@pytest.fixture(scope="session")
def seeded(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the small run with two seeds and return the folder."""
    out = tmp_path_factory.mktemp("seeds") / "all"
    command = ["train", str(files / "my.toml"), "--out", str(out), *TINY, "--seeds", "3, 1"]
    assert run_command(command) == 0
    return out


def test_each_seed_is_the_run_that_it_is_alone(
    triptych: Command, files: Path, seeded: Path, tmp_path: Path
) -> None:
    assert {one.name for one in seeded.iterdir()} == {
        "recipe.toml",
        "seeds.json",
        "seed-1",
        "seed-3",
    }
    alone = tmp_path / "alone"
    done = triptych("train", files / "my.toml", "--out", alone, *TINY, "--training.seed", "1")
    assert done.code == 0
    names = {one.name for one in alone.iterdir()}
    assert {one.name for one in (seeded / "seed-1").iterdir()} == names
    weights, other = (
        [(folder / "model.safetensors").read_bytes() for folder in pair]
        for pair in ((alone, seeded / "seed-1"), (alone, seeded / "seed-3"))
    )
    assert weights[0] == weights[1] and other[0] != other[1]


def test_scores_with_mean_and_sample_deviation(seeded: Path) -> None:
    found = json.loads((seeded / "seeds.json").read_text())
    assert found["seeds"] == [3, 1] == [one["seed"] for one in found["runs"]]
    assert found["split"] == "validation" and found["runs"][0]["run"] == str(seeded / "seed-3")
    first, second = (one["metrics"]["loss"] for one in found["runs"])
    assert found["mean"]["loss"] == pytest.approx((first + second) / 2)
    assert found["standard_deviation"]["loss"] == pytest.approx(abs(first - second) / 2**0.5)
    lines = (seeded / "seed-3" / "metrics.jsonl").read_text().splitlines()
    best = [json.loads(line) for line in lines if '"best": true' in line][-1]
    assert best["loss"] == first and best["step"] == found["runs"][0]["step"]


def test_finished_seeds_are_left_as_they_are_and_others_trained(
    triptych: Command, seeded: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(seeded, copy)
    shutil.rmtree(copy / "seed-1")
    before = (copy / "seed-3" / "model.safetensors").stat().st_mtime_ns
    done = triptych("train", copy, "--resume")
    assert done.code == 0 and "Seed 3 (1 of 2)" in done.err and ", which is finished." in done.err
    assert (copy / "seed-3" / "model.safetensors").stat().st_mtime_ns == before
    assert (copy / "seed-1" / "model.safetensors").read_bytes() == (
        seeded / "seed-1" / "model.safetensors"
    ).read_bytes()
    lines = done.out.splitlines()
    assert lines[0].split() == ["seed", "3", "seed", "1", "mean", "sd"]
    assert lines[1].startswith("bleu ") and lines[-1] == str(copy)


def test_more_steps_go_on_with_all(triptych: Command, seeded: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(seeded, copy)
    done = triptych("train", copy, "--resume", "--training.steps", "6", "--json")
    assert done.code == 0 and done.err.count("Resumed from step 4") == 2
    assert done.out == json.dumps(json.loads((copy / "seeds.json").read_text())) + "\n"
    assert "steps = 6" in (copy / "recipe.toml").read_text()


def test_evaluate_compares_the_seeds(triptych: Command, seeded: Path) -> None:
    done = triptych("evaluate", seeded, "--json", "--decoding.beams", "1")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["split"] == "test" and [one["seed"] for one in found["runs"]] == [3, 1]
    alone = json.loads(
        triptych("evaluate", seeded / "seed-3", "--json", "--decoding.beams", "1").out
    )
    assert found["runs"][0]["metrics"] == alone["metrics"]
    table = triptych("evaluate", seeded, "--decoding.beams", "1").out
    assert table.splitlines()[0].split() == ["seed", "3", "seed", "1", "mean", "sd"]
    said = triptych("evaluate", seeded, "--decoding.beams", "1").err
    assert said.count("Evaluating ") == 2 and said.count("Note: Only ") == 1  # not for each seed
    done = triptych("evaluate", seeded, "--bootstrap", "10")
    assert done.code == 2 and f"triptych evaluate {seeded}/seed-3 --bootstrap" in done.err
    for flag in (["--html", "a.html"], ["--baseline"], ["--as", "classification"]):
        done = triptych("evaluate", seeded, *flag)
        assert done.code == 2 and f"with {flag[0]}: triptych evaluate" in done.err


def test_a_seed_that_is_not_trained_is_left_out(
    triptych: Command, seeded: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(seeded, copy)
    shutil.rmtree(copy / "seed-3")
    done = triptych("evaluate", copy, "--json", "--decoding.beams", "1")
    assert done.code == 0 and "Seed 3 is not trained yet" in done.err
    found = json.loads(done.out)
    assert len(found["runs"]) == 1 and found["standard_deviation"]["loss"] is None
    shutil.copytree(seeded / "seed-3", copy / "seed-3")  # begun, and nothing saved yet
    (copy / "seed-3" / "model.safetensors").unlink()
    shutil.rmtree(copy / "seed-3" / "checkpoints")
    done = triptych("evaluate", copy, "--json", "--decoding.beams", "1")
    assert done.code == 0 and "Seed 3 is not trained yet" in done.err
    for seed in (1, 3):
        shutil.rmtree(copy / f"seed-{seed}")
    done = triptych("evaluate", copy)
    assert done.code == 2 and f"triptych train {copy} --resume" in done.err


def test_other_verbs_name_the_seeds(triptych: Command, seeded: Path) -> None:
    done = triptych("translate", seeded, "one")
    assert done.code == 1 and f"Name one of them: {seeded}/seed-3, {seeded}/seed-1." in done.err


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ("1,1", "--seeds has 1 twice"),
        ("01,1", "--seeds has 1 twice"),
        ("1,x", "--seeds has 'x', which is not a seed"),
        ("1.0", "'1.0'"),
        ("-1", "'-1'"),
        ("1 2", "'1 2'"),
        ("", "''"),
        ("1,,2", "''"),
        ("٣", "which is not a seed"),
        (str(2**63), "which is not a seed"),
    ],
)
def test_what_is_not_a_seed_is_refused(seeds: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_seeds(seeds)
    assert said in str(caught.value)


def test_seeds_that_can_be_given() -> None:
    assert read_seeds("1,2, 3") == [1, 2, 3] and read_seeds(str(2**63 - 1)) == [2**63 - 1]
    assert read_seeds("0") == [0]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--seeds", "1,1"], 2, "--seeds has 1 twice"),
        (["--seeds", "1,2", "--training.seed", "3"], 2, "Give one of them"),
        (["--json"], 2, "--json prints the scores of several seeds"),
        (["--seeds", "1,2", "--out", "SEEDED"], 2, "already holds the runs of several seeds"),
        (["--out", "SEEDED"], 2, "holds the runs of several seeds"),
        (["--seeds", "1,2", "--out", "TRAINED"], 2, "already holds a run of one seed"),
    ],
)
def test_what_does_not_go_together(
    more: list[str],
    code: int,
    said: str,
    triptych: Command,
    files: Path,
    seeded: Path,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"SEEDED": str(seeded), "TRAINED": str(trained)}
    done = triptych("train", files / "my.toml", *(places.get(one, one) for one in more))
    assert done.code == code and said in done.err and not list(tmp_path.iterdir())


def test_a_dry_run_of_seeds_writes_nothing(triptych: Command, files: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = triptych("train", files / "my.toml", "--out", out, *TINY, "--seeds", "1,2", "--dry-run")
    assert done.code == 0 and "Seeds 1, 2: a run each" in done.err and not out.exists()


def test_a_damaged_list_of_seeds_is_named(triptych: Command, tmp_path: Path) -> None:
    for content in ("{", '{"seeds": "1"}', "[]", '{"seeds": [true]}'):
        (tmp_path / "seeds.json").write_text(content)
        done = triptych("info", tmp_path)
        assert done.code == 1 and f"{tmp_path}/seeds.json" in done.err


def test_an_interrupt_says_how_all_seeds_go_on(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "triptych", "train", str(files / "my.toml"), *TINY]
    command += ["--out", str(out), "--seeds", "1,2", "--training.steps", "100000"]
    process = subprocess.Popen(
        [*command, "--training.log_every_steps", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stderr is not None and process.stdout is not None
    with killed_after(process):
        for line in process.stderr:
            if line.startswith("step 3/"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == 130 and process.stdout.read() == ""
    assert f": triptych train {out} --resume" in rest and "seed-1 --resume" not in rest
    assert list((out / "seed-1" / "checkpoints").glob("step-*/COMPLETE"))
    assert not (out / "seed-2").exists()


def test_track_writes_what_metrics_holds(triptych: Command, files: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator
    out, short = tmp_path / "run", ["--training.checkpoint_every_steps", "2"]
    done = triptych("train", files / "my.toml", "--out", out, *TINY, *short, "--track")
    assert done.code == 0 and f"tensorboard --logdir {out}/tensorboard" in done.err
    done = triptych("train", out, "--resume", "--training.steps", "6", "--track")
    assert done.code == 0
    events = accumulator(str(out / "tensorboard")).Reload()
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for split, key in (("train", "loss"), ("validation", "bleu"), ("train", "learning_rate")):
        wanted = [(line["step"], line[key]) for line in lines if line["split"] == split]
        found = [(one.step, one.value) for one in events.Scalars(f"{split}/{key}")]
        assert [step for step, _ in found] == [step for step, _ in wanted]
        assert [value for _, value in found] == pytest.approx([value for _, value in wanted])
    (text,) = events.Tensors("recipe/text_summary")
    assert b"log_every_steps = 2" in text.tensor_proto.string_val[0]


def test_each_seed_has_a_log_of_its_own(triptych: Command, files: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    more = ["--seeds", "1,2", "--track", tmp_path / "logs", "--training.steps", "1"]
    done = triptych("train", files / "my.toml", "--out", tmp_path / "run", *TINY, *more)
    assert done.code == 0
    assert all(list((tmp_path / "logs" / f"seed-{seed}").iterdir()) for seed in (1, 2))
