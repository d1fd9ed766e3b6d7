"""`triptych data shards`: the same shards whoever cuts them, and what is refused."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., SimpleNamespace]
RECIPE = """
[task]
name = "language-modelling"
[data]
train = [{file!r}]
stream = true
[tokenizer]
kind = "bytes"
[model]
preset = "decoder-tiny"
[training]
steps = 1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    lines = (f"The cat number {number} sits on the mat.\n\n" for number in range(400))
    (tmp_path / "texts.txt").write_text("".join(lines))
    path = tmp_path / "my.toml"
    path.write_text(RECIPE.format(file=str(tmp_path / "texts.txt")))
    return path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--processes", "0"], "--processes is 0"),
        (["--ray", "0"], "--ray is 0"),
        (["--ray", "2", "--processes", "2"], "give one of the two"),
    ],
)
def test_who_cuts_is_checked_first(
    triptych: Command, recipe: Path, arguments: list[str], said: str
) -> None:
    done = triptych("data", "shards", recipe, *arguments)
    assert done.code == 2 and said in done.err


def test_shards_without_ray_say_what_is_missing(
    triptych: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = triptych("data", "shards", recipe, "--ray", "2")
    assert done.code == 2 and 'pip install "triptych[ray]"' in done.err


@pytest.mark.slow
def test_actors_of_ray_cut_the_shards_of_one_process(
    triptych: Command, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    # Ray logs to the stream of the test that started it first, which is closed by now.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    written: list[dict[str, bytes]] = []
    for who in ((), ("--ray", "2")):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache{len(who)}"))
        done = triptych("data", "shards", recipe, *who)
        assert done.code == 0, done.err
        folder = Path(done.out.strip())
        written.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert written[0] == written[1] and len(written[0]) > 3
