"""Test sentences that remember their template: what is counted is singular where there is one."""

from __future__ import annotations

import pytest

from triptych.cli.language import translated
from triptych.messages import Message, in_brief, message


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            message("{n:,} lines without {f} are left out", n=1, f="label"),
            "1 line without label is",
        ),
        (
            message("{n:,} lines without {f} are left out", n=2, f="label"),
            "2 lines without label ar",
        ),
        (message("took {s:.1f} s on {n} threads", s=1.0, n=1), "took 1.0 s on 1 thread"),
        (message("{n} validation texts are too few", n=1), "1 validation text is too few"),
        (message("{n} classes and {m} entities", n=1, m=1), "1 class and 1 entity"),
        (message("{n:,} texts with {m} tokens are cut", n=2, m=1), "2 texts with 1 token are cut"),
        (message("{n:,} texts with {m} tokens are cut", n=1, m=2), "1 text with 2 tokens is cut"),
        (
            message("{n:,} {what} left", n=1, what="texts with summaries"),
            "1 text with summaries left",
        ),
        (message("{n:,} {what} left", n=1, what=message("questions")), "1 question left"),
        (message("{n:,} {what} left", n=1, what="news"), "1 news left"),
        (message("{n} lines", n="1"), "1 lines"),  # a text, not a count
        (message("{yes} lines", yes=True), "True lines"),
        (
            message("{file}: {n} pairs; {m} cues are bad", file="1 lines.txt", n=1, m=3),
            "1 lines.txt: 1 pair; 3 cues are bad",
        ),
        (message("{n:,} {what}", n=1, what="lines {x}"), "1 line {x}"),
    ],
)
def test_one_of_something_is_singular(said: Message, wanted: str) -> None:
    assert said.startswith(wanted) and translated(said) == str(said)


def test_a_label_in_brief_is_short_and_on_one_line() -> None:
    assert in_brief("a\n b\tc") == "a b c"
    assert len(in_brief("x" * 300)) == 48 and in_brief("x" * 300).endswith("…")
