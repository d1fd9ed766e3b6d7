"""Losses of the routers of sparse layers, and how evenly their experts are loaded.

Each sparse layer adds a balance loss E * sum_i f_i P_i (Fedus et al. 2021, equation 4), where f_i
is the share of tokens whose router chose expert i of E, and P_i the mean of its probability. With
k experts a token the f_i add up to k, as in transformers' Mixtral. It also adds a z-loss, the mean
of the squared log-sum-exp of the router's logits (Zoph et al. 2022, equation 5).

All means are over the tokens of the whole step: those of all micro-batches and processes, without
padding. The balance loss is a product of two such means, so it is not a sum over micro-batches.
Therefore f is counted over the step before any backward; then each token adds
E / T * sum_i f_i p_i, which is a sum, and the value does not depend on how the step is cut. A
process with several micro-batches counts in a pass of its own, without gradients.
"""

from __future__ import annotations

from collections import Counter, UserList
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import nn

from ..model.experts import Routed, SparseFeedForward
from ..model.transformer import Transformer
from ..model.typed import named_modules, to_ints
from .distributed import World
from .settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor

BALANCE, Z = "balance", "router_z"
WEIGHTS = {BALANCE: 0.01, Z: 0.001}  # as published
SUFFIX = ".feed_forward"


@dataclass
class Routers:
    """Collect what the routers of a model hand back, count it over a step, and make losses of it.

    Args:
        model: The model.
        names: Its sparse blocks, in the order in which they run.
        weights: Of the balance loss and the z-loss of each block.
    """

    model: Transformer
    names: list[str]
    weights: dict[str, float]
    # block -> tokens that chose each expert, and how many of them were dropped
    loads: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    _counts: Counter[str] = field(default_factory=Counter[str])

    @property
    def counts(self) -> dict[str, int]:
        """Return what the sums of the losses are divided by: each is a mean over the blocks."""
        return dict.fromkeys((BALANCE, Z), len(self.names))

    def begin(self) -> None:
        """Collect anew; call it before the model computes a micro-batch."""
        # FSDP2 copies lists that it passes to a block, but not this one.
        self.model.routed = UserList()

    def count(self) -> None:
        """Add the tokens of the micro-batch that was computed last to those of the step."""
        for name, routed in self._collected():
            for place, tokens in enumerate((*to_ints(routed.tokens), int(routed.dropped))):
                self._counts[f"{name}/{place}"] += tokens

    def share(self, world: World) -> None:
        """Add the counts of all processes, which ends the counting of a step."""
        sums = world.sum_counts(dict(self._counts))
        self._counts.clear()
        self.loads = {
            name: [sums[f"{name}/{place}"] for place in range(self._layer(name).count + 1)]
            for name in self.names
        }

    def losses(self) -> dict[str, tuple[Tensor, int, float]]:
        """Return the losses of the micro-batch that was computed last: (sum, count, weight).

        The sum is over blocks, and the weight is that of each block times their number.
        """
        sums: dict[str, Tensor] = {}
        for name, routed in self._collected():
            *tokens, _ = self.loads[name]
            total = max(1, sum(tokens) // self._layer(name).chosen)  # tokens of the step
            shares = routed.probabilities.new_tensor([count / total for count in tokens])
            added = {
                BALANCE: len(tokens) / total * (shares * routed.probabilities).sum(),
                Z: routed.log_partitions / total,
            }
            sums = {key: sums[key] + value if sums else value for key, value in added.items()}
        self.model.routed = None  # it would keep the graph of the pass
        blocks = len(self.names)
        return {key: (value, blocks, self.weights[key] * blocks) for key, value in sums.items()}

    def _collected(self) -> list[tuple[str, Routed]]:
        assert self.model.routed is not None, "no micro-batch was computed"
        return list(zip(self.names, self.model.routed, strict=True))

    def _layer(self, name: str) -> SparseFeedForward:
        layer = self.model.get_submodule(name + SUFFIX)
        assert isinstance(layer, SparseFeedForward), f"{name} is not sparse"
        return layer


def routers_of(model: nn.Module, settings: TrainingSettings) -> Routers | None:
    """Return the routers of a model, or None if none of its blocks is sparse."""
    if not isinstance(model, Transformer):
        return None
    names = [
        name.removesuffix(SUFFIX)
        for name, module in named_modules(model)
        if isinstance(module, SparseFeedForward)
    ]
    given = {BALANCE: settings.balance_weight, Z: settings.router_z_weight}
    # What is not given is not written into a recipe, so those of dense models do not change.
    weights = {key: WEIGHTS[key] if value is None else value for key, value in given.items()}
    return Routers(model, names, weights) if names else None


@dataclass(frozen=True)
class ExpertLoad:
    """Say how evenly tokens are spread over experts.

    Args:
        shares: Block -> share of its tokens' choices that each expert was given, 0 to 1.
        dropped: Block -> share of choices that were dropped because the expert was full.
    """

    shares: dict[str, list[float]]
    dropped: dict[str, float]

    @classmethod
    def of(cls, loads: dict[str, list[int]] | dict[str, list[float]]) -> ExpertLoad:
        """Divide the counts of `Routers.loads`, of one step or added over several."""
        shares: dict[str, list[float]] = {}
        dropped: dict[str, float] = {}
        for name, (*tokens, lost) in loads.items():
            total = max(1, sum(tokens))
            shares[name] = [round(count / total, 6) for count in tokens]
            dropped[name] = round(lost / total, 6)
        return cls(shares, dropped)

    @property
    def range(self) -> tuple[float, float, float]:
        """Return the least and the largest share of an expert, and the mean share dropped."""
        each = [share for shares in self.shares.values() for share in shares]
        lost = list(self.dropped.values())
        return min(each), max(each), sum(lost) / len(lost)
