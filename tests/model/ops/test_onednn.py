"""Packed weights give what the plain ones give."""

from __future__ import annotations

import pytest
import torch
from test_transformer import batch, make

from triptych.decoding.generate import search
from triptych.decoding.settings import DecodingSettings
from triptych.model.linear import ACTIVATIONS, Linear
from triptych.model.ops.onednn import (
    EXACT,
    LatePrepacked,
    PrepackedLinear,
    can_prepack,
    padding,
    prepack,
)

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
    packed = PrepackedLinear(torch.randn(40, 24).to(precision), torch.randn(40).to(precision))
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


@needs_packing
def test_a_spare_layer_is_packed_when_it_is_used() -> None:
    torch.manual_seed(0)
    layer, spare = Linear(24, 40), Linear(24, 40)
    torch.nn.init.normal_(layer.weight)
    spare.load_state_dict(layer.state_dict())
    spare.is_spare = True
    x, residual = torch.randn(5, 24), torch.randn(5, 40)
    with torch.no_grad():
        for one in (layer, spare):
            one.prepack()
        assert type(spare.prepacked) is LatePrepacked and not hasattr(spare.prepacked, "weight")
        assert torch.equal(layer(x, residual=residual), spare(x, residual=residual))
        assert type(spare.prepacked) is PrepackedLinear
        spare.prepack()
        assert torch.equal(layer(x, "gelu"), spare(x, "gelu"))


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
