"""Train from Python. Imports torch only when a function is called."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from . import own_code
from .recipe.schema import Recipe

if TYPE_CHECKING:
    from .training.job import Progress


def train(
    recipe: Recipe | str | Path,
    out: str | Path | None = None,
    resume: bool = False,
    data_changed: bool = False,
    code: str | Path | None = None,
) -> Generator[Progress, None, None]:
    """Build what `recipe` describes, train it and yield progress.

    After Ctrl-C during an update the last event is "interrupted", the state is saved, and the next
    step of the iterator raises KeyboardInterrupt (after SIGTERM: SystemExit). A break, `close()` or
    an exception in the body of the loop saves the last whole update too.

    Args:
        recipe: A recipe, or what `Recipe.load` takes.
        out: The run folder; runs/NAME by default.
        resume: Continue from the newest checkpoint there.
        data_changed: Continue even if the data is not what the run was trained on.
        code: The user's own file with a task or an attention. It is executed.
    """
    from .setup.job import prepare

    with own_code.given(code):
        recipe = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
        out = out or Path("runs") / recipe.name
        yield from prepare(recipe, out, resume=resume, data_changed=data_changed).train()
