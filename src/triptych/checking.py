"""Check tables of a recipe and options of tasks against dataclass annotations.

A dataclass gives types and bounds in its annotations, pydantic compares, and one sentence refuses
what does not fit.

    beams: Annotated[int, Ge(1)] = 1
    -> decoding.beams is 0; it must be a whole number of at least 1.

A dataclass with a method `contradictions(table)` also yields sentences for values that contradict
each other. pydantic is loaded at the first check, so importing a dataclass takes no time.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, runtime_checkable

from annotated_types import Ge, Gt, Le, Lt, MinLen, Unit

from .errors import UsageError, nearest, unknown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Kind = TypeVar("Kind")

# Many tables share these types. A number is always finite.
Count = Annotated[int, Ge(1)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
Probability = Annotated[float, Ge(0), Lt(1)]  # below 1, like dropout
TOKENS = Unit("tokens")

LARGEST = 2**63 - 1  # the largest whole number in TOML
PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
PLURAL = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}


@dataclasses.dataclass(frozen=True)
class Note:
    """Explain a bound or a special value, shown in brackets where a value is refused."""

    text: str


@runtime_checkable
class Contradictory(Protocol):
    """Describe a dataclass some of whose values can contradict each other."""

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for each contradiction, keys named as `table`.KEY."""
        ...


# Checking -----------------------------------------------------------------------------------------


def check(
    kind: type[Kind], values: Mapping[str, object], table: str, beside: Sequence[str] = ()
) -> Kind:
    """Build a dataclass from values that its annotations allow.

    Args:
        kind: The dataclass; a field without a value has its default.
        values: Key to value, from TOML or a program.
        table: The table's name, "decoding" for "decoding.beams".
        beside: Other keys of the table, suggested where a key is unknown.

    Raises:
        UsageError: For an unknown key, a value of a wrong type or out of bounds, a
            contradiction.
    """
    known = fields_of(kind)
    for name in values:
        if name not in known:
            raise unknown(
                "recipe key", f"{table}.{name}", (f"{table}.{one}" for one in (*beside, *known))
            )
    fitting = {
        name: fitted(value, known[name], f"{table}.{name}") for name, value in values.items()
    }
    found = kind(**fitting)
    if isinstance(found, Contradictory):
        for sentence in found.contradictions(table):
            raise UsageError(sentence)
    return found


def check_instance(instance: object, table: str) -> None:
    """Raise UsageError as `check` does, for a dataclass built by a program."""
    kind = type(instance)
    check(kind, {name: getattr(instance, name) for name in fields_of(kind)}, table)


@cache
def fields_of(kind: type) -> dict[str, object]:
    """Return field -> annotation of a dataclass, with the bounds."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {one.name: hints[one.name] for one in dataclasses.fields(kind)}  # type: ignore[arg-type]


def fitted(
    value: object,
    annotation: object,
    key: str,
    where: str = "",
    readings: Iterable[object] | None = None,
) -> object:
    """Return a value that an annotation allows.

    Args:
        value: The value as given.
        annotation: A type with its bounds.
        key: The value's name, like "decoding.beams".
        where: The place of the value, like "in my.toml".
        readings: Possible meanings of the value; the first that fits counts. None: only itself.

    Raises:
        UsageError: Naming key, value and what is allowed, where no reading fits.
    """
    from pydantic import ValidationError

    adapter = _adapter(annotation)
    for reading in map(_of_python, (value,) if readings is None else readings):
        # pydantic accepts False for the choice 0.
        if _is_too_large(reading) or (isinstance(reading, bool) and not _holds(annotation, bool)):
            continue
        try:
            return adapter.validate_python(reading)
        except ValidationError:
            continue
    raise UsageError(refusal(value, annotation, key, where))


@cache
def _adapter(annotation: object) -> TypeAdapter[object]:
    """Return the validator of an annotation, kept because building it is slower than a check."""
    from pydantic import ConfigDict, TypeAdapter

    kind: Any = annotation  # before Python 3.15 no type describes such an annotation
    return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False))


def _of_python(value: object) -> object:
    """Return numpy's numbers as Python's and a tuple as a list: a program may give either."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _is_too_large(value: object) -> bool:
    """Tell whether a value is, or lists, a whole number of over 64 bits, too large for TOML."""
    pending = [value]
    while pending:  # a list may be nested deeper than Python calls
        one = pending.pop()
        if isinstance(one, list):
            pending += one
        elif isinstance(one, int) and not -LARGEST - 1 <= one <= LARGEST:
            return True
    return False


