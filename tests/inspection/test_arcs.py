"""Arcs that do not run into each other, and a picture that any sentence survives."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from triptych.inspection.views import parsing as arcs


def details(*words: tuple[str, int, str], upos: str = "X") -> dict[str, Any]:
    rows = [
        {
            "id": place,
            "text": text,
            "start": 0,
            "end": 1,
            "upos": upos,
            "head": head,
            "relation": relation,
            "sentence": 1,
        }
        for place, (text, head, relation) in enumerate(words, 1)
    ]
    named = {"subject": "nsubj", "verb": "root", "object": "obj"}
    return {"words": rows} | {
        role: [row for row in rows if row["relation"] == kind] for role, kind in named.items()
    }


DOG = details(
    ("The", 2, "det"),
    ("dog", 3, "nsubj"),
    ("chases", 0, "root"),
    ("a", 5, "det"),
    ("cat", 3, "obj"),
    (".", 3, "punct"),
)


def test_levels_keep_shorter_arcs_below() -> None:
    assert arcs.levels([(1, 2), (2, 3), (4, 5), (3, 5), (3, 6)]) == [1, 1, 1, 2, 3]
    assert arcs.levels([(1, 3), (2, 4)]) == [1, 2]  # crossing arcs too part company
    assert arcs.levels([]) == []


def test_roles_are_coloured_and_named_in_both_languages() -> None:
    (words,) = arcs.sentences_of(DOG)
    root = ElementTree.fromstring(arcs.svg(words))
    roles = {
        group.get("data-word"): group.get("data-role")
        for group in root.iter()
        if group.get("data-word")
    }
    assert roles == {"1": "", "2": "subject", "3": "verb", "4": "", "5": "object", "6": ""}
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"subject 主詞", "verb 動詞", "object 受詞", "nsubj", "obj", "root", "dog"} <= set(texts)
    assert len([group for group in root.iter() if group.get("data-arc")]) == 6


def test_labels_have_room_and_chinese_is_twice_as_wide() -> None:
    assert arcs.width_of("字", 10) > 1.6 * arcs.width_of("a", 10)
    (words,) = arcs.sentences_of(details(("a", 2, "averyverylongrelation"), ("b", 0, "root")))
    centres, width = arcs._places(words)
    assert (
        centres[2] - centres[1] > arcs.width_of("averyverylongrelation", arcs.SMALL)
        and width > centres[2]
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>&\"'",
        "\u0000\u0007",
        "\U0001f468\u200d\U0001f469",
        "字" * 10_000,
        "\u202eab",
        "\ud800",
    ],
)
def test_any_word_is_drawn(text: str) -> None:
    (words,) = arcs.sentences_of(details((text, 0, "root"), ("b", 1, "obj")))
    drawn = arcs.svg(words)
    ElementTree.fromstring(drawn.encode("utf-8", "replace"))
    assert "<script" not in drawn and len(drawn) < 40_000
