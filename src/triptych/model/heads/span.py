"""A span over a sequence: which token begins it and which ends it (Devlin et al. 2018, section
4.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..interface import AnyNetwork
from ..layout import PackedLayout
from ..linear import Linear


class Spans(nn.Module):
    """Logits of being a span's first and last token. Candidates: the tokens of the second text, its
    end excepted, and the begin token (place 0), which stands for no span.

    threshold: how much more likely no span must be, in nats, to be the answer; infinite where there
        is always one.
    """

    threshold: Tensor
    can_abstain: Tensor

    def __init__(self, width: int, can_abstain: bool) -> None:
        super().__init__()
        self.span = Linear(width, 2)
        self.span.load_state_dict(nn.Linear(width, 2).state_dict())  # begins as torch's layer does
        self.register_buffer("threshold", torch.tensor(0.0 if can_abstain else float("inf")))
        self.register_buffer("can_abstain", torch.tensor(can_abstain))

    def forward(self, model: AnyNetwork, states: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """Map states (N, D), inputs["segments"] (N,) and ["source_lengths"] (B,) -> logits (N, 2)
        fp32, -inf where no span can be.
        """
        lengths = inputs["source_lengths"]
        # (N, 2)
        logits = self.span(states).float()
        possible = inputs["segments"] > 0
        last = lengths.cumsum(0) - 1
        possible[last] = False
        possible[last - lengths + 1] = True
        return logits.masked_fill(~possible[:, None], float("-inf"))


def log_probabilities(logits: Tensor, lengths: Tensor) -> Tensor:
    """(N, 2) -> (B, T, 2), normalised over each sequence; -inf at padding."""
    rows = PackedLayout(lengths)
    padded = logits.new_full((rows.count, rows.longest, 2), float("-inf"))
    padded = padded.index_put((rows.sequence, rows.positions), logits)
    return padded.log_softmax(1)


def cross_entropy(logits: Tensor, lengths: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The sum over sequences of the mean of both cross-entropies. start, end (B,): places in the
    sequence.
    """
    chances = log_probabilities(logits, lengths)  # (B, T, 2)
    row = torch.arange(len(start), device=start.device)
    return -0.5 * (chances[row, start, 0] + chances[row, end, 1]).sum()


def best_spans(chances: Tensor, longest: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, T, 2) -> scores, starts, ends (B, count) of the spans of at most `longest` tokens with
    the highest sum of both log-probabilities, best first; place 0 is in none. Where there are
    fewer, the rest have score -inf.
    """
    sequences, steps, _ = chances.shape
    longest = min(longest, steps)
    # (B, T, L)
    ends = functional.pad(chances[..., 1], (0, longest - 1), value=float("-inf")).unfold(
        1, longest, 1
    )
    sums = chances[..., 0, None] + ends
    sums[:, 0] = float("-inf")
    scores, places = sums.reshape(sequences, -1).topk(min(count, steps * longest), 1)
    starts = places // longest
    return scores, starts, starts + places % longest
