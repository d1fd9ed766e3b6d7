"""Test captions that roll: each cue repeats the line before it."""

from __future__ import annotations

from pathlib import Path

from triptych.data.formats.pairs import Files, read
from triptych.data.formats.rolling_captions import unrolled
from triptych.data.formats.subtitles import Cue, read_subtitles

ENGLISH = ["so today we look at", "how a small boat is", "built out of oak and", "what it costs"]
GERMAN = ["heute sehen wir uns an", "wie ein kleines Boot", "aus Eiche gebaut wird", "und kostet"]


def clock(hundredths: int) -> str:
    return f"00:00:{hundredths // 100:02d}.{hundredths % 100:02d}0"


def rolling(lines: list[str]) -> str:
    """Write captions as YouTube does: a line is new in one cue, and repeated in the next two."""
    blocks, before = ["WEBVTT\nKind: captions\nLanguage: en\n"], " "
    for place, line in enumerate(lines):
        begin = place * 300
        words = line.split()
        timed = "".join(f"<{clock(begin + n)}><c> {word}</c>" for n, word in enumerate(words[1:]))
        blocks.append(f"{clock(begin)} --> {clock(begin + 290)}\n{before}\n{words[0]}{timed}\n")
        blocks.append(f"{clock(begin + 290)} --> {clock(begin + 300)}\n{line}\n \n")
        before = line
    return "\n".join(blocks)


def test_pairs_of_rolling_captions_have_each_line_once(tmp_path: Path) -> None:
    for name, lines in (("a.en.vtt", ENGLISH), ("a.de.vtt", GERMAN)):
        (tmp_path / name).write_text(rolling(lines), encoding="utf-8")
    said: list[str] = []
    files = Files(str(tmp_path / "a.en.vtt"), str(tmp_path / "a.de.vtt"))
    found = read(files, "en", "de", said.append)
    pairs = [(one.source, one.target) for one in found]
    assert pairs == list(zip(ENGLISH, GERMAN, strict=True))
    assert sum("a.en.vtt: captions that roll" in one and "4 cues" in one for one in said) == 1
    assert len(read_subtitles(tmp_path / "a.en.vtt").cues) == 8  # the file itself stays as it is


def test_a_refrain_and_a_dialogue_do_not_roll() -> None:
    def cues(*texts: str) -> list[Cue]:
        return [Cue(str(n), "", tuple(text.split("|"))) for n, text in enumerate(texts)]

    assert unrolled(cues("No!", "No!", "Why not?", "Because.", "I say so.", "Well.")) is None
    assert unrolled(cues("La la|la", "la|Row the boat", "home again", "La la|la", "x", "y")) is None
    assert unrolled(cues("a|b", "b|c")) is None  # too few to tell
    assert unrolled([]) is None
    lines = unrolled(cues("a|b", "b|c", "c|d", "d|e", "new|one"))
    assert lines is not None
    assert [cue.lines for cue in lines] == [("a", "b"), ("c",), ("d",), ("e",), ("new", "one")]
