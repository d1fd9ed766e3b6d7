"""Test that pictures of a decoder-only model show its own numbers."""

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
from toy_writer import TEXT, predictor

from triptych.cli.inspect import view_of, writing
from triptych.cli.inspect_shown import Options
from triptych.data.example import Example
from triptych.errors import UsageError
from triptych.inference.predictor import Predictor
from triptych.inspection import html
from triptych.inspection.trace import Trace
from triptych.inspection.views.expected import Expected
from triptych.inspection.writer import MOST_CHOICES, Script, trace_writer

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
SHORT: dict[str, Any] = {"max_length": 6}


def of(trace: Trace) -> Expected:
    assert trace.expected is not None
    return trace.expected


def chances(toy: Predictor, ids: list[int]) -> torch.Tensor:
    """Return log-probabilities (N, V) by one-token steps, another way than the one under test."""
    state, rows = toy.model.start(None, 1), []
    with torch.no_grad():
        for number in ids:
            logits, state = toy.model.step(torch.tensor([[number]]), state)
            rows.append(logits[0, 0].log_softmax(-1))
    return torch.stack(rows)


@pytest.mark.parametrize("text", ["the cat sat", TEXT])
def test_numbers_are_the_models(text: str) -> None:
    toy = predictor()
    shown = writing(toy, text, Options(decoding=SHORT))
    trace, tokenizer = shown.traces[0], toy.tokenizers.target
    given = [tokenizer.begin_id, *tokenizer.encode(text)]
    own = toy.predict([text], **SHORT)[0].tokens
    whole, expected = [*given, *own], trace.expected
    assert expected is not None and shown.answer == trace.target_text == tokenizer.decode(own)
    exact = chances(toy, whole)
    each = [0.0, *(-float(exact[place, number]) for place, number in enumerate(whole[1:]))]
    assert expected.nats[0] is None and len(expected.nats) == len(trace.source) == len(
        expected.choices
    )
    for cell, nats, choices in zip(trace.source, expected.nats, expected.choices, strict=True):
        assert nats is None or nats == pytest.approx(
            sum(each[token] for token in cell.tokens), abs=1e-4
        )
        last = cell.tokens[-1]
        best = sorted(exact[last].exp().tolist(), reverse=True)[:MOST_CHOICES]
        assert [one.probability for one in choices[:MOST_CHOICES]] == pytest.approx(best, rel=1e-4)
        came = [one for one in choices if one.is_actual]
        if last + 1 < len(whole):
            assert len(came) == 1 and came[0].probability == pytest.approx(
                float(exact[last, whole[last + 1]].exp()), rel=1e-3
            )
    assert (
        trace.source[expected.written].tokens[0] == len(given)
        and expected.given.tokens == len(given) - 1
    )
    assert expected.given.nats == pytest.approx(
        sum(each[: len(given)]), rel=1e-5
    ) and expected.given.bytes == len(text.encode())
    assert expected.own.nats == pytest.approx(sum(each[len(given) :]), rel=1e-5)
    assert expected.given.end_nats == pytest.approx(
        -float(exact[len(given) - 1, tokenizer.end_id]), rel=1e-5
    )


def test_the_sum_of_nats_is_the_loss_in_any_number_of_windows() -> None:
    for context, windows in ((64, 1), (8, 4)):
        toy = predictor(context)
        traces = writing(toy, TEXT, Options(target="!")).traces
        losses = toy.losses([Example(text=TEXT + "!")])
        total = of(traces[0]).given
        assert len(traces) == traces[0].window[1] == windows
        assert total.end_nats is not None
        assert total.nats + total.end_nats == pytest.approx(
            losses["nll"] * losses["count"], rel=1e-5
        )
        assert sum(
            nats for trace in traces for nats in of(trace).nats if nats is not None
        ) == pytest.approx(total.nats, rel=1e-5)
        assert total.bits_per_byte == pytest.approx(
            total.nats / np.log(2) / len((TEXT + "!").encode())
        )
        assert "".join(trace.source_text for trace in traces) == TEXT + "!" or windows > 1


def test_no_token_looks_at_later_ones() -> None:
    (trace,) = writing(predictor(), TEXT, Options(decoding=SHORT)).traces
    weights = trace.attention["causal"]
    count = len(trace.source)
    assert weights.shape == (2, 4, count, count)
    assert np.all(weights[..., ~np.tri(count, dtype=bool)] == 0) and np.all(weights[..., 0, 0] == 1)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert weights[..., -1, :].std() > 1e-3, "all alike: a check that cannot fail"


