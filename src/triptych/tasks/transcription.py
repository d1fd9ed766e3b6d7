"""Write down what is said in a sound: attention and CTC over one encoder.

See Watanabe et al. 2017 (joint CTC) and Chan et al. 2016 (attention).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.features.clips import (
    DECIBELS,
    FRAMES_A_SECOND,
    FrameCache,
    FrontEnd,
    clip_windows,
    frames_of,
    has_sound,
)
from ..data.features.log_mel import spec_augment
from ..data.tokenizers.sides import Tokenizers
from ..decoding.requests import DecodedText
from ..decoding.settings import DecodingSettings
from ..errors import DataError, UsageError
from ..model.config import AnyConfig, ModelConfig
from . import sequence_to_sequence as shared
from . import whisper
from .options import read_options
from .speech_options import TranscriptionOptions
from .task import (
    Labels,
    Losses,
    Prediction,
    Purpose,
    Scores,
    Task,
    TaskSpec,
    written_prediction,
)

if TYPE_CHECKING:
    from torch import nn

_LATIN_END = 0x2E80  # from here on scripts are written without spaces, as a rule


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(TranscriptionOptions, values)
    is_whisper = options.features not in DECIBELS
    frames_of_clip = FrameCache(seconds=options.window).frames
    return Task(
        spec=SPEC,
        options=asdict(options),
        needs=("audio", "target"),
        prepare=shared.prepare,
        encode=partial(encode, options=options, frames_of_clip=frames_of_clip),
        head=partial(head, ctc_weight=options.ctc_weight),
        loss=partial(loss, label_smoothing=options.label_smoothing, ctc_weight=options.ctc_weight),
        request=partial(whisper.request, options=options) if is_whisper else shared.request,
        writer=None if is_whisper else writer,
        read=whisper.read if is_whisper else read,
        follow=partial(whisper.follow, options=options) if is_whisper else None,
        score=score,
        draws=options.draws,
    )


# Encoding -----------------------------------------------------------------------------------------


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    options: TranscriptionOptions,
    frames_of_clip: Callable[[Example, FrontEnd, float], NDArray[np.float32]],
) -> list[Encoded]:
    """Encode source = features (F, 80), target = begin pieces; tokens = pieces end.

    In use a long sound gives several windows. Silence gives nothing, nor does a clip to learn from
    that is longer than a window.
    """
    if options.features not in DECIBELS:
        if purpose == "use":
            return whisper.encode(example, tokenizers, options)
        first, *more = whisper.starts(example, tokenizers, options)
    else:
        first, *more = tokenizers.target.starts()
    if purpose == "use":
        alone = not more and first == tokenizers.target.begin_id
        begins = () if alone else (first, *more)
        windows = clip_windows(example, options.window)
        return [
            Encoded({"source": frames_of(samples, options.features)}, metadata=start, begins=begins)
            for start, samples in windows
            if has_sound(samples)
        ]
    if example.target is None:
        raise DataError(f"{example.place or 'An example'} has no target text to learn from.")
    speed = 1.0
    if generator is not None and options.speeds != [1.0]:
        speed = options.speeds[int(generator.integers(len(options.speeds)))]
    frames = frames_of_clip(example, options.features, speed)
    if not len(frames) or len(frames) > options.window * FRAMES_A_SECOND:
        return []
    if generator is not None:
        frames = spec_augment(
            frames.T,
            generator,
            frequency_masks=options.frequency_masks,
            frequency_width=options.frequency_width,
            time_masks=options.time_masks,
            time_share=options.time_share,
        ).T
    pieces = tokenizers.target.encode(example.target)
    return [
        Encoded(
            {"source": frames, "target": np.array([first, *more, *pieces], dtype=np.int64)},
            {
                "tokens": np.array([*more, *pieces, tokenizers.target.end_id], dtype=np.int64),
                "text": np.array(pieces, dtype=np.int64),
                "text_lengths": np.array([len(pieces)], dtype=np.int64),
            },
        )
    ]


# Learning -----------------------------------------------------------------------------------------


def head(config: AnyConfig, labels: Labels, ctc_weight: float = 0.0) -> nn.Module:
    """Build the head. Raise UsageError for a model that cannot read sound and write."""
    from ..model.heads.ctc import NextTokenAndCtc
    from ..model.heads.tokens import NextToken

    if not isinstance(config, ModelConfig) or config.encoder is None or config.decoder is None:
        raise UsageError(
            "This task needs an encoder-decoder model: set model.preset, for example to "
            "'transformer-small', or start from a run of one."
        )
    if config.encoder.stem is None:
        raise UsageError(
            "This task reads sound, which needs a stem: set model.encoder.stem = 'convolution' and "
            "model.encoder.features = 80."
        )
    if not ctc_weight:
        return NextToken()
    return NextTokenAndCtc(config.encoder.width, config.vocabulary_size)


def loss(
    output: Any, batch: Batch, label_smoothing: float = 0.0, ctc_weight: float = 0.0
) -> Losses:
    """Return the cross-entropy of attention and the CTC loss, in nats, over tokens.

    Their weights add up to 1; `nll` is the first without smoothing.
    """
    from ..model.heads.ctc import SpeechOutput, ctc_loss

    if not isinstance(output, SpeechOutput):
        return shared.loss(output, batch, label_smoothing)
    losses = shared.loss(output.tokens, batch, label_smoothing)
    total, count, _ = losses["loss"]
    ctc = ctc_loss(output.ctc, output.lengths, batch.targets["text"], batch.targets["text_lengths"])
    return {**losses, "loss": (total, count, 1 - ctc_weight), "ctc": (ctc, count, ctc_weight)}


# Answering ----------------------------------------------------------------------------------------


def writer(
    model: Any, head: Any, settings: DecodingSettings, tokenizers: Tokenizers
) -> tuple[Any, DecodingSettings]:
    """Return what writes: with decoding.ctc_weight, the model with the scores of its CTC head."""
    if not settings.ctc_weight:
        return model, settings
    from ..decoding.ctc import with_ctc

    if not hasattr(head, "log_probabilities"):
        raise UsageError(
            "decoding.ctc_weight is {weight}, but this run has no CTC head (task.ctc_weight = 0). "
            "Leave it out.",
            weight=settings.ctc_weight,
        )
    one = tokenizers.target
    return with_ctc(model, head, settings, one.begin_id, one.end_ids[0])


def read(
    raw: Sequence[Sequence[DecodedText]], example: Example, tokenizers: Tokenizers
) -> Prediction:
    """Return the n best texts of one window, or the best texts of several, joined."""
    if len(raw) == 1:
        return written_prediction(raw[0])
    best = [one[0] for one in raw]
    total = sum(one.log_probability for one in best)
    return Prediction(
        text=joined([one.text for one in best]),
        score=total / max(1, sum(len(one.token_log_probabilities) for one in best)),
        log_probability=total,
        tokens=[token for one in best for token in one.tokens],
        token_log_probabilities=[each for one in best for each in one.token_log_probabilities],
        cut=any(not one.finished for one in best),
    )


def joined(texts: Sequence[str]) -> str:
    """Join the texts of windows with spaces, but not between Chinese or Japanese characters."""
    found = ""
    for text in (one.strip() for one in texts):
        if found and text and max(ord(found[-1]), ord(text[0])) < _LATIN_END:
            found += " "
        found += text
    return found


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return wer and cer, for toned syllables ser and ser_toneless, then losses.

    loss is in nats per target token, not smoothed; ctc is the encoder's.
    """
    from ..metrics import errors as metrics

    texts = [one.text for one in predictions]
    references = [shared.references_of(one)[0] for one in examples]
    found = metrics.of_speech(texts, references)
    values = {name: one.value for name, one in found.items()}
    if "ctc" in losses:
        values |= {"ctc": losses["ctc"]}
    signatures = {name: one.signature for name, one in found.items()}
    return Scores(values | shared.with_loss(losses), signatures)


SPEC = TaskSpec(
    name="transcription",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    verbs=("transcribe",),
    view="hearing",
    windows=True,
    empty=True,
    targets="speech",
)
