"""Recompute exact attention weights, whatever kernels the model runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import UsageError
from .attention import Context
from .interface import Inputs

if TYPE_CHECKING:
    from .transformer import Transformer


@torch.no_grad()
def attention_weights(
    model: Transformer, kind: str, layers: list[int] | None, inputs: Inputs
) -> Tensor:
    """Return weights (L, B, H, T, S) of "encoder", "decoder" or "cross"; layers None: all."""
    found: list[Tensor] = []
    context = Context(weighed_layers=layers)
    source, source_lengths = inputs.get("source"), inputs.get("source_lengths")
    if source is not None and source_lengths is not None:
        x = model.enter(True, source, source_lengths, context, inputs.get("segments"))
        context.weights = found if kind == "encoder" else None
        context.memory = model.encoder(x, context)
        context.memory_layout = context.layout
    if kind != "encoder":
        target, target_lengths = inputs.get("target"), inputs.get("target_lengths")
        assert target is not None and target_lengths is not None, (
            f"attention of kind '{kind}' needs a target"
        )
        x = model.enter(False, target, target_lengths, context)
        context.weights, context.weighs_memory = found, kind == "cross"
        model.decoder(x, context)
    if not found and kind == "decoder" and model.decoder.is_recurrent:
        raise UsageError(
            "This decoder has recurrent units in place of self-attention, so there are no weights "
            "of kind 'decoder'. Ask for those of kind 'cross'."
        )
    return torch.stack(found)
