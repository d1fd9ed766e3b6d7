"""triptych train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .console import Display, field, put, talk


def train(
    recipe: str, /, *, out: Path | None = None, resume: bool = False, dry_run: bool = False, print_config: bool = False,
    overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:  # fmt: skip
    """Train what a recipe describes. Any of its keys can be given as --table.key VALUE.

    Parameters
    ----------
    recipe
        A packaged name (multi30k-en-de), a .toml file, or a run folder to go on with.
    out
        Folder of the run; runs/NAME where it is not given.
    resume
        Go on from the newest whole checkpoint of that folder.
    dry_run
        Print model size, estimated memory and the first batch decoded, and stop.
    print_config
        Print the recipe with every value resolved, and stop.
    """
    from ..recipe import Recipe

    loaded = Recipe.load(recipe, overrides)
    if print_config:
        loaded.model.config()
        loaded.build_task()
        put(loaded.to_toml(), end="")
        return 0
    folder = out or (Path(recipe) if (Path(recipe) / "recipe.toml").is_file() else Path("runs") / loaded.name)
    from ..prepare import prepare

    prepared = prepare(loaded, folder, resume=resume, dry=dry_run, report=talk)
    if prepared.leads:
        for line in prepared.describe():
            talk(line)
    if dry_run:
        talk("Dry run: nothing was trained and nothing written.")
        return 0
    interrupted = False
    with Display(loaded.training.log_every_steps, loaded.training.steps) as display:
        for progress in prepared.train():
            interrupted = progress.event == "interrupted"
            if prepared.leads:
                display.show(progress)
    if not interrupted and prepared.leads:
        put(field(folder))
    return int(interrupted)
