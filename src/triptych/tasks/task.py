"""A Task is a value with eight slots; the loop, the predictor and the command line know nothing
else of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import FIELDS, Example
from ..data.tokenizers.sides import Tokenizers

Purpose = Literal["train", "use"]
Labels = dict[str, Any]


@dataclass(slots=True)
class Prediction:
    """One answer in a person's terms.

    index: of its Example. score: as the search ranked it. log_probability: nats, the end included.
        tokens: ids of the answer.
    alternatives: the other answers of an n-best list, best first. truncated_input_tokens: input
    tokens that the model did not see. cut: the answer stopped at its maximum length. details: what
    the task has to say beside the text (a label's probability, spans, arcs), JSON. pieces: the
    tokens as they are shown, where each one's probability is told.
    """

    text: str
    index: int = 0
    score: float | None = None
    log_probability: float | None = None
    tokens: list[int] = field(default_factory=list)
    token_log_probabilities: list[float] = field(default_factory=list)
    alternatives: list[Prediction] = field(default_factory=list)
    truncated_input_tokens: int = 0
    cut: bool = False
    details: dict[str, Any] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What a program wants to know: no token ids; alternatives only where there are some."""
        if self.details:
            return {
                "text": self.text,
                "score": self.score,
                **self.details,
                "truncated_input_tokens": self.truncated_input_tokens,
            }
        values = {
            name: getattr(self, name)
            for name in ("text", "score", "log_probability", "cut", "truncated_input_tokens")
        }
        # of one token more where the end was written
        if self.pieces and self.token_log_probabilities:
            values["tokens"] = [
                [piece, nats]
                for piece, nats in zip(self.pieces, self.token_log_probabilities, strict=False)
            ]
        if self.alternatives:
            few = ("text", "score", "log_probability", "cut")
            values["alternatives"] = [
                {name: getattr(one, name) for name in few} for one in self.alternatives
            ]
        return values


@dataclass(frozen=True, slots=True)
class Scores:
    """Named floats (percentages 0-100, losses in nats) and, for each metric that has variants, how
    it was computed.
    """

    values: dict[str, float]
    signatures: dict[str, str] = field(default_factory=dict)

    @property
    def signature(self) -> str:
        """All signatures in one line."""
        return "; ".join(f"{name} = {text}" for name, text in self.signatures.items())


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to learn from an Example and how to read the answer: a name, the options of the recipe's
    table `task`, eight slots.

    needs: fields of an Example; in use only those whose role is "input" are demanded.
    draws: encode draws (masks, say), so every epoch encodes anew.
    windows: a long text is read in windows, so nothing of it need be cut.
    block: an answer is several lines, which are printed as they are, an empty one after them.
    passes: how often an example stands in a training batch, each time with other dropout (R-Drop:
    twice). prepare(examples) -> labels: what must be known before tokenizer and model are built;
    JSON, saved with the run. Its key
        "tags" lists the tags that the tokenizers must hold.
    encode(example, tokenizers, labels, purpose, generator) -> one or more Encoded; the generator is
    keyed by (seed, epoch,
        index), None where nothing is drawn. The caller sets each one's `index`.
    head(model config, labels) -> a module called with (model, states, inputs); its parameters are
    saved under `head.`. loss(output of the head, batch) -> {name: (sum, count, weight)}: sums over
    this batch; the loop divides by the whole step's
        counts, and what has weight 0 is only reported.
    answer(model, head, batch, decoding settings, tokenizers) -> one raw result for each Encoded of
    the batch. read(raw results of one Example, Example, tokenizers) -> Prediction; merges windows.
    score(predictions, examples, losses) -> Scores; the task's first metric stands first. losses:
    means of the loss slot's sums. remask(encoded pieces of an Example, tokenizers, generator) ->
    the same drawn anew, so that a text is cut into subwords once.
        Optional.
    encode_ids(ids of a text with begin and end, tokenizers, generator) -> Encoded, as `encode` does
    once a text is ids: a task that has it
        can read sets larger than memory from shards of ids. Optional.
    empty: an empty input has an answer (a text that is written from its beginning).
    window: texts are joined, one after the other, and cut into windows of so many tokens.
    by_losses: scored by its losses alone, so an evaluation answers nothing.
    inherit_labels(labels, labels of the run that a training starts from, its tokenizers) -> labels:
        what is taken over from there, like a chat's template. Optional.
    check(encoded pieces of each training example, tokenizers): raises, before training, where what
    must be learnt is not there.
        Optional.
    fit_head(head, encoded pieces of each training example): sets buffers of a new head from the
    training data, like how rare a token
        is. Optional.
    with_teacher(frozen model) -> the task with that model's answers in its loss: the run that a
    training starts from. Optional. calibrate(model, head, batches of the development data) -> what
    was set, in a sentence: sets buffers of the head, like a
        temperature, once training has ended. Optional.
    """

    name: str
    options: Mapping[str, Any]
    needs: tuple[str, ...]
    prepare: Callable[[Sequence[Example]], Labels]
    encode: Callable[
        [Example, Tokenizers, Labels, Purpose, np.random.Generator | None], list[Encoded]
    ]
    head: Callable[[Any, Labels], Any]
    loss: Callable[[Any, Batch], dict[str, tuple[Any, int, float]]]
    answer: Callable[[Any, Any, Batch, Any, Tokenizers], list[Any]]
    read: Callable[[Sequence[Any], Example, Tokenizers], Prediction]
    score: Callable[[Sequence[Prediction], Sequence[Example], Mapping[str, float]], Scores]
    passes: int = 1
    draws: bool = False
    windows: bool = False
    block: bool = False
    by_losses: bool = False
    window: int | None = None
    empty: bool = False
    calibrate: Callable[[Any, Any, Sequence[Batch]], str | None] | None = None
    inherit_labels: Callable[[Labels, Labels, Tokenizers], Labels] | None = None
    check: Callable[[Sequence[list[Encoded]], Tokenizers], None] | None = None
    fit_head: Callable[[Any, Sequence[list[Encoded]]], None] | None = None
    with_teacher: Callable[[Any], Task] | None = None
    encode_ids: (
        Callable[[np.ndarray, Tokenizers, np.random.Generator | None], list[Encoded]] | None
    ) = None
    remask: Callable[[list[Encoded], Tokenizers, np.random.Generator], list[Encoded]] | None = None

    @property
    def input(self) -> str:
        """The field that is given in use: of several, the first."""
        return next(name for name in self.needs if FIELDS[name].role == "input")
