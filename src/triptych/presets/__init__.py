"""Published models as sizes: name -> configuration, and what a recipe may change of it. Imports no
torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UsageError, unknown
from ..model.config import AnyConfig, ModelConfig, RecurrentConfig, StackConfig
from ..model.dials import misfit
from ..runs.sizes import parameter_count as parameter_count
from . import bert, gpt, recurrent, transformer

PRESETS: dict[str, AnyConfig] = {
    **transformer.PRESETS,
    **bert.PRESETS,
    **gpt.PRESETS,
    **recurrent.PRESETS,
}

# filled in when the model is built
FROM_TOKENIZER = frozenset({"vocabulary_size", "source_vocabulary_size"})


def preset(name: str) -> AnyConfig:
    """Raises UsageError naming the nearest preset."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def configure(name: str, dials: Mapping[str, Any]) -> AnyConfig:
    """The preset `name` with `dials` changed: {"encoder": {"layers": 4}, "dropout": 0.2,
    "tied_embeddings": False}.

    A dial of a stack given without "encoder" or "decoder" goes to both. Raises UsageError for a
    dial that this kind of model does not have.
    """
    return changed(preset(name), dials, f"preset {name}")


def changed(base: AnyConfig, dials: Mapping[str, Any], of: str) -> AnyConfig:
    """`base` with `dials` changed; `of` names it in errors. See `configure`."""
    dials_of_stacks = names(StackConfig)
    if isinstance(base, RecurrentConfig):
        allowed = names(RecurrentConfig)
        _refuse_others(dials, allowed, of)
        found = dataclasses.replace(base, **dials)
        _check_dials(
            found,
            "model",
            ("embedding_width", "width", "attention_width", "readout_width"),
            ("dropout",),
        )
        return found
    own = names(ModelConfig) - {"encoder", "decoder"}
    stacks = base.stacks
    _refuse_others(dials, own | dials_of_stacks | set(stacks), of)
    both = {key: value for key, value in dials.items() if key in dials_of_stacks}
    others = {
        side: dataclasses.replace(stack, **{**both, **dials.get(side, {})})
        for side, stack in stacks.items()
    }
    for side, stack in others.items():
        _check_stack(stack, f"model.{side}")
    return dataclasses.replace(
        base, **others, **{key: value for key, value in dials.items() if key in own}
    )


def names(kind: type) -> set[str]:
    """The dials of a configuration that a person may set."""
    return {field.name for field in dataclasses.fields(kind)} - FROM_TOKENIZER


def _refuse_others(dials: Mapping[str, Any], allowed: set[str], of: str) -> None:
    for key in dials:
        if key not in allowed:
            raise unknown(
                "recipe key", f"model.{key}", (f"model.{dial}" for dial in allowed), f"for {of}"
            )


def _check_dials(config: Any, where: str, counts: Sequence[str], shares: Sequence[str]) -> None:
    for dial in counts:
        value = getattr(config, dial)
        if value is not None and value < 1:
            raise UsageError(f"{where}.{dial} is {value}; it must be 1 or more.")
    for dial in shares:
        if not 0 <= getattr(config, dial) < 1:
            raise UsageError(
                f"{where}.{dial} is {getattr(config, dial)}; it must be at least 0 and below 1."
            )


def _check_stack(stack: StackConfig, where: str) -> None:
    counts = (
        "layers",
        "width",
        "heads",
        "key_heads",
        "inner_width",
        "max_positions",
        "head_width",
        "attention_window",
    )
    _check_dials(stack, where, counts, ("dropout", "attention_dropout", "inner_dropout"))
    if stack.segments < 0:
        raise UsageError(f"{where}.segments is {stack.segments}; it must be 0 (none) or more.")
    for dial in ("norm_epsilon", "rotary_base"):
        if not 0 < getattr(stack, dial) < math.inf:
            raise UsageError(
                f"{where}.{dial} is {getattr(stack, dial)}; it must be a number above 0."
            )
    problem = misfit(stack)
    if problem is not None:
        raise UsageError(f"{where}: {problem}.")
