"""The vocabulary projection and its loss in one pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# logits computed at a time: rows x vocabulary that stay in the last-level cache
CHUNK_LOGITS = 8_000_000


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Loss and gradient chunk by chunk: the (N, V) logits never exist at once.

    The gradient of the logits is softmax - (1 - smoothing) onehot - smoothing / V; its last term
    has rank one, so it reaches states and weight as a row and a column sum and costs no pass over
    the logits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        offset: Tensor | None,
        targets: Tensor,
        smoothing: float,
    ) -> tuple[Tensor, Tensor]:
        count, vocabulary = states.shape[0], weight.shape[0]
        compute, spread = weight.to(states.dtype), smoothing / vocabulary
        weight_sum = weight.float().sum(0)  # (D,)
        wanted, learnt = any(ctx.needs_input_grad[:3]), ctx.needs_input_grad[1]
        grad_states = torch.empty_like(states)
        # of a frozen table: none
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if learnt else None
        grad_offset = None if offset is None else torch.zeros_like(offset, dtype=torch.float32)
        nll = states.new_zeros((), dtype=torch.float32)
        target_sum = states.new_zeros((), dtype=torch.float32)
        rows = max(1, CHUNK_LOGITS // vocabulary)
        for start in range(0, count, rows):
            chunk, wants = states[start : start + rows], targets[start : start + rows]
            # scatter_ copies all logits on a CPU
            places = torch.arange(wants.numel(), device=wants.device) * vocabulary + wants
            # (n, V)
            logits = functional.linear(
                chunk, compute, None if offset is None else offset.to(states.dtype)
            )
            target_sum += logits.view(-1)[places].float().sum()
            probabilities = torch.softmax(logits, -1)
            of_targets = probabilities.view(-1)[places]
            nll -= of_targets.float().clamp_min(1e-30).log_().sum()
            if not wanted:
                continue
            probabilities.view(-1).index_copy_(0, places, of_targets - (1 - smoothing))
            grad_states[start : start + rows] = probabilities @ compute
            if grad_weight is not None:
                grad_weight += probabilities.T @ chunk
            if grad_offset is not None:
                grad_offset += probabilities.float().sum(0)
        # sum over rows of (log norm - mean logit), from sums that are at hand
        states_sum = states.float().sum(0)  # (D,)
        mean_logits = (
            states_sum @ weight_sum + (0.0 if offset is None else count * offset.float().sum())
        ) / vocabulary
        smoothed = (1 - smoothing) * nll + smoothing * (nll + target_sum - mean_logits)
        if wanted:
            grad_states.sub_((spread * weight_sum).to(states.dtype))
            if grad_weight is not None:
                grad_weight.sub_(spread * states_sum)
            if grad_offset is not None:
                grad_offset.sub_(spread * count)
        ctx.save_for_backward(grad_states, grad_weight, grad_offset)
        ctx.mark_non_differentiable(nll)
        return smoothed, nll

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        grad_states, grad_weight, grad_offset = ctx.saved_tensors
        factor = grads[0]
        return (
            grad_states * factor.to(grad_states.dtype),
            None if grad_weight is None else grad_weight * factor,
            None if grad_offset is None else grad_offset * factor,
            None,
            None,
        )


def projected_cross_entropy(
    states: Tensor,
    weight: Tensor,
    offset: Tensor | None,
    targets: Tensor,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Sum over N of the label-smoothed cross-entropy, and of the plain one, of softmax(states W^T +
    offset).

    states (N, D), weight (V, D), offset (V,) or None, targets (N,) int64; both results are scalars
    in nats (fp32). Only the first carries a gradient. Label smoothing as in Szegedy et al. 2016,
    section 7.
    """
    return _ProjectedCrossEntropy.apply(states, weight, offset, targets, smoothing)  # type: ignore[return-value]
