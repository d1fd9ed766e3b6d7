"""Sound files of every kind become mono float32 samples at one rate."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from triptych.data.features.audio import (
    AudioStream,
    audio_blocks,
    audio_info,
    audio_windows,
    change_speed,
    is_silent,
    perturb_speed,
    read_audio,
    refuse_silence,
)
from triptych.errors import DataError


def tone(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels, axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "kind", "rate", "channels", "tolerance"),
    [
        ("a.wav", "PCM_U8", 16_000, 1, 0.01),
        ("a.wav", "PCM_16", 8_000, 2, 0.01),
        ("a.wav", "PCM_24", 96_000, 6, 0.01),
        ("a.wav", "FLOAT", 16_000, 1, 1e-6),
        ("a.flac", "PCM_16", 44_100, 1, 0.01),
        ("a.mp3", "MPEG_LAYER_III", 22_050, 1, 0.05),
        ("a.ogg", "VORBIS", 48_000, 2, 0.05),
    ],
)
def test_every_kind_becomes_the_same_samples(
    tmp_path: Path, name: str, kind: str, rate: int, channels: int, tolerance: float
) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(0.5, rate, channels), rate, subtype=kind)
    info = audio_info(path)
    assert (info.rate, info.channels) == (rate, channels)
    assert info.seconds == pytest.approx(0.5, abs=0.06)  # encoders pad
    samples = read_audio(path)
    assert samples.dtype == np.float32 and samples.ndim == 1
    assert len(samples) == pytest.approx(8000, abs=0.06 * 16_000)
    middle = samples[2000:6000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(4000)))
    assert np.argmax(spectrum) * 4 == 440
    assert np.abs(middle).max() == pytest.approx(0.5, abs=tolerance)
    with path.open("rb") as file:  # and out of memory, as an upload
        assert np.array_equal(read_audio(io.BytesIO(file.read())), samples)


def test_channels_are_averaged(tmp_path: Path) -> None:
    one = tone(0.1, 16_000)[:, 0]
    soundfile.write(tmp_path / "a.wav", np.stack([one, 0 * one], axis=1), 16_000, subtype="FLOAT")
    assert np.allclose(read_audio(tmp_path / "a.wav"), one / 2, atol=1e-7)


def test_blocks_are_one_stream(tmp_path: Path) -> None:
    """A file that is resampled in blocks equals one that is resampled whole."""
    rate = 22_050
    noise = np.random.default_rng(1).normal(0, 0.1, 25 * rate).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, rate, subtype="FLOAT")
    blocks = list(audio_blocks(tmp_path / "a.wav"))
    assert len(blocks) >= 3
    joined = np.concatenate(blocks)
    assert len(joined) == 25 * 16_000
    assert np.abs(joined - soxr.resample(noise, rate, 16_000)).max() < 1e-4


def test_windows_and_streams(tmp_path: Path) -> None:
    samples = np.arange(25 * 1600, dtype=np.float32) / 1e5
    soundfile.write(tmp_path / "a.wav", samples, 1600, subtype="FLOAT")
    windows = list(audio_windows(tmp_path / "a.wav", 10, 1600))
    assert [start for start, _ in windows] == [0, 10, 20]
    assert np.array_equal(np.concatenate([one for _, one in windows]), samples)
    stream = AudioStream(tmp_path / "a.wav", 1600)
    stream.advance(100)
    assert np.array_equal(stream.window(30_000), samples[100:30_100])
    stream.advance(35_000)  # past what is held
    assert np.array_equal(stream.window(30_000), samples[35_100:])
    stream.advance(10**9)
    assert not len(stream.window(10))


def test_a_long_file_takes_no_more_memory_than_its_blocks(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, subtype="PCM_U8") as file:
        for _ in range(60):
            file.write(np.zeros(10 * 8000, dtype=np.float32))
    tracemalloc.start()
    total = sum(len(one) for one in audio_blocks(path, 8000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 600 * 8000 and peak < 4e6  # the whole is 19 MB


def test_what_is_no_sound_is_named(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound " * 100)
    empty = tmp_path / "empty.wav"
    empty.touch()
    zero = tmp_path / "zero.wav"
    soundfile.write(zero, np.zeros(0, dtype=np.float32), 16_000)
    broken = tmp_path / "nan.wav"
    samples = tone(1, 16_000)[:, 0]
    samples[4000] = np.nan
    soundfile.write(broken, samples, 16_000, subtype="FLOAT")
    for path, words in (
        (text, "is not a sound file"),
        (empty, "is empty"),
        (zero, "its length is zero"),
        (broken, "second 0.250 is not a finite number"),
        (tmp_path, "is a folder"),
        (tmp_path / "none.wav", "does not exist"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            read_audio(path)
        assert str(path) in str(caught.value)
    with pytest.raises(DataError, match=r"line 3: talk\.wav is not a sound file"):
        read_audio(io.BytesIO(b"no sound"), name="line 3: talk.wav")


def test_silence_is_refused_by_name() -> None:
    quiet = np.full(100, 1e-5, dtype=np.float32)
    assert is_silent(quiet) and not is_silent(quiet * 10)
    refuse_silence(quiet * 10, "a.wav")
    with pytest.raises(DataError, match=r"a\.wav is silent"):
        refuse_silence(quiet, "a.wav")


def test_speed_changes_length_and_pitch() -> None:
    samples = tone(1, 16_000)[:, 0]
    faster = change_speed(samples, 1.1)
    assert len(faster) == round(16_000 / 1.1)
    spectrum = np.abs(np.fft.rfft(faster[2000:12_000] * np.hanning(10_000)))
    assert np.argmax(spectrum) * 1.6 == pytest.approx(484, abs=1.6)
    assert change_speed(samples, 1.0) is samples
    generator = np.random.default_rng(0)
    lengths = {len(perturb_speed(samples, generator)) for _ in range(20)}
    assert lengths == {14_545, 16_000, 17_778}


@pytest.mark.parametrize("as_file", [False, True])
def test_a_file_shorter_than_its_header_says_is_refused(tmp_path: Path, as_file: bool) -> None:
    """Libsndfile reads what is there, and a text would be learnt for half of its sound."""
    samples = np.sin(np.arange(16_000) / 9).astype(np.float32) / 2
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    whole = (tmp_path / "a.wav").read_bytes()
    half = whole[: len(whole) // 2]
    (tmp_path / "a.wav").write_bytes(half)
    source = io.BytesIO(half) if as_file else tmp_path / "a.wav"
    with pytest.raises(DataError, match="is cut off: its header says 32,000 bytes of sound"):
        read_audio(source, name="a.wav")
    # Programs that write into a pipe do not know the size.
    place = whole.index(b"data") + 4
    piped = whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :]
    (tmp_path / "a.wav").write_bytes(piped)
    assert len(read_audio(tmp_path / "a.wav")) == 16_000


def test_channels_that_cancel_are_heard(tmp_path: Path) -> None:
    samples = np.sin(np.arange(16_000) / 9).astype(np.float32) / 2
    soundfile.write(tmp_path / "a.wav", np.stack([samples, -samples], 1), 16_000)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), samples, atol=1e-4)


def test_less_than_a_frame_is_no_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.ones(40, np.float32) / 2, 16_000)
    with pytest.raises(DataError, match=r"2\.5 thousandths of a second of sound; 25 at least"):
        read_audio(tmp_path / "a.wav")


def test_a_damaged_file_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("a text")
    with pytest.raises(DataError) as found:
        read_audio(tmp_path / "a.wav")
    assert str(found.value).count("a.wav") == 1 and "Error" not in str(found.value)
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 16_000).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", samples, 16_000)
    whole = (tmp_path / "a.flac").read_bytes()
    (tmp_path / "a.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut off or damaged, somewhere from second 0 on"):
        read_audio(tmp_path / "a.flac")
