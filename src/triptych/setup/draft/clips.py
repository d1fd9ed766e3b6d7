"""Draft a recipe for transcription from clips of sound with texts, with a forecast."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import DataError, UsageError
from ...messages import message
from ...tasks.transcription import SPEC
from . import measured as measuring
from . import start as starting
from .labelled import FEWEST
from .public_set import table_of
from .request import DraftRequest, file_lines, refuse_fatal

if TYPE_CHECKING:
    from ...data.example import Example
    from ...data.table import DataTable

NEEDS = ("audio", "target")
LEFT_OUT = ("empty text", "silent", "leak")  # problems that training leaves out
FRAMES_A_SECOND = 100
MOST_SIGNS = 4000  # of a vocabulary of characters
LONGEST_WINDOW = 30.0  # seconds


@dataclass(frozen=True)
class SoundSize:
    """Hold the settings that fit so many hours of sound."""

    hours: float  # for up to this many
    width: int
    layers: int  # of the encoder; the decoder has 2
    epochs: int
    dropout: float = 0.1


# A judgement: those for minutes and for a few hours were trained (docs/results/speech.md).
SIZES = (
    SoundSize(0.2, 128, 3, 100),
    SoundSize(6, 128, 5, 30),
    SoundSize(50, 256, 6, 20),
    SoundSize(10**9, 256, 10, 10),
)


def recipe_text(request: DraftRequest) -> str:
    """Return the text of a recipe.

    Raises:
        DataError: Training would fail; the text names file and line.
        UsageError: What is wanted cannot be drafted.
    """
    from ...data.features.clips import clip_seconds
    from ...data.load import load_split

    if request.exportable:
        raise UsageError(
            "--exportable is not for {task}: no class of the library transformers computes its "
            "convolutions and its CTC. Leave it out.",
            task=SPEC.name,
        )
    data = table_of(request) or _table_of_files(request)
    examples = load_split(data, "train", request.report, NEEDS)
    if len(examples) < FEWEST:
        raise DataError(
            "{train} has {count} {records}, too few to learn from. Give some hundreds.",
            train=request.train,
            count=len(examples),
            records=message("clips"),
        )
    seconds = [clip_seconds(one) for one in examples]
    options = {"window": min(LONGEST_WINDOW, float(math.ceil(1.2 * max(seconds) + 1)))}
    if request.start is not None:
        found = starting.begin(request.start, request.task, options, examples, request.training)
        request.report_next(found.words)
        lines = file_lines(data, message("clips"))
        return starting.text_of(request.task, found, *lines, request.minutes)
    size = next(size for size in SIZES if sum(seconds) / 3600 <= size.hours)
    return _text_of(request, data, examples, size, seconds, options["window"])


def _table_of_files(request: DraftRequest) -> DataTable:
    """Return the data table of the user's files, checked."""
    from ...data.load import refuse_idle_columns, split_files
    from ...data.table import DataTable
    from ...data.validation.clips import check

    data = DataTable(
        train=request.train_name,
        columns=request.columns,
        encoding=request.encoding,
        **request.others,  # type: ignore[arg-type]
    )
    refuse_idle_columns(data, NEEDS)
    names = split_files(data)
    report = check(names, data.columns, data.pattern, data.encoding)
    refuse_fatal(report, names["train"][0], LEFT_OUT, request.report)
    return data


def _text_of(
    request: DraftRequest,
    data: DataTable,
    examples: Sequence[Example],
    size: SoundSize,
    seconds: Sequence[float],
    window: float,
) -> str:
    from ...presets import configure, parameter_count

    signs = {sign for one in examples for sign in one.target or ""}
    characters = len(signs) <= MOST_SIGNS
    vocabulary = 100 * math.ceil((260 + len(signs)) / 100) if characters else 4000
    dials = {
        "width": size.width,
        "heads": 4,
        "inner_width": 4 * size.width,
        "encoder": {"layers": size.layers, "stem": "convolution", "features": 80},
        "decoder": {"layers": 2},
    }
    config = dataclasses.replace(configure("transformer-small", dials), vocabulary_size=vocabulary)
    tokens = sum(len(one.target or "") + 1 for one in examples) / len(examples)
    frames = FRAMES_A_SECOND * sum(seconds) / len(examples)
    speed = measuring.measured_speed(
        config, frames + tokens, 5000, request.training, target=max(2, round(tokens))
    )
    total = len(examples) * (frames + tokens)
    minutes = request.minutes or max(1.0, round(size.epochs * total / speed.speed / 60, 1))
    words = message(
        "{count:,} clips, {hours:.2f} hours. Here a model with {millions:.1f} M parameters trains "
        "on about {speed:,.0f} times real time {measured}: {epochs:,.0f} epochs in {minutes:g} "
        "min.",
        count=len(examples),
        hours=sum(seconds) / 3600,
        millions=parameter_count(config) / 1e6,
        speed=speed.speed / FRAMES_A_SECOND,
        measured=speed.words,
        epochs=minutes * 60 * speed.speed / total,
        minutes=minutes,
    )
    request.report_next(words)
    kind = "characters" if characters else "bpe"
    files = "".join(file_lines(data, message("clips")))
    return _written(size, words, files, window, kind, vocabulary, minutes)


def _written(
    size: SoundSize,
    words: str,
    files: str,
    window: float,
    kind: str,
    vocabulary: int,
    minutes: float,
) -> str:
    """Return the text of the recipe."""
    return f"""# Written by triptych init. {words}
# Any key can be changed here or on the command line, for example: --training.minutes 30

[task]
name = "{SPEC.name}"
ctc_weight = 0.3                # the rest is attention's
speeds = [0.9, 1.0, 1.1]        # of clips, drawn anew in each epoch
frequency_masks = 2             # SpecAugment
time_masks = 2
window = {window:g}                      # seconds read at once

[data]
{files}
[tokenizer]
kind = "{kind}"
vocabulary_size = {vocabulary}

[model]
preset = "transformer-small"
width = {size.width}
heads = 4
inner_width = {4 * size.width}
dropout = {size.dropout}
encoder.layers = {size.layers}
encoder.stem = "convolution"    # 4 frames of 10 ms become one vector
encoder.features = 80           # mel bands
decoder.layers = 2

[batches]
batch_tokens = 5000             # frames of 10 ms and tokens
buffer = 8000                   # clips that are sorted by length together

[training]
minutes = {minutes:g}
optimizer = "muon"
learning_rate = 4e-3
schedule = "trapezoid"
warmup_steps = 100
average = 0.99

[decoding]
ctc_weight = 0.3                # the CTC prefix has a say in each token
max_length_ratio = 0.25         # tokens for each frame
"""
