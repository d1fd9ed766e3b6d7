"""Check on a user's own model what must hold for every model: the same answer by every way.

Each check computes the same numbers in two ways and compares them: alone and in a batch, with
padding to the left and to the right, with a cache and without, with a fused kernel and by the
formula, one batch and several micro-batches. The difference is that of the largest number, relative
to the largest number there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..data.batches.encoded import Encoded, collate
from ..model.attention import Attention
from ..model.layout import PackedLayout
from ..model.masks import FULL, Mask, allowed, shifted
from ..model.ops.reference import plain_attention
from ..model.rnn import recurrent
from ..model.rnn.recurrence import plain_attend_recur, plain_recur
from ..tasks.task import Task
from .sites import is_recurrent, parts_of, stacks

# largest relative difference that rounding explains
TOLERANCES = {"float32": 2e-4, "bfloat16": 6e-2}
MICRO_BATCHES = 3


@dataclass(frozen=True, slots=True)
class Check:
    """Hold one check.

    Args:
        name: What was compared.
        precision: That of the activations.
        difference: Relative to the largest number; None: the model has no such two ways.
        allowed: The largest difference that passes.
    """

    name: str
    precision: str
    difference: float | None
    allowed: float

    @property
    def result(self) -> str:
        """Return "passed", "failed", or "none" where there is nothing to compare."""
        if self.difference is None:
            return "none"
        return "passed" if self.difference <= self.allowed else "failed"

    def to_json(self) -> dict[str, Any]:
        """Return the check for JSON."""
        return {
            "check": self.name,
            "precision": self.precision,
            "difference": self.difference,
            "allowed": self.allowed,
            "result": self.result,
        }


Patient = tuple[Any, Any, Task]  # a model, its head and its task


def examine(
    model: Any, head: Any, task: Task, encoded: Sequence[Encoded], precisions: Sequence[str]
) -> list[Check]:
    """Return all checks in each precision, without dropout.

    Args:
        model: A Transformer or the RNN.
        head: The run's head.
        task: The run's task.
        encoded: Sentences of several lengths, with their targets.
        precisions: "float32", "bfloat16".
    """
    found: list[Check] = []
    for name in precisions:
        with _in_precision(model, getattr(torch, name)):
            for check, compute in CHECKS.items():
                difference = compute((model, head, task), encoded)
                found.append(Check(check, name, difference, TOLERANCES[name]))
    return found


@contextmanager
def _in_precision(model: Any, precision: torch.dtype) -> Iterator[None]:
    before, was_training = model.precision, model.training
    compiled = getattr(model, "compiled", None)
    model.precision = precision
    model.eval()
    if compiled is not None:
        model.compiled = None
    try:
        yield
    finally:
        model.precision = before
        model.train(was_training)
        if compiled is not None:
            model.compiled = compiled


def relative(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, relative to the largest number; NaN is infinitely far."""
    if not (found.isfinite().all() and wanted.isfinite().all()):
        return float("inf")
    most = float(wanted.float().abs().max()) if wanted.numel() else 0.0
    difference = (found.float() - wanted.float()).abs()
    return float(difference.max()) / max(most, 1e-12) if wanted.numel() else 0.0


def _inputs(model: Any, encoded: Sequence[Encoded]) -> dict[str, Tensor]:
    return collate(encoded).to(next(model.parameters()).device).inputs


