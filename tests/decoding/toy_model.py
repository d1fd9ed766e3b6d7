"""A model small enough to search by hand: the next token depends on the source and on the last
`memory` tokens.

It has the decoding face of the real ones and hands out tables of logits, so every answer can also
be found by trying all.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

BEGIN, END = 0, 1


@dataclass
class ToyState:
    sources: Tensor
    past: Tensor  # (B, L) tokens, right-aligned knowledge is read with lengths
    lengths: Tensor

    def select(self, rows: Tensor) -> ToyState:
        return ToyState(self.sources[rows], self.past[rows], self.lengths[rows])

    def join(self, other: ToyState) -> ToyState:
        width = max(self.past.shape[1], other.past.shape[1])
        past = [
            torch.nn.functional.pad(x.past, (0, width - x.past.shape[1])) for x in (self, other)
        ]
        return ToyState(
            torch.cat((self.sources, other.sources)),
            torch.cat(past),
            torch.cat((self.lengths, other.lengths)),
        )

    def truncate(self, lengths: Tensor, alone: bool = False) -> ToyState:
        return ToyState(self.sources, self.past, torch.minimum(lengths, self.lengths))


@dataclass
class ToyMemory:
    sources: Tensor
    lengths: Tensor


class Toy:
    """logits: table[source's one id, last token but one, last token] + place[position]. A source is
    one id below `sources`.
    """

    def __init__(
        self, vocabulary: int = 5, sources: int = 6, seed: int = 0, spread: float = 1.5
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.table = (
            torch.randn(sources, vocabulary, vocabulary, vocabulary, generator=generator) * spread
        )
        self.place = torch.randn(64, vocabulary, generator=generator) * 0.3
        self.vocabulary = vocabulary

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        return iter((self.table, self.place))

    def encode(self, inputs: dict[str, Tensor]) -> Any:
        return ToyMemory(inputs["source"], inputs["source_lengths"])

    def start(self, memory: Any, rows: Any) -> ToyState:
        count = rows.numel()
        return ToyState(
            memory.sources[rows],
            torch.zeros(count, 0, dtype=torch.int64),
            torch.zeros(count, dtype=torch.int64),
        )

    def step(self, tokens: Tensor, state: ToyState) -> tuple[Tensor, ToyState]:
        count, steps = tokens.shape
        most = int(state.lengths.max()) + steps if count else 0
        past = torch.nn.functional.pad(state.past, (0, max(0, most - state.past.shape[1])))
        out = []
        for row in range(count):
            length = int(state.lengths[row])
            past[row, length : length + steps] = tokens[row]
            seen = past[row].tolist()
            source = int(state.sources[row])
            out.append(
                torch.stack(
                    [self.logits(source, seen[: i + 1]) for i in range(length, length + steps)]
                )
            )
        return torch.stack(out), ToyState(state.sources, past, state.lengths + steps)

    def logits(self, source: int, fed: list[int]) -> Tensor:
        return (
            self.table[source, fed[-2] if len(fed) > 1 else 0, fed[-1]] + self.place[len(fed) - 1]
        )

    def log_probabilities(self, source: int, tokens: list[int]) -> list[float]:
        """Of `tokens`, the end included where it stands."""
        fed = [BEGIN, *tokens]
        return [
            float(self.logits(source, fed[: i + 1]).log_softmax(-1)[token])
            for i, token in enumerate(tokens)
        ]

    def everything(
        self, source: int, longest: int, shortest: int = 0
    ) -> list[tuple[float, tuple[int, ...], bool]]:
        """(log-probability, tokens, finished) of all answers of at most `longest` tokens, end
        included.
        """
        others = [token for token in range(self.vocabulary) if token != END]
        found = []
        for length in range(longest + 1):
            for tokens in itertools.product(others, repeat=length):
                if length < longest and length >= shortest:
                    found.append(
                        (sum(self.log_probabilities(source, [*tokens, END])), tokens, True)
                    )
                if length == longest:
                    found.append((sum(self.log_probabilities(source, list(tokens))), tokens, False))
        return found


def inputs(sources: list[int]) -> dict[str, Tensor]:
    return {
        "source": torch.tensor(sources),
        "source_lengths": torch.ones(len(sources), dtype=torch.int64),
    }
