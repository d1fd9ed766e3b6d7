"""Write the help of a verb: its docstring in the user's language, examples, and recipe keys."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from typing import TYPE_CHECKING, Any

from ..messages import Message, message
from .language import translated
from .wrapping import wrapped

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

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


def usage(name: str, command: Command) -> str:
    """Return how a verb is called, with the names of what stands without an option."""
    words, options = ["triptych", name], False
    for one in inspect.signature(command).parameters.values():
        required = one.default is one.empty
        if one.kind is one.VAR_POSITIONAL:
            words.append(f"[{one.name.upper()}...]")
        elif one.kind is one.POSITIONAL_ONLY:
            words.append(one.name.upper() if required else f"[{one.name.upper()}]")
        else:
            options |= one.name != "overrides"
    return f"{' '.join(words)}{' [OPTIONS]' if options else ''}"


def takes_texts(command: Command) -> bool:
    """Tell whether a verb is given texts after its run."""
    return any(
        one.name in ("text", "question") and one.kind in (one.POSITIONAL_ONLY, one.VAR_POSITIONAL)
        for one in inspect.signature(command).parameters.values()
    )


def epilogue(verb: Verb, command: Command) -> str:
    """Return what follows the options: examples, how runs and texts are given, recipe keys."""
    names = inspect.signature(command).parameters
    words: list[Message] = []
    if names.keys() & {"run", "runs"} and not verb.makes_run:
        words.append(message("A run in the folder runs can be given by its name alone."))
    if takes_texts(command):
        several = "text" not in names or names["text"].kind is inspect.Parameter.VAR_POSITIONAL
        words += [message("Without texts, stdin is read line by line.")] if several else []
        words.append(message('A text that begins with - goes after --, as in: -- "-5 degrees".'))
    if "overrides" in names:
        words.append(_keys(verb))
    found = [translated(message("Examples:"))] if verb.examples else []
    found += [f"  {one}" for one in verb.examples]
    spoken = [translated(one) for one in words]
    return wrapped("\n".join([*found, *([""] if found and spoken else []), *spoken]))


def _keys(verb: Verb) -> Message:
    """Return a sentence on the recipe keys that a verb takes."""
    if verb.takes == "recipe":
        return message(
            "Any key of a recipe can be given as --table.key VALUE, for example --training.minutes "
            "10; docs/recipe.md describes them all."
        )
    if verb.takes == "batches":
        return message(
            "--decoding.batch_tokens N reads the texts in batches of N tokens (default: 4096); a "
            "smaller N needs less memory."
        )
    from ..decoding.settings import DecodingSettings

    names = ", ".join(one.name for one in dataclasses.fields(DecodingSettings))
    return message(
        "How answers are generated is set with --decoding.KEY VALUE, for example --decoding.beams "
        "5. docs/recipe.md describes the keys: {keys}.",
        keys=names,
    )


class Page:
    """Draw help pages. What draws them is imported when one is wanted, and costs no other run."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        from .help_page import HelpPage

        HelpPage()(console, options, panel)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print how a command is called."""
        from .help_page import HelpPage

        HelpPage().render_usage(console, options, usage)

    def render_description(
        self, console: Console, options: ConsoleOptions, description: Any
    ) -> None:
        """Print what a command does."""
        from .help_page import HelpPage

        HelpPage().render_description(console, options, description)
