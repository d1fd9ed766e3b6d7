"""Hold one sequence and the numbers that are read off a model's answer to it.

Ablation, patching, contributions and attributions all change something on the way and read the same
numbers again: a score, and the logits among which an answer is chosen. Many changes run as one
batch of copies of the sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..data.batches.encoded import Encoded
from ..errors import UsageError
from ..messages import message
from .attribution import exact
from .scores import Scorer
from .sites import is_recurrent

# Kinds of scores whose head chooses among labels or tokens.
CHOOSING = ("label", "tags", "entity_tags", "filling")
Reader = Callable[[Tensor, int], Tensor]  # states of B copies (B * N, D), B -> a number for each


@dataclass(frozen=True, slots=True)
class Choice:
    """Hold which of several logits are compared.

    Args:
        chosen: Place of the chosen token or label.
        rival: Place of the one it is compared with.
        names: What both are called.
    """

    chosen: int
    rival: int
    names: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Hold what is run and what is read.

    Args:
        model: A Transformer or the RNN.
        inputs: One packed sequence of each side.
        axis: "source" or "target": whose tokens are attributed.
        score: Reads the score, usually a log-probability in nats.
        logits: Reads the logits of the choice (B, C); None: there is no single choice.
        readout: Maps states (N, D) of one sequence to the logits of all rows (R, C), for the lens;
            None: the task has none.
        name: The label or token that is scored, "" for a whole answer.
        kind: As in `scores.Scored`; "answer_tokens" for tokens that were written.
        choice: The two logits that are compared.
        row: Place of the choice among the target's rows.
        copy: The copy whose head runs, in a list of one.
        last: The last of the target's rows that anything is read from; None: not a decoder's.
    """

    model: Any
    inputs: dict[str, Tensor]
    axis: str
    score: Reader
    logits: Reader | None = None
    readout: Callable[[Tensor], Tensor] | None = None
    name: str = ""
    kind: str = "answer_tokens"
    choice: Choice | None = None
    row: int | None = None
    copy: list[int] = field(default_factory=lambda: [0])
    last: int | None = None

    @property
    def length(self) -> int:
        """Return how many tokens are attributed."""
        return len(self.inputs[self.axis])

    def copies(self, count: int) -> dict[str, Tensor]:
        """Return `count` copies of the sequence as one packed batch."""
        return {
            name: value.repeat(count, *(1 for _ in value.shape[1:]))
            for name, value in self.inputs.items()
        }

    def cut(self) -> Probe:
        """Return the same without the target's rows that nothing is read from, nor sees.

        No row of a decoder sees a later one, so the numbers stay what they are, and many copies of
        a long answer cost no more than what comes before the token that is asked about.
        """
        if self.last is None:
            return self
        return replace(self, inputs=self.cut_inputs(self.inputs))

    def cut_inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the inputs of a sequence, this one or one aligned with it, cut in the same way."""
        found = dict(inputs)
        if self.last is not None:
            found["target"] = found["target"][: self.last + 1]
            found["target_lengths"] = torch.full_like(found["target_lengths"], self.last + 1)
        return found

    def difference(self, states: Tensor, count: int) -> Tensor:
        """Return the chosen minus the rival logit of each copy (B,).

        Raises UsageError where there is no choice.
        """
        if self.logits is None or self.choice is None:
            raise UsageError(
                message(
                    "Contributions and patching compare two logits, and this task chooses among "
                    "none. Leave them out."
                )
            )
        found = self.logits(states, count)
        return found[:, self.choice.chosen] - found[:, self.choice.rival]

    @torch.no_grad()
    def measured(self, count: int = 1, read: Reader | None = None) -> Tensor:
        """Return the score, or what `read` reads, of `count` copies in one pass (B,)."""
        with exact(self.model):
            states = self.model(**self.copies(count))
            return (read or self.score)(states, count).float()

    def compared(self, rival: int | None, names: Callable[[int], str]) -> Probe:
        """Return the probe with its choice: the rival, or the likeliest other one."""
        if self.logits is None or self.choice is None:
            return self
        if rival is None or rival == self.choice.chosen:
            found = self.measured(1, self.logits)[0].clone()
            found[self.choice.chosen] = float("-inf")
            rival = int(found.argmax())
        chosen = self.choice.chosen
        return replace(self, choice=Choice(chosen, rival, (names(chosen), names(rival))))


def token_probe(
    model: Any,
    inputs: Mapping[str, Tensor],
    wanted: Sequence[int],
    rows: Sequence[int],
    name: str = "",
    row: int | None = None,
) -> Probe:
    """Return the probe of tokens that a decoder wrote, or was forced to write.

    Args:
        model: A Transformer with a decoder, or the RNN.
        inputs: One packed sequence of each side.
        wanted: The token that each row of the target is to predict (N,).
        rows: The rows whose log-probabilities are added up.
        name: What the scored token is called, "" for several.
        row: The row whose logits are compared; None: the first of `rows`.
    """
    device = inputs["target"].device
    at = rows[0] if row is None else row
    places = torch.tensor(list(rows), device=device)
    ids = torch.tensor([wanted[one] for one in rows], device=device)

    def score(states: Tensor, count: int) -> Tensor:
        picked = states.view(count, -1, states.shape[-1])[:, places]  # (B, R, D)
        chances = model.project(picked).float().log_softmax(-1)
        return chances.gather(-1, ids.expand(count, -1)[..., None])[..., 0].sum(-1)

    def logits(states: Tensor, count: int) -> Tensor:
        return model.project(states.view(count, -1, states.shape[-1])[:, at]).float()

    return Probe(
        model=model,
        inputs=dict(inputs),
        axis="source" if "source" in inputs else "target",
        score=score,
        logits=logits,
        readout=lambda states: model.project(states).float(),
        name=name,
        choice=Choice(wanted[at], wanted[at], ("", "")),
        row=at,
        last=max(at, *rows),
    )


def output_probe(
    model: Any,
    head: nn.Module,
    encoded: Encoded,
    inputs: Mapping[str, Tensor],
    score: Scorer,
    row: int = 0,
    chosen: int | None = None,
) -> Probe:
    """Return the probe of a head's output, for a model with an encoder alone.

    Args:
        model: A Transformer with an encoder.
        head: The run's head.
        encoded: The input.
        inputs: The same, packed.
        score: The number that is attributed (`scores.score_of`).
        row: Of several outputs, like masked places, the one whose logits are compared.
        chosen: The label that is compared; None: the likeliest.

    Raises:
        UsageError: There is no such row.
    """
    single, total = dict(inputs), len(inputs["source"])
    copy = [0]

    def outputs(states: Tensor, count: int) -> Iterator[Any]:
        for copy[0], own in enumerate(states.view(count, total, -1)):
            yield head(model, own, single)

    def scored(states: Tensor, count: int) -> Tensor:
        values = [score(one, encoded).value.reshape(()) for one in outputs(states, count)]
        return torch.stack(values)

    with torch.no_grad(), exact(model, head):
        output = head(model, model(**single), single)
    found = score(output, encoded)
    logits = _logits_of(output) if found.kind in CHOOSING else None
    choice = None if logits is None else _choice(logits, row, chosen)

    def chosen_among(states: Tensor, count: int) -> Tensor:
        return torch.stack([_logits_of(one)[row].float() for one in outputs(states, count)])

    return Probe(
        model=model,
        inputs=single,
        axis="source",
        score=scored,
        logits=None if choice is None else chosen_among,
        readout=None if choice is None else lambda x: _logits_of(head(model, x, single)),
        name=found.of,
        kind=found.kind,
        choice=choice,
        row=None if choice is None else row,
        copy=copy,
    )


def _choice(logits: Tensor, row: int, chosen: int | None) -> Choice:
    """Return the choice of one row, its rival left open."""
    if row >= len(logits):
        raise UsageError(
            "--token is {token}, and there are {count} places to choose for. Give a number "
            "from 1 to {count}.",
            token=row + 1,
            count=len(logits),
        )
    chosen = int(logits[row].argmax()) if chosen is None else chosen
    return Choice(chosen, chosen, ("", ""))


def _logits_of(output: Any) -> Tensor:
    """Return the logits (R, C) of the output of a head that chooses among labels or tokens."""
    return getattr(output, "logits", getattr(output, "scores", output))


@contextmanager
def replaced(probe: Probe, vectors: Tensor) -> Iterator[None]:
    """Let the next pass over B copies read `vectors` (B * N, D) as those of its tokens.

    A head that reads the vectors again gets those of its copy.
    """
    model, total = probe.model, probe.length
    table = model.embedding
    if probe.axis == "source" and model.source_embedding is not None:
        table = model.source_embedding
    of_encoder = "target" not in probe.inputs
    calls = [0]

    def hook(_: nn.Module, given: object, found: Tensor) -> Tensor | None:
        calls[0] += 1
        if calls[0] == 1:
            return vectors.to(found.dtype)
        if of_encoder and found.shape[0] == total:
            return vectors.view(-1, total, vectors.shape[1])[probe.copy[0]].to(found.dtype)
        return None

    handle = table.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def vectors_of(probe: Probe) -> Tensor:
    """Return the vectors of the probe's tokens (N, D), as they come out of the embedding table.

    Raises UsageError for a model that reads features instead of tokens.
    """
    model, ids = probe.model, probe.inputs[probe.axis]
    if getattr(model, "stem", None) is not None:
        raise UsageError(
            message("This model reads features, not tokens, so no token is attributed.")
        )
    table = model.embedding
    if probe.axis == "source" and model.source_embedding is not None:
        table = model.source_embedding
    return table(ids).detach().float()


def is_without_attention(model: Any) -> bool:
    """Tell whether the model is an RNN without attention."""
    return is_recurrent(model) and not model.config.attention
