"""Refuse fractions for options that take whole numbers; Cyclopts would round them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import get_args

from cyclopts import App

from ..errors import UsageError

FRACTION = re.compile(r"[+-]?\d*\.\d+")


def refuse_fractions(app: App, given: Sequence[str]) -> None:
    """Raise UsageError for a number like 3.5 where an option takes a whole one.

    Args:
        app: The command line, with the verb of `given` loaded.
        given: The arguments, without recipe keys.
    """
    found = [(name, value) for name, value in _options(given) if float(value) % 1]
    if not found:
        return
    _, apps, _ = app.parse_commands(given)
    if apps[-1].default_command is None:
        return
    kinds = {
        name: argument.hint
        for argument in apps[-1].assemble_argument_collection()
        for name in argument.names
    }
    for name, value in found:
        kind = kinds.get(name.replace("_", "-"))
        if int in (kind, *get_args(kind)) and float not in get_args(kind):
            raise UsageError(
                '{name} is "{value}"; it must be a whole number.', name=name, value=value
            )


def _options(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each option that is followed by a number with a point, and the number."""
    end = given.index("--") if "--" in given else len(given)
    for place, one in enumerate(given[:end]):
        name, equals, value = one.partition("=")
        if not equals and place + 1 < end:
            value = given[place + 1]
        if name.startswith("-") and FRACTION.fullmatch(value):
            yield name, value
