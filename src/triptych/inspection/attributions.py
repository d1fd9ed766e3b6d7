"""Attribute a score to the input tokens in five ways, and measure how faithful each is.

All of them give one number per token. A token is taken away by a zero vector in the place of its
embedding, its position stays. The deletion curve (Samek et al. 2017, section 3.1; DeYoung et al.
2020, section 4.2) takes tokens away in the order of an attribution, largest first: the faster the
score falls, the more faithful the attribution is to this model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import unknown
from .attribution import exact
from .interventions import MOST_TOKENS
from .probe import Probe, is_without_attention, replaced, vectors_of
from .sites import is_recurrent

STEPS = 32  # points of integrated gradients, by Gauss-Legendre quadrature
POINTS = 11  # of a mean deletion curve: 0, 10, ..., 100 % of the tokens taken away
RANDOM = "random"  # the order without an attribution, beside the others
RESAMPLES = 1000  # of the bootstrap that says how sure the most faithful method is


@torch.no_grad()
def attention(probe: Probe) -> np.ndarray:
    """Return the attention that each token receives, mean over heads and layers (N,).

    It is that of the row whose token is scored, or the mean over rows: cross-attention of an
    encoder-decoder, self-attention otherwise.
    """
    model = probe.model
    kind = {("encoder", True): "cross", ("encoder", False): "encoder"}.get(
        ("encoder" if "source" in probe.inputs else "decoder", "target" in probe.inputs), "decoder"
    )
    with exact(model):
        weights = model.attention_weights(kind=kind, **probe.inputs)[:, 0].float()  # (L, H, T, S)
    return _of_row(probe, weights.mean((0, 1)))


@torch.no_grad()
def rollout(probe: Probe) -> np.ndarray:
    """Return attention rollout (N,), which follows attention through the layers.

    Abnar & Zuidema 2020, section 3: each layer's weights, mean over heads, are mixed with the
    identity for the residual, half and half, and multiplied. A decoder's rows mix what they take
    from the target and, by cross-attention, from the rolled-out source in the same way.
    """
    model, inputs = probe.model, probe.inputs

    def mixed(kind: str) -> Tensor:
        return model.attention_weights(kind=kind, **inputs)[:, 0].float().mean(1)  # (L, T, S)

    with exact(model):
        flow: Tensor | None = None
        if "source" in inputs:
            flow = torch.eye(len(inputs["source"]), device=inputs["source"].device)
            for layer in mixed("encoder"):
                flow = layer @ flow / 2 + flow / 2
        if "target" in inputs:
            memory, count = flow, len(inputs["target"])
            eye = torch.eye(count, device=inputs["target"].device)
            # what each row takes from the source (T, S), or without one from the target (T, T)
            flow = eye if memory is None else eye.new_zeros(count, memory.shape[1])
            cross = None if memory is None else mixed("cross")
            for layer, weights in enumerate(mixed("decoder")):
                flow = weights @ flow / 2 + flow / 2
                if cross is not None and memory is not None:
                    flow = cross[layer] @ memory / 2 + flow / 2
        assert flow is not None, "there is a source or a target"
    return _of_row(probe, flow)


def _of_row(probe: Probe, table: Tensor) -> np.ndarray:
    """Return what the row of the scored token gives to each (T, S) -> (S,), or the mean."""
    is_one = probe.row is not None and "target" in probe.inputs and bool(probe.name)
    found = table[probe.row] if is_one else table.mean(0)
    return found.cpu().numpy()


def gradient_times_input(probe: Probe) -> np.ndarray:
    """Return gradient times input (N,) (Shrikumar et al. 2017; Denil et al. 2014)."""
    vectors = vectors_of(probe)
    return (_gradients(probe, vectors[None])[0] * vectors).sum(-1).cpu().numpy()


def integrated_gradients(probe: Probe, steps: int = STEPS) -> np.ndarray:
    """Return integrated gradients (N,) along the line from zero vectors to the tokens' own.

    Sundararajan et al. 2017, section 3. The values add up to the score minus that of zero vectors,
    up to the error of the quadrature.
    """
    vectors = vectors_of(probe)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    points = torch.tensor((nodes + 1) / 2, dtype=torch.float32, device=vectors.device)
    shares = torch.tensor(weights / 2, dtype=torch.float32, device=vectors.device)
    total = torch.zeros_like(vectors)
    for part, share in zip(points.split(_most(probe)), shares.split(_most(probe)), strict=True):
        found = _gradients(probe, part[:, None, None] * vectors)  # (B, N, D)
        total += (found * share[:, None, None]).sum(0)
    return (total * vectors).sum(-1).cpu().numpy()


def occlusion(probe: Probe) -> np.ndarray:
    """Return how far the score falls when each token alone is taken away (N,).

    Zeiler & Fergus 2014, section 4.2; Li et al. 2016.
    """
    count = probe.length
    kept = torch.cat((torch.ones(1, count), 1 - torch.eye(count)))
    values = scores_without(probe, kept)
    return values[0] - values[1:]


METHODS: dict[str, Callable[[Probe], np.ndarray]] = {
    "attention": attention,
    "rollout": rollout,
    "gradient_times_input": gradient_times_input,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
}


def methods_of(model: Any) -> list[str]:
    """Return the methods that a model has: an RNN has no rollout, and perhaps no attention."""
    left_out = {"rollout"} if is_recurrent(model) else set[str]()
    if not is_recurrent(model) and getattr(getattr(model, "decoder", None), "is_recurrent", False):
        left_out.add("rollout")
    if is_without_attention(model):
        left_out.add("attention")
    return [name for name in METHODS if name not in left_out]


def attributed(probe: Probe, method: str) -> np.ndarray:
    """Return the attribution of a method by name (N,).

    Raises UsageError for a name that the model has not.
    """
    known = methods_of(probe.model)
    if method not in known:
        raise unknown("attribution", method, known)
    return METHODS[method](probe)


def _most(probe: Probe) -> int:
    """Return how many copies of the probe run at once."""
    sides = [len(one) for name, one in probe.inputs.items() if name in ("source", "target")]
    return max(1, MOST_TOKENS // 4 // sum(sides))


def _gradients(probe: Probe, vectors: Tensor) -> Tensor:
    """Return the score's gradient at the vectors of each copy (B, N, D)."""
    count = vectors.shape[0]
    leaf = vectors.detach().flatten(0, 1).requires_grad_()
    with exact(probe.model), torch.enable_grad(), replaced(probe, leaf):
        value = probe.score(probe.model(**probe.copies(count)), count).sum()
        (found,) = torch.autograd.grad(value, leaf)
    return found.view(vectors.shape)


