"""Take options that every verb accepts off the arguments, before a verb reads its own."""

from __future__ import annotations

import shlex

from ..errors import UsageError


def take_value(
    arguments: list[str], option: str, hint: str, once: bool = False
) -> tuple[list[str], str | None]:
    """Split `OPTION VALUE` or `OPTION=VALUE` off the arguments; everything after `--` is text.

    Args:
        arguments: The arguments of the command line.
        option: Like "--threads".
        hint: What the error for a missing value says, like "a number, for example --threads 1".
        once: Refuse the option where it is given twice, instead of taking the last value.

    Returns:
        The other arguments, and the value that was given, or None.

    Raises:
        UsageError: The value is missing, or there are two and `once`.
    """
    rest, given = list(arguments), list[str]()
    end = rest.index("--") if "--" in rest else len(rest)
    for place in reversed(range(end)):
        if rest[place].startswith(f"{option}="):
            given.append(rest.pop(place).partition("=")[2])
            end -= 1
        elif rest[place] == option:
            if place + 1 >= end:
                raise UsageError("{option} needs {hint}.", option=option, hint=hint)
            given.append(rest[place + 1])
            del rest[place : place + 2]
            end -= 2
    if once and len(given) > 1:
        values = " and ".join(shlex.quote(one) for one in reversed(given))
        raise UsageError(
            "{option} is given several times ({values}). Give it once.",
            option=option,
            values=values,
        )
    return rest, given[0] if given else None
