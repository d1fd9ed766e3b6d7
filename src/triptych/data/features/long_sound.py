"""Show windows of Whisper's features of a sound of any length, in bounded memory.

The features are cut off 8 below the highest value of the whole sound (`whisper_log_mel`), so that
a sound longer than a window is read twice: once to find that value.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from .audio import RATE, Samples, is_silent
from .log_mel import frame_sizes, mel_energy_blocks, whisper_log_mel, whisper_logs, whisper_scaled


class LongSound:
    """Give windows of features that may overlap, and begin later and later.

    frames: of the sound itself; size: of a window, to which the last is filled: a sound that fits
    into one window with silence, as Whisper was trained, a later one with zeros, as the library
    transformers does.
    """

    def __init__(self, blocks: Callable[[], Iterable[Samples]], mels: int, seconds: float) -> None:
        self.mels, hop = mels, frame_sizes(RATE)[1]
        self.size = round(seconds * RATE) // hop
        self._first = 0  # the frame that is held first
        first, rest = self._beginning(iter(blocks()), round(seconds * RATE))
        if rest is None:
            self.is_silent = is_silent(first)
            self.frames = -(-len(first) // hop)
            self._held = whisper_log_mel(first, mels, seconds)
            self._more = iter(())
            return
        highest, self.frames = -np.inf, 0
        for energies in mel_energy_blocks(itertools.chain([first], rest), RATE, mels):
            highest = max(highest, float(whisper_logs(energies).max()))
            self.frames += energies.shape[1]
        self.is_silent = highest <= -10  # every energy is at its floor
        self._held = np.zeros((mels, 0), dtype=np.float32)
        self._more = (
            whisper_scaled(whisper_logs(one), highest)
            for one in mel_energy_blocks(blocks(), RATE, mels)
        )

    @staticmethod
    def _beginning(
        blocks: Iterable[Samples], samples: int
    ) -> tuple[Samples, Iterable[Samples] | None]:
        """Return what does not exceed `samples` and None, or more than it and the other blocks."""
        parts: list[Samples] = [np.zeros(0, dtype=np.float32)]
        count = 0
        for block in blocks:
            parts.append(block)
            count += len(block)
            if count > samples:
                return np.concatenate(parts), blocks
        return np.concatenate(parts), None

    def window(self, frame: int) -> tuple[NDArray[np.float32], int]:
        """Return the features (size, mels) from a frame on, and how many are the sound's."""
        assert frame >= self._first, "windows never go back"
        parts, end = [self._held], self._first + self._held.shape[1]
        while end < frame + self.size:
            block = next(self._more, None)
            if block is None:
                break
            parts.append(block)
            end += block.shape[1]
        held = np.concatenate(parts, axis=1)[:, frame - self._first :]
        self._held, self._first = held, frame
        found = np.zeros((self.size, self.mels), dtype=np.float32)
        shown = held[:, : self.size]
        found[: shown.shape[1]] = shown.T
        return found, min(self.size, self.frames - frame)
