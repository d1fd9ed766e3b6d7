"""Test subtitles of other kinds, files that break the rules, and two files of one film."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.formats.pairs import Files, read
from triptych.data.formats.subtitle_kinds import span_of
from triptych.data.formats.subtitles import Subtitles, read_subtitles
from triptych.data.formats.texts import read as read_texts
from triptych.data.table import DataTable
from triptych.data.validation.pairs import check
from triptych.errors import DataError, UsageError

ONE, TWO = "00:00:01,000 --> 00:00:02,500", "00:00:03,000 --> 00:00:04,000"
VTT = """WEBVTT - a film
Language: en

NOTE written
by hand

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start
<v Ann>Salt &amp; bread, <i>please</i>.
a < b &lt; c

NOTE later

01:00:03.000 --> 01:00:04.000
<00:03.200><c.loud>Yes</c> <b.big>now</b>
"""
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, Bold, Italic
Style: Default,Arial,20,0,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,a note
Dialogue: 0,0:00:03.00,0:00:04.00,Default,Ann,0,0,0,,{\\an8}We sail, at {\\i1}dawn{\\i0}.
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Bob,0,0,0,,Two\\Nlines
"""


def subtitles(tmp_path: Path, content: str, name: str = "in.srt") -> Subtitles:
    (tmp_path / name).write_text(content, encoding="utf-8")
    return read_subtitles(tmp_path / name)


def cues(tmp_path: Path, content: str) -> list[tuple[str | None, tuple[str, ...]]]:
    found = subtitles(tmp_path, content)
    return [(cue.number, cue.lines) for cue in found.cues]


@pytest.mark.parametrize("number", ["\u200f7", "-1", "\u202b7\u202c", " 7 ", "\ufeff7"])
def test_signs_before_a_number(tmp_path: Path, number: str) -> None:
    content = f"1\n{ONE}\nOne\n\n{number}\n\n{TWO}\nTwo\n\n"
    assert cues(tmp_path, content) == [("1", ("One",)), (number, ("Two",))]


@pytest.mark.parametrize("gap", ["", "\n"])
def test_digits_may_be_the_text(tmp_path: Path, gap: str) -> None:
    content = f"1\n{ONE}\nIn the year\n{gap}1984\n{gap}\n2\n{TWO}\n7\n{gap}\nthe end\n\n12\n"
    found = [
        (number, tuple(line for line in lines if line)) for number, lines in cues(tmp_path, content)
    ]
    assert found == [("1", ("In the year", "1984")), ("2", ("7", "the end", "12"))]


def test_a_number_without_times_is_still_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"in\.srt:6: 'Bye' is not a time.*number 2 of line 5"):
        cues(tmp_path, f"1\n{ONE}\nHello\n\n2\nBye\n\n3\n{TWO}\nend\n")


@pytest.mark.parametrize(
    ("times", "span"),
    [
        ("00:00:01 --> 00:00:02", (1000, 2000)),
        ("00:00:01.250 --> 00:00:02.5", (1250, 2500)),
        ("00:01,5-->00:02", (1500, 2000)),
        ("1:02:03,004 --> 100:00:00,000", (3723004, 360000000)),
    ],
)
def test_times_that_are_short(tmp_path: Path, times: str, span: tuple[int, int]) -> None:
    found = subtitles(tmp_path, f"1\n{times}\nHello --> there\n\n")
    assert found.cues[0].times == times and span_of(times) == span
    assert found.cues[0].lines == ("Hello --> there",)
    assert found.to_bytes().decode() == f"1\n{times}\nHello --> there\n\n"


def test_web_subtitles_are_written_back(tmp_path: Path) -> None:
    found = subtitles(tmp_path, VTT, "in.vtt")
    assert [(cue.number, cue.lines) for cue in found.cues] == [
        ("intro", ("<v Ann>Salt & bread, <i>please</i>.", "a < b &lt; c")),
        (None, ("<c.loud>Yes</c> <b.big>now</b>",)),
    ]
    assert found.to_bytes().decode() == VTT.replace("<00:03.200>", "") + "\n"
    with pytest.raises(DataError, match=r"in\.vtt:1: a \.vtt file begins with WEBVTT"):
        subtitles(tmp_path, f"1\n{ONE}\nHi\n", "in.vtt")


