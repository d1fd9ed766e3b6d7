"""Each [MASK] is numbered in the text and has its candidates as bars."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from toy_tasks import MARKED, predictor

from triptych.cli.inspect import view_of
from triptych.cli.inspect_shown import Options
from triptych.inspection.views.fillings import picture

SVG = "{http://www.w3.org/2000/svg}"


def test_the_page_shows_what_the_prediction_says() -> None:
    run = predictor("masked-words")
    (answer,) = run.predict([MARKED])
    shown = view_of(run)(run, MARKED, Options())
    root = ElementTree.fromstring(f"<main>{shown.pictures[0].markup}</main>")
    marks = ["".join(mark.itertext()) for mark in root.findall("./p/mark")]
    assert marks == ["[MASK]1", "[MASK]2"]
    charts = root.findall("./div[@class='bars']")
    found = [
        [
            (line.find("span").text, float(line.attrib["data-probability"]))  # type: ignore[union-attr]
            for line in chart.findall("div")
        ]
        for chart in charts
    ]
    wanted = [
        [(one["text"], round(one["probability"], 6)) for one in place["fillings"]]
        for place in answer.details["masks"]
    ]
    assert found == wanted and all(len(place) == 5 for place in found)
    text = "".join(root.find("./p").itertext())  # type: ignore[union-attr]
    assert text == MARKED.replace("[MASK]", "[MASK]1", 1).replace("The [MASK]", "The [MASK]2")


def test_a_long_text_shows_only_what_is_near() -> None:
    text = "甲" * 90 + "[MASK]" + "<b>乙" * 30
    fillings = [{"text": "貓", "probability": 0.5}, {"text": "<i>", "probability": 0.2}]
    masks = [{"start": 90, "end": 96, "fillings": fillings}]
    root = ElementTree.fromstring(f"<main>{picture(text, masks).markup}</main>")
    around = "".join(root.find("./h3/span").itertext())  # type: ignore[union-attr]
    assert around == f"…{'甲' * 40}[MASK]{('<b>乙' * 30)[:40]}…"
    widths = [
        rect.attrib["width"] for rect in root.iter(f"{SVG}rect") if rect.get("class") == "bar"
    ]
    assert widths == ["50.00%", "20.00%"], "a bar is the probability, not a share of the best"


def test_a_place_that_nothing_fits_says_so() -> None:
    found = picture("a [MASK]", [{"start": 2, "end": 8, "fillings": []}]).markup
    assert "fits here" in found and "沒有適合" in found and 'class="bars"' not in found
