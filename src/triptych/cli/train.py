"""Run `triptych train`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .columns import parsed
from .console import Display, field, put, talk
from .threads import thread_notes

if TYPE_CHECKING:
    from ..setup.job import Prepared
    from ..training.job import Job
    from ..training.settings import TrainingSettings


def train(
    recipe: str,
    /,
    *,
    out: Path | None = None,
    columns: str | None = None,
    resume: bool = False,
    data_changed: bool = False,
    dry_run: bool = False,
    print_config: bool = False,
    overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:
    """Train what a recipe describes; any of its keys can be given as --table.key VALUE.

    Parameters
    ----------
    recipe
        A packaged name (multi30k-en-de), a .toml file, or a run folder to continue.
    out
        Folder of the run; runs/NAME by default.
    columns
        Which columns of your own files are read, by name or by number from 1: text=Comment,
        label=Kind or source=2,target=3. With numbers, header=yes or header=no says whether the
        first line is a header. The same as data.columns of the recipe.
    resume
        Continue from the newest whole checkpoint of that folder.
    data_changed
        With --resume: continue although the files that the run was trained on have changed.
    dry_run
        Print model size, estimated memory and the first batch decoded, and stop.
    print_config
        Print the recipe with every value resolved, and stop.
    """
    from ..recipe.schema import Recipe

    given: dict[str, object] = dict(overrides or {})
    if columns is not None:
        given["data.columns"] = parsed(columns)
    loaded = Recipe.load(recipe, given)
    if print_config:
        loaded.model.config()
        loaded.build_task()
        put(loaded.to_toml(), end="")
        return 0
    folder = out or (
        Path(recipe) if (Path(recipe) / "recipe.toml").is_file() else Path("runs") / loaded.name
    )
    from ..setup.job import prepare

    prepared = prepare(
        loaded, folder, resume=resume, dry=dry_run, report=talk, data_changed=data_changed
    )
    if prepared.is_main:
        for line in [*prepared.describe(), *thread_notes()]:
            talk(line)
    if dry_run:
        talk("Dry run: nothing was trained and nothing was written.")
        return 0
    code = _watched(prepared, loaded.training)
    if code == 0 and prepared.is_main:
        put(field(folder))
    return code


def _watched(prepared: Prepared, training: TrainingSettings) -> int:
    """Train, show the progress, and return the exit code."""
    from ..training.guards import stoppable

    event = ""
    try:
        display = Display(training.log_every_steps, training.steps)
        with stoppable(), contextlib.closing(prepared.train()) as course, display:
            for progress in course:
                event = progress.event
                if prepared.is_main:
                    display.show(progress)
    except (KeyboardInterrupt, SystemExit) as stop:
        if prepared.is_main and event != "interrupted":
            talk(_stopped(prepared.job))
        return 130 if isinstance(stop, KeyboardInterrupt) else 143
    return 0


def _stopped(job: Job) -> str:
    """Return a sentence on what is saved of a run that was stopped.

    It was stopped between two updates, or by a second Ctrl-C.
    """
    saved = job.run.checkpoints()
    if not saved:
        return "Stopped before anything was saved."
    return f"Stopped. Step {saved[-1].step} is saved. Continue with: {job.command}"
