"""Predict tokens from the encoder too: connectionist temporal classification (CTC).

Graves et al. 2006: each state of the encoder predicts a token or the blank, and a text has the
probability of all paths that spell it. Joined to the decoder's loss, it teaches the encoder the
order of time, without which attention does not converge on little data (Watanabe et al. 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..interface import AnyNetwork
from ..layout import PackedLayout
from ..linear import Linear
from .tokens import NextToken, TokenOutput, initialize

if TYPE_CHECKING:
    from ..cache import Memory

# torch's stub has no types
_ctc_loss: Callable[..., Tensor] = cast(Any, functional).ctc_loss


class SpeechOutput(NamedTuple):
    """Hold what the decoder predicts, and the CTC logits of the encoder's states.

    ctc: (S, V + 1), of which the last is the blank; lengths: (B,) states of each source.
    """

    tokens: TokenOutput
    ctc: Tensor
    lengths: Tensor


class NextTokenAndCtc(nn.Module):
    """Predict the next token as `NextToken` does, and map the encoder's states to CTC logits."""

    reads_memory = True

    def __init__(self, width: int, vocabulary_size: int) -> None:
        super().__init__()
        self.next = NextToken()
        self.ctc = Linear(width, vocabulary_size + 1)
        initialize(self)

    def forward(
        self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor], memory: Memory
    ) -> SpeechOutput:
        """Map the decoder's states (N, D) and the encoder's output -> both predictions."""
        tokens = self.next(model, states, inputs)
        return SpeechOutput(tokens, self.ctc(memory.states), memory.lengths)

    def log_probabilities(self, states: Tensor) -> Tensor:
        """Map the encoder's states (S, D) -> log-probabilities (S, V + 1) in fp32."""
        return torch.log_softmax(self.ctc(states).float(), -1)


def ctc_loss(logits: Tensor, lengths: Tensor, texts: Tensor, text_lengths: Tensor) -> Tensor:
    """Return the negative log-probability of all texts, in nats, summed.

    A text that no path of its source's states can spell counts 0: it teaches nothing.

    Args:
        logits: (S, V + 1) of packed states; the blank is the last.
        lengths: States of each source (B,).
        texts: Packed token ids.
        text_lengths: Tokens of each text (B,).
    """
    layout = PackedLayout(lengths)
    log_probabilities = torch.log_softmax(layout.pad(logits.float()), -1)  # (B, S, V + 1)
    return _ctc_loss(
        log_probabilities.transpose(0, 1),
        texts,
        lengths,
        text_lengths,
        blank=logits.shape[1] - 1,
        reduction="sum",
        zero_infinity=True,
    )
