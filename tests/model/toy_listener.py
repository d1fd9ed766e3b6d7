"""An untrained run that hears, and a tone to hear: what tests of sound without training share."""

from __future__ import annotations

import numpy as np
import torch

from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.inference.predictor import Predictor
from triptych.model.build import build
from triptych.presets import configure
from triptych.setup.model import with_vocabulary
from triptych.tasks.specs import build_task

RATE = 16_000


def listener(ctc_weight: float = 0.3, seconds: float = 3.0) -> Predictor:
    """Return an untrained run that hears."""
    one = Tokenizer.train(["la mi so"], "characters", 300)
    sides, task = (
        Tokenizers(one, one),
        build_task("transcription", {"ctc_weight": ctc_weight, "window": seconds}),
    )
    dials = {"width": 16, "heads": 2, "encoder": {"stem": "convolution", "features": 80}}
    config = with_vocabulary(configure("transformer-tiny", dials), sides)
    torch.manual_seed(3)
    model = build(config).eval()
    head = task.head(config, {}).eval()
    return Predictor(
        model=model, head=head, task=task, tokenizers=sides, labels={},
        decoding=DecodingSettings(max_length=6, min_length=4),
    )  # fmt: skip


def tone(seconds: float = 1.0) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 600 * times)).astype(np.float32)
