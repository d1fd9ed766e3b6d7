"""Propose tokens for speculative decoding, with a smaller model or from n-grams.

`search` and `stream` take a `Drafted` in place of a model. Its draft opens a session for the rows
of one search (`Grams`, `Sketch`), which proposes tokens and follows the rows that are kept. A
smaller model must have the same vocabulary; n-grams come from what was read and written.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..model.interface import AnyModel, DecoderState
from ..model.typed import from_numpy, split, to_ints
from .policies.distribution import distribution, invert, uniform
from .reading import positions, read
from .settings import DecodingSettings

LONGEST, SHORTEST = 8, 2  # tokens of an n-gram that is looked up
# offsets of a position, so that its three draws are independent
DRAFTED, ACCEPTED, WRITTEN = 1 << 32, 2 << 32, 3 << 32


@dataclass(slots=True)
class Proposal:
    """Hold proposed tokens.

    Args:
        tokens: (B, K) int64.
        counts: (B,), how many tokens of each row are proposed; the rest is padding.
        probabilities: (B, K, V) that each token was drawn from; None for a certain choice.
    """

    tokens: Tensor
    counts: np.ndarray
    probabilities: Tensor | None = None


class Session(Protocol):
    """Propose tokens for the rows of one search."""

    def propose(self, texts: Sequence[list[int]], most: np.ndarray, names: np.ndarray) -> Proposal:
        """Propose tokens for every live row.

        Args:
            texts: Begin and the tokens of each row.
            most: (B,), how many tokens each row can use.
            names: (B,), what identifies each row for random draws.
        """
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with `rows` alone."""
        ...


@dataclass
class Tally:
    """Count drafted and accepted tokens, over all threads."""

    steps: int = 0  # one for each row and check
    drafted: int = 0
    accepted: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, steps: int, drafted: int, accepted: int) -> None:
        with self.lock:
            self.steps, self.drafted, self.accepted = (
                self.steps + steps,
                self.drafted + drafted,
                self.accepted + accepted,
            )

    @property
    def rate(self) -> float:
        """Return the share of the drafted tokens that was accepted."""
        return self.accepted / max(1, self.drafted)

    def __str__(self) -> str:
        each = self.drafted / max(1, self.steps)
        return (
            f"{self.steps:,} steps, {each:.1f} tokens drafted a step, {100 * self.rate:.0f} % of "
            "them accepted"
        )


@dataclass(frozen=True)
class NgramDraft:
    """Propose what followed the last n tokens earlier in the text (prompt lookup, Saxena 2023).

    Args:
        sources: Also look in the encoder's source, which must have the same vocabulary.
    """

    sources: bool = False

    def open(
        self,
        inputs: dict[str, Tensor],
        owners: np.ndarray,
        prefixes: Sequence[Sequence[int]],
        begins: Sequence[int],
        settings: DecodingSettings,
    ) -> Session:
        """Open a session for rows of the sources `owners` (B,)."""
        read_before: list[list[int]] = [[] for _ in owners]
        if self.sources and "source" in inputs:
            parts = split(inputs["source"], to_ints(inputs["source_lengths"]))
            each = [to_ints(part) for part in parts]
            read_before = [each[owner] for owner in owners.tolist()]
        return Grams(read_before)


class Grams:
    """Look up n-grams in the texts of one search.

    A text is kept as a string with one character for each token, because Python searches strings
    fast.
    """

    def __init__(self, read_before: list[list[int]]) -> None:
        self.before = ["".join(map(chr, tokens)) for tokens in read_before]

    def propose(self, texts: Sequence[list[int]], most: np.ndarray, names: np.ndarray) -> Proposal:
        found = [lookup(before + "".join(map(chr, text)), int(count))
                 for before, text, count in zip(self.before, texts, most, strict=True)]  # fmt: skip
        counts = np.array([len(one) for one in found], dtype=np.int64)
        tokens = torch.zeros(len(found), int(counts.max(initial=0)), dtype=torch.int64)
        for row, one in enumerate(found):
            tokens[row, : len(one)] = torch.tensor(one, dtype=torch.int64)
        return Proposal(tokens, counts)

    def keep(self, rows: Tensor) -> None:
        self.before = [self.before[row] for row in to_ints(rows)]


