"""Shard parameters, gradients and optimizer state of a Transformer over processes with FSDP2.

The parameters of a block are gathered where the block runs, and freed after it. Those outside the
blocks belong to the root: embeddings, the final norms and the vocabulary projection (ZeRO,
Rajbhandari et al. 2020, section 5; FSDP, Zhao et al. 2023).
"""

from __future__ import annotations

import functools
from typing import cast

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from ..model.block import Block
from ..model.lora import Adapted
from ..model.transformer import Transformer

# the root's methods, beside `forward`, that run blocks
PASSES = ("encode", "start", "step", "attention_weights")


def shard(model: Transformer, mesh: DeviceMesh) -> None:
    """Shard the parameters of `model` over the processes of `mesh`, in place.

    Gradients are added over the processes, as `World.sum_gradients` adds them, because every loss
    is divided by the count of the whole step before it goes backward.

    A loss may read the vocabulary projection after `forward` has returned. It needs no extra
    method on the root: the root keeps its parameters whole from its forward to the end of its
    backward, and reduces their gradients only there, after the loss has added its own.
    `output_projection` is not registered as a forward method, because FSDP2 puts a hook on every
    tensor that such a method returns, and hooks on a parameter would pile up from step to step.
    It gathers the root's parameters instead, also for `project` and `exact_logits`.

    A pass without a backward leaves the root whole. The next `forward` gathers it anew; other
    methods do not, so call `model.reshard()` before writing into the parameters or listing them.

    Args:
        model: A model with the same loaded weights in every process, neither prepacked nor
            adapted. Every process must afterwards call its methods in the same order and reach the
            same parameters.
        mesh: A mesh of one axis and of the device type that the model runs on.
    """
    assert not any(isinstance(module, Adapted) for module in model.modules()), (
        "FSDP2 takes the property `weight` of an adapted layer for its parameter"
    )
    for block in [module for module in model.modules() if isinstance(module, Block)]:
        _fully_shard(block, mesh)
        if block.cross_attention is not None:
            register_fsdp_forward_method(block, "memory_keys")
    root = _fully_shard(model, mesh, stays_whole=True)
    for name in PASSES:
        register_fsdp_forward_method(model, name)
    read = model.output_projection

    @functools.wraps(read)
    def gather_and_read() -> tuple[Tensor, Tensor | None]:
        root.unshard()
        return read()

    def reshard(module: nn.Module, inputs: object) -> None:
        root.reshard()

    model.output_projection = gather_and_read
    # It runs before FSDP2's own hook, which takes a whole root for an up-to-date one.
    model.register_forward_pre_hook(reshard, prepend=True)


def _fully_shard(module: nn.Module, mesh: DeviceMesh, stays_whole: bool = False) -> FSDPModule:
    """Gather together those parameters of `module` that belong to no group yet."""
    fully_shard(module, mesh=mesh, reshard_after_forward=not stays_whole)
    group = cast(FSDPModule, module)
    group.set_gradient_divide_factor(1.0)
    group.set_force_sum_reduction_for_comms(True)  # gloo has no other reduction that is not a mean
    # The first gathering makes the buffers of all later ones. Buffers made while decoding, in
    # inference mode, could not be used in training.
    group.unshard()
    group.reshard()
    return group
