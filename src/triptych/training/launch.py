"""Recognise a training that torchrun has started again after one of its processes died."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ..errors import RunError
from ..messages import message
from ..runs.run import Run

LAUNCH = "launch.json"
WHICH = message(
    "The report of torchrun names the one that ended first, and why (exit code -9: it was killed, "
    "perhaps for lack of memory)."
)


def _launch() -> dict[str, str] | None:
    """Return what names this start of torchrun, the same in all its restarts; None without it."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name is None:
        return None
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":  # its agent is the parent of the processes
        name = f"{name} {socket.gethostname()} {os.getppid()}"
    return {"torchrun": name}


def remember_launch(run: Run) -> None:
    """Record in the run folder which start of torchrun trains it."""
    if (launch := _launch()) is not None:
        run.write_json(LAUNCH, launch)


def is_restarted(folder: Path) -> bool:
    """Tell whether torchrun restarted these processes, and the same start began `folder`.

    So a folder that held another run is still refused at a restart.
    """
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) == 0:
        return False
    try:
        return (folder / LAUNCH).is_file() and Run(folder).read_json(LAUNCH) == _launch()
    except RunError:
        return False
