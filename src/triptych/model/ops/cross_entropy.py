"""The vocabulary projection and its loss in one pass, in chunks that suit the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import checkpoint

from . import cuda
from .reference import plain_projected_cross_entropy

# logits computed at a time, so that rows x vocabulary stay in the last-level cache
CHUNK_LOGITS = 8_000_000


class Chunks(NamedTuple):
    """Set how many logits are computed at a time, and the multiple to pad the vocabulary to."""

    logits: int
    multiple: int = 1


def _of_cuda(states: Tensor) -> Chunks:
    device: Any = torch.cuda  # its functions have no types
    memory = int(device.get_device_properties(states.device).total_memory)
    return Chunks(cuda.chunk_logits(memory, states.element_size()), cuda.MULTIPLE)


# other devices use the values of CPUs
BY_DEVICE: dict[str, Callable[[Tensor], Chunks]] = {"cuda": _of_cuda}


def chunks_of(states: Tensor) -> Chunks:
    """Return the chunks for the device of `states`."""
    of_device = BY_DEVICE.get(states.device.type)
    return Chunks(CHUNK_LOGITS) if of_device is None else of_device(states)


class _ProjectedCrossEntropy(torch.autograd.Function):
    """Compute loss and gradient in chunks: the (N, V) logits never exist at once.

    The gradient of the logits is softmax - (1 - smoothing) onehot - smoothing / V; its last term
    has rank one, so it is added to the gradients of states and weight without a pass over the
    logits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        offset: Tensor | None,
        targets: Tensor,
        smoothing: float,
        chunks: Chunks,
    ) -> tuple[Tensor, Tensor]:
        count, vocabulary = states.shape[0], weight.shape[0]
        compute, spread = weight.to(states.dtype), smoothing / vocabulary
        bias = None if offset is None else offset.to(states.dtype)
        columns = -(-vocabulary // chunks.multiple) * chunks.multiple
        if columns > vocabulary:  # padding entries: zero weight, and a logit of minus infinity
            compute = functional.pad(compute, (0, 0, 0, columns - vocabulary))
            bias = None if bias is None else functional.pad(bias, (0, columns - vocabulary))
        weight_sum = weight.float().sum(0)  # (D,)
        wanted, learnt = any(ctx.needs_input_grad[:3]), ctx.needs_input_grad[1]
        grad_states = torch.empty_like(states)
        # None if the table is frozen.
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if learnt else None
        grad_offset = None if offset is None else torch.zeros_like(offset, dtype=torch.float32)
        nll = states.new_zeros((), dtype=torch.float32)
        target_sum = states.new_zeros((), dtype=torch.float32)
        rows = max(1, chunks.logits // vocabulary)
        for start in range(0, count, rows):
            chunk, ids = states[start : start + rows], targets[start : start + rows]
            # On a CPU, scatter_ would copy all logits.
            places = torch.arange(ids.numel(), device=ids.device) * columns + ids
            logits = functional.linear(chunk, compute, bias)  # (n, V)
            if columns > vocabulary:
                logits[:, vocabulary:] = float("-inf")
            target_sum += logits.view(-1)[places].float().sum()
            probabilities = torch.softmax(logits, -1)
            of_targets = probabilities.view(-1)[places]
            nll -= of_targets.float().clamp_min(1e-30).log_().sum()
            if not wanted:
                continue
            probabilities.view(-1).index_copy_(0, places, of_targets - (1 - smoothing))
            grad_states[start : start + rows] = probabilities @ compute
            if grad_weight is not None:
                grad_weight += (probabilities.T @ chunk)[:vocabulary]
            if grad_offset is not None:
                grad_offset += probabilities.float().sum(0)[:vocabulary]
        # The sum over rows of (log norm - mean logit) follows from sums computed already.
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
            None,
        )


def softcapped(logits: Tensor, softcap: float | None) -> Tensor:
    """Return c tanh(logit / c) for a softcap c (Gemma Team 2024, section 2), or the logits."""
    return logits if softcap is None else (logits / softcap).tanh() * softcap


def projected_cross_entropy(
    states: Tensor,
    weight: Tensor,
    offset: Tensor | None,
    targets: Tensor,
    smoothing: float = 0.0,
    chunks: Chunks | None = None,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Sum the label-smoothed and the plain cross-entropy of softmax(states W^T + offset) over N.

    states (N, D), weight (V, D), offset (V,) or None, targets (N,) int64; both results are scalars
    in nats (fp32). Only the first has a gradient. Label smoothing is that of Szegedy et al. 2016,
    section 7. Without `chunks`, those of the device are used. With a softcap the logits are capped,
    and computed again in the backward.
    """
    chunks = chunks or chunks_of(states)
    if softcap is not None:
        return _capped(states, weight, offset, targets, smoothing, chunks, softcap)
    return _ProjectedCrossEntropy.apply(states, weight, offset, targets, smoothing, chunks)  # type: ignore[return-value]


def _capped(
    states: Tensor,
    weight: Tensor,
    offset: Tensor | None,
    targets: Tensor,
    smoothing: float,
    chunks: Chunks,
    softcap: float,
) -> tuple[Tensor, Tensor]:
    rows, total = max(1, chunks.logits // weight.shape[0]), states.new_zeros(2, dtype=torch.float32)
    again = cast(Any, checkpoint).checkpoint  # computes the logits once more in the backward
    for start in range(0, states.shape[0], rows):
        part, ids = states[start : start + rows], targets[start : start + rows]
        given = part, weight, offset, ids, smoothing, softcap
        found = again(plain_projected_cross_entropy, *given, use_reentrant=False)
        total = total + torch.stack(found)
    return total[0], total[1].detach()
