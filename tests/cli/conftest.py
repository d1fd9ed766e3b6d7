"""Small files and one small trained run for all tests of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY, pairs

from triptych.cli.main import run as run_command


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with a.en, a.de, a.tsv and my.toml."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.en").write_text("".join(f"{source}\n" for source, _ in pairs()), encoding="utf-8")
    (folder / "a.de").write_text("".join(f"{target}\n" for _, target in pairs()), encoding="utf-8")
    (folder / "a.tsv").write_text(
        "".join(f"{source}\t{target}\n" for source, target in pairs()[:10]), encoding="utf-8"
    )
    (folder / "my.toml").write_text(
        '[data]\nsource = "en"\ntarget = "de"\ntrain = ["a.en", "a.de"]\nvalidation = "a.tsv"\n'
        'test = "a.tsv"\n'
        "[training]\nsteps = 4\nlog_every_steps = 2\naverage = 0.5\n[batches]\n"
        "batch_tokens = 200\n[decoding]\nbeams = 2\n"
    )
    return folder


@pytest.fixture
def triptych(capfd: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command in this process; gives code, out, err."""

    def call(*arguments: object) -> SimpleNamespace:
        capfd.readouterr()
        code = run_command([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture(scope="session")
def trained(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small run and return its folder."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    assert run_command(["train", str(files / "my.toml"), "--out", str(out), *TINY]) == 0
    return out
