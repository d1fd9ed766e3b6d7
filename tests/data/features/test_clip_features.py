"""Features and windows of clips."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from triptych.data.example import Example
from triptych.data.features.clips import (
    FrameCache,
    clip_samples,
    clip_windows,
    frames_of,
    has_sound,
    quietest,
)
from triptych.errors import DataError

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (0.1 * drawn).astype(np.float32)


def test_a_path_its_bytes_and_its_samples_are_one_sound(tmp_path: Path) -> None:
    path, samples = tmp_path / "a.wav", noise(0.5)
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    given = [str(path), path.read_bytes(), samples]
    for audio in given:
        np.testing.assert_array_equal(clip_samples(Example(audio=audio)), samples)
        part = clip_samples(Example(audio=audio, start=0.1, end=0.3))
        np.testing.assert_array_equal(part, samples[1600:4800])
    assert frames_of(samples, "log-mel").shape == (50, 80)
    assert frames_of(samples, "whisper").shape == (3000, 80)


def test_a_long_sound_is_cut_where_it_is_quiet() -> None:
    samples = noise(7)
    for second in (1.6, 3.4, 5.0):
        samples[round(second * RATE) : round((second + 0.3) * RATE)] *= 0.001
    windows = list(clip_windows(Example(audio=samples), 2.0))
    np.testing.assert_array_equal(np.concatenate([part for _, part in windows]), samples)
    starts = [start for start, _ in windows]
    assert starts[0] == 0 and all(len(part) <= 2 * RATE for _, part in windows)
    assert 1.6 < starts[1] < 1.9 and any(3.4 < start < 3.7 for start in starts)
    assert quietest(np.zeros(100, np.float32)) == 100  # too short for a pause


def test_windows_begin_and_end_where_the_example_says() -> None:
    samples = noise(3)
    windows = list(clip_windows(Example(audio=samples, start=0.5, end=2.75), 1.0))
    assert windows[0][0] == 0.5
    np.testing.assert_array_equal(
        np.concatenate([part for _, part in windows]), samples[8000:44_000]
    )


def test_what_is_kept_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(0.4), RATE)
    example, cache = Example(audio=str(path)), FrameCache()
    first = cache.frames(example, "log-mel", 1.1)
    path.unlink()
    np.testing.assert_array_equal(cache.frames(example, "log-mel", 1.1), first)
    assert len(first) == 36 and first.dtype == np.float32
    soundfile.write(path, noise(0.4), RATE)
    none = FrameCache(most_bytes=10).frames(example, "log-mel", 1.1)
    np.testing.assert_array_equal(none, first)
    silent = Example(audio=np.zeros(8000, np.float32))
    assert cache.frames(silent, "log-mel").shape == (0, 80)


def test_sound_that_is_none() -> None:
    assert has_sound(noise(0.1)) and not has_sound(noise(0.005))
    assert not has_sound(np.zeros(RATE, np.float32))
    nan = noise(0.1)
    nan[7] = np.nan
    given: list[tuple[Example, str]] = [
        (Example(place="m.tsv:3"), "m.tsv:3 names no sound"),
        (Example(audio="gone.wav", place="m.tsv:4"), "m.tsv:4: gone.wav does not exist"),
        (Example(audio=b"no sound", place="m.tsv:5"), "m.tsv:5 is not a sound file"),
        (Example(audio=nan, place="m.tsv:6"), "m.tsv:6: a sample is NaN"),
        (
            Example(audio=np.zeros((2, 9), np.float32), place="here"),
            "here: samples must be one row",
        ),
        (Example(audio=noise(0.1), start=2.0, end=1.0, place="m.tsv:7"), "m.tsv:7: the end"),
    ]
    for example, said in given:
        with pytest.raises(DataError, match=said):
            clip_samples(example)


def test_odd_recordings_are_read() -> None:
    """8-bit, six channels and 96 kHz are sound too."""
    for rate, channels, subtype in ((8000, 1, "PCM_U8"), (96_000, 6, "PCM_24")):
        file = io.BytesIO()
        soundfile.write(file, np.full((rate, channels), 0.25), rate, subtype, format="WAV")
        samples = clip_samples(Example(audio=file.getvalue()))
        assert abs(len(samples) - RATE) < 10
        assert np.abs(samples[RATE // 2] - 0.25) < 0.02
