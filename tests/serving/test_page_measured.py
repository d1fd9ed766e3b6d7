"""What was measured over many sentences, a head at each checkpoint, and the microphone."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from browsing import expect, launched, needs_browser, numbers, opened
from starlette.testclient import TestClient
from toy_listener import listener, tone
from toy_runs import translator

from triptych import Interventions
from triptych.data.example import Example
from triptych.inference.engine.engine import Engine
from triptych.inference.engine.limits import EngineLimits
from triptych.inference.engine.scheduler import Scheduler
from triptych.inference.hearing import hear
from triptych.inference.interventions import intervene
from triptych.inspection.kept import keep
from triptych.runs.checkpoint import weights_of
from triptych.runs.run import Run
from triptych.serving.app import build_app
from triptych.serving.served import Served

TEXT = "hello there"
PART = "decoder.2.cross.3"
CURVES = {
    "shares": [0.0, 0.5, 1.0],
    "fall": {"attention": [0.0, 1.0, 4.0], "occlusion": [0.0, 3.0, 4.0], "random": [0.0, 1.5, 4.0]},
    "area": {"attention": 1.5, "occlusion": 2.5, "random": 1.75},
    "most_faithful": "occlusion", "sentences": 200, "sure": 0.987, "complete": True,
    "asked": {"methods": []}, "each": [],
}  # fmt: skip
ARCS = {
    "sites": ["encoder.1.self.1", "encoder.1.self.2"], "relations": ["all", "det"],
    "counts": [30, 10], "shares": [[0.25, 0.5], [0.75, 0.125]],
    "offsets": {"-1": [0.2, 0.0], "+1": [0.3, 0.6]}, "sentences": 7, "left_out": 0,
    "file": "dev.conllu",
}  # fmt: skip


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    listen: Callable[[Any], AbstractContextManager[str]],
) -> Iterator[SimpleNamespace]:
    path = tmp_path_factory.mktemp("measured")
    run = translator(max_length=5)
    run.run = Run(path / "run")
    weights = weights_of(run.model, run.head)
    for step in (1, 2):
        (path / "run").mkdir(exist_ok=True)
        other = {name: one * (1 + 0.1 * step) for name, one in weights.items()}
        run.run.write_checkpoint(step, {"model.safetensors": other}, {"step": step})
    run.run.write_model(dict(weights))
    soundfile.write(path / "tone.wav", np.tile(tone(), 8), 16_000)
    limits = EngineLimits(deadline=60)
    engines = {
        "translator": Engine(run, limits),
        "rnn": Engine(translator(recurrent=True, max_length=5), limits),
        "listener": Engine(listener(), limits),
    }
    scheduler = Scheduler(list(engines.values()), threads=1).start()
    app: Any = build_app(Served(engines))
    with listen(app) as address, TestClient(app, base_url="http://localhost") as asker:
        yield SimpleNamespace(address=address, asker=asker, run=run, path=path,
                              listener=engines["listener"].predictor)  # fmt: skip
    scheduler.close()


def test_what_is_kept_is_answered(served: SimpleNamespace) -> None:
    nothing = served.asker.get("/v1/runs/rnn/inspection").json()
    assert nothing == {"model": "rnn", "deletion": None, "ablation": None, "arcs": None}
    keep(served.run.run, "deletion", CURVES)
    found = served.asker.get("/v1/runs/translator/inspection").json()
    assert found["deletion"]["area"] == CURVES["area"] and "each" not in found["deletion"]
    assert served.asker.get("/v1/runs/none/inspection").status_code == 404


def test_a_part_at_each_checkpoint(served: SimpleNamespace) -> None:
    body = {"model": "translator", "input": TEXT, "views": ["checkpoints"], "part": PART}
    found = served.asker.post("/v1/interventions", json=body).json()
    wanted = _followed(served)
    (one,) = found["checkpoints"]
    assert [at["change"] for at in one["steps"]] == pytest.approx([at.change for at in wanted])
    without = {**body, "part": None}
    assert served.asker.post("/v1/interventions", json=without).status_code == 400
    rnn = served.asker.post(
        "/v1/interventions", json={**body, "model": "rnn", "part": "decoder.1.cross.1"}
    ).json()
    assert "no checkpoints" in rnn["problems"]["checkpoints"]


def _followed(served: SimpleNamespace) -> Any:
    run = served.run
    asked = Interventions(checkpoints=[PART], token=1)
    found = intervene(run, run.example(TEXT), asked, run.settings())
    return found.checkpoints[0].steps


def test_a_sound_is_heard(served: SimpleNamespace) -> None:
    sound = (served.path / "tone.wav").read_bytes()
    answer = served.asker.post("/v1/hearing?model=listener", content=sound)
    found, run = answer.json(), served.listener
    wanted, _ = hear(run, Example(audio=sound), run.settings())
    assert answer.status_code == 200 and found["text"] == wanted.text and not found["whole"]
    np.testing.assert_allclose(found["attention"], wanted.attention, atol=1e-5)
    assert found["picture"].startswith("<svg")
    for change, status in ((("translator", sound), 400), (("listener", b""), 400),
                           (("listener", b"no sound"), 400), (("none", sound), 404)):  # fmt: skip
        name, content = change
        answer = served.asker.post(f"/v1/hearing?model={name}", content=content)
        assert answer.status_code == status, change


@pytest.fixture(scope="module")
def browser(served: SimpleNamespace) -> Iterator[Any]:
    sound = served.path / "tone.wav"
    with launched(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={sound}",
    ) as found:
        yield found


@pytest.fixture()
def page(browser: Any, served: SimpleNamespace) -> Iterator[Any]:
    with opened(browser, served.address) as found:
        yield found


@needs_browser
def test_the_most_faithful_is_named(page: Any, served: SimpleNamespace) -> None:
    page.goto(f"{page.address}/#closer?run=rnn")
    page.wait_for_selector("[data-view=measured-none]")
    keep(served.run.run, "deletion", CURVES)
    keep(served.run.run, "arcs", ARCS)
    page.select_option("[data-key=run]", "translator")
    named = page.locator("[data-view=measured-deletion] .answer")
    expect(named).to_have_attribute("data-method", "occlusion")
    expect(named).to_have_text(
        "occlusion (first in 98.7 % of 1,000 bootstrap samples of the sentences)"
    )
    areas = numbers(page, "[data-view=measured-deletion] path[data-method]", "area")
    assert areas == [2.5, 1.75, 1.5]
    assert numbers(page, "[data-view=measured-arcs] .cell", "value") == [0.25, 0.5]
    page.select_option("[data-key=relation]", "1")
    expect(page.locator("[data-view=measured-arcs] .cell").first).to_have_attribute(
        "data-value", "0.75"
    )
    assert numbers(page, "[data-view=measured-arcs] .cell", "value") == [0.75, 0.125]
    assert "60.0 % (+1)" in page.inner_text("[data-view=measured-arcs] table")


@needs_browser
def test_a_head_is_followed(page: Any, served: SimpleNamespace) -> None:
    page.goto(f"{page.address}/#closer?run=translator&text=hello%20there")
    page.wait_for_selector("[data-view=follow]")
    page.select_option("[data-key=part]", PART)
    page.click("[data-view=follow] button.main")
    page.wait_for_selector("[data-view=checkpoints] .step-map")
    wanted = _followed(served)
    cells = numbers(page, "[data-view=checkpoints] .grid-picture .cell", "value")
    values = [*(at.score for at in wanted), *(at.change for at in wanted)]
    assert cells == pytest.approx(values, abs=1e-5)
    weights = np.concatenate([at.attention.ravel() for at in wanted])
    shown = numbers(page, "[data-view=checkpoints] .step-map .cell", "value")
    np.testing.assert_allclose(shown, weights, atol=1e-4)


@needs_browser
def test_long_sentences_are_forgotten(page: Any) -> None:
    page.goto(f"{page.address}/#learn")
    page.click("[data-view=forgotten] button")
    page.wait_for_selector("[data-view=beside]")
    assert page.input_value("textarea").startswith("A man in a blue shirt")


@needs_browser
def test_the_microphone(
    page: Any, served: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds: list[bytes] = []

    def kept(predictor: Any, example: Example, settings: Any) -> Any:
        sounds.append(example.audio)  # type: ignore[arg-type]
        return hear(predictor, example, settings)

    monkeypatch.setattr("triptych.serving.hearing.hear", kept)
    page.goto(f"{page.address}/#look?run=listener")
    button = page.locator("[data-key=record]")
    button.click()
    expect(button).to_have_text(re.compile(r"Stop \((0\.[5-9]|[1-9])"), timeout=60_000)
    button.click()
    page.wait_for_selector("[data-view=hearing] svg")
    (sound,) = sounds
    samples, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    assert len(samples) / rate > 0.4
    loudest = np.fft.rfftfreq(len(samples), 1 / rate)[np.abs(np.fft.rfft(samples)).argmax()]
    assert loudest == pytest.approx(600, abs=30), "it is the tone that the microphone hears"
    run = served.listener
    wanted, _ = hear(run, Example(audio=sound), run.settings())
    _same_numbers(page, wanted)
    expect(page.locator("#answer")).to_have_text(wanted.text)


@needs_browser
def test_a_file_and_its_player(page: Any, served: SimpleNamespace) -> None:
    page.goto(f"{page.address}/#look?run=listener")
    page.set_input_files("[data-key=sound]", served.path / "tone.wav")
    page.wait_for_selector("[data-view=hearing] svg")
    run = served.listener
    wanted, _ = hear(run, Example(audio=str(served.path / "tone.wav")), run.settings())
    _same_numbers(page, wanted)
    with page.expect_download() as found:
        page.click("[data-view=hearing] .savers >> text=Save CSV")
    rows = list(csv.reader(io.StringIO(found.value.path().read_text("utf-8-sig"))))[1:]
    assert [row[0] for row in rows] == wanted.tokens
    page.locator(".placed").first.click(force=True)
    expect(page.locator("audio")).to_have_js_property("ended", False)


def _same_numbers(page: Any, wanted: Any) -> None:
    rows = page.eval_on_selector_all(
        "[data-view=hearing] .row", "all => all.map((one) => one.dataset.weights)"
    )
    shown = [[float(one) for one in row.split()] for row in rows]
    np.testing.assert_allclose(shown, wanted.attention, atol=6e-5)
    starts = numbers(page, "[data-view=hearing] .placed", "start")
    assert starts == pytest.approx([start for start, _ in wanted.spans], abs=6e-4)