def test_characters_of_several_bytes_are_whole() -> None:
    (trace,) = writing(predictor(), TEXT, Options(target=" x")).traces
    labels = [cell.label for cell in trace.source]
    place = labels.index("貓")
    assert len(trace.source[place].tokens) == 3 and not any("0x" in label for label in labels)
    came = next(one for one in of(trace).choices[place - 1] if one.is_actual)
    assert came.label == "<0xE8> → 貓"


def test_what_is_not_shown_is_said() -> None:
    toy = predictor(16)
    shown = writing(toy, TEXT, Options(decoding={"max_length": 4}))
    assert "not_shown" in shown.traces[0].notes and "unread" in shown.traces[0].notes
    assert (
        "read in 2 windows" in shown.note
        and "tokens not read" in shown.note
        and "does not fit the context" in shown.note
    )
    empty = writing(predictor(), "", Options(decoding=SHORT))
    assert (
        of(empty.traces[0]).given.tokens == 0
        and of(empty.traces[0]).written == 1
        and "Generated: " in empty.note
    )
    with pytest.raises(UsageError, match="nothing to inspect"):
        writing(predictor(), "", Options(target=""))
    with pytest.raises(UsageError, match="reads a text alone"):
        writing(predictor(), "a", Options(to="de"))
    assert view_of(toy) is writing and toy.task.name == "language-modelling"


def test_an_end_that_was_written_counts() -> None:
    toy = predictor()
    ids = [toy.tokenizers.target.begin_id, *toy.tokenizers.target.encode("the")]
    own = toy.tokenizers.target.encode(" c")
    (trace,) = trace_writer(
        toy.model, toy.tokenizers.target, Script(ids=ids, own=own, ended=True), context=64
    )
    exact = chances(toy, [*ids, *own])
    assert of(trace).own.end_nats == pytest.approx(-float(exact[-1, 1]), rel=1e-5)
    assert [one.label for one in of(trace).choices[-1] if one.is_actual] == ["<end>"]
    assert of(trace).given.end_nats == pytest.approx(-float(exact[len(ids) - 1, 1]), rel=1e-5)


def test_a_character_that_is_cut_off_counts_its_own_bytes() -> None:
    toy = predictor()
    ids, own = [toy.tokenizers.target.begin_id], toy.tokenizers.target.encode("a貓")[:3]
    (trace,) = trace_writer(toy.model, toy.tokenizers.target, Script(ids=ids, own=own), context=64)
    assert of(trace).own.tokens == of(trace).own.bytes == 3


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_them(tmp_path: Path) -> None:
    assert BROWSER is not None
    shown = writing(predictor(), f"{TEXT}\nthe", Options(decoding=SHORT))
    trace = shown.traces[0]
    page = html.write(tmp_path / "a.html", shown.traces, language="zh-Hant")
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/user",
        "--dump-dom",
        f"{page.as_uri()}#token-2",
    ]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert drawn.count(">⏎\n</span>") == 2, (
        "the end of a line can be seen and clicked, in both texts"
    )
    tags, count = Tags(drawn).found, len(trace.source)
    cells = [
        (int(one["data-t"] or 0), int(one["data-s"] or 0), float(one["data-weight"] or 0))
        for tag, one in tags
        if tag == "rect" and "data-weight" in one
    ]
    assert len(cells) == count * (count + 1) // 2 and all(s <= t for t, s, _ in cells)
    mean = trace.attention["causal"][-1].mean(0)
    np.testing.assert_allclose(
        [weight for _, _, weight in cells], [mean[t, s] for t, s, _ in cells], atol=2e-5
    )
    assert sum("data-mask" in one for _, one in tags) == 1 and "遮罩把它們蓋住" in drawn
    bars = [
        float(one["data-probability"] or 0)
        for tag, one in tags
        if tag == "div" and "data-probability" in one
    ]
    assert bars == pytest.approx([one.probability for one in of(trace).choices[2]], rel=1e-4)
    assert [
        one["data-actual"] for tag, one in tags if tag == "div" and "data-probability" in one
    ].count("1") == 1
    nats = [
        float(one["data-nats"] or 0) for tag, one in tags if tag == "span" and "data-nats" in one
    ]
    assert nats == pytest.approx([value for value in of(trace).nats if value is not None], abs=1e-5)
    total = next(one for _, one in tags if one.get("data-total") == "given")
    assert float(total["data-nats"] or 0) == pytest.approx(of(trace).given.nats)


def test_the_file_holds_them() -> None:
    content = json.loads(writing(predictor(), "the", Options(decoding=SHORT)).traces[0].to_json())
    assert content["expected"]["nats"][0] is None and set(content["attention"]) == {"causal"}
    assert re.fullmatch(r"[^<]*", html.page([]).split("<title>")[1].split("</title>")[0])
