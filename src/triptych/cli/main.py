"""Run `triptych VERB ...` and turn failures into a sentence and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 training stopped by SIGTERM.
Neither this module nor the verbs' modules import torch before they need it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Collection
from contextvars import copy_context

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError, UnknownOptionError

from .. import __version__, own_code
from ..errors import TriptychError, TriptychWarning, UsageError, is_failure
from ..messages import message
from .completion import completing
from .console import LAYOUT, remember, shown, talk, uncaught
from .dashes import advice
from .given import take_value
from .helping import Page, documented, epilogue, usage
from .language import translated
from .threads import settle, take_threads
from .usage_errors import usage_sentence
from .verbs import DATA_VERBS, VERBS
from .whole_numbers import refuse_fractions
from .wrapping import wrapped

ROOM = message("Close other programs, or use a machine with more memory.")
MEMORY_ADVICE = {  # verb -> how to need less memory
    **dict.fromkeys(VERBS, message("Give shorter texts, or a smaller --decoding.batch_tokens.")),
    "train": message(
        "Use a smaller --batches.batch_tokens or a smaller model, or train on fewer examples: "
        "--data.examples."
    ),
    "init": message(
        "Give a smaller part of the files: a sample is enough for a recipe and its forecast."
    ),
    "data": message("Give smaller files, or one file at a time."),
    **dict.fromkeys(("import", "export", "info"), ROOM),
}
ABOUT = message(
    "Train, score and use Transformers that understand text, write text, or turn one text into "
    "another. A recipe says what is trained: a name like phrasebook, or a .toml file. A run is the "
    "folder that training writes, like runs/phrasebook; the other commands read it. `triptych "
    "COMMAND --help` describes a command."
)
FIRST = (
    "  triptych train phrasebook",
    '  triptych translate phrasebook "I like cats." --to zh-Hant',
    "  triptych init translation --source my.en --target my.de",
)
EVERYWHERE = message(
    "For every command: --threads N computes with N threads (default: one per core); --code "
    "FILE.py adds a task or an attention of your own (docs/own-code.md); --debug shows where in "
    "the code an error occurred. TRIPTYCH_LANG=zh_TW shows help and messages in Chinese."
)
DOTTED = re.compile(r"--([A-Za-z_]\w*(?:\.[A-Za-z_][\w-]*)+)(?:=(.*))?", re.DOTALL)


def build_app(wanted: Collection[str] | None = None) -> App:
    """Return the command line.

    Args:
        wanted: Names of the verbs whose functions are loaded; of the others only the name and the
            help are known. None: all verbs.
    """
    everywhere = wrapped(translated(EVERYWHERE))
    commands, arguments, options = (
        translated(one) for one in (message("Commands"), message("Arguments"), message("Options"))
    )
    app = App(
        name="triptych",
        help=translated(ABOUT),
        help_epilogue="\n".join([translated(message("Examples:")), *FIRST, "", everywhere]),
        help_formatter=Page(),
        version=__version__,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=_default),
        group_commands=commands,
        group_arguments=arguments,
        group_parameters=options,
    )
    data = App(
        name="data",
        help=translated(
            message("List and fetch public data sets; check and count your own files.")
        ),
        help_epilogue=everywhere,
        sort_key=1.5,  # after `train`
        help_format="plaintext",
        group_commands=commands,
        group_arguments=arguments,
        group_parameters=options,
    )
    own = {**VERBS, "completion": completing(build_app)}
    for group, verbs in ((app, own), (data, DATA_VERBS)):
        for number, (name, verb) in enumerate(verbs.items()):
            words = translated(verb.help)
            if wanted is None or name in wanted:
                command = documented(verb.load())
                last = epilogue(verb, command)
                how = usage(name if group is app else f"data {name}", command)
                group.command(command, name=name, usage=how, help_epilogue=last, sort_key=number)
            else:
                group.command(_not_loaded, name=name, help=words, sort_key=number)
    app.command(data)
    for flag in ("--help", "--version"):
        app[flag].help = translated(app[flag].help)
    return app


def _default(value: object) -> object:
    """Return what the help shows as a default; an option that is off needs none."""
    return None if value in (False, None, "", ()) else value


def _not_loaded() -> int:
    raise AssertionError("a verb that was not loaded cannot run")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.excepthook = uncaught
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run the command that the arguments name and return the exit code."""
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    remember(arguments)
    warnings.formatwarning = _warning
    rest, debug = _without_debug(arguments)
    try:
        return dispatch(rest)
    except BrokenPipeError:  # Whoever read our output has closed the pipe.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        talk("", message("Stopped."))
        return 130  # the exit code that a shell gives to a program ended by Ctrl-C
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:
        if debug or not is_failure(error):
            raise
        talk(message_of(error, next((one for one in arguments if not one.startswith("-")), "")))
        return (
            error.exit_code
            if isinstance(error, TriptychError)
            else 2
            if isinstance(error, CycloptsError)
            else 1
        )


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Format our own warnings without their place in the source, others as Python does."""
    if issubclass(category, TriptychWarning):
        told = message.args[0] if isinstance(message, Warning) and message.args else message
        return f"triptych: {shown(translated(told), sys.stderr, LAYOUT)}\n"
    return f"{filename}:{lineno}: {category.__name__}: {message}\n"


def _open_closed() -> None:
    """Replace streams that were closed before we started by the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # It stays open until the process ends.


