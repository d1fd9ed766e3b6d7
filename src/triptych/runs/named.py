"""Find a run by its path or by its name alone.

An existing folder or file of that path always wins. A name without a path is then looked for as
runs/NAME in the current folder, then in the user's own folder of runs. The order never depends on
what the folders hold.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import RunError, nearest, shell_command
from ..messages import Message, message
from .seeds import seed_folders

PACKAGE = Path(__file__).parent.parent
CONFIG = "config.json"


def user_runs() -> Path:
    """Return the user's own folder of runs, which every folder's commands find.

    It is beside other data, not in the cache: a run cannot be fetched again.
    """
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "triptych" / "runs"


def folders() -> tuple[Path, ...]:
    """Return the folders in which a name is looked for, in this order."""
    return Path("runs"), user_runs()


def located(run: str | Path) -> Path:
    """Return the folder of a run that is given by its path or by its name.

    Raises RunError naming the places looked at and a command that makes the run.
    """
    found = find(run)
    if found is None:
        raise RunError(_missing(str(run)))
    if not found.is_dir():
        raise RunError(
            message("{path} is a file; a run is the folder that triptych train wrote.", path=found)
            + _other(run)
        )
    if not (found / CONFIG).is_file():
        if seeds := seed_folders(found):
            raise RunError(
                "{path} holds the runs of several seeds. Name one of them: {runs}.",
                path=found,
                runs=", ".join(map(str, seeds.values())),
            )
        raise RunError(
            message(
                "{path} is not a run folder: config.json is missing. Name a folder that `triptych "
                "train` wrote.",
                path=found,
            )
            + _other(run)
        )
    return found


def find(run: str | Path) -> Path | None:
    """Return the path that a run's path or name stands for, None where there is nothing."""
    path = Path(run)
    return path if path.exists() else named(run)


def named(run: str | Path) -> Path | None:
    """Return the first folder of that name where runs are kept, None for a path."""
    if not _is_name(run):
        return None
    return next((found for one in folders() if (found := one / str(run)).is_dir()), None)


def _is_name(run: str | Path) -> bool:
    """Tell whether a run is given by its name alone: one part, and no dot folder."""
    text = str(run)
    return text not in ("", ".", "..") and Path(text).name == text


def _other(run: str | Path) -> str:
    """Return a sentence on a run of the same name, which what lies here hides; else nothing."""
    found = named(run)
    if found is None or not (found / CONFIG).is_file():
        return ""
    return message(" If you mean the run {path}, give this path.", path=found)


def _missing(run: str) -> Message:
    """Return the error for a run that is nowhere, with the command that makes it."""
    if not _is_name(run):
        path = Path(run)
        made = _training(path.name) if path.parent == Path("runs") else None
        return message(
            "There is no run folder {path}. Train one with: {command}",
            path=run,
            command=made or shell_command("triptych", "train", "RECIPE", "--out", run),
        )
    command, close = _training(run), nearest(run, _names())
    if command is None and close is not None:
        way = message("Did you mean {name}?", name=close)
    else:
        command = command or shell_command("triptych", "train", "RECIPE", "--out", f"runs/{run}")
        way = message("Train it with: {command}", command=command)
    return message(
        "There is no run folder {name}: none here, none in runs, and none in {folder}. {way}",
        name=run,
        folder=user_runs(),
        way=way,
    )


def _training(name: str) -> str | None:
    """Return the command that trains runs/NAME, if a recipe of that name comes with the package."""
    is_packaged = (PACKAGE / "recipes" / f"{name}.toml").is_file()
    return f"triptych train {name}" if is_packaged else None


def _names() -> list[str]:
    """Return the names of all runs that can be named without a path."""
    return [
        path.parent.name
        for folder in folders()
        if folder.is_dir()
        for path in folder.glob(f"*/{CONFIG}")
    ]
