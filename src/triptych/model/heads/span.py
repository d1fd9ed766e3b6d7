"""Find a span in a sequence by its first and last token (Devlin et al. 2018, section 4.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..interface import AnyNetwork
from ..layout import PackedLayout
from ..linear import Linear
from .layer import HeadLayer


class Spans(nn.Module):
    """Score each token as the first and the last of a span.

    Candidates are the tokens of the second text without its end, and the begin token (place 0),
    which means no span. No span is the answer if it beats the best span by `threshold` nats, which
    is infinite if there always is one.
    """

    threshold: Tensor
    can_abstain: Tensor

    def __init__(self, width: int, can_abstain: bool, layer: HeadLayer | None = None) -> None:
        super().__init__()
        self.layer = layer  # maps states before the logits
        self.span = Linear(width, 2)
        self.span.load_state_dict(nn.Linear(width, 2).state_dict())  # initialised as in torch
        self.register_buffer("threshold", torch.tensor(0.0 if can_abstain else float("inf")))
        self.register_buffer("can_abstain", torch.tensor(can_abstain))

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """Map states (N, D) -> logits (N, 2) fp32, minus infinity for tokens in no span.

        inputs: "segments" (N,) and "source_lengths" (B,).
        """
        lengths = inputs["source_lengths"]
        if self.layer is not None:
            states = self.layer(states, model.rng if self.training else None)
        # (N, 2)
        logits = self.span(states).float()
        possible = inputs["segments"] > 0
        last = lengths.cumsum(0) - 1
        possible[last] = False
        possible[last - lengths + 1] = True
        return logits.masked_fill(~possible[:, None], float("-inf"))


def log_probabilities(logits: Tensor, lengths: Tensor) -> Tensor:
    """Map logits (N, 2) -> (B, T, 2), normalised over each sequence; -inf at padding."""
    rows = PackedLayout(lengths)
    padded = logits.new_full((rows.count, rows.longest, 2), float("-inf"))
    padded = padded.index_put((rows.sequence, rows.positions), logits)
    return padded.log_softmax(1)


def cross_entropy(logits: Tensor, lengths: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Sum the mean of both cross-entropies over sequences; start and end (B,) are places."""
    log_p = log_probabilities(logits, lengths)  # (B, T, 2)
    row = torch.arange(len(start), device=start.device)
    return -0.5 * (log_p[row, start, 0] + log_p[row, end, 1]).sum()


def best_spans(log_p: Tensor, longest: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the spans of at most `longest` tokens with the highest log-probabilities (B, T, 2).

    Returns scores, starts and ends (B, count), best first. Place 0 is in no span. If there are
    fewer than `count`, the rest have a score of minus infinity.
    """
    sequences, steps, _ = log_p.shape
    longest = min(longest, steps)
    # (B, T, L)
    ends = functional.pad(log_p[..., 1], (0, longest - 1), value=float("-inf")).unfold(
        1, longest, 1
    )
    sums = log_p[..., 0, None] + ends
    sums[:, 0] = float("-inf")
    scores, places = sums.reshape(sequences, -1).topk(min(count, steps * longest), 1)
    starts = places // longest
    return scores, starts, starts + places % longest
