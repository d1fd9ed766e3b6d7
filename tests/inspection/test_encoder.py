"""Test that a trace of an encoder, and its page, hold the model's own numbers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_classifier import LABELS, TEXTS, predictor

from triptych.cli.inspect import VIEWS
from triptych.cli.inspect_shown import Options
from triptych.data.batches.encoded import collate
from triptych.errors import UsageError
from triptych.inspection import html
from triptych.model.layout import PackedLayout
from triptych.model.ops.reference import plain_rotate
from triptych.presets.bert import PRESETS

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.parametrize("preset", PRESETS)
def test_weights_are_those_of_the_forward_pass(preset: str) -> None:
    """Against the weights that each layer's own attention uses while the model runs."""
    toy = predictor(preset)
    encoded = toy.task.encode(toy.example(TEXTS[0]), toy.tokenizers, toy.labels, "use", None)[0]
    inputs = collate([encoded]).inputs
    expected = []

    def note(module: Any, given: tuple[Any, ...]) -> None:
        x, positions = given[0], PackedLayout(inputs["source_lengths"]).positions
        query = module.query(x).view(-1, module.heads, module.head_width)
        key = module.key(x).view(-1, module.key_heads, module.head_width)
        if toy.model.encoder.rotaries:
            angles = toy.model.encoder.rotaries[0].angles(positions)
            query, key = plain_rotate(query, angles), plain_rotate(key, angles)
        key = key.repeat_interleave(module.heads // module.key_heads, 1)
        scores = torch.einsum("the,she->hts", query, key) / module.head_width**0.5
        expected.append(scores.softmax(-1))

    hooks = [
        block.self_attention.register_forward_pre_hook(note) for block in toy.model.encoder.blocks
    ]
    with torch.no_grad():
        toy.model(**inputs)
    for hook in hooks:
        hook.remove()
    trace = toy.trace(TEXTS[0])
    weights = trace.attention["encoder"]
    assert (
        weights.shape == (2, 4, len(trace.source), len(trace.source))
        and trace.target == []
        and trace.log_probabilities == []
    )
    assert all(len(cell.tokens) == 1 for cell in trace.source)
    np.testing.assert_allclose(weights, torch.stack(expected).numpy(), atol=1e-6)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert weights.std(1).max() > 1e-4, "heads are alike: a check that cannot fail"


@pytest.mark.parametrize("text", TEXTS)
def test_the_page_shows_the_models_numbers(text: str) -> None:
    toy = predictor()
    shown = VIEWS["labels"](toy, text, Options())
    page = html.page(shown.traces, shown.pictures)
    content = json.loads(re.findall(r'id="traces">(.*?)</script>', page, flags=re.DOTALL)[0])[0]
    encoded = toy.task.encode(toy.example(text), toy.tokenizers, toy.labels, "use", None)[0]
    inputs = collate([encoded]).inputs
    with torch.no_grad():
        logits = toy.head(toy.model, toy.model(**inputs), inputs)[0]
    best = int(logits.argmax())
    assert content["source_text"] == text and content["target_text"] == shown.answer == LABELS[best]
    assert content["attribution"]["of"] == LABELS[best]
    assert content["attribution"]["value"] == pytest.approx(
        float(logits.log_softmax(-1)[best]), abs=1e-5
    )
    bars = [float(value) for value in re.findall(r'data-probability="([\d.]+)"', page)]
    np.testing.assert_allclose(
        bars, logits.softmax(-1).sort(descending=True).values.numpy(), atol=1e-5
    )
    found = shown.traces[0].attribution
    assert found is not None and len(found.gradient_times_input) == len(shown.traces[0].source)
    np.testing.assert_allclose(
        content["attribution"]["gradient_times_input"],
        found.gradient_times_input,
        rtol=1e-5,
        atol=1e-12,
    )


def test_a_label_can_be_asked_about() -> None:
    toy = predictor()
    for label in LABELS:
        found = toy.trace(TEXTS[0], target=label).attribution
        assert found is not None and found.of == label
    with pytest.raises(UsageError, match="Unknown label"):
        toy.trace(TEXTS[0], target="Sport")


def test_long_texts_come_window_by_window() -> None:
    toy = predictor(window=20)
    traces = toy.traces(toy.example(TEXTS[0]))
    assert [trace.window for trace in traces] == [
        (number, len(traces)) for number in range(1, len(traces) + 1)
    ] and len(traces) > 1
    assert "".join(trace.source_text for trace in traces) == TEXTS[0]


def test_means_step_in_by_degrees(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = predictor().trace("a b")
    size = len(trace.source) ** 2
    for most, shape, notes in (
        (8 * size, [2, 4], []),
        (7 * size, [2, 1], ["head_means_only"]),
        (size, [1, 1], ["means_only"]),
    ):
        monkeypatch.setattr("triptych.inspection.trace.MOST_WEIGHTS", most)
        content = json.loads(trace.to_json())
        assert content["attention"]["encoder"]["shape"][:2] == shape and content["notes"] == notes


def test_what_cannot_be_looked_at_is_refused() -> None:
    toy = predictor()
    with pytest.raises(UsageError, match="text is empty"):
        toy.trace("  ")
    with pytest.raises(UsageError, match="--to"):
        VIEWS["labels"](toy, TEXTS[0], Options(to="de"))


def test_a_terminal_gets_the_strongest_tokens() -> None:
    shown = VIEWS["labels"](predictor(), "word " * 60, Options())
    assert len(shown.rows) == 40 and all(len(row) == 3 for row in shown.rows)


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_lines_and_columns_of_these_numbers(tmp_path: Path) -> None:
    assert BROWSER is not None
    shown = VIEWS["labels"](predictor(), "it was </script><b>tired</b>", Options())
    path = html.write(tmp_path / "a.html", shown.traces, shown.pictures)
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/user",
        "--dump-dom",
        f"{path.as_uri()}#token-2",
    ]
    drawn = Elements(
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    ).found
    trace, size = shown.traces[0], len(shown.traces[0].source)
    last = trace.attention["encoder"][-1].mean(0)  # (S, S), what the page begins with
    rects = [
        float(a["data-weight"] or "nan") for tag, a in drawn if tag == "rect" and "data-weight" in a
    ]
    np.testing.assert_allclose(np.reshape(rects, (size, size)), last, atol=2e-5)
    lines = {
        int(a["data-s"] or -1): float(a["data-weight"] or "nan")
        for tag, a in drawn
        if tag == "path" and a.get("data-t") == "2"
    }
    assert len(lines) > 3
    np.testing.assert_allclose(list(lines.values()), last[2][list(lines)], atol=2e-5)
    columns = {
        name: [
            float(a["data-value"] or "nan")
            for tag, a in drawn
            if tag == "td" and a.get("data-column") == name
        ]
        for name in ("received", "gradient", "norm")
    }
    found = trace.attribution
    assert found is not None
    np.testing.assert_allclose(columns["received"], last.mean(0), atol=2e-5)
    np.testing.assert_allclose(
        columns["gradient"], found.gradient_times_input, rtol=1e-5, atol=1e-12
    )
    np.testing.assert_allclose(columns["norm"], found.gradient_norm, rtol=1e-5)
    assert not [tag for tag, _ in drawn if tag == "b"]
