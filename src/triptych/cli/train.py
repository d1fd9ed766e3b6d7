"""Run `triptych train`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..errors import UsageError
from ..messages import message
from ..runs.named import named
from .columns import AS_FOUND, ReadingFlags
from .console import put
from .language import help_text
from .one_training import How, train_one

TRACK = "tensorboard"  # folder of the log in the run folder


@dataclass(frozen=True, kw_only=True)
class Several:
    """Hold the flags that watch a training or repeat it."""

    track: Annotated[
        bool | Path,
        Parameter(
            help=help_text(
                "Write a TensorBoard log into RUN/tensorboard, or into the folder given. Needs the "
                'package tensorboard: pip install "triptych[track]".'
            )
        ),
    ] = False
    seeds: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "Train a run for each of these seeds (--seeds 1,2,3) into RUN/seed-1 and so on, "
                "and print their validation scores with mean and standard deviation; also in "
                "RUN/seeds.json."
            )
        ),
    ] = None
    json_: Annotated[
        bool,
        Parameter(
            name="--json",
            help=help_text("With --seeds: print the scores as one JSON object."),
        ),
    ] = False


ONCE = Several()


def train(
    recipe: str,
    /,
    *,
    out: Path | None = None,
    resume: bool = False,
    data_changed: bool = False,
    dry_run: bool = False,
    print_config: bool = False,
    several: Annotated[Several, Parameter(name="*")] = ONCE,
    reading: Annotated[ReadingFlags, Parameter(name="*")] = AS_FOUND,
    overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:
    """Train a model as a recipe describes it, into a new run folder.

    Parameters
    ----------
    recipe
        A name (`triptych info` lists them), a .toml file, or a run to continue with --resume.
    out
        Folder of the run; by default runs/NAME, where NAME is that of the recipe.
    resume
        Continue from the newest complete checkpoint of the run.
    data_changed
        With --resume: continue although the files that the run was trained on have changed.
    dry_run
        Print model size, estimated memory and the first batch as text, and stop.
    print_config
        Print the recipe with all its keys, defaults included, and stop.
    """
    from ..recipe.schema import Recipe

    reading.begin()
    given: dict[str, object] = {**(overrides or {}), **reading.overrides()}
    recipe = recipe_or_run(recipe)
    loaded = Recipe.load(recipe, given)
    if print_config:
        loaded.model.config()
        loaded.build_task()
        put(loaded.to_toml(), end="")
        return 0
    folder = out or (
        Path(recipe) if (Path(recipe) / "recipe.toml").is_file() else Path("runs") / loaded.name
    )
    resume = resume or _is_restarted(folder)
    how = How(
        resume=resume,
        data_changed=data_changed,
        dry_run=dry_run,
        track=_track(several.track, folder),
    )
    seeds = _seeds(several, folder, resume, given)
    if seeds:
        from .seeds import train_seeds

        return train_seeds(loaded, folder, seeds, how, several.json_)
    return train_one(loaded, folder, how)


def _is_restarted(folder: Path) -> bool:
    """Tell whether torchrun restarted this training (without torch where it did not)."""
    if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) == 0:
        return False
    from ..training.launch import is_restarted

    return is_restarted(folder)


def _track(given: bool | Path, folder: Path) -> Path | None:
    """Return the folder of the TensorBoard log, if one is wanted."""
    if isinstance(given, bool):
        return folder / TRACK if given else None
    return given


def recipe_or_run(given: str) -> str:
    """Return a recipe as it was given, or the folder of the run of that name if there is none."""
    from ..recipe.schema import packaged

    path = Path(given)
    if path.exists() or path.suffix == ".toml" or given in packaged():
        return given
    return str(named(given) or given)


def _seeds(
    several: Several, folder: Path, resume: bool, overrides: Mapping[str, object]
) -> list[int]:
    """Return the seeds given, or those of the folder that is resumed; none for a single run."""
    from ..runs.seeds import seeds_of
    from .seeds import read_seeds

    if several.seeds is not None and "training.seed" in overrides:
        raise UsageError(
            message("--seeds and --training.seed both name the seed. Give one of them.")
        )
    seeds = read_seeds(several.seeds) if several.seeds is not None else []
    if not seeds and (held := seeds_of(folder)):
        if not resume:
            raise UsageError(
                "{folder} holds the runs of several seeds. Continue them with "
                "--resume, or name another folder with --out.",
                folder=folder,
            )
        seeds = held
    if several.json_ and not seeds:
        raise UsageError(
            message("--json prints the scores of several seeds. Give --seeds as well.")
        )
    return seeds
