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
    bars,
    number,
    scale,
)
from triptych.inspection.views.classification import picture
from triptych.inspection.views.labels import shortened

SVG = "{http://www.w3.org/2000/svg}"


def drawn(chart: str) -> list[tuple[str, float, float]]:
    """Return (label as shown, probability, width of the bar in percent) of each line."""
    lines = []
    for line in ElementTree.fromstring(chart).findall("div"):
        width = next(
            float(rect.attrib["width"].removesuffix("%"))
            for rect in line.iter(f"{SVG}rect")
            if rect.attrib["class"] == "bar"
        )
        label = line.find("span[@class='label']")
        assert label is not None
        lines.append((label.text or "", float(line.attrib["data-probability"]), width))
    return lines


def chosen(chart: str) -> list[str]:
    """Return the labels and numbers in bold."""
    lines = ElementTree.fromstring(chart).findall("div[@class='line chosen']")
    return [span.text or "" for line in lines for span in line.findall("span")]


def test_lengths_follow_probabilities() -> None:
    lines = drawn(bars({"spam": 0.25, "ham": 0.75}))
    assert lines == [("ham", 0.75, 75.0), ("spam", 0.25, 25.0)]


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
    assert chosen(bars({"a": 0.6, "b": 0.4})) == ["a", "0.600"]
    assert chosen(bars({"a": 0.6, "b": 0.4}, chosen=["b"])) == ["b", "0.400"]


def test_every_label_that_reaches_its_threshold_is_marked() -> None:
    table = {f"label {place}": 0.5 - place / 100 for place in range(30)}
    thresholds = {name: 0.22 if name == "label 20" else 0.495 for name in table}
    given = [name for name, value in table.items() if value >= thresholds[name]]
    found = picture({"probabilities": table, "labels": given}, thresholds)
    assert (
        given == ["label 0", "label 20"] and found is not None and 'lang="zh-Hant"' in found.markup
    )
    chart = found.markup.partition('<p class="legend">')[0]
    lines = drawn(chart)
    assert [name for name, _, _ in lines if name.startswith("✓ ")] == ["✓ label 0", "✓ label 20"]
    assert len(lines) == MOST + 2 and lines[-1][0] == f"… ({30 - MOST - 1})" and lines[-1][2] == 0
    marks = [
        float(rect.attrib["data-threshold"])
        for rect in ElementTree.fromstring(chart).iter(f"{SVG}rect")
        if "data-threshold" in rect.attrib
    ]
    assert marks == [thresholds[name.removeprefix("✓ ")] for name, _, _ in lines[:-1]]
    none = picture({"probabilities": {"a": 0.2, "b": 0.1}, "labels": []}, {"a": 0.5, "b": 0.5})
    assert (
        none is not None
        and "chosen" not in none.markup.partition('<p class="legend">')[0]
        and "✓" not in none.markup.partition('<p class="legend">')[0]
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


def test_numbers_do_not_lie() -> None:
    assert [number(value) for value in (0.0, 0.0001, 0.5, 0.9999, 1.0)] == [
        "0.000",
        "< 0.001",
        "0.500",
        "> 0.999",
        "1.000",
    ]
    assert drawn(bars({})) == []


def test_long_labels_are_whole_or_told_apart() -> None:
    name = "why_has_the_transfer_to_my_other_account_not_arrived_since_"
    lines = drawn(bars({f"{name}monday": 0.5, f"{name}friday": 0.3, "財" * 60: 0.2}))
    assert [label for label, _, _ in lines] == [f"{name}monday", f"{name}friday", "財" * 60]
    table = {"x" * 200 + "a": 0.6, "x" * 200 + "b": 0.4}
    long = [label for label, _, _ in drawn(bars(table))]
    assert len(set(long)) == 2 and all(len(label) <= LONGEST_LABEL for label in long)
    assert all(f'title="{label}: ' in bars(table) for label in table), "the whole label, on demand"


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (["short", "also short"], ["short", "also short"]),
        (["card_payment_fee_charged", "card_payment_wrong_rate"], ["card_…rged", "card_…rate"]),
        (["aaaaaaaaaaXbbbbbbbbbb", "aaaaaaaaaaYbbbbbbbbbb"], ["…aaaXbbbb…", "…aaaYbbbb…"]),
        (["一二三四五六七八九十甲", "一二三四五六七八九十乙"],
         ["一二三四五…八九十甲", "一二三四五…八九十乙"]),
        (["the  same", "the same"], ["the same", "the same"]),
        ([""], [""]),
    ],
)  # fmt: skip
def test_labels_are_shortened_where_they_are_alike(labels: list[str], shown: list[str]) -> None:
    found = shortened(labels, 10)
    assert found == shown and all(len(label) <= 10 for label in found)


def test_labels_that_differ_in_two_places_get_numbers_at_last() -> None:
    labels = [f"aaaaaaaaaa{x}cccccccccccc{y}bbbbbbbbbb" for x in "12" for y in "12"]
    found = shortened(labels, 10)
    assert len(set(found)) == 4 and {label[-4:] for label in found} == {" (1)", " (2)"}