@torch.no_grad()
def _logits(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the logits of a model with a decoder, or else the last states (N, ...)."""
    states = model(**inputs)
    return model.project(states).float() if "target" in inputs else states.float()


def alone(patient: Patient, encoded: Sequence[Encoded]) -> float:
    """Compare each sentence alone with all of them in one batch."""
    model = patient[0]
    whole = _logits(model, _inputs(model, encoded))
    each = torch.cat([_logits(model, _inputs(model, [one])) for one in encoded])
    return relative(each, whole)


def padded(patient: Patient, encoded: Sequence[Encoded]) -> float | None:
    """Compare attention over sentences padded to the left with that padded to the right.

    The model itself packs sentences without padding; both are the plain formula on padded tensors.
    """
    model = patient[0]
    if is_recurrent(model):
        return None
    inputs = _inputs(model, encoded)
    with _attending(model, left_padded_attention):
        left = _logits(model, inputs)
    with _attending(model, plain_attention):
        right = _logits(model, inputs)
    return relative(left, right)


def fused(patient: Patient, encoded: Sequence[Encoded]) -> float | None:
    """Compare the kernels of this device with the plain formulas."""
    model = patient[0]
    inputs = _inputs(model, encoded)
    whole = _logits(model, inputs)
    plain = _plain_recurrence() if is_recurrent(model) else _attending(model, plain_attention)
    with plain:
        wanted = _logits(model, inputs)
    return relative(whole, wanted)


@torch.no_grad()
def cached(patient: Patient, encoded: Sequence[Encoded]) -> float | None:
    """Compare decoding one token after the other, with a cache, with one pass over all tokens."""
    model = patient[0]
    worst: float | None = None
    for one in encoded:
        inputs = _inputs(model, [one])
        if "target" not in inputs or len(inputs["target_lengths"]) > 1:
            return None
        whole = _logits(model, inputs)
        memory = model.encode(inputs) if "source" in inputs else None
        state, steps = model.start(memory, 1), list[Tensor]()
        for token in inputs["target"].split(1):
            logits, state = model.step(token[None], state)
            steps.append(logits[0].float())
        worst = max(worst or 0.0, relative(torch.cat(steps), whole))
    return worst


def accumulated(patient: Patient, encoded: Sequence[Encoded]) -> float:
    """Compare the gradients of one batch with those added up over micro-batches.

    The matrix whose gradients differ the most counts, relative to its largest gradient.
    """
    model, head, _ = patient
    parameters = [one for one in (*model.parameters(), *head.parameters()) if one.requires_grad]
    whole = _gradients(patient, [list(encoded)], parameters)
    size = -(-len(encoded) // MICRO_BATCHES)
    parts = [list(encoded[start : start + size]) for start in range(0, len(encoded), size)]
    found = _gradients(patient, parts, parameters)
    most = max((float(one.abs().max()) for one in whole), default=0.0)
    return max(
        (float((a - b).abs().max()) / max(most, 1e-12) for a, b in zip(found, whole, strict=True)),
        default=0.0,
    )


def _gradients(
    patient: Patient, batches: Sequence[Sequence[Encoded]], parameters: Sequence[Tensor]
) -> list[Tensor]:
    """Return the gradients of the task's loss, its sums divided by the counts of all batches."""
    model, head, task = patient
    device = next(model.parameters()).device
    total = [torch.zeros_like(one) for one in parameters]
    packed = [collate(one).to(device) for one in batches]
    counts: dict[str, int] = {}
    with torch.enable_grad():
        sums: list[dict[str, tuple[Tensor, int, float]]] = []
        for batch in packed:
            losses = task.loss(head(model, model(**batch.inputs), batch.inputs), batch)
            sums.append(losses)
            for name, (_, count, _) in losses.items():
                counts[name] = counts.get(name, 0) + count
        for losses in sums:
            terms = [
                weight * value / counts[name]
                for name, (value, _, weight) in losses.items()
                if weight and counts[name] and value.requires_grad
            ]
            if not terms:
                continue
            found = torch.autograd.grad(sum(terms), parameters, allow_unused=True)  # type: ignore[arg-type]
            for held, one in zip(total, found, strict=True):
                if one is not None:
                    held += one
    return total


CHECKS: dict[str, Callable[[Patient, Sequence[Encoded]], float | None]] = {
    "alone = in a batch": alone,
    "left = right padding": padded,
    "cache = no cache": cached,
    "fused = plain": fused,
    "micro-batches = one batch": accumulated,
}


def left_padded_attention(
    query: Tensor,
    memory: Tensor | None,
    heads: int,
    queries: PackedLayout,
    keys: PackedLayout,
    mask: Mask = FULL,
    bias: Tensor | None = None,
    scale: float | None = None,
    probability: float = 0.0,
    rng: object = None,
    *,
    softcap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute what `plain_attention` does, on tensors whose padding stands before the tokens.

    Which pairs may attend is computed by positions, and then moved to where the tokens stand.
    """
    source, first = (query, heads) if memory is None else (memory, 0)
    key_heads = (source.shape[1] - first) // 2
    parts = torch.split(source[:, first:], key_heads, 1)
    to_left, of_keys = _moves(queries), _moves(keys)

    def moved(x: Tensor, layout: PackedLayout, index: Tensor) -> Tensor:  # -> (B, H, T, E)
        rows = torch.arange(layout.count, device=x.device)[:, None]
        return layout.pad(x)[rows, index].transpose(1, 2)

    q = moved(query[:, :heads], queries, to_left)
    k, v = (moved(one, keys, of_keys).repeat_interleave(heads // key_heads, 1) for one in parts)
    scores = q @ k.transpose(2, 3)
    scores = scores / q.shape[-1] ** 0.5 if scale is None else scores * scale
    if softcap is not None:
        scores = (scores / softcap).tanh() * softcap
    shape = queries.count, 1, queries.longest, keys.longest
    real = queries.real[:, None, :, None] & keys.real[:, None, None, :]
    pairs = allowed(queries, keys, mask)
    pairs = real if pairs is None else real & pairs
    shift = shifted(bias, queries, keys, mask, scores.dtype)
    if shift is not None:
        scores = scores + _moved_pairs(shift.expand(shape[0], -1, *shape[2:]), to_left, of_keys)
    pairs = _moved_pairs(pairs.expand(shape[0], -1, *shape[2:]), to_left, of_keys)
    weights = scores.masked_fill(~pairs, float("-inf")).softmax(-1).nan_to_num(nan=0.0)
    mixed = (weights @ v).transpose(1, 2)  # (B, T, H, E)
    steps = torch.arange(queries.longest, device=query.device)
    back = (steps[None] + (queries.longest - queries.lengths)[:, None]) % queries.longest
    rows = torch.arange(queries.count, device=query.device)[:, None]
    return queries.pack(mixed[rows, back]), weights


def _moves(layout: PackedLayout) -> Tensor:
    """Return from which right-padded place each left-padded one is taken (B, T)."""
    steps = torch.arange(layout.longest, device=layout.lengths.device)
    return (steps[None] - (layout.longest - layout.lengths)[:, None]) % layout.longest


def _moved_pairs(table: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Move a table of pairs (B, H, T, S) to the places of queries (B, T) and keys (B, S)."""
    rows = torch.arange(table.shape[0], device=table.device)[:, None, None]
    found = table.permute(0, 2, 3, 1)[rows, queries[:, :, None], keys[:, None, :]]
    return found.permute(0, 3, 1, 2)


@contextmanager
def _attending(model: Any, formula: Callable[..., tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Let every attention over packed rows use a formula, inside the context."""
    held: list[tuple[Attention, Any]] = []
    for module in stacks(model).values():
        for block in dict.fromkeys(module.each):
            for _, inner, _ in parts_of(block):
                if type(inner) is Attention:
                    held.append((inner, inner.packed))
    for inner, _ in held:
        inner.packed = _first(formula, inner.softcap)
    try:
        yield
    finally:
        for inner, packed in held:
            inner.packed = packed


def _first(formula: Callable[..., tuple[Tensor, Tensor]], softcap: float | None) -> Any:
    return lambda *scored: formula(*scored, softcap=softcap)[0]


@contextmanager
def _plain_recurrence() -> Iterator[None]:
    """Let the RNN's loops over time use ordinary operations, inside the context."""
    held = recurrent.recur, recurrent.attend_recur
    recurrent.recur, recurrent.attend_recur = plain_recur, plain_attend_recur
    try:
        yield
    finally:
        recurrent.recur, recurrent.attend_recur = held
