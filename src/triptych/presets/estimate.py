"""Describe a model's shape, and estimate the memory that training it needs. Imports no torch."""

from __future__ import annotations

from ..messages import Message, clauses, message
from ..model.config import ModelConfig, RecurrentConfig, StackConfig
from ..model.dials import pattern
from . import active_parameter_count, parameter_count

# Peaks on two cores (glibc, 2026-11-21): 1.6 GB for 1.3 M parameters, 2.6 GB for 5.2 M, both with
# 4,096 tokens a micro-batch. Most of it is a heap that grows under batches of many sizes, so the
# need of one batch counts several times.
PROCESS_BYTES = 1.2e9
HEAP_GROWTH = 4


STACKS = (message("encoder"), message("decoder"))  # named to a user


def size_of(config: ModelConfig | RecurrentConfig) -> str:
    """Describe the shape of a model in a few words."""
    if isinstance(config, RecurrentConfig):
        return message(
            "GRU encoder-decoder, width {width}, {attention}",
            width=config.width,
            attention=message("additive attention")
            if config.attention
            else message("no attention"),
        )
    stacks: list[Message] = []
    for side, stack in config.stacks.items():
        sizes = message(
            "{side} {layers} layers, width {width}, {heads} heads, inner {inner}",
            side=Message(side),
            layers=stack.layers,
            width=stack.width,
            heads=stack.heads,
            inner=stack.inner_width,
        )
        stacks += [one for one in (sizes, _experts_of(stack)) if one is not None]
    active = active_parameter_count(config)
    if active < parameter_count(config):
        stacks.append(message("{active:,} parameters used by each token", active=active))
    return clauses(stacks)


def _experts_of(stack: StackConfig) -> Message | None:
    """Say how many experts the sparse blocks of a stack have; None if it is dense."""
    blocks = [stack.of_block(layer) for layer in range(pattern(stack))]
    sparse = [one.experts for one in blocks if one.experts]
    if not sparse:
        return None
    return message(
        "{chosen} of {experts} experts a token",
        chosen=stack.experts_per_token or 1,
        experts=max(sparse),
    )


def estimated_memory(
    config: ModelConfig | RecurrentConfig, batch_tokens: int, examples: int, average: bool
) -> float:
    """Estimate the bytes that training needs.

    They are weights, gradients, optimizer and averages; the activations of a micro-batch; the data.
    """
    a_weight = 16 + 4 * average
    return (
        PROCESS_BYTES
        + a_weight * parameter_count(config)
        + HEAP_GROWTH * batch_tokens * _bytes_a_token(config)
        + 1500.0 * examples
    )


def activation_bytes(config: ModelConfig | RecurrentConfig, tokens: int, a_number: int) -> float:
    """Estimate the bytes of a micro-batch's activations.

    Args:
        config: The model.
        tokens: Tokens of the micro-batch.
        a_number: Bytes of a number: 2 in bfloat16, 4 in float32. Logits have 4 in both.
    """
    logits = 4.0 * config.vocabulary_size
    return tokens * (logits + (_bytes_a_token(config) - logits) * a_number / 2)


def _bytes_a_token(config: ModelConfig | RecurrentConfig) -> float:
    """Estimate a token's activations for backward, in bf16, and the loss's logits in fp32.

    A token is in one of the two stacks.
    """
    vocabulary = 8.0 * config.vocabulary_size
    if isinstance(config, RecurrentConfig):
        return 60.0 * config.width + 8.0 * config.embedding_width + vocabulary / 2
    each = [
        stack.layers
        * (
            26.0 * stack.width
            + 7.0 * stack.inner_width * (1 + stack.gated) * (stack.experts_per_token or 1)
            + 200.0 * stack.heads
        )
        for stack in (config.encoder, config.decoder)
        if stack is not None
    ]
    return sum(each) / max(1, len(each)) * 1.2 + vocabulary / 2