# Sentences ----------------------------------------------------------------------------------------


def refusal(value: object, annotation: object, key: str, where: str = "") -> str:
    """Return a sentence that says which value was given and what is allowed."""
    place = f" {where}" if where else ""
    choices = [one for part in alternatives(annotation) for one in _choices(part)]
    close = nearest(value, map(str, choices)) if isinstance(value, str) else None
    hint = f" Did you mean '{close}'?" if close else ""
    words = allowed(annotation)
    if isinstance(value, float) and not math.isfinite(value):
        words = words.replace("a number", "a finite number")
    if _is_too_large(value):
        hint = " A whole number has at most 64 bits."
    return f"{key} is {shown(value)}{place}; it must be {words}.{hint}"


def shown(value: object) -> str:
    """Return a value as text, cut where it is long."""
    try:
        text = repr(_of_python(value))
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"
    except RecursionError:
        return "a list nested too deeply"
    return text if len(text) <= 200 else f"{text[:200]} ..."


def allowed(annotation: object) -> str:
    """Return what an annotation allows: "a whole number of at least 1 or none"."""
    parts = [_allowed(part) for part in alternatives(annotation)]
    return (", or " if any(" that " in part for part in parts) else " or ").join(parts)


def _allowed(annotation: object) -> str:
    kind, marks = bare(annotation)
    notes = [one.text for one in marks if isinstance(one, Note)]
    note = f" ({', '.join(notes)})" if notes else ""
    if choices := _choices(kind):
        return ("one of " if len(choices) > 1 else "") + ", ".join(map(str, choices)) + note
    if kind is type(None):
        return "none"
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict or dataclasses.is_dataclass(kind):
        return f"a table{note}"
    if origin is list:
        element, inner = bare(parts[0])
        filled = " that are not empty" if any(isinstance(one, MinLen) for one in inner) else ""
        return f"a list of {_plural(element)}{filled}{note}"
    filled = " that is not empty" if any(isinstance(one, MinLen) for one in marks) else ""
    return PLAIN.get(kind, str(kind)) + filled + _bounds(marks) + note  # type: ignore[call-overload]


def _plural(kind: object) -> str:
    return " or ".join(
        PLURAL.get(part, str(part))  # type: ignore[call-overload]
        for part in map(lambda one: bare(one)[0], alternatives(kind))
    )


def _bounds(marks: Iterable[object]) -> str:
    """Return the bounds of a number in words, with its unit."""
    low = next((one for one in marks if isinstance(one, Ge | Gt)), None)
    high = next((one for one in marks if isinstance(one, Le | Lt)), None)
    unit = next((f" {one.unit}" for one in marks if isinstance(one, Unit)), "")
    below = "" if high is None else _number(high.le if isinstance(high, Le) else high.lt)
    if isinstance(low, Ge):
        least = _number(low.ge)
        if high is None:
            return f" of at least {least}{unit.removesuffix('s') if low.ge == 1 else unit}"
        return f" from {least} to {'below ' if isinstance(high, Lt) else ''}{below}{unit}"
    most = "" if high is None else f"{'below' if isinstance(high, Lt) else 'at most'} {below}"
    least = "" if low is None else f"above {_number(low.gt)}"
    both = " and ".join(one for one in (least, most) if one)
    return f" {both}{unit}" if both else f" of{unit}" if unit else ""


def _number(value: object) -> str:
    return "2^63 - 1" if value == LARGEST else str(value)


# Annotations --------------------------------------------------------------------------------------


def bare(annotation: object) -> tuple[object, tuple[object, ...]]:
    """Return a type without its marks, and the marks."""
    if typing.get_origin(annotation) is Annotated:
        kind, *marks = typing.get_args(annotation)
        return kind, tuple(marks)
    return annotation, ()


def alternatives(annotation: object) -> list[object]:
    """Return the parts of a union, each with its marks; a note on the whole goes to the first."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return list(typing.get_args(annotation))
    return [annotation]


def _choices(annotation: object) -> tuple[object, ...]:
    kind, _ = bare(annotation)
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def _holds(annotation: object, kind: type) -> bool:
    """Tell whether one of the alternatives is a type."""
    return any(bare(part)[0] is kind for part in alternatives(annotation))
