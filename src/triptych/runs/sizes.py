"""Compute what a model needs and compare it with its files and this machine's memory.

This is arithmetic on the configuration alone, done before anything is allocated or a layer is
built, so that an absurd number in a config.json or a recipe is refused. Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import RunError, UsageError
from ..model.config import AnyConfig, ModelConfig, RecurrentConfig, StackConfig
from ..model.dials import RELATIVE_BUCKETS, pattern
from .storage import read_tensors, tensor_shapes

FLOAT_BYTES = 4
LAYER_BYTES = 40_000  # Python objects of a block's modules, measured over 2,000 blocks of width 2


def parameter_count(config: AnyConfig) -> int:
    """Count the numbers that the model learns. Tied matrices count once."""
    return _recurrent(config) if isinstance(config, RecurrentConfig) else _transformer(config)


def active_parameter_count(config: AnyConfig) -> int:
    """Count the numbers that one token is computed with: of experts, only those that it uses."""
    if isinstance(config, RecurrentConfig):
        return parameter_count(config)
    return parameter_count(config) - sum(map(_idle, config.stacks.values()))


def layer_count(config: AnyConfig) -> int:
    """Count the blocks of all stacks."""
    stacks = () if isinstance(config, RecurrentConfig) else (config.encoder, config.decoder)
    return sum(1 if stack.shared_layers else stack.layers for stack in stacks if stack is not None)


def block_parameter_counts(config: AnyConfig) -> list[int]:
    """Count the numbers of each block, of all stacks; blocks that are one count once."""
    if isinstance(config, RecurrentConfig):
        return []
    counts: list[int] = []
    for side, stack in config.stacks.items():
        encoder = config.encoder
        memory = encoder.width if encoder is not None and side == "decoder" else None
        each = [_block(stack.of_block(layer), memory) for layer in range(pattern(stack))]
        layers = 1 if stack.shared_layers else stack.layers
        counts += [each[layer % len(each)] for layer in range(layers)]
    return counts


def bytes_needed(config: AnyConfig, a_weight: int = FLOAT_BYTES, tokens: int = 0) -> int:
    """Return a lower bound of the bytes that a model needs.

    These are weights, what is kept with each of them, modules, and the largest activation (in
    bfloat16).

    Args:
        config: The model.
        a_weight: Bytes for each weight: 4 to use it, more to train it.
        tokens: Tokens of a micro-batch.
    """
    if isinstance(config, RecurrentConfig):
        widest = max(3 * config.width, 2 * config.readout_width)
    else:
        widest = max(
            (
                max(one.width, one.inner_width)
                for one in (config.encoder, config.decoder)
                if one is not None
            ),
            default=0,
        )
    return (
        a_weight * parameter_count(config)
        + LAYER_BYTES * (layer_count(config) + _expert_count(config))
        + 2 * tokens * widest
    )


def refuse_unlike(
    config: AnyConfig,
    where: str | Path,
    weights: Sequence[Path],
    held_shapes: Sequence[tuple[int, ...]] | None = None,
) -> None:
    """Raise RunError where the weights' files or the memory cannot hold the model.

    A file that holds a little less than the model is left to the later comparison of names and
    shapes.

    Args:
        config: The model.
        where: The file that describes it.
        weights: Its safetensors files, of which only the headers are read.
        held_shapes: The shapes of its tensors, for files of another format.
    """
    shapes = list(held_shapes or ())
    # Where a header cannot be read, reading the whole file raises the error that names it.
    for path in weights if held_shapes is None else ():
        shapes += tensor_shapes(path).values() or [
            tuple(tensor.shape) for tensor in read_tensors(path).values()
        ]
    held, wanted, layers, free = (
        sum(map(_product, shapes)),
        parameter_count(config),
        layer_count(config),
        available_memory(),
    )
    names = " and ".join(path.name for path in weights[:2]) + (
        f" and {len(weights) - 2:,} more" if len(weights) > 2 else ""
    )
    described = (
        f"{where} describes a model of {wanted:,} weights in {layers:,} layers "
        f"({_size(FLOAT_BYTES * wanted)} in fp32)"
    )
    stored = (
        f"{names} holds {held:,} weights in {len(shapes):,} tensors ({_size(FLOAT_BYTES * held)})"
    )
    too_large = free is not None and bytes_needed(config) > free
    if layers > len(shapes) or (too_large and wanted > held):
        raise RunError(
            "{described}, but {stored}: they belong to different models, or one is "
            "damaged. Copy both again.",
            described=described,
            stored=stored,
        )
    if too_large:
        raise RunError(
            "{described}, but this machine has only {size} of free memory. Free "
            "some, or use a machine with more.",
            described=described,
            size=_size(free or 0),
        )


def refuse_too_large(
    config: AnyConfig, a_weight: int, tokens: int, free: int | None = None
) -> None:
    """Raise UsageError where a model to be trained needs more memory than is free.

    Args:
        config: The model.
        a_weight: Bytes for each weight in training: itself, its gradient, the optimizer's
            state, the average.
        tokens: Tokens of a micro-batch.
        free: Free bytes of the device; None: of this machine.
    """
    free = available_memory() if free is None else free
    needed = bytes_needed(config, a_weight, tokens)
    if free is not None and needed > free:
        raise UsageError(
            "A model of {parameter_count:,} weights in {layer_count:,} layers "
            "needs at least {size} to train ({a_weight} bytes a weight, {tokens:,} "
            "tokens a micro-batch), but only {size2} of memory are free. Give a "
            "smaller model.preset, model.layers or model.width.",
            parameter_count=parameter_count(config),
            layer_count=layer_count(config),
            size=_size(needed),
            a_weight=a_weight,
            tokens=tokens,
            size2=_size(free),
        )


def available_memory() -> int | None:
    """Return the bytes that this process may still take, swap included; None if unknown.

    It is what /proc/meminfo calls available, within the limit of the control group; on other
    systems it is the physical memory.
    """
    try:
        lines = dict(
            line.split(":", 1)
            for line in Path("/proc/meminfo").read_text().splitlines()
            if ":" in line
        )
        free = sum(
            int(lines[name].split()[0]) * 1024
            for name in ("MemAvailable", "SwapFree")
            if name in lines
        )
    except (OSError, ValueError, IndexError):
        free = 0
    if not free:
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    return min([free, *_group_limits()])


def _group_limits(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[int]:
    """Return the free bytes in each control group above this process (versions 2 and 1).

    Cached files count as free.
    """
    try:
        groups = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    found = []
    for _, kinds, name in (group for group in groups if len(group) == 3):
        if kinds not in ("", "memory"):
            continue
        base, files = (root, ("memory.max", "memory.current")) if not kinds else (
            root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # fmt: skip
        inside = base / name.lstrip("/")
        for folder in (inside, *inside.parents):
            if folder != base and base not in folder.parents:
                break
            try:
                limit, used = (int((folder / file).read_text()) for file in files)
                stat = dict(
                    line.split() for line in (folder / "memory.stat").read_text().splitlines()
                )
            except (OSError, ValueError):  # no limit ("max"), or no such group in this container
                continue
            found.append(
                max(
                    0,
                    limit
                    - used
                    + int(stat.get("total_inactive_file", stat.get("inactive_file", 0))),
                )
            )
    return found


def _product(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def _transformer(config: ModelConfig) -> int:
    """Count embeddings, stacks, and the output projection where it is not tied."""
    encoder, decoder = config.encoder, config.decoder
    last = decoder or encoder
    assert last is not None, "a Transformer needs an encoder, a decoder or both"
    width = config.embedding_width
    count = config.vocabulary_size * (width or last.width)
    if not config.tied_embeddings:
        count += config.vocabulary_size * last.width
    elif width is not None and decoder:
        count += last.width * width
    count += config.vocabulary_size * config.output_bias
    if encoder and decoder and config.source_vocabulary_size is not None:
        count += config.source_vocabulary_size * (width or encoder.width)
    for side, stack in config.stacks.items():
        memory = encoder.width if encoder and side == "decoder" else None
        count += _entrance(stack, config) + _stack(stack, memory) + _stem(stack)
    return count


def _stem(stack: StackConfig) -> int:
    """Count the weights of two convolutions with a kernel of 3, which a stem has."""
    if stack.features is None:
        return 0
    return stack.width * (3 * stack.features + 3 * stack.width + 2)


def _entrance(stack: StackConfig, config: ModelConfig) -> int:
    """Count positions, segments, their norm, and the projection of narrower embeddings."""
    narrow, of_tokens = config.embedding_width, config.embedding_projection == "tokens"
    width = stack.width if narrow is None or of_tokens else narrow
    table = (stack.max_positions if stack.positions == "learned" else 0) + stack.segments
    projection = 0 if narrow is None else stack.width * (narrow + (not of_tokens))
    return width * (table + stack.embedding_norm * _a_norm(stack)) + projection


def _a_norm(stack: StackConfig) -> int:
    """Return how many numbers a norm has for each column."""
    return 1 + (stack.norm == "layer" and stack.norm_bias)


def _stack(stack: StackConfig, memory_width: int | None) -> int:
    norm = stack.width * _a_norm(stack)
    counts = [_block(stack.of_block(layer), memory_width) for layer in range(pattern(stack))]
    blocks = _over_blocks(stack, counts)
    has_buckets = stack.positions == "relative" or stack.relative_bias
    relative = RELATIVE_BUCKETS * stack.heads if has_buckets else 0
    ends = (stack.norm_placement != "post") - (not stack.first_norm)
    if stack.disentangled is not None:
        side = stack.disentangled.get("buckets", 0) or stack.disentangled["farthest"]
        relative, ends = relative + 2 * side * stack.width, ends + 1
    return blocks + relative + norm * ends


def _over_blocks(stack: StackConfig, counts: Sequence[int]) -> int:
    """Add up counts of blocks that repeat."""
    whole, rest = divmod(1 if stack.shared_layers else stack.layers, len(counts))
    return whole * sum(counts) + sum(counts[:rest])


def _expert_count(config: AnyConfig) -> int:
    """Count the experts of all blocks."""
    stacks = () if isinstance(config, RecurrentConfig) else config.stacks.values()
    return sum(
        _over_blocks(stack, [stack.of_block(layer).experts or 0 for layer in range(pattern(stack))])
        for stack in stacks
    )


def _idle(stack: StackConfig) -> int:
    """Count the weights of experts that a token does not use."""
    blocks = [stack.of_block(layer) for layer in range(pattern(stack))]
    idle = [
        (one.experts - (one.experts_per_token or 1)) * _feed_forward(one) if one.experts else 0
        for one in blocks
    ]
    return _over_blocks(stack, idle)


def _feed_forward(dials: StackConfig) -> int:
    """Count the weights of one feed-forward network, or of one expert."""
    matrices = 3 if dials.gated else 2
    bias = dials.bias if dials.feed_forward_bias is None else dials.feed_forward_bias
    biases = (matrices - 1) * dials.inner_width + dials.width
    return matrices * dials.width * dials.inner_width + bias * biases


def _block(dials: StackConfig, memory_width: int | None) -> int:
    width, a_norm = dials.width, _a_norm(dials)
    keys = dials.size_of_head * (dials.key_heads or dials.heads)
    queries = dials.size_of_head * dials.heads
    has_bias = dials.attention_biases or 4 * [dials.bias]
    biases = sum(
        size for size, has in zip((queries, keys, keys, width), has_bias, strict=True) if has
    )
    experts = dials.experts or 0
    feed_forward = max(1, experts) * _feed_forward(dials) + experts * width  # and the router
    sizes = {"head": 2 * dials.size_of_head, "whole": queries + keys}  # of queries and keys
    parts = biases + sizes.get(dials.query_key_norm or "", 0) * a_norm
    norm = width * a_norm * (2 if dials.norm_placement == "both" else 1)
    norms = norm * (1 if dials.parallel == "one_norm" else 2)
    own = 2 * width * queries + 2 * width * keys + parts
    if dials.self_attention is not None:  # a recurrent unit in its place
        own = 2 * width * width + dials.bias * width
    count = own + feed_forward + norms
    if dials.attention_globals is not None:  # queries, keys and values of their own
        count += width * (queries + 2 * keys)
        count += sum(
            size for size, has in zip((queries, keys, keys), has_bias, strict=False) if has
        )
    if memory_width is not None:
        count += 2 * width * queries + 2 * memory_width * keys + parts + norm
    return count


def _recurrent(config: RecurrentConfig) -> int:
    """Count embeddings, encoder, decoder, attention if any, and the output projection."""
    inputs, width, readout = config.embedding_width, config.width, config.readout_width
    count = config.vocabulary_size * inputs + (config.source_vocabulary_size or 0) * inputs

    def cell(entrance: int) -> int:
        return 3 * width * (entrance + 1) + 3 * width * width

    count += 2 * cell(inputs)  # the two directions of the encoder
    # first state, decoder, context
    count += width * (width + 1) + cell(inputs) + 2 * width * 3 * width
    if config.attention:
        count += (
            width * config.attention_width
            + (2 * width + 1) * config.attention_width
            + config.attention_width
        )
    count += (width + inputs + 2 * width + 1) * 2 * readout
    return count + (readout + 1) * config.vocabulary_size
