"""Switch parts of a model off, and record what its parts compute, while it runs.

Nothing in the model asks whether something is switched off: hooks stand on the modules of a block
only inside the contexts below. So the model runs through its one `Block.forward` in any case, and
outside of them at no cost and with the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..model.attention import Attention, Context
from .sites import Site, is_recurrent, parts_of, stacks

Key = tuple[str, int, str]  # stack, layer from 0, part
MOST_TOKENS = 16_384  # tokens of one batch of copies


@dataclass(slots=True)
class Parts:
    """Hold what the parts of a model computed for N rows, by stack, layer and part.

    Args:
        heads: The output of each head before the output projection, (N, H, E).
        before: The residual stream that the part read from, (N, D).
        given: What the part gave, before a norm of its branch, (N, D).
        added: What it added to the residual stream, before the norm of the sum, (N, D).
        after: The residual stream after the part, (N, D).
    """

    heads: dict[Key, Tensor] = field(default_factory=dict[Key, Tensor])
    before: dict[Key, Tensor] = field(default_factory=dict[Key, Tensor])
    given: dict[Key, Tensor] = field(default_factory=dict[Key, Tensor])
    added: dict[Key, Tensor] = field(default_factory=dict[Key, Tensor])
    after: dict[Key, Tensor] = field(default_factory=dict[Key, Tensor])


@dataclass(frozen=True, slots=True)
class Means:
    """Hold the mean outputs of a model's parts over development sentences.

    Args:
        heads: (H, E) of each part with heads; for the RNN its context (1, 2W).
        added: (D,) of each part.
        tokens: How many target tokens, or source tokens of an encoder, they are means over.
    """

    heads: dict[Key, Tensor]
    added: dict[Key, Tensor]
    tokens: int


# What a hook may do: (key, context, heads (N, H, E)) -> the same or others; and
# (key, context, branch, x, y, result) -> the residual stream.
OnHeads = Callable[[Key, Context, Tensor], Tensor]
OnResidual = Callable[[Key, Context, Any, Tensor, Tensor, Tensor], Tensor]


@contextmanager
def hooked(
    model: Any, on_heads: OnHeads | None = None, on_residual: OnResidual | None = None
) -> Iterator[None]:
    """Let functions see, and change, what the heads and parts of the blocks compute.

    Several threads may run the model. A program compiled for a step of decoding is set aside,
    because no hook stands in it.
    """
    now = threading.local()  # the context of the block that runs
    compiled = getattr(model, "compiled", None)
    with ExitStack() as hooks:
        for stack, module in stacks(model).items():
            for block in dict.fromkeys(module.each):
                hooks.enter_context(_removed(block.register_forward_pre_hook(_entering(now))))
                for part, inner, branch in parts_of(block):
                    if on_heads is not None and isinstance(inner, Attention):
                        hook = _heads_hook(now, (stack, part), inner, on_heads)
                        handle = inner.output.register_forward_pre_hook(hook)
                        hooks.enter_context(_removed(handle))
                    if on_residual is not None:
                        hook = _residual_hook(now, (stack, part), on_residual)
                        hooks.enter_context(_removed(branch.register_forward_hook(hook)))
        if compiled is not None:
            model.compiled = None
        try:
            yield
        finally:
            if compiled is not None:
                model.compiled = compiled


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _entering(now: threading.local) -> Callable[..., None]:
    def enter(_: nn.Module, given: tuple[Tensor, Context]) -> None:
        now.context = given[1]

    return enter


def _heads_hook(
    now: threading.local, place: tuple[str, str], attention: Attention, change: OnHeads
) -> Callable[..., tuple[Tensor]]:
    def hook(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor]:
        context: Context = now.context
        mixed = given[0].view(-1, attention.heads, attention.head_width)  # (N, H, E)
        key = place[0], context.layer, place[1]
        return (change(key, context, mixed).reshape(given[0].shape),)

    return hook


def _residual_hook(
    now: threading.local, place: tuple[str, str], change: OnResidual
) -> Callable[..., Tensor]:
    def hook(branch: nn.Module, given: tuple[Tensor, Tensor, Any], result: Tensor) -> Tensor:
        context: Context = now.context
        key = place[0], context.layer, place[1]
        return change(key, context, branch, given[0], given[1], result)

    return hook


@contextmanager
def recorded(model: Any) -> Iterator[Parts]:
    """Record what the blocks of a Transformer compute in the last pass inside the context."""
    found = Parts()

    def on_heads(key: Key, _: Context, mixed: Tensor) -> Tensor:
        found.heads[key] = mixed
        return mixed

    def on_residual(
        key: Key, _: Context, branch: Any, x: Tensor, y: Tensor, result: Tensor
    ) -> Tensor:
        found.before[key], found.after[key] = x, result
        # Without a norm of the branch the part has added its residual itself.
        found.given[key] = y if branch.branch is not None else y - x
        found.added[key] = branch.branch(y) if branch.branch is not None else y - x
        return result

    with hooked(model, on_heads, on_residual):
        yield found


@contextmanager
def ablated(
    model: Any,
    off: Sequence[Collection[Site]] | Collection[Site],
    means: Means | None = None,
) -> Iterator[None]:
    """Switch sites off inside the context, or replace them by their means.

    A head that is off gives zeros, a whole part adds nothing to the residual stream (Michel et al.
    2019, section 2.2). Without dropout only.

    Args:
        model: A Transformer, or the RNN, whose one site is its context.
        off: The sites, of every sequence; or a collection for each sequence of the batch.
        means: What replaces them; None: zero.
    """
    each = [one for one in off if not isinstance(one, Site)]
    rows = each or [[one for one in off if isinstance(one, Site)]]
    if is_recurrent(model):
        assert len(rows) == 1, "the RNN loses its context in all rows or in none"
        with _without_context(model, bool(rows[0]), means):
            yield
        return
    heads, parts = _kept(model, rows)

    def on_heads(key: Key, context: Context, mixed: Tensor) -> Tensor:
        kept = heads.get(key)
        if kept is None:
            return mixed
        kept = _of_rows(kept.to(mixed.device), context, mixed.shape[0])[:, :, None]  # (N, H, 1)
        other = mixed.new_zeros(()) if means is None else means.heads[key].to(mixed)
        return torch.where(kept, mixed, other)

    def on_residual(
        key: Key, context: Context, branch: Any, x: Tensor, y: Tensor, result: Tensor
    ) -> Tensor:
        kept = parts.get(key)
        if kept is None:
            return result
        kept = _of_rows(kept.to(x.device), context, x.shape[0])[:, None]  # (N, 1)
        other = branch.after(x if means is None else x + means.added[key].to(x))
        return torch.where(kept, result, other)

    has_heads, has_parts = on_heads if heads else None, on_residual if parts else None
    with hooked(model, has_heads, has_parts):
        yield


def _kept(
    model: Any, rows: Sequence[Collection[Site]]
) -> tuple[dict[Key, Tensor], dict[Key, Tensor]]:
    """Return what each row keeps: heads (B, H) of some parts, and other whole parts (B,)."""
    heads: dict[Key, Tensor] = {}
    parts: dict[Key, Tensor] = {}
    modules = {
        (stack, layer, part): inner
        for stack, module in stacks(model).items()
        for layer, block in enumerate(module.each)
        for part, inner, _ in parts_of(block)
    }
    for row, sites in enumerate(rows):
        for one in sites:
            if one.head is None:
                parts.setdefault(one.key, torch.ones(len(rows), dtype=torch.bool))[row] = False
            else:
                count = modules[one.key].heads
                kept = torch.ones(len(rows), count, dtype=torch.bool)
                heads.setdefault(one.key, kept)[row, one.head] = False
    return heads, parts


def _of_rows(kept: Tensor, context: Context, total: int) -> Tensor:
    """Map what each sequence keeps (B or 1, ...) -> that of each row (N or 1, ...)."""
    if kept.shape[0] == 1:
        return kept
    if context.layout is None:  # cached decoding: T new tokens of each sequence
        return kept.repeat_interleave(total // kept.shape[0], 0)
    sequence, selected = context.layout.sequence, context.selected_rows
    return kept[sequence if selected is None else sequence[selected]]


@contextmanager
def _without_context(model: Any, is_off: bool, means: Means | None) -> Iterator[None]:
    """Take the context away from the RNN's decoder: its gates and its readout get the mean or 0."""
    if not is_off:
        yield
        return
    decoder = model.decoder
    size = decoder.context.inputs  # 2W
    mean = None if means is None else means.heads["decoder", 0, "cross"][0]

    def in_gates(_: nn.Module, given: tuple[Tensor], result: Tensor) -> Tensor:
        if mean is None:
            return torch.zeros_like(result)
        return (mean.to(result) @ decoder.context.matrix(result.dtype).T).expand_as(result)

    def in_readout(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        x = given[0].clone()
        x[..., -size:] = 0 if mean is None else mean.to(x)
        return (x,)

    with ExitStack() as hooks:
        hooks.enter_context(_removed(decoder.context.register_forward_hook(in_gates)))
        hooks.enter_context(_removed(decoder.maxout.register_forward_pre_hook(in_readout)))
        yield


@torch.no_grad()
def mean_outputs(model: Any, batches: Sequence[Mapping[str, Tensor]]) -> Means:
    """Return the mean output of every head and part over the tokens of some batches.

    Args:
        model: A Transformer or the RNN.
        batches: The inputs of development sentences, with their targets as inputs where the model
            has a decoder.
    """
    if is_recurrent(model):
        return _mean_context(model, batches)
    sums: tuple[dict[Key, Tensor], ...] = ({}, {})
    counts: dict[Key, int] = {}
    for inputs in batches:
        with recorded(model) as found:
            model(**inputs)
        for key, added in found.added.items():
            counts[key] = counts.get(key, 0) + added.shape[0]
            for held, values in zip(sums, (found.heads.get(key), added), strict=True):
                if values is not None:
                    total = values.double().sum(0)
                    held[key] = held[key] + total if key in held else total
    heads, added = (
        {key: (total / counts[key]).float() for key, total in held.items()} for held in sums
    )
    return Means(heads, added, max(counts.values(), default=0))


def _mean_context(model: Any, batches: Sequence[Mapping[str, Tensor]]) -> Means:
    size, total, count = model.decoder.context.inputs, 0.0, 0
    for inputs in batches:
        with read_by_maxout(model) as given:
            model(**inputs)
        context = given[-1][..., -size:].reshape(-1, size)
        total, count = total + context.double().sum(0), count + context.shape[0]
    assert isinstance(total, Tensor), "there is at least one batch"
    return Means({("decoder", 0, "cross"): (total / count).float()[None]}, {}, count)


@contextmanager
def read_by_maxout(model: Any) -> Iterator[list[Tensor]]:
    """Record what the RNN's readout reads: state, previous token and context, (N, W + E + 2W)."""
    given: list[Tensor] = []
    handle = model.decoder.maxout.register_forward_pre_hook(lambda _, one: given.append(one[0]))
    with _removed(handle):
        yield given
