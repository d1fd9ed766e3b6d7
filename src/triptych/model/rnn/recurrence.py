"""The two loops over time of the RNN encoder-decoder, each with a plain reference.

What does not depend on the previous step is computed outside, in one product over all steps. Rows
are in time-major order: the first tokens of all sequences (longest sequence first), then the second
tokens, and so on. A step works on the first rows of a block that only shrinks, without padding or
masks. The derivatives are explicit, so that the gradient of a weight is one product over all steps
too.

The gated recurrent unit (Cho et al. 2014) is that of `torch.nn.GRU`, with x (., 3W) from the input
and u = h U^T (., 3W): r = sigmoid(x_r + u_r), z = sigmoid(x_z + u_z), n = tanh(x_n + r * u_n), h' =
(1 - z) * n + z * h. The papers multiply by r before U; doing it after needs one product for all
three gates. The order of weight rows is r, z, n.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..layout import PackedLayout
from ..typed import to_ints


class TimeMajor:
    """Map packed rows to time-major order, with int64 indices.

    order: (B,) sequences, longest first. rows: (N,) packed row at each time-major place;
    reversed_rows: the same for the right-to-left encoder. steps: first and last place of each time
    step. cells: (N,) place of each time-major row in a padded (B sorted, T) table.
    """

    def __init__(self, layout: PackedLayout) -> None:
        self.order = layout.lengths.argsort(descending=True, stable=True)
        self.rank = torch.empty_like(self.order)
        self.rank[self.order] = torch.arange(layout.count, device=self.order.device)
        self.rows = (layout.positions * layout.count + self.rank[layout.sequence]).argsort()
        self.sequence = layout.sequence[self.rows]
        positions = layout.positions[self.rows]
        self.reversed_rows = self.rows + (layout.lengths[self.sequence] - 1 - 2 * positions)
        self.cells = self.rank[self.sequence] * layout.longest + positions
        ends = to_ints(torch.bincount(positions, minlength=layout.longest).cumsum(0))
        self.steps = list(zip([0, *ends[:-1]], ends, strict=True))
        self.back = torch.empty_like(self.rows)  # (N,) time-major place of each packed row
        self.back[self.rows] = torch.arange(layout.total, device=self.order.device)


class _Take(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = x.shape[0]
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        grad = grads[0]
        return grad.new_zeros(ctx.rows, *grad.shape[1:]).index_copy_(0, index, grad), None


def take(x: Tensor, index: Tensor) -> Tensor:
    """Select rows by an index without repeats, so that the gradient is a plain copy."""
    return _Take.apply(x, index)  # type: ignore[return-value]


def gate(
    x: Tensor, u: Tensor, h: Tensor, kept: Tensor | None = None, out: Tensor | None = None
) -> Tensor:
    """Compute one step without autograd: x, u (..., 3W), h (..., W) -> h' (..., W).

    r, z, n and u_n are written to `kept` (..., 4W).
    """
    width = h.shape[-1]
    if kept is None:
        kept = torch.empty(*x.shape[:-1], 4 * width, dtype=x.dtype, device=x.device)
    torch.add(x[..., : 2 * width], u[..., : 2 * width], out=kept[..., : 2 * width]).sigmoid_()
    kept[..., 3 * width :] = u[..., 2 * width :]
    r, z, n, candidate = torch.split(kept, width, -1)
    torch.addcmul(x[..., 2 * width :], r, candidate, out=n).tanh_()
    return torch.lerp(n, h, z, out=out)


def _gate_slopes(kept: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of h' with respect to u (..., 3W) and x_n (..., W)."""
    r, z, n, candidate = kept.chunk(4, -1)
    slope_n = (1 - z) * (1 - n * n)
    slope_z = (previous - n) * z * (1 - z)
    slope_u = slope_n * r
    return torch.cat((slope_u * (1 - r) * candidate, slope_z, slope_u), -1), slope_n


