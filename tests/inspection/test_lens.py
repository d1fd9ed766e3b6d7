"""Test the lens, patching and contributions against the model's own numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from probes import OTHER, SOURCE, TARGET, all_probes, classified, ids, rnn, transformer, written
from test_transformer import DIALS

from triptych.errors import UsageError
from triptych.inspection.contributions import contributions
from triptych.inspection.lens import lens
from triptych.inspection.patching import patch
from triptych.inspection.probe import token_probe


@pytest.mark.parametrize("dials", ["2017", "pre", "llama", "both-norms", "olmo2", "albert", "ssru"])
def test_the_last_stage_of_the_lens_is_the_answer(dials: str) -> None:
    probe = written(transformer(dials))
    found = lens(probe, "decoder", [*TARGET[1:], 1])
    with torch.no_grad():
        chances = probe.model.project(probe.model(**probe.inputs)).softmax(-1)
    np.testing.assert_allclose(
        found.probabilities[-1], chances[range(4), found.final], atol=1e-6, rtol=1e-4
    )
    assert found.top[0][-1, :, 0].tolist() == chances.argmax(-1).tolist()
    ranks = (chances > chances[range(4), found.final][:, None]).sum(-1) + 1
    assert found.ranks[-1].tolist() == ranks.tolist()
    assert found.stages[:4] == ["embeddings", "1.self", "1.cross", "1.feed_forward"]
    assert len(found.stages) == 7 and found.to_json()["stages"] == found.stages
    assert found.has_final_norm == (dials in ("pre", "llama", "both-norms", "olmo2", "ssru-pre"))


def test_a_stage_of_the_lens_is_a_shorter_model() -> None:
    """After its first block, a pre-norm model says what it would say without its second."""
    probe = written(transformer("pre", "decoder"))
    found = lens(probe, "decoder")
    probe.model.decoder.blocks = probe.model.decoder.blocks[:1]
    with torch.no_grad():
        chances = probe.model.project(probe.model(**probe.inputs)).softmax(-1)
    at = found.stages.index("1.feed_forward")
    np.testing.assert_allclose(found.top[1][at, :, 0], chances.max(-1).values, rtol=1e-4)


def test_lens_of_the_other_stacks() -> None:
    probe = written(transformer("pre"))
    found = lens(probe, "encoder")
    assert found.top[0].shape == (5, len(SOURCE), 5) and found.ranks[-1].tolist() == [1] * 5
    with pytest.raises(UsageError, match="has no encoder"):
        lens(written(transformer("pre", "decoder")), "encoder")
    labels = lens(classified(), "encoder")
    assert labels.top[0].shape == (5, 1, 4)
    for attention in (True, False):
        toy = written(rnn(attention))
        own = lens(toy, "decoder")
        with torch.no_grad():
            chances = toy.model.project(toy.model(**toy.inputs)).softmax(-1)
        assert own.stages == ["previous_token", "state", "context"]
        np.testing.assert_allclose(own.top[1][-1, :, 0], chances.max(-1).values, rtol=1e-5)
        assert not np.allclose(own.top[1][0], own.top[1][-1])
        with pytest.raises(UsageError, match="in its decoder alone"):
            lens(toy, "encoder")


def difference(model: Any, source: list[int] | None, target: list[int], row: int) -> float:
    """Return the logit of id 17 minus that of id 30, from the model alone."""
    with torch.no_grad():
        logits = model.project(model(**ids(source, target)))[row]
    return float(logits[17] - logits[30])


def of_row(model: Any, source: list[int] | None, target: list[int], row: int) -> Any:
    wanted = [17] * len(target)
    return token_probe(model, ids(source, target), wanted, [row], "x").compared(30, str)


@pytest.mark.parametrize("dials", ["2017", "pre", "llama", "relative", "albert", "gemma2"])
def test_a_patched_embedding_is_another_token(dials: str) -> None:
    model = transformer(dials)
    probe = of_row(model, SOURCE, TARGET, 3)
    found = patch(probe, ids(OTHER, TARGET), "encoder")
    base, other = (difference(model, one, TARGET, 3) for one in (SOURCE, OTHER))
    assert found.base == pytest.approx(base, abs=1e-4)
    assert found.other == pytest.approx(other, abs=1e-4)
    # the sentences differ in one token, so that its embedding moves all, and another's nothing
    assert found.changes[0, 2] == pytest.approx(other - base, abs=1e-3)
    np.testing.assert_allclose(found.changes[0, [0, 1, 3, 4]], 0, atol=1e-4)
    assert found.layers == ["embeddings", "1", "2"] and abs(found.changes[1:]).max() > 1e-2
    assert found.names == ("17", "30") and found.to_json()["stack"] == "encoder"


@pytest.mark.parametrize("architecture", ["decoder", "both"])
def test_the_last_state_of_the_decoder_decides(architecture: str) -> None:
    model = transformer("pre", architecture)
    source = SOURCE if architecture == "both" else None
    other = [TARGET[0], 44, *TARGET[2:]]
    probe = of_row(model, source, TARGET, 3)
    found = patch(probe, ids(source, other), "decoder")
    whole = difference(model, source, other, 3) - difference(model, source, TARGET, 3)
    assert found.changes[2, 3] == pytest.approx(whole, abs=1e-3) and abs(whole) > 1e-2
    np.testing.assert_allclose(found.changes[2, :3], 0, atol=1e-4)
    assert found.changes[0, 1] == pytest.approx(whole, abs=1e-3)
    with pytest.raises(UsageError, match="but they have 4 and 5 tokens"):
        patch(probe, ids(source, [*TARGET, 2]), "decoder")


def test_patching_the_encoder_alone_and_the_rnn() -> None:
    probe = classified()
    other = probe.inputs | {"source": probe.inputs["source"].clone()}
    other["source"][4] = 60
    found = patch(probe, other, "encoder")
    # a post-norm BERT's label is read from the first state of the last block
    assert found.changes[2, 0] == pytest.approx(found.other - found.base, abs=1e-4)
    np.testing.assert_allclose(found.changes[2, 1:], 0, atol=1e-5)
    for attention in (True, False):
        model = rnn(attention)
        probe = of_row(model, SOURCE, TARGET, 3)
        found = patch(probe, ids(OTHER, TARGET), "encoder")
        assert found.layers == ["embeddings", "states"] and found.changes.shape == (2, 5)
        assert found.changes[0, 2] == pytest.approx(found.other - found.base, abs=1e-4)
        np.testing.assert_allclose(found.changes[0, [0, 1, 3, 4]], 0, atol=1e-5)
        if not attention:  # only the last states of both directions are read
            np.testing.assert_allclose(found.changes[1, 1:4], 0, atol=1e-5)
        with pytest.raises(UsageError, match="Of the RNN"):
            patch(probe, ids(OTHER, TARGET), "decoder")


@pytest.mark.parametrize("dials", DIALS)
def test_contributions_add_up(dials: str) -> None:
    found = contributions(written(transformer(dials)))
    values = dict(zip(found.names, found.values.tolist(), strict=True))
    assert values.pop("rest") == pytest.approx(0, abs=2e-3), "a linear readout leaves nothing"
    assert sum(values.values()) == pytest.approx(found.difference, abs=2e-3)
    assert sum(abs(one) > 1e-3 for one in values.values()) > 5, "a check that cannot fail"


def test_contributions_are_those_of_a_pre_norm_stream() -> None:
    """Written out by hand: W_O of a head, the final norm's scale, the two rows of the table."""
    probe = written(transformer("pre", "decoder"))
    found = contributions(probe)
    model, row = probe.model, probe.row
    seen: dict[str, torch.Tensor] = {}
    attention = model.decoder.blocks[0].self_attention
    attention.output.register_forward_pre_hook(lambda _, one: seen.update(mixed=one[0]))
    model.decoder.final_norm.register_forward_pre_hook(lambda _, one: seen.update(x=one[0]))
    probe.measured()
    choice, norm = probe.choice, model.decoder.final_norm
    assert choice is not None and row is not None
    added = seen["mixed"][row, 8:16] @ attention.output.weight[:, 8:16].T
    deviation = (seen["x"][row].var(correction=0) + norm.epsilon).sqrt()
    normed = (added - added.mean()) / deviation * norm.weight
    table = model.embedding.weight
    wanted = normed @ (table[choice.chosen] - table[choice.rival])
    assert found.values[found.names.index("decoder.1.self.2")] == pytest.approx(
        float(wanted.detach()), abs=1e-4
    )


@pytest.mark.parametrize("name", ["encoder", "rnn", "rnn-no-attention"])
def test_contributions_of_the_others(name: str) -> None:
    found = contributions(all_probes()[name])
    assert found.values.sum() == pytest.approx(found.difference, abs=1e-4)
    rest = found.values[found.names.index("rest")]
    if name == "encoder":  # its head is not linear
        assert abs(rest) > 1e-4
    else:
        assert found.names[:3] == ["state", "previous_token", "context"]
        bias = all_probes()[name].model.output.bias
        assert bias is not None and rest == pytest.approx(0, abs=1e-4)


def test_a_softcap_of_the_logits_is_the_rest() -> None:
    probe = written(transformer("llama", "decoder", logit_softcap=3.0))
    found = contributions(probe)
    assert found.values.sum() == pytest.approx(found.difference, abs=1e-4)
    assert abs(found.values[found.names.index("rest")]) > 1e-3
