"""Run the first stage: check a recipe, and open the run that it continues or starts from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from .. import own_code
from ..checking import check_instance
from ..convert import open_origin, pinned
from ..data.batches.streaming import resolved
from ..data.example import Notify
from ..data.hub.data_sets import pin
from ..data.hub.repository import is_reference
from ..data.load import split_names
from ..data.tokenizers.bpe_dropout import KINDS
from ..data.tokenizers.sides import Tokenizers
from ..errors import UsageError
from ..messages import message
from ..recipe.schema import Recipe
from ..runs.run import Run
from ..tasks.task import Task
from ..training.distributed import World, world
from ..training.resuming import refuse_other_recipe
from .summary import refuse_oversized


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Hold what is to be trained, and from where.

    Args:
        recipe: The recipe as it is saved with the run.
        task: The recipe's task.
        out: The run folder.
        before: The run that is resumed, if any.
        start: The run of model.start, opened where its weights are needed.
        resume: Continue from the newest checkpoint of `out`.
        dry: Nothing is written.
        data_changed: A run is resumed although its data has changed.
        processes: The processes that train together.
        report: Receives messages for the user.
    """

    recipe: Recipe
    task: Task
    out: Path
    before: Run | None
    start: Run | None
    resume: bool
    dry: bool
    data_changed: bool
    processes: World
    report: Notify

    @property
    def origin(self) -> Run | None:
        """Return the run that tokenizers and labels are taken from."""
        return self.before or self.start

    @property
    def writes(self) -> bool:
        """Tell whether this process writes the run folder."""
        return not self.dry and self.processes.is_main


def resolve(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool,
    dry: bool,
    report: Notify | None,
    data_changed: bool,
) -> Resolved:
    """Check a recipe before time is spent on its data, and open the run that it starts from."""
    _check(recipe, resume, data_changed)
    processes = world()
    processes.refuse_fewer(recipe.batches.accumulate)
    notify = report if report is not None and processes.is_main else (lambda message: None)
    if processes.is_main:
        _refuse_folder(out, resume, dry, notify)
    before = Run(out) if resume and (out / "config.json").is_file() else None
    recipe = _pinned(recipe, before)
    recipe = dataclasses.replace(
        recipe, data=resolved(recipe.data, recipe.build_task().encode_ids is not None)
    )
    if before is not None:
        own_code.refuse_other(before.read_config().code, before.path / "config.json")
        recipe = _without_bpe_dropout(recipe, before, notify)
        refuse_other_recipe(before, Recipe.load(before.path).to_values(), recipe.to_values())
    elif resume:
        notify(
            message("There is nothing to resume in {out}; training starts from scratch.", out=out)
        )
    task = recipe.build_task()
    if task.with_teacher is not None and recipe.model.start is None:
        raise UsageError(
            "{capitalize} tuning changes a run that can chat. Name that run with "
            "model.start (--model.start RUN).",
            capitalize=task.name.capitalize(),
        )
    start = None
    # The weights of a resumed run are in its checkpoint.
    if recipe.model.start and (before is None or before.latest_checkpoint() is None):
        start = open_origin(recipe.model.start, task.name, notify)
    recipe = recipe if before is not None else _without_bpe_dropout(recipe, start, notify)
    return Resolved(
        recipe=recipe,
        task=task,
        out=out,
        before=before,
        start=start,
        resume=resume,
        dry=dry,
        data_changed=data_changed,
        processes=processes,
        report=notify,
    )


def _pinned(recipe: Recipe, before: Run | None) -> Recipe:
    """Return a recipe whose names of the hub have the commit that they stand for now.

    before: the run that is resumed; its commits hold.
    """
    start, data = recipe.model.start, recipe.data
    names = [start, *(one for given in split_names(data).values() for one in given)]
    if not any(map(is_reference, names)):
        return recipe
    old = None if before is None else Recipe.load(before.path)
    if is_reference(start):
        was = None if old is None else old.model.start
        start = was if was and start == was.partition("@")[0] else pinned(str(start))
    return dataclasses.replace(
        recipe,
        data=pin(data, None if old is None else old.data),
        model=dataclasses.replace(recipe.model, start=start),
    )


def _check(recipe: Recipe, resume: bool, data_changed: bool) -> None:
    if data_changed and not resume:
        raise UsageError(
            message("--data-changed is for a run that is resumed. Give --resume as well.")
        )
    for name in ("data", "tokenizer", "model", "batches"):
        check_instance(getattr(recipe, name), name)
    recipe.training.check()
    recipe.validation.check()
    recipe.decoding.check()
    refuse_oversized(recipe)
    widths = {side: stack.width for side, stack in recipe.model.config().stacks.items()}
    if recipe.model.start is None and recipe.tokenizer.shared and len(set(widths.values())) > 1:
        listed = " and ".join(f"model.{side}.width {width}" for side, width in widths.items())
        raise UsageError(
            "{listed} need separate vocabularies. Set tokenizer.shared = false, or "
            "give both one width.",
            listed=listed,
        )


def _refuse_folder(out: Path, resume: bool, dry: bool, notify: Notify) -> None:
    """Raise UsageError where no run can be written; a dry run only says that one is there."""
    there = next(one for one in (out, *out.absolute().parents) if one.exists())
    if not there.is_dir():
        raise UsageError(
            "{path} is a file; a run needs a folder. Name another path with --out.", path=there
        )
    if not out.is_dir():
        return
    try:
        if not dry:
            with Run(out).alone():
                pass
        _refuse_held(out, resume)
    except UsageError as problem:
        if not dry:
            raise
        notify(message("To train, this is in the way: {problem}", problem=problem.args[0]))


def _refuse_held(out: Path, resume: bool) -> None:
    """Raise UsageError before time is spent on the data if the folder holds a run."""
    held = [
        name
        for name in ("model.safetensors", "checkpoints", "config.json")
        if (out / name).exists()
    ]
    if held and not resume:
        raise UsageError(
            "{out} already holds a run ({names}). Continue it with --resume, or "
            "name another folder with --out.",
            out=out,
            names=", ".join(held),
        )


def _without_bpe_dropout(recipe: Recipe, origin: Run | None, notify: Notify) -> Recipe:
    """Remove `batches.bpe_dropout` where the tokenizer is from a model of another library.

    Its merges cannot be dropped.
    """
    if (
        origin is None
        or not recipe.batches.bpe_dropout
        or Tokenizers.load(origin.path).source.kind in KINDS
    ):
        return recipe
    notify(
        message(
            "batches.bpe_dropout has no effect: the tokenizer of {value} splits a "
            "word in only one way.",
            value=recipe.model.start or origin.path,
        )
    )
    return dataclasses.replace(recipe, batches=dataclasses.replace(recipe.batches, bpe_dropout=0.0))
