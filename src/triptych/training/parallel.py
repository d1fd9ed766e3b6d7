"""Decide how several processes share a training, and shard a model for it.

ddp: each process has the whole model, and gradients are added. fsdp: each has a share of weights,
gradients and the optimizer's state (`sharding.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..model.transformer import Transformer
from ..runs.checkpoint import weights_of
from ..runs.run import Run
from ..runs.sizes import FLOAT_BYTES, available_memory
from .distributed import World
from .local import Place, is_sharded, moved
from .settings import TrainingSettings

if TYPE_CHECKING:
    from .sharded_checkpoint import ShardWriter


def bytes_of_a_weight(settings: TrainingSettings) -> int:
    """Return the bytes of a trained weight with its gradient, moments and average."""
    numbers = (3 if settings.optimizer == "muon" else 4) + (settings.average > 0)
    return FLOAT_BYTES * numbers


def is_sharding(
    model: nn.Module,
    parameters: Mapping[str, nn.Parameter],
    settings: TrainingSettings,
    processes: World,
    device: torch.device,
) -> bool:
    """Tell whether the processes shard the model.

    Args:
        model: The model, of which some parameters may be frozen.
        parameters: All parameters, those of the head too.
        settings: `parallel` decides; "auto" shards where a process could not hold all.
        processes: With one, nothing is sharded.
        device: That of this process.

    Raises:
        UsageError: `parallel` is fsdp, and the model is no Transformer.
    """
    if processes.size == 1 or settings.parallel == "ddp":
        return False
    fits = isinstance(model, Transformer)
    if settings.parallel == "fsdp" and not fits:
        raise UsageError(
            "training.parallel 'fsdp' shards the blocks of a Transformer, and this model is a "
            "recurrent one. Use 'ddp'."
        )
    if settings.parallel == "fsdp" or not fits:
        return settings.parallel == "fsdp"
    needed = sum(
        one.numel() * (bytes_of_a_weight(settings) if one.requires_grad else FLOAT_BYTES)
        for one in parameters.values()
    )
    # The processes of a machine share its memory.
    beside = 1 if device.type == "cuda" else int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
    return bool(processes.largest(int(free is not None and needed > free // beside)))


def shard_model(
    model: Any, head: nn.Module, settings: TrainingSettings, processes: World, device: torch.device
) -> None:
    """Give every process its share of the model's weights; those of the head stay whole."""
    from torch.distributed.device_mesh import init_device_mesh

    from .sharding import shard

    processes.share_weights(weights_of(model, head).values())
    mesh = init_device_mesh(device.type, (processes.size,))
    precision = {"float32": torch.float32, "bfloat16": torch.bfloat16}[settings.fsdp_precision]
    shard(model, mesh, precision, settings.fsdp_offload)


def sharded_writer(run: Run, processes: World) -> ShardWriter:
    """Return what writes the checkpoints of a sharded model."""
    from .sharded_checkpoint import ShardWriter

    return ShardWriter(run, processes)


def placing(is_sharded: bool) -> Place:
    """Return how a saved tensor becomes one of this process."""
    if not is_sharded:
        return moved
    from .sharding import placed

    return placed


def has_shards(model: nn.Module) -> bool:
    """Tell whether a model was sharded, so that no process can compute with it alone."""
    return hasattr(model, "reshard")


def regather(model: Any) -> None:
    """Free a sharded model's whole parameters, so that its shards can be read and written."""
    if has_shards(model):
        model.reshard()


def gathered(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return whole tensors; every process of a sharded model must call it."""
    if not any(map(is_sharded, tensors.values())):
        return tensors
    from .sharding import whole

    return {name: whole(tensor).cpu() for name, tensor in tensors.items()}
