"""A run given by its name alone: where it is looked for, in which order, and what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from triptych.errors import RunError
from triptych.messages import Message
from triptych.runs import named
from triptych.runs.run import Run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with the user's own runs beside it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def make(folder: Path) -> Path:
    """Make a folder that looks like a run."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_the_nearest_place_wins(home: Path) -> None:
    own = make(home / "data" / "triptych" / "runs" / "bees")
    assert Run.open("bees").path == own
    make(Path("runs/bees"))
    assert Run.open("bees").path == Path("runs/bees")
    make(Path("bees"))
    assert Run.open("bees").path == Path("bees")
    assert Run.open(own).path == own, "a path is only itself"


def test_the_default_of_the_user_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert named.user_runs() == Path.home() / ".local" / "share" / "triptych" / "runs"


def test_only_a_name_is_looked_for(home: Path) -> None:
    make(Path("runs/a/b"))
    for given in ("a/b", "./b", "", ".", "..", str(Path("b").absolute())):
        assert named.named(given) is None, given


def test_what_lies_here_wins_although_it_is_no_run(home: Path) -> None:
    Path("bees").mkdir()
    with pytest.raises(RunError, match="bees is not a run folder: config.json is missing") as first:
        Run.open("bees")
    assert "If you mean" not in str(first.value)
    make(Path("runs/bees"))
    with pytest.raises(RunError, match="If you mean the run runs/bees, give this path"):
        Run.open("bees")
    Path("bees").rmdir()
    Path("bees").write_text("not a folder")
    with pytest.raises(RunError, match="bees is a file; .*If you mean the run runs/bees"):
        Run.open("bees")


def test_a_folder_without_a_run_is_not_passed_over(home: Path) -> None:
    make(home / "data" / "triptych" / "runs" / "bees")
    Path("runs/bees").mkdir(parents=True)
    with pytest.raises(RunError, match="runs/bees is not a run folder"):
        Run.open("bees")


def test_a_missing_run_names_the_places_and_the_command(home: Path) -> None:
    with pytest.raises(RunError) as found:
        Run.open("sms-spam")
    folder = re.escape(str(home / "data" / "triptych" / "runs"))
    said = rf"There is no run folder sms-spam: none here, none in runs, and none in {folder}\."
    assert re.match(said, str(found.value))
    assert str(found.value).endswith("Train it with: triptych train sms-spam")
    with pytest.raises(RunError, match="triptych train RECIPE --out runs/wasps"):
        Run.open("wasps")
    assert isinstance(found.value.args[0], Message), "it can be said in another language"


def test_a_near_name_is_suggested(home: Path) -> None:
    make(Path("runs/wasps-and-bees"))
    with pytest.raises(RunError, match=r"Did you mean wasps-and-bees\?$"):
        Run.open("wasps-and-bess")


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ("runs/sms-spam", "triptych train sms-spam"),
        ("runs/wasps", "triptych train RECIPE --out runs/wasps"),
        ("other/sms-spam", "triptych train RECIPE --out other/sms-spam"),
    ],
)
def test_a_missing_path_names_the_command(home: Path, given: str, command: str) -> None:
    with pytest.raises(
        RunError, match=f"There is no run folder {given}. Train one with: {command}"
    ):
        Run.open(given)
