"""Test attributions against Captum where it has them, and deletion curves against one by one.

Inseq is not on the package mirror, so its encoder-decoder attributions (Captum's, run on source
embeddings) are those that Captum gives here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from probes import all_probes, classified, rnn, transformer, written

from triptych.errors import UsageError
from triptych.inspection.attributions import (
    METHODS,
    RANDOM,
    attributed,
    deletion,
    deletion_curves,
    integrated_gradients,
    methods_of,
    rollout,
    scores_without,
)
from triptych.inspection.probe import Probe, replaced, vectors_of

ALL = ["encoder", "decoder", "both", "2017", "rnn", "rnn-no-attention"]


def run_on(probe: Probe) -> Any:
    """Return what Captum asks for: vectors (B, N, D) -> scores (B,), one sentence at a time."""

    def score(vectors: torch.Tensor) -> torch.Tensor:
        found = []
        for one in vectors:
            with replaced(probe, one):
                found.append(probe.score(probe.model(**probe.inputs), 1))
        return torch.cat(found)

    return score


@pytest.mark.parametrize("name", ALL)
def test_gradients_and_occlusion_are_captums(name: str) -> None:
    attr = pytest.importorskip("captum.attr")
    probe = all_probes()[name]
    vectors, score = vectors_of(probe)[None], run_on(probe)
    gradient = attr.InputXGradient(score).attribute(vectors.clone().requires_grad_())
    integrated = attr.IntegratedGradients(score, multiply_by_inputs=True).attribute(
        vectors, baselines=0.0, n_steps=8, method="gausslegendre"
    )
    width = vectors.shape[-1]
    hidden = attr.Occlusion(score).attribute(vectors, (1, width), strides=(1, width), baselines=0.0)
    wanted = {
        "gradient_times_input": gradient.detach().sum(-1)[0],
        "integrated_gradients": integrated.detach().sum(-1)[0],
        "occlusion": hidden.detach()[0, :, 0],
    }
    for method, values in wanted.items():
        short = method == "integrated_gradients"
        found = integrated_gradients(probe, 8) if short else attributed(probe, method)
        np.testing.assert_allclose(found, values, atol=1e-4, rtol=1e-4, err_msg=method)
        assert np.abs(found).max() > 1e-3, "a check that cannot fail"


def test_a_head_that_reads_the_vectors_again_sees_them_changed() -> None:
    attr = pytest.importorskip("captum.attr")
    probe = classified(reads_words=True)
    vectors, score = vectors_of(probe)[None], run_on(probe)
    width = vectors.shape[-1]
    hidden = attr.Occlusion(score).attribute(vectors, (1, width), strides=(1, width), baselines=0.0)
    np.testing.assert_allclose(attributed(probe, "occlusion"), hidden[0, :, 0], atol=1e-4)


@pytest.mark.parametrize("name", ["both", "rnn"])
def test_integrated_gradients_add_up(name: str) -> None:
    """Not without positions and biases: a norm makes such a stream's length count for nothing."""
    probe = all_probes()[name]
    ends = scores_without(probe, torch.tensor([[1.0], [0.0]]).expand(2, probe.length))
    found = integrated_gradients(probe, 200).sum()
    assert found == pytest.approx(ends[0] - ends[1], abs=2e-2)


def plain_rollout(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Abnar & Zuidema's formula, one entry after the other."""

    def layers(kind: str) -> torch.Tensor:
        found = model.attention_weights(kind=kind, **inputs)[:, 0].mean(1)
        return (found + torch.eye(*found.shape[1:])) / 2

    flow = None
    for layer in layers("encoder" if "target" not in inputs else "decoder"):
        rows = range(len(layer))
        flow = (
            layer
            if flow is None
            else torch.stack(
                [sum(layer[t, k] * flow[k] for k in rows) for t in rows]  # type: ignore[misc]
            )
        )
    assert flow is not None
    return flow


def test_rollout() -> None:
    probe = classified()
    with torch.no_grad():
        wanted = plain_rollout(probe.model, probe.inputs).mean(0)
    np.testing.assert_allclose(rollout(probe), wanted, atol=1e-6)
    probe = written(transformer("pre", "decoder"), [2])
    with torch.no_grad():
        wanted = plain_rollout(probe.model, probe.inputs)[2]
    found = rollout(probe)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found[3] == 0 and found.sum() == pytest.approx(1)


def test_rollout_of_an_encoder_decoder_is_a_walk_over_both_sides() -> None:
    """The same as rollout over one graph of source and target, with two steps for each block."""
    probe = written(transformer("pre"), [2])
    model, inputs = probe.model, probe.inputs
    with torch.no_grad():
        kinds = {
            kind: model.attention_weights(kind=kind, **inputs)[:, 0].mean(1)
            for kind in ("encoder", "decoder", "cross")
        }
    (targets, sources), eye = kinds["cross"].shape[1:], torch.eye
    whole, flow = sources + targets, torch.eye(sources + targets)
    for layer in kinds["encoder"]:
        step = eye(whole)
        step[:sources, :sources] = (layer + eye(sources)) / 2
        flow = step @ flow
    for own, cross in zip(kinds["decoder"], kinds["cross"], strict=True):
        for columns, weights in ((slice(sources, whole), own), (slice(0, sources), cross)):
            step = eye(whole)
            step[sources:] /= 2
            step[sources:, columns] += weights / 2
            flow = step @ flow
    np.testing.assert_allclose(rollout(probe), flow[sources + 2, :sources], atol=1e-6)


@pytest.mark.parametrize("name", ["encoder", "decoder", "both", "rnn"])
def test_a_deletion_curve_takes_tokens_away(name: str) -> None:
    probe = all_probes()[name]
    order = np.argsort(-attributed(probe, "occlusion")).tolist()
    found, vectors, score = deletion(probe, order), vectors_of(probe), run_on(probe)
    for count in range(len(order) + 1):
        left = vectors.clone()
        left[order[:count]] = 0
        with torch.no_grad():
            assert found[count] == pytest.approx(float(score(left[None])[0]), abs=1e-4)


def test_curves_of_several_sentences() -> None:
    model = transformer("pre")
    probes = [written(model), written(model, source=[4, 8, 33, 2, 40, 7])]
    found = deletion_curves(probes)
    assert set(found.curves) == {*METHODS, RANDOM} and found.sentences == 2
    ends = [one[-1] for one in found.curves.values()]
    assert ends == pytest.approx([ends[0]] * len(ends), abs=1e-4), "nothing is left of each"
    assert all(one[0] == 0 for one in found.curves.values())
    assert found.best == max(METHODS, key=lambda name: found.areas[name])
    assert found.to_json()["most_faithful"] == found.best
    values = [deletion(one, np.argsort(-attributed(one, "rollout")).tolist()) for one in probes]
    half = np.mean([np.interp(0.5, np.linspace(0, 1, len(v)), v[0] - v) for v in values])
    assert found.curves["rollout"][5] == pytest.approx(half, abs=1e-4)


def test_what_a_model_has() -> None:
    assert methods_of(transformer("pre")) == list(METHODS)
    assert "rollout" not in methods_of(rnn()) and "attention" in methods_of(rnn())
    assert methods_of(rnn(False)) == ["gradient_times_input", "integrated_gradients", "occlusion"]
    with pytest.raises(UsageError, match=r"rollout.*gradient_times_input"):
        attributed(written(rnn()), "rollout")
