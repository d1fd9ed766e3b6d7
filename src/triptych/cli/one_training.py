"""Train one run for `triptych train`: say what is trained, show the progress, save when stopped."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from ..errors import shell_command
from ..messages import message
from .console import Display, field, put, talk
from .threads import thread_notes

if TYPE_CHECKING:
    from ..recipe.schema import Recipe
    from ..setup.job import Prepared
    from ..training.job import Job
    from ..training.tracking import Tracker


@dataclass(frozen=True, kw_only=True)
class How:
    """Hold how a recipe is trained.

    Args:
        resume: Continue from the newest whole checkpoint.
        data_changed: Continue although the data has changed.
        dry_run: Only describe what would be trained.
        track: Folder of a TensorBoard log; None: none is written.
        command: What a user types to continue; None: the command for this run alone.
        prints: Print the folder at the end.
        begun: Called once the run is prepared, so that what refuses it comes before; not by a dry
            run.
        said: What was said of the runs before this one, which is not said again; None: there is
            none.
    """

    resume: bool
    data_changed: bool
    dry_run: bool
    track: Path | None = None
    command: str | None = None
    prints: bool = True
    begun: Callable[[], None] | None = None
    said: set[str] | None = None

    def tell(self, line: str) -> None:
        """Say a line on stderr, unless it was said of a run before."""
        if self.said is None or line not in self.said:
            talk(line)
        if self.said is not None:
            self.said.add(line)


def train_one(recipe: Recipe, folder: Path, how: How) -> int:
    """Train a recipe into a folder and return the exit code."""
    if how.track is not None:
        from ..training.tracking import refuse_untracked

        refuse_untracked(how.track, how.resume)
    with _with_others():
        from ..setup.job import prepare

        prepared = prepare(
            recipe,
            folder,
            resume=how.resume,
            dry=how.dry_run,
            report=how.tell,
            data_changed=how.data_changed,
        )
    if how.command is not None:
        prepared.job.command = how.command
    if prepared.is_main:
        # The first batch shows what a model reads, to someone who looks before training.
        for line in [*prepared.describe(shows_batch=how.dry_run), *thread_notes()]:
            how.tell(line)
    if how.dry_run:
        talk(message("Dry run: nothing was trained and nothing was written."))
        return 0
    if how.begun is not None and prepared.is_main:
        how.begun()
    code = _watched(prepared, how.track)
    if code == 0 and how.prints and prepared.is_main:
        put(field(folder))
    return code


@contextlib.contextmanager
def _with_others() -> Generator[None]:
    """Say what torchrun does where it ends one of several processes before they train."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    from ..training.launch import WHICH

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)  # torch, which is slow to import, is not needed
    try:
        yield
    except SystemExit:
        talk(
            message(
                "Process {rank} was ended before the training began, as torchrun does with all "
                "where one has died. {which} Nothing is lost; start again.",
                rank=os.environ.get("RANK", "0"),
                which=WHICH,
            )
        )
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _watched(prepared: Prepared, track: Path | None) -> int:
    """Train, show the progress, and return the exit code."""
    from ..training.due import LOG_STEPS
    from ..training.guards import stoppable

    event, training = "", prepared.recipe.training
    try:
        display = Display(training.log_every_steps or LOG_STEPS, training.steps)
        with (
            stoppable(),
            _tracked(prepared, track) as tracker,
            contextlib.closing(prepared.train()) as course,
            display,
        ):
            for progress in course:
                event = progress.event
                if prepared.is_main:
                    display.show(progress)
                if tracker is not None:
                    tracker.update()
    except (KeyboardInterrupt, SystemExit) as stop:
        if prepared.is_main and event != "interrupted":
            talk(_stopped(prepared.job))
        return 130 if isinstance(stop, KeyboardInterrupt) else 143
    return 0


def _tracked(
    prepared: Prepared, track: Path | None
) -> contextlib.AbstractContextManager[Tracker | None]:
    """Return the TensorBoard log, which the first of several processes writes."""
    if track is None or not prepared.is_main:
        return contextlib.nullcontext()
    from ..training.tracking import Tracker

    command = shell_command("tensorboard", "--logdir", track)
    talk(message("To see the log: {command}", command=command))
    return contextlib.closing(Tracker(prepared.job.run, track, prepared.recipe.to_toml()))


def _stopped(job: Job) -> str:
    """Return a sentence on what is saved of a run that was stopped.

    It was stopped between two updates, or by a second Ctrl-C.
    """
    saved = job.run.checkpoints()
    if not saved:
        return message("Stopped before anything was saved.")
    return message(
        "Stopped. Step {step} is saved. Continue with: {command}",
        step=saved[-1].step,
        command=job.command,
    )
