"""Hear one window of a sound, and keep what the model read, attended to and aligned."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..data.batches.encoded import Encoded, collate
from ..data.example import Example
from ..data.features.audio import RATE, Samples
from ..data.features.clips import FRAMES_A_SECOND, clip_windows, has_sound
from ..decoding.settings import DecodingSettings
from ..errors import UsageError
from ..messages import message
from ..tasks.whisper import first_time
from .transcribing import token_states, window_of

if TYPE_CHECKING:
    from ..inspection.views.hearing import Heard
    from .predictor import Predictor


def hear(
    predictor: Predictor, example: Example, settings: DecodingSettings
) -> tuple[Heard, Samples]:
    """Return what a run hears in the first window that has any sound, and the window's samples.

    Args:
        predictor: A run for transcription.
        example: Its sound.
        settings: How the text is decoded.

    Raises:
        UsageError: The run reads no sound, or nothing can be heard.
        DataError: The sound cannot be read.
    """
    windows = clip_windows(example, window_of(predictor))
    for start, samples in windows:
        if has_sound(samples):
            is_whole = start == (example.start or 0.0) and next(windows, None) is None
            found = _heard(predictor, example, samples, start, settings, is_whole)
            return found, samples
    raise UsageError(message("There is nothing to hear: the sound is silent."))


def _heard(
    predictor: Predictor,
    example: Example,
    samples: Samples,
    start: float,
    settings: DecodingSettings,
    is_whole: bool,
) -> Heard:
    from ..inspection.cells import label_of
    from ..inspection.views.hearing import Heard

    given = Example(
        audio=samples, place=example.place, source_language=example.source_language,
        target_language=example.target_language,
    )  # fmt: skip
    encoded = predictor.encode(given)[0][0]
    encoded.index = 0
    best = predictor.raw([encoded], settings)[0][0]
    tokenizer, seconds = predictor.tokenizers.target, len(samples) / RATE
    scale = predictor.model.config.encoder.frames_per_vector / FRAMES_A_SECOND
    # Whisper reads silence up to its 30 seconds; it is not shown.
    frames, states = round(seconds * FRAMES_A_SECOND), int(np.ceil(seconds / scale))
    ids = [int(one) for one in best.tokens]
    begin = [*(predictor.request(encoded, settings).prompt or tokenizer.starts())]
    attention = _cross(predictor, encoded, begin, ids)[:, :states]
    has_ctc = hasattr(predictor.head, "log_probabilities")
    spans = token_states(predictor, encoded, ids, begin) if ids else []
    return Heard(
        text=tokenizer.decode([one for one in ids if one < first_time(tokenizer)]).strip(),
        start=start,
        seconds=seconds,
        mel=encoded.inputs["source"][: max(1, frames)],
        tokens=[label_of(tokenizer, one) for one in ids],
        spans=[(min(a * scale, seconds), min(b * scale, seconds)) for a, b in spans],
        by="ctc" if has_ctc else "attention",
        attention=attention,
        alone=_spelled(predictor, encoded, scale) if has_ctc else [],
        is_whole=is_whole,
    )


@torch.inference_mode()
def _cross(predictor: Predictor, encoded: Encoded, begin: list[int], ids: list[int]) -> np.ndarray:
    """Return the cross-attention of each written token, mean over layers and heads (T, S)."""
    inputs = collate([Encoded({"source": encoded.inputs["source"]})]).to(predictor.device).inputs
    target = torch.tensor([*begin, *ids], device=predictor.device)
    lengths = torch.tensor([len(target)], device=predictor.device)
    weights = predictor.model.attention_weights(
        "cross", **inputs, target=target, target_lengths=lengths
    )
    mean = weights[:, 0].float().mean((0, 1)).cpu().numpy()  # (T, S)
    return mean[len(begin) - 1 : len(begin) - 1 + len(ids)]


@torch.inference_mode()
def _spelled(predictor: Predictor, encoded: Encoded, scale: float) -> list[tuple[float, str]]:
    """Return what CTC alone spells: its likeliest token wherever that changes, without blanks."""
    from ..inspection.cells import label_of

    inputs = collate([Encoded({"source": encoded.inputs["source"]})]).to(predictor.device).inputs
    scores = predictor.head.log_probabilities(predictor.model.encode(inputs).states)
    likeliest, blank = scores.argmax(-1).tolist(), scores.shape[-1] - 1
    changes = enumerate(pairwise([blank, *likeliest]))
    return [
        (place * scale, label_of(predictor.tokenizers.target, one))
        for place, (before, one) in changes
        if one not in (before, blank)
    ]
