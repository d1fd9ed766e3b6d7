"""Write the help of a verb: its docstring in the user's language, examples, and recipe keys."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from typing import TYPE_CHECKING

from ..messages import message
from .language import translated

if TYPE_CHECKING:
    from .verbs import Command, Verb

SECTION = re.compile(r"^Parameters\n-+\n", re.MULTILINE)


def parts(docstring: str) -> tuple[list[str], dict[str, str]]:
    """Split a docstring into its paragraphs and its parameters, without line breaks inside."""
    text, _, listed = _section(inspect.cleandoc(docstring))
    parameters: dict[str, list[str]] = {}
    name = ""
    for line in listed.splitlines():
        if line and not line[0].isspace():
            name = line.strip()
            parameters[name] = []
        elif line.strip():
            parameters[name].append(line.strip())
    paragraphs = [" ".join(one.split()) for one in text.split("\n\n") if one.strip()]
    return paragraphs, {name: " ".join(lines) for name, lines in parameters.items()}


def _section(text: str) -> tuple[str, str, str]:
    found = SECTION.search(text)
    if found is None:
        return text, "", ""
    return text[: found.start()], found[0], text[found.end() :]


def documented(command: Command) -> Command:
    """Return a command whose docstring is in the user's language, each text on one line.

    A help page breaks lines itself; breaks of the source would stay in the middle of a line.
    """
    paragraphs, parameters = parts(command.__doc__ or "")

    @functools.wraps(command)
    def run(*arguments: object, **options: object) -> int:
        return command(*arguments, **options)

    lines = ["\n\n".join(translated(one) for one in paragraphs), "", "Parameters", "----------"]
    for name, text in parameters.items():
        lines += [name, f"    {translated(text)}"]
    run.__doc__ = "\n".join(lines if parameters else lines[:1])
    return run


def epilogue(verb: Verb, command: Command) -> str:
    """Return what follows the options: examples, and the recipe keys that the verb takes."""
    found = [translated(message("Examples:"))] if verb.examples else []
    found += [f"  {one}" for one in verb.examples]
    if "overrides" not in inspect.signature(command).parameters:
        return "\n".join(found)
    if verb.takes_recipe:
        words = message(
            "Any key of a recipe can be given as --table.key VALUE, for example --training.minutes "
            "10; docs/recipe.md describes them all."
        )
    else:
        from ..decoding.settings import DecodingSettings

        names = ", ".join(one.name for one in dataclasses.fields(DecodingSettings))
        words = message(
            "How answers are decoded is set with --decoding.KEY VALUE, where KEY is one of {keys} "
            "(docs/recipe.md).",
            keys=names,
        )
    return "\n".join([*found, "", translated(words)])
