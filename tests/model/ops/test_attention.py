"""Attention of every device equals the plain formula: masks, biases and scales, with gradients.

What CUDA runs is called here with tensors of the CPU.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from triptych.model.block_pattern import BlockPattern
from triptych.model.config import StackConfig
from triptych.model.layout import PackedLayout
from triptych.model.masks import CAUSAL, FULL, Mask, allowed, masked
from triptych.model.ops import cpu, cuda, tiles
from triptych.model.ops.attention import BY_DEVICE, PackedAttention
from triptych.model.ops.dropout import DropoutRng
from triptych.model.ops.reference import plain_attention
from triptych.model.position_bias import Alibi, RelativeBuckets, position_bias, slopes

DEVICES = pytest.mark.parametrize("attend", [cpu.attention, cuda.attention], ids=["cpu", "cuda"])
SIZES = pytest.mark.parametrize("sizes", [(6, 3, 8), (5, 5), (1,), (11, 11, 9, 2)], ids=str)
MASKS: dict[str, Mask] = {
    "full": FULL,
    "causal": CAUSAL,
    "window": masked(True, 3),
    "both sides": masked(False, 4),
    "globals": masked(False, 4, has_globals=True),
    # more than five blocks are not full
    "blocks": masked(False, blocks=BlockPattern(1, 0)),
    "blocks, repeated": masked(False, blocks=BlockPattern(1, 1)),
    "blocks, drawn": masked(False, blocks=BlockPattern(1, 1, seed=3, heads=4)),
}


def layout(*values: int) -> PackedLayout:
    return PackedLayout(torch.tensor(values))


def made(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def held(
    attend: PackedAttention,
    given: tuple[Tensor, Tensor | None],
    layouts: tuple[PackedLayout, PackedLayout],
    mask: Mask,
    bias: Tensor | None,
    scale: float | None,
) -> None:
    """Hold values and gradients of an implementation against those of the formula."""
    found = attend(*given, 4, *layouts, mask, bias, scale)
    wanted, _ = plain_attention(*given, 4, *layouts, mask, bias, scale)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)
    upstream = torch.randn_like(found)
    inputs = [one for one in (*given, bias) if one is not None]
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(wanted, inputs, upstream),
        strict=True,
    ):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


@DEVICES
@SIZES
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_self_attention(
    attend: PackedAttention, sizes: tuple[int, ...], mask: str, with_bias: bool, key_heads: int
) -> None:
    if mask == "blocks, drawn" and key_heads < 4:
        pytest.skip("each head draws blocks of its own")
    torch.manual_seed(1)
    rows = layout(*sizes)
    bias = made(1, 4, rows.longest, rows.longest) if with_bias else None
    x = made(rows.total, 4 + 2 * key_heads, 8)
    held(attend, (x, None), (rows, rows), MASKS[mask], bias, None)
    held(attend, (x, None), (rows, rows), MASKS[mask], bias, 1.0)


@DEVICES
@pytest.mark.parametrize("mask", ["both sides", "globals", "blocks, repeated", "blocks, drawn"])
def test_attention_of_selected_rows(
    attend: PackedAttention, mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "QUERIES", 3)
    torch.manual_seed(6)
    rows = layout(13, 9, 2, 11)
    selected = torch.tensor([0, 3, 4, 5, 9, 12, 14, 20, 24, 31])
    if mask == "globals":
        rows.global_counts = torch.tensor([2, 1, 2, 3])
    query, keys = made(10, 4, 8), made(rows.total, 8, 8)
    held(attend, (query, keys), (rows.some(selected), rows), MASKS[mask], None, None)


@DEVICES
@pytest.mark.parametrize("sizes", [(13, 9, 2, 11), (12, 12)], ids=str)
def test_global_tokens_are_seen_beyond_the_window(
    attend: PackedAttention, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "QUERIES", 3)
    torch.manual_seed(7)
    rows = layout(*sizes)
    rows.global_counts = torch.tensor([2, 1, 1, 5][: len(sizes)])
    held(attend, (made(rows.total, 12, 8), None), (rows, rows), MASKS["globals"], None, None)
    pairs = allowed(rows, rows, MASKS["globals"])
    assert pairs is not None
    assert pairs[0, 0, 8, :12].long().tolist() == [1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("mask", ["both sides", "window", "blocks", "blocks, drawn"])
def test_the_cost_of_sparse_masks_grows_linearly(
    mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the tokens have at most twice the scores, and a few more."""
    monkeypatch.setattr(tiles, "QUERIES", 4)

    def scores(length: int) -> int:
        rows, found = layout(length), 0
        for tile in tiles.tiles(rows, rows, MASKS[mask]):
            seen = tile.take(torch.ones(1, 4, length)).shape[2]
            found += (tile.end - tile.start) * seen
        return found

    assert scores(400) < 0.2 * 400**2 and scores(400) <= 2 * scores(200) + 400


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("sizes", [(24, 17, 3, 22), (90,)], ids=str)
@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("kind", ["none", "repeated", "drawn"])
def test_blocks_without_a_gradient(
    kind: str, key_heads: int, sizes: tuple[int, ...], precision: torch.dtype
) -> None:
    """They take another way, and last blocks may be short."""
    if kind == "drawn" and key_heads < 4:
        pytest.skip("each head draws blocks of its own")
    torch.manual_seed(8)
    seed = 3 if kind == "drawn" else None
    pattern = BlockPattern(2, 0 if kind == "none" else 2, seed, 1 if seed is None else 4)
    mask, rows = masked(False, blocks=pattern), layout(*sizes)
    x = torch.randn(rows.total, 4 + 2 * key_heads, 8, dtype=precision)
    found = cpu.attention(x, None, 4, rows, rows, mask)
    wanted, _ = plain_attention(x.float(), None, 4, rows, rows, mask)
    small = 1e-6 if precision == torch.float32 else 0.03
    torch.testing.assert_close(found.float(), wanted, atol=small, rtol=0)


