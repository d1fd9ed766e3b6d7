"""Take options that every verb accepts off the arguments, before a verb reads its own."""

from __future__ import annotations

from ..errors import UsageError


def take_value(arguments: list[str], option: str, hint: str) -> tuple[list[str], str | None]:
    """Split `OPTION VALUE` or `OPTION=VALUE` off the arguments; everything after `--` is text.

    Args:
        arguments: The arguments of the command line.
        option: Like "--threads".
        hint: What the error for a missing value says, like "a number, for example --threads 1".

    Returns:
        The other arguments, and the last value that was given, or None.
    """
    rest, given = list(arguments), None
    end = rest.index("--") if "--" in rest else len(rest)
    for place in reversed(range(end)):
        if rest[place].startswith(f"{option}="):
            given = given or rest.pop(place).partition("=")[2]
        elif rest[place] == option:
            if place + 1 >= end:
                raise UsageError(f"{option} needs {hint}.")
            given = given or rest[place + 1]
            del rest[place : place + 2]
    return rest, given
