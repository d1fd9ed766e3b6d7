"""Keep what was measured over many sentences in the run folder, so that the page shows it later.

    RUN/inspection/deletion.json  ablation.json  arcs.json

Each file names the weights that it was measured on. After another training it is out of date, and
is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import RunError, TriptychError
from ..runs.run import Run
from ..runs.storage import fingerprint

FOLDER = "inspection"
NAMES = ("deletion", "ablation", "arcs")


def keep(run: Run, name: str, found: Mapping[str, Any]) -> None:
    """Write one measurement into the run folder.

    Args:
        run: The run whose model was measured.
        name: One of NAMES.
        found: What was measured, for JSON.

    Raises:
        RunError: The folder cannot be written.
    """
    assert name in NAMES, f"{name} is not kept"
    try:
        (run.path / FOLDER).mkdir(exist_ok=True)
        run.write_json(f"{FOLDER}/{name}.json", {"weights": _weights(run), **found})
    except OSError as error:
        raise RunError(
            "Cannot write {path}: {reason}. Choose another place.",
            path=run.path / FOLDER,
            reason=error.strerror or str(error),
        ) from error


def kept(run: Run, name: str) -> dict[str, Any] | None:
    """Return a measurement of the run's present weights; None where there is none."""
    if not (run.path / FOLDER / f"{name}.json").is_file():
        return None
    try:
        found = run.read_json(f"{FOLDER}/{name}.json")
        is_own = isinstance(found, dict) and found.pop("weights", None) == _weights(run)
    except (TriptychError, OSError):
        return None
    return found if is_own else None


def _weights(run: Run) -> str:
    path = run.weights()
    known = path.stat()
    return _digest(path, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    return str(fingerprint(path)["sha256"])
