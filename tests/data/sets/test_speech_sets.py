"""Public sets of speech: their parts, and unpacking."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from triptych.data.sets import speech
from triptych.data.sets.entry import SPLITS, Entry
from triptych.data.table import DataTable
from triptych.errors import DataError, UsageError


def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, names: list[str]) -> Entry:
    """Return a set of the catalogue with other content: a tar of empty files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for one in names:
            tar.addfile(tarfile.TarInfo(one))
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    entry = speech.ENTRIES[name]
    folder = tmp_path / name
    folder.mkdir()
    (folder / entry.files[0].name).write_bytes(file.getvalue())
    digest = hashlib.sha256(file.getvalue()).hexdigest()
    first = dataclasses.replace(entry.files[0], sha256=digest)
    return dataclasses.replace(entry, files=(first, *entry.files[1:]))


def test_digits_by_speaker_and_by_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{digit}_{speaker}_{number}.wav" for digit in range(10)
             for speaker in speech.SPEAKERS for number in range(50)]  # fmt: skip
    entry = packed(tmp_path, monkeypatch, "free-spoken-digits", names)
    load = speech.spoken_digits
    sizes = [len(load(entry, part, DataTable())) for part in SPLITS]
    assert sizes == [2400, 300, 300]
    parts = {part: load(entry, part, DataTable(fold=3)) for part in SPLITS}
    assert [len(found) for found in parts.values()] == [2250, 250, 500]
    assert all("_lucas_" in one.place for one in parts["test"])
    assert not any("_lucas_" in one.place for one in parts["train"] + parts["validation"])
    assert Counter(one.target for one in parts["test"])["seven"] == 50
    with pytest.raises(UsageError, match=r"data.fold is 7; .* 6 speakers: 1 george, 2 jackson"):
        load(entry, "test", DataTable(fold=7))


def test_yes_and_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number:08b}"[:8] for number in range(60)]
    names = ["_".join(one) + ".wav" for one in names]
    entry = packed(tmp_path, monkeypatch, "yesno", names)
    parts = {part: speech.yes_no(entry, part, DataTable()) for part in SPLITS}
    assert [len(found) for found in parts.values()] == [27, 3, 30]
    assert parts["train"][0].target == "no no no no no no no no"
    folder = next((tmp_path / "cache" / "triptych" / "yesno").iterdir())
    assert len(list(folder.iterdir())) == 60 and len(list(folder.parent.iterdir())) == 1


def test_words_of_known_characters_are_held_out() -> None:
    words = [a + b for a in "甲乙丙丁戊己庚辛壬癸" for b in "子丑寅卯辰巳午未申酉戌亥"]
    parts = speech.word_parts([*words, "獨一"])
    held = [word for word in words if parts[word] != "train"]
    known = {one for word, part in parts.items() if part == "train" for one in word}
    assert parts["獨一"] == "train" and held and all(set(word) <= known for word in held)
    assert {parts[word] for word in words} == set(SPLITS)
    assert speech.word_parts(words)[words[5]] == parts[words[5]]


def test_a_damaged_archive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = packed(tmp_path, monkeypatch, "yesno", ["0_0_0_0_0_0_0_0.wav"])
    path = tmp_path / "yesno" / "waves_yesno.tar"
    path.write_bytes(path.read_bytes()[:-600] + b"x" * 600)
    with pytest.raises(DataError, match=r"waves_yesno.tar is not the expected file"):
        speech.yes_no(entry, "test", DataTable())
    assert not list((tmp_path / "cache").rglob("*.wav"))


def test_words_in_either_script(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opencc")
    entry, words = speech.ENTRIES["mandarin-words"], ["机器", "学习", "一_就_"]
    lines = [f"cmn-{word}.mp3\t{word}\t1.0\t{'not-plain' * ('_' in word)}" for word in words]
    names = {f"cmn-{word}.mp3": Path(f"{word}.mp3") for word in words}
    monkeypatch.setattr(speech, "file_lines", lambda *_: ["file\ttext\tseconds\tflag", *lines])
    monkeypatch.setattr(speech, "clips_of", lambda *_: names)

    def load(script: Any) -> list[tuple[str | None, object]]:
        found = speech.mandarin_words(entry, "train", DataTable(script=script))
        return [(one.target, one.audio) for one in found]

    assert load(None) == [("机器", "机器.mp3"), ("学习", "学习.mp3")]
    assert load("zh-Hant") == [("機器", "机器.mp3"), ("學習", "学习.mp3")]
    with pytest.raises(UsageError, match="tagged"):
        load("tagged")
