"""Turn the sound of an Example into the features that a model reads, whole or in windows.

A long sound is cut at its quietest places, so that no word is cut in two.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError
from ..example import Example
from .audio import RATE, AudioStream, Samples, audio_info, change_speed, is_silent
from .log_mel import MELS, WHISPER_SECONDS, log_mel, whisper_log_mel

FrontEnd = Literal["log-mel", "log-mel-80db", "whisper", "whisper-128"]
DECIBELS: dict[str, float | None] = {
    "log-mel": None,
    "log-mel-80db": 80.0,
}  # what our own front ends keep
FRAMES_A_SECOND = 100
CACHE_BYTES = 2 << 30  # of features that training keeps in memory
QUIET_SECONDS, STEP_SECONDS = 0.2, 0.02  # what must be quiet at a cut, and how finely it is sought


def frames_of(
    samples: Samples, front_end: FrontEnd, seconds: float = WHISPER_SECONDS
) -> NDArray[np.float32]:
    """Return the features of a clip, time first: (F, 80), or (F, 128).

    Whisper's are filled up with silence to `seconds`.
    """
    if front_end in DECIBELS:
        found = log_mel(samples, decibels=DECIBELS[front_end])
    else:
        longest = max(seconds, len(samples) / RATE)
        found = whisper_log_mel(samples, MELS if front_end == "whisper" else 128, longest)
    return np.ascontiguousarray(found.T)


def clip_samples(example: Example) -> Samples:
    """Read the whole sound of an Example, mono at 16 kHz.

    Raises DataError naming the Example's place where there is none, or it cannot be read.
    """
    parts = list(clip_windows(example, None))
    return np.concatenate([part for _, part in parts]) if parts else np.zeros(0, np.float32)


def clip_seconds(example: Example) -> float:
    """Return the seconds of an Example's sound, by the header of its file."""
    sound, start = example.audio, example.start or 0.0
    if example.end is not None:
        return example.end - start
    if isinstance(sound, str):
        return audio_info(sound).seconds - start
    if isinstance(sound, bytes):
        return audio_info(io.BytesIO(sound)).seconds - start
    return 0.0 if sound is None else len(sound) / RATE - start


def clip_windows(example: Example, seconds: float | None) -> Iterator[tuple[float, Samples]]:
    """Yield (start in seconds, samples) of the windows of an Example's sound, one after the other.

    Args:
        example: Only its sound, `start` and `end` are read.
        seconds: The longest window; each ends at the quietest place of its second half. None: as
            they are read.
    """
    sound, first, last = example.audio, example.start or 0.0, example.end
    if sound is None:
        raise DataError("{place} names no sound.", place=example.place or "An example")
    if last is not None and last <= first:
        raise DataError(
            "{place}: the end, {end} s, is not after the start, {start} s.",
            place=example.place or "An example",
            end=last,
            start=first,
        )
    stream = _stream_of(example)
    place = round(first * RATE)
    stream.advance(place)
    size = round((seconds or 10.0) * RATE)
    while True:
        most = size if last is None else min(size, round(last * RATE) - place)
        # one sample more tells whether the sound goes on
        window = stream.window(most + 1) if most > 0 else np.zeros(0, np.float32)
        if not len(window):
            return
        if seconds is not None and len(window) > size:
            window = window[: quietest(window[:size])]
        window = window[:most]
        yield place / RATE, window
        stream.advance(len(window))
        place += len(window)


def quietest(window: Samples) -> int:
    """Return the sample of a window's second half around which there is least sound."""
    step, wide = round(STEP_SECONDS * RATE), round(QUIET_SECONDS / STEP_SECONDS)
    first = len(window) // 2 // step * step
    half = window[first:]
    count = len(half) // step
    if count <= wide:
        return len(window)
    energies = np.square(half[: count * step]).reshape(count, step).sum(1)
    sums = np.convolve(energies, np.ones(wide), "valid")
    # of equally quiet places the last, so that windows are long
    place = len(sums) - 1 - int(sums[::-1].argmin())
    return first + (place + wide // 2) * step


class _Given:
    """Show a window of samples that are given, as `AudioStream` does of a file."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def window(self, samples: int) -> Samples:
        return self._samples[:samples]

    def advance(self, samples: int) -> None:
        self._samples = self._samples[samples:]


def _stream_of(example: Example) -> AudioStream | _Given:
    sound, place = example.audio, example.place
    if isinstance(sound, str):
        return AudioStream(sound, name=f"{place}: {sound}" if place and place != sound else sound)
    if isinstance(sound, bytes):
        return AudioStream(io.BytesIO(sound), name=place or "the given sound")
    samples = np.asarray(sound)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise DataError(
            "{place}: samples must be one row of numbers between -1 and 1 at 16 kHz.",
            place=place or "the given sound",
        )
    if not np.isfinite(samples).all():
        raise DataError("{place}: a sample is NaN or infinite.", place=place or "the given sound")
    return _Given(samples.astype(np.float32, copy=False))


class FrameCache:
    """Keep the features of clips that training reads again in every epoch, in 16 bits.

    All features are rounded to 16 bits, kept or not, so that what is kept changes nothing.
    """

    def __init__(self, most_bytes: int = CACHE_BYTES, seconds: float = WHISPER_SECONDS) -> None:
        """Begin empty; Whisper's features are filled up to `seconds`."""
        self._seconds = seconds
        self._kept: dict[tuple[object, ...], NDArray[np.float16]] = {}
        self._free = most_bytes
        self._lock = threading.Lock()

    def frames(
        self, example: Example, front_end: FrontEnd, speed: float = 1.0
    ) -> NDArray[np.float32]:
        """Return the features (F, 80) of an Example played `speed` times as fast.

        F is 0 for silence.
        """
        key = (example.audio, example.start, example.end, front_end, speed)
        held = self._kept.get(key) if isinstance(example.audio, str) else None
        if held is None:
            samples = change_speed(clip_samples(example), speed)
            frames = (
                frames_of(samples, front_end, self._seconds)
                if has_sound(samples)
                else np.zeros((0, MELS))
            )
            held = frames.astype(np.float16)
            with self._lock:
                if isinstance(example.audio, str) and held.nbytes <= self._free:
                    self._kept[key] = held
                    self._free -= held.nbytes
        return held.astype(np.float32)


def has_sound(samples: Samples) -> bool:
    """Tell whether there is anything to hear: at least a frame that is not silent."""
    return len(samples) >= RATE // FRAMES_A_SECOND and not is_silent(samples)