def test_one_kind_is_written_as_another(tmp_path: Path) -> None:
    assert subtitles(tmp_path, VTT, "in.vtt").to_bytes("srt").decode() == (
        f"1\n{ONE}\nSalt & bread, <i>please</i>.\na < b < c\n\n"
        "2\n01:00:03,000 --> 01:00:04,000\nYes <b>now</b>\n\n"
    )
    srt = f'1\n{TWO}\n{{\\an8}}<font color="red">a < b</font> & <i>c</i> --> d\n\n'
    assert subtitles(tmp_path, srt).to_bytes("vtt").decode() == (
        "WEBVTT\n\n1\n00:00:03.000 --> 00:00:04.000\na &lt; b &amp; <i>c</i> --&gt; d\n\n"
    )


def test_dialogues_of_ass_are_read_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pysubs2")
    found = subtitles(tmp_path, ASS, "in.ass")
    assert [cue.lines for cue in found.cues] == [("Two", "lines"), ("We sail, at <i>dawn</i>.",)]
    assert found.to_bytes().decode().startswith(f"1\n{ONE}\nTwo\nlines\n\n2\n{TWO}\n")
    with pytest.raises(DataError, match=r"in\.ass"):
        subtitles(tmp_path, "no subtitles", "in.ass")
    monkeypatch.setitem(__import__("sys").modules, "pysubs2", None)
    with pytest.raises(UsageError, match=r'pysubs2.*pip install "triptych\[files\]"'):
        read_subtitles(tmp_path / "in.ass")


def timed(*found: tuple[float, float, str]) -> str:
    def stamp(seconds: float) -> str:
        return f"00:{int(seconds) // 60:02}:{int(seconds) % 60:02},{round(seconds % 1 * 1000):03}"

    return "".join(
        f"{number}\n{stamp(begin)} --> {stamp(end)}\n{text}\n\n"
        for number, (begin, end, text) in enumerate(found, 1)
    )


def test_two_files_of_a_film_are_paired_by_time(tmp_path: Path) -> None:
    (tmp_path / "a.en.srt").write_text(
        timed(
            (1, 3, "<i>The ship</i>\nsails."),
            (4, 5, "♪ ♪"),
            (6, 8, "- Who?\n- Ann."),
            (9, 13, "A long one that is cut."),
            (20, 22, "Nobody says this there."),
        )
    )
    (tmp_path / "a.de.vtt").write_text(
        "WEBVTT\n\n00:01.120 --> 00:03.100\nDas Schiff fährt.\n\n"
        "00:06.120 --> 00:08.100\n- Wer?\n- Ann.\n\n"
        "00:09.100 --> 00:11.000\nEine lange,\n\n00:11.100 --> 00:13.000\ndie geteilt ist.\n"
    )
    files = Files(tmp_path / "a.en.srt", tmp_path / "a.de.vtt")
    notices: list[str] = []
    found = read(files, "en", "de", notices.append)
    assert [(one.source, one.target, one.place) for one in found] == [
        ("The ship sails.", "Das Schiff fährt.", "a.en.srt:1"),
        ("- Who? - Ann.", "- Wer? - Ann.", "a.en.srt:10"),
    ]
    said = " ".join(notices)
    assert "a.en.srt: subtitles, 5 cues, 1 of them without words" in said
    assert "a.en.srt: 2 of 4 cues are left out" in said
    assert "a.de.vtt: 2 of 4 cues are left out" in said
    assert check({"train": files}).pairs == {"train": 2}
    (tmp_path / "b.txt").write_text("a\nb\n")
    for other in (None, tmp_path / "b.txt"):
        with pytest.raises(DataError, match=r"a\.en\.srt holds subtitles, in one language"):
            read(Files(tmp_path / "a.en.srt", other))
    (tmp_path / "c.srt").write_text(timed((100, 101, "Elsewhere.")))
    with pytest.raises(DataError, match="No cue of .* is shown at the time of one of"):
        read(Files(tmp_path / "a.en.srt", tmp_path / "c.srt"))


def test_subtitles_are_plain_text_without_times(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text(timed((1, 3, "<i>The ship</i>\nsails."), (4, 5, "It is late.")))
    found = read_texts([str(tmp_path / "a.srt")], DataTable(), ("text",))
    assert [one.text for one in found] == ["The ship sails. It is late."]
