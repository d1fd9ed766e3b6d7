"""Measure the speed of training on this machine in a few steps on made-up ids, for forecasts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...messages import message

if TYPE_CHECKING:
    import torch

    from ...model.config import AnyConfig
    from ...model.rnn.recurrent import RecurrentTranslator
    from ...model.transformer import Transformer
    from ...training.settings import TrainingSettings

MEASURED_SECONDS = 5.0  # time limit of the measurement
WARM_STEPS, MOST_STEPS = 2, 40
CPU_WEIGHTS = 4_000_000  # that are updated there: many times what a cache holds
SLOW_SECONDS = 2.0  # of a first step that warms enough
WHOLE_TOKENS, PART_TOKENS = 4096, 1024  # of a batch measured whole on a CPU, and of a part
BUSY = 1.25  # slowdown, relative to a quiet machine, from which it is reported


@dataclass(frozen=True)
class Measured:
    """Hold the speed of training.

    Args:
        speed: Tokens per second with the machine to ourselves.
        slowdown: How many times longer it takes at present.
    """

    speed: float
    slowdown: float

    @property
    def words(self) -> str:
        """Return the remark on the measurement in brackets, for a forecast."""
        if self.slowdown < BUSY:
            return message("(measured just now)")
        return message(
            "(measured just now; other programs keep this machine busy, and as long as they do, "
            "training takes {slowdown:.1f} times as long)",
            slowdown=self.slowdown,
        )


def measured_speed(
    config: AnyConfig,
    length: float,
    batch_tokens: int = 4096,
    settings: TrainingSettings | None = None,
    target: int | None = None,
) -> Measured:
    """Train a few steps on texts of the usual `length` in tokens and return the speed.

    With two stacks, half of the tokens are on each side, or `target` of them on that side. On a CPU
    a large batch is measured by a part of it: its gradients count as often as it has parts, the
    update once. There the processor time of this thread counts: it computes, or waits for the
    others while it has a core, so other programs lengthen the wall time but not this. On an
    accelerator the wall time counts.
    """
    import torch

    from ...model.build import build
    from ...training.optimizer import Optimizers
    from ...training.precision import choose_device, choose_precision
    from ...training.settings import TrainingSettings

    settings = settings or TrainingSettings()
    without = {"source": "decoder", "target": "encoder"}  # architecture that has no such side
    sides = [name for name, other in without.items() if config.architecture != other]
    each = dict.fromkeys(sides, max(2, round(length / len(sides))))
    if target is not None:
        each = {"source": max(2, round(length) - target), "target": target}
    device = choose_device(settings.device)
    on_cpu = device.type == "cpu"
    some = PART_TOKENS if on_cpu and batch_tokens > WHOLE_TOKENS else batch_tokens
    count = max(1, some // sum(each.values()))
    model = build(config).to(device)
    model.precision = choose_precision(settings.precision, device)
    weights, share = _updated(model, on_cpu)
    optimizers = Optimizers(weights, settings)
    batch, ids = _batch(config, each, count, device)
    clock, done = _Clock(on_cpu), 0
    for step in range(MOST_STEPS):
        if step == WARM_STEPS or (step == 1 and clock.elapsed > SLOW_SECONDS):
            if not on_cpu:
                torch.accelerator.synchronize()
            clock, done = _Clock(on_cpu), 0
        model.reseed(step)
        _loss(model, model(**batch), ids, len(sides) == 2).backward()
        clock.add("gradients")
        optimizers.step(1e-4)
        model.zero_grad()
        clock.add("update")
        done += 1
        if done <= step and clock.elapsed > MEASURED_SECONDS:
            break
    if not on_cpu:
        torch.accelerator.synchronize()
        clock.add("update")
    tokens = count * sum(each.values())
    parts = max(1.0, batch_tokens / tokens)  # of a batch, each of which has its gradients
    whole = parts * clock.seconds["gradients"] + clock.seconds["update"] / share
    return Measured(done * parts * tokens / max(1e-6, whole), clock.slowdown)


def _updated(model: torch.nn.Module, on_cpu: bool) -> tuple[dict[str, Any], float]:
    """Return the parameters whose update is timed, and their share of all.

    On a CPU they are the first ones, enough of them: the optimizer's state of all takes twice the
    memory of the model.
    """
    every = dict[str, Any](model.named_parameters())
    found, held = dict[str, Any](), 0
    for name, weight in every.items():
        if on_cpu and held >= CPU_WEIGHTS:
            break
        found[name] = weight
        held += weight.numel()
    return found, held / sum(weight.numel() for weight in every.values())


class _Clock:
    """Time the two parts of a step: on a CPU in the processor time of this thread.

    seconds: of all gradients, and of all updates.
    """

    def __init__(self, on_cpu: bool) -> None:
        self._now = time.thread_time if on_cpu else time.monotonic
        self.seconds = {"gradients": 0.0, "update": 0.0}
        self._begun, self._last = time.monotonic(), self._now()

    def add(self, part: str) -> None:
        """Count the time since the last call for a part."""
        now = self._now()
        self.seconds[part] += now - self._last
        self._last = now

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begun

    @property
    def slowdown(self) -> float:
        """Return how many times longer than the parts together it took."""
        return self.elapsed / max(1e-6, sum(self.seconds.values()))


def _batch(
    config: AnyConfig, each: Mapping[str, int], count: int, device: torch.device
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Return `count` made-up examples of `each` side's length, and the ids of the last side."""
    import torch

    encoder = config.stacks.get("encoder")
    features = None if encoder is None else encoder.features
    batch: dict[str, torch.Tensor] = {}
    ids = torch.empty(0)
    for name, side in each.items():
        ids = torch.randint(2, config.vocabulary_size, (count * side,), device=device)
        is_sound = name == "source" and features is not None
        batch[name] = torch.randn(len(ids), features or 1, device=device) if is_sound else ids
        batch[f"{name}_lengths"] = torch.full((count,), side, device=device)
    return batch, ids


def _loss(model: Transformer | RecurrentTranslator, states: Any, ids: Any, projects: bool) -> Any:
    """Return a loss whose gradient costs as much as training's.

    It includes the projection to the vocabulary where text is generated.
    """
    from ...model.ops.cross_entropy import projected_cross_entropy

    if not projects:
        return states.float().square().mean()
    weight, offset = model.output_projection()
    total, _ = projected_cross_entropy(
        model.to_output(states), weight, offset, ids, 0.1, softcap=model.logit_softcap
    )
    return total / len(ids)
