"""Run `triptych completion`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from cyclopts import App

from ..messages import message
from .console import put
from .verbs import Command, Verb


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
        put(build().generate_completion(prog_name="triptych", shell=shell))
        return 0

    def load() -> Command:
        return completion

    return Verb(
        load,
        message("Print a script that completes verbs and options with the tab key."),
        ('eval "$(triptych completion bash)"', "triptych completion fish | source"),
    )
