"""triptych train: a run from files, its limits, and going on with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY
from waits import killed_after

from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]


def test_a_run_folder_is_whole(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "recipe.toml",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "labels.json",
        "metrics.jsonl",
        "MODEL_CARD.md",
        "data.json",
        "checkpoints",
    }
    config = json.loads((trained / "config.json").read_text())
    assert (
        config["format_version"] == 1
        and config["task"] == "translation"
        and config["decoding"]["beams"] == 2
    )
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert {line["split"] for line in lines} == {"train", "validation"} and lines[-1]["step"] == 4
    card = (trained / "MODEL_CARD.md").read_text()
    assert (
        "4 steps" in card
        and "validation (greedy)" in card
        and "`triptych train recipe.toml`" in card
    )
    assert Recipe.load(trained / "recipe.toml").to_toml().strip() in card  # what the command trains


def test_it_says_size_memory_and_first_batch_before_it_starts(
    triptych: Command, files: Path, tmp_path: Path
) -> None:
    done = triptych("train", files / "my.toml", "--out", tmp_path / "run", "--dry-run", *TINY)
    assert done.code == 0 and done.out == "" and not (tmp_path / "run").exists()
    for words in (
        "Model: ",
        "parameters",
        "Memory: about",
        "First batch:",
        "a.en:",
        "target text <begin>|",
    ):
        assert words in done.err


def test_print_config_is_the_whole_recipe_and_can_be_read(
    triptych: Command, files: Path, tmp_path: Path
) -> None:
    done = triptych(
        "train", files / "my.toml", "--print-config", "--training.steps", "9", "--decoding.beams=3"
    )
    assert (
        done.code == 0
        and "steps = 9" in done.out
        and "beams = 3" in done.out
        and "schedule = " in done.out
    )
    (tmp_path / "again.toml").write_text(done.out)
    assert triptych("train", tmp_path / "again.toml", "--print-config").out == done.out


def test_a_run_is_never_written_over(triptych: Command, files: Path, trained: Path) -> None:
    before = (trained / "model.safetensors").read_bytes()
    done = triptych("train", files / "my.toml", "--out", trained, *TINY)
    assert done.code == 2 and "--resume" in done.err and "--out" in done.err
    assert (trained / "model.safetensors").read_bytes() == before


def test_resume_refuses_what_would_be_another_run(
    triptych: Command, files: Path, trained: Path
) -> None:
    done = triptych(
        "train", files / "my.toml", "--out", trained, "--resume", *TINY, "--model.layers", "2"
    )
    assert done.code == 2 and "model.layers = 1, and now it is 2" in done.err


def test_stopped_and_resumed_is_uninterrupted(
    triptych: Command, files: Path, tmp_path: Path
) -> None:
    shared = [*TINY, "--training.checkpoint_every_steps", "2", "--validation.every_steps", "2"]
    assert (
        triptych(
            "train",
            files / "my.toml",
            "--out",
            tmp_path / "whole",
            *shared,
            "--training.steps",
            "6",
        ).code
        == 0
    )
    assert (
        triptych(
            "train",
            files / "my.toml",
            "--out",
            tmp_path / "parts",
            *shared,
            "--training.steps",
            "6",
        ).code
        == 0
    )
    for name in ("model.safetensors", "metrics.jsonl", "MODEL_CARD.md"):
        (tmp_path / "parts" / name).unlink() if name != "metrics.jsonl" else None
    for path in (tmp_path / "parts" / "checkpoints").iterdir():
        if path.name != "step-2":
            (path / "COMPLETE").unlink()
    done = triptych("train", tmp_path / "parts", "--resume")  # a run folder is a recipe
    assert done.code == 0 and "Resumed from step 2" in done.err
    assert (tmp_path / "parts" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_start_takes_tokenizer_and_weights(
    triptych: Command, files: Path, trained: Path, tmp_path: Path
) -> None:
    done = triptych(
        "train",
        files / "my.toml",
        "--out",
        tmp_path / "next",
        "--model.start",
        trained,
        "--training.steps",
        "1",
        "--training.learning_rate",
        "1e-9",
    )
    assert done.code == 0 and f"Taken from {trained}" in done.err
    assert (tmp_path / "next" / "tokenizer.json").read_bytes() == (
        trained / "tokenizer.json"
    ).read_bytes()
    from triptych.runs.storage import read_tensors

    old, new = (
        read_tensors(folder / "model.safetensors") for folder in (trained, tmp_path / "next")
    )
    assert set(old) == set(new) and all((old[name] - new[name]).abs().max() < 1e-5 for name in old)


def test_bpe_dropout_draws_the_same_after_a_stop(
    triptych: Command, files: Path, tmp_path: Path
) -> None:
    from triptych.runs.storage import read_tensors

    dials = (*TINY, "--batches.bpe_dropout", "0.2", "--training.checkpoint_every_steps", "2")
    for name, steps in (("whole", ("6",)), ("parts", ("3", "6"))):
        for number, count in enumerate(steps):
            again = ["--resume"] if number else []
            done = triptych(
                "train",
                files / "my.toml",
                "--out",
                tmp_path / name,
                *dials,
                "--training.steps",
                count,
                *again,
            )
            assert done.code == 0, done.err
    assert (
        triptych(
            "train", files / "my.toml", "--out", tmp_path / "plain", *TINY, "--training.steps", "6"
        ).code
        == 0
    )
    whole, parts, plain = (
        read_tensors(tmp_path / name / "model.safetensors") for name in ("whole", "parts", "plain")
    )
    assert all((whole[name] == parts[name]).all() for name in whole)
    assert not all((whole[name] == plain[name]).all() for name in whole)


def test_start_beside_a_preset_is_refused(triptych: Command, files: Path, trained: Path) -> None:
    done = triptych(
        "train",
        files / "my.toml",
        "--model.start",
        trained,
        "--model.preset",
        "transformer-tiny",
        "--dry-run",
    )
    assert done.code == 2 and "cannot be given as well" in done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--training.stepz", "3"], "Did you mean 'training.steps'"),
        (["--training.steps", "0"], "training.steps is 0"),
        (["--training.steps"], "--training.steps needs a value"),
        (["--batches.batch_tokens", "0"], "batches.batch_tokens is 0"),
        (["--batches.bpe_dropout", "1"], "batches.bpe_dropout is 1 on the command line"),
        (["--data.train", "no.en,no.de"], "There is no file"),
        (["--data.set", "multi30"], "Did you mean 'multi30k'"),
        (["--model.heads", "3"], "must be a multiple of heads 3"),
        (["--tokenizer.vocabulary_size", "100"], "tokenizer.vocabulary_size is 100"),
        (["--decoding.beams", "0"], "decoding.beams is 0"),
        (
            ["--validation.metric", "bleuu"],
            "validation.metric 'bleuu' is not a score of this task. Its scores: bleu",
        ),
    ],
)
def test_wrong_values_are_sentences(
    triptych: Command, files: Path, tmp_path: Path, change: list[str], said: str
) -> None:
    done = triptych("train", files / "my.toml", "--out", tmp_path / "run", *TINY, *change)
    assert done.code in (1, 2) and said in done.err.strip().split("\n")[-1]
    assert not (tmp_path / "run").exists()


def test_bad_files_are_named_with_their_line(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.en").write_bytes(b"good\nb\xffd\n")
    (tmp_path / "a.de").write_bytes(b"gut\n")
    (tmp_path / "my.toml").write_text('[data]\ntrain = ["a.en", "a.de"]\n[training]\nsteps = 1\n')
    done = triptych("train", tmp_path / "my.toml", "--out", tmp_path / "run")
    assert done.code == 1 and "a.en:2" in done.err and "UTF-8" in done.err
    (tmp_path / "a.en").write_bytes(b"good\nbad\n")
    done = triptych("train", tmp_path / "my.toml", "--out", tmp_path / "run")
    assert done.code == 1 and "2 lines" in done.err and "1" in done.err


def test_a_line_too_long_is_left_out_and_named(
    triptych: Command, files: Path, tmp_path: Path
) -> None:
    for side in ("en", "de"):
        (tmp_path / f"a.{side}").write_text(
            (files / f"a.{side}").read_text() + "word " * 500 + "\n"
        )
    (tmp_path / "my.toml").write_text(
        '[data]\ntrain = ["a.en", "a.de"]\nlongest = 100\n[training]\nsteps = 1\n'
    )
    done = triptych("train", tmp_path / "my.toml", "--out", tmp_path / "run", "--dry-run", *TINY)
    assert done.code == 0
    assert "a.en:145" in done.err and "data.longest = 100" in done.err


# The other signal to a process of its own is in test_seeds.py.
@pytest.mark.parametrize("name", [pytest.param("SIGINT", marks=pytest.mark.slow), "SIGTERM"])
def test_interrupted_saves_and_says_how_to_go_on(name: str, files: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "triptych",
        "train",
        str(files / "my.toml"),
        "--out",
        str(tmp_path / "run"),
        *TINY,
        "--training.steps",
        "100000",
        "--training.log_every_steps",
        "1",
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert process.stderr is not None
    with killed_after(process):
        for line in process.stderr:
            if line.startswith("step 3/"):
                process.send_signal(getattr(signal, name))
                break
        rest = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == {"SIGINT": 130, "SIGTERM": 143}[name]
    assert f"triptych train {tmp_path / 'run'} --resume" in rest and "Traceback" not in rest
    assert list((tmp_path / "run" / "checkpoints").glob("step-*/COMPLETE"))
