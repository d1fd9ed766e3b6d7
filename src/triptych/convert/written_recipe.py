"""Write the recipe of an imported model."""

from __future__ import annotations

import dataclasses

from ..interchange.families import BY_KIND, OF_FILES
from ..model.config import ModelConfig
from ..model.dials import UNSET
from ..presets import PRESETS
from ..recipe.schema import ModelTable, Recipe
from ..tasks.task import Task


def _dials(config: ModelConfig, base: ModelConfig) -> dict[str, object]:
    """Return the dials by which stacks differ from a preset's; by side, those of one alone."""
    sides = {
        side: {
            key: value
            for key, value in dataclasses.asdict(ours).items()
            if value != getattr(base.stacks[side], key)
        }
        for side, ours in config.stacks.items()
    }
    for own in sides.values():
        if own.get("by_block"):
            own["by_block"] = {
                key: [UNSET if one is None else one for one in values]
                for key, values in own["by_block"].items()
            }
    first, *others = sides.values()
    shared = {
        key: value
        for key, value in first.items()
        if all(key in own and own[key] == value for own in others)
    }
    apart = {
        side: {key: value for key, value in own.items() if key not in shared}
        for side, own in sides.items()
    }
    return {**shared, **{side: own for side, own in apart.items() if own}}


def written_recipe(kind: str, config: ModelConfig, task: Task, name: str) -> str:
    """Return the text of a recipe with the sizes of an imported model, for training it further."""
    preset = (BY_KIND.get(kind) or OF_FILES[kind]).preset
    base = PRESETS[preset]
    assert isinstance(base, ModelConfig), "an imported model is not a recurrent network"
    changed = _dials(config, base)
    if config.tied_embeddings != base.tied_embeddings:
        changed["tied_embeddings"] = config.tied_embeddings
    recipe = Recipe(
        name=name,
        task={"name": task.name, **task.options},
        model=ModelTable(preset=preset, dials=changed),
    )
    return f"# Imported, not trained here: import.json says from where.\n\n{recipe.to_toml()}"
