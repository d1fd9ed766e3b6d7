"""Files that cannot be written are refused before anything is computed; pages follow the locale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., SimpleNamespace]


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loading of a run fail, which comes after what is refused."""

    def loaded(*given: object, **more: object) -> None:
        raise AssertionError("a run was loaded")

    monkeypatch.setattr("triptych.inference.loading.load", loaded)


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["evaluate", "RUN"], "--html"),
        (["evaluate", "RUN"], "--predictions"),
        (["compare", "RUN", "RUN"], "--html"),
        (["inspect", "RUN", "one"], "--html"),
        (["embed", "RUN", "one"], "--npy"),
    ],
)
def test_what_cannot_be_written_is_refused_first(
    triptych: Command, trained: Path, tmp_path: Path, idle: None, command: list[str], option: str
) -> None:
    folder, file = tmp_path / "pages.html", tmp_path / "file"
    folder.mkdir()
    file.write_text("kept")
    given = [trained if one == "RUN" else one for one in command]
    done = triptych(*given, option, folder)
    assert done.code == 2 and f"{option} {folder} is a folder" in done.err
    done = triptych(*given, option, file / "x.html")
    assert done.code == 2 and f"cannot be written: there is no folder {file}" in done.err
    if option == "--html":
        done = triptych(*given, option, tmp_path / "x.txt")
        assert done.code == 2 and f"ends in .html. Name it {tmp_path / 'x.html'}" in done.err
    assert file.read_text() == "kept" and not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize(("locale", "opened"), [("zh_TW", "zh-Hant"), ("en", "en")])
def test_pages_open_in_the_language_of_the_command_line(
    triptych: Command,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    locale: str,
    opened: str,
) -> None:
    monkeypatch.setenv("TRIPTYCH_LANG", locale)
    page = tmp_path / "new" / "a.html"
    for command in (
        ["inspect", trained, "one", "--html", page],
        ["compare", trained, trained, "--bootstrap", "1", "--html", page],
        ["plot", trained, "--out", page],
    ):
        assert triptych(*command).code == 0
        assert f'<html lang="{opened}"' in page.read_text(encoding="utf-8")
        page.unlink()
    assert triptych("plot", trained, "--out", page, "--language", "en").code == 0
    assert '<html lang="en"' in page.read_text(encoding="utf-8")


def test_completion_leaves_file_names_to_the_shell(triptych: Command) -> None:
    bash = triptych("completion", "bash").out
    assert "complete -o bashdefault -o default -F _triptych triptych" in bash
    assert "compgen -f" not in bash
    zsh = triptych("completion", "zsh").out
    assert "'1:Folder of a trained run.:_files' \\" in zsh
    bare = [
        line.strip().rstrip("\\ ")
        for line in zsh.splitlines()
        if line.strip().rstrip("\\ ").endswith("'") and "[" in line and "]:" in line
    ]
    assert bare and all(one.endswith((":_files'", ")'")) for one in bare)
    fish = triptych("completion", "fish").out
    assert "-l data -r" in fish and "-l predictions -r -F" in fish
    done = triptych("completion")
    assert done.code == 2 and '"completion" needs SHELL.' in done.err