@torch.no_grad()
def scores_without(probe: Probe, kept: Tensor) -> np.ndarray:
    """Return the score of copies that keep some tokens: kept (B, N), 0 or 1 -> (B,)."""
    vectors, values = vectors_of(probe), list[float]()
    for part in kept.to(vectors).split(_most(probe)):
        changed = (part[:, :, None] * vectors).flatten(0, 1)
        with replaced(probe, changed):
            values += probe.measured(len(part)).tolist()
    return np.array(values)


def deletion(probe: Probe, order: Sequence[int]) -> np.ndarray:
    """Return the score with none, one, two, ... of the tokens taken away in `order` (N + 1,)."""
    kept = torch.ones(len(order) + 1, probe.length)
    for step, place in enumerate(order, 1):
        kept[step:, place] = 0
    return scores_without(probe, kept)


@dataclass(frozen=True, slots=True)
class DeletionCurves:
    """Hold the mean deletion curve of each method over several sentences.

    Args:
        shares: Of the tokens that are taken away, from 0 to 1 (P,).
        curves: Method -> the mean fall of the score (P,), nats; RANDOM is a random order.
        areas: Method -> the mean of its curve over all shares: how far the score falls. The
            largest is the most faithful.
        sentences: Over how many the means are.
        sure: How often the most faithful method is the same when sentences are drawn anew with
            replacement (a paired bootstrap), 0 to 1; None for a single sentence.
    """

    shares: np.ndarray
    curves: dict[str, np.ndarray]
    areas: dict[str, float]
    sentences: int
    sure: float | None = None

    @property
    def best(self) -> str:
        """Return the most faithful method."""
        return max((name for name in self.areas if name != RANDOM), key=lambda n: self.areas[n])

    def to_json(self) -> dict[str, Any]:
        """Return the curves for JSON."""
        found: dict[str, Any] = {
            "shares": self.shares.tolist(),
            "fall": {name: one.tolist() for name, one in self.curves.items()},
            "area": self.areas,
            "most_faithful": self.best,
            "sentences": self.sentences,
        }
        return found if self.sure is None else {**found, "sure": self.sure}