class _Recur(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, initial: Tensor, steps: list[tuple[int, int]]
    ) -> Tensor:
        readers, total, width = x.shape[0], x.shape[1], weight.shape[-1]
        kept = x.new_empty(readers, total, 4 * width)
        states, previous = x.new_empty(2, readers, total, width)
        h, transposed = initial, weight.transpose(1, 2)
        for start, end in steps:
            before = previous[:, start:end].copy_(h[:, : end - start])
            u = torch.bmm(before, transposed)
            h = states[:, start:end]
            gate(x[:, start:end], u, before, kept[:, start:end], h)
        ctx.save_for_backward(kept, previous, weight)
        ctx.steps, ctx.shape = steps, initial.shape
        return states

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        kept, previous, weight = ctx.saved_tensors
        width = weight.shape[-1]
        slopes, slope_n = _gate_slopes(kept, previous)
        z = kept[..., width : 2 * width]
        grad_states, grad_u = torch.empty_like(previous), torch.empty_like(slopes)
        carried = grads[0].new_zeros(ctx.shape)
        for start, end in reversed(ctx.steps):
            at, now = slice(start, end), carried[:, : end - start]
            grad = torch.add(grads[0][:, at], now, out=grad_states[:, at])
            tripled = torch.mul(
                slopes[:, at].view(*grad.shape[:-1], 3, width), grad.unsqueeze(-2)
            ).flatten(-2)
            grad_u[:, at] = tripled
            now.copy_(torch.baddbmm(grad * z[:, at], tripled, weight))
        grad_weight = torch.bmm(grad_u.transpose(1, 2), previous)
        grad_u[..., 2 * width :] = grad_states * slope_n  # now the gradient of x
        return grad_u, grad_weight, carried, None


def recur(x: Tensor, weight: Tensor, initial: Tensor, steps: list[tuple[int, int]]) -> Tensor:
    """Run G independent gated recurrent units over time-major rows.

    x (G, N, 3W) from the inputs, weight (G, 3W, W), initial (G, B, W) in sorted order, steps of
    `TimeMajor`. Returns the states (G, N, W).
    """
    return _Recur.apply(x, weight, initial, steps)  # type: ignore[return-value]


def plain_recur(x: Tensor, weight: Tensor, initial: Tensor, steps: list[tuple[int, int]]) -> Tensor:
    """Compute what `recur` does, with ordinary operations."""
    h = initial
    states: list[Tensor] = []
    for start, end in steps:
        h = plain_gate(
            x[:, start:end], h[:, : end - start] @ weight.transpose(1, 2), h[:, : end - start]
        )
        states.append(h)
    return torch.cat(states, 1)


def plain_gate(x: Tensor, u: Tensor, h: Tensor) -> Tensor:
    """Compute what `gate` does, with ordinary operations."""
    (x_r, x_z, x_n), (u_r, u_z, u_n) = x.chunk(3, -1), u.chunk(3, -1)
    r, z = torch.sigmoid(x_r + u_r), torch.sigmoid(x_z + u_z)
    return (1 - z) * torch.tanh(x_n + r * u_n) + z * h


