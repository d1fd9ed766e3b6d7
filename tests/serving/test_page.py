"""The page in a real browser: every number that it shows is the model's, and nothing leaves."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from browsing import expect, launched, needs_browser, numbers, opened

from triptych.inference.traces import search_tree

pytestmark = needs_browser
TEXT = "hello there"
MOST_BYTES = 300_000  # of the whole page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture()
def page(browser: Any, open_server: str) -> Iterator[Any]:
    with opened(browser, open_server) as found:
        yield found


def asked(page: Any, run: str, text: str = TEXT, beams: int = 1) -> None:
    page.goto(f"{page.address}/#look")
    page.select_option("[data-key=run]", run)
    if beams > 1:
        page.select_option("[data-key=beams]", str(beams))
    page.fill("textarea", text)
    page.click("button[type=submit]")
    page.wait_for_selector("#found section")


def test_an_answer_and_what_is_inside(page: Any, runs: SimpleNamespace) -> None:
    run = runs.translator
    kinds = ("cross", "encoder", "decoder")
    trace = run.trace(TEXT, kinds=kinds, steps=8, beams=3)
    asked(page, "translator", beams=3)
    assert page.inner_text("#answer") == trace.target_text
    # each step's likely tokens
    for place, step in enumerate(trace.steps):
        wanted = [one.probability for one in step.choices]
        assert numbers(page, ".choices-list .line", "probability") == pytest.approx(
            wanted, rel=1e-4
        )
        if place + 1 < len(trace.steps):
            page.click(".steps-card .controls >> text=Next")
    # the three masks
    for kind in kinds:
        (mask,) = trace.masks[kind]
        seen = numbers(page, f"svg[data-kind={kind}] rect", "seen")
        assert np.array_equal(np.reshape(seen, mask.rows.shape), mask.rows), kind
    assert not trace.masks["decoder"][0].rows[0, 1:].any(), "the decoder sees nothing later"
    # the map of the mean over layers and heads
    wanted = trace.attention["cross"].mean((0, 1)).ravel()
    assert numbers(page, ".panels rect[data-weight]", "weight") == pytest.approx(wanted, abs=1e-4)
    # the tree of the search
    tree = search_tree(run, run.example(TEXT), run.settings(beams=3))
    shown = page.eval_on_selector_all(
        ".tree .node", "all => all.map((one) => [one.dataset.place, one.dataset.logProbability])"
    )
    assert shown and set(tree.best) <= {int(place) for place, _ in shown}
    for place, value in shown:
        assert float(value) == pytest.approx(tree.branches[int(place)].log_probability, abs=1e-5)


def test_another_token_is_chosen(page: Any, runs: SimpleNamespace) -> None:
    asked(page, "translator")
    line = page.locator(".choices-list .line").nth(1)
    chosen = int(line.get_attribute("data-id"))
    line.locator("button").click()
    page.wait_for_selector(".branched")
    wanted = runs.translator.trace(TEXT, prefix=[chosen], steps=8)
    assert page.inner_text("#answer") == wanted.target_text
    assert wanted.steps[0].ids[[one.is_actual for one in wanted.steps[0].choices].index(True)] == (
        chosen
    )
    page.click(".branched button")
    page.wait_for_selector(".branched", state="detached")
    assert page.inner_text("#answer") == runs.translator.trace(TEXT).target_text


@pytest.mark.parametrize(("run", "prefix"), [("translator", [9999]), ("lm", [3])])
def test_a_prefix_that_cannot_be(client: Any, run: str, prefix: list[int]) -> None:
    body = {"model": run, "input": TEXT, "prefix": prefix, "steps": 3}
    assert client.post("/v1/trace", json=body).status_code == 400


def test_runs_of_other_kinds(page: Any, runs: SimpleNamespace) -> None:
    asked(page, "classifier")
    page.wait_for_selector(".bars .line")
    wanted = runs.classifier.predict([TEXT])[0]
    assert page.inner_text("#answer") == wanted.text
    assert page.inner_text(".bars .line.chosen .label") == wanted.text
    asked(page, "lm")
    page.wait_for_selector(".surprise")
    trace = runs.lm.trace(TEXT)
    wanted = [one for one in trace.expected.nats if one is not None]
    assert numbers(page, ".surprise [data-nats]", "nats") == pytest.approx(wanted, abs=1e-4)


def test_the_calculation_by_hand(page: Any) -> None:
    page.goto(f"{page.address}/")
    page.wait_for_selector(".matrix .number")

    def check(inputs: list[list[float]], begin: list[float]) -> None:
        x, first = np.array(inputs), np.array([begin])
        scores = x @ x.T / 2**0.5
        weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        z = weights @ x
        asked = first @ z.T / 2**0.5
        given = np.exp(asked) / np.exp(asked).sum()
        every = [scores, weights, z, asked, given, given @ z]
        shown = numbers(page, ".matrix .number", "value")
        assert shown == pytest.approx(np.concatenate([one.ravel() for one in every]), abs=1e-6)

    check([[1, 0], [0, 1], [1, 1]], [0, 0])
    page.locator(".matrix input").first.fill("2.5")
    page.locator(".matrix input").last.fill("-1")
    check([[2.5, 0], [0, 1], [1, 1]], [0, -1])
    page.locator(".matrix .number").first.focus()
    assert page.inner_text(".readout") == "(2.500·2.500 + 0·0) / √2 = 4.419"


def test_every_language_and_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    words = {"en": "Masks", "zh-Hant": "遮罩", "zh-Hans": "掩码"}
    same = (
        "async () => { const { TEXTS } = await import('/static/texts.js');"
        "return Object.values(TEXTS).map((one) => Object.keys(one).sort().join()); }"
    )
    for language, word in words.items():
        page.goto(f"{page.address}/")
        page.select_option("#language", language)
        asked(page, "translator", beams=2)
        assert page.get_attribute("html", "lang") == language
        assert word.lower() in page.inner_text("#found").lower()
        page.select_option("#theme", "dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, language
    keys = page.evaluate(same)
    assert len(set(keys)) == 1, "every language has every text"


def test_an_address_opens_an_answer(page: Any, runs: SimpleNamespace) -> None:
    page.goto(f"{page.address}/#look?run=translator&text=one%20two")
    page.wait_for_selector(".steps-card")
    assert page.inner_text("#answer") == runs.translator.predict(["one two"])[0].text
    page.goto(f"{page.address}/#look?run=none&text=hello")
    expect(page.locator("textarea")).to_have_value("hello")
    page.wait_for_selector(".surprise, .steps-card, .bars")


def test_a_late_answer_is_not_shown(page: Any, runs: SimpleNamespace) -> None:
    held = list[Any]()
    page.route("**/v1/trace", lambda route: route.continue_() if held else held.append(route))
    asked_first, asked_then = "one two", "hello there"
    page.goto(f"{page.address}/#look?run=translator&text={asked_first.replace(' ', '%20')}")
    expect(page.locator("textarea")).to_have_value("one two")
    for _ in range(500):
        page.wait_for_timeout(20)
        if held:
            break
    page.fill("textarea", asked_then)
    page.click("button[type=submit]")
    page.wait_for_selector(".steps-card")
    cells = page.locator("svg[data-kind=encoder] rect[data-seen]")
    (first,), (then,) = (
        runs.translator.trace(text, kinds=("encoder",), steps=1).masks["encoder"]
        for text in (asked_first, asked_then)
    )
    assert cells.count() == then.rows.size != first.rows.size
    with page.expect_response("**/v1/trace"):
        held[0].continue_()
    page.wait_for_timeout(100)
    assert cells.count() == then.rows.size


def test_numbers_are_saved(page: Any, runs: SimpleNamespace) -> None:
    asked(page, "translator")
    with page.expect_download() as found:
        page.click(".steps-card .savers >> text=Save CSV")
    text = found.value.path().read_text("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    steps = runs.translator.trace(TEXT, steps=8).steps
    assert len(rows) == 1 + sum(len(one.choices) for one in steps)
    assert float(rows[1][2]) == pytest.approx(steps[0].choices[0].probability, rel=1e-4)
    with page.expect_download() as found:
        page.click(".mask .savers >> text=Save PNG >> nth=0")
    assert found.value.path().read_bytes()[:4] == b"\x89PNG"
    with page.expect_download() as found:
        page.click(".mask .savers >> text=Save SVG >> nth=0")
    assert found.value.path().read_text("utf-8").startswith("<svg")


def test_it_is_light(page: Any) -> None:
    sizes: dict[str, int] = {}
    page.on("response", lambda one: sizes.update({one.url: len(one.body())}))
    page.goto(f"{page.address}/")
    page.wait_for_selector(".matrix .number")
    page.wait_for_load_state("networkidle")
    assert len(sizes) > 8 and sum(sizes.values()) <= MOST_BYTES


def test_a_server_with_a_key_asks_for_it(browser: Any, server: str) -> None:
    context = browser.new_context(locale="en-US")
    found = context.new_page()
    found.set_default_timeout(20_000)
    found.goto(f"{server}/#look")
    found.fill("input[type=password]", "secret")
    found.click("button[type=submit]")
    found.wait_for_selector("textarea")
    assert "secret" not in found.url
    context.close()
