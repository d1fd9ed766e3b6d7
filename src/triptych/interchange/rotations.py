"""Read and write the rotations of a config.json: their base, their share, their scaling.

Files of transformers 5 hold them in `rope_parameters`; older ones in `rope_theta`, `rope_scaling`
and `partial_rotary_factor`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import brief
from ..model.config import StackConfig
from ..model.rotary_scaling import KEYS, LARGEST, ORIGINAL, scaling_problem

PARAMETERS, SCALING, SHARE, BASE = (
    "rope_parameters",
    "rope_scaling",
    "partial_rotary_factor",
    "rope_theta",
)
OTHER_NAMES = {"su": "longrope"}  # of rope_type, in older files
DYNAMIC = "dynamic"
SCALINGS = tuple(KEYS)
Own = dict[str, object]


def table_of(values: Mapping[str, object], problems: list[str]) -> tuple[str, Own]:
    """Return the table of the rotations with its key; `rope_scaling` counts first, as there.

    A base or a share that the table lacks is added from the keys beside it.
    """
    tables: dict[str, Own] = {}
    for key in (PARAMETERS, SCALING):
        given = values.get(key) or {}
        if not isinstance(given, dict):
            problems.append(f"{key} is {brief(repr(given))}, not a table")
            given = {}
        tables[key] = {name: one for name, one in given.items() if one is not None}
    key = SCALING if tables[SCALING] else PARAMETERS
    beside = {one: values[one] for one in (BASE, SHARE) if values.get(one) is not None}
    if key == SCALING:
        beside = {**tables[PARAMETERS], **beside}
    return key, {**{one: beside[one] for one in (BASE, SHARE) if one in beside}, **tables[key]}


def read_scaling(
    table: Mapping[str, object], values: Mapping[str, object], key: str, problems: list[str]
) -> Own | None:
    """Return `rotary_scaling` from a table of rotations, or None; add what is wrong.

    values: the config.json, with max_position_embeddings. key: the table's, for the problems.
    """
    kind = table.get("rope_type", table.get("type", "default"))
    if kind == "default":
        return None
    kind = OTHER_NAMES.get(kind, kind) if isinstance(kind, str) else kind
    outside = ("type", "rope_type", BASE, SHARE)
    found: Own = {"rope_type": kind}
    found |= {name: one for name, one in table.items() if name not in outside}
    longest, beside = values.get("max_position_embeddings"), values.get(ORIGINAL)
    if kind == DYNAMIC:
        found[ORIGINAL] = longest
    elif kind == "linear":
        found.pop(ORIGINAL, None)
    elif beside is not None:
        found[ORIGINAL] = beside
    else:
        found.setdefault(ORIGINAL, longest)
    original = found.get(ORIGINAL)
    if (
        kind in ("yarn", "longrope")
        and "factor" not in found
        and type(longest) is int
        and type(original) is int
        and 0 < original < longest
    ):
        found["factor"] = longest / original
    base = table.get(BASE)
    known = float(base) if isinstance(base, int | float) and abs(base) < LARGEST else 1e4
    problem = scaling_problem(found, _rotary_width(table, values), known)
    if problem is not None:
        problems.append(problem.replace("rotary_scaling", key))
        return None
    return found


def longest_of(scaling: Any, read: object) -> object:
    """Return how many tokens a model reads: dynamic scaling reaches past max_position_embeddings.

    read: max_position_embeddings, checked elsewhere.
    """
    if scaling is None or scaling["rope_type"] != DYNAMIC or type(read) is not int:
        return read
    return min(max(read, int(read * scaling["factor"])), 1 << 31)


def _rotary_width(table: Mapping[str, object], values: Mapping[str, object]) -> int:
    """Return how many columns of a head are rotated; 0 if the sizes are wrong, which others say."""
    given, width, heads, share = (
        *(values.get(key) for key in ("head_dim", "hidden_size", "num_attention_heads")),
        table.get(SHARE, 1.0),
    )
    if given is None and type(width) is int and type(heads) is int and heads > 0:
        given = width // heads
    if type(given) is not int or type(share) not in (int, float):
        return 0
    return int(given * float(share)) if abs(given) < 1 << 31 else 0  # type: ignore[arg-type]


def read_share(table: Mapping[str, object], key: str, problems: list[str]) -> float:
    """Return `rotary_share` from a table of rotations."""
    share = table.get(SHARE, 1.0)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        problems.append(f"{key}.{SHARE} is {brief(repr(share))}, not above 0 and up to 1")
        return 1.0
    return float(share)


def written_rotations(stack: StackConfig) -> Own:
    """Return the table of a stack's rotations, as transformers 5 has it."""
    scaling = dict(stack.rotary_scaling or {"rope_type": "default"})
    if scaling["rope_type"] == DYNAMIC:
        del scaling[ORIGINAL]  # it is max_position_embeddings
    share = {SHARE: stack.rotary_share} if stack.rotary_share != 1.0 else {}
    return {BASE: stack.rotary_base, **share, **scaling}


def written_longest(stack: StackConfig, longest: int) -> int:
    """Return max_position_embeddings: what dynamic scaling counts from, else what is read."""
    scaling = stack.rotary_scaling or {}
    original = scaling.get(ORIGINAL)
    if scaling.get("rope_type") == DYNAMIC and isinstance(original, int):
        return original
    return max(longest, stack.max_positions)
