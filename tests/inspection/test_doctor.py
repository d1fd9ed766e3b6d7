"""Test that the checks pass on healthy models and fail on sick ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from probes import rnn, transformer
from toy_classifier import LABELS, TEXTS, predictor

from triptych.data.batches.encoded import Encoded, collate
from triptych.data.example import Example
from triptych.inspection.doctor import CHECKS, alone, examine, left_padded_attention
from triptych.model.layout import PackedLayout
from triptych.model.masks import CAUSAL, Mask
from triptych.model.ops.reference import plain_attention
from triptych.tasks.specs import SPECS


def sentences(has_source: bool) -> list[Encoded]:
    generator = np.random.default_rng(5)
    found = []
    for length in (3, 7, 5, 4):
        target = generator.integers(2, 50, length)
        inputs = {"target": target[:-1]}
        if has_source:
            inputs = {"source": generator.integers(2, 50, length + 1), **inputs}
        found.append(Encoded(inputs, {"tokens": target[1:]}))
    return found


def patient(dials: str, architecture: str = "both") -> tuple[Any, Any, Any, list[Encoded]]:
    name = "translation" if architecture == "both" else "language-modelling"
    model = rnn(dials == "rnn") if dials.startswith("rnn") else transformer(dials, architecture)
    task = SPECS[name].build({} if architecture == "both" else {"context": 32})
    return model, task.head(model.config, {}), task, sentences(architecture == "both")


def results(*given: Any) -> dict[str, str]:
    model, head, task, examples = given
    found = examine(model, head, task, examples, ["float32"])
    return {one.name: one.result for one in found}


KINDS = ["2017", "gemma2", "mixtral", "relative", "olmo2", "softcap", "albert", "ssru-pre"]


@pytest.mark.parametrize("dials", [*KINDS, "rnn", "rnn-no-attention"])
def test_healthy_models_pass(dials: str) -> None:
    found = results(*patient(dials))
    passed = set(CHECKS) - ({"left = right padding"} if dials.startswith("rnn") else set())
    assert {name for name, result in found.items() if result == "passed"} == passed, found


@pytest.mark.parametrize("dials", ["llama", "window-and-bias"])
def test_decoders_alone_pass(dials: str) -> None:
    assert set(results(*patient(dials, "decoder")).values()) == {"passed"}


def test_the_classifier_passes() -> None:
    toy = predictor()
    encoded = [
        toy.task.encode(Example(text=text, label=LABELS[place]), toy.tokenizers, toy.labels,
                        "train", None)[0]
        for place, text in enumerate(TEXTS)
    ]  # fmt: skip
    found = results(toy.model, toy.head, toy.task, encoded)
    assert found.pop("cache = no cache") == "none" and set(found.values()) == {"passed"}


def test_bfloat16_passes_within_its_rounding() -> None:
    model, head, task, examples = patient("llama", "decoder")
    found = examine(model, head, task, examples, ["float32", "bfloat16"])
    assert {one.result for one in found} == {"passed"}
    rounded = [one.difference or 0.0 for one in found if one.precision == "bfloat16"]
    assert max(rounded) > 1e-4, "it is computed in bfloat16"
    assert model.precision == torch.float32, "the precision is given back"


def leaking(model: Any) -> None:
    """Let each row see a little of the row before it, which may be another sentence's."""
    entrance = model.decoder_entrance
    entrance.register_forward_hook(lambda _m, _x, found: found + 0.1 * found.roll(1, 0))


def forgetting(model: Any) -> None:
    """Let steps with a cache read other angles than a pass over all tokens."""
    plain = model.decoder.angles
    model.decoder.angles = lambda at, n: plain(at if len(at) > 1 else at + len(at), n)


def biased(model: Any) -> None:
    """Let the fused kernel differ from the formula."""
    for block in model.decoder.each:
        block.self_attention.packed = lambda *scored: plain_attention(*scored)[0] * 1.01


@pytest.mark.parametrize(
    ("illness", "check"),
    [
        (leaking, "alone = in a batch"),
        (leaking, "cache = no cache"),
        (leaking, "micro-batches = one batch"),
        (biased, "fused = plain"),
    ],
)
def test_sick_models_fail(illness: Callable[[Any], None], check: str) -> None:
    model, *rest = patient("llama", "decoder")
    illness(model)
    found = results(model, *rest)
    assert found[check] == "failed", found


def test_pairs_that_stay_where_they_were_are_found() -> None:
    given = patient("alibi")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("triptych.inspection.doctor._moved_pairs", lambda table, q, k: table)
        assert results(*given)["left = right padding"] == "failed"


def test_what_is_not_finite_fails() -> None:
    model, head, task, encoded = patient("pre")
    with torch.no_grad():
        model.decoder.blocks[0].feed_forward.output.bias[0] = float("nan")
    assert alone((model, head, task), encoded) == float("inf")


@pytest.mark.parametrize("mask", [CAUSAL, Mask(2, 0), Mask(1, 1)])
def test_left_padded_attention_is_the_formula(mask: Mask) -> None:
    torch.manual_seed(2)
    layout = PackedLayout(torch.tensor([3, 6, 1]))
    query, bias = torch.randn(10, 8, 5), torch.randn(1, 4, 6, 6)
    found = left_padded_attention(query, None, 4, layout, layout, mask, bias, 0.3, softcap=2.0)
    wanted = plain_attention(query, None, 4, layout, layout, mask, bias, 0.3, softcap=2.0)
    torch.testing.assert_close(found[0], wanted[0])
    # the same weights, in other places
    torch.testing.assert_close(found[1].sum(-1).sort(-1)[0], wanted[1].sum(-1).sort(-1)[0])
    assert collate(sentences(True)).inputs["source"].ndim == 1
