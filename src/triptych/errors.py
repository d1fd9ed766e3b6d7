"""Define the errors that a user can cause, and how they are worded.

A text says in a sentence what was given, where (file, line, key), what is allowed and what to do
next. Everything that can be triggered from outside (a typo in a recipe, a broken file, a full disk)
is raised as a `TriptychError`; the command line prints its text and exits with `exit_code`, never
with a traceback. Our own bugs are `assert ..., "text"`.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable

from .messages import Message, message

SHORT_LIST = 12  # names that are listed behind "Did you mean"
MOST_NAMES = 40  # names that are listed where none is like the given one


class TriptychError(Exception):
    """Report a failure that the user can act on; the text has cause, place and way out.

    `UsageError("{path} is a folder.", path=path)` keeps template and values, so that the command
    line can say it in another language; `str(error)` is English.
    """

    exit_code = 1

    def __init__(self, text: str = "", /, **values: object) -> None:
        super().__init__(Message(text, **values) if values else text)


class UsageError(TriptychError):
    """Report a wrong request: an unknown key, flag, recipe or language."""

    exit_code = 2


class DataError(TriptychError):
    """Report a data file that is missing or malformed; the text names file and line."""


class RunError(TriptychError):
    """Report a run folder, or a file in it, that is missing, truncated or does not fit."""


class TrainingError(TriptychError):
    """Report why training cannot continue: NaN, no memory left, nothing to learn from."""


class TriptychWarning(UserWarning):
    """Warn a user of something that stops nothing, in a whole sentence.

    The command line prints the text as it is.
    """


def is_failure(problem: BaseException) -> bool:
    """Tell whether a library failed, by an Exception or by a panic of Rust code.

    The class of a panic is not an Exception and has no module.
    """
    return isinstance(problem, Exception) or type(problem).__name__ == "PanicException"


def brief(problem: object, most: int = 200) -> str:
    """Return the text of a library's error on one line, cut off where it is long.

    It may contain a whole file.
    """
    text = " ".join(str(problem).split())
    return text if len(text) <= most else f"{text[:most]} ..."


def shell_command(*words: object) -> str:
    """Return a command that can be pasted into a shell: paths with spaces are quoted."""
    return shlex.join(map(str, words))


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name most like `name`, or None when none is close."""
    found = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return found[0] if found else None


def _most_alike(given: str, names: list[str]) -> list[str]:
    """Return a short list whole, of a long one the names that are most like the given one."""
    if len(names) <= SHORT_LIST:
        return names
    return sorted(difflib.get_close_matches(given, names, n=SHORT_LIST, cutoff=0.0))


def _message(text: str) -> Message:
    """Return a text as a message; docs/make_translations.py collects what `unknown` is given."""
    return text if isinstance(text, Message) else Message(text)


def unknown(kind: str, given: str, allowed: Iterable[str], where: str = "") -> UsageError:
    """Return the error for an unknown name, in its only form.

    Args:
        kind: What the name is of, like 'recipe key'.
        given: The unknown name.
        allowed: The known names; the nearest is suggested.
        where: The place, like 'in my.toml'.
    """
    names = sorted(allowed)
    close = nearest(given, names)
    shown = names if close is None else _most_alike(given, names)
    listed = ", ".join(shown[:MOST_NAMES])
    more = len(names) - len(shown[:MOST_NAMES])
    return UsageError(
        "Unknown {kind} '{given}'{place}.{hint} Allowed: {names}.",
        kind=_message(kind),
        given=given,
        place=message(" {where}", where=_message(where)) if where else "",
        hint=message(" Did you mean '{close}'?", close=close) if close else "",
        names=message("{names} and {count:,} more", names=listed, count=more) if more else listed,
    )
