"""Packed weights give what the plain ones give."""

from __future__ import annotations

import pytest
import torch
from test_transformer import batch, make

from triptych.decoding.generate import search
from triptych.decoding.settings import DecodingSettings
from triptych.inference.prepack import can_prepack, is_alike, lay_out, prepack
from triptych.model.linear import ACTIVATIONS, Linear, prepack_joined
from triptych.model.ops.onednn import EXACT, PrepackedLinear, padding

needs_packing = pytest.mark.skipif(
    not can_prepack(torch.float32), reason="this processor has no packed products"
)


@needs_packing
def test_a_packed_product_is_the_plain_one_for_any_number_of_rows() -> None:
    torch.manual_seed(0)
    layer = Linear(24, 40)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    inputs = [torch.randn(*shape, 24) for shape in ((0,), (1,), (3,), (200,), (2, 5))]
    with torch.no_grad():
        plain = [layer(x) for x in inputs]
        layer.prepack()
        packed = [layer(x) for x in inputs]
    for one, other in zip(plain, packed, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_few_numbers_of_rows_occur() -> None:
    """Each has a program of its own, however many tokens there are."""
    wide = {rows: rows + padding(rows) for rows in range(1, 4097)}
    assert all(wide[rows] == rows for rows in range(1, EXACT + 1))
    assert all(rows <= more <= 1.125 * rows for rows, more in wide.items())
    assert len({*wide.values()}) == EXACT + 8 * 7


@needs_packing
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_more_rows_change_no_row(precision: torch.dtype) -> None:
    if not can_prepack(precision):
        pytest.skip("this processor has no packed products in bfloat16")
    torch.manual_seed(0)
    packed = PrepackedLinear([torch.randn(40, 24).to(precision)], [torch.randn(40).to(precision)])
    x, residual = torch.randn(3, 43, 24).to(precision), torch.randn(3, 43, 40).to(precision)
    assert padding(3 * 43)
    with torch.no_grad():
        found = packed(x, "relu"), packed.added(x, residual)
        assert all(one.shape == residual.shape for one in found)
        for row in range(3):
            torch.testing.assert_close(found[0][row, :5], packed(x[row, :5], "relu"))
            torch.testing.assert_close(
                found[1][row, 9:], packed.added(x[row, 9:], residual[row, 9:])
            )


@needs_packing
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_what_follows_a_product_is_the_same_in_one_pass(
    activation: str, precision: torch.dtype
) -> None:
    if not can_prepack(precision):
        pytest.skip("this processor has no packed products in bfloat16")
    torch.manual_seed(0)
    layer = Linear(24, 40)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)  # type: ignore[arg-type]
    layer = layer.to(precision)
    given = [torch.randn(rows, 24).to(precision) for rows in (0, 1, 3, 200)]
    residuals = [torch.randn(len(x), 40).to(precision) for x in given]
    with torch.no_grad():
        plain = [
            (layer(x, activation), layer(x, residual=y))
            for x, y in zip(given, residuals, strict=True)
        ]
        layer.prepack()
        packed = [
            (layer(x, activation), layer(x, residual=y))
            for x, y in zip(given, residuals, strict=True)
        ]
    atol, rtol = (1e-5, 1e-5) if precision == torch.float32 else (0.05, 0.02)  # one rounding less
    for ours, theirs in zip(packed, plain, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == precision
            torch.testing.assert_close(one, other, atol=atol, rtol=rtol)


def is_laid_out(layer: Linear) -> bool:
    assert layer.prepacked is not None
    return layer.prepacked.weight.is_mkldnn


@needs_packing
def test_weights_are_laid_out_once_they_are_used_again() -> None:
    torch.manual_seed(0)
    model = make("llama")
    assert prepack(model, torch.float32, waits=True)
    layers = [one for one in model.modules() if isinstance(one, Linear)]
    assert not any(is_laid_out(layer) for layer in layers)
    layer, many = layers[0], torch.randn(7, layers[0].inputs)
    if not is_alike(torch.float32):
        pytest.skip("this processor rounds otherwise before weights are laid out")
    residual = torch.randn(7, layer.outputs)
    with torch.no_grad():
        assert layer(many[:0]).shape == (0, layer.outputs) and not is_laid_out(layer)
        first = layer(many, "gelu")
        assert not is_laid_out(layer), "one use does not pay for it"
        assert torch.equal(first, layer(many, "gelu")) and is_laid_out(layer)
        layer.prepack()
        assert layer.prepacked is not None
        layer.prepacked.waits = True
        first = layer(many, residual=residual)
        assert torch.equal(first, layer(many, residual=residual)) and is_laid_out(layer)
        layer.prepack()
        layer.prepacked.waits = True
        layer(many[:1])
        assert is_laid_out(layer), "a single row is computed otherwise as it is given"


@needs_packing
@pytest.mark.parametrize("bias", [False, True])
def test_a_joined_product_that_waits_has_the_same_bits(bias: bool) -> None:
    if not is_alike(torch.float32):
        pytest.skip("this processor rounds otherwise before weights are laid out")
    torch.manual_seed(0)
    parts = [Linear(24, 40, bias), Linear(24, 16, False), Linear(24, 16, bias)]
    for part in parts:
        torch.nn.init.normal_(part.weight)
        if part.bias is not None:
            torch.nn.init.normal_(part.bias)
    product, x = prepack_joined(parts), torch.randn(5, 24)
    assert product is not None
    product.waits, given = True, []
    product.after = given.append
    with torch.no_grad():
        first, second = product(x), product(x)
        plain = torch.cat([part(x) for part in parts], -1)
    assert torch.equal(first, second) and product.weight.is_mkldnn
    assert [one.data_ptr() for one in given] == [part.weight.data_ptr() for part in parts]
    torch.testing.assert_close(first, plain, atol=1e-5, rtol=1e-5)


@needs_packing
def test_all_but_spare_weights_are_laid_out_on_request() -> None:
    model = make("llama")
    prepack(model, torch.float32, waits=True)
    lay_out(model)
    layers = {name: one for name, one in model.named_modules() if isinstance(one, Linear)}
    assert {is_laid_out(layer) for layer in layers.values()} == {True, False}
    assert all(is_laid_out(layer) != layer.is_spare for layer in layers.values())
    with torch.no_grad():  # a spare one is laid out when it is used
        spare = next(layer for layer in layers.values() if layer.is_spare)
        spare(torch.randn(1, spare.inputs))
        assert is_laid_out(spare)


@needs_packing
def test_gradients_pass_a_packed_layer_by() -> None:
    layer = Linear(4, 3)
    torch.nn.init.normal_(layer.weight)
    layer.prepack()
    x = torch.randn(2, 4, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 4))


@needs_packing
@pytest.mark.parametrize("name", ["2017", "llama"])
@pytest.mark.parametrize("beams", [1, 3])
def test_a_packed_model_gives_the_same_answers(name: str, beams: int) -> None:
    model, inputs = make(name), batch()
    source = {key: inputs[key] for key in ("source", "source_lengths")}
    settings = DecodingSettings(beams=beams, n_best=beams)
    plain = search(model, source, settings, begin=1, end=2)
    assert prepack(model, torch.float32)
    packed = search(model, source, settings, begin=1, end=2)
    for ours, theirs in zip(plain, packed, strict=True):
        assert [one.tokens for one in ours] == [one.tokens for one in theirs]
        assert [one.score for one in ours] == pytest.approx([one.score for one in theirs], abs=1e-4)


def test_weights_of_another_precision_are_left_alone() -> None:
    model = make("2017")
    assert not prepack(model, torch.bfloat16) and model.prepacked_output is None
