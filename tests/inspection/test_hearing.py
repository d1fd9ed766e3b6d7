"""What is heard in a sound: its picture, its numbers, and the verb that shows it."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toy_listener import RATE, listener, tone

from triptych.cli.inspect import view_of
from triptych.cli.inspect_inside import AS_IT_IS, Inside, show, shown_inside
from triptych.cli.inspect_shown import Options
from triptych.data.example import Example
from triptych.errors import UsageError
from triptych.inference.hearing import hear
from triptych.inference.transcribing import token_states
from triptych.inspection.views.hearing import Heard, player, png, svg


@pytest.mark.parametrize("ctc_weight", [0.3, 0.0])
def test_numbers_are_the_models(ctc_weight: float) -> None:
    run = listener(ctc_weight)
    found, samples = hear(run, Example(audio=tone()), run.settings())
    assert len(samples) == RATE and found.is_whole and found.seconds == 1.0
    assert found.by == ("ctc" if ctc_weight else "attention")
    (encoded,) = run.encode(Example(audio=tone()))[0]
    np.testing.assert_array_equal(found.mel, encoded.inputs["source"])
    encoded.index = 0
    ids = [int(one) for one in run.raw([encoded], run.settings())[0][0].tokens]
    assert len(found.tokens) == len(ids) >= 4
    begin = run.tokenizers.target.begin_id
    with torch.no_grad():
        weights = run.model.attention_weights(
            "cross",
            source=torch.tensor(encoded.inputs["source"]),
            source_lengths=torch.tensor([len(encoded.inputs["source"])]),
            target=torch.tensor([begin, *ids[:-1]]),
            target_lengths=torch.tensor([len(ids)]),
        )[:, 0].mean((0, 1))
    np.testing.assert_allclose(found.attention, weights, atol=1e-6)
    scale = run.model.config.encoder.frames_per_vector / 100
    spans = [(a * scale, min(1.0, b * scale)) for a, b in token_states(run, encoded, ids)]
    np.testing.assert_allclose(found.spans, spans, atol=1e-9)
    drawn = svg(found)
    rows = re.findall(r'data-weights="([^"]+)"', drawn)
    shown = [[float(one) for one in row.split()] for row in rows]
    np.testing.assert_allclose(shown, found.attention, atol=6e-5)
    assert drawn.count('class="placed"') == len(ids)
    assert json.loads(json.dumps(found.to_json()))["frames"] == [len(found.mel), 80]


def test_a_long_sound_and_a_silent_one() -> None:
    run = listener(seconds=1.0)
    found, samples = hear(run, Example(audio=tone(2.5)), run.settings())
    assert not found.is_whole and len(samples) <= RATE and found.start == 0
    with pytest.raises(UsageError, match="silent"):
        hear(run, Example(audio=np.zeros(RATE, np.float32)), run.settings())


def pixels_of(data: bytes) -> np.ndarray:
    """Read a PNG file that uses no filter."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        (check,) = struct.unpack(">I", data[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(kind + content)
        chunks[kind], at = content, at + 12 + size
    width, height, depth, colour, *_ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    channels = {2: 3, 6: 4}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert depth == 8 and not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, channels)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_png_holds_its_pixels(channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    np.testing.assert_array_equal(pixels_of(png(pixels)), pixels)


def test_the_spectrogram_has_low_bands_below() -> None:
    mel = np.zeros((50, 80), np.float32)
    mel[:, 0] = 5.0  # the lowest band is loud
    heard = Heard(text="a<", start=0, seconds=0.5, mel=mel, tokens=["a<"], spans=[(0.0, 0.5)],
                  by="attention", attention=np.ones((1, 4)) / 4, alone=[])  # fmt: skip
    drawn = svg(heard)
    data = re.search(r'class="mel".*?base64,([^"]+)"', drawn)
    assert data is not None and "a&lt;" in drawn
    pixels = pixels_of(base64.b64decode(data[1])).astype(int).sum(-1)
    assert pixels.shape == (80, 50) and (pixels[-1] > pixels[0]).all()


def test_a_player_holds_the_sound(tmp_path: Path) -> None:
    data = re.search(r"base64,([^\"]+)", player(tone(), RATE))
    assert data is not None
    (tmp_path / "a.wav").write_bytes(base64.b64decode(data[1]))
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(samples, tone(), atol=1e-4)


def test_the_verb_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, path = listener(), tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE)
    found = shown_inside(run, str(path), Options(), AS_IT_IS, view_of(run))
    assert show(run, found, AS_IT_IS, tmp_path / "a.html", "en") == 0
    page = (tmp_path / "a.html").read_text("utf-8")
    assert 'class="hearing"' in page and "<audio controls" in page and "data-weights" in page
    capsys.readouterr()
    assert show(run, found, Inside(json_=True), None, None) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["by"] == "ctc" and len(values["tokens"]) == len(found.rows)
    with pytest.raises(UsageError, match="reads sound"):
        shown_inside(run, str(path), Options(), Inside(lens=True), view_of(run))