def test_further_blocks_are_those_of_transformers_in_training() -> None:
    modeling = pytest.importorskip("transformers.models.big_bird.modeling_big_bird")
    config = modeling.BigBirdConfig(
        hidden_size=12, num_attention_heads=3, block_size=4, num_random_blocks=2
    )
    for blocks in (10, 17):
        theirs = modeling.BigBirdBlockSparseAttention(config, seed=5).train()
        plan = theirs._get_rand_attn_plan(4 * blocks, 4, 2)
        np.random.seed(5)
        wanted = theirs._bigbird_block_rand_mask_with_head(4 * blocks, 4 * blocks, 4, 4, 3, *plan)
        pattern = BlockPattern(4, 2, seed=5, heads=3)
        found = torch.stack([pattern.drawn(block) for block in range(1, blocks - 1)], 1)
        assert found.tolist() == np.stack(wanted).tolist()


@DEVICES
@pytest.mark.parametrize("lengths", [(2, 6, 1), (4, 4, 4), (3, 0, 2)], ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_attention_to_a_memory(
    attend: PackedAttention, lengths: tuple[int, ...], with_bias: bool
) -> None:
    """Also to a memory of no token, which gives zeros."""
    torch.manual_seed(2)
    rows, memory_rows = layout(5, 3, 7), layout(*lengths)
    query, keys = made(15, 4, 8), made(memory_rows.total, 4, 8)
    bias = made(3, 4, 7, memory_rows.longest) if with_bias else None
    held(attend, (query, keys), (rows, memory_rows), FULL, bias, None)
    if 0 in lengths:
        assert attend(query, keys, 4, rows, memory_rows)[5:8].abs().max() == 0


@DEVICES
def test_segments_keep_texts_of_one_row_apart(attend: PackedAttention) -> None:
    torch.manual_seed(3)
    rows, parts, x = layout(7, 4), layout(3, 4, 4), made(11, 12, 8)
    number = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0])
    mask = Mask(after=0, segments=(number, number))
    held(attend, (x, None), (rows, rows), mask, None, None)
    apart = attend(x, None, 4, parts, parts, CAUSAL)
    torch.testing.assert_close(attend(x, None, 4, rows, rows, mask), apart, atol=1e-12, rtol=0)


@pytest.mark.parametrize("sizes", [(9, 9), (11, 3, 8)], ids=str)
@pytest.mark.parametrize("mask", ["causal", "window"])
def test_blocks_of_queries_take_their_share_of_the_bias(
    sizes: tuple[int, ...], mask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "QUERIES", 4)
    torch.manual_seed(4)
    rows = layout(*sizes)
    bias = made(1, 4, rows.longest, rows.longest)
    held(cpu.attention, (made(rows.total, 8, 8), None), (rows, rows), MASKS[mask], bias, 0.3)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sizes", [(6, 3, 8), (5, 5)], ids=str)
