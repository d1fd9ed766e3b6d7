"""Run `triptych completion`."""

from __future__ import annotations

from typing import Literal

from .console import put


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print a script that lets a shell complete verbs and options with the tab key.

    In bash or zsh run: eval "$(triptych completion bash)", here or in ~/.bashrc; in fish: triptych
    completion fish | source.

    Parameters
    ----------
    shell
        The shell that will run the script.
    """
    from .main import build_app

    put(build_app().generate_completion(prog_name="triptych", shell=shell))
    return 0
