"""Every verb that takes a run finds it by its name alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., SimpleNamespace]


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with runs/mine."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    shutil.copytree(trained, tmp_path / "here" / "runs" / "mine")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize(
    "command",
    ["predict mine one", "translate mine one", "evaluate mine", "inspect mine one"],
)
def test_a_run_by_its_name(triptych: Command, here: Path, command: str) -> None:
    done = triptych(*command.split())
    assert done.code == 0 and "Run: runs/mine\n" in done.err
    by_path = triptych(*command.replace("mine", "runs/mine").split())
    assert by_path.out == done.out and "Run:" not in by_path.err


def test_others_that_read_a_run(triptych: Command, here: Path) -> None:
    assert "runs/mine" in triptych("info", "mine").out.splitlines()[0]
    done = triptych("compare", "mine", "runs/mine", "--bootstrap", "10")
    assert done.code == 0 and "mine" in done.out
    done = triptych("predict", "runs/mine", "one", "--draft", "mine", "--decoding.beams", "1")
    assert done.code == 0
    done = triptych("plot", "mine")
    assert done.code == 0 and Path("curves.svg").is_file()
    done = triptych("train", "mine", "--print-config")
    assert done.code == 0 and "steps = 4" in done.out
    done = triptych("train", "mine", "--resume")
    assert done.code in (0, 2) and "runs/mine" in done.out + done.err


def test_a_preset_is_described_and_the_run_of_its_name_is_told(
    triptych: Command, here: Path
) -> None:
    shutil.move("runs/mine", "runs/gpt2")
    done = triptych("info", "gpt2")
    assert done.out.startswith("preset") and "The run of that name is runs/gpt2" in done.err


def test_a_missing_run_is_made_by_the_command_in_the_error(triptych: Command, here: Path) -> None:
    done = triptych("classify", "sms-spam", "Win a prize")
    assert done.code == 1 and "Train it with: triptych train sms-spam\n" in done.err
