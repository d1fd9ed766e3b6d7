"""Read sound files as mono float32 samples at one rate, whole or window by window.

libsndfile (package soundfile) decodes WAV, FLAC, MP3 and Ogg; soxr resamples. A file is read in
blocks, so that an hour of sound takes no more memory than its window. Several channels are
averaged. Samples lie between -1 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import SEEK_CUR, SEEK_END, PathLike
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, UsageError, brief

Samples = NDArray[np.float32]
Source = str | PathLike[str] | IO[bytes]
RATE = 16_000  # samples a second that models read
BLOCK_SECONDS = 10.0
SILENT_PEAK = 2.0**-15  # half a step of 16 bits: nothing was recorded
SPEEDS = (0.9, 1.0, 1.1)  # Ko et al. 2015, section 2
LEAST_SECONDS = 0.025  # one frame
CANCELLED = 1e-4  # power of the mean of channels beside that of the loudest, 40 dB below it
UNKNOWN_BYTES = 0x7FFFF000  # sizes from here on are those of programs that did not know it
MOST_CHANNELS, LEAST_RATE, MOST_RATE = 64, 1_000, 768_000


class ShortSound(DataError):
    """A sound does not fill one frame."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """Describe a sound file.

    rate: samples a second; frames: samples of each channel; format: libsndfile's name, as 'WAV'.
    """

    rate: int
    channels: int
    frames: int
    format: str

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def audio_info(source: Source, name: str | None = None) -> AudioInfo:
    """Read the header of a sound file.

    Args:
        source: A path or a binary file.
        name: What errors call it; by default its path.

    Raises:
        DataError: It is missing, no sound file, or holds no samples.
        UsageError: The packages of the extra `audio` are not installed.
    """
    with _opened(source, name or _name(source)) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames, file.format)


def read_audio(source: Source, rate: int = RATE, name: str | None = None) -> Samples:
    """Read a whole sound file as mono samples at `rate`: (samples,) float32.

    Raises:
        DataError: It is missing, no sound file, empty, or holds NaN or infinite samples.
        UsageError: The packages of the extra `audio` are not installed.
    """
    return np.concatenate(list(audio_blocks(source, rate, name)))


def audio_blocks(source: Source, rate: int = RATE, name: str | None = None) -> Iterator[Samples]:
    """Yield a sound file in blocks of about ten seconds, mono, resampled as one stream.

    Raises:
        DataError, UsageError: As `read_audio`; a damaged file may fail behind its first blocks.
    """
    name = name or _name(source)
    with _opened(source, name) as file:
        change = None
        if file.samplerate != rate:
            change = _package("soxr").ResampleStream(file.samplerate, rate, 1, dtype="float32")
        read = 0
        for block in _decoded(file, name):
            read += len(block)
            mono = _mono(block)
            resampled = mono if change is None else change.resample_chunk(mono)
            if len(resampled):
                yield np.ascontiguousarray(resampled, dtype=np.float32)
        if read == 0:
            raise DataError("{name} holds no sound: its length is zero.", name=name)
        if read < LEAST_SECONDS * file.samplerate:
            raise ShortSound(
                "{name} holds {shown:.1f} thousandths of a second of sound; {least:.0f} at least "
                "make one frame.",
                name=name,
                shown=1000 * read / file.samplerate,
                least=1000 * LEAST_SECONDS,
            )
        if change is not None:
            rest = change.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            if len(rest):
                yield np.ascontiguousarray(rest, dtype=np.float32)


def audio_windows(
    source: Source, seconds: float, rate: int = RATE, name: str | None = None
) -> Iterator[tuple[float, Samples]]:
    """Yield (start in seconds, samples) of windows that follow one another; the last is shorter.

    Raises:
        DataError, UsageError: As `read_audio`.
    """
    stream, start = AudioStream(source, rate, name), 0
    size = round(seconds * rate)
    while len(window := stream.window(size)):
        yield start / rate, window
        stream.advance(size)
        start += size


class AudioStream:
    """Show a window of a sound file that moves forward, keeping no more than the window.

    Long files are read where the last window ended in the sound, not where it ended in the file
    (Radford et al. 2022, section 3.8).
    """

    def __init__(self, source: Source, rate: int = RATE, name: str | None = None) -> None:
        self._blocks = audio_blocks(source, rate, name)
        self._held = np.zeros(0, dtype=np.float32)

    def window(self, samples: int) -> Samples:
        """Return the next samples, fewer at the end of the file, without moving on."""
        self._fill(samples)
        return self._held[:samples]

    def advance(self, samples: int) -> None:
        """Move on; the samples passed over cannot be read again."""
        while samples > len(self._held):
            samples -= len(self._held)
            self._held = self._held[:0]
            self._fill(1)
            if not len(self._held):
                return
        self._held = self._held[samples:].copy()

    def _fill(self, samples: int) -> None:
        parts, held = [self._held], len(self._held)
        while held < samples:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            held += len(block)
        if len(parts) > 1:
            self._held = np.concatenate(parts)


def is_silent(samples: Samples) -> bool:
    """Tell whether nothing was recorded: no sample reaches half a step of 16 bits."""
    return not len(samples) or float(np.abs(samples).max()) < SILENT_PEAK


def refuse_silence(samples: Samples, name: str) -> None:
    """Raise DataError for a clip without any sound, which teaches a text for nothing."""
    if is_silent(samples):
        raise DataError(
            "{name} is silent: no sample is louder than {peak:.6f} (1 is full scale).",
            name=name,
            peak=SILENT_PEAK,
        )


def resample(samples: Samples, rate: float, wanted: float) -> Samples:
    """Resample a whole clip from one rate to another.

    Raises:
        UsageError: The package soxr is not installed.
    """
    if rate == wanted or not len(samples):
        return samples
    return _package("soxr").resample(samples, rate, wanted).astype(np.float32, copy=False)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play a clip `factor` times as fast, pitch included (Ko et al. 2015, section 2)."""
    return resample(samples, factor, 1.0)


