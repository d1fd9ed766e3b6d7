"""Test translate --srt: times and structure stay, and failures are reported."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from triptych.cli.subtitles import SubtitleFlags, _translate_stdin, translate_subtitles
from triptych.data.example import Example
from triptych.data.formats.subtitles import read_subtitles
from triptych.errors import TriptychError
from triptych.tasks.task import Prediction

Command = Callable[..., SimpleNamespace]
OPTIONS: dict[str, Any] = dict.fromkeys(
    ("to", "source_language", "truncate", "draft", "precision", "engine", "overrides")
)
TIMES = "00:00:{0:02},000 --> 00:00:{1:02},500"


class Fake:
    """Translates by a function; a text that begins with "too long" cannot be read."""

    drafted = None

    def __init__(self, function: Callable[[str], str]) -> None:
        self.function = function

    def example(self, text: str, place: str = "", to: str | None = None) -> Example:
        return Example(source=text, place=place, target_language=to)

    def settings(self, **decoding: Any) -> dict[str, Any]:
        return decoding

    def answer(
        self,
        examples: list[Example],
        settings: Any,
        truncate: int | None,
        problems: dict[int, str],
        done: Any,
    ) -> Iterator[Prediction]:
        for place, example in enumerate(examples):
            if (example.source or "").startswith("too long"):
                problems[place] = f"{example.place} has 5,000 tokens."
            yield Prediction(
                self.function(example.source or ""),
                index=place,
                truncated_input_tokens=3 * (example.source == "Cut."),
            )


def run(
    path: Path,
    capfd: pytest.CaptureFixture[str],
    function: Callable[[str], str] = str.upper,
    **dials: Any,
) -> SimpleNamespace:
    capfd.readouterr()
    code = translate_subtitles(Fake(function), read_subtitles(path), **dials)  # type: ignore[arg-type]
    done = capfd.readouterr()
    return SimpleNamespace(code=code, out=done.out, err=done.err)


def write(tmp_path: Path, *cues: str) -> Path:
    path = tmp_path / "in.srt"
    blocks = [
        f"{len(cues) - n}\n{TIMES.format(n, n + 2)}\n{cue + chr(10) if cue else ''}\n"
        for n, cue in enumerate(cues)
    ]
    path.write_text("".join(blocks), encoding="utf-8")
    return path


def test_a_file_comes_back_with_its_times(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "<i>A man sits\non a bench.</i>", "- Hello.\n- Who is there?", "♪", "")
    done = run(path, capfd)
    expected = path.read_text(encoding="utf-8").replace(
        "A man sits\non a bench.", "A MAN SITS\nON A BENCH."
    )
    assert done.out == expected.replace("Hello.", "HELLO.").replace(
        "Who is there?", "WHO IS THERE?"
    )
    assert done.code == 0 and done.err == ""


def test_what_happened_to_a_cue_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "too long\nto read", "a <b>b</b> c", "words " * 30, "Cut.", "Empty.")
    done = run(path, capfd, lambda text: "" if text == "Empty." else text.upper())
    assert (
        done.code == 1
        and "too long\nto read\n" in done.out
        and "Empty." in done.out
        and "WORDS" in done.out
    )
    assert "in.srt:1 has 5,000 tokens. The cue is left untranslated." in done.err
    assert "in.srt:18 got an empty translation. The cue is left untranslated." in done.err
    assert (
        "left out of cue 4." in done.err
        and "More than two lines were needed for cue 3." in done.err
    )
    assert "Truncated: cue 2." in done.err
    assert " ".join(run(path, capfd, line_width=20).out.split()).count("WORDS") == 30


def test_captions_of_multi30k(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = Path(os.environ.get("TRIPTYCH_DATA", "missing")) / "multi30k"
    if not folder.is_dir():
        pytest.skip("TRIPTYCH_DATA names no folder with multi30k")
    pairs = [
        (folder / f"test_2016_flickr.{side}").read_text(encoding="utf-8").split("\n")[:200]
        for side in ("en", "de")
    ]
    by_text = dict(zip(*pairs, strict=True))
    path = tmp_path / "captions.srt"
    shown = []
    for number, text in enumerate(pairs[0]):
        second, words = 3 * number, text.split(" ")
        half = len(words) // 2 if len(text) > 42 else len(words)
        lines = [" ".join(part) for part in (words[:half], words[half:]) if part]
        times = [
            f"{moment // 3600:02}:{moment // 60 % 60:02}:{moment % 60:02},{number:03}"
            for moment in (second, second + 2)
        ]
        shown.append([str(number + 1), " --> ".join(times), *lines, ""])
    path.write_text("".join(f"{line}\n" for cue in shown for line in cue), encoding="utf-8")
    # fails where a caption's lines were not joined as they stood
    done = run(path, capfd, lambda text: by_text[text])
    cues = [cue.split("\n") for cue in done.out.strip().split("\n\n")]
    assert [cue[:2] for cue in cues] == [cue[:2] for cue in shown]
    assert [" ".join(cue[2:]) for cue in cues] == [" ".join(text.split()) for text in pairs[1]]
    assert all(len(line) <= 42 for cue in cues for line in cue[2:])
    for cue, text, before in zip(cues, pairs[1], shown, strict=True):
        fits = len(before) - 3 if len(text) <= 42 else 2 if len(text) <= 80 else None
        assert fits is None or len(cue) - 2 in (fits, fits + 1), cue


def test_another_kind_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "one", "<i>two</i>")
    done = run(path, capfd, kind="vtt")
    assert done.out == (
        "WEBVTT\n\n2\n00:00:00.000 --> 00:00:02.500\nONE\n\n"
        "1\n00:00:01.000 --> 00:00:03.500\n<i>TWO</i>\n\n"
    )
    (tmp_path / "b.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\na < b\n")
    assert run(tmp_path / "b.vtt", capfd).out.endswith("00:01.000 --> 00:02.000\nA < B\n\n")
    assert (
        "00:00:01,000 --> 00:00:02,000\nA < B\n" in run(tmp_path / "b.vtt", capfd, kind="srt").out
    )


def test_the_verb_translates_a_file(triptych: Command, trained: Path, tmp_path: Path) -> None:
    path = write(tmp_path, "one red dogs", "two blue cats", "♪")
    done = triptych(
        "translate", trained, "--srt", path, "--decoding.beams", "1", "--draft", "ngram"
    )
    assert done.code == int("empty translation" in done.err)  # it has hardly learnt
    assert re.findall(".*-->.*", done.out) == re.findall(
        ".*-->.*", path.read_text(encoding="utf-8")
    )
    assert done.out.count("\n\n") == 3 and done.out.endswith("♪\n\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--srt", "missing.srt"], 1, "missing.srt cannot be read"),
        (["--srt", "missing.srt", "a text"], 2, "--srt translates one file"),
        (["--srt", "missing.srt", "--line-width", "3"], 2, "--line-width is 3"),
        (["--srt", "missing.srt", "--truncate", "0"], 2, "--truncate is 0"),
        (["--line-width", "30", "a text"], 2, "--line-width is for subtitles"),
        (["--format", "vtt", "a text"], 2, "--format is for subtitles"),
        (["--encoding", "cp1252", "a text"], 2, "--encoding is for subtitles"),
        (["--draft", "ngram", "a text"], 2, "give --decoding.beams 1, or no draft"),
        (["--draft", "nowhere", "a text"], 1, "nowhere"),
        (["--decoding.draft_tokens", "0", "a text"], 2, "decoding.draft_tokens is 0"),
    ],
)
def test_wrong_usage_is_a_sentence(
    triptych: Command, trained: Path, arguments: list[str], code: int, said: str
) -> None:
    done = triptych("translate", trained, *arguments)
    assert done.code == code and said in done.err and done.out == ""


@pytest.mark.parametrize("dials", [{"beams": 1}, {"beams": 3}, {"temperature": 0.9, "beams": 1}])
def test_a_translation_is_streamed_as_it_is_predicted(trained: Path, dials: dict[str, Any]) -> None:
    from triptych.inference.loading import load

    predictor = load(trained)
    for text in ("one red dogs", "three blue birds one"):
        assert (
            "".join(predictor.stream(text, **dials)) == predictor.predict([text], **dials)[0].text
        )


def test_a_draft_changes_no_translation(trained: Path) -> None:
    from triptych.inference.loading import load

    texts = ["one red dogs", "three blue birds one", "two two two two two"]
    plain = [one.text for one in load(trained).predict(texts, beams=1)]
    for draft in ("ngram", trained):
        predictor = load(trained, draft=draft)
        assert [one.text for one in predictor.predict(texts, beams=1)] == plain
        assert ["".join(predictor.stream(text, beams=1)) for text in texts] == plain
        assert predictor.drafted is not None and predictor.drafted.tally.steps > 0
    assert predictor.drafted.tally.rate == 1.0  # the run drafts for itself


def test_a_draft_of_other_tokens_is_refused(
    triptych: Command, trained: Path, tmp_path: Path
) -> None:
    import shutil

    from triptych.data.tokenizers import loading
    from triptych.data.tokenizers.subwords import Tokenizer

    other = shutil.copytree(trained, tmp_path / "other")
    size = loading.load(trained / "tokenizer.json").vocabulary_size
    Tokenizer.train(["other texts with other words"] * 9, "bpe", size).save(
        other / "tokenizer.json"
    )
    done = triptych("translate", trained, "--draft", other, "--decoding.beams", "1", "one")
    assert done.code == 1 and "The tokenizer of" in done.err and "--draft ngram" in done.err


def test_a_stream_is_translated_cue_by_cue(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = list[str]()

    def lines() -> Iterator[bytes]:
        yield from (b"\xef\xbb\xbf\n", b"7\r\n", b"00:00:01,000 --> 00:00:02,000\r\n")
        yield from ("gr\u00fcn\r\n".encode(), b"and two\r\n", b"\r\n")
        seen.append(capfd.readouterr().out)  # before the next cue has come
        yield from (b"\n", b"8\n", b"00:00:03,000 --> 00:00:04,000\n", b"\n", b"late\n", b"\n")
        seen.append(capfd.readouterr().out)
        yield from (b"9\n", b"00:00:05,000 --> 00:00:06,000\n", b"last")

    fake: Any = Fake(str.upper)
    monkeypatch.setattr("triptych.cli.subtitles.load_run", lambda *_: fake)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=lines()))
    code = _translate_stdin("run", SubtitleFlags(srt=Path("-"), format_="vtt"), OPTIONS)
    assert code == 0
    assert seen == [
        "WEBVTT\n\n7\n00:00:01.000 --> 00:00:02.000\nGR\u00dcN\nAND TWO\n\n",
        "8\n00:00:03.000 --> 00:00:04.000\nLATE\n\n",
    ]
    assert capfd.readouterr().out == "9\n00:00:05.000 --> 00:00:06.000\nLAST\n\n"


@pytest.mark.parametrize(
    ("given", "words", "out"),
    [
        (b"", "stdin holds no subtitle", ""),
        (b"1\n00:00:01,000 --> 00:00:02,000\nhi\n\nlost\n", "stdin:5: 'lost' belongs", "HI"),
        (b"1\n00:00:01,000 --> 00:99:02,000\nhi\n\n", "stdin:2: '00:00:01,000", ""),
        (b"1\n00:00:01,000 --> 00:00:02,000\nhi\n\n2\n00:00:03,000 --> 00:00:04,000\n\xff\n",
         "stdin:7", "HI"),
    ],
)  # fmt: skip
def test_a_stream_that_breaks(
    given: bytes,
    words: str,
    out: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    fake: Any = Fake(str.upper)
    monkeypatch.setattr("triptych.cli.subtitles.load_run", lambda *_: fake)
    lines = iter(given.splitlines(keepends=True))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=lines))
    with pytest.raises(TriptychError, match=words):
        _translate_stdin("run", SubtitleFlags(srt=Path("-")), OPTIONS)
    assert out in capfd.readouterr().out, "what came before is translated"
