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
    the processor time of this thread counts. The thread computes, or waits for the others while it
    has a core, so other programs lengthen the wall time but not this. On an accelerator the wall
    time counts.
    """
    import torch

    from ...model.build import build
    from ...training.optimizer import Optimizers
    from ...training.precision import choose_device, choose_precision
    from ...training.settings import TrainingSettings

    settings = settings or TrainingSettings()
    sides = [
        name
        for name, other in (("source", "decoder"), ("target", "encoder"))
        if config.architecture != other
    ]
    each = dict.fromkeys(sides, max(2, round(length / len(sides))))
    if target is not None:
        each = {"source": max(2, round(length) - target), "target": target}
    count = max(1, batch_tokens // sum(each.values()))
    device = choose_device(settings.device)
    model = build(config).to(device)
    model.precision = choose_precision(settings.precision, device)
    optimizers = Optimizers(dict(model.named_parameters()), settings)
    batch, ids = _batch(config, each, count, device)
    clock, used, done = time.monotonic(), time.thread_time(), 0
    for step in range(MOST_STEPS):
        if step == WARM_STEPS:
            if device.type != "cpu":
                torch.accelerator.synchronize()
            clock, used, done = time.monotonic(), time.thread_time(), 0
        model.reseed(step)
        _loss(model, model(**batch), ids, len(sides) == 2).backward()
        optimizers.step(1e-4)
        optimizers.forget_gradients()
        done += 1
        if step > WARM_STEPS and time.monotonic() - clock > MEASURED_SECONDS:
            break
    if device.type != "cpu":
        torch.accelerator.synchronize()
    elapsed = time.monotonic() - clock
    seconds = max(1e-6, time.thread_time() - used if device.type == "cpu" else elapsed)
    return Measured(done * count * sum(each.values()) / seconds, elapsed / seconds)


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
