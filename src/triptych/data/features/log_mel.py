"""Compute log-mel features of sound: our own front end, Whisper's, and SpecAugment.

Both front ends cut the samples into frames of 25 ms, 10 ms apart, each centred on a multiple of
10 ms (the clip is mirrored beyond its ends), weight them by a periodic Hann window, take the power
spectrum and sum it by triangular filters that are equally wide on the mel scale of Slaney's
Auditory Toolbox (linear below 1 kHz, logarithmic above) and have equal areas. A clip of n samples
gives n // hop frames. They differ in what follows:

- `log_mel`: the natural logarithm of the energy (at least 1e-10, or a number of decibels below the
  clip's highest), each mel band shifted and scaled to mean 0 and variance 1 over the clip.
- `whisper_log_mel` (Radford et al. 2022, section 2.2): the decimal logarithm, cut off 8 below the
  clip's highest value, then (x + 4) / 4.

Features are (F, frames) float32: mel bands, then time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .audio import RATE, Samples

Features = NDArray[np.float32]
MELS = 80
WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.010
FLOOR = 1e-10  # the least energy
LEAST_DEVIATION = 1e-5  # a band that never changes is only shifted
WHISPER_SECONDS = 30  # of a window that Whisper reads
WHISPER_RANGE = 8.0  # powers of ten below the highest value
PIECE_FRAMES = 3000  # whose spectra are in memory at a time


def log_mel(
    samples: Samples, rate: int = RATE, mels: int = MELS, decibels: float | None = None
) -> Features:
    """Return log-mel energies, each band normalised over the clip: (mels, frames).

    Args:
        samples: A clip: (samples,).
        rate: Its samples a second.
        mels: The number of mel bands.
        decibels: Energies that are more than this below the clip's highest are cut off there, so
            that bands without sound (of a telephone, of a compressed file) are no noise that
            normalisation makes loud. None: only at 1e-10.
    """
    energies = mel_energies(samples, rate, mels)
    if not energies.shape[1]:
        return energies
    least = FLOOR if decibels is None else max(FLOOR, energies.max() * 10 ** (-decibels / 10))
    logs = np.log(np.maximum(energies, least))
    mean = logs.mean(axis=1, keepdims=True)
    deviation = np.maximum(logs.std(axis=1, keepdims=True), LEAST_DEVIATION)
    return ((logs - mean) / deviation).astype(np.float32)


def whisper_log_mel(
    samples: Samples, mels: int = MELS, seconds: float | None = WHISPER_SECONDS
) -> Features:
    """Return the features that Whisper reads of a clip at 16 kHz: (mels, frames).

    Args:
        samples: A clip: (samples,).
        mels: 80, or 128 for large-v3.
        seconds: Shorter clips are filled with silence to this length, longer ones cut; None: the
            clip as it is.
    """
    if seconds is not None:
        size = round(seconds * RATE)
        samples = np.pad(samples[:size], (0, max(0, size - len(samples))))
    logs = whisper_logs(mel_energies(samples, RATE, mels))
    return whisper_scaled(logs, float(logs.max(initial=-np.inf)))


def whisper_logs(energies: Features) -> Features:
    """Return the decimal logarithms of mel energies, at least 1e-10."""
    return np.log10(np.maximum(energies, FLOOR)).astype(np.float32)


def whisper_scaled(logs: Features, highest: float) -> Features:
    """Cut logarithms off 8 below the `highest` of the whole sound and scale them to about -1..1."""
    return ((np.maximum(logs, highest - WHISPER_RANGE) + 4.0) / 4.0).astype(np.float32)


def mel_energies(samples: Samples, rate: int = RATE, mels: int = MELS) -> Features:
    """Return the energies of mel bands: (mels, samples // hop), natural scale."""
    pieces = list(mel_energy_blocks([samples], rate, mels))
    return np.concatenate(pieces, axis=1) if pieces else np.zeros((mels, 0), dtype=np.float32)


def mel_energy_blocks(
    blocks: Iterable[Samples], rate: int = RATE, mels: int = MELS
) -> Iterator[Features]:
    """Yield the mel energies of a sound that comes in blocks, joined as if it were one clip.

    Args:
        blocks: Consecutive samples, as of `audio_blocks`.
        rate: Samples a second.
        mels: The number of mel bands.
    """
    width, hop = frame_sizes(rate)
    window = np.hanning(width + 1)[:-1]  # periodic
    filters = mel_filters(mels, width, rate)
    for frames in _frames(blocks, width, hop):
        spectrum = np.fft.rfft(frames * window, axis=1)  # (frames, width // 2 + 1)
        power = spectrum.real**2 + spectrum.imag**2
        yield (power @ filters).T.astype(np.float32)


def frame_sizes(rate: int) -> tuple[int, int]:
    """Return the samples of a frame and between the beginnings of two frames."""
    return round(WINDOW_SECONDS * rate), round(HOP_SECONDS * rate)


def _frames(blocks: Iterable[Samples], width: int, hop: int) -> Iterator[NDArray[np.float64]]:
    """Yield (frames, width) views of the samples, mirrored beyond both ends."""
    half = width // 2
    held, first, total, given = np.zeros(0), True, 0, 0
    for block in blocks:
        held, total = np.concatenate([held, block.astype(np.float64)]), total + len(block)
        if first:
            if len(held) <= half:
                continue
            held, first = np.concatenate([held[half:0:-1], held]), False
        # A clip of n samples has n // hop frames, and what is complete belongs to them: half a
        # frame is longer than a hop.
        whole = max(0, (len(held) - width) // hop + 1)
        yield from _pieces(held, width, hop, whole)
        held, given = held[whole * hop :], given + whole
    rest = total // hop - given
    if rest <= 0:
        return
    held = _ended(held, half, first)
    yield from _pieces(held, width, hop, rest)


def _ended(held: NDArray[np.float64], half: int, whole: bool) -> NDArray[np.float64]:
    """Mirror the last samples beyond the end; `whole`: a clip that was too short to begin."""
    if whole:
        held = np.pad(held, (0, max(0, half + 1 - len(held))))
        held = np.concatenate([held[half:0:-1], held])
    return np.concatenate([held, held[-2 : -half - 2 : -1]])


def _pieces(
    held: NDArray[np.float64], width: int, hop: int, frames: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the first frames of the samples, few enough at a time for their spectra."""
    if frames <= 0:
        return
    views = np.lib.stride_tricks.sliding_window_view(held, width)[::hop][:frames]
    for start in range(0, frames, PIECE_FRAMES):
        yield views[start : start + PIECE_FRAMES]


@lru_cache(maxsize=8)
def mel_filters(mels: int, width: int, rate: int) -> NDArray[np.float64]:
    """Return triangular filters of equal area, from 0 Hz to half of 16 kHz: (width // 2 + 1, mels).

    At rates below 16 kHz they end at half the rate.
    """
    frequencies = np.fft.rfftfreq(width, 1 / rate)
    edges = _hertz(np.linspace(0.0, _mel(np.array(min(rate, RATE) / 2)), mels + 2))
    rising = (frequencies[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[None, 2:] - frequencies[:, None]) / (edges[2:] - edges[1:-1])
    heights = 2.0 / (edges[2:] - edges[:-2])
    return np.maximum(0.0, np.minimum(rising, falling)) * heights


# Slaney's scale: 3 mels for 200 Hz up to 1 kHz, then a factor of 6.4 for 27 mels.
_BREAK_HERTZ, _BREAK_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27.0


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BREAK_MEL + np.log(np.maximum(hertz, _BREAK_HERTZ) / _BREAK_HERTZ) / _LOG_STEP
    return np.where(hertz < _BREAK_HERTZ, hertz * 3.0 / 200.0, above)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    above = _BREAK_HERTZ * np.exp((np.maximum(mel, _BREAK_MEL) - _BREAK_MEL) * _LOG_STEP)
    return np.where(mel < _BREAK_MEL, mel * 200.0 / 3.0, above)


def spec_augment(
    features: Features,
    generator: np.random.Generator,
    *,
    frequency_masks: int = 2,
    frequency_width: int = 15,
    time_masks: int = 2,
    time_share: float = 0.1,
) -> Features:
    """Hide random bands and stretches of time (SpecAugment, Park et al. 2019, section 2).

    Hidden places become 0, the mean of normalised features. Time is not warped.

    Args:
        features: (F, frames); it is not changed.
        generator: Draws the widths, from 0 to the most, and the places.
        frequency_masks: How many stretches of mel bands are hidden.
        frequency_width: The most bands of one of them (the paper's F).
        time_masks: How many stretches of frames are hidden.
        time_share: The largest part of the frames that one of them hides (the paper's p).

    Returns:
        The features with hidden places: (F, frames).
    """
    hidden = features.copy()
    bands, frames = features.shape
    for _ in range(frequency_masks):
        hidden[_stretch(generator, min(frequency_width, bands), bands)] = 0.0
    for _ in range(time_masks):
        hidden[:, _stretch(generator, int(time_share * frames), frames)] = 0.0
    return hidden


def _stretch(generator: np.random.Generator, most: int, size: int) -> slice:
    """Draw a stretch of 0 to `most` places within `size` of them."""
    width = int(generator.integers(most + 1))
    start = int(generator.integers(size - width + 1))
    return slice(start, start + width)
