"""The picture of learning curves: its panels, its axes, and what a page allows."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from triptych.errors import RunError, UsageError
from triptych.inspection.curves import Curves, Panel, curves_of, thinned
from triptych.inspection.curves_page import page
from triptych.inspection.curves_svg import DARK, LIGHT, scales, svg, title_of
from triptych.inspection.scales import Scale, label, labels, scale_of
from triptych.runs.curves import Axis, History

HOSTILE = '</script><b onclick="x">&\x07'


def history(name: str, steps: int = 30, **scores: float) -> History:
    train = [
        {
            "step": step,
            "split": "train",
            "loss": 8 / step,
            "nll": 7 / step,
            "learning_rate": step * 1e-4,
            "gradient_norm": 1.0,
            "tokens": 100 * step,
            "epoch": 0.1,
            "seconds": 2.0 * step,
            "tokens_per_second": 12_000.0 + step,
        }
        for step in range(1, steps + 1)
    ]
    validation = [
        {"step": step, "split": "validation", "loss": 9 / step, "seconds": 2.0 * step, **scores}
        for step in range(10, steps + 1, 10)
    ]
    return History(name, train, validation)  # type: ignore[arg-type]


def drawn(*runs: History, axis: Axis = "step", log: bool = False, keys: str = "") -> Curves:
    told: list[str] = []
    return curves_of(runs, axis, log, keys.split(",") if keys else None, told.append)


def panel(curves: Curves, key: str) -> Panel:
    return next(one for one in curves.panels if one.key == key)


def test_losses_scores_rate_and_speed_are_drawn() -> None:
    curves = drawn(history("a", bleu=3.0, chrf=9.0))
    wanted = ["loss", "bleu", "chrf", "learning_rate", "tokens_per_second"]
    assert [one.key for one in curves.panels] == wanted
    assert [one.split for one in panel(curves, "loss").series] == ["train", "validation"]
    assert panel(curves, "loss").series[1].points == [(10, 0.9), (20, 0.45), (30, 0.3)]
    assert curves.splits == ["train", "validation"]


def test_parts_of_many_scores_are_left_out_and_told() -> None:
    names = ("bleu", "bleu_de", "bleu_fr", "chrf", "chrf_de", "chrf_fr", "exact_match")
    told: list[str] = []
    run = history("a", **dict.fromkeys(names, 1.0))
    curves = curves_of([run], "step", False, None, told.append)
    assert [one.key for one in curves.panels][1:-2] == ["bleu", "chrf", "exact_match"]
    assert told == [
        "Not drawn: bleu_de, bleu_fr, chrf_de, chrf_fr. Name what to draw with --metrics."
    ]


def test_what_is_named_is_drawn_in_that_order() -> None:
    assert [one.key for one in drawn(history("a"), keys="nll,loss,nll").panels] == ["nll", "loss"]
    with pytest.raises(UsageError, match="Unknown metric 'los'. Did you mean 'loss'"):
        drawn(history("a"), keys="los")
    with pytest.raises(UsageError, match="Unknown metric 'seconds'"):
        drawn(history("a"), keys="seconds")


def test_the_horizontal_axis() -> None:
    assert panel(drawn(history("a"), axis="minutes"), "loss").series[0].points[-1][0] == 1.0
    across, _ = scales(curves := drawn(history("a"), axis="tokens"), curves.panels[0])
    assert (across.low, across.high) == (0.0, pytest.approx(3120.0))


def test_an_axis_that_old_lines_do_not_have() -> None:
    old = History("old", [{"step": 1, "split": "train", "loss": 1.0}], [])
    with pytest.raises(RunError, match="No line of these runs has a place by minutes"):
        drawn(old, axis="minutes")
    told: list[str] = []
    curves_of([history("a"), old], "minutes", False, None, told.append)
    assert told == ["old has nothing that can be drawn by minutes and is left out."]
    assert len(drawn(old).panels) == 1


def test_a_logarithmic_axis_is_for_losses_and_rates() -> None:
    curves = drawn(history("a", bleu=3.0), log=True)
    assert [one.key for one in curves.panels if one.log] == ["loss", "learning_rate"]
    assert title_of(panel(curves, "loss"), "en") == "Loss (logarithmic)"
    zero = History("a", [{"step": s, "split": "train", "loss": float(s)} for s in (0, 1)], [])
    assert panel(drawn(zero, log=True), "loss").series[0].points == [(1, 1.0)]
    nothing = History("a", [{"step": 1, "split": "train", "loss": 0.0}], [])
    assert not panel(drawn(nothing, log=True), "loss").log


def test_infinite_values_are_told() -> None:
    told: list[str] = []
    curves_of([history("a", perplexity=float("inf"))], "step", False, None, told.append)
    assert told == ["a: 3 values of perplexity are not finite and are left out."]


def test_a_long_line_is_thinned_but_keeps_its_peaks() -> None:
    points = [(float(x), 1.0 if x != 4321 else 99.0) for x in range(20_000)]
    found = thinned(points)
    assert len(found) <= 602 and (4321.0, 99.0) in found
    assert found[0] == points[0] and found[-1] == points[-1] and found == sorted(found)


def test_scales_and_labels() -> None:
    scale = scale_of([0.0, 10.0], 100, 0, zero=True)
    assert scale(0) == 100 and 0 < scale(10) < 10 and scale.ticks() == [0, 2.5, 5, 7.5, 10]
    assert scale_of([5.0, 5.0], 0, 1).low < 5 < scale_of([5.0, 5.0], 0, 1).high
    assert scale_of([0.0], 0, 1).low == 0 < scale_of([0.0], 0, 1).high  # no score is below 0
    assert scale_of([0.0, 0.0, 3.0], 0, 1).low == 0 and scale_of([-1.0, 1.0], 0, 1).low < -1
    assert (
        scale_of([100.0, 100.0], 0, 1).ticks()[-1] == 100 == scale_of([7, 100.0], 0, 1).ticks()[-1]
    )
    assert Scale(1, 1000, 0, 300, True)(10) == 100
    assert scale_of([0.5, 700.0], 0, 1, log=True).ticks() == [1, 10, 100]
    assert scale_of([1.2, 6.0], 0, 1, log=True).ticks() == [2, 5]
    assert scale_of([3.0, 3.0], 0, 1, log=True).ticks()
    assert labels([0, 5000, 15_000]) == ["0", "5k", "15k"]
    assert labels([0.0005, 0.001]) == ["5e-4", "0.001"]
    shown = [label(one) for one in (1500, 2e6, 3e9, 0.25, -0.002, 1e20, 6e-5)]
    assert shown == ["1,500", "2M", "3G", "0.25", "-0.002", "1e20", "6e-5"]


def test_the_picture_is_xml_with_one_line_for_each_run() -> None:
    curves = drawn(history("a", bleu=1.0), history(HOSTILE, bleu=2.0))
    root = ElementTree.fromstring(svg(curves))
    space = "{http://www.w3.org/2000/svg}"
    lines = [one for one in root.iter(f"{space}g") if "data-run" in one.attrib]
    assert len(lines) == 2 * (2 + 1 + 2)  # loss twice, bleu, rate and speed
    titles = [one.text or "" for one in root.iter(f"{space}title")]
    assert "a (training)" in titles and any(one.startswith("</script>") for one in titles)
    assert len({one.get("stroke") for one in root.iter(f"{space}path")} & set(LIGHT)) == 2
    assert all(f"stroke:{colour}" in svg(curves) for colour in DARK)
    assert "javascript" not in svg(curves) and "<script" not in svg(curves)


def test_a_picture_of_one_point_and_of_many_runs() -> None:
    one = History("a", [{"step": 7, "split": "train", "loss": 2.0}], [])
    assert "<circle" in svg(drawn(one))
    many = svg(drawn(*(history(f"run-{place}") for place in range(9))))
    assert many.count('stroke-dasharray="7 3"') == 1 + 2 + 2  # in the legend and on four lines
    ElementTree.fromstring(many)


def test_a_picture_in_chinese() -> None:
    text = svg(drawn(history("a", bleu=1.0), log=True), "zh-Hant")
    for words in ("損失 (對數尺度)", "bleu (驗證)", "學習率", "每秒詞元數", "步數"):
        assert words in text, words


def test_the_page_needs_no_network_and_escapes_names() -> None:
    text = page(drawn(history("a", bleu=1.0), history(HOSTILE)))
    assert "http" not in re.sub(r'"http://www.w3.org/2000/svg"|http-equiv', "", text)
    assert HOSTILE not in text and text.count("<script") == 2 == text.count("</script>")
    assert "style=" not in text and "onclick=&quot;" in text
    data = json.loads(re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)[0])
    assert data["names"] == ["a", HOSTILE]
    assert data["panels"][0]["series"][0]["points"][0] == [1.0, 8.0]
    assert text.count("<figure") == len(data["panels"]) == text.count('class="readout"')
    assert text.count('<button type="button" aria-pressed="true"') == 2


def test_every_rule_and_script_has_its_hash() -> None:
    from triptych.inspection.html import digest

    text = page(drawn(history("a")))
    policy = re.findall(r"sha256-([^']+)'", text)
    style, script = (
        re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL) for name in ("style", "script")
    )
    assert policy == [digest(style[0]), digest(script[0])]


def test_the_script_is_packaged() -> None:
    import triptych.inspection as room

    folder = Path(room.__file__).parent
    assert all((folder / f"curves.{name}").is_file() for name in ("html", "css", "js"))


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "values",
    [[98.123, 98.124], [1e4, 1.0001e4], [5_000_000, 5_000_400], [12_000, 12_010], [999, 1001],
     [0.31234, 0.31239], [3.3333, 3.3334], [3.0, 3.0], [9990, 10_010], [0.002, 0.0021], [1, 2e6]],
)  # fmt: skip
def test_ticks_near_each_other_have_labels_of_their_own(values: list[float], log: bool) -> None:
    scale = scale_of(values, 0, 300, log=log)
    ticks = scale.ticks()
    shown = labels(ticks)
    assert len(ticks) >= 2 and len(set(shown)) == len(shown) and ticks == sorted(ticks)
    assert all(scale.low <= one <= scale.high for one in ticks)
    assert all(len(one) <= 8 for one in shown)  # the room beside a panel


def test_steps_have_no_fractions() -> None:
    for high in (1.04, 2.08, 3.1, 9.3, 14, 61, 10_400):
        ticks = Scale(0, high, 0, 1).ticks(6, whole=True)
        assert len(ticks) > 1 and all(float(one).is_integer() for one in ticks)
    assert Scale(0, 1.04, 0, 1).ticks(6) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_curves_without_a_finite_value_say_so() -> None:
    nan = [{"step": s, "seconds": float(s), "split": "train", "loss": float("nan")} for s in (1, 2)]
    for axis in ("step", "minutes"):
        with pytest.raises(RunError, match="loss has no finite value.*training failed"):
            drawn(History("a", nan, []), axis=axis, keys="loss")
