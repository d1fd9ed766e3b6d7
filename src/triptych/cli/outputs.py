"""Refuse a file that cannot be written before time is spent on what it would hold."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import UsageError
from ..messages import message
from .console import talk

PAGES = (".html", ".htm")


def refuse_page(path: Path | None, option: str = "--html") -> None:
    """Raise UsageError for a place that cannot hold a page."""
    if path is None:
        return
    if not path.is_dir() and path.suffix.lower() not in PAGES:
        raise UsageError(
            "{option} {path}: the page is HTML, so its name ends in .html. Name it {better}",
            option=option,
            path=path,
            better=path.with_suffix(".html"),
        )
    refuse_output(path, option, makes_folder=True)


def refuse_output(path: Path | None, option: str, makes_folder: bool = False) -> None:
    """Raise UsageError for a file that cannot be written.

    Args:
        path: The file; None: nothing is written.
        option: That which named it.
        makes_folder: Missing folders are made.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(
            "{option} {path} is a folder. Name a file in it, for example {better}",
            option=option,
            path=path,
            better=path / ("page.html" if option == "--html" else "out.txt"),
        )
    folder = path.absolute().parent
    while makes_folder and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError(
            "{option} {path} cannot be written: there is no folder {folder}. Create it, or name "
            "another file.",
            option=option,
            path=path,
            folder=folder,
        )
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(
            "{option} {path} may not be written by you. Name another file.",
            option=option,
            path=path,
        )


def tell_written(path: Path) -> None:
    """Say that a page is written, and how it is seen."""
    talk(message("Written: {path}. It opens in a browser and needs no network.", path=path))
