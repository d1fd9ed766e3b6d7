"""Optimize with torch's AdamW, or with torch's Muon for the matrices inside blocks.

Muon (Jordan et al. 2024) moves a matrix along its orthogonalised momentum, with five Newton-Schulz
steps in bf16. Its updates are scaled to the size of AdamW's (Liu et al. 2025, section 2.2), so one
learning rate fits both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import RunError, UsageError
from .local import Place, is_sharded, local, moved
from .settings import TrainingSettings

# torch has no types for these
FOREACH_NORM: Callable[[list[Tensor]], list[Tensor]] = cast(Any, torch)._foreach_norm
FOREACH_MUL: Callable[[list[Tensor], float], None] = cast(Any, torch)._foreach_mul_
VECTOR_NORM: Callable[[Tensor], Tensor] = cast(Any, torch).linalg.vector_norm
# what each keeps of a parameter, by whether it is Muon
STATES = {True: {"momentum_buffer"}, False: {"step", "exp_avg", "exp_avg_sq"}}
_LAYER = re.compile(r"(.*?)\.?blocks\.(\d+)\.")


class Optimizers:
    """Hold the optimizers of one run over named parameters."""

    def __init__(self, parameters: dict[str, nn.Parameter], settings: TrainingSettings) -> None:
        self.parameters = {
            name: parameter for name, parameter in parameters.items() if parameter.requires_grad
        }
        hidden = {
            name for name, parameter in self.parameters.items() if is_hidden_matrix(name, parameter)
        }
        if settings.optimizer == "muon" and not hidden:
            raise UsageError(
                "training.optimizer 'muon' is for the matrices inside Transformer blocks, and "
                "this model has none. Use 'adamw'."
            )
        if settings.optimizer != "muon":
            hidden = set[str]()
        rest = {
            name: parameter for name, parameter in self.parameters.items() if name not in hidden
        }
        factors = rate_factors(self.parameters, settings.layer_decay, settings.head_rate)
        self.optimizers: list[torch.optim.Optimizer] = []
        if rest:  # empty if only adapters are trained with Muon
            adamw = torch.optim.AdamW(
                _groups(rest, settings.weight_decay, factors),
                lr=settings.learning_rate,
                fused=True,
                betas=(settings.beta1, settings.beta2),
                eps=settings.epsilon,
            )
            self.optimizers.append(adamw)
        if hidden:
            matrices = {
                name: parameter for name, parameter in self.parameters.items() if name in hidden
            }
            self.optimizers.append(
                torch.optim.Muon(
                    _groups(matrices, settings.weight_decay, factors),
                    lr=settings.learning_rate,
                    weight_decay=settings.weight_decay,
                    momentum=settings.muon_momentum,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def step(self, learning_rate: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * group["factor"]
            if isinstance(optimizer, torch.optim.Muon) and any(
                is_sharded(one) for group in optimizer.param_groups for one in group["params"]
            ):
                from .sharding import step_whole

                step_whole(optimizer)
            else:
                cast(Any, optimizer).step()

    def forget_gradients(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state: "PARAMETER/KEY" -> tensor."""
        state: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            for optimizer in self.optimizers:
                for key, value in optimizer.state.get(parameter, {}).items():
                    state[f"{name}/{key}"] = value
        return state

    def load(self, tensors: Mapping[str, Tensor], where: str, place: Place = moved) -> None:
        """Restore a saved state; raise RunError if it does not belong to these parameters."""
        owner = {
            id(parameter): optimizer
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
        }
        states: dict[str, dict[str, Tensor]] = {}
        for full_name, tensor in tensors.items():
            name, _, key = full_name.rpartition("/")
            parameter = self.parameters.get(name)
            if parameter is None or (tensor.ndim and tensor.shape != parameter.shape):
                raise RunError(
                    f"{where} holds '{full_name}' {tuple(tensor.shape)}, which does not fit the "
                    "model. Resume with the run's own recipe."
                )
            own = place(tensor, parameter) if tensor.ndim else tensor.to(parameter.device)
            states.setdefault(name, {})[key] = own
        for name, state in states.items():
            parameter = self.parameters[name]
            optimizer = owner[id(parameter)]
            if ("momentum_buffer" in state) != isinstance(optimizer, torch.optim.Muon):
                raise RunError(
                    f"{where} was written by another optimizer. Resume with the run's own "
                    "training.optimizer."
                )
            if lacking := STATES[isinstance(optimizer, torch.optim.Muon)] - state.keys():
                raise RunError(
                    "{where} lacks '{name}/{key}': it is damaged. Delete its folder to go on from "
                    "the checkpoint before it.",
                    where=where,
                    name=name,
                    key=sorted(lacking)[0],
                )
            optimizer.state[parameter] = state


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Tell whether Muon may train a parameter: a matrix inside a block, not an embedding."""
    return parameter.ndim == 2 and "blocks." in name and "embedding" not in name


def gradient_norm(
    parameters: Iterable[nn.Parameter], total: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return the Euclidean norm of all gradients together.

    Args:
        parameters: Those that are trained.
        total: Adds a tensor over the processes, for gradients of which each holds a part.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    parts = [local(gradient) for gradient in gradients if is_sharded(gradient)]
    whole = [gradient for gradient in gradients if not is_sharded(gradient)]
    if not parts or total is None:
        return _norm(whole)
    square = total(_norm(parts).square())
    return (square + _norm(whole).to(square.device).square()).sqrt()


def _norm(tensors: list[Tensor]) -> Tensor:
    if not tensors:
        return torch.zeros(())
    return VECTOR_NORM(torch.stack(FOREACH_NORM(tensors)))


def clip(parameters: Iterable[nn.Parameter], norm: float, largest: float | None) -> None:
    """Scale the gradients so that their norm is at most `largest` (Pascanu et al. 2013)."""
    if largest is not None and norm > largest:
        FOREACH_MUL(
            [local(parameter.grad) for parameter in parameters if parameter.grad is not None],
            largest / norm,
        )


def rate_factors(names: Iterable[str], layer_decay: float, head_rate: float) -> dict[str, float]:
    """Return the factor of each parameter's learning rate.

    It is `head_rate` for the head, 1 for the top layer of each stack, and `layer_decay` times less
    for each layer below; embeddings count as the layer below the lowest.

    Raises:
        UsageError: `layer_decay` is not 1 and the model has no layers.
    """
    names = list(names)
    layers: dict[str, int] = {}
    for name in names:
        found = _LAYER.match(name)
        if found:
            layers[found[1]] = max(layers.get(found[1], 0), int(found[2]) + 1)
    if layer_decay != 1 and not layers:
        raise UsageError(
            "training.layer_decay needs Transformer blocks that are trained, and this model has "
            "none. Leave it at 1."
        )
    factors: dict[str, float] = {}
    for name in names:
        found = _LAYER.match(name)
        below = 0
        if found:
            below = layers[found[1]] - 1 - int(found[2])
        elif "embedding" in name or "entrance" in name:
            below = max(layers.values(), default=0)
        factors[name] = head_rate if name.startswith("head.") else layer_decay**below
    return factors


def _groups(
    parameters: dict[str, nn.Parameter], weight_decay: float, factors: dict[str, float]
) -> list[dict[str, object]]:
    """Group parameters by weight decay and learning-rate factor; only matrices decay.

    Sharded parameters have groups of their own: no fused step takes both kinds.
    """
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        shrinks = parameter.ndim >= 2 and "embedding" not in name
        key = weight_decay if shrinks else 0.0, factors[name], is_sharded(parameter)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": members, "weight_decay": decay, "factor": factor}
        for (decay, factor, _), members in groups.items()
    ]
