"""Define the contract of a task and its results: predictions and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.batches.framed import Frame
from ..data.example import FIELDS, Example
from ..data.tokenizers.sides import Tokenizers
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.settings import DecodingSettings
from ..metrics.classes import Breakdown
from . import shown
from .options import OPTIONS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..model.config import AnyConfig

Purpose = Literal["train", "use"]
Architecture = Literal["encoder", "decoder", "encoder-decoder"]
HeadKind = Literal["tokens", "masked-tokens", "classifier", "tagger", "biaffine", "span", "pooling"]
Verb = Literal[
    "translate", "summarize", "classify", "tag", "parse", "answer", "complete", "chat", "transcribe"
]
View = Literal[
    "encoder",
    "labels",
    "fillings",
    "tags",
    "arcs",
    "spans",
    "passage",
    "cross-attention",
    "hidden-runs",
    "hearing",
    "next-tokens",
]
Labels = dict[str, Any]
# {name: (sum over a batch, count, weight)}
Losses = dict[str, tuple["Tensor", int, float]]
# a batch's inputs -> (states (N, D), logits (rows, classes)) of a frozen model
Teacher = Callable[[dict[str, "Tensor"]], tuple["Tensor", "Tensor"]]


@dataclass(slots=True, repr=False)
class Prediction:
    """Hold one answer and what is known of it.

    index: number of its Example. score: what the search ranked it by. log_probability: in nats, the
    end token included. tokens: ids of the answer.

    alternatives: the other answers of an n-best list, best first. truncated_input_tokens: input
    tokens that the model did not see. cut: True where the answer stopped at its maximum length.
    details: task-specific results beside the text (a label's probability, spans, arcs), as JSON.
    pieces: the tokens as text, given where each one's probability is shown.
    """

    text: str
    index: int = 0
    score: float | None = None
    log_probability: float | None = None
    tokens: list[int] = field(default_factory=list[int])
    token_log_probabilities: list[float] = field(default_factory=list[float])
    alternatives: list[Prediction] = field(default_factory=list["Prediction"])
    truncated_input_tokens: int = 0
    cut: bool = False
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    pieces: list[str] = field(default_factory=list[str])

    def __repr__(self) -> str:
        return shown.text(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return shown.markup(self)

    def to_json(self) -> dict[str, Any]:
        """Return the prediction for JSON: no token ids; alternatives only where there are any."""
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
        # There is one probability more than there are pieces where the end was written.
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
    """Hold named scores and, for metrics that have variants, how each was computed.

    Percentages run from 0 to 100; losses are in nats.
    """

    values: dict[str, float]
    signatures: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def signature(self) -> str:
        """Return all signatures in one line."""
        return "; ".join(f"{name} = {text}" for name, text in self.signatures.items())


Read = Callable[[Sequence[Any], Example, Tokenizers], Prediction]
Score = Callable[[Sequence[Prediction], Sequence[Example], Mapping[str, float]], Scores]
BreakDown = Callable[[Sequence[Prediction], Sequence[Example]], Breakdown]


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """Describe a task without its options; the typed table of tasks is made of these.

    Code outside this package reads one of these values and never compares the name of a task.

    Args:
        name: The task's name in a recipe.
        build: (the options of a recipe's table `task`) -> Task. Raises UsageError for an
            unknown key or an invalid value.
        architecture: The stacks of the model.
        head: The kind of head on the model's states; it also decides how its parameters are
            named.
        verbs: Commands that run the task by name; `predict` runs every task.
        view: What `inspect` shows beside self-attention, if anything.
        labels: Dotted keys of labels.json that the task needs to answer anything.
        starts: Names of the tasks whose runs are a good start for a small data set.
        targets: What --to chooses among: target languages, tasks of the data, or, for speech, its
            own language and English.
        continues: The task continues a plain prompt, so worked examples or a suffix can be
            given.
        reads_words: The text may be given as words that are split already.
        windows: A long text is read in windows, so nothing of it is cut off.
        block: An answer has several lines; they are printed unchanged, followed by an empty
            line.
        by_losses: The task is scored by its losses alone, so an evaluation decodes nothing.
        empty: An empty input is answered too (a text is written from its beginning).
        own_options: The dataclass of the task's options, for a task of a user's own file; those
            of the package are in `options.OPTIONS`.
    """

    name: str
    build: Callable[[Mapping[str, object]], Task]
    architecture: Architecture
    head: HeadKind
    verbs: tuple[Verb, ...] = ()
    view: View = "encoder"
    labels: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    targets: Literal["languages", "tasks", "speech"] | None = None
    continues: bool = False
    reads_words: bool = False
    windows: bool = False
    block: bool = False
    by_losses: bool = False
    empty: bool = False
    own_options: type | None = None

    @property
    def options(self) -> type:
        """Return the dataclass of the task's options."""
        return self.own_options or OPTIONS[self.name]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Define what is learnt from an Example and how an answer is read.

    The training loop, the predictor and the command line use nothing else of a task. A task that
    generates text gives `request`; any other gives `answer`.

    Args:
        spec: The task without its options.
        options: The recipe's table `task`, without the name.
        needs: Fields of an Example; in use only those whose role is "input" are required.
        prepare: (examples) -> labels: what must be known before the tokenizer and the model are
            built; JSON, saved with the run. Its key "tags" lists the tags that the tokenizers
            must hold.
        encode: (example, tokenizers, labels, purpose, generator) -> one or more Encoded, whose
            `index` the caller sets. The generator is keyed by (seed, epoch, index), None where
            nothing is drawn.
        head: (model config, labels) -> a module called with (model, states, inputs); its
            parameters are saved under `head.`.
        loss: (output of the head, batch) -> {name: (sum, count, weight)}: sums over this batch;
            the loop divides by the whole step's counts, and a loss of weight 0 is only
            reported.
        read: (raw results of one Example, Example, tokenizers) -> Prediction; merges windows.
        score: (predictions, examples, losses) -> Scores, the task's first metric first. losses:
            means of the sums that `loss` returned, without those of which nothing was known.
        break_down: (predictions, examples) -> the scores of each class; None where there are none.
        request: (encoded, decoding settings, tokenizers) -> what is to be decoded for it; its
            raw result is a list of DecodedText, best first.
        writer: (model, head, decoding settings, tokenizers) -> the model that writes, and its
            settings: one that scores with the head too (CTC). None: the model itself.
        answer: (model, head, batch, decoding settings, tokenizers) -> one raw result for each
            Encoded of the batch.
        follow: (encoded, its answers, tokenizers) -> what `read` gets of them, None where they are
            not used, and the piece of the same Example that is read next, if there is one: a long
            sound is read on from where the last text ended.
        passes: How often an example is in a training batch, each time with other dropout
            (R-Drop: twice).
        draws: True where `encode` draws (masks, for example), so that every epoch encodes anew.
        window: Texts are joined one after the other and cut into windows of this many tokens.
        calibrate: (model, head, batches of the development data) -> a sentence that says what
            was set: sets buffers of the head, like a temperature, once training has ended.
        inherit_labels: (labels, labels of the run that a training starts from, its tokenizers)
            -> labels with what is taken over from that run, like a chat's template.
        check: (encoded pieces of each training example, tokenizers): raises, before training,
            where something that must be learnt is missing.
        fit_head: (head, encoded pieces of each training example): sets buffers of a new head
            from the training data, like how rare a token is.
        with_teacher: (frozen model) -> the task with the answers of that model, the run that a
            training starts from, in its loss.
        encode_ids: (ids of a text with begin and end, tokenizers, generator) -> Encoded, as
            `encode` makes them from a text: with it a task can read sets larger than memory
            from shards of ids.
        frame: (an example, tokenizers, labels) -> the tokens around the ids of its texts, for a
            task that encodes every pair of these languages as those and the ids alone.
        remask: (encoded pieces of an Example, tokenizers, generator) -> the same pieces masked
            anew, so that a text is cut into subwords only once.
    """

    spec: TaskSpec
    options: Mapping[str, Any]
    needs: tuple[str, ...]
    prepare: Callable[[Sequence[Example]], Labels]
    encode: Callable[
        [Example, Tokenizers, Labels, Purpose, np.random.Generator | None], list[Encoded]
    ]
    head: Callable[[AnyConfig, Labels], nn.Module]
    loss: Callable[[Any, Batch], Losses]
    read: Read
    score: Score
    request: Callable[[Encoded, DecodingSettings, Tokenizers], DecodingRequest] | None = None
    answer: Callable[[Any, Any, Batch, DecodingSettings, Tokenizers], list[Any]] | None = None
    break_down: BreakDown | None = None
    writer: (
        Callable[[Any, Any, DecodingSettings, Tokenizers], tuple[Any, DecodingSettings]] | None
    ) = None
    follow: (
        Callable[[Encoded, Sequence[DecodedText], Tokenizers], tuple[Any, Encoded | None]] | None
    ) = None
    passes: int = 1
    draws: bool = False
    window: int | None = None
    calibrate: Callable[[Any, Any, Sequence[Batch]], str | None] | None = None
    inherit_labels: Callable[[Labels, Labels, Tokenizers], Labels] | None = None
    check: Callable[[Sequence[list[Encoded]], Tokenizers], None] | None = None
    fit_head: Callable[[Any, Sequence[list[Encoded]]], None] | None = None
    with_teacher: Callable[[Teacher], Task] | None = None
    encode_ids: (
        Callable[[np.ndarray, Tokenizers, np.random.Generator | None], list[Encoded]] | None
    ) = None
    frame: Callable[[Example, Tokenizers, Labels], Frame] | None = None
    remask: Callable[[list[Encoded], Tokenizers, np.random.Generator], list[Encoded]] | None = None

    def __post_init__(self) -> None:
        assert (self.request is None) != (self.answer is None), "a task writes or answers"

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def input(self) -> str:
        """Return the field that is given in use; of several, the first."""
        return next(name for name in self.needs if FIELDS[name].role == "input")


def written_prediction(
    answers: Sequence[DecodedText], pieces: Callable[[list[int]], list[str]] | None = None
) -> Prediction:
    """Return the first of decoded answers, with the others as alternatives.

    Args:
        answers: Best first.
        pieces: Maps ids to the tokens as text; None where they are not to be shown.
    """
    best, *others = [
        Prediction(
            text=one.text,
            score=one.score,
            log_probability=one.log_probability,
            tokens=one.tokens,
            token_log_probabilities=one.token_log_probabilities,
            cut=not one.finished,
            truncated_input_tokens=one.unread,
            pieces=[] if pieces is None else pieces(one.tokens),
        )
        for one in answers
    ]
    best.alternatives = others
    return best
