"""Trace models with an encoder alone.

A trace holds each input token's attention in each layer and head, and what the answer depends on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.batches.encoded import Encoded, collate
from .attribution import attribute, exact, together
from .cells import PieceDecoder, cells, regroup
from .scores import Scored, Scorer
from .trace import Trace


@torch.no_grad()
def self_attention(model: Any, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """Return (L, H, S, S) fp32 of one packed sequence: row t is what token t gives to each."""
    with exact(model):
        return model.attention_weights("encoder", **inputs)[:, 0].float().cpu().numpy()


def trace_encoder(
    model: Any,
    head: nn.Module,
    tokenizer: PieceDecoder,
    encoded: Encoded,
    *,
    answer: str = "",
    label: str = "",
    score: Scorer | None = None,
    window: tuple[int, int] = (1, 1),
) -> Trace:
    """Return the Trace of one input, or of one window of it.

    Args:
        model: A Transformer with an encoder.
        head: The run's head.
        tokenizer: Decodes the input.
        encoded: The input, or one window of it.
        answer: In words.
        label: What the page calls the model.
        score: The number of the head's output that is attributed; None: no attribution.
        window: (which, of how many).
    """
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in collate([encoded]).inputs.items()}
    shown = cells(tokenizer, encoded.inputs["source"].tolist())
    found = None
    if score is not None:
        scored: list[Scored] = []

        def scalar(output: Any) -> Tensor:
            scored.append(score(output, encoded))
            return scored[-1].value

        of_tokens = attribute(model, head, inputs, scalar)
        found = replace(
            together(of_tokens, [cell.tokens for cell in shown]),
            kind=scored[-1].kind,
            of=scored[-1].of,
        )
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
