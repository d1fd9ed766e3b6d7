"""The researcher's views: every number on the page is what the library finds, for every kind."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
from browsing import launched, needs_browser, numbers, opened
from starlette.testclient import TestClient
from toy_runs import classifier, predictor_of, stack, tokenizers, translator, writer

from triptych.inference.engine.engine import Engine
from triptych.inference.engine.limits import EngineLimits
from triptych.inference.engine.scheduler import Scheduler
from triptych.inference.interventions import Interventions, intervene
from triptych.inference.predictor import Predictor
from triptych.messages import in_language
from triptych.model.config import ModelConfig
from triptych.serving.app import build_app
from triptych.serving.served import Served

TEXT, OTHER = "hello there", "hello these"
PASSAGE = "one two three. hello there, how are you?"
TREES = {"upos": ["NOUN", "VERB"], "relations": ["root", "nsubj", "obj"]}
ALL = ["lens", "ablation", "contributions", "attributions", "deletion", "patching"]


def encoder(task: str, labels: dict[str, Any]) -> Predictor:
    size = tokenizers().source.vocabulary_size
    config = ModelConfig(encoder=stack(positions="sinusoidal"), vocabulary_size=size)
    return predictor_of(task, {}, config, labels)


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Engine]]:
    limits = EngineLimits(deadline=60)
    found = {
        "translator": Engine(translator(max_length=5), limits),
        "rnn": Engine(translator(recurrent=True, max_length=5), limits),
        "lm": Engine(writer(), limits),
        "classifier": Engine(classifier(), limits),
        "reader": Engine(encoder("question-answering", {"languages": {"source": ["en"]}}), limits),
        "parser": Engine(encoder("parsing", TREES), limits),
    }
    scheduler = Scheduler(list(found.values()), threads=1).start()
    yield found
    scheduler.close()


@pytest.fixture(scope="module")
def address(
    engines: dict[str, Engine], listen: Callable[[Any], AbstractContextManager[str]]
) -> Iterator[str]:
    with listen(build_app(Served(engines))) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture()
def page(browser: Any, address: str) -> Iterator[Any]:
    with opened(browser, address) as found:
        yield found


@pytest.fixture(scope="module")
def asker(engines: dict[str, Engine]) -> Iterator[TestClient]:
    app: Any = build_app(Served(engines))
    with TestClient(app, base_url="http://localhost") as found:
        yield found


def wanted(predictor: Predictor, **asked: Any) -> Any:
    """Return what the library finds when it is asked alone."""
    settings = predictor.settings(max_length=predictor.decoding.max_length or 64)
    return intervene(
        predictor, predictor.example(TEXT), Interventions(**{"token": 1, **asked}), settings
    )


def looked(page: Any, run: str) -> None:
    page.goto(f"{page.address}/#closer?run={run}&text={TEXT.replace(' ', '%20')}")
    page.wait_for_selector("[data-view=deletion]")


def cells(page: Any, view: str) -> list[float]:
    return numbers(page, f"[data-view={view}] .cell", "value")


@needs_browser
@pytest.mark.parametrize("run", ["translator", "lm", "classifier", "rnn"])
def test_numbers_are_the_librarys(page: Any, engines: dict[str, Engine], run: str) -> None:
    predictor = engines[run].predictor
    found = wanted(
        predictor, lens=True, ablate=True, contributions=True, attributions=["all"], patch=OTHER
    )
    looked(page, run)
    assert cells(page, "ablation") == pytest.approx(found.ablation[0].changes, abs=1e-5)
    values = [value for one in found.lens[::-1] for value in one.top[1][::-1, :, 0].ravel()]
    assert cells(page, "lens") == pytest.approx(values, abs=2e-6)
    assert found.contributions is not None
    bars, parts = numbers(page, "[data-view=contributions] g", "value"), found.contributions.values
    assert sum(bars) == pytest.approx(found.contributions.difference, abs=1e-3)
    largest = sorted(parts, key=lambda one: -abs(one))[:16]
    assert bars[: len(largest)] == pytest.approx(largest, abs=1e-4)
    shares = [one / np.abs(one).max() for one in found.attributions.values()]
    assert cells(page, "attributions") == pytest.approx(np.concatenate(shares), abs=1e-3)
    # the states of another text
    page.fill("[data-key=other]", OTHER)
    page.click("[data-view=other] button.main")
    page.wait_for_selector("[data-view=patching]")
    changes = found.patching[0].changes[::-1].ravel()
    assert cells(page, "patching") == pytest.approx(changes, abs=1e-5)
    assert np.abs(changes).max() > 1e-3, "the texts differ"
    # one colour bar, whose largest number is the largest change
    most = numbers(page, "[data-view=patching] .swatch", "most")
    assert most == pytest.approx([np.abs(changes).max()] * 5, abs=1e-5)


@needs_browser
def test_another_token_and_rival(page: Any, engines: dict[str, Engine]) -> None:
    predictor = engines["translator"].predictor
    looked(page, "translator")
    page.click(".tokens-line button >> nth=1")
    page.wait_for_selector(".tokens-line button:nth-child(2)[aria-pressed=true]")
    page.wait_for_selector("[data-view=deletion]")
    found = wanted(predictor, token=2, ablate=True)
    assert cells(page, "ablation") == pytest.approx(found.ablation[0].changes, abs=1e-5)
    box = page.locator("[data-key=rival]")
    third = box.locator("option").nth(2).get_attribute("value")
    with page.expect_response("**/v1/interventions"):
        box.select_option(third)
    page.wait_for_selector("[data-view=deletion]")
    assert page.locator("[data-key=rival]").input_value() == third
    # with the keyboard alone
    page.locator("[data-view=ablation] svg").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    told = page.inner_text("[data-view=ablation] .readout")
    row = found.ablation[0]
    assert told.startswith("Without encoder.1.feed_forward:")
    place = list(map(str, row.sites)).index("encoder.1.feed_forward")
    assert float(told.split(": ")[1].split()[0]) == pytest.approx(row.changes[place], abs=1e-4)


@needs_browser
def test_tables_are_saved(page: Any, engines: dict[str, Engine]) -> None:
    looked(page, "translator")
    with page.expect_download() as found:
        page.click("[data-view=ablation] .savers >> text=Save CSV")
    text = found.value.path().read_text("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    one = wanted(engines["translator"].predictor, ablate=True).ablation[0]
    assert [row[0] for row in rows[1:]] == [str(site) for site in one.sites]
    assert [float(row[1]) for row in rows[1:]] == pytest.approx(one.changes, abs=1e-5)
    with page.expect_download() as found:
        page.click("[data-view=lens] .savers >> text=Save SVG >> nth=0")
    assert found.value.path().read_text("utf-8").startswith("<svg")


@needs_browser
def test_the_recurrent_run_says_what_it_cannot(page: Any) -> None:
    looked(page, "rnn")
    for view, words in {
        "ablation": "no heads",
        "lens": "no vocabulary",
        "attributions": "rollout",
    }.items():
        assert words in page.inner_text(f"[data-view={view}] .note"), view
    assert not page.locator("[data-view=attributions] .cell[data-row=rollout]").count()


@needs_browser
def test_two_runs_beside_each_other(page: Any, engines: dict[str, Engine]) -> None:
    page.goto(f"{page.address}/#look?run=translator")
    page.select_option("[data-key=beside]", "rnn")
    page.fill("textarea", TEXT)
    page.click("button[type=submit]")
    page.wait_for_selector("[data-view=beside]")
    traces = [engines[name].predictor.trace(TEXT) for name in ("translator", "rnn")]
    shown = page.eval_on_selector_all(
        "[data-view=beside] .answer", "all => all.map((one) => one.textContent)"
    )
    assert shown == [one.target_text for one in traces]
    most = max(float(one.attention["cross"].mean((0, 1)).max()) for one in traces)
    scales = numbers(page, ".panels .colour-bar", "most")
    assert scales == pytest.approx([most] * 2, abs=1e-4), "both panels have one scale"


@needs_browser
def test_an_answer_in_its_document(page: Any, engines: dict[str, Engine]) -> None:
    page.goto(f"{page.address}/#look?run=reader")
    page.fill("textarea >> nth=0", "hello?")
    page.fill("[data-key=passage]", PASSAGE)
    page.click("button[type=submit]")
    page.wait_for_selector("[data-view=span] .bars .line")
    found = engines["reader"].predictor.predict([{"question": "hello?", "passage": PASSAGE}])[0]
    assert found.text and page.inner_text("#answer") == found.text
    place = [numbers(page, "[data-view=span] mark", one)[0] for one in ("start", "end")]
    assert place == [found.details["start"], found.details["end"]]


@needs_browser
def test_arcs_of_a_parse(page: Any, engines: dict[str, Engine]) -> None:
    page.goto(f"{page.address}/#look?run=parser&text=hello%20there%20one")
    page.wait_for_selector("[data-view=arcs] svg")
    words = engines["parser"].predictor.predict(["hello there one"])[0].details["words"]
    with page.expect_download() as found:
        page.click("[data-view=arcs] .savers >> text=Save CSV")
    rows = list(csv.reader(io.StringIO(found.value.path().read_text("utf-8-sig"))))[1:]
    assert [(int(row[1]), row[2], int(row[4]), row[5]) for row in rows] == [
        (one["id"], one["text"], one["head"], one["relation"]) for one in words
    ]
    assert page.locator("[data-view=arcs] svg [data-word]").count() == 3


def test_errors_speak_the_language_of_the_page(asker: TestClient) -> None:
    body = {"model": "none", "input": TEXT}
    for tag, language in (("en", "en"), ("zh-Hant", "zh_TW"), ("zh-CN;q=1, en", "zh_CN")):
        found = asker.post("/v1/trace", json=body, headers={"Accept-Language": tag}).json()
        text = found["error"]["message"]
        start = in_language("The model '{name}' is not served here. There is: {names}.", language)
        assert text.startswith(start.partition("{")[0]) and "translator" in text
        assert text.isascii() == (language == "en"), text


@pytest.mark.parametrize("run", ["parser", "translator"])
def test_who_draws_trees(asker: TestClient, run: str) -> None:
    answer = asker.post("/v1/trees", json={"model": run, "input": TEXT})
    assert answer.status_code == (200 if run == "parser" else 400)


@pytest.mark.parametrize("run", ["translator", "lm", "classifier", "rnn"])
def test_the_answer_of_the_endpoint(asker: TestClient, run: str) -> None:
    body = {"model": run, "input": TEXT, "other": OTHER, "views": ALL}
    answer = asker.post("/v1/interventions", json=body)
    found = answer.json()
    assert answer.status_code == 200 and found["problems"] == {}
    assert found["chosen"][0] == found["others"][0][0], "greedy answers are the likeliest"
    assert found["deletion"]["sentences"] == 1


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"input": " "}, 400, "empty"),
        ({"input": "a" * 300}, 413, "the most is 256"),
        ({"views": ["patching"]}, 400, "another text"),
        ({"rival": 9999}, 400, "answers to choose among"),
        ({"token": 99}, 400, "a number from 1 to"),
        ({"without": ["decoder.9.self.1"]}, 400, "decoder.9.self.1"),
        ({"views": ["everything"]}, 400, "views"),
        ({"model": "none"}, 404, "not served"),
    ],
)
def test_what_cannot_be_asked(
    asker: TestClient, change: dict[str, Any], status: int, words: str
) -> None:
    body = {"model": "translator", "input": TEXT, **change}
    answer = asker.post("/v1/interventions", json=body)
    assert answer.status_code == status and words in answer.text


def test_texts_of_unequal_length(asker: TestClient) -> None:
    body = {"model": "translator", "input": TEXT, "other": "hello", "views": ["patching", "lens"]}
    found = asker.post("/v1/interventions", json=body).json()
    assert "as many" in found["problems"]["patching"] and found["lens"], "the others are answered"


def test_a_part_is_off_in_everything(asker: TestClient) -> None:
    body = {"model": "translator", "input": TEXT, "views": ["ablation"]}
    off = {**body, "without": ["decoder.2.feed_forward"]}
    plain, without = (asker.post("/v1/interventions", json=one).json() for one in (body, off))
    assert plain["score"]["value"] != without["score"]["value"]
