"""Test interventions on loaded runs of each architecture: results, files, pictures, options."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import toy_classifier
import toy_tasks
import toy_writer

from triptych import Interventions
from triptych.cli.inspect import view_of
from triptych.cli.inspect_inside import Inside, shown_inside
from triptych.cli.inspect_shown import Options
from triptych.cli.inspect_tables import tables
from triptych.errors import UsageError
from triptych.inference.aiming import aimed
from triptych.inference.predictor import Predictor
from triptych.inspection import html
from triptych.inspection.results import COLUMNS, VERSION
from triptych.inspection.views.grid import Cell, colour_bar, grid, printed
from triptych.inspection.views.interventions import pictures

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
EVERYTHING = {"lens": True, "ablate": True, "contributions": True, "attributions": ["all"]}


def asked(**options: object) -> Interventions:
    return Interventions(**{**EVERYTHING, **options})  # type: ignore[arg-type]


def test_a_decoder() -> None:
    run = toy_writer.predictor()
    example = run.example("the cat sat")
    (development,) = [example]
    found = run.trace(
        "the cat sat", target=" on", interventions=asked(patch="the mat sat", token=1),
        development=[development],
    ).interventions  # fmt: skip
    assert found is not None and not found.source
    chosen = aimed(run, example, run.settings(), target=" on", token=1).probe
    assert found.value == pytest.approx(float(chosen.measured()[0]))
    score, loss = found.ablation
    assert score.measure == "score" and loss.measure == "loss" and loss.examples == 1
    assert len(score.sites) == 2 * (4 + 1) and loss.base == pytest.approx(
        run.losses([development])["loss"], rel=1e-5
    )
    (lens,) = found.lens
    assert lens.probabilities.shape == (5, len(found.target)) and len(found.written) == len(
        found.target
    )
    assert found.patching[0].changes.shape == (3, len(found.target))
    assert set(found.attributions) == {
        "attention", "rollout", "gradient_times_input", "integrated_gradients", "occlusion",
    }  # fmt: skip
    assert found.deletion is not None and found.deletion.sentences == 1
    content = json.loads(json.dumps(found.to_json()))
    assert (
        content["version"] == VERSION and content["ablation"][0]["sites"][0] == "decoder.1.self.1"
    )
    rows = found.rows()
    assert all(len(row) == len(COLUMNS) for row in rows)
    values = [row[4] for row in rows if row[0] == "contribution"]
    assert sum(map(float, values)) == pytest.approx(found.contributions.difference, abs=1e-3)  # type: ignore[union-attr]


def test_parts_that_are_off_change_the_answer_and_its_trace() -> None:
    run = toy_writer.predictor()
    whole = run.trace("the cat", target=" sat")
    less = run.trace(
        "the cat", target=" sat", interventions=Interventions(without=["decoder.1.self"])
    )
    assert less.interventions is not None and less.interventions.without == ["decoder.1.self"]
    assert less.expected is not None and whole.expected is not None
    assert less.expected.nats != whole.expected.nats
    assert run.trace("the cat", target=" sat").expected == whole.expected, "it is back"
    content = json.loads(less.to_json())
    assert content["interventions"]["version"] == 1 and "interventions" not in json.loads(
        whole.to_json()
    )
    mean = Interventions(without=["decoder.1.self.1"], mean=True)
    with pytest.raises(UsageError, match="there are none here"):
        run.trace("the cat", interventions=mean)
    development = [run.example("a cat sat on the mat")]
    found = run.trace("the cat", target=" sat", interventions=mean, development=development)
    assert found.expected is not None and found.expected.nats != whole.expected.nats


def test_a_classifier_and_its_rival() -> None:
    run = toy_classifier.predictor()
    found = run.trace(
        toy_classifier.TEXTS[0], target="Sports", interventions=asked(rival="Business")
    ).interventions
    assert found is not None and found.score == "Sports" and found.contributions is not None
    assert found.contributions.choice == ("Sports", "Business")
    assert found.lens[0].probabilities.shape == (5, 1)
    assert "decoder" not in "".join(map(str, found.ablation[0].sites))
    with pytest.raises(UsageError, match="not a label of this run"):
        run.trace("a", interventions=asked(rival="Weather"))
    with pytest.raises(UsageError, match="a number from 1 to 1"):
        run.trace("a", interventions=asked(token=2))


@pytest.mark.parametrize("name", ["masked-words", "tagging", "parsing", "question-answering"])
def test_the_other_encoders(name: str) -> None:
    run = toy_tasks.predictor(name)
    example = toy_tasks.example(run)
    text: dict[str, object] = {
        key: getattr(example, key)
        for key in ("text", "question", "passage")
        if getattr(example, key) is not None
    }
    has_choice = name in ("masked-words", "tagging")
    options = {"lens": has_choice, "contributions": has_choice}
    found = run.trace(text, interventions=asked(**options)).interventions
    assert found is not None and np.isfinite(found.ablation[0].changes).all()
    if not has_choice:
        with pytest.raises(UsageError, match="chooses among none"):
            run.trace(text, interventions=asked(lens=False))
        with pytest.raises(UsageError, match="head that chooses"):
            run.trace(text, interventions=asked(contributions=False))


def shown(run: Predictor, text: str, **flags: object) -> object:
    inside = Inside(**{"lens": True, "ablate": True, "contributions": True, **flags})  # type: ignore[arg-type]
    return shown_inside(run, text, Options(target=" on"), inside, view_of(run))


def test_the_command_shows_it(tmp_path: Path) -> None:
    from triptych.cli.inspect_inside import put_results

    run = toy_writer.predictor()
    found = shown(run, "the cat sat", attribution=["all"], csv=tmp_path / "a.csv")
    put_results(found, Inside(csv=tmp_path / "a.csv"))  # type: ignore[arg-type]
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    results = found.traces[0].interventions  # type: ignore[attr-defined]
    assert tuple(header) == COLUMNS and len(rows) == len(results.rows()) > 50
    titles = [str(title) for title, _ in tables(results)]
    assert len(titles) == 4 and "With" in titles[0]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"mean": True}, "--mean says how"),
        ({"metric": True}, "--metric is for --ablate"),
        ({"token": 2}, "are for what is measured"),
        ({"examples": -1}, "must be 0 or more"),
        ({"lens": True, "csv": Path("/")}, "is a folder"),
    ],
)
def test_flags_that_do_nothing_are_refused(flags: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        Inside(**flags).refuse_wrong()  # type: ignore[arg-type]


def test_a_grid_holds_its_numbers() -> None:
    svg = grid(["a", "b<"], [("row", [Cell(-1, "x", "y", -2.5), None])], "name", ["c", "d"])
    assert svg.count("data-value") == 1 and 'data-value="-2.5"' in svg and "b&lt;" in svg
    assert "style=" not in svg and 'class="mark"' in svg
    assert [printed(one) for one in (0.0, 0.004, -0.5, 12.34, 123.4)] == [
        "0", "0", "−0.50", "+12.3", "+123",
    ]  # fmt: skip
    assert colour_bar(2.0).count("data-value") == 5


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_page_shows_the_numbers(tmp_path: Path) -> None:
    assert BROWSER is not None
    run = toy_writer.predictor()
    found = shown(run, "the cat sat", attribution=["occlusion"], patch="the mat sat")
    trace = found.traces[0]  # type: ignore[attr-defined]
    page = html.write(tmp_path / "a.html", [trace], pictures(trace.interventions))
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu",
        f"--user-data-dir={tmp_path}/user", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    def numbers(name: str) -> list[float]:
        (part,) = re.findall(rf'<svg[^>]*class="{name}[ "].*?</svg>', drawn, re.DOTALL)
        return [float(one) for one in re.findall(r'<g data-value="([^"]+)"', part)]

    results = trace.interventions
    assert numbers("ablation") == pytest.approx(results.ablation[0].changes, rel=1e-4, abs=1e-9)
    changes = results.patching[0].changes[::-1].ravel().tolist()
    assert numbers("patching") == pytest.approx(changes, rel=1e-4, abs=1e-9)
    assert sum(numbers("contributions")) == pytest.approx(
        results.contributions.difference, abs=1e-3
    )
    chances = results.lens[0].top[1][::-1, :, 0].ravel().tolist()
    assert numbers("lens") == pytest.approx(chances, rel=1e-4, abs=1e-9)
    assert numbers("attributions") == pytest.approx(
        results.attributions["occlusion"].tolist(), rel=1e-4, abs=1e-9
    )
