"""Traces of models that understand: what every token of the input looks at in each layer and head,
and what the answer depends on.
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
from .scores import Scored, Scorer
from .trace import PieceDecoder, Trace, cells, regroup


@torch.no_grad()
def self_attention(model: Any, inputs: Mapping[str, Tensor]) -> np.ndarray:
    """(L, H, S, S) fp32 of one packed sequence: row t holds what token t gives to each token."""
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
    """The Trace of one input, or of one window of it. answer: in words; score: what of the head's
    output is attributed.
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
