"""R-Drop (Liang et al. 2021, section 2): two passes of every example should agree.

The passes differ by their dropout alone. The loss adds to the cross-entropy of both the symmetric
Kullback-Leibler divergence between their distributions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .ops.cross_entropy import chunks_of, softcapped


class _RDropCrossEntropy(torch.autograd.Function):
    """Compute the loss in chunks, as `projected_cross_entropy` does, for pairs of rows.

    With p, q the two distributions and d the difference of their logits, the divergences KL(p|q) +
    KL(q|p) together are E_p d - E_q d, and their gradient for the first logits is p (d - E_p d) + p
    - q; for the second likewise. What d lacks to a difference of log-probabilities is constant over
    the vocabulary and falls out of both.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        offset: Tensor | None,
        targets: Tensor,
        smoothing: float,
        alpha: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        count, vocabulary = states.shape[0], weight.shape[0]
        half, compute, uniform = count // 2, weight.to(states.dtype), smoothing / vocabulary
        shift = None if offset is None else offset.to(states.dtype)
        weight_sum, grad_states = weight.float().sum(0), torch.empty_like(states)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32)
        grad_offset = None if offset is None else torch.zeros_like(offset, dtype=torch.float32)
        nll, target_sum, divergence = (states.new_zeros((), dtype=torch.float32) for _ in range(3))
        rows, beta = max(1, chunks_of(states).logits // (2 * vocabulary)), alpha / 2
        for start in range(0, half, rows):
            pair = [slice(first + start, first + min(start + rows, half)) for first in (0, half)]
            logits = [functional.linear(states[part], compute, shift) for part in pair]
            p, q = (torch.softmax(each, -1) for each in logits)
            difference = logits[0] - logits[1]
            for part, each, own, other, sign in (
                (pair[0], logits[0], p, q, 1.0),
                (pair[1], logits[1], q, p, -1.0),
            ):
                wanted = targets[part]
                places = torch.arange(wanted.numel(), device=wanted.device) * vocabulary + wanted
                target_sum += each.view(-1)[places].float().sum()
                nll -= own.view(-1)[places].float().clamp_min(1e-30).log_().sum()
                gradient = (own * difference).mul_(sign)  # p d
                expected = gradient.sum(-1, dtype=torch.float32)  # E_p d
                divergence += expected.sum()
                gradient.mul_(beta).addcmul_(
                    own, (1 + beta - beta * expected)[:, None].to(own.dtype)
                ).sub_(other, alpha=beta)
                gradient.view(-1)[places] -= 1 - smoothing
                grad_states[part] = gradient @ compute
                grad_weight += gradient.T @ states[part]
                if grad_offset is not None:
                    grad_offset += gradient.float().sum(0)
        states_sum = states.float().sum(0)
        mean_logits = (
            states_sum @ weight_sum + (0.0 if offset is None else count * offset.float().sum())
        ) / vocabulary
        smoothed = (1 - smoothing) * nll + smoothing * (nll + target_sum - mean_logits)
        grad_states.sub_((uniform * weight_sum).to(states.dtype))
        grad_weight.sub_(uniform * states_sum)
        if grad_offset is not None:
            grad_offset.sub_(uniform * count)
        ctx.save_for_backward(grad_states, grad_weight, grad_offset)
        ctx.mark_non_differentiable(nll, divergence)
        return smoothed + beta * divergence, nll, divergence

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad_states, grad_weight, grad_offset = ctx.saved_tensors
        factor = grads[0]
        return (
            grad_states * factor.to(grad_states.dtype),
            grad_weight * factor,
            None if grad_offset is None else grad_offset * factor,
            None,
            None,
            None,
        )


def r_drop_cross_entropy(
    states: Tensor,
    weight: Tensor,
    offset: Tensor | None,
    targets: Tensor,
    smoothing: float,
    alpha: float,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Add cross-entropies and alpha / 2 (KL(p|q) + KL(q|p)) over pairs (i, i + N/2) of rows.

    states (N, D), weight (V, D), offset (V,) or None, targets (N,) int64 with equal halves. Returns
    the loss with label smoothing, the plain cross-entropy and the symmetric divergence: sums in
    nats, fp32 scalars; only the first has a gradient.
    """
    if softcap is not None:
        plain = plain_r_drop_cross_entropy
        return plain(states, weight, offset, targets, smoothing, alpha, softcap)
    assert not states.shape[0] % 2, "two passes have two halves"
    return _RDropCrossEntropy.apply(states, weight, offset, targets, smoothing, alpha)  # type: ignore[return-value]


def plain_r_drop_cross_entropy(
    states: Tensor,
    weight: Tensor,
    offset: Tensor | None,
    targets: Tensor,
    smoothing: float,
    alpha: float,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what `r_drop_cross_entropy` does, with ordinary operations."""
    logits = functional.linear(
        states, weight.to(states.dtype), None if offset is None else offset.to(states.dtype)
    )
    both = softcapped(logits, softcap).float().log_softmax(-1)
    p, q = both.chunk(2)
    divergence = functional.kl_div(q, p, reduction="sum", log_target=True) + functional.kl_div(
        p, q, reduction="sum", log_target=True
    )
    nll = -both.gather(1, targets[:, None]).sum()
    smoothed = (1 - smoothing) * nll - smoothing * both.mean(1).sum()
    return smoothed + alpha / 2 * divergence, nll.detach(), divergence.detach()
