"""Test that switched-off parts are off, in one batch as one by one, and that nothing else moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from probes import all_probes, classified, ids, rnn, transformer, written

from triptych.errors import UsageError
from triptych.inspection.ablation import ablation_map, measured_map
from triptych.inspection.interventions import ablated, mean_outputs
from triptych.inspection.probe import Probe
from triptych.inspection.sites import Site, parsed, sites
from triptych.model.attention import Attention


def one_by_one(probe: Probe, means: Any = None) -> list[float]:
    """Switch one site off in each of as many passes: the plain reference of the map."""
    base, found = float(probe.measured()[0]), list[float]()
    for site in sites(probe.model):
        with ablated(probe.model, [site], means):
            found.append(float(probe.measured()[0]) - base)
    return found


# not Switch: its experts drop tokens by those of the whole batch, so copies change one another
KINDS = ["2017", "llama", "gemma2", "mixtral", "window-and-bias", "olmo2", "softcap", "neox"]


@pytest.mark.parametrize("dials", [*KINDS, "albert", "both-norms", "ssru"])
def test_one_batch_is_one_pass_for_each(dials: str) -> None:
    probe = written(transformer(dials))
    found = ablation_map(probe)
    np.testing.assert_allclose(found.changes, one_by_one(probe), atol=2e-4)
    assert max(map(abs, found.changes)) > 1e-2, "a check that cannot fail"


@pytest.mark.parametrize("name", ["encoder", "rnn", "rnn-no-attention", "2017"])
def test_it_is_so_for_the_other_models(name: str) -> None:
    probe = all_probes()[name]
    turned = {
        key: one if key.endswith("lengths") else one.flip(0) for key, one in probe.inputs.items()
    }
    means = mean_outputs(probe.model, [probe.inputs, turned])
    for how in (None, means):
        found = ablation_map(probe, means=how)
        np.testing.assert_allclose(found.changes, one_by_one(probe, how), atol=1e-4)
        assert max(map(abs, found.changes)) > 1e-3


@pytest.mark.parametrize("dials", ["2017", "pre", "llama", "gemma2", "both-norms", "neox"])
def test_a_head_that_is_off_has_no_output_weights(dials: str) -> None:
    """Its columns of the output projection set to zero are another way to switch it off."""
    probe = written(transformer(dials))
    site = Site("decoder", 1, "cross", 2)
    with ablated(probe.model, [site]):
        found = float(probe.measured()[0])
    attention: Attention = probe.model.decoder.blocks[1].cross_attention
    width = attention.head_width
    with torch.no_grad():
        attention.output.weight[:, 2 * width : 3 * width] = 0
    assert found == pytest.approx(float(probe.measured()[0]), abs=1e-5)


@pytest.mark.parametrize("dials", ["2017", "pre", "both-norms", "neox", "albert"])
def test_a_feed_forward_that_is_off_adds_nothing(dials: str) -> None:
    probe = written(transformer(dials, "decoder"))
    block = probe.model.decoder.each[1]
    base = float(probe.measured()[0])
    with ablated(probe.model, [Site("decoder", 1, "feed_forward")]):
        found = float(probe.measured()[0])
    assert found != pytest.approx(base, abs=1e-4)
    if dials == "albert":  # both layers are one block, of which one is off
        both = [Site("decoder", layer, "feed_forward") for layer in (0, 1)]
        with ablated(probe.model, both):
            base, found = found, float(probe.measured()[0])
        assert found != pytest.approx(base, abs=1e-4)
    with torch.no_grad():
        block.feed_forward.output.weight.zero_()
        block.feed_forward.output.bias.zero_()
        if block.feed_forward_norm.branch is not None:
            block.feed_forward_norm.branch.weight.zero_()
    assert found == pytest.approx(float(probe.measured()[0]), abs=1e-5)


@pytest.mark.parametrize("name", ["encoder", "decoder", "both", "rnn"])
def test_without_it_the_bits_are_the_same(name: str) -> None:
    probe = all_probes()[name]
    before = probe.measured()
    with ablated(probe.model, sites(probe.model)):
        assert not torch.equal(probe.measured(), before)
    assert torch.equal(probe.measured(), before)
    hooks = [
        one
        for module in probe.model.modules()
        for one in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]
    assert not hooks, "nothing stands in the model's way"
    with ablated(probe.model, []):
        assert torch.equal(probe.measured(), before)


@pytest.mark.parametrize("dials", ["pre", "gemma2", "relative", "ssru"])
@pytest.mark.parametrize("architecture", ["decoder", "both"])
def test_decoding_with_a_cache_loses_the_same(dials: str, architecture: str) -> None:
    model = transformer(dials, architecture)
    inputs = ids([5, 9, 13] if architecture == "both" else None, [0, 17, 30, 8])
    off = [Site("decoder", 0, "feed_forward"), sites(model)[-2]]
    with torch.no_grad(), ablated(model, off):
        whole = model.project(model(**inputs))
        state = model.start(model.encode(inputs) if architecture == "both" else None, 1)
        steps = [model.step(inputs["target"][None, t : t + 1], state)[0][0] for t in range(4)]
    torch.testing.assert_close(torch.cat(steps), whole, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", [True, False])
def test_the_rnn_decodes_without_its_context(attention: bool) -> None:
    model = rnn(attention)
    inputs = ids([5, 9, 13], [0, 17, 30, 8])
    means = mean_outputs(model, [inputs])
    for how in (None, means):
        with torch.no_grad(), ablated(model, sites(model), how):
            whole = model.project(model(**inputs))
            state = model.start(model.encode(inputs), 1)
            found, state = model.step(inputs["target"][None], state)
        torch.testing.assert_close(found[0], whole, atol=1e-5, rtol=1e-4)
    with torch.no_grad(), ablated(model, sites(model)):
        other = model.project(model(**ids([7, 7], [0, 17, 30, 8])))
        start = model.project(model(**ids([5, 9, 13], [0, 17, 30, 8])))
    assert not torch.allclose(other[0], start[0]), "its first state still depends on the source"


def test_means_are_those_of_all_tokens() -> None:
    model = transformer("pre")
    probe, other = written(model), written(model, source=[4, 4, 8])
    means = mean_outputs(model, [probe.inputs, other.inputs])
    attention, kept = model.encoder.blocks[0].self_attention, list[torch.Tensor]()
    hook = attention.output.register_forward_pre_hook(lambda _, one: kept.append(one[0]))
    for one in (probe, other):
        one.measured()
    hook.remove()
    wanted = torch.cat(kept).mean(0).view(attention.heads, -1)
    torch.testing.assert_close(means.heads["encoder", 0, "self"], wanted)
    # a head that always gives its mean loses nothing when it is replaced by it
    with torch.no_grad():
        attention.value.weight[:8] = 0
    means = mean_outputs(model, [probe.inputs, other.inputs])
    with ablated(model, [Site("encoder", 0, "self", 0)], means):
        off = probe.measured()
    torch.testing.assert_close(off, probe.measured(), atol=1e-5, rtol=1e-5)


def test_any_number_can_be_mapped() -> None:
    probe, done = written(transformer("pre")), list[float]()
    found = measured_map(
        probe.model, lambda: float(probe.measured()[0]), "loss", 3, done=done.append
    )
    np.testing.assert_allclose(found.changes, ablation_map(probe).changes, atol=1e-4)
    assert len(done) == len(found.sites) == len(found.rows()) and found.to_json()["examples"] == 3


def test_names() -> None:
    model = transformer("pre")
    assert [str(one) for one in parsed(model, ["decoder.2.cross.3", "encoder.1.feed_forward"])] == [
        "decoder.2.cross.3",
        "encoder.1.feed_forward",
    ]
    assert parsed(model, ["decoder.1.self", "decoder.1.self"]) == [Site("decoder", 0, "self")]
    assert len(sites(model)) == 2 * (4 + 1) + 2 * (4 + 4 + 1)
    with pytest.raises(UsageError, match=r"encoder\.1-2\.self\.1-4; encoder\.1-2\.feed_forward"):
        parsed(model, ["decoder.3.cross.1"])
    with pytest.raises(UsageError, match="does not name a part"):
        parsed(model, ["decoder.two"])
    with pytest.raises(UsageError, match=r"has no part 'encoder.1.self.1'.*decoder\.1\.cross\.1"):
        parsed(rnn(), ["encoder.1.self.1"])
    assert "encoder.1.self.1" in map(str, sites(classified().model))
    assert [str(one) for one in sites(transformer("ssru"))][-6] == "decoder.2.self"