def perturb_speed(
    samples: Samples, generator: np.random.Generator, factors: tuple[float, ...] = SPEEDS
) -> Samples:
    """Play a clip at one of several speeds, all equally likely."""
    return change_speed(samples, factors[int(generator.integers(len(factors)))])


def _decoded(file: Any, name: str) -> Iterator[NDArray[np.float32]]:
    """Yield blocks (samples, channels), each checked."""
    import soundfile

    size = max(1, round(BLOCK_SECONDS * file.samplerate))
    done = 0
    while True:
        try:
            block = file.read(size, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise DataError(
                "{name} is cut off or damaged, somewhere from second {second:.0f} on ({problem}). "
                "Copy it again.",
                name=name,
                second=done / file.samplerate,
                problem=_reason(error),
            ) from None
        if not len(block):
            return
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            second = (done + int(np.argmin(finite))) / file.samplerate
            raise DataError(
                "{name}: the sample at second {second:.3f} is not a finite number. Write the file "
                "again from its source.",
                name=name,
                second=second,
            )
        done += len(block)
        yield block


def _opened(source: Source, name: str) -> Any:
    """Open a sound file with soundfile."""
    soundfile = _package("soundfile")
    _package("soxr")
    if isinstance(source, str | PathLike):
        path = Path(source)
        if path.is_dir():
            raise DataError("{name} is a folder, expected a sound file.", name=name)
        if not path.exists():
            raise DataError("{name} does not exist.", name=name)
        if not path.stat().st_size:
            raise DataError("{name} is empty.", name=name)
        with path.open("rb") as given:
            _refuse_cut_off(given, name)
        source = str(path)
    elif source.seekable():
        _refuse_cut_off(source, name)
    try:
        file = soundfile.SoundFile(source)
    except (soundfile.SoundFileError, OSError, RuntimeError, TypeError) as error:
        raise DataError(
            "{name} is not a sound file that can be read (WAV, FLAC, MP3, Ogg): {problem}",
            name=name,
            problem=_reason(error),
        ) from None
    if not LEAST_RATE <= file.samplerate <= MOST_RATE or not 1 <= file.channels <= MOST_CHANNELS:
        file.close()
        raise DataError(
            "{name} has {channels} channels of {rate} samples a second; that is no sound.",
            name=name,
            channels=file.channels,
            rate=file.samplerate,
        )
    return file


def _mono(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the channels; the loudest of them where they cancel one another."""
    if block.shape[1] == 1:
        return block[:, 0]
    mean = block.mean(axis=1, dtype=np.float32)
    power = np.square(block).mean(axis=0)
    if float(np.square(mean).mean()) < CANCELLED * float(power.max()):
        return block[:, int(power.argmax())]
    return mean


def _refuse_cut_off(file: IO[bytes], name: str) -> None:
    """Raise DataError for a WAV file that is shorter than its header says.

    libsndfile reads what there is and says nothing. Programs that write into a pipe cannot know the
    size, and give 0 or the largest number.
    """
    size = file.seek(0, SEEK_END)
    file.seek(0)
    head = file.read(12)
    while head[:4] == b"RIFF" and head[8:] == b"WAVE" and len(chunk := file.read(8)) == 8:
        length = int.from_bytes(chunk[4:], "little")
        if chunk[:4] != b"data":
            file.seek(length + length % 2, SEEK_CUR)
            continue
        if (there := size - file.tell()) < length < UNKNOWN_BYTES:
            raise DataError(
                "{name} is cut off: its header says {length:,} bytes of sound, and {there:,} are "
                "there. Copy it again.",
                name=name,
                length=length,
                there=there,
            )
        break
    file.seek(0)


def _reason(error: BaseException) -> str:
    """Return what libsndfile says, without the name of the file and its own "Error"."""
    return brief(re.sub(r"^Error(?: opening .*?)?\s*: *", "", str(error)))


def _name(source: Source) -> str:
    if isinstance(source, str | PathLike):
        return str(source)
    return str(getattr(source, "name", "the given sound"))


def _package(name: str) -> ModuleType:
    """Import a package of the extra `audio`."""
    import importlib

    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        raise UsageError(
            "Sound is read by the packages soundfile and soxr, and {name} is missing: "
            "pip install 'triptych[audio]'",
            name=name,
        ) from None
