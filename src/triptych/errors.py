"""What a user can cause, said in a sentence: what was given, where (file, line, key), what is
allowed, the next step.

Everything a person can trigger from outside (a typo in a recipe, a broken file, a full disk) is
raised as a `TriptychError`; the command line prints its text and exits with `exit_code`, never with
a traceback. Our own bugs are `assert ..., "text"`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TriptychError(Exception):
    """A failure that the user can act on. Its text is complete: cause, place, way out."""

    exit_code = 1


class UsageError(TriptychError):
    """The request itself is wrong: an unknown key, flag, recipe or language."""

    exit_code = 2


class DataError(TriptychError):
    """A data file is missing or malformed; the text names file and, where there is one, line."""


class RunError(TriptychError):
    """A run folder or one of its files is missing, truncated or does not fit."""


class TrainingError(TriptychError):
    """Training cannot go on: not a number, no memory left, nothing to learn from."""


class TriptychWarning(UserWarning):
    """Something that a user should know and that stops nothing, in a whole sentence; the command
    line prints it as it is.
    """


def is_failure(problem: BaseException) -> bool:
    """Tell whether a library failed: by an Exception, or by a panic of Rust code, whose class is
    not an Exception and has no module.
    """
    return isinstance(problem, Exception) or type(problem).__name__ == "PanicException"


def brief(problem: object, most: int = 200) -> str:
    """Return the text of an error of a library on one line, cut where it is long: it may hold a
    whole file.
    """
    text = " ".join(str(problem).split())
    return text if len(text) <= most else f"{text[:most]} ..."


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name most like `name`, or None when none is close."""
    found = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(kind: str, given: str, allowed: Iterable[str], where: str = "") -> UsageError:
    """The one form in which an unknown name is refused: `kind` 'recipe key', `where` 'in
    my.toml'.
    """
    names = sorted(allowed)
    close = nearest(given, names)
    hint = f" Did you mean '{close}'?" if close else ""
    place = f" {where}" if where else ""
    return UsageError(f"Unknown {kind} '{given}'{place}.{hint} Allowed: {', '.join(names)}.")
