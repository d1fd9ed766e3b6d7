"""Say the errors of the library that reads the command line in the user's language."""

from __future__ import annotations

import re
from pathlib import Path

from ..messages import Message, message
from .language import translated

# What Cyclopts says -> the same as a template. Sentences without a pattern stay English.
SENTENCES: tuple[tuple[str, Message], ...] = (
    (r'Unknown command "(?P<name>[^"]*)"\.', message('Unknown command "{name}".', name="")),
    (r"Unknown option: (?P<name>\S+?)\.(?= |$)", message("Unknown option: {name}.", name="")),
    (r" -\S is not a recognized option\.", Message("")),  # of -hello; the whole has been named
    (r"Did you mean (?P<name>\S+)\?", message("Did you mean {name}?", name="")),
    (
        r"Available commands: (?P<names>.+, \.\.\.)$",
        message("Available commands: {names}", names=""),
    ),
    (r"Available commands: (?P<names>.+)\.$", message("Available commands: {names}.", names="")),
    (
        r'Command "(?P<verb>[^"]+)" parameter (?P<name>[^-\s]\S*) requires an argument\.',
        message('"{verb}" needs {name}. Its help: triptych {verb} --help', verb="", name=""),
    ),
    (
        r'Command "(?P<verb>[^"]+)" parameter (?P<name>\S+) requires an argument\.',
        message(
            '"{verb}" needs a value for {name}; one that begins with - is given as {name}=VALUE.',
            verb="",
            name="",
        ),
    ),
    (r"Unused Tokens: (?P<names>\[.*\])\.", message("Too many arguments: {names}.", names="")),
    (
        r'Invalid value for (?P<name>\S+): unable to convert "(?P<value>.*)" into (?P<kind>\w+)\.',
        message('{name} is "{value}"; it must be of the kind {kind}.', name="", value="", kind=""),
    ),
    (
        r'Invalid value "(?P<value>.*)" for (?P<name>\S+)\. Choose from: (?P<names>[^.]+)\.',
        message('{name} is "{value}"; it must be one of {names}.', name="", value="", names=""),
    ),
    (
        r"Parameter (?P<name>\S+) specified multiple times\.",
        message("{name} is given several times.", name=""),
    ),
)


def usage_sentence(text: str) -> str:
    """Return an error of the command line in the user's language, in our own words."""
    several = _several_files(text)
    for pattern, template in SENTENCES:
        text = re.sub(
            pattern,
            lambda found, one=template: (
                translated(Message(one.template, **found.groupdict())) if one else ""
            ),
            text,
        )
    return f"{text} {translated(several)}" if several else text


def _several_files(text: str) -> Message | None:
    """Return what to do if the arguments that are too many are files, as the shell writes *.csv."""
    found = re.search(r"Unused Tokens: (\[.*\])\.", text)
    names = re.findall(r"'([^']+)'", found[1]) if found is not None else []
    if not any(Path(name).is_file() for name in names):
        return None
    return message(
        "Several files are named, as a pattern like *.csv names them, where one is read. Name one "
        "file, or a folder; or join them into one file first."
    )
