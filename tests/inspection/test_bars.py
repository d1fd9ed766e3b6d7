"""Bars are as long as probabilities are large, and a label can contain anything."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from triptych.inspection import html
from triptych.inspection.views.bars import (
    EDGE,
    LONG,
    LONGEST_LABEL,
    MOST,
    TRACK,
    bars,
    fitted,
    number,
    scale,
    width_of,
)
from triptych.inspection.views.classification import picture

SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg: str) -> list[tuple[str, float, float]]:
    """Return (label as shown, probability, width of the bar) of each line."""
    root = ElementTree.fromstring(svg)
    lines = []
    for group in root.iter(f"{SVG}g"):
        texts = [text.text or "" for text in group.iter(f"{SVG}text")]
        width = next(
            float(rect.attrib["width"])
            for rect in group.iter(f"{SVG}rect")
            if rect.attrib["class"] == "bar"
        )
        lines.append((texts[0], float(group.attrib["data-probability"]), width))
    return lines


def test_lengths_follow_probabilities() -> None:
    lines = drawn(bars({"spam": 0.25, "ham": 0.75}))
    assert lines == [("ham", 0.75, 0.75 * TRACK), ("spam", 0.25, 0.25 * TRACK)]


@pytest.mark.parametrize("label", ['<script>alert("1")</script>', "a & b", "財經 🙂", "'\"", "]]>"])
def test_labels_are_escaped(label: str) -> None:
    svg = bars({label: 1.0})
    assert drawn(svg)[0][0] == label and "<script" not in svg
    page = html.page([], [html.Picture({"en": label, "zh-Hant": label}, svg)])
    assert page.count("<script") == 2


def test_what_xml_cannot_hold_is_replaced() -> None:
    assert drawn(bars({"a\x00\x1b\ud800b": 1.0}))[0][0] == "a\ufffd\ufffd\ufffdb"


def test_many_labels_are_cut_and_the_rest_is_added_up() -> None:
    lines = drawn(bars({f"label {place}": 1 / 77 for place in range(77)}))
    assert (
        len(lines) == MOST + 1
        and lines[-1][0] == f"… ({77 - MOST})"
        and lines[-1][1] == pytest.approx((77 - MOST) / 77, abs=1e-6)
    )
    assert (
        len(drawn(bars({f"label {place}": 1 / (MOST + 1) for place in range(MOST + 1)})))
        == MOST + 1
    )
    # may all hold at once: nothing to add up
    several = drawn(bars({f"label {place}": 0.5 for place in range(30)}))
    assert several[-1][2] == 0  # and a few that are all unlikely do not make a whole either
    unlikely = {f"label {place}": 0.01 for place in range(30)}
    assert drawn(bars(unlikely, chosen=[], thresholds=dict.fromkeys(unlikely, 0.5)))[-1][2] == 0


def test_the_chosen_label_is_bold() -> None:
    assert bars({"a": 0.6, "b": 0.4}).count('font-weight="600"') == 2
    bold = ElementTree.fromstring(bars({"a": 0.6, "b": 0.4}, chosen=["b"]))
    assert [text.text for text in bold.iter(f"{SVG}text") if "font-weight" in text.attrib] == [
        "b",
        "0.400",
    ]


def test_every_label_that_reaches_its_threshold_is_marked() -> None:
    table = {f"label {place}": 0.5 - place / 100 for place in range(30)}
    thresholds = {name: 0.22 if name == "label 20" else 0.495 for name in table}
    given = [name for name, value in table.items() if value >= thresholds[name]]
    found = picture({"probabilities": table, "labels": given}, thresholds)
    assert (
        given == ["label 0", "label 20"] and found is not None and 'lang="zh-Hant"' in found.markup
    )
    svg = found.markup[: found.markup.index("</svg>") + 6]
    lines = drawn(svg)
    assert [name for name, _, _ in lines if name.startswith("✓ ")] == ["✓ label 0", "✓ label 20"]
    assert len(lines) == MOST + 2 and lines[-1][0] == f"… ({30 - MOST - 1})" and lines[-1][2] == 0
    marks = [
        float(rect.attrib["data-threshold"])
        for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect")
        if "data-threshold" in rect.attrib
    ]
    assert marks == [thresholds[name.removeprefix("✓ ")] for name, _, _ in lines[:-1]]
    none = picture({"probabilities": {"a": 0.2, "b": 0.1}, "labels": []}, {"a": 0.5, "b": 0.5})
    assert (
        none is not None
        and "font-weight" not in none.markup
        and "✓" not in none.markup.split("</svg>")[0]
    )


@pytest.mark.parametrize(("value", "share"), [(0.0, 0.0), (2.5, 0.5), (5.0, 1.0)])
def test_a_number_stands_on_its_scale(value: float, share: float) -> None:
    root = ElementTree.fromstring(scale(value, 0.0, 5.0, 2.0))
    rects = {rect.attrib["class"]: rect.attrib for rect in root.iter(f"{SVG}rect")}
    assert float(rects["bar"]["width"]) == pytest.approx(share * LONG, abs=0.1)
    assert float(rects["mark"]["x"]) == pytest.approx(EDGE + 0.4 * LONG - 1, abs=0.1)
    assert [text.text for text in root.iter(f"{SVG}text")] == [f"{value:.3f}", "0", "5"]
    found = picture(
        {"value": value}, known={"low": 0.0, "high": 5.0, "mean": 2.0, "deviation": 1.0}
    )
    assert found is not None and "smallest" in found.markup and "最小值" in found.markup
    assert picture({}) is None


def test_numbers_do_not_lie_and_long_labels_are_cut() -> None:
    assert [number(value) for value in (0.0, 0.0001, 0.5, 0.9999, 1.0)] == [
        "0.000",
        "< 0.001",
        "0.500",
        "> 0.999",
        "1.000",
    ]
    assert fitted("財" * 40).endswith("…") and width_of(fitted("財" * 40)) <= LONGEST_LABEL + 14
    assert drawn(bars({})) == []
