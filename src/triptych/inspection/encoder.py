"""Traces of models that understand: what every token of the input looks at in each layer and head, and what the answer depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.batching import Encoded, collate
from .attribution import attribute, exact, together
from .trace import Pieces, Trace, cells, regroup

NamedScore = Callable[[Any], tuple[Tensor, str]]  # output of a head -> (one number, its name)


@torch.no_grad()
def self_attention(model: Any, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """(L, H, S, S) fp32 of one packed sequence: row t holds what token t gives to each token."""
    with exact(model):
        return model.attention_weights("encoder", **inputs)[:, 0].float().cpu().numpy()


def trace_encoder(model: Any, head: nn.Module, tokenizer: Pieces, encoded: Encoded, *, answer: str = "", label: str = "",
                  score: NamedScore | None = None, window: tuple[int, int] = (1, 1)) -> Trace:  # fmt: skip
    """The Trace of one input, or of one window of it. answer: in words; score: what of the head's output is attributed."""
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in collate([encoded]).inputs.items()}
    shown = cells(tokenizer, encoded.inputs["source"].tolist())
    found = None
    if score is not None:
        name = ""

        def scalar(output: Any) -> Tensor:
            nonlocal name
            value, name = score(output)
            return value

        of_tokens = attribute(model, head, inputs, scalar)
        found = together(of_tokens, [cell.tokens for cell in shown])
        found = type(found)(found.gradient_times_input, found.gradient_norm, found.value, name)
    return Trace(
        source_text="".join(cell.text for cell in shown),
        target_text=answer,
        source=shown,
        target=[],
        attention={"encoder": regroup(self_attention(model, inputs), shown, shown)},
        log_probabilities=[],
        label=label,
        attribution=found,
        window=window,
    )