def test_the_fused_kernels_keep_their_precision(
    precision: torch.dtype, sizes: tuple[int, ...]
) -> None:
    torch.manual_seed(5)
    rows = layout(*sizes)
    x = torch.randn(rows.total, 8, 8).to(precision)
    found = cuda.attention(x, None, 4, rows, rows, CAUSAL)
    wanted, _ = plain_attention(x.double(), None, 4, rows, rows, CAUSAL)
    assert found.dtype == precision
    close = 1e-5 if precision == torch.float32 else 2e-2
    torch.testing.assert_close(found.double(), wanted, atol=close, rtol=0)


def test_dropout_of_the_fused_kernels_depends_on_the_seed_alone() -> None:
    rows, x, rng = layout(6, 6), torch.randn(12, 12, 8), DropoutRng()

    def run(seed: int) -> Tensor:
        rng.seed(seed)
        return torch.stack(
            [cuda.attention(x, None, 4, rows, rows, probability=0.5, rng=rng) for _ in "ab"]
        )

    first = run(3)
    torch.rand(7)
    assert torch.equal(first, run(3)) and not torch.equal(first, run(4))
    assert not torch.equal(first[0], first[1])  # a layer drops other weights than the one before


def test_devices_are_told_apart_outside() -> None:
    assert {"cpu": cpu.attention, "cuda": cuda.attention} == BY_DEVICE


def test_masks_of_the_same_dials_are_the_same_value() -> None:
    assert masked(True) is CAUSAL and masked(False) is FULL and masked(True, 5) is masked(True, 5)


def test_windows_count_the_query_itself() -> None:
    pairs = allowed(layout(5), layout(5), masked(True, 2))
    assert pairs is not None and pairs.sum(-1)[0, 0].tolist() == [1, 2, 2, 2, 2]
    pairs = allowed(layout(5), layout(5), masked(False, 2))
    assert pairs is not None and pairs.sum(-1)[0, 0].tolist() == [2, 3, 3, 3, 2]


def test_selected_rows_are_masked_where_they_stood() -> None:
    rows = layout(5, 4)
    some = rows.some(torch.tensor([1, 4, 7]))
    pairs = allowed(some, rows, masked(False, 2))
    assert pairs is not None
    assert pairs[0, 0].long().tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]
    assert pairs[1, 0, 0].long().tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("is_causal", [True, False])
def test_relative_buckets_are_those_of_t5(is_causal: bool) -> None:
    """Against transformers, over distances far beyond the last bucket."""
    modeling = pytest.importorskip("transformers.models.t5.modeling_t5")
    distances = torch.arange(-300, 301)[None]
    wanted = modeling.T5Attention._relative_position_bucket(distances, not is_causal, 32, 128)
    found = RelativeBuckets(2, is_causal).buckets(distances)
    assert torch.equal(found, wanted)


def test_slopes_are_those_of_bloom() -> None:
    modeling = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    for heads in (1, 2, 6, 8, 12, 112):
        ones = torch.ones(1, 2)
        wanted = modeling.build_alibi_tensor(ones, heads, torch.float32)[:, 0, 1]
        torch.testing.assert_close(torch.tensor(slopes(heads)), wanted, atol=1e-7, rtol=1e-6)


def test_biases_are_made_of_dials() -> None:
    places = torch.arange(4)[None]
    for positions, kind in (("relative", RelativeBuckets), ("alibi", Alibi)):
        config = StackConfig(positions=positions, heads=2, width=8)  # type: ignore[arg-type]
        bias = position_bias(config, True)
        assert isinstance(bias, kind)
        for parameter in bias.parameters():
            torch.nn.init.normal_(parameter)
        found = bias(places, places)
        assert found.shape == (1, 2, 4, 4) and found.dtype == torch.float32
    assert position_bias(StackConfig(), True) is None
    assert math.isclose(float(found[0, 0, 3, 1]), -2 * slopes(2)[0])


def test_a_cached_step_takes_a_bias_for_each_head() -> None:
    torch.manual_seed(6)
    query = torch.randn(6, 2, 4, 8)  # two sources of three beams, two new tokens each
    keys, values, bias = (
        torch.randn(2, 2, 5, 8),
        torch.randn(2, 2, 5, 8),
        torch.randn(2, 4, 3, 2, 5),
    )
    found = cpu.attend_cached(query, keys, values, bias, 0.3)
    for row in range(6):
        source, beam = divmod(row, 3)
        k, v = (x[source].repeat_interleave(2, 0) for x in (keys, values))  # (H, S, E)
        scores = torch.einsum("the,hse->hts", query[row], k) * 0.3 + bias[source, :, beam]
        torch.testing.assert_close(found[row], torch.einsum("hts,hse->the", scores.softmax(-1), v))