def message_of(error: BaseException, verb: str = "") -> str:
    """Return one sentence on what went wrong and what to do, which depends on the verb."""
    if isinstance(error, TriptychError):
        return f"triptych: {translated(error.args[0] if error.args else error)}"
    if isinstance(error, CycloptsError):
        return f"triptych: {usage_sentence(str(error))}"
    if isinstance(error, OSError):
        words = message(
            "{place} could not be read or written: {reason}.",
            place=str(error.filename or message("The output")),
            reason=str(error.strerror or error),
        )
        return f"triptych: {translated(words)}"
    if (
        isinstance(error, MemoryError)
        or "not enough memory" in str(error)
        or "can't allocate memory" in str(error)
    ):
        words = message(
            "There is not enough memory. {advice}", advice=MEMORY_ADVICE.get(verb, ROOM)
        )
    elif place := own_code.failed_within(error):
        words = message(
            "{place}: {kind}: {error}. The file of --code failed; the same command with --debug "
            "shows where.",
            place=place,
            kind=type(error).__name__,
            error=str(error),
        )
    else:
        words = message(
            "This is an error of triptych itself: {kind}: {error}. The same command with --debug "
            "shows where it occurred; please report it.",
            kind=type(error).__name__,
            error=str(error),
        )
    return f"triptych: {translated(words)}"


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """Return the arguments without `--debug`, and whether it was there; after `--` it is text."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    rest = [one for one in arguments[:end] if one != "--debug"]
    return rest + arguments[end:], len(rest) < end


def dispatch(arguments: list[str]) -> int:
    """Run the command that the arguments name, without `--debug`, and return the exit code."""
    typed = arguments
    arguments, threads = take_threads(arguments)
    if threads is not None and arguments[:1] == ["data"]:
        raise UsageError(
            "--threads has no effect on `triptych data`, which computes nothing. Leave it out."
        )
    settle(threads)
    arguments, code = take_value(
        arguments, "--code", "a file, for example --code mine.py", once=True
    )
    with own_code.given(code, aside=True) as own:
        # What a verb settles for itself, like --offline, ends with it.
        status = copy_context().run(_dispatch, arguments, typed)
    if own is not None and not own.used:
        talk(
            message("--code {path} had no effect: nothing here was trained with it.", path=own.path)
        )
    return status


def _dispatch(arguments: list[str], typed: list[str]) -> int:
    """Run the verb that the arguments name, without the options of all verbs.

    `typed` are the arguments with those options, for advice.
    """
    rest, overrides = split_overrides(arguments)
    app = build_app(rest)
    refuse_fractions(app, rest)
    try:
        command, bound, ignored = app.parse_args(rest, exit_on_error=False, print_error=False)
    except UnknownOptionError as error:
        raise _unknown_option(app, rest, typed, error) from None
    extra: dict[str, object] = {}
    if "overrides" in ignored:
        extra["overrides"] = overrides
    elif overrides:
        raise UsageError(
            f"--{next(iter(overrides))} has no effect here, because this verb takes no recipe "
            "keys. Leave it out."
        )
    result = command(*bound.args, **bound.kwargs, **extra)
    return result if isinstance(result, int) else 0


def _unknown_option(
    app: App, rest: list[str], typed: list[str], error: UnknownOptionError
) -> UsageError:
    """Return the error for an unknown option, which may be a text that begins with a hyphen."""
    option = (error.token.keyword or error.token.value) if error.token is not None else ""
    advised = advice(app, typed, option)
    if advised is not None and advised.is_surely_text:
        return UsageError(
            message('"{text}" begins with -, so it was read as an option. ', text=option)
            + advised.sentence
        )
    said, meant = usage_sentence(str(error)), _meant(app, rest, error)
    if advised is not None and not meant and "Did you mean" not in str(error):
        meant = f" {translated(advised.sentence)}"
    return UsageError(f"{said}{meant}")


def _meant(app: App, rest: list[str], error: UnknownOptionError) -> str:
    """Suggest recipe keys whose last word is the unknown option: --training.steps for --steps."""
    from ..recipe.schema import TABLES, key_types

    option = (error.token.keyword or error.token.value) if error.token is not None else ""
    name = option.lstrip("-").partition("=")[0].replace("-", "_")
    try:
        *_, ignored = app.parse_known_args(
            [one for one in rest if one.partition("=")[0] != option.partition("=")[0]]
        )
    except CycloptsError:
        return ""
    tables = () if "overrides" not in ignored else TABLES if rest[0] == "train" else ("decoding",)
    keys = key_types(None)
    found = [f"--{table}.{name}" for table in tables if name in keys[table]]
    return f" Give a recipe key with its table: {' or '.join(found)}." if found else ""


def split_overrides(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split `--table.key value` and `--table.key=value` off the arguments.

    Everything after `--` is text.

    Returns:
        The other arguments, and the overrides as {"table.key": value}.
    """
    rest: list[str] = []
    found: dict[str, str] = {}
    place = 0
    while place < len(arguments):
        argument = arguments[place]
        place += 1
        match = DOTTED.fullmatch(argument)
        if argument == "--":
            rest += arguments[place - 1 :]
            break
        if match is None:
            rest.append(argument)
            continue
        key, value = match[1].replace("-", "_"), match[2]
        if value is None:
            if place == len(arguments) or arguments[place].startswith("--"):
                raise UsageError(f"--{key} needs a value, for example --{key} VALUE.")
            value = arguments[place]
            place += 1
        found[key] = value
    return rest, found
