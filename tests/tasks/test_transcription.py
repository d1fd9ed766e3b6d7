"""Transcription: encoding, learning, answering in windows, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from toy_speech import RATE, song_run, sung

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.data.features.clips import clip_windows, has_sound
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import DataError, UsageError
from triptych.inference.loading import load
from triptych.model.build import build as build_model
from triptych.model.heads.tokens import output_of
from triptych.presets import configure
from triptych.setup.model import with_vocabulary
from triptych.tasks.specs import build_task
from triptych.tasks.transcription import joined

ONE = Tokenizer.train(["la mi so"], "characters", 300)
BOTH = Tokenizers(ONE, ONE)


def task(**options: Any) -> Any:
    return build_task("transcription", options)


def test_a_clip_is_features_and_text() -> None:
    example = Example(audio=sung("la mi"), target="la mi")
    (one,) = task().encode(example, BOTH, {}, "train", None)
    assert one.inputs["source"].shape == (64, 80)
    assert one.inputs["source"].dtype == np.float32
    pieces = ONE.encode("la mi")
    assert one.inputs["target"].tolist() == [ONE.begin_id, *pieces]
    assert one.targets["tokens"].tolist() == [*pieces, ONE.end_id]
    assert one.targets["text"].tolist() == pieces and one.length == 64 + 6
    (used,) = task().encode(example, BOTH, {}, "use", None)
    assert list(used.inputs) == ["source"]
    np.testing.assert_allclose(used.inputs["source"], one.inputs["source"], atol=2e-3)


def test_what_is_drawn_depends_on_the_generator_alone() -> None:
    options = {"speeds": [0.9, 1.0, 1.1], "frequency_masks": 2, "time_masks": 2, "time_share": 0.3}
    some = task(**options)
    assert some.draws and not task().draws
    example = Example(audio=sung("la mi"), target="la mi")

    def drawn(seed: int) -> np.ndarray:
        found = some.encode(example, BOTH, {}, "train", np.random.default_rng((1, 0, seed)))
        return found[0].inputs["source"]

    np.testing.assert_array_equal(drawn(4), drawn(4))
    lengths = {len(drawn(seed)) for seed in range(12)}
    assert lengths == {58, 64, 71}
    assert any((drawn(seed) == 0).all(0).any() for seed in range(12))  # a whole band is hidden
    assert any((drawn(seed) == 0).all(1).any() for seed in range(12))  # a moment is hidden


def test_silence_and_long_clips_teach_nothing() -> None:
    silent = Example(audio=np.zeros(RATE, np.float32), target="la")
    assert task().encode(silent, BOTH, {}, "train", None) == []
    assert task().encode(silent, BOTH, {}, "use", None) == []
    long = Example(audio=sung("la " * 5), target="la")
    assert task(window=1.0).encode(long, BOTH, {}, "train", None) == []
    assert len(task(window=1.0).encode(long, BOTH, {}, "use", None)) > 1
    with pytest.raises(DataError, match="a.tsv:3 has no target text"):
        task().encode(Example(audio=sung("la"), place="a.tsv:3"), BOTH, {}, "train", None)


def test_losses_add_up_and_micro_batches_do_not_matter() -> None:
    torch.manual_seed(2)
    some = task(ctc_weight=0.25)
    dials = {"width": 16, "heads": 2, "encoder": {"stem": "convolution", "features": 80}}
    config = with_vocabulary(configure("transformer-tiny", dials), BOTH)
    model, head = build_model(config).eval(), some.head(config, {})
    texts = ["la", "mi so", "so la mi"]
    encoded = [
        some.encode(Example(audio=sung(one), target=one), BOTH, {}, "train", None)[0]
        for one in texts
    ]

    def sums(part: list[Any]) -> dict[str, float]:
        batch = collate(part)
        losses = some.loss(output_of(model, head, batch.inputs), batch)
        assert [losses[name][2] for name in ("loss", "ctc", "nll")] == [0.75, 0.25, 0.0]
        assert losses["ctc"][1] == batch.counts["tokens"]
        return {name: float(value.detach()) for name, (value, _, _) in losses.items()}

    whole, parts = sums(encoded), [sums([one]) for one in encoded]
    for name, value in whole.items():
        assert value == pytest.approx(sum(one[name] for one in parts), rel=1e-4)
    alone = task(ctc_weight=0.0)
    batch = collate(encoded)
    losses = alone.loss(output_of(model, alone.head(config, {}), batch.inputs), batch)
    assert losses["loss"][2] == 1.0 and "ctc" not in losses


def test_models_that_cannot_hear_are_refused() -> None:
    config = with_vocabulary(configure("transformer-tiny", {}), BOTH)
    with pytest.raises(UsageError, match="needs a stem: set model.encoder.stem = 'convolution'"):
        task().head(config, {})
    with pytest.raises(UsageError, match="needs an encoder-decoder model"):
        task().head(with_vocabulary(configure("encoder-tiny", {}), BOTH), {})
    for wrong, said in (([], "is empty"), ([9.0], "must be from 0.25 to 4")):
        with pytest.raises(UsageError, match=said):
            task(speeds=wrong)


def test_texts_of_windows_are_joined() -> None:
    assert joined(["one two ", "three"]) == "one two three"
    assert joined(["機器", "學習", "ok", "ja"]) == "機器學習ok ja"
    assert joined(["", "a", ""]) == "a" and joined([]) == ""


def test_songs_are_learnt_saved_and_heard() -> None:
    run, paths, texts = song_run()
    predictor, files = load(run), list(map(str, paths))
    settings: dict[str, Any]
    for settings in ({}, {"ctc_weight": 0.4}, {"ctc_weight": 0.4, "beams": 3}, {"ctc_weight": 1.0}):
        found = predictor.predict(files, **settings)
        assert [one.text for one in found] == texts, settings
    # a path, its bytes, the samples; alone as in a batch; and a long song in windows
    sound: Any = soundfile.read(files[0], dtype="float32")[0]
    given: list[Any] = [files[0], {"audio": Path(files[0]).read_bytes()}, sound]
    assert [predictor.predict([one])[0].text for one in given] == [texts[0]] * 3
    pause: Any = np.zeros(3 * RATE, np.float32)
    two: Any = np.concatenate([sound, pause, sound])
    parts: list[Any] = [
        part for _, part in clip_windows(Example(audio=two), 3.0) if has_sound(part)
    ]
    heard = [one.text for one in predictor.predict(parts)]
    assert len(parts) == 2 and predictor.predict([two])[0].text == joined(heard)
    assert predictor.predict([pause])[0].text == ""
    examples = [Example(audio=one, target=text) for one, text in zip(files, texts, strict=True)]
    scores = predictor.evaluate(examples).scores.values
    assert scores["wer"] == 0 and scores["cer"] == 0 and scores["ctc"] < 0.2
    assert 0 < scores["real_time_factor"] < 100
    with pytest.raises(UsageError, match="ctc_weight is 2.0; it must be"):
        predictor.predict(files, ctc_weight=2.0)
