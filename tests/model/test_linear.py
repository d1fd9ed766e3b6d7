"""No weight is read past its Linear: a layer of another precision is another Linear."""

from __future__ import annotations

import pytest
import torch
from test_transformer import batch, make
from torch import Tensor

from triptych.model.linear import ACTIVATIONS, Linear, join


class Int8Linear(Linear):
    """Rows of W as whole numbers of 8 bits, each with a scale; it has no weight to be read."""

    def __init__(self, plain: Linear) -> None:
        torch.nn.Module.__init__(self)
        self.inputs, self.outputs = plain.inputs, plain.outputs
        weight = plain.matrix().detach()
        scales = weight.abs().amax(1, keepdim=True) / 127
        self.register_buffer("codes", (weight / scales).round().to(torch.int8))
        self.register_buffer("scales", scales)
        self.bias, self.prepacked = plain.bias, None

    def matrix(self, dtype: torch.dtype | None = None) -> Tensor:
        weight = self.codes.float() * self.scales  # type: ignore[operator, union-attr]
        return weight if dtype is None else weight.to(dtype)

    def forward(
        self, x: Tensor, activation: str | None = None, residual: Tensor | None = None
    ) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        y = torch.nn.functional.linear(x, self.matrix(x.dtype), bias)
        y = y if activation is None else ACTIVATIONS[activation](y)
        return y if residual is None else residual + y


def quantize(module: torch.nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is Linear:
            setattr(module, name, Int8Linear(child))
        else:
            quantize(child)


@pytest.mark.parametrize("dials", ["2017", "llama", "alibi", "qwen2"])
def test_a_model_of_int8_layers_is_that_of_their_matrices(dials: str) -> None:
    """While training, decoding and looking; layers without any `weight`."""
    plain, small = (make(dials, tied_embeddings=False) for _ in "ab")
    quantize(small)
    for name, module in small.named_modules():
        if isinstance(module, Int8Linear):
            assert not hasattr(module, "weight")
            layer = plain.get_submodule(name)
            assert isinstance(layer, Linear)
            with torch.no_grad():
                layer.matrix().copy_(module.matrix())
    inputs = batch()
    torch.testing.assert_close(small(**inputs), plain(**inputs))
    for kind in ("encoder", "decoder", "cross"):
        torch.testing.assert_close(
            small.attention_weights(kind, **inputs),  # type: ignore[arg-type]
            plain.attention_weights(kind, **inputs),  # type: ignore[arg-type]
        )
    logits = []
    for model in (small, plain):
        state = model.start(model.encode(inputs), torch.arange(3))
        first, state = model.step(torch.tensor([[1, 2], [3, 4], [5, 6]]), state)
        second, state = model.step(torch.tensor([[7], [8], [9]]), state)
        logits.append(torch.cat((first, second), 1))
    torch.testing.assert_close(*logits)


def test_joined_layers_are_their_products_side_by_side() -> None:
    torch.manual_seed(1)
    parts = [Linear(6, 4, bias=False), Linear(6, 3), Linear(6, 2, bias=False)]
    for parameter in (one for part in parts for one in part.parameters()):
        torch.nn.init.normal_(parameter)
    x = torch.randn(5, 6)
    apart = torch.cat([part(x) for part in parts], -1)
    torch.testing.assert_close(join(parts, x.dtype)(x), apart)
    mixed = [parts[0], Int8Linear(parts[1])]
    torch.testing.assert_close(join(mixed, x.dtype)(x), torch.cat([one(x) for one in mixed], -1))
