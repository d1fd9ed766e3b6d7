"""Manifests and folders of sound files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from triptych.data.formats.clips import clips, compiled, is_clips, read
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.errors import DataError, UsageError

NEEDS = ("audio", "target")


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(1600, 0.1), 16_000)
    return path


def texts(folder: Path, name: str, content: str, **options: object) -> list[tuple[str, str | None]]:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    found = clips(path, **options)  # type: ignore[arg-type]
    return [(Path(str(one.audio)).relative_to(folder).as_posix(), one.target) for one in found]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.tsv", "audio\ttext\na.wav\tone two\nsub/b.wav\tthree\n"),
        ("m.tsv", "a.wav\tone two\nsub/b.wav\tthree\n"),
        ("m.csv", "text,path\none two,a.wav\nthree,sub/b.wav\n"),
        ("m.jsonl", '{"audio_filepath": "a.wav", "text": "one two"}\n'
                    '{"audio_filepath": "sub/b.wav", "text": "three"}\n'),
        ("m.tsv", "speaker\tsentence\tfile\nx\tone two\ta.wav\ny\tthree\tsub/b.wav\n"),
    ],
)  # fmt: skip
def test_manifests(tmp_path: Path, name: str, content: str) -> None:
    assert texts(tmp_path, name, content) == [("a.wav", "one two"), ("sub/b.wav", "three")]
    assert is_clips(tmp_path / name)


def test_named_columns_and_names_without_endings(tmp_path: Path) -> None:
    sound(tmp_path / "wavs" / "x1.wav")
    columns = {"audio": "id", "target": "said"}
    found = texts(tmp_path, "m.tsv", "said\tid\tnote\nhello\tx1\t-\n", columns=columns)
    assert found == [("wavs/x1.wav", "hello")]
    by_number = {"audio": 2, "text": 1}
    found = texts(tmp_path, "n.tsv", "hello\tx1\t-\n", columns=by_number)
    assert found == [("wavs/x1.wav", "hello")]


def test_times(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    path.write_text("audio\ttext\tstart\tend\na.wav\tone\t0.5\t1.25\na.wav\ttwo\t\t\n")
    first, second = clips(path)
    assert (first.start, first.end, second.start) == (0.5, 1.25, None)
    path.write_text("audio\ttext\tstart\na.wav\tone\tsoon\n")
    with pytest.raises(DataError, match=r"m.tsv:2: start must be seconds, not 'soon'"):
        list(clips(path))


def test_folders(tmp_path: Path) -> None:
    for name in ("0_george_1.wav", "1_theo_0.wav"):
        sound(tmp_path / "digits" / name)
    sound(tmp_path / "words" / "yes" / "a.wav")
    sound(tmp_path / "pairs" / "a.flac")
    (tmp_path / "pairs" / "a.txt").write_text("hello\n there\n")
    (tmp_path / "pairs" / "notes.md").write_text("-")
    of = lambda name, pattern=None: [one.target for one in clips(tmp_path / name, None, pattern)]  # noqa: E731
    assert of("digits", "{text}_{speaker}_{index}") == ["0", "1"]
    assert of("digits") == ["0 george 1", "1 theo 0"]
    assert of("words", "{text}/{clip}") == ["yes"]
    assert of("pairs") == ["hello there"]
    assert is_clips(tmp_path / "digits")
    with pytest.raises(DataError, match="1_theo_0.wav does not fit data.pattern"):
        of("digits", "{text}_george_{index}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no sound"):
        of("empty")


def test_patterns() -> None:
    find = compiled("cmn-{text}")
    assert find("cmn-学习.mp3") == "学习" and find("sub/cmn-a_b.mp3") == "a b"
    assert find("other.mp3") is None
    for wrong in ("{speaker}_{index}", "{text}{text}", "{text}_{}"):
        with pytest.raises(UsageError, match="must have {text} once"):
            compiled(wrong)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("audio\tspeaker\na.wav\tx\n", "no column text; there are audio, speaker"),
        ('{"sound": "a.wav", "text": "x"}\n', "no column audio"),
        ("audio\ttext\n\tone\n", ":2: no file of sound is named"),
        ('{"audio": "a.wav", "text": 3}\n', ":1: the text is not a text but int"),
        ('{"audio": "a.wav", "text": "x"}\n{"audio": "a.wav"}\n', ":2: the text is missing"),
        ("only text\n", "is no manifest of sound"),
    ],
)
def test_bad_manifests(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "m.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        list(clips(path))


def test_splits_and_reports(tmp_path: Path) -> None:
    rows = "".join(f"clip{number}.wav\ttext {number}\n" for number in range(200))
    path = tmp_path / "m.tsv"
    path.write_text("audio\ttext\n" + rows + "silent.wav\t\n")
    said: list[str] = []
    parts = {
        part: load_split(DataTable(train=str(path)), part, said.append, NEEDS)
        for part in ("train", "validation", "test")
    }
    names = [str(one.audio) for part in parts.values() for one in part]
    assert len(names) == len(set(names)) == 200 and all(parts.values())
    assert said == ["m.tsv: 1 clips without text are left out; triptych data check lists them."]
    with pytest.raises(UsageError, match="data.pattern reads texts"):
        read([str(path)], DataTable(pattern="{text}"), NEEDS)
