"""Every key of every table and of every task's options refuses what its annotation does not allow.

The cases are made from the annotations, so a new field is covered by itself.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from annotated_types import Ge, Gt, Le, Lt, MinLen

from triptych.checking import LARGEST, TOKENS, Count, Note, allowed, check, fields_of, shown
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig
from triptych.recipe.schema import TABLES, Recipe, key_types, nested
from triptych.tasks.options import OPTIONS
from triptych.tasks.specs import SPECS, build_task

Pair = Annotated[int, Ge(2), TOKENS]
KINDS: dict[type, str] = {
    **{kind: table for table, kind in TABLES.items()},
    **dict.fromkeys((StackConfig, ModelConfig, RecurrentConfig), "model"),
    **dict.fromkeys(OPTIONS.values(), "task"),
}
FIELDS = [(kind, name) for kind in KINDS for name in fields_of(kind)]


def alternatives(annotation: Any) -> list[tuple[Any, tuple[Any, ...]]]:
    """Return the types of an annotation, each with its bounds."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return [one for part in typing.get_args(annotation) for one in alternatives(part)]
    if typing.get_origin(annotation) is Annotated:
        kind, *bounds = typing.get_args(annotation)
        return [(one, (*inner, *bounds)) for one, inner in alternatives(kind)]
    return [(annotation, ())]


def out_of_bounds(annotation: Any) -> Iterator[Any]:
    """Yield a value just outside of each bound."""
    for kind, bounds in alternatives(annotation):
        step = 1 if kind is int else 0.5
        for bound in bounds:
            if isinstance(bound, Ge):
                yield bound.ge - step  # type: ignore[operator]
            elif isinstance(bound, Gt):
                yield bound.gt
            elif isinstance(bound, Le):
                yield bound.le + step  # type: ignore[operator]
            elif isinstance(bound, Lt):
                yield bound.lt
        if typing.get_origin(kind) is list:
            (inside,) = typing.get_args(kind)
            yield from ([one] for one in out_of_bounds(inside))
            if any(isinstance(one, MinLen) for _, marks in alternatives(inside) for one in marks):
                yield [""]


def wrong_values(annotation: Any) -> Iterator[Any]:
    """Yield values that no annotation like this allows."""
    kinds = [kind for kind, _ in alternatives(annotation)]
    plain = {typing.get_origin(kind) or kind for kind in kinds}
    yield from (math.nan, math.inf, -math.inf, LARGEST + 1, [{}])
    yield from [True, False] * (bool not in plain)
    yield from ["no such choice"] * (str not in plain)
    yield from [2.5] * (float not in plain)
    yield from [3] * (not plain & {int, float})
    yield from [{}] * (dict not in plain)
    yield from [None] * (type(None) not in plain)
    yield from out_of_bounds(annotation)


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{k.__name__}-{n}" for k, n in FIELDS])
def test_what_a_key_does_not_allow_is_refused(kind: type, name: str) -> None:
    values = list(wrong_values(fields_of(kind)[name]))
    assert len(values) > 5
    for value in values:
        with pytest.raises(UsageError) as refused:
            check(kind, {name: value}, KINDS[kind])
            pytest.fail(f"{name} takes {shown(value)}")
        said = str(refused.value)
        assert said.startswith(f"{KINDS[kind]}.{name} is {shown(value)}; it must be ")
        assert "<class" not in said and "typing" not in said and "Annotated" not in said


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{k.__name__}-{n}" for k, n in FIELDS])
def test_a_default_is_allowed_and_a_misspelt_key_is_not(kind: type, name: str) -> None:
    check(kind, {name: getattr(kind(), name)} | END.get(KINDS[kind], {}), KINDS[kind])
    table = KINDS[kind]
    with pytest.raises(UsageError, match=rf"Unknown recipe key '{table}\.{name}z'.*Did you mean"):
        check(kind, {f"{name}z": 1}, table)


END: dict[str, dict[str, Any]] = {"training": {"steps": 1}}  # a run has one


