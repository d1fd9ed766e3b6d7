"""Published models as sizes: name -> configuration, and what a recipe may change of it. Imports no
torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from difflib import get_close_matches

from ..checking import check_instance, fields_of, fitted
from ..errors import UsageError, unknown
from ..messages import Message, message
from ..model.config import AnyConfig, ModelConfig, RecurrentConfig, StackConfig
from ..runs.sizes import active_parameter_count as active_parameter_count
from ..runs.sizes import parameter_count as parameter_count
from . import (
    bart_like,
    bert,
    bert_like,
    gemma,
    gpt,
    gpt_like,
    llama_like,
    recurrent,
    sparse,
    t5,
    transformer,
    whisper,
)
from .published import OWN, Published, sizes_of

FAMILIES: tuple[Published[AnyConfig], ...] = (
    *transformer.FAMILIES,
    *bert.FAMILIES,
    *bert_like.FAMILIES,
    *gpt.FAMILIES,
    *gpt_like.FAMILIES,
    *llama_like.FAMILIES,
    *gemma.FAMILIES,
    *t5.FAMILIES,
    *bart_like.FAMILIES,
    *whisper.FAMILIES,
    *sparse.FAMILIES,
    *recurrent.FAMILIES,
)
PRESETS: dict[str, AnyConfig] = sizes_of(*FAMILIES)
NEAREST = 5  # presets that an error names

# filled in when the model is built
FROM_TOKENIZER = frozenset({"vocabulary_size", "source_vocabulary_size"})


def preset(name: str) -> AnyConfig:
    """Raises UsageError naming the nearest preset."""
    if name not in PRESETS:
        raise unknown_preset(name)
    return PRESETS[name]


def unknown_preset(name: str, where: str = "") -> UsageError:
    """Return the error for an unknown preset, which names a few of them.

    They are the nearest ones, or else those of Triptych's own sizes.
    """
    near = get_close_matches(name, PRESETS, NEAREST, 0.5)
    own = [one for family in FAMILIES if family.family == OWN for one in family.sizes]
    return UsageError(
        "Unknown preset '{given}'{place}.{hint} Some are {names}; `triptych info` lists all "
        "{count}.",
        given=name,
        place=message(" {where}", where=Message(where)) if where else "",
        hint=message(" Did you mean '{close}'?", close=near[0]) if near else "",
        names=", ".join(near or own),
        count=len(PRESETS),
    )


def published(name: str) -> Published[AnyConfig]:
    """Return the family of a preset."""
    return next(family for family in FAMILIES if name in family.sizes)


def counted(name: str) -> AnyConfig:
    """Return a preset with the vocabulary that it was published with."""
    return dataclasses.replace(PRESETS[name], vocabulary_size=published(name).vocabulary_of(name))


def configure(name: str, dials: Mapping[str, object]) -> AnyConfig:
    """The preset `name` with `dials` changed: {"encoder": {"layers": 4}, "dropout": 0.2,
    "tied_embeddings": False}.

    A dial of a stack given without "encoder" or "decoder" goes to both. Raises UsageError for a
    dial that this kind of model does not have.
    """
    return changed(preset(name), dials, f"preset {name}")


def changed(base: AnyConfig, dials: Mapping[str, object], of: str) -> AnyConfig:
    """`base` with `dials` changed; `of` names it in errors. See `configure`."""
    dials_of_stacks = names(StackConfig)
    if isinstance(base, RecurrentConfig):
        allowed = names(RecurrentConfig)
        _refuse_others(dials, allowed, of)
        found = dataclasses.replace(base, **dials)
        check_instance(found, "model")
        return found
    own = names(ModelConfig) - {"encoder", "decoder"}
    stacks = base.stacks
    _refuse_others(dials, own | dials_of_stacks | set(stacks), of)
    both = {key: value for key, value in dials.items() if key in dials_of_stacks}
    others = {
        side: dataclasses.replace(stack, **{**both, **_table(dials, side)})
        for side, stack in stacks.items()
    }
    for side, stack in others.items():
        check_instance(stack, f"model.{side}")
    kinds = fields_of(ModelConfig)
    found = {key: fitted(dials[key], kinds[key], f"model.{key}") for key in dials if key in own}
    changed_model = dataclasses.replace(base, **others, **found)
    for sentence in changed_model.contradictions("model"):
        raise UsageError(sentence)
    return changed_model


def names(kind: type) -> set[str]:
    """The dials of a configuration that a person may set."""
    return {field.name for field in dataclasses.fields(kind)} - FROM_TOKENIZER


def _table(dials: Mapping[str, object], side: str) -> Mapping[str, object]:
    found = dials.get(side, {})
    assert isinstance(found, Mapping), f"model.{side} must be a table"
    return found


def _refuse_others(dials: Mapping[str, object], allowed: set[str], of: str) -> None:
    for key in dials:
        if key not in allowed:
            raise unknown(
                "recipe key", f"model.{key}", (f"model.{dial}" for dial in allowed), f"for {of}"
            )
