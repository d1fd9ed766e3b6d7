"""Shard parameters, gradients and optimizer state of a Transformer over processes with FSDP2.

The parameters of a block are gathered where the block runs, and freed after it. Those outside the
blocks belong to the root: embeddings, the final norms and the vocabulary projection (ZeRO,
Rajbhandari et al. 2020, section 5; FSDP, Zhao et al. 2023).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Generator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor

from ..model.block import Block
from ..model.lora import Adapted
from ..model.transformer import Transformer
from .local import local

# the root's methods, beside `forward`, that run blocks
PASSES = ("encode", "start", "step", "read_on", "attention_weights")


def shard(
    model: Transformer,
    mesh: DeviceMesh,
    precision: torch.dtype = torch.float32,
    offload: bool = False,
) -> None:
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
        model: A model with the same loaded weights in every process, not prepacked. Every process
            must afterwards call its methods in the same order and reach the same parameters.
        mesh: A mesh of one axis and of the device type that the model runs on.
        precision: That of the gathered parameters. The shards, the sums of gradients and the
            optimizer stay in float32.
        offload: Keep the shards in the main memory, where the optimizer moves them.
    """
    options: dict[str, Any] = {
        "mesh": mesh,
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=None if precision == torch.float32 else precision,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        ),
        "offload_policy": CPUOffloadPolicy(pin_memory=mesh.device_type == "cuda")
        if offload
        else OffloadPolicy(),
    }
    for block in [module for module in model.modules() if isinstance(module, Block)]:
        _fully_shard(block, options)
        if block.cross_attention is not None:
            register_fsdp_forward_method(block, "memory_keys")
    root = _fully_shard(model, options, stays_whole=True)
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


def _fully_shard(
    module: nn.Module, options: Mapping[str, Any], stays_whole: bool = False
) -> FSDPModule:
    """Gather together those parameters of `module` that belong to no group yet."""
    with _plain_weights():
        fully_shard(module, **options, reshard_after_forward=not stays_whole)
        group = cast(FSDPModule, module)
        group.set_gradient_divide_factor(1.0)
        group.set_force_sum_reduction_for_comms(True)  # gloo's other reduction is a mean
        # The first gathering makes the buffers of all later ones. Buffers made while decoding, in
        # inference mode, could not be used in training.
        group.unshard()
        group.reshard()
    return group


@contextlib.contextmanager
def _plain_weights() -> Generator[None]:
    """Let `weight` of an adapted layer be its parameter, which FSDP2 reads once by this name."""
    summed = Adapted.__dict__["weight"]
    delattr(Adapted, "weight")
    try:
        yield
    finally:
        setattr(Adapted, "weight", summed)  # noqa: B010  (it is a property)


def placed(whole: Tensor, like: Tensor) -> Tensor:
    """Return this process's part of a whole tensor, cut and placed as `like` is."""
    if not isinstance(like, DTensor):
        return whole.to(like.device)
    return _with_local(_rows(whole, like).to(local(like).device, copy=True), like, like.device_mesh)


def _rows(whole: Tensor, like: DTensor) -> Tensor:
    """Return the rows of a whole tensor that this process holds of `like`.

    FSDP2 cuts the first axis into equal parts, of which the last may be shorter or empty.
    """
    part = -(-whole.shape[0] // like.device_mesh.size())
    first = min(part * like.device_mesh.get_local_rank(), whole.shape[0])
    return whole[first : first + part]


def _with_local(part: Tensor, like: DTensor, mesh: DeviceMesh) -> Tensor:
    return DTensor.from_local(
        part, mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def staged(tensor: Tensor, mesh: DeviceMesh) -> Tensor:
    """Return a copy of a tensor, or of this process's part of it, in the main memory.

    Args:
        tensor: The tensor.
        mesh: A mesh of the same processes, of device type "cpu".
    """
    copy = local(tensor.detach()).to("cpu", copy=True)
    return _with_local(copy, tensor, mesh) if isinstance(tensor, DTensor) else copy


def whole(tensor: Tensor) -> Tensor:
    """Return the whole tensor on the device of the mesh; every process must call it."""
    if not isinstance(tensor, DTensor):
        return tensor
    on_device = cast(DTensor, tensor.detach().to(tensor.device_mesh.device_type))
    return on_device.full_tensor()


def step_whole(muon: torch.optim.Muon) -> None:
    """Take Muon's step on whole matrices, one at a time, as one process would.

    Newton-Schulz needs all rows, and in bf16 it would enlarge the rounding of sums over processes.
    """
    for group in muon.param_groups:
        options = {name: value for name, value in group.items() if name != "params"}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            matrix = nn.Parameter(whole(parameter).clone())
            matrix.grad = whole(parameter.grad)
            one = torch.optim.Muon([{**options, "params": [matrix]}])
            if (held := muon.state.get(parameter)) is not None:
                one.state[matrix] = {name: whole(value) for name, value in held.items()}
            cast(Any, one).step()
            with torch.no_grad():
                local(parameter).copy_(local(placed(matrix.detach(), parameter)))
            muon.state[parameter] = {
                name: placed(value, parameter) for name, value in one.state[matrix].items()
            }
