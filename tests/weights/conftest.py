"""Real weights for the tests of this folder, which `make test-weights` fetches."""

from __future__ import annotations

from pathlib import Path

import pytest
from packages import MARIAN, MINILM, SMOLLM2, Package


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.weights)


def _folder(package: Package) -> Path:
    if not package.is_here():
        pytest.skip(
            f"The weights of {package.name} {package.version} are not here: make test-weights "
            "fetches them."
        )
    return package.folder


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, a BERT of 6 layers."""
    return _folder(MINILM)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a GGUF file, Q4_1."""
    return _folder(SMOLLM2) / SMOLLM2.members[0]


@pytest.fixture(scope="session")
def marian() -> Path:
    """The folder of a Marian translator, English to Portuguese, with an SSRU decoder."""
    return _folder(MARIAN) / "enpt-1693087644"
