"""Find the runs of a folder in which one recipe was trained with several seeds.

    recipe.toml  seeds.json  seed-1/  seed-2/ ...

Each seed-N is a run folder of its own. This module imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import RunError
from .storage import parsed, read_text

SEEDS = "seeds.json"
WAY_OUT = "Delete it, and name the seeds again: triptych train RECIPE --seeds 1,2,3 --resume."


def seed_folder(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}"


def seeds_of(folder: Path) -> list[int]:
    """Return the seeds that seeds.json names; none where the folder has no such file.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / SEEDS
    if not path.is_file():
        return []
    values: Any = parsed(read_text(path), path, WAY_OUT)
    seeds = values.get("seeds") if isinstance(values, dict) else None
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        raise RunError(f"{path} does not name the seeds of its runs: it is damaged. {WAY_OUT}")
    return seeds


def seed_folders(folder: Path) -> dict[int, Path]:
    """Return the runs of several seeds in a folder, by seed; none where it holds no such runs."""
    return {seed: seed_folder(folder, seed) for seed in seeds_of(folder)}
