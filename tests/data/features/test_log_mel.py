"""Log-mel features: Whisper's equal transformers', blocks equal the whole, SpecAugment hides."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.data.features.log_mel import (
    log_mel,
    mel_energies,
    mel_energy_blocks,
    mel_filters,
    spec_augment,
    whisper_log_mel,
)

RATE = 16_000


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    """A tone that rises, in noise, with a quiet end."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time)
    loud = np.where(time < 0.8 * seconds, 1.0, 1e-3)
    return ((wave + 0.01 * generator.normal(size=len(time))) * loud).astype(np.float32)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.7, 3.0, 31.0])
def test_whisper_features_equal_transformers(mels: int, seconds: float) -> None:
    from transformers import WhisperFeatureExtractor

    samples = sound(seconds)
    oracle = WhisperFeatureExtractor(feature_size=mels)
    expected = oracle(samples, sampling_rate=RATE, return_tensors="np")["input_features"][0]
    found = whisper_log_mel(samples, mels)
    assert found.shape == (mels, 3000) and found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4
    whole = oracle(
        samples, sampling_rate=RATE, return_tensors="np", truncation=False, padding="longest"
    )["input_features"][0]
    assert np.abs(whisper_log_mel(samples, mels, None) - whole).max() < 1e-4


def test_filters_equal_transformers() -> None:
    from transformers.audio_utils import mel_filter_bank

    expected = mel_filter_bank(201, 80, 0.0, 8000.0, RATE, norm="slaney", mel_scale="slaney")
    assert np.abs(mel_filters(80, 400, RATE) - expected).max() < 1e-9


@pytest.mark.parametrize("block", [1, 150, 399, 7_000, 16_001])
def test_blocks_equal_the_whole(block: int) -> None:
    samples = sound(0.5 if block == 1 else 2.0)
    whole = mel_energies(samples)
    blocks = [samples[start : start + block] for start in range(0, len(samples), block)]
    joined = np.concatenate(list(mel_energy_blocks(blocks)), axis=1)
    assert whole.shape == (80, len(samples) // 160)
    assert np.array_equal(joined, whole)


def test_frames_equal_a_transform_by_torch() -> None:
    import torch

    samples = sound(1.013)
    window = torch.hann_window(400, dtype=torch.float64)
    spectrum = torch.stft(
        torch.from_numpy(samples).double(), 400, 160, window=window, return_complex=True
    )
    expected = mel_filters(80, 400, RATE).T @ (spectrum.abs() ** 2).numpy()[:, :-1]
    assert np.allclose(mel_energies(samples), expected, rtol=1e-5, atol=1e-12)


def test_bands_are_normalised_over_the_clip() -> None:
    features = log_mel(sound(2.0))
    assert features.shape == (80, 200) and features.dtype == np.float32
    assert np.abs(features.mean(axis=1)).max() < 1e-4
    assert np.abs(features.std(axis=1) - 1).max() < 1e-3
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    assert np.abs(log_mel(noise * 3) - log_mel(noise)).max() < 1e-3  # loudness does not matter


@pytest.mark.parametrize("samples", [0, 1, 100, 159, 160, 201, 399, 400, 401])
def test_short_clips_have_whole_hops(samples: int) -> None:
    features = log_mel(sound(1.0)[:samples])
    assert features.shape == (80, samples // 160) and np.isfinite(features).all()
    assert np.isfinite(log_mel(np.zeros(samples, dtype=np.float32))).all()
    assert whisper_log_mel(sound(1.0)[:samples]).shape == (80, 3000)


def test_other_rates_keep_the_frames_in_milliseconds() -> None:
    assert log_mel(np.zeros(8000, dtype=np.float32) + 0.1, rate=8000).shape == (80, 100)


def test_spec_augment_hides_bands_and_stretches() -> None:
    features = np.ones((80, 300), dtype=np.float32)
    for seed in range(20):
        hidden = spec_augment(features, np.random.default_rng(seed))
        bands = (hidden == 0).all(axis=1).sum()
        frames = (hidden == 0).all(axis=0).sum()
        assert bands <= 30 and frames <= 60
        kept = (hidden != 0).sum()
        assert kept == (80 - bands) * (300 - frames)
    assert (features == 1).all()
    assert any(
        (spec_augment(features, np.random.default_rng(seed)) == 0).all(axis=1).sum() > 15
        for seed in range(20)
    )
    again = [spec_augment(features, np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(again[0], again[1])
    assert spec_augment(features[:, :3], np.random.default_rng(0)).shape == (80, 3)


def test_quiet_energies_are_cut_off() -> None:
    samples = sound(1.0)
    energies = mel_energies(samples)
    least = energies.max() / 10**8  # 80 decibels below
    assert energies.min() < least
    logs = np.log(np.maximum(energies, least))
    expected = (logs - logs.mean(1, keepdims=True)) / logs.std(1, keepdims=True)
    np.testing.assert_allclose(log_mel(samples, decibels=80.0), expected, atol=1e-4)


def test_bands_without_sound_are_no_noise() -> None:
    samples = sound(1.0)
    spectrum = np.fft.rfft(samples)
    spectrum[len(spectrum) // 2 :] *= 1e-3  # as of a telephone: next to nothing above 4 kHz
    filtered = np.fft.irfft(spectrum).astype(np.float32)
    high = slice(66, 80)
    inside = slice(1, -1)  # where the clip is mirrored there is a click
    assert log_mel(filtered)[high, inside].std() > 0.3, "as loud as sound"
    assert log_mel(filtered, decibels=80.0)[high, inside].std() < 0.01
