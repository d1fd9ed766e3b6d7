"""R-Drop's loss against its plain reference."""

from __future__ import annotations

import pytest
import torch

from triptych.model.ops import cross_entropy
from triptych.model.r_drop import plain_r_drop_cross_entropy, r_drop_cross_entropy


@pytest.mark.parametrize("with_offset", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("chunk", [200, 8_000_000])
def test_value_and_gradients_are_those_of_the_reference(
    monkeypatch: pytest.MonkeyPatch, with_offset: bool, smoothing: float, chunk: int
) -> None:
    monkeypatch.setattr(cross_entropy, "CHUNK_LOGITS", chunk)
    torch.manual_seed(0)
    weight = torch.randn(23, 8, requires_grad=True)
    offset = torch.randn(23, requires_grad=True) if with_offset else None
    states = torch.randn(18, 8, requires_grad=True)
    targets = torch.randint(0, 23, (9,)).repeat(2)
    given = [one for one in (states, weight, offset) if one is not None]
    found = r_drop_cross_entropy(states, weight, offset, targets, smoothing, 3.0)
    wanted = plain_r_drop_cross_entropy(states, weight, offset, targets, smoothing, 3.0)
    torch.testing.assert_close(torch.stack(found), torch.stack(wanted), rtol=1e-5, atol=1e-4)
    ours, theirs = torch.autograd.grad(found[0], given), torch.autograd.grad(wanted[0], given)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)


def test_equal_passes_agree() -> None:
    torch.manual_seed(0)
    states, weight = torch.randn(5, 8).repeat(2, 1), torch.randn(23, 8)
    total, nll, divergence = r_drop_cross_entropy(
        states, weight, None, torch.randint(0, 23, (5,)).repeat(2), 0.0, 5.0
    )
    assert divergence.abs() < 1e-5 and torch.isclose(total, nll)
