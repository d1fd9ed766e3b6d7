"""Windows with times, subtitles, and the command that writes them."""

from __future__ import annotations

import io
import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toy_speech import PITCHES, RATE, song_run

from triptych.cli.main import run as command
from triptych.data.example import Example
from triptych.inference.loading import load
from triptych.inference.transcribing import (
    Segment,
    TimedWord,
    cues,
    srt,
    timed_words,
    token_states,
    transcribe,
)


def test_words_have_the_times_of_their_tokens() -> None:
    pieces, spans = ["on", "e", " two", "."], [(0, 2), (3, 4), (10, 12), (12, 13)]
    found = timed_words(pieces, spans, 0.04, 5.0)
    assert [one.text for one in found] == ["one", " two."]
    assert [round(one.start, 2) for one in found] == [5.0, 5.4]
    assert [round(one.end, 2) for one in found] == [5.4, 5.82]  # a word lingers, not into another
    wide = timed_words(["機", "器", "。", "ok"], [(0, 1), (2, 3), (3, 4), (5, 6)], 0.04, 0.0)
    assert [one.text for one in wide] == ["機", "器。", "ok"]
    letters = timed_words(list("a b"), [(0, 1), (1, 2), (6, 7)], 0.1, 0.0)
    assert [(one.text, round(one.start, 1)) for one in letters] == [("a", 0.0), (" b", 0.6)]
    assert timed_words([], [], 0.04, 0.0) == []


def test_cues_end_at_pauses_sentences_and_full_lines() -> None:
    def said(*words: tuple[str, float, float]) -> Segment:
        return Segment("", 0, 9, [TimedWord(*one) for one in words])

    found = cues(
        iter(
            [
                said(("One", 0, 0.5), (" two.", 0.6, 1.0), (" Three", 1.1, 1.5)),
                said((" four", 3, 3.5), (" five", 5, 5.5)),
                said(*((f" word{n}", 6 + n / 5, 6.1 + n / 5) for n in range(9))),
            ]
        )
    )
    texts = [one.text for one in found]
    assert texts[:4] == ["One two.", "Three", "four", "five"]
    assert texts[4:] == ["word0 word1 word2 word3 word4 word5 word6", "word7 word8"]
    assert srt(3, TimedWord("a", 3661.0015, 3662.5)) == ("3\n01:01:01,002 --> 01:01:02,500\na\n\n")


@pytest.mark.parametrize("by_ctc", [True, False])
def test_times_are_those_of_the_sound(by_ctc: bool) -> None:
    run, paths, texts = song_run()
    predictor = load(run)
    if not by_ctc:
        predictor.head = predictor.head.next  # as of a run with attention alone
    place = next(place for place, text in enumerate(texts) if len(set(text.split())) == 2)
    (found,) = transcribe(predictor, Example(audio=str(paths[place])))
    assert found.text == texts[place] and len(found.words) == 2
    assert found.start == 0 and abs(found.end - 0.64) < 0.01
    first, second = found.words  # the words begin at 0.08 and 0.36 s
    assert 0 <= first.start < second.start < second.end <= 0.7


def test_states_cover_every_token() -> None:
    run, paths, _ = song_run()
    predictor = load(run)
    (encoded,), _ = predictor.encode(Example(audio=str(paths[0])))
    tokens = predictor.predict([str(paths[0])])[0].tokens
    spans = token_states(predictor, encoded, tokens)
    assert len(spans) == len(tokens)
    assert all(a < b <= c < d for (a, b), (c, d) in pairwise(spans))


def test_a_long_sound_needs_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour is read a window at a time: no more than a window and a block is held."""
    from triptych.data.features import audio

    run, _, _ = song_run()
    predictor, most = load(run), 0
    window = audio.AudioStream.window

    def watched(self: Any, samples: int) -> Any:
        nonlocal most
        found = window(self, samples)
        most = max(most, len(self._held))
        return found

    monkeypatch.setattr(audio.AudioStream, "window", watched)
    file = io.BytesIO()
    soundfile.write(file, np.zeros(8000 * 600, np.int16), 8000, format="FLAC")
    seconds: list[float] = []
    example = Example(audio=file.getvalue())
    assert list(transcribe(predictor, example, heard=seconds.append)) == []
    assert abs(sum(seconds) - 600) < 0.1 and most <= (3 + 11) * RATE


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, paths, texts = song_run()

    def said(*arguments: str) -> tuple[int, str, str]:
        code = command(["transcribe", str(run), *arguments])
        out = capsys.readouterr()
        return code, out.out, out.err

    assert said(str(paths[0]))[:2] == (0, f"{texts[0]}\n")
    code, out, _ = said(str(paths[0]), str(paths[1]), "--decoding.ctc_weight", "0.4")
    assert code == 0 and out == f"{paths[0]}\t{texts[0]}\n{paths[1]}\t{texts[1]}\n"
    code, out, _ = said(str(paths[0].parent))
    assert code == 0 and len(out.splitlines()) == 8 and f"1.wav\t{texts[1]}" in out
    code, out, _ = said(str(paths[0]), "--jsonl")
    assert code == 0 and json.loads(out)["text"] == texts[0]
    code, out, _ = said(str(paths[0]), "--srt")
    lines = out.splitlines()
    assert code == 0 and lines[0] == "1" and " --> 00:00:00," in lines[1] and lines[2] == texts[0]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(paths[0].read_bytes())))
    assert said()[1] == f"{texts[0]}\n"
    (tmp_path / "bad.wav").write_text("no sound")
    code, out, err = said(str(tmp_path / "bad.wav"), str(paths[0]))
    assert code == 1 and texts[0] in out and "bad.wav is not a sound file" in err
    assert said(str(tmp_path / "gone.wav"))[0] == 1
    assert said(str(paths[0]), str(paths[1]), "--srt")[0] == 2
    assert set(PITCHES) >= set(" ".join(texts).split())
