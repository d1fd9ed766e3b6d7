"""Run `triptych completion`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from cyclopts import App

from ..messages import message
from .console import put
from .verbs import Command, Verb

# In zsh's script: an argument, or the value of an option, for which nothing is proposed.
BARE = re.compile(
    r"""^(\s+)(['"])((?:[0-9]+|\*):(?:[^:\\]|\\.)*"""
    r"""|\*?--[\w-]+\[(?:[^\]\\]|\\.)*\]:[\w-]+)\2( \\)?$""",
    re.MULTILINE,
)


def with_files(script: str, shell: str) -> str:
    """Return a completion script that proposes file names wherever it knows nothing better.

    The library's scripts for bash and zsh propose nothing there, which takes away what the shell
    does by itself. That for fish leaves it.
    """
    if shell == "bash":
        script = script.replace('COMPREPLY=( $(compgen -f -- "${cur}") )', "COMPREPLY=()")
        return script.replace("complete -F ", "complete -o bashdefault -o default -F ")
    return BARE.sub(r"\1\2\3:_files\2\4", script) if shell == "zsh" else script


def completing(build: Callable[[], App]) -> Verb:
    """Return the verb that prints completions of the command line that `build` returns."""

    def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
        """Print a script that completes verbs and options with the tab key.

        In bash or zsh run: eval "$(triptych completion bash)", here or in ~/.bashrc; in fish:
        triptych completion fish | source.

        Parameters
        ----------
        shell
            The shell that will run the script.
        """
        put(with_files(build().generate_completion(prog_name="triptych", shell=shell), shell))
        return 0

    def load() -> Command:
        return completion

    return Verb(
        load,
        message("Print a script that completes verbs and options with the tab key."),
        ('eval "$(triptych completion bash)"', "triptych completion fish | source"),
    )
