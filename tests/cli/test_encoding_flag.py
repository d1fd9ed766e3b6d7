"""Test --encoding of init, train, evaluate and data, and files that init reads as they are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY

from triptych.recipe.schema import Recipe

Command = Callable[..., SimpleNamespace]
SHORT = ["--training.minutes", "0.05"]
PAIRS = [(f"The house {n} is old – “nice”.", f"Das Haus {n} ist schön.") for n in range(40)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """Write a table as a German spreadsheet saves it: semicolons, windows-1252."""
    rows = [("English", "Deutsch"), *PAIRS]
    path = tmp_path / "sheet.csv"
    path.write_bytes("".join(f"{';'.join(row)}\r\n" for row in rows).encode("cp1252"))
    return path


def test_the_advised_flag_makes_a_recipe_that_trains_and_scores(
    triptych: Command, sheet: Path, tmp_path: Path
) -> None:
    given = ["init", "translation", "--source", sheet, "--out", tmp_path / "my.toml"]
    refused = triptych(*given)
    assert refused.code == 1 and "sheet.csv:2: byte 0x96 is not UTF-8" in refused.err, refused.err
    flag = re.search(r"--encoding \S+", refused.err)
    assert flag is not None and not (tmp_path / "my.toml").exists()
    done = triptych(*given, *shlex.split(flag[0]))
    assert done.code == 0 and "CSV with semicolons between columns" in done.err, done.err
    recipe = Recipe.load(str(tmp_path / "my.toml"))
    assert recipe.data.encoding == "cp1252"
    assert triptych("data", "check", tmp_path / "my.toml").code == 0
    trained = triptych("train", tmp_path / "my.toml", "--out", tmp_path / "run", *TINY, *SHORT)
    assert trained.code == 0, trained.err
    scored = triptych("evaluate", tmp_path / "run", "--data", sheet)
    assert scored.code == 0 and "40 examples" in scored.err
    (tmp_path / "c.tsv").write_bytes("English\tDeutsch\nOne\tПривет\n".encode("koi8-r"))
    other = triptych(
        "evaluate", tmp_path / "run", "--data", tmp_path / "c.tsv", "--encoding", "koi8-r"
    )
    assert other.code == 0 and "1 example in" in other.err, other.err
    override = triptych("train", tmp_path / "my.toml", "--encoding", "ascii", "--dry-run")
    assert override.code == 1 and "(--encoding ascii)" in override.err


def test_check_and_stats_take_an_encoding(triptych: Command, sheet: Path, tmp_path: Path) -> None:
    advice = triptych("data", "check", sheet)
    assert advice.code == 1 and "Read it with --encoding cp1252 (line 2" in advice.out
    assert advice.out.count("--encoding") == 1  # once is enough
    assert triptych("data", "check", sheet, "--encoding", "cp1252").code == 0
    stats = triptych("data", "stats", sheet, "--encoding", "cp1252")
    assert stats.code == 0 and "40" in stats.out
    told = triptych("data", "check", sheet, "--encoding", "latin1")
    assert told.code == 1 and "control character: U+0096" in told.out
    wrong = triptych("data", "check", sheet, "--encoding", "ascii")
    assert wrong.code == 1 and "sheet.csv:2: byte 0x96 is not in the encoding" in wrong.out
    assert "Did you mean 'big5'" in triptych("data", "check", sheet, "--encoding", "big-5").err
    (tmp_path / "my.toml").write_text("")
    idle = triptych("data", "check", tmp_path / "my.toml", "--encoding", "cp1252")
    assert idle.code == 2 and "--encoding is for files" in idle.err
    texts = tmp_path / "a.txt"
    texts.write_bytes("Ein schöner Tag.\n\n".encode("cp1252") * 2)
    plain = triptych("data", "check", texts, "--encoding", "cp1252")
    assert "duplicate" in plain.out and "bad UTF-8" not in plain.out


def test_wide_files_need_no_flag(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    rows = [("english", "german"), *PAIRS]
    path.write_text("".join("\t".join(row) + "\r\n" for row in rows), encoding="utf-16")
    done = triptych("init", "translation", "--source", path, "--out", tmp_path / "a.toml")
    assert done.code == 0 and "encoding" not in (tmp_path / "a.toml").read_text(), done.err


def test_subtitles_and_memories_are_learnt_as_they_are(triptych: Command, tmp_path: Path) -> None:
    for code, side in (("en", 0), ("de", 1)):
        cues = (
            f"{n + 1}\n00:{n:02}:01 --> 00:{n:02}:02\n{pair[side]}\n\n"
            for n, pair in enumerate(PAIRS)
        )
        (tmp_path / f"film.{code}.srt").write_text("".join(cues), encoding="utf-8")
    files = ["--source", tmp_path / "film.en.srt", "--target", tmp_path / "film.de.srt"]
    done = triptych("init", "translation", *files, "--out", tmp_path / "a.toml")
    assert done.code == 0 and "film.en.srt: subtitles, 40 cues" in done.err, done.err
    recipe = Recipe.load(str(tmp_path / "a.toml"))
    assert (recipe.data.source, recipe.data.target) == ("en", "de")
    assert triptych("train", tmp_path / "a.toml", "--dry-run").code == 0
    pytest.importorskip("defusedxml")
    units = "".join(
        f'<tu><tuv xml:lang="en-GB"><seg>{one}</seg></tuv>'
        f'<tuv xml:lang="de-AT"><seg>{other}</seg></tuv>'
        '<tuv xml:lang="fr"><seg>autre</seg></tuv></tu>'
        for one, other in PAIRS
    )
    (tmp_path / "m.tmx").write_text(f"<tmx><header/><body>{units}</body></tmx>", encoding="utf-8")
    given = ["init", "translation", "--source", tmp_path / "m.tmx", "--out", tmp_path / "m.toml"]
    doubt = triptych(*given)
    assert doubt.code == 2 and "there are en-GB, de-AT, fr" in doubt.err, doubt.err
    done = triptych(*given, "--source-language", "en", "--target-language", "de")
    assert done.code == 0, done.err
    dry = triptych("train", tmp_path / "m.toml", "--dry-run")
    assert dry.code == 0 and "|Das| Haus|" in dry.err, dry.err
