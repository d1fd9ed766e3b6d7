"""A task of one's own for long_documents.py: label every line of a document, none or several.

An example is a document whose words are its lines; a line's tag is its labels with "|" between, or
"O". A line's state is the mean of its tokens' states, and each label has a probability of its own.

    triptych train RECIPE --code benchmarks/line_labels.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Ge

from triptych.checking import TOKENS, Probability
from triptych.data.batches.encoded import Batch, Encoded
from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.decoding.settings import DecodingSettings
from triptych.tasks.encoders import encoder_alone
from triptych.tasks.options import read_options
from triptych.tasks.tagging_pieces import WordWindow, central, windows
from triptych.tasks.task import Labels, Losses, Prediction, Purpose, Scores, Task, TaskSpec

if TYPE_CHECKING:
    from torch import nn

    from triptych.model.config import AnyConfig
    from triptych.model.heads.tagger import TagOutput

OUTSIDE = "O"
LONGEST_LINE = 256  # tokens read of a line


@dataclass(frozen=True, kw_only=True)
class LineOptions:
    """Predict any number of labels for every line of a document."""

    window: Annotated[int, Ge(LONGEST_LINE + 2), TOKENS] = 512  # begin and end included
    # tokens from the start of one window to the start of the next, in use; windows of training do
    # not overlap
    stride: Annotated[int, Ge(1), TOKENS] = 256
    alone: bool = False  # every line is read without the others
    dropout: Probability = 0.1


def build(values: Mapping[str, object]) -> Task:
    options = read_options(LineOptions, values)
    return Task(
        spec=SPEC,
        options=dict(values),
        needs=("text", "tags"),
        prepare=prepare,
        encode=partial(encode, options=options),
        head=partial(head, options=options),
        loss=loss,
        answer=answer,
        read=read,
        score=score,
    )


def labels_of(tag: str) -> list[str]:
    return [] if tag == OUTSIDE else tag.split("|")


def prepare(examples: Sequence[Example]) -> Labels:
    names = {name for one in examples for tag in one.tags or () for name in labels_of(tag)}
    return {"names": sorted(names)}


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    options: LineOptions,
) -> list[Encoded]:
    """Encode windows: source = begin tokens end, word_starts (S,), and targets (W, L)."""
    text, lines, tokenizer = example.text or "", example.words or [], tokenizers.source
    pieces = [tokenizer.encode(text[start:end])[:LONGEST_LINE] for start, end in lines]
    pieces = [one or [tokenizer.end_id] for one in pieces]
    room = options.window - 2
    stride = options.stride if purpose == "use" else room
    cuts = windows([len(one) for one in pieces], room, stride)
    if options.alone:
        cuts = [(line, line + 1) for line in range(len(pieces))]
    numbers = {name: number for number, name in enumerate(labels["names"])}
    found: list[Encoded] = []
    for first, last in cuts:
        ids = [tokenizer.begin_id, *(one for line in pieces[first:last] for one in line)]
        starts = np.zeros(len(ids) + 1, dtype=np.int64)
        starts[np.cumsum([1, *map(len, pieces[first : last - 1])])] = 1
        inputs = {"source": np.array([*ids, tokenizer.end_id]), "word_starts": starts}
        targets: dict[str, np.ndarray] = {}
        if purpose == "train":
            wanted = np.zeros((last - first, len(numbers)), dtype=np.float32)
            for row, tag in enumerate((example.tags or ())[first:last]):
                wanted[row, [numbers[one] for one in labels_of(tag) if one in numbers]] = 1
            targets["tags"] = wanted
        place = WordWindow(first, last, list(lines), 0)
        found.append(Encoded(inputs, targets, metadata=place))
    return found


def head(config: AnyConfig, labels: Labels, options: LineOptions) -> nn.Module:
    from triptych.model.heads.tagger import Tagger

    encoder = encoder_alone(config, SPEC.name, LONGEST_LINE if options.alone else options.window)
    count = len(labels["names"])
    tagger = Tagger(encoder.width, count, pooling="mean", dropout_rate=options.dropout)
    tagger.names = labels["names"]  # type: ignore[assignment]
    return tagger


def loss(output: TagOutput, batch: Batch) -> Losses:
    """Return the binary cross-entropy of each line, over its labels, in nats."""
    from torch.nn import functional

    wanted = batch.targets["tags"].to(output.scores.device)
    value = functional.binary_cross_entropy_with_logits(output.scores, wanted, reduction="sum")
    return {"loss": (value, sum(len(one.targets["tags"]) for one in batch.encoded), 1.0)}


class Raw(NamedTuple):
    """Hold probabilities (W, L) of a window's lines, its place, and the labels."""

    scores: np.ndarray
    place: WordWindow
    names: list[str]


def answer(
    model: Any, head: Any, batch: Batch, settings: DecodingSettings, tokenizers: Tokenizers
) -> list[Raw]:
    import torch

    from triptych.model.heads.tokens import output_of

    with torch.no_grad():
        output: TagOutput = output_of(model, head, batch.inputs)
    scores = output.scores.sigmoid().cpu().numpy()
    cuts = np.cumsum(output.words.cpu().numpy())[:-1]
    return [
        Raw(one, encoded.metadata, head.names)
        for one, encoded in zip(np.split(scores, cuts), batch.encoded, strict=True)
    ]


def read(raw: Sequence[Raw], example: Example, tokenizers: Tokenizers) -> Prediction:
    """Take each line from the window where it is nearest the middle."""
    scores = central([(one.place, one.scores) for one in raw])  # (W, L)
    names = raw[0].names
    lines = [[names[place] for place in np.flatnonzero(row > 0.5)] for row in scores]
    details = {"labels": lines, "probabilities": scores.round(4).tolist(), "names": names}
    return Prediction("\n".join("|".join(one) or OUTSIDE for one in lines), details=details)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return micro-averaged F1 in percent, over all labels of all lines, then the loss."""
    return Scores({"f1_micro": f1_micro(predictions, examples, 0.5), **losses})


def f1_micro(
    predictions: Sequence[Prediction], examples: Sequence[Example], threshold: float
) -> float:
    """Return micro-averaged F1 in percent, where probabilities above a threshold are labels."""
    right = given = wanted = 0
    for prediction, example in zip(predictions, examples, strict=True):
        names = prediction.details["names"]
        chosen = np.array(prediction.details["probabilities"]) > threshold
        for row, tag in zip(chosen, example.tags or (), strict=True):
            found = {names[place] for place in np.flatnonzero(row)}
            right += len(found & set(labels_of(tag)))
            given += len(found)
            wanted += len(labels_of(tag))
    return 200 * right / max(1, given + wanted)


SPEC = TaskSpec(
    name="line-labels",
    build=build,
    architecture="encoder",
    head="tagger",
    labels=("names",),
    windows=True,
    reads_words=True,
    starts=("masked-words", "embedding"),
    own_options=LineOptions,
)
TASKS = [SPEC]