def leaves(tree: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, wanted in tree.items():
        if isinstance(wanted, dict):
            yield from leaves(wanted, f"{path}{key}.")
        else:
            yield f"{path}{key}", wanted


@pytest.mark.parametrize("task", OPTIONS)
def test_recipes_and_flags_refuse_what_is_out_of_bounds(task: str) -> None:
    count = 0
    for key, wanted in leaves(key_types(task), ""):
        for value in (one for one in out_of_bounds(wanted) if isinstance(one, int | float)):
            text = f"{key} is {value} on the command line; it must be {allowed(wanted)}"
            with pytest.raises(UsageError) as refused:
                nested({key: str(value)}, task=task)
            assert str(refused.value).startswith(text)
            with pytest.raises(UsageError) as refused:
                Recipe.parse(f'task.name = "{task}"\n{key} = {value}', place="my.toml")
            assert str(refused.value).startswith(f"{key} is {value} in my.toml; it must be ")
            count += 1
    assert count > 60


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Count, "a whole number of at least 1"),
        (Annotated[int, Ge(1), TOKENS], "a whole number of at least 1 token"),
        (Pair | None, "a whole number of at least 2 tokens or none"),
        (Annotated[int, Ge(1), Le(9)], "a whole number from 1 to 9"),
        (Annotated[float, Ge(0), Lt(1)], "a number from 0 to below 1"),
        (Annotated[float, Gt(0), Le(1)], "a number above 0 and at most 1"),
        (Annotated[float, Lt(1)], "a number below 1"),
        (Annotated[float, Gt(0), Note("like 0.1")], "a number above 0 (like 0.1)"),
        (Annotated[Literal[0], Note("off")] | Count, "0 (off) or a whole number of at least 1"),
        (Literal["a", "b"] | None, "one of a, b or none"),
        (str | list[str], "a text or a list of texts"),
        (list[Annotated[str, MinLen(1)]] | None, "a list of texts that are not empty, or none"),
        (dict[str, str | int], "a table"),
        (bool, "true or false"),
    ],
)
def test_what_is_allowed_is_said_in_words(annotation: Any, words: str) -> None:
    assert allowed(annotation) == words


def test_every_task_has_its_options() -> None:
    assert set(OPTIONS) == set(SPECS)
    for name, kind in OPTIONS.items():
        # these are saved only where they are given, so that earlier runs stay the same
        newer = ("class_weights", "activation", "head_layer", "out_of_scope", "in_scope_kept")
        saved = [one for one in fields_of(kind) if one not in newer]
        assert list(build_task(name, {}).options) == saved


@dataclass(frozen=True, kw_only=True)
class Toy:
    """Two numbers, the first below the second."""

    low: int = 0
    high: float = 1.0
    names: list[str] | None = None

    def contradictions(self, table: str) -> Iterator[str]:
        if self.low >= self.high:
            yield f"{table}.low is {self.low}, not below {table}.high {self.high}."


def test_values_of_programs_are_read_as_pythons() -> None:
    found = check(Toy, {"low": np.int64(2), "high": np.float32(2.5), "names": ("a",)}, "toy")
    assert found == Toy(low=2, high=2.5, names=["a"])
    assert type(found.low) is int and type(found.high) is float
    assert type(check(Toy, {"high": 3}, "toy").high) is float


def test_values_that_cannot_stand_together_are_refused() -> None:
    with pytest.raises(UsageError, match=r"toy\.low is 2, not below toy\.high 1\.0\."):
        check(Toy, {"low": 2}, "toy")


def test_a_value_nested_deeply_is_refused() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UsageError, match="beams is a list nested too deeply; it must be a whole"):
        check(DecodingSettings, {"beams": deep}, "decoding")


def test_a_long_value_is_cut_and_a_number_too_large_is_told() -> None:
    with pytest.raises(UsageError, match=r"toy\.low is 'x{199} \.\.\.; it must be"):
        check(Toy, {"low": "x" * 5000}, "toy")
    with pytest.raises(UsageError, match="has at most 64 bits"):
        check(Toy, {"low": 1 << 64}, "toy")
    with pytest.raises(UsageError, match="a number of thousands of digits"):
        check(Toy, {"high": 10**5000}, "toy")
