"""Every fast formula equals its plain reference, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.model.layout import PackedLayout
from triptych.model.masks import CAUSAL, FULL, allowed, masked
from triptych.model.ops import attention, cross_entropy, cuda, dropout, reference, tiles


def lengths(*values: int) -> PackedLayout:
    return PackedLayout(torch.tensor(values))


@pytest.mark.parametrize("heads,key_heads", [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("sizes", [(5, 3, 7), (4, 4), (1,)])
def test_self_attention_equals_the_plain_form(
    heads: int, key_heads: int, is_causal: bool, sizes: tuple[int, ...]
) -> None:
    torch.manual_seed(1)
    rows = lengths(*sizes)
    x = torch.randn(rows.total, heads + 2 * key_heads, 8, dtype=torch.float64, requires_grad=True)
    fast = attention.attention(x, None, heads, rows, rows, mask=masked(is_causal))
    plain, weights = reference.plain_attention(x, None, heads, rows, rows, mask=masked(is_causal))
    torch.testing.assert_close(fast, plain, atol=1e-12, rtol=0)
    upstream = torch.randn_like(fast)
    torch.testing.assert_close(
        *(torch.autograd.grad(y, x, upstream)[0] for y in (fast, plain)), atol=1e-12, rtol=0
    )
    assert weights.shape == (rows.count, heads, rows.longest, rows.longest)
    torch.testing.assert_close(weights.sum(-1), rows.real[:, None].expand(-1, heads, -1).double())


def test_attention_to_a_memory_equals_the_plain_form() -> None:
    torch.manual_seed(2)
    rows, memory_rows = lengths(5, 3, 7), lengths(2, 6, 1)
    query = torch.randn(15, 4, 8, dtype=torch.float64, requires_grad=True)
    memory = torch.randn(9, 4, 8, dtype=torch.float64, requires_grad=True)
    fast = attention.attention(query, memory, 4, rows, memory_rows)
    plain, _ = reference.plain_attention(query, memory, 4, rows, memory_rows)
    torch.testing.assert_close(fast, plain, atol=1e-12, rtol=0)
    upstream = torch.randn_like(fast)
    for a, b in zip(
        *(torch.autograd.grad(y, (query, memory), upstream) for y in (fast, plain)), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_attention_dropout_has_the_derivative_of_what_it_computed() -> None:
    rows = lengths(3, 2)
    x = torch.randn(5, 6, 4, dtype=torch.float64, requires_grad=True)

    def run(value: torch.Tensor) -> torch.Tensor:
        rng = dropout.DropoutRng()
        rng.seed(3)
        return attention.attention(value, None, 2, rows, rows, probability=0.3, rng=rng)

    assert torch.autograd.gradcheck(run, (x,))


@pytest.mark.parametrize("heads,key_heads", [(4, 4), (4, 2)])
@pytest.mark.parametrize("sizes", [(9, 9), (11, 3, 8), (4,)])
def test_blocks_of_a_causal_sequence_equal_the_plain_form(
    heads: int, key_heads: int, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "QUERIES", 4)
    torch.manual_seed(1)
    rows = lengths(*sizes)
    assert rows.longest >= tiles.QUERIES
    x = torch.randn(rows.total, heads + 2 * key_heads, 8, dtype=torch.float64, requires_grad=True)
    fast = attention.attention(x, None, heads, rows, rows, mask=CAUSAL)
    plain, _ = reference.plain_attention(x, None, heads, rows, rows, mask=CAUSAL)
    torch.testing.assert_close(fast, plain, atol=1e-12, rtol=0)
    upstream = torch.randn_like(fast)
    torch.testing.assert_close(
        *(torch.autograd.grad(y, x, upstream)[0] for y in (fast, plain)), atol=1e-12, rtol=0
    )


def test_dropout_in_blocks_has_the_derivative_of_what_it_computed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tiles, "QUERIES", 2)
    rows = lengths(5, 2)
    x = torch.randn(7, 6, 4, dtype=torch.float64, requires_grad=True)

    def run(value: torch.Tensor) -> torch.Tensor:
        rng = dropout.DropoutRng()
        rng.seed(3)
        return attention.attention(
            value, None, 2, rows, rows, mask=CAUSAL, probability=0.3, rng=rng
        )

    assert torch.autograd.gradcheck(run, (x,))


def test_a_fully_masked_row_gives_zeros() -> None:
    """The first sequence has a memory of no token."""
    query = torch.randn(4, 2, 4, requires_grad=True)
    keys = torch.randn(2, 4, 4, requires_grad=True)
    mixed = attention.attention(query, keys, 2, lengths(2, 2), lengths(0, 2))
    assert mixed[:2].abs().max() == 0 and mixed[2:].abs().min() > 0
    mixed.sum().backward()
    assert query.grad is not None and keys.grad is not None
    assert torch.isfinite(query.grad).all() and torch.isfinite(keys.grad).all()


def test_masks_come_from_lengths() -> None:
    mask = allowed(lengths(2), lengths(3), CAUSAL)
    assert mask is not None
    assert mask[0, 0].tolist() == [[True, False, False], [True, True, False]]
    assert allowed(lengths(2, 2), lengths(3, 3), FULL) is None
    mask = allowed(lengths(2, 2), lengths(1, 2), FULL)
    assert mask is not None and mask[:, 0, 0].tolist() == [[True, False], [True, True]]


def test_rows_pad_and_pack_are_inverse() -> None:
    for rows in (lengths(2, 3, 1), lengths(2, 2)):
        x = torch.randn(rows.total, 3)
        padded = rows.pad(x)
        assert padded.shape == (rows.count, rows.longest, 3)
        assert torch.equal(rows.pack(padded), x)
        assert padded[~rows.real].abs().sum() == 0


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("with_bias", [True, False])
def test_projected_cross_entropy_equals_the_plain_form(
    smoothing: float, with_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_LOGITS", 400)  # several chunks
    torch.manual_seed(4)
    states, weight = (
        torch.randn(30, 16, requires_grad=True),
        torch.randn(50, 16, requires_grad=True),
    )
    bias = torch.randn(50, requires_grad=True) if with_bias else None
    targets = torch.randint(0, 50, (30,))
    inputs = [x for x in (states, weight, bias) if x is not None]
    fast, fast_plain = cross_entropy.projected_cross_entropy(
        states, weight, bias, targets, smoothing
    )
    plain, plain_plain = reference.plain_projected_cross_entropy(
        states, weight, bias, targets, smoothing
    )
    torch.testing.assert_close(fast, plain)
    torch.testing.assert_close(fast_plain, plain_plain)
    for a, b in zip(*(torch.autograd.grad(0.5 * y, inputs) for y in (fast, plain)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("logits", [100, 1 << 20])
def test_padded_vocabulary_is_never_seen(
    with_bias: bool, precision: torch.dtype, logits: int
) -> None:
    """As on CUDA: in large chunks, with a copy of the weight of a multiple of 64 rows."""
    torch.manual_seed(4)
    weight = torch.randn(50, 16, dtype=precision, requires_grad=True)
    states = torch.randn(30, 16, dtype=precision, requires_grad=True)
    bias = torch.randn(50, dtype=precision, requires_grad=True) if with_bias else None
    targets, inputs = (
        torch.randint(0, 50, (30,)),
        [x for x in (states, weight, bias) if x is not None],
    )
    found = []
    for chunks in (cross_entropy.Chunks(logits, 64), cross_entropy.Chunks(logits)):
        loss, nll = cross_entropy.projected_cross_entropy(
            states, weight, bias, targets, 0.1, chunks
        )
        found.append((loss, nll, *torch.autograd.grad(loss, inputs)))
    for padded, plain in zip(*found, strict=True):
        assert padded.shape == plain.shape
        close = 1e-2 if precision == torch.bfloat16 else 1e-6
        torch.testing.assert_close(padded, plain, atol=close, rtol=close)


def test_chunks_follow_the_whole_memory_of_a_device() -> None:
    assert cross_entropy.chunks_of(torch.ones(1)) == cross_entropy.Chunks(8_000_000)
    assert cuda.chunk_logits(150 << 30, 2) == cuda.LOGITS
    assert cuda.chunk_logits(8 << 30, 4) == 1 << 26
    assert cuda.chunk_logits(0, 4) == 1


def test_dropout_draws_only_from_its_seed_and_keeps_the_mean() -> None:
    rng = dropout.DropoutRng()
    x = torch.ones(200, 300)
    rng.seed(5)
    first = dropout.dropout(x, 0.25, rng)
    torch.manual_seed(99)
    rng.seed(5)
    assert torch.equal(first, dropout.dropout(x, 0.25, rng))
    assert not torch.equal(first, dropout.dropout(x, 0.25, rng))
    assert abs(float(first.mean()) - 1) < 0.01
    assert abs(float((first == 0).float().mean()) - 0.25) < 0.01
    assert dropout.dropout(x, 0.25, None) is x


@pytest.mark.parametrize("probability", [0.003, 0.1, 0.5, 0.9])
def test_dropout_in_bf16_drops_what_it_drops_in_fp32(probability: float) -> None:
    rng, x = dropout.DropoutRng(), torch.ones(6, 5, 9)
    rng.seed(3)
    wide = dropout.dropout(x, probability, rng)
    rng.seed(3)
    narrow = dropout.dropout(x.bfloat16(), probability, rng)
    assert narrow.dtype == torch.bfloat16 and torch.equal(narrow, wide.bfloat16())


def test_residual_dropout_has_the_right_gradient() -> None:
    rng = dropout.DropoutRng()
    residual = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)

    def run(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        rng.seed(6)
        return dropout.dropout(b, 0.5, rng, a)

    assert torch.autograd.gradcheck(run, (residual, x))


def test_cached_attention_shares_a_source_among_its_beams() -> None:
    query = torch.randn(6, 1, 4, 8)  # two sources, three beams each
    keys, values = torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    shared = attention.attend_cached(query, keys, values, None)
    for row in range(6):
        k, v = (x[row // 3].repeat_interleave(2, 0) for x in (keys, values))  # (H, S, E)
        weights = (query[row, 0, :, None] @ k.transpose(1, 2) / math.sqrt(8)).softmax(-1)
        torch.testing.assert_close(shared[row, 0], (weights @ v)[:, 0])


@pytest.mark.parametrize("width", [8, 4])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_rotations_are_the_plain_formula_to_the_bit(precision: torch.dtype, width: int) -> None:
    from triptych.model.ops.reference import plain_rotate
    from triptych.model.ops.rotary import Rotary, rotate

    torch.manual_seed(3)
    angles = Rotary(width, 10000.0).angles(torch.arange(11))
    given = torch.randn(11, 6, 8).to(precision)
    grad = torch.randn(11, 6, 8).to(precision)
    sides = []
    for turn in (
        lambda x: rotate(x, angles, 4),
        lambda x: torch.cat((plain_rotate(x[:, :4], angles), x[:, 4:]), 1),
    ):
        x = given.clone().requires_grad_()
        out = turn(x)
        out.backward(grad)
        sides.append((out.detach(), x.grad))
        assert torch.equal(x.detach(), given)  # nothing was turned in place
    assert torch.equal(sides[0][0], sides[1][0]) and torch.equal(sides[0][1], sides[1][1])
    with torch.no_grad():  # while decoding, to rounding
        torch.testing.assert_close(rotate(given, angles, 4), sides[1][0])
