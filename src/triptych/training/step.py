"""Compute the gradient of one step over micro-batches and processes.

Micro-batches that do not fit into memory are halved.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..data.batches.encoded import Batch, Encoded, collate, halve
from ..errors import TrainingError
from ..messages import message
from ..model.heads.tokens import output_of
from ..model.interface import AnyNetwork
from ..model.typed import backward, to_floats
from ..tasks.distillation import COSINE
from ..tasks.task import Losses
from .distributed import World
from .guards import FirstBadModule, is_finite, is_out_of_memory
from .job import Job
from .local import is_sharded, local
from .routers import Routers, routers_of

# (order, number of the micro-batch, words) of something that is not finite; the least counts
Finding = tuple[int, int, str]
NumberedPieces = list[tuple[int, list[Encoded]]]  # micro-batches by their number in the run


@dataclass
class MicroBatch:
    """Hold a micro-batch, or a piece of one, and its seed for dropout and masking."""

    number: int
    encoded: list[Encoded]
    batch: Batch
    seed: int
    # repeats another one without counting, so that sharded processes do the same number
    is_idle: bool = False


@dataclass
class Gradient:
    """Hold the sums of a step over all processes; the gradients are on the parameters."""

    loss: float  # to minimise: each weighted sum divided by its count
    sums: dict[str, tuple[float, int]]  # loss name -> (sum, count)
    tokens: int
    # sparse block -> tokens that chose each expert, and how many were dropped
    loads: dict[str, list[int]] = field(default_factory=dict[str, list[int]])


@dataclass
class Stepper:
    """Compute gradients; micro-batches above `token_limit` tokens are halved to fit memory."""

    job: Job
    world: World
    device: torch.device
    parameters: dict[str, nn.Parameter]
    is_sharded: bool = False
    token_limit: int | None = None
    notices: list[str] = field(default_factory=list[str])
    _running: MicroBatch | None = None

    def __post_init__(self) -> None:
        self.routers: Routers | None = routers_of(self.job.model, self.job.settings)

    def gradient(self, step: int, pieces: NumberedPieces) -> Gradient:
        """Put the step's gradient on the parameters.

        If memory runs out, the whole step is repeated in smaller parts.
        """
        counts: dict[str, int] | None = None
        while True:
            try:
                parts = self._parts(step, pieces)
                if counts is None:  # the other processes do not repeat this
                    counts, parts = self._counted(parts)
                sums, counts, weights = self._backward(parts, counts)
                return self._reduce(sums, counts, weights)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            self._shrink(step)  # outside of `except`, so that the failed step's memory is freed

    def _parts(self, step: int, pieces: NumberedPieces) -> list[MicroBatch]:
        parts: list[MicroBatch] = []
        for number, encoded in pieces:
            for index, members in enumerate(self._fitting(encoded)):
                batch = collate(members, self.job.task.passes)
                parts.append(
                    MicroBatch(
                        number, members, batch, seed_of(self.job.settings.seed, step, number, index)
                    )
                )
        return parts

    def _fitting(self, encoded: list[Encoded]) -> list[list[Encoded]]:
        if self.token_limit is None or len(encoded) == 1 or tokens_of(encoded) <= self.token_limit:
            return [encoded]
        first, second = halve(encoded)
        return self._fitting(first) + self._fitting(second)

    def _counted(self, parts: list[MicroBatch]) -> tuple[dict[str, int], list[MicroBatch]]:
        """Add the counts of all processes, and give each as many micro-batches where sharded.

        Every sum is divided by the count of the whole step before its backward.
        """
        own: Counter[str] = Counter()
        for part in parts:
            own.update(part.batch.counts)  # adding Counters would drop zeros
        counts = self.world.sum_counts(dict(own))
        if self.is_sharded:
            missing = self.world.largest(len(parts)) - len(parts)
            parts = parts + [replace(parts[-1], is_idle=True)] * missing
        return counts, parts

    def _backward(
        self, parts: list[MicroBatch], counts: dict[str, int]
    ) -> tuple[dict[str, Tensor], dict[str, int], dict[str, float]]:
        """Run forward and backward over all parts."""
        routers, first = self.routers, None
        if routers is not None:
            first = self._routed(parts, routers)
            counts = counts | routers.counts
        sums: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        for parameter in self.parameters.values():
            parameter.grad = None
        for part in parts:
            self._running = part
            total = None
            losses = first or self._losses(part)
            if routers is not None:
                losses = {**losses, **routers.losses()}
            for name, (value, _, weight) in losses.items():
                if part.is_idle:
                    value = value * 0
                weights[name] = weight
                sums[name] = sums.get(name, 0.0) + value.detach().double()
                if weight:
                    share = value * (weight / max(1, count_of(name, counts)))
                    total = share if total is None else total + share
            assert total is not None, f"task '{self.job.task.name}' gave no loss with a weight"
            backward(total)
        return sums, counts, weights

    def _routed(self, parts: list[MicroBatch], routers: Routers) -> Losses | None:
        """Count the tokens of each expert over the whole step.

        Returns:
            The task's losses of the only micro-batch of this process, None if there are several.
        """
        losses: Losses | None = None
        for part in parts:
            self._running = part
            if len(parts) == 1:
                losses = self._losses(part)
            else:
                with torch.no_grad():
                    self._output(part)
            if not part.is_idle:
                routers.count()
        routers.share(self.world)
        return losses

    def _losses(self, part: MicroBatch) -> Losses:
        return self.job.task.loss(self._output(part), part.batch)

    def _output(self, part: MicroBatch) -> Any:
        """Compute what the task's loss reads; routers collect what they hand back."""
        job = self.job
        model = cast(AnyNetwork, job.model)
        model.reseed(part.seed)
        if self.routers is not None:
            self.routers.begin()
        inputs = {name: tensor.to(self.device) for name, tensor in part.batch.inputs.items()}
        if self.device.type != "cpu":
            part.batch.targets = {
                name: tensor.to(self.device) for name, tensor in part.batch.targets.items()
            }
        return output_of(model, job.head, inputs)

    def _reduce(
        self,
        sums: dict[str, Tensor],
        counts: dict[str, int],
        weights: dict[str, float],
    ) -> Gradient:
        names = sorted(sums)
        together = torch.stack([sums[name].cpu() for name in names])
        whole = [one for one in self.parameters.values() if not is_sharded(one)]
        together = self.world.sum_gradients(whole, together)
        named = {
            name: (value, count_of(name, counts))
            for name, value in zip(names, to_floats(together), strict=True)
        }
        loss = sum(weights[name] * value / max(1, count) for name, (value, count) in named.items())
        loads = {} if self.routers is None else self.routers.loads
        return Gradient(loss, named, counts["input_tokens"], loads)

    def _shrink(self, step: int) -> None:
        part, self._running = self._running, None
        for parameter in self.parameters.values():
            parameter.grad = None
        if part is None:
            raise TrainingError(
                "Step {step}: there is not enough memory to build the batch. Lower "
                "batches.batch_tokens.",
                step=step,
            )
        tokens = tokens_of(part.encoded)
        if len(part.encoded) == 1:
            place = self.job.places(part.encoded[0].index)
            raise TrainingError(
                "Step {step}: there is not enough memory for a single example of "
                "{tokens:,} tokens ({place}). Shorten or remove it, or use a smaller "
                "model. Checkpoints so far are kept.",
                step=step,
                tokens=tokens,
                place=place,
            )
        if self.is_sharded or (self.routers is not None and self.world.size > 1):
            raise TrainingError(
                "Step {step}: process {rank} has not enough memory for a micro-batch of "
                "{tokens:,} tokens. Processes that share {what} cannot halve it alone. Lower "
                "batches.batch_tokens.",
                step=step,
                rank=self.world.rank,
                tokens=tokens,
                what=message("weights") if self.is_sharded else message("routers' counts"),
            )
        self.token_limit = max(1, min(tokens // 2, self.token_limit or tokens))
        self.notices.append(
            message(
                "Step {step}: there is not enough memory for a micro-batch of "
                "{tokens:,} tokens. It is halved, and from now on none has more than "
                "{token_limit:,} (batches.batch_tokens). The result is the same.",
                step=step,
                tokens=tokens,
                token_limit=self.token_limit,
            )
        )

    def not_finite(self, step: int, pieces: NumberedPieces, gradient: Gradient, norm: float) -> str:
        """Return a sentence on what is not finite, where it arises and what may help."""
        what = (
            f"the loss is {gradient.loss}"
            if not math.isfinite(gradient.loss)
            else f"the norm of the gradient is {norm}"
        )
        settings = self.job.settings
        return message(
            "Step {step}: {what}; {explain}. Lower training.learning_rate (now "
            "{learning_rate}), lengthen training.warmup_steps (now "
            "{warmup_steps}), or set training.precision to float32.",
            step=step,
            what=what,
            explain=self._explain(step, pieces),
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
        )

    def _explain(self, step: int, pieces: NumberedPieces) -> str:
        """Return the layer and the micro-batch where the first NaN or infinity of a step arises.

        All processes must call it, and return the same.
        """
        found = self._found_together(step, pieces) if self.is_sharded else self._found(step, pieces)
        if (bad := self._bad_weights()) is not None:
            found.append((0, 0, f"the weights '{bad}' themselves are not finite"))
        several = [one for held in self.world.gather(found) for one in held]
        return min(several)[2] if several else "it arises only in the sum over micro-batches"

    def _found(self, step: int, pieces: NumberedPieces) -> list[Finding]:
        """Compute the step again until something is not finite."""
        for part in self._parts(step, pieces):
            for parameter in self.parameters.values():
                parameter.grad = None
            where = self._where(part)
            layer, losses = self._watched(part)
            if layer is not None:
                return [(1, part.number, f"first in the output of layer '{layer}', in {where}")]
            for name, (value, _, weight) in losses.items():
                if not is_finite(value.detach()):
                    return [(1, part.number, _after(name, where))]
                if weight:
                    backward(value, retain_graph=True)
            if (bad := self._bad_gradient()) is not None:
                return [(1, part.number, f"first in the gradient of '{bad}', in {where}")]
        return []

    def _found_together(self, step: int, pieces: NumberedPieces) -> list[Finding]:
        """Do what `_found` does for a sharded model: every process computes as many passes."""
        found: list[Finding] = []
        if (bad := self._bad_gradient()) is not None:  # of the whole step
            found.append((2, 0, f"first in the gradient of '{bad}'"))
        for part in self._counted(self._parts(step, pieces))[1]:
            with torch.no_grad():
                layer, losses = self._watched(part)
            bad = next((name for name, one in losses.items() if not is_finite(one[0])), None)
            where = self._where(part)
            if layer is not None:
                words = f"first in the output of layer '{layer}', in {where}"
                found.append((1, part.number, words))
            elif bad is not None:
                found.append((1, part.number, _after(bad, where)))
        return found

    def _bad_weights(self) -> str | None:
        """Return the first weights that are not finite."""
        named = self.parameters.items()
        return next((name for name, one in named if not is_finite(local(one.detach()))), None)

    def _bad_gradient(self) -> str | None:
        """Return the last weights whose gradient is not finite; a backward begins at the end."""
        for name, parameter in reversed(self.parameters.items()):
            if parameter.grad is not None and not is_finite(local(parameter.grad)):
                return name
        return None

    def _watched(self, part: MicroBatch) -> tuple[str | None, Losses]:
        """Return the layer where a NaN or infinity first arises, and the losses."""
        with FirstBadModule(model=self.job.model, head=self.job.head) as watch:
            losses = self._losses(part)
        return watch.name, losses

    def _where(self, part: MicroBatch) -> str:
        """Return the number of a micro-batch and the places of its first examples."""
        indices = dict.fromkeys(encoded.index for encoded in part.encoded)
        places = ", ".join(self.job.places(index) for index in list(indices)[:3])
        more = ", …" if len(indices) > 3 else ""
        return f"micro-batch {part.number} ({len(indices)} examples: {places}{more})"


def _after(loss: str, where: str) -> str:
    return f"first in the loss '{loss}', after the last layer, in {where}"


def count_of(loss: str, counts: dict[str, int]) -> int:
    """Return what a loss is divided by.

    It is the Batch's count of the same name, else its target tokens; for the cosine loss, all
    states.
    """
    return counts["states" if loss == COSINE else loss if loss in counts else "tokens"]


def tokens_of(encoded: list[Encoded]) -> int:
    return sum(member.length for member in encoded)


def seed_of(seed: int, step: int, number: int, part: int) -> int:
    """Return the seed of dropout and masking, which does not depend on earlier steps."""
    digest = hashlib.blake2b(f"{seed} {step} {number} {part}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