def lookup(text: str, count: int) -> list[int]:
    """Return `count` tokens that followed an earlier occurrence of the end of `text`, or none.

    The longest end that occurs before is used, at its last occurrence. Where fewer tokens follow,
    they are repeated.
    """
    for size in range(min(LONGEST, len(text) - 1), SHORTEST - 1, -1) if count else ():
        place = text.rfind(text[-size:], 0, len(text) - 1)
        if place >= 0:
            period = len(text) - size - place
            return [ord(text[place + size + number % period]) for number in range(count)]
    return []


@dataclass(frozen=True)
class ModelDraft:
    """Propose what a smaller model writes (Leviathan et al. 2023; Chen et al. 2023).

    Args:
        model: A model with the same tokens, whose inputs are read in the same way.
    """

    model: AnyModel

    def open(
        self,
        inputs: dict[str, Tensor],
        owners: np.ndarray,
        prefixes: Sequence[Sequence[int]],
        begins: Sequence[int],
        settings: DecodingSettings,
    ) -> Session:
        room = positions(self.model)
        if room is not None and max(len(prefix) for prefix in prefixes) >= room:
            return Sketch(self.model, None, settings, room)
        memory = self.model.encode(inputs) if "source_lengths" in inputs else None
        _, state, _ = read(self.model, memory, prefixes, begins)
        return Sketch(
            self.model,
            state.select(from_numpy(owners).to(state.lengths.device)),
            settings,
            room,
        )


class Sketch:
    """Write drafts with a model, for the rows of one search.

    Its state lacks the last two tokens of every text, or is truncated to there, because after a
    step whose drafts were all accepted the model has not read the last one. Without a state, or
    past its last position, it proposes nothing.
    """

    def __init__(
        self,
        model: AnyModel,
        state: DecoderState | None,
        settings: DecodingSettings,
        room: int | None,
    ) -> None:
        self.model, self.settings, self.room = model, settings, room
        self.state: DecoderState | None = state

    def propose(self, texts: Sequence[list[int]], most: np.ndarray, names: np.ndarray) -> Proposal:
        lengths = np.array([len(text) for text in texts])
        count = int(most.max(initial=0))
        if self.room is not None:
            count = min(count, self.room + 1 - int(lengths.max()))
        lag = (
            2
            if self.state is None
            else max(2, int((lengths - self.state.lengths.cpu().numpy()).max()))
        )
        if self.state is None or count < 1 or lag > lengths.min():
            return Proposal(
                torch.zeros(len(texts), 0, dtype=torch.int64), np.zeros(len(texts), dtype=np.int64)
            )
        device = self.state.lengths.device
        state = self.state.truncate(from_numpy(lengths - lag).to(device), alone=True)
        fed = torch.tensor([text[-lag:] for text in texts], device=device)
        tokens: list[Tensor] = []
        each: list[Tensor] = []
        for number in range(count):
            logits, state = self.model.step(fed, state)
            last = logits[:, -1]
            if self.settings.temperature > 0:
                each.append(distribution(last, self.settings))
                fed = invert(
                    each[-1], uniform(self.settings.seed, names, lengths + (number + DRAFTED))
                )[:, None]
            else:
                fed = last.argmax(-1, keepdim=True)
            tokens.append(fed)
        self.state = state
        return Proposal(
            torch.cat(tokens, 1), np.minimum(most, count), torch.stack(each, 1) if each else None
        )

    def keep(self, rows: Tensor) -> None:
        if self.state is not None:
            self.state = self.state.select(rows.to(self.state.lengths.device))


@dataclass(frozen=True)
class Drafted:
    """Combine a model with a draft that proposes tokens for it."""

    model: AnyModel
    draft: NgramDraft | ModelDraft
    tally: Tally = field(default_factory=Tally)

    def parameters(self) -> Iterator[Tensor]:
        """Return the parameters of the model that checks the drafts."""
        return self.model.parameters()
