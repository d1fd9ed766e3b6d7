"""Every problem of clips is named with its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from triptych.cli.main import run
from triptych.data.validation.clips import check

RATE = 16_000


def write(path: Path, samples: np.ndarray, subtype: str = "PCM_16") -> None:
    soundfile.write(path, samples, RATE, subtype=subtype)


def test_each_problem_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    nan = noise.copy()
    nan[100] = np.nan
    write(tmp_path / "good.wav", noise)
    write(tmp_path / "silent.wav", 0 * noise)
    write(tmp_path / "loud.wav", np.clip(40 * noise, -1, 1))
    write(tmp_path / "long.wav", np.tile(noise, 31))
    write(tmp_path / "short.wav", noise[:100])
    write(tmp_path / "none.wav", noise[:0])
    write(tmp_path / "nan.wav", nan, "FLOAT")
    (tmp_path / "text.wav").write_text("no sound")
    rows = [
        ("good", "one two"), ("silent", "one"), ("loud", "one"), ("long", "one"),
        ("short", "one"), ("none", "one"), ("nan", "one"), ("text", "one"), ("gone", "one"),
        ("good", "again"),
    ]  # fmt: skip
    train = tmp_path / "train.tsv"
    lines = [f"{name}.wav\t{text}" for name, text in rows]
    train.write_text("audio\ttext\n" + "\n".join([*lines, "good.wav\t", "\tone"]) + "\n")
    other = tmp_path / "other.jsonl"
    write(tmp_path / "fast.wav", noise[:8000])
    records = [("fast.wav", "one two " * 20), ("good.wav", "one ñ")]
    other.write_text("".join(json.dumps({"audio": a, "text": t}) + "\n" for a, t in records))
    report = check({"train": [str(train)], "test": [str(other)]})
    found = {(Path(one.place).name, one.reason.split(":")[0]) for one in report.problems}
    assert found == {
        ("train.tsv:3", "silent"),
        ("train.tsv:4", "clipped"),
        ("train.tsv:5", "long sound"),
        ("train.tsv:6", "short sound"),
        ("train.tsv:7", "unreadable sound"),
        ("train.tsv:8", "unreadable sound"),
        ("train.tsv:9", "unreadable sound"),
        ("train.tsv:10", "unreadable sound"),
        ("train.tsv:11", "same sound"),
        ("train.tsv:12", "same sound"),
        ("train.tsv:12", "empty text"),
        ("train.tsv:13", "no record"),
        ("other.jsonl:1", "too much text"),
        ("other.jsonl:2", "leak"),
        ("other.jsonl:2", "unseen character"),
    }
    said = {one.place.split(":")[-1]: one.reason for one in report.problems if "tsv" in one.place}
    assert "gone.wav does not exist" in said["10"] and "not a finite number" in said["8"]
    assert report.pairs == {"train": 11, "test": 2}
    assert run(["data", "check", str(train)]) == 1
    out = capsys.readouterr()
    assert "train.tsv:3: silent" in out.out and "taken for clips of sound with texts" in out.err
    assert "train 11 clips; 8 errors, 4 warnings." in out.err


def test_a_folder_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    (tmp_path / "clips").mkdir()
    write(tmp_path / "clips" / "one_two.wav", noise)
    assert run(["data", "check", str(tmp_path / "clips")]) == 0
    assert "train 1 clip; 0 errors" in capsys.readouterr().err