@dataclass(frozen=True, slots=True)
class Falls:
    """Hold the deletion curves of one sentence.

    Args:
        length: How many tokens it has.
        falls: Method -> the fall of its score at each share (P,), nats.
    """

    length: int
    falls: dict[str, np.ndarray]


def falls_of(probe: Probe, methods: Sequence[str], generator: np.random.Generator) -> Falls:
    """Return the deletion curves of one sentence; the generator draws the random order."""
    shares, places = np.linspace(0, 1, POINTS), np.linspace(0, 1, probe.length + 1)
    orders = {
        name: np.argsort(-attributed(probe, name), kind="stable").tolist() for name in methods
    }
    orders[RANDOM] = generator.permutation(probe.length).tolist()
    found: dict[str, np.ndarray] = {}
    for name, order in orders.items():
        values = deletion(probe, order)
        found[name] = np.interp(shares, places, values[0] - values)
    return Falls(probe.length, found)


def mean_curves(each: Sequence[Falls]) -> DeletionCurves:
    """Return the mean deletion curves of several sentences."""
    shares = np.linspace(0, 1, POINTS)
    tables = {name: np.stack([one.falls[name] for one in each]) for name in each[0].falls}  # (S, P)
    curves = {name: table.sum(0) / len(each) for name, table in tables.items()}
    areas = {name: float(np.trapezoid(one, shares)) for name, one in curves.items()}
    found = DeletionCurves(shares, curves, areas, len(each))
    if len(each) < 2 or len(areas) < 2:
        return found
    own = {name: np.trapezoid(table, shares) for name, table in tables.items() if name != RANDOM}
    names, values = list(own), np.stack(list(own.values()))  # (M, S)
    drawn = np.random.default_rng(1).integers(0, len(each), (RESAMPLES, len(each)))
    firsts = values[:, drawn].mean(-1).argmax(0)  # (R,)
    return replace(found, sure=float((firsts == names.index(found.best)).mean()))


def deletion_curves(
    probes: Iterable[Probe],
    seed: int = 1,
    done: Callable[[Falls], object] | None = None,
    methods: Sequence[str] | None = None,
    begun: Sequence[Falls] = (),
) -> DeletionCurves:
    """Return the mean deletion curve of every method over the probes of several sentences.

    Args:
        probes: Of one model; those of `begun` are left out.
        seed: Of the random order.
        done: Called with the curves of each sentence after it.
        methods: Those to compare; None: all that the model has.
        begun: The curves of the first sentences, which were measured before.
    """
    generator, each = np.random.default_rng(seed), list(begun)
    for one in begun:
        generator.permutation(one.length)  # so that the orders of the others are the same
    for probe in probes:
        each.append(falls_of(probe, methods or methods_of(probe.model), generator))
        if done is not None:
            done(each[-1])
    return mean_curves(each)
