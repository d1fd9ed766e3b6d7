"""Where a block of code ends."""

from __future__ import annotations

import pytest

from triptych.decoding.stopping import dedent_at, without_open_lines
from triptych.decoding.text import cut_at, delta, stable


@pytest.mark.parametrize(
    ("head", "text", "block"),
    [
        ("", "    x = 1\n    return x\n\n\ndef g():", "    x = 1\n    return x"),
        ("    ", "x = 1\n    return x\n# next", "x = 1\n    return x"),
        (
            "def f(x):",
            "\n    if x:\n        return 1\n    return 2\nclass A:",
            "\n    if x:\n        return 1\n    return 2",
        ),
        ("    return ", "x + 1\n\ndef g", "x + 1"),
        ("    call(", "\n        a,\n        b,\n    )\n", "\n        a,\n        b,"),
        ("", "\tx\n\n\t# 好\ny", "\tx\n\n\t# 好"),
        ("", "    x = 1\n\n  \n", None),
        ("", "x = 1\ny = 2\n", None),
        ("", "", None),
        ("def f():", "", None),
        ("    ", "x\n   ", None),
    ],
)
def test_a_block_ends_before_a_dedent(head: str, text: str, block: str | None) -> None:
    place = dedent_at(head, text)
    assert place is None if block is None else text[:place] == block
    assert cut_at(text, None, head) == (text if block is None else block)


def test_a_stream_tells_nothing_of_what_is_cut() -> None:
    whole = "    x = 1\n\n    y = 2\n\n\ndef g():\n"
    sent = ""
    for size in range(1, len(whole) + 1):
        news = "".join(delta(whole[:size], sent, None, "", final=False))
        sent = stable(whole[:size], sent, None, "")
        assert (cut_at(whole, None, "")).startswith(sent) and sent.endswith(news)
    assert sent == "    x = 1\n\n    y = 2"


def test_open_lines() -> None:
    assert (
        without_open_lines("a  \n \n") == "a  "
        and without_open_lines("a  ") == "a  "
        and without_open_lines("\n\n") == ""
    )
