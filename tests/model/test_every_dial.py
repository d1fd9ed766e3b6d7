"""What must hold for every dial beside the promises of test_transformer.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_transformer import DIALS, batch, make
from torch import Tensor

from triptych.errors import UsageError
from triptych.inference.prepack import can_prepack, prepack
from triptych.model.layout import PackedLayout
from triptych.model.lora import adapt, merge
from triptych.model.ops.cross_entropy import Chunks, projected_cross_entropy
from triptych.model.ops.reference import plain_projected_cross_entropy
from triptych.model.padded_attention import PaddedAttention
from triptych.model.r_drop import r_drop_cross_entropy
from triptych.model.transformer import Transformer


class Usual(PaddedAttention):
    """Weigh keys as `Attention` does, in a user's own code."""

    def weigh(
        self, query: Tensor, key: Tensor, hidden: Tensor | None, bias: Tensor | None, scale: float
    ) -> Tensor:
        scores = query @ key.transpose(2, 3) * scale
        if self.softcap is not None:
            scores = (scores / self.softcap).tanh() * self.softcap
        scores = scores if bias is None else scores + bias
        scores = scores if hidden is None else scores.masked_fill(hidden, float("-inf"))
        return scores.softmax(-1).nan_to_num(nan=0.0)


def shaken(dials: str) -> Transformer:
    model = make(dials)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def decoded(model: Transformer, inputs: dict[str, Tensor]) -> Tensor:
    rows = PackedLayout(inputs["target_lengths"])
    state = model.start(model.encode(inputs), torch.arange(3))
    return rows.pack(model.step(rows.pad(inputs["target"]), state)[0])


@pytest.mark.parametrize("dials", DIALS)
@torch.no_grad()
def test_own_attention_meta_device_and_prepacking(dials: str) -> None:
    model, inputs = shaken(dials), batch()
    wanted = model.project(model(**inputs))
    with torch.device("meta"):
        own = Transformer(model.config, Usual).eval()
        built = Transformer(model.config).eval()
    for other in (own, built):
        other.load_state_dict(model.state_dict(), assign=True)
        torch.testing.assert_close(other.project(other(**inputs)), wanted, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(decoded(other, inputs), wanted, atol=1e-5, rtol=1e-5)
    if can_prepack(torch.float32) and prepack(built, torch.float32):
        torch.testing.assert_close(decoded(built, inputs), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dials", DIALS)
@torch.no_grad()
def test_adapters(dials: str) -> None:
    model, inputs = shaken(dials), batch()
    before = model(**inputs)
    adapt(model, 2, 4.0, ["query", "key", "inner", "output"])
    torch.testing.assert_close(model(**inputs), before)
    for name, parameter in model.named_parameters():
        if name.endswith("adapter_up"):
            torch.nn.init.normal_(parameter, std=0.2)
    adapted = model(**inputs)
    assert (adapted - before).abs().max() > 1e-3
    merge(model)
    torch.testing.assert_close(model(**inputs), adapted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dials", DIALS)
@pytest.mark.parametrize("kind", ["encoder", "decoder", "cross"])
def test_shown_weights(dials: str, kind: str) -> None:
    model, inputs = make(dials), batch()
    if kind == "decoder" and model.decoder.is_recurrent:
        with pytest.raises(UsageError, match="recurrent units in place of self-attention"):
            model.attention_weights(kind, **inputs)  # type: ignore[arg-type]
        return
    weights = model.attention_weights(kind, **inputs)  # type: ignore[arg-type]
    side = "source" if kind == "encoder" else "target"
    real = PackedLayout(inputs[f"{side}_lengths"]).real
    torch.testing.assert_close(
        weights.sum(-1), real[None, :, None].expand(weights.shape[:-1]) + 0.0
    )


@pytest.mark.parametrize(
    "dials", ["softcap", "neox", "gptj", "both-norms", "olmo2", "albert", "ssru"]
)
def test_dropout_reaches_every_part(dials: str) -> None:
    """Training differs from use, and the same seed gives the same states."""
    model, inputs = make(dials).train(), batch()
    model.reseed(3)
    first = model(**inputs)
    model.reseed(3)
    assert torch.equal(model(**inputs), first)
    assert not torch.allclose(model.eval()(**inputs), first)


def test_capped_losses() -> None:
    torch.manual_seed(0)
    states, weight, offset = torch.randn(8, 6), 3 * torch.randn(11, 6), torch.randn(11)
    targets = torch.randint(0, 11, (8,))
    found = []
    chunk_loss: Any = projected_cross_entropy
    plain_loss: Any = plain_projected_cross_entropy
    drop_loss: Any = r_drop_cross_entropy
    losses: tuple[Any, ...] = (
        lambda *given: chunk_loss(*given, 0.1, Chunks(33), softcap=2.0),
        lambda *given: plain_loss(*given, 0.1, 2.0),
        lambda *given: drop_loss(*given, 0.1, 0.0, 2.0),
    )
    for loss in losses:
        given = [one.clone().requires_grad_() for one in (states, weight, offset)]
        total, plain = loss(*given, targets)[:2]
        total.backward()
        found.append([total.detach(), plain, *(one.grad for one in given)])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    uncapped = projected_cross_entropy(states, weight, offset, targets, 0.1)[0]
    assert abs(float(uncapped - found[0][0])) > 1
