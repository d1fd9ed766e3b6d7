"""The recurrent unit of a decoder: its formulas, its gradients, and what the cache keeps of it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from test_transformer import batch, make
from torch import Tensor

from triptych.decoding.compiled import compile_step
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.model import cache, kv_pool
from triptych.model.attention import Context
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.dials import misfit
from triptych.model.layout import PackedLayout
from triptych.model.ops.scan import scan
from triptych.model.recurrent_unit import SimplerRecurrentUnit
from triptych.model.transformer import Transformer

SSRU = StackConfig(layers=2, width=16, heads=2, inner_width=16, self_attention="ssru")


def plain_scan(candidates: Tensor, kept: Tensor, start: Tensor) -> Tensor:
    cells, last = [], start
    for x, f in zip(candidates, kept, strict=True):
        last = f * last + (1 - f) * x
        cells.append(last)
    return torch.stack(cells)


@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_scan_and_its_gradients(steps: int) -> None:
    torch.manual_seed(2)
    found = []
    upstream = torch.randn(steps, 3, 4, dtype=torch.float64)
    given = [torch.randn(steps, 3, 4), torch.rand(steps, 3, 4), torch.randn(3, 4)]
    for run in (scan, plain_scan):
        leaves = [one.double().requires_grad_() for one in given]
        cells = run(*leaves)
        cells.backward(upstream)
        found.append([cells.detach(), *(one.grad for one in leaves)])
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, atol=1e-12, rtol=0)


@torch.no_grad()
def test_the_unit_is_as_published() -> None:
    """Kim et al. 2019: f = sigmoid(W_f x + b), c = f c + (1 - f) W x, y = relu(c)."""
    torch.manual_seed(3)
    unit = SimplerRecurrentUnit(SSRU)
    for parameter in unit.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x, residual, lengths = torch.randn(9, 16), torch.randn(9, 16), torch.tensor([4, 0, 5])
    found = unit(x, Context(layout=PackedLayout(lengths)), residual)
    wanted = []
    for text in x.split(lengths.tolist()):
        cell = torch.zeros(16)
        for token in text:
            assert unit.forget.bias is not None
            kept = torch.sigmoid(unit.forget.weight @ token + unit.forget.bias)
            cell = kept * cell + (1 - kept) * (unit.candidate.weight @ token)
            wanted.append(cell.clamp_min(0))
    torch.testing.assert_close(found - residual, torch.stack(wanted), atol=1e-5, rtol=0)


def test_a_step_of_training_reaches_every_weight() -> None:
    model, inputs = make("ssru").train(), batch()
    model.project(model(**inputs)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


@torch.no_grad()
def test_the_cache_keeps_a_few_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same logits as without a cache, over states that share, trade, join and take back."""
    for module, name, value in ((kv_pool, "REWIND", 8), (cache, "REWIND", 8),
                                (cache, "FORGOTTEN", 16)):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    torch.manual_seed(7)
    model = Transformer(ModelConfig(decoder=SSRU, vocabulary_size=50)).eval()
    text = torch.randint(0, 50, (4, 100))
    whole = [model.project(model(target=row, target_lengths=torch.tensor([100]))) for row in text]

    def follow(state, rows, start, end, size=1):  # type: ignore[no-untyped-def]
        for first in range(start, end, size):
            logits, state = model.step(text[rows, first : first + size], state)
            for row, found in zip(rows, logits, strict=True):
                wanted = whole[row][first : first + size]
                torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        return state

    state = follow(model.start(None, 2), [0, 1], 0, 40)
    old = state.select(torch.tensor([1, 0]))  # shares the pool and goes on later
    state = follow(state, [0, 1], 40, 90)
    assert state.pool.values[0].shape[2] <= 8 + 2 * 16 + 16 and state.pool.slots >= 90
    assert state.pool.keys[0].numel() == 0
    old = follow(old, [1, 0], 40, 60, 5)
    back = follow(state.truncate(state.lengths - 8), [0, 1], 82, 90, 2)
    with pytest.raises(ValueError, match="at most 8 tokens"):
        back.truncate(back.lengths - 60)
    young = follow(model.start(None, 2), [2, 3], 0, 5)
    both = old.join(young).join(model.start(None, 1))
    rows, lengths = (1, 0, 2, 3, 0), [60, 60, 5, 5, 0]
    for _ in range(20):
        tokens = torch.stack([text[row, at] for row, at in zip(rows, lengths, strict=True)])
        logits, both = model.step(tokens[:, None], both)
        for row, at, found in zip(rows, lengths, logits[:, 0], strict=True):
            torch.testing.assert_close(found, whole[row][at], atol=1e-5, rtol=0)
        lengths = [one + 1 for one in lengths]
    beams = follow(both.select(torch.tensor([0, 0, 1, 1])), [1, 1, 0, 0], 80, 90)
    assert beams.beams == 2
    crossed = beams.select(torch.tensor([1, 3, 0]))  # rows in no order
    follow(crossed, [1, 0, 1], 90, 100, 3)


def test_cells_stay_exact_in_bf16() -> None:
    model = make("ssru")
    model.precision = torch.bfloat16
    state = model.start(model.encode(batch()), torch.arange(3))
    _, state = model.step(torch.tensor([[1], [2], [3]]), state)
    assert state.pool.values[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("dials", "said"),
    [
        ({"positions": "rotary"}, "has no scores for rotary positions"),
        ({"positions": "alibi"}, "has no scores for alibi positions"),
        ({"attention_window": 4}, "has no scores for attention_window"),
        ({"relative_bias": True}, "has no scores for relative_bias"),
    ],
)
def test_what_needs_scores_does_not_fit(dials: dict, said: str) -> None:
    problem = misfit(dataclasses.replace(SSRU, **dials))
    assert problem is not None and said in problem


def test_an_encoder_has_none() -> None:
    sentences = [*ModelConfig(encoder=SSRU, decoder=SSRU).contradictions("model")]
    assert sentences == ["model.encoder has self_attention, which is for decoders: set it there."]


def test_a_compiled_step_is_refused() -> None:
    with pytest.raises(UsageError, match="recurrent units in its place"):
        compile_step(make("ssru"), DecodingSettings())
