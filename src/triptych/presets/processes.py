"""Compute what each of several processes needs to train a model, and what it sends in a step.

Memory and bytes are arithmetic on the configuration (Rajbhandari et al. 2020, sections 3 and 5;
docs/scale.md has the formulas). Imports no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from ..model.config import AnyConfig, RecurrentConfig
from ..model.dials import pattern
from ..runs.sizes import block_parameter_counts
from . import parameter_count
from .estimate import activation_bytes

Parallel = Literal["ddp", "fsdp"]
Precision = Literal["float32", "bfloat16"]
BYTES: dict[Precision, int] = {"float32": 4, "bfloat16": 2}
# ways to train that are compared: how, the activations, the weights that processes send each other
WAYS: tuple[tuple[Parallel, Precision, Precision], ...] = (
    ("ddp", "float32", "float32"),
    ("ddp", "bfloat16", "float32"),
    ("fsdp", "float32", "float32"),
    ("fsdp", "bfloat16", "float32"),
    ("fsdp", "bfloat16", "bfloat16"),
)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Hold what a recipe says of the need: the batches and the optimizer.

    Args:
        world: Processes.
        batch_tokens: Tokens of a micro-batch.
        accumulate: Micro-batches of a step, over all processes.
        optimizer: Numbers that the optimizer keeps of each weight: 2 with AdamW, 1 with Muon.
        average: An average of the weights is kept.
    """

    world: int
    batch_tokens: int = 4096
    accumulate: int = 1
    optimizer: int = 2
    average: bool = False

    @property
    def each(self) -> int:
        """Return the micro-batches that each process computes in a step."""
        return max(1, -(-self.accumulate // self.world))


@dataclass(frozen=True, kw_only=True)
class Need:
    """Hold bytes: of one process's memory, and of what it sends in a step."""

    parallel: Parallel
    precision: Precision
    fsdp_precision: Precision
    parameters: int
    gradients: int
    optimizer: int
    copies: int  # of weights, in the precision of the activations or joined, kept for backward
    gathered: int  # fsdp: whole weights of the root and of some blocks, with their gradients
    buffer: int  # ddp: all gradients once more, twice, while they are added
    activations: int
    all_reduce: int
    all_gather: int
    reduce_scatter: int

    @property
    def memory(self) -> int:
        """Return the peak: either a micro-batch is computed, or gradients are added."""
        kept = self.parameters + self.gradients + self.optimizer
        return kept + max(self.copies + self.gathered + self.activations, self.buffer)

    @property
    def sent(self) -> int:
        return self.all_reduce + self.all_gather + self.reduce_scatter

    def to_json(self) -> dict[str, object]:
        """Return the values, with the two sums."""
        return {**asdict(self), "memory": self.memory, "sent": self.sent}


def needs(config: AnyConfig, setting: Setting) -> list[Need]:
    """Return the need of every way to train; an RNN has no blocks to shard."""
    ways = [way for way in WAYS if way[0] == "ddp" or not isinstance(config, RecurrentConfig)]
    return [need(config, setting, *way) for way in ways]


def need(
    config: AnyConfig,
    setting: Setting,
    parallel: Parallel,
    precision: Precision,
    fsdp_precision: Precision = "float32",
) -> Need:
    """Return the need of one way to train. All weights count as trained."""
    count, world = parameter_count(config), setting.world
    blocks = block_parameter_counts(config)
    is_sharded = parallel == "fsdp"
    kept = -(-count // world) if is_sharded else count
    root, largest = count - sum(blocks), max(blocks, default=0)
    a_weight = BYTES[fsdp_precision]
    gathered = a_weight * (2 * root + 3 * largest) if is_sharded else 0
    is_same = precision == "float32" or (is_sharded and fsdp_precision == precision)
    copied = _joined(config) if is_same else count
    sums = 0 if is_sharded else 4 * count
    parts = setting.each * (2 * sum(blocks) + root) if is_sharded else 0
    return Need(
        parallel=parallel,
        precision=precision,
        fsdp_precision=fsdp_precision,
        parameters=4 * kept,
        gradients=4 * kept,
        optimizer=4 * kept * (setting.optimizer + setting.average),
        copies=BYTES[precision] * copied,
        gathered=gathered,
        buffer=2 * sums if world > 1 else 0,
        activations=round(activation_bytes(config, setting.batch_tokens, BYTES[precision])),
        all_reduce=_ring(2 * sums, world),
        all_gather=_ring(a_weight * parts, world),
        reduce_scatter=_ring(4 * count * setting.each if is_sharded else 0, world),
    )


def _ring(size: int, world: int) -> int:
    """Return what a process sends of `size` bytes that pass a ring once."""
    return size * (world - 1) // world


def _joined(config: AnyConfig) -> int:
    """Count the weights of queries, keys and values, which self-attention joins to one matrix."""
    if isinstance(config, RecurrentConfig):
        return 0
    total = 0
    for stack in config.stacks.values():
        for layer in range(stack.layers):
            one = stack.of_block(layer % pattern(stack))
            heads = one.heads + 2 * (one.key_heads or one.heads)
            total += one.width * one.size_of_head * heads
    return total
