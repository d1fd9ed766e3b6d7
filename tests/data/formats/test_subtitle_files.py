"""Test subtitles: written back as they were read, errors with lines, long lines cut evenly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.formats.line_breaking import balanced
from triptych.data.formats.subtitle_units import set_lines, translated, units
from triptych.data.formats.subtitles import Cue, names, read_subtitles
from triptych.errors import DataError

ONE, TWO = "00:00:01,000 --> 00:00:02,500", "00:00:02,000 --> 00:00:04,000 X1:10 X2:20"


def read(tmp_path: Path, content: str | bytes):
    path = tmp_path / "in.srt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_subtitles(path)


def unit_of(*lines: str):
    (unit,) = units(Cue("1", ONE, lines), 0)
    return unit


def test_what_is_read_is_written_back(tmp_path: Path) -> None:
    plain = f"7\n{ONE}\nHello\nyou\n\n3\n{TWO}\n<i>Again</i>\n\n03\n{ONE}\n\n"
    for content in (plain.encode(), plain.replace("\n", "\r\n").encode("utf-8-sig")):
        subtitles = read(tmp_path, content)
        assert subtitles.to_bytes() == content
        assert [(cue.number, cue.times) for cue in subtitles.cues] == [
            ("7", ONE),
            ("3", TWO),
            ("03", ONE),
        ]
        assert [cue.lines for cue in subtitles.cues] == [("Hello", "you"), ("<i>Again</i>",), ()]
        assert [cue.place.rsplit(":")[-1] for cue in subtitles.cues] == ["1", "6", "10"]


def test_empty_lines_may_be_missing_or_too_many(tmp_path: Path) -> None:
    given_ = (
        f"\n\n1\n{ONE}\nHello\n2\n{TWO}\n12 men\n\n\n\n{ONE}\nno number\n\nan empty line\n4\n{ONE}"
    )
    cues = read(tmp_path, given_).cues
    assert [cue.number for cue in cues] == ["1", "2", None, "4"]
    assert [cue.lines for cue in cues] == [
        ("Hello",),
        ("12 men",),
        ("no number", "", "an empty line"),
        (),
    ]


def test_a_mark_within_a_file_hides_no_number(tmp_path: Path) -> None:
    """Join two files with byte order marks."""
    content = f"\ufeff1\n{ONE}\na\n\n\ufeff1\n{ONE}\nb\n\n\ufeff{TWO}\nc\n\n"
    subtitles = read(tmp_path, content)
    assert [cue.lines for cue in subtitles.cues] == [("a",), ("b",), ("c",)]
    assert subtitles.to_bytes().decode() == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            f"1\n{ONE}\na\n\n2\n00:00:01:000 --> 00:00:02:000\nb\n",
            "in.srt:6: '00:00:01:000 --> 00:00:02:000' is not a time",
        ),
        (f"1\n{ONE}\na\n\n2\n00:61:01,000 --> 00:62:02,000\nb\n", "in.srt:6: .* is not a time"),
        (f"1\n{ONE}\na\n\n2\n00:00:01,000 -> 00:00:02,000\nb\n", "in.srt:6: .* is not a time"),
        (f"1\n{ONE}\na\n\n00:00:01,000 -> 00:00:02,000\nb\n", "in.srt:5: .* is not a time"),
        (
            f"1\n{ONE}\na\n\n2\nno time at all\n",
            "in.srt:6: 'no time at all' is not a time, which must follow number 2 of line 5",
        ),
        (f"some words\n1\n{ONE}\na\n", "in.srt:1: 'some words' belongs to no cue"),
        ("only\nwords\n", "in.srt:1: 'only' belongs to no cue"),
        ("", "in.srt holds no subtitle"),
        (
            f"1\n{ONE}\na\xff\n".encode("latin1"),
            "in.srt:3: byte 0xFF is not UTF-8.*--encoding cp1252 ",
        ),
        (f"1\n{ONE}\n".encode("utf-16-be"), "in.srt:1: many .* zero.*--encoding utf-16-be "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no.srt cannot be read"):
        read_subtitles(tmp_path / "no.srt")


def test_lines_are_joined_and_speakers_parted() -> None:
    assert unit_of("A man sits", "on a bench.").text == "A man sits on a bench."
    assert (
        unit_of("一個人", "坐著。").text == "一個人坐著。"
        and unit_of("<i>一個人</i>", "<i>坐著。</i>").text == "一個人坐著。"
    )
    first, second, third = units(
        Cue("1", ONE, ("<i>- Hello there,", "my friend.</i>", "- Hi.", "-Yes.")), 4
    )
    assert (first.before, first.text, first.after, first.cue) == (
        "<i>- ",
        "Hello there, my friend.",
        "</i>",
        4,
    )
    assert (second.before, second.text, third.before, third.text) == ("- ", "Hi.", "-", "Yes.")
    assert units(Cue("1", ONE, ()), 0) == []


def test_tags_stay_around_a_text() -> None:
    unit = unit_of("<i>One</i>", "<i>two.</i>")
    assert (unit.before, unit.text, unit.after, unit.lost) == ("<i>", "One two.", "</i>", 0)
    assert set_lines(unit, "Eins zwei.") == ["<i>Eins", "zwei.</i>"]
    song = unit_of(r"{\an8}♪ la la ♪")
    assert set_lines(song, "trala") == [r"{\an8}♪ trala ♪"]
    inner = unit_of("a <b>big</b> dog < 3")
    assert (inner.text, inner.lost) == ("a big dog < 3", 2)
    assert not unit_of("♪ 12 -- ♪").has_words
    # A tag that ends a line separates words and ends the line.
    broken = unit_of("Hello<br>there, <BR/>my friend")
    assert (broken.text, broken.lost, len(set_lines(broken, "one two three"))) == (
        "Hello there, my friend",
        0,
        3,
    )


@pytest.mark.parametrize(
    ("lines", "before", "after", "lost"),
    [
        (("<i>One</i>", "two"), "", "", 2),
        (("one <i>two</i>",), "", "", 2),
        (("<b>- <i>One</i> two</b>",), "<b>- ", "</b>", 2),
        (("<i>One</i> and <i>two</i>",), "<i>", "</i>", 2),
        (('<font color="#fff">One</font> <font size="2">two',), "", "", 3),
        (("<i>it goes on",), "<i>", "", 0),  # closed in another turn, or never
        (("it ends.</i>",), "", "</i>", 0),
        (("<I>One</i> two",), "", "", 2),  # capitals make no other tag
        (("<I>One</i> <i>two</I>",), "<I>", "</I>", 0),
    ],
)
def test_half_a_tag_does_not_stay_alone(
    lines: tuple[str, ...], before: str, after: str, lost: int
) -> None:
    unit = unit_of(*lines)
    assert (unit.before, unit.after, unit.lost) == (before, after, lost)
    assert "<" not in unit.text


def test_lines_stay_as_many_as_they_were_where_they_suffice() -> None:
    assert set_lines(unit_of("Yes,", "sir."), "Ja, Herr.") == ["Ja,", "Herr."]
    assert set_lines(unit_of("Yes,", "sir."), "Jawohl.") == ["Jawohl."]
    long = "Ein Mann sitzt auf einer Bank und liest in aller Ruhe eine Zeitung."
    assert set_lines(unit_of("short"), long) == [
        "Ein Mann sitzt auf einer Bank und",
        "liest in aller Ruhe eine Zeitung.",
    ]
    assert len(set_lines(unit_of("short"), long, 20)) == 4


def test_chinese_is_cut_between_characters_but_not_before_a_comma() -> None:
    text = "一個男人坐在公園的長椅上，安靜地讀著今天的報紙和一本ABC雜誌。"
    lines = set_lines(unit_of("short"), text)
    assert "".join(lines) == text and len(lines) == 2 and all(len(line) <= 18 for line in lines)
    for width in range(6, 20):
        lines = balanced(text, width)
        assert "".join(lines) == text and all(
            line[0] not in "，。" and "ABC"[1:] not in line[:2] for line in lines
        )


def test_a_word_longer_than_a_line_stands_alone() -> None:
    url = "https://example.org/" + "x" * 60
    assert balanced(f"look at {url} now please", 42) == ["look at", url, "now please"]


@given(
    words=st.lists(st.text("abcdefgh,.", min_size=1, max_size=9), min_size=1, max_size=12),
    width=st.integers(9, 40),
    least=st.integers(1, 3),
)
def test_as_even_as_can_be(words: list[str], width: int, least: int) -> None:
    lines = balanced(" ".join(words), width, least)
    assert " ".join(lines).split() == words and all(len(line) <= width for line in lines)

    def fewest(limit: int) -> int:
        count, room = 1, limit
        for word in words:
            if room - len(word) < (0 if room == limit else 1):
                count, room = count + 1, limit - len(word)
            else:
                room -= len(word) + (room != limit)
        return count

    assert len(lines) == max(fewest(width), min(least, len(words)))
    longest = max(map(len, lines))
    shorter = longest - 1
    assert shorter < max(map(len, words)) or fewest(shorter) > len(lines)


def test_what_is_not_translated_stays(tmp_path: Path) -> None:
    subtitles = read(tmp_path, f"1\n{ONE}\n- One\nday\n-  ♪ ♪\n\n2\n{TWO}\n")
    parts = [unit for number, cue in enumerate(subtitles.cues) for unit in units(cue, number)]
    assert translated(subtitles, parts, [None, None]).cues == subtitles.cues
    assert translated(subtitles, parts, ["Eines Tages", None]).cues[0].lines == (
        "- Eines",
        "Tages",
        "-  ♪ ♪",
    )


@pytest.mark.parametrize("gap", ["\n\n", "\n"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("12a", "12b"),
        ("1.", "2."),
        ("#3", "#4"),
        ("１２", "１３"),
        ("Cue 4", "Cue 5"),
        ("[1]", "[2]"),
        ("(7)", "8"),
    ],
)
def test_numbers_that_are_not_digits_alone_are_no_text(
    tmp_path: Path, first: str, second: str, gap: str
) -> None:
    content = f"{first}\n{ONE}\nHello\nyou{gap}{second}\n{TWO}\nBye\n\n"
    subtitles = read(tmp_path, content)
    assert [(cue.number, cue.lines) for cue in subtitles.cues] == [
        (first, ("Hello", "you")),
        (second, ("Bye",)),
    ]
    assert (
        subtitles.to_bytes().decode() == content.replace(f"you{gap}", "you\n\n")
        and names(subtitles) == []
    )


def test_words_where_a_number_stands_are_kept_and_told(tmp_path: Path) -> None:
    subtitles = read(tmp_path, f"1\n{ONE}\nHello\n\nGoodbye.\n{TWO}\nyou\n\n3\n{TWO}\nagain\n")
    assert [cue.number for cue in subtitles.cues] == ["1", "Goodbye.", "3"]
    assert [cue.place.rsplit(":")[-1] for cue in names(subtitles)] == ["5"]
    # Without an empty line it is text.
    assert read(tmp_path, f"1\n{ONE}\nHello\nGoodbye.\n{TWO}\nyou\n").cues[0].lines == (
        "Hello",
        "Goodbye.",
    )


def test_an_empty_line_after_every_line(tmp_path: Path) -> None:
    cues = read(
        tmp_path,
        f"24\n\n{ONE}\n\nBegin with a map.\n\nThen the harbour.\n\n25\n\n{TWO}\n\nThe ship "
        "leaves.\n\n",
    ).cues
    assert [cue.number for cue in cues] == ["24", "25"]
    assert [cue.lines for cue in cues] == [
        ("Begin with a map.", "", "Then the harbour."),
        ("The ship leaves.",),
    ]
    cues = read(tmp_path, f"1\n{ONE}\n12\n\n{TWO}\nBye\n").cues  # a text of digits under its times
    assert [(cue.number, cue.lines) for cue in cues] == [("1", ("12",)), (None, ("Bye",))]


def test_an_arrow_without_times_is_text(tmp_path: Path) -> None:
    cues = read(tmp_path, f"1\n{ONE}\nTurn left --> then right.\n\n2\n{TWO}\nThe end.\n").cues
    assert [cue.lines for cue in cues] == [("Turn left --> then right.",), ("The end.",)]
    with pytest.raises(DataError, match=r"in\.srt:3: '10:20 --> later' is not a time"):
        read(tmp_path, f"1\n{ONE}\n10:20 --> later\n")


def test_a_mark_alone_is_an_empty_line(tmp_path: Path) -> None:
    cues = read(tmp_path, f"1\n{ONE}\nHello\n\n\ufeff\n2\n{TWO}\nBye\n\n\ufeff").cues
    assert [(cue.number, cue.lines) for cue in cues] == [("1", ("Hello",)), ("2", ("Bye",))]


def test_hostile_lines_take_no_time(tmp_path: Path) -> None:
    """Try patterns of quadratic time, and a recursion as deep as a cue has words."""
    for text in ("1:1" + "x" * 4000, "a" + " " * 4900 + "b", "x " * 2400, "<i>" * 1600, "-" * 4900):
        cue = read(tmp_path, f"1\n{ONE}\n{text}\n").cues[0]
        for unit in units(cue, 0):
            if unit.text:
                set_lines(unit, unit.text)
    with pytest.raises(DataError, match=r"in\.srt:1: the cue has 1,000,000 characters"):
        read(tmp_path, f"1\n{ONE}\n{'1:1' * 333_333}x\n")
