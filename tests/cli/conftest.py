"""Small files and one small trained run for all tests of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY, pairs

from triptych.cli.main import run as run_command


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with a.en, a.de, a.tsv and my.toml."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.en").write_text("".join(f"{source}\n" for source, _ in pairs()), encoding="utf-8")
    (folder / "a.de").write_text("".join(f"{target}\n" for _, target in pairs()), encoding="utf-8")
    (folder / "a.tsv").write_text(
        "".join(f"{source}\t{target}\n" for source, target in pairs()[:10]), encoding="utf-8"
    )
    (folder / "my.toml").write_text(
        '[data]\nsource = "en"\ntarget = "de"\ntrain = ["a.en", "a.de"]\nvalidation = "a.tsv"\n'
        'test = "a.tsv"\n'
        "[training]\nsteps = 4\nlog_every_steps = 2\naverage = 0.5\n[batches]\n"
        "batch_tokens = 200\n[decoding]\nbeams = 2\n"
    )
    return folder


@pytest.fixture
def triptych(capfd: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command in this process; gives code, out, err."""

    def call(*arguments: object) -> SimpleNamespace:
        capfd.readouterr()
        code = run_command([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture(scope="session")
def trained(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small run and return its folder."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    assert run_command(["train", str(files / "my.toml"), "--out", str(out), *TINY]) == 0
    return out


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a run for question-answering for a few steps on its own SQuAD file."""
    folder = tmp_path_factory.mktemp("reading")
    paragraphs, names = [], ["Ada", "Babbage", "Turing"]
    for number, (one, other) in enumerate((one, other) for one in names for other in names):
        text = f"{number} days ago {one} met {other}."
        start = text.rindex(other)
        asked = [
            {
                "id": f"q{number}",
                "question": f"Whom did {one} meet?",
                "answers": [{"text": other, "answer_start": start}],
            },
            {"id": f"n{number}", "question": "Who slept?", "answers": [], "is_impossible": True},
        ]
        paragraphs.append({"context": text, "qas": asked})
    for name in ("train", "dev"):
        (folder / f"{name}.json").write_text(
            json.dumps({"data": [{"title": "x", "paragraphs": paragraphs}]})
        )
    (folder / "my.toml").write_text(
        '[task]\nname = "question-answering"\nwindow = 48\nstride = 8\nlongest_question = 16\n'
        'match_feature = true\n[data]\ntrain = "train.json"\nvalidation = "dev.json"\ntest = '
        '"dev.json"\nsource = "en"\n[tokenizer]\nvocabulary_size = 330\n[model]\npreset = '
        '"encoder-tiny"\nwidth = 16\nheads = 2\nlayers = 1\ninner_width = 32\nsegments = 5\n'
        '[training]\nsteps = 3\nlearning_rate = 0.01\nwarmup_steps = 2\nprecision = "float32"\n'
        "[batches]\nbatch_tokens = 400\n"
    )
    assert run_command(["train", str(folder / "my.toml"), "--out", str(folder / "run")]) == 0
    return folder / "run"
