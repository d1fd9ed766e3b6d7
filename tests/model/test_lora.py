"""Low-rank adapters: what trains, what stands still, and that merged is unmerged."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from triptych.errors import UsageError
from triptych.model.build import build
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.model.lora import Adapted, adapt, merge, merged
from triptych.runs.checkpoint import weights_of

STACK = StackConfig(
    layers=2,
    width=32,
    heads=2,
    inner_width=64,
    norm_placement="pre",
    positions="rotary",
    dropout=0.0,
)
CONFIG = ModelConfig(encoder=STACK, vocabulary_size=50)


def model():
    torch.manual_seed(1)
    return build(CONFIG)


def states(of) -> Tensor:
    return of(source=torch.arange(12) % 50, source_lengths=torch.tensor([5, 7]))


def trained() -> tuple:
    """An adapted model after three steps, and its untouched twin."""
    plain, ours = model(), model()
    adapt(ours, 4, 16.0, ["query", "value"])
    learnt = [one for one in ours.parameters() if one.requires_grad]
    for _ in range(3):
        loss = states(ours)[:, :16].square().mean()  # of all columns a norm has made it constant
        for parameter, gradient in zip(learnt, torch.autograd.grad(loss, learnt), strict=True):
            parameter.data -= gradient
    return plain, ours


def test_training_starts_from_the_model_as_it_was() -> None:
    plain, ours = model(), model()
    assert len(adapt(ours, 4, 16.0, ["query", "value"])) == 4
    assert torch.equal(states(plain), states(ours))


def test_only_adapters_train() -> None:
    plain, ours = trained()
    learnt = {name: one.numel() for name, one in ours.named_parameters() if one.requires_grad}
    assert sum(learnt.values()) == 2 * 2 * (4 * 32 + 32 * 4)
    assert all(name.rsplit(".", 1)[-1] in ("adapter_down", "adapter_up") for name in learnt)
    for name, parameter in plain.named_parameters():
        assert torch.equal(parameter, dict(ours.named_parameters())[name])
    assert not torch.allclose(states(plain), states(ours), atol=1e-4)


def test_merged_is_unmerged() -> None:
    plain, ours = trained()
    wanted = states(ours)
    tensors = merged(weights_of(ours, None))
    assert set(tensors) == set(weights_of(plain, None))
    plain.load_state_dict(tensors)
    torch.testing.assert_close(states(plain), wanted, rtol=1e-5, atol=1e-6)
    merge(ours)
    assert not any(isinstance(one, Adapted) for one in ours.modules()) and set(
        ours.state_dict()
    ) == set(plain.state_dict())
    torch.testing.assert_close(states(ours), wanted, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_formula() -> None:
    """Against x W^T + alpha / rank x A^T B^T in the layer itself (Hu et al. 2021, section 4.1)."""
    _, ours = trained()
    layer = ours.encoder.blocks[0].self_attention.query
    x = torch.randn(6, 32)
    own = torch.autograd.grad(layer(x).sin().sum(), [layer.adapter_down, layer.adapter_up])
    base = layer._parameters["weight"].detach()
    y = x @ base.T + 16.0 / 4 * (x @ layer.adapter_down.T) @ layer.adapter_up.T + layer.bias
    for one, other in zip(
        own, torch.autograd.grad(y.sin().sum(), [layer.adapter_down, layer.adapter_up]), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_tensors_without_adapters_stay_as_they_are() -> None:
    tensors = weights_of(model(), None)
    assert merged(tensors) == tensors


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="Did you mean 'query'"):
        adapt(model(), 4, 16.0, ["qery"])
    with pytest.raises(UsageError, match="Use a rank below 32"):
        adapt(model(), 32, 16.0, ["query"])
    with pytest.raises(UsageError, match="this model has none"):
        adapt(
            build(
                RecurrentConfig(
                    embedding_width=8,
                    width=8,
                    attention_width=8,
                    readout_width=8,
                    vocabulary_size=20,
                )
            ),
            2,
            4.0,
            ["query"],
        )
