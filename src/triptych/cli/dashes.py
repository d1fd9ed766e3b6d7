"""Advise on a text that begins with a hyphen, which is read as an option unless it follows `--`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from cyclopts import App

from ..messages import Message, message
from .helping import takes_texts
from .verbs import VERBS

# An option as people write one: a word of ASCII letters, perhaps with a value.
OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9_.-]*(=.*)?", re.DOTALL)
VALUED = ("--threads", "--code")  # options of every verb that take a value


@dataclass(frozen=True)
class Advice:
    """Hold a sentence on how the text is given.

    is_surely_text: the argument cannot be a misspelt option.
    """

    sentence: Message
    is_surely_text: bool


def advice(app: App, given: Sequence[str], wrong: str) -> Advice | None:
    """Return how a text that was read as an option is given, with the whole command.

    Args:
        app: The command line, with the verb of `given` loaded.
        given: The arguments as they were typed.
        wrong: The argument that is not an option of the verb.

    Returns:
        The advice, None for a verb that takes no text.
    """
    verb = given[0] if given else ""
    command = VERBS[verb].load() if verb in VERBS else None
    if command is None or not takes_texts(command):
        return None
    sentence = message(
        "A text that begins with - goes after --: {command}", command=_command(app, verb, given)
    )
    return Advice(sentence, OPTION.fullmatch(wrong) is None)


def _command(app: App, verb: str, given: Sequence[str]) -> str:
    """Return the command with its options first and its texts after `--`."""
    flags, valued = _options(app, verb)
    options: list[str] = []
    others: list[str] = []
    place = 1
    while place < len(given):
        one = given[place]
        name, equals, _ = one.partition("=")
        place += 1
        if one == "--":
            others += given[place:]
            break
        has_value = name in valued or _is_key(name)
        if not has_value and name not in flags:
            others.append(one)
            continue
        options.append(one)
        if has_value and not equals and place < len(given):
            options.append(given[place])
            place += 1
    run, texts = others[:1], others[1:]
    return shlex.join(["triptych", verb, *run, *options, "--", *texts])


def _is_key(name: str) -> bool:
    return re.fullmatch(r"--[A-Za-z_]\w*(\.[A-Za-z_][\w-]*)+", name) is not None


def _options(app: App, verb: str) -> tuple[set[str], set[str]]:
    """Return the names of a verb's options without a value, and of those with one."""
    flags, valued = {"--debug"}, set[str](VALUED)
    for argument in app[verb].assemble_argument_collection():
        names = {name for name in argument.names if name.startswith("-")}
        (flags if argument.hint is bool else valued).update(names)
    return flags, valued