class _AttendRecur(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        initial: Tensor,
        keys: Tensor,
        values: Tensor,
        score: Tensor,
        hidden: Tensor | None,
        steps: list[tuple[int, int]],
    ) -> tuple[Tensor, Tensor]:
        (count, length, inner), width = keys.shape, weight.shape[1]
        kept = x.new_empty(x.shape[0], 4 * width)
        states, previous = x.new_empty(2, x.shape[0], width)
        queries = x.new_empty(x.shape[0], inner)
        weights = x.new_zeros(count, len(steps), length)
        h, transposed = initial, weight.T
        for step, (start, end) in enumerate(steps):
            rows = end - start
            before = previous[start:end].copy_(h[:rows])
            u = before @ transposed  # (rows, A + 3W)
            query = queries[start:end].copy_(u[:, :inner])
            scores = torch.add(keys[:rows], query[:, None]).tanh_() @ score  # (rows, S)
            if hidden is not None:
                scores += hidden[:rows]
            alpha = torch.softmax(scores, -1)
            weights[:rows, step] = alpha
            mixed = torch.bmm(alpha[:, None], values[:rows])[:, 0]
            h = states[start:end]
            gate(mixed.add_(x[start:end]), u[:, inner:], before, kept[start:end], h)
        ctx.save_for_backward(kept, previous, queries, weights, weight, keys, values, score)
        ctx.steps = steps
        return states, weights

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        kept, previous, queries, weights, weight, keys, values, score = ctx.saved_tensors
        (count, length, inner), width = keys.shape, weight.shape[1]
        slopes, slope_n = _gate_slopes(kept, previous)
        grad_u, grad_x = (
            kept.new_empty(kept.shape[0], weight.shape[0]),
            kept.new_empty(kept.shape[0], 3 * width),
        )
        padded = grad_x.new_zeros(count, len(ctx.steps), 3 * width)  # grad_x, padded
        carried, grad_keys = kept.new_zeros(count, width), torch.zeros_like(keys)
        grad_scores, grad_score = kept.new_zeros(count, length), torch.zeros_like(score)
        turned = values.transpose(1, 2)
        for step in range(len(ctx.steps) - 1, -1, -1):
            start, end = ctx.steps[step]
            rows, now = end - start, carried[: end - start]
            grad = now.add_(grads[0][start:end])
            into_u, into_x = grad_u[start:end], grad_x[start:end]
            torch.mul(
                slopes[start:end].view(rows, 3, width),
                grad[:, None],
                out=into_u[:, inner:].unflatten(1, (3, width)),
            )
            into_x[:, : 2 * width] = into_u[:, inner : inner + 2 * width]
            torch.mul(grad, slope_n[start:end], out=into_x[:, 2 * width :])
            padded[:rows, step] = into_x
            alpha = weights[:rows, step]
            grad_alpha = torch.bmm(into_x[:, None], turned[:rows])[:, 0].add_(grads[1][:rows, step])
            # through the softmax
            grad_alpha = (grad_alpha - (alpha * grad_alpha).sum(-1, keepdim=True)).mul_(alpha)
            grad_scores[:rows] += grad_alpha
            # Recomputing this (rows, S, A) is cheaper than keeping it.
            bent = torch.add(keys[:rows], queries[start:end, None]).tanh_()
            grad_score.addmv_(bent.view(-1, inner).T, grad_alpha.reshape(-1))
            # The slope of tanh is 1 - tanh^2. Gradients of a softmax add up to 0, so the 1 adds
            # nothing to the query.
            bent.square_()
            torch.mul(
                torch.bmm(grad_alpha[:, None], bent)[:, 0], score.neg(), out=into_u[:, :inner]
            )
            grad_keys[:rows].addcmul_(bent, grad_alpha[:, :, None], value=-1)
            torch.addmm(grad * kept[start:end, width : 2 * width], into_u, weight, out=now)
        grad_keys.add_(grad_scores[:, :, None]).mul_(score)
        return (
            grad_x,
            grad_u.T @ previous,
            carried,
            grad_keys,
            torch.bmm(weights.transpose(1, 2), padded),
            grad_score,
            None,
            None,
        )


def attend_recur(
    x: Tensor,
    weight: Tensor,
    initial: Tensor,
    keys: Tensor,
    values: Tensor,
    score: Tensor,
    hidden: Tensor | None,
    steps: list[tuple[int, int]],
) -> tuple[Tensor, Tensor]:
    """Run a gated recurrent unit on [x; context], where additive attention gives the context.

    Bahdanau et al. 2015, appendix A.1.2: e = score . tanh(query + key), alpha = softmax(e). x (N,
    3W) time-major; weight (A + 3W, W), the query's rows, then the gates'; initial (B, W); keys (B,
    S, A); values (B, S, 3W), the memory already multiplied with the context's gate weights; score
    (A,); hidden (B, S) bias or None; all in sorted order. Returns states (N, W) and weights (B, T,
    S), zero past a row's end.
    """
    return _AttendRecur.apply(x, weight, initial, keys, values, score, hidden, steps)  # type: ignore[return-value]


def plain_attend_recur(
    x: Tensor,
    weight: Tensor,
    initial: Tensor,
    keys: Tensor,
    values: Tensor,
    score: Tensor,
    hidden: Tensor | None,
    steps: list[tuple[int, int]],
) -> tuple[Tensor, Tensor]:
    """Compute what `attend_recur` does, with ordinary operations."""
    h, inner = initial, keys.shape[2]
    states: list[Tensor] = []
    weights: list[Tensor] = []
    for start, end in steps:
        rows = end - start
        h = h[:rows]
        u = h @ weight.T
        scores = torch.tanh(keys[:rows] + u[:, None, :inner]) @ score
        alpha = (scores if hidden is None else scores + hidden[:rows]).softmax(-1)
        mixed = (alpha[:, :, None] * values[:rows]).sum(1)
        h = plain_gate(x[start:end] + mixed, u[:, inner:], h)
        states.append(h)
        weights.append(torch.cat((alpha, alpha.new_zeros(keys.shape[0] - rows, keys.shape[1]))))
    return torch.cat(states), torch.stack(weights, 1)
