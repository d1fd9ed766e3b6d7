"""Describe what several processes need to train a model: `triptych info NAME --world N`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..messages import message
from ..presets import PRESETS, counted, parameter_count, unknown_preset
from ..presets.processes import Need, Setting, needs
from ..runs.named import named
from .console import table
from .language import translated

if TYPE_CHECKING:
    from ..model.config import AnyConfig
    from ..recipe.schema import Recipe

MOST = 1_000_000_000  # processes, and tokens of a micro-batch
# Rows of the table, with the values of `Need` that they show.
MEMORY = {
    "parameters": message("parameters"),
    "gradients": message("gradients"),
    "optimizer": message("optimizer and averages"),
    "activations": message("activations"),
    "copies": message("copies of weights"),
    "gathered": message("gathered weights"),
    "buffer": message("buffer of gradients"),
    "memory": message("memory of a process"),
}
SENT = {
    "all_reduce": message("all-reduce"),
    "all_gather": message("all-gather"),
    "reduce_scatter": message("reduce-scatter"),
    "sent": message("sent in a step"),
}


@dataclass(frozen=True)
class Sized:
    """Hold a model with how it is trained, and what each way to train it needs."""

    name: str
    config: AnyConfig
    setting: Setting
    ways: list[Need]

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "parameters": parameter_count(self.config),
            "vocabulary": self.config.vocabulary_size,
            **dataclasses.asdict(self.setting),
            "ways": [one.to_json() for one in self.ways],
        }

    def to_table(self) -> str:
        """Return what a terminal shows."""
        heads = [
            ["", *(one.parallel for one in self.ways)],
            [translated(message("activations in")), *(one.precision for one in self.ways)],
            [
                translated(message("weights sent in")),
                *(one.fsdp_precision if one.parallel == "fsdp" else "" for one in self.ways),
            ],
        ]
        rows = [
            [translated(label), *(_size(getattr(one, key)) for one in self.ways)]
            for key, label in (MEMORY | SENT).items()
        ]
        words = message(
            "{name}: {parameters:,} parameters with a vocabulary of {vocabulary:,}, {world:,} "
            "processes, {batch_tokens:,} tokens a micro-batch, micro-batches of each in a step: "
            "{each:,}. All weights are trained. Activations are an estimate.",
            name=self.name,
            parameters=parameter_count(self.config),
            vocabulary=self.config.vocabulary_size,
            world=self.setting.world,
            batch_tokens=self.setting.batch_tokens,
            each=self.setting.each,
        )
        return f"{translated(words)}\n{table([*heads, *rows])}"


def sized(name: str, world: int, batch_tokens: int | None) -> Sized:
    """Return the needs of a run, a preset or a recipe.

    Raises:
        UsageError: There is nothing of that name, or a number cannot be.
    """
    for option, value in (("--world", world), ("--batch-tokens", batch_tokens)):
        if value is not None and not 1 <= value <= MOST:
            raise UsageError(
                "{option} is {value}; it must be from 1 to {most:,}.",
                option=option,
                value=value,
                most=MOST,
            )
    config, setting = _found(name, world)
    if batch_tokens is not None:
        setting = dataclasses.replace(setting, batch_tokens=batch_tokens)
    return Sized(name, config, setting, needs(config, setting))


def _size(count: int) -> str:
    """Return bytes in GB or MB (10^9 or 10^6 bytes)."""
    if not count:
        return "-"
    return f"{count / 1e9:,.2f} GB" if count >= 1e8 else f"{count / 1e6:,.2f} MB"


def _found(name: str, world: int) -> tuple[AnyConfig, Setting]:
    """Return the model that a run, a preset or a recipe names, and how it is trained."""
    from ..recipe.schema import Recipe, packaged
    from ..runs.run import Run

    is_run = Path(name).is_dir() or (name not in PRESETS and named(name) is not None)
    if is_run:
        run = Run.open(name)
        is_trained = (run.path / "recipe.toml").is_file()
        setting = _setting(Recipe.load(run.path), world) if is_trained else Setting(world=world)
        return run.read_config().model, setting
    if name in PRESETS:
        return counted(name), Setting(world=world, accumulate=world)
    if name not in packaged() and not name.endswith(".toml"):
        raise unknown_preset(name, "(and there is no such run folder or recipe)")
    recipe = Recipe.load(name)
    if recipe.model.start is not None:
        config = Run.open(recipe.model.start).read_config().model
    else:
        size = recipe.tokenizer.vocabulary_size
        config = dataclasses.replace(recipe.model.config(), vocabulary_size=size)
    return config, _setting(recipe, world)


def _setting(recipe: Recipe, world: int) -> Setting:
    settings = recipe.training
    return Setting(
        world=world,
        batch_tokens=recipe.batches.batch_tokens,
        accumulate=recipe.batches.accumulate,
        optimizer=1 if settings.optimizer == "muon" else 2,
        average=settings.average > 0,
    )
