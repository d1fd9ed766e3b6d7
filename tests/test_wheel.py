"""The wheel holds the whole package and nothing else, and works without the source tree."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE")
TINY = (
    "--training.steps 5 --training.warmup_steps 1 --model.width 32 --tokenizer.vocabulary_size 600 "
    "--validation.every_steps 5 --validation.examples 4"
)


def pip(*words: str) -> None:
    """Run pip of this environment, which needs no network for what the tests ask of it."""
    command = [sys.executable, "-m", "pip", *words]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources.

    What an earlier build or an editable install left in the source tree must not help.
    """
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in BUILT_FROM:
        shutil.copy2(ROOT / name, source / name)
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", source / "src", ignore=skipped)
    version = int(importlib.metadata.version("setuptools").split(".")[0])
    assert version >= 77, "torch requires a setuptools that can build Triptych"
    offline = ("--no-build-isolation", "--no-index", "--no-deps")
    pip("wheel", "--quiet", *offline, "--wheel-dir", str(out), str(source))
    (built,) = out.glob("triptych-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a folder; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--quiet", "--no-index", "--no-deps", "--target", str(folder), str(wheel))
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    package = ROOT / "src" / "triptych"
    wanted = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.suffix != ".po"  # what the compiled translations are made from
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    described = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - described == wanted
    endings = {"licenses/LICENSE", "METADATA", "WHEEL", "RECORD", "entry_points.txt"}
    assert endings <= {name.split("/", 1)[1] for name in described}


def test_the_wheel_works_without_the_source_tree(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}

    def run(*words: str) -> str:
        answer = subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    found = Path(run("-c", "import triptych; print(triptych.__file__)").strip())
    assert found.is_relative_to(installed)
    assert "Usage: triptych" in run("-m", "triptych", "--help")
    assert "Usage: triptych" in run(str(installed / "bin" / "triptych"), "--help")

    for language, pattern in (("en", "House {} is big."), ("de", "Haus {} ist groß.")):
        lines = "".join(f"{pattern.format(number)}\n" for number in range(100))
        (tmp_path / f"my.{language}").write_text(lines, encoding="utf-8")
    files = ("--source", "my.en", "--target", "my.de", "--out", "my.toml")
    run("-m", "triptych", "init", "translation", *files)
    assert "my.en" in (tmp_path / "my.toml").read_text(encoding="utf-8")

    run("-m", "triptych", "train", "phrasebook", "--out", "run", *TINY.split())
    page = ("--to", "zh-Hant", "--html", "page.html")
    run("-m", "triptych", "inspect", "run", "I like cats.", *page)
    assert "<html" in (tmp_path / "page.html").read_text(encoding="utf-8")
