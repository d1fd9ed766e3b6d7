"""Real weights of other formats: llama2.c's stories, and a Marian whose decoder is an SSRU."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest

from triptych.convert import import_folder
from triptych.errors import RunError
from triptych.inference.loading import load

STORIES = {
    "stories260K.bin": "b0a507e7ad0f626624f17112325e66691f9076d622e1d3274d103d00299f2696",
    "tok512.bin": "037cb335abb25d1fa9e8ecae30ed2a3a8ace9302862ebcdc05d51a6bbb10c312",
}


def test_stories260k_tells_a_story(tmp_path: Path) -> None:
    folder = Path(os.environ.get("TRIPTYCH_DATA", "nowhere")) / "stories260k"
    if not folder.is_dir():
        pytest.skip(
            "TRIPTYCH_DATA names no folder with stories260k, which is in no package: its two files "
            "are on the hub, in karpathy/tinyllamas."
        )
    for name, digest in STORIES.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    import_folder(folder, tmp_path / "run")
    (told,) = load(tmp_path / "run").predict([""], max_length=40)
    assert told.text.startswith("Once upon a time, there was a little girl named Lily.")


def test_a_marian_with_an_ssru_decoder(marian: Path, tmp_path: Path) -> None:
    """Its header is read here; the import is skipped until that decoder is there."""
    held = (marian / "model.enpt.intgemm.alphas.bin").read_bytes()[:16]
    version, tensors = struct.unpack("<QQ", held)
    assert version == 1 and 100 < tensors < 1000
    try:
        import_folder(marian, tmp_path / "run")
    except RunError as problem:
        pytest.skip(f"Marian's own files with an SSRU decoder are not imported yet: {problem}")
    (out,) = load(tmp_path / "run").predict(["The cat sleeps."])
    assert out.text
