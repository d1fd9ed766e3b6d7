"""Windows that follow one another become segments and subtitles."""

from __future__ import annotations

from typing import Any, cast

from triptych.inference.transcribing import Segment, cues, srt


def test_pieces_with_times_are_cues() -> None:
    pieces = [Segment("one two", 0.5, 2.0), Segment("three", 2.0, 3.25)]
    found = list(cues(cast("Any", iter(pieces))))
    assert [(one.text, one.start, one.end) for one in found] == [
        ("one two", 0.5, 2.0),
        ("three", 2.0, 3.25),
    ]
    assert srt(1, found[0]).startswith("1\n00:00:00,500 --> 00:00:02,000\none two")
