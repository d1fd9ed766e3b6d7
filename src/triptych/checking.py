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
from functools import cache, reduce
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, runtime_checkable

from annotated_types import Ge, Gt, Le, Lt, MinLen, Unit

from .errors import UsageError, nearest, unknown
from .messages import Message, message

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
PLAIN = {
    int: message("a whole number"),
    float: message("a number"),
    bool: message("true or false"),
    str: message("a text"),
}
FINITE = message("a finite number")
PLURAL = {
    int: message("whole numbers"),
    float: message("numbers"),
    bool: message("true or false"),
    str: message("texts"),
}


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


def refusal(value: object, annotation: object, key: str, where: str = "") -> Message:
    """Return a sentence that says which value was given and what is allowed."""
    if isinstance(value, dict) and (inner := _refused_entry(value, annotation)) is not None:
        name, kind = inner
        return refusal(value[name], kind, f"{key}.{name}", where)
    choices = [one for part in alternatives(annotation) for one in _choices(part)]
    close = nearest(value, map(str, choices)) if isinstance(value, str) else None
    hint = message(" Did you mean '{close}'?", close=close) if close else ""
    if _is_too_large(value):
        hint = message(" A whole number has at most 64 bits.")
    return message(
        "{key} is {value}{place}; it must be {words}.{hint}",
        key=key,
        value=shown(value),
        place=message(" {where}", where=where) if where else "",
        words=allowed(annotation, not (isinstance(value, float) and not math.isfinite(value))),
        hint=hint,
    )


def _refused_entry(table: Mapping[Any, object], annotation: object) -> tuple[Any, object] | None:
    """Return the key of the first entry of a table that is not allowed, and what is allowed."""
    for part in alternatives(annotation):
        kind, _ = bare(part)
        of_values = typing.get_args(kind)[1] if typing.get_origin(kind) is dict else None
        if bare(of_values)[0] in PLAIN:
            for name, one in table.items():
                try:
                    fitted(one, of_values, "")
                except UsageError:
                    return name, of_values
    return None


def shown(value: object) -> str:
    """Return a value as text, cut where it is long."""
    try:
        text = repr(_of_python(value))
    except ValueError:  # Python writes no number of thousands of digits
        return "a number of thousands of digits"
    except RecursionError:
        return "a list nested too deeply"
    return text if len(text) <= 200 else f"{text[:200]} ..."


def allowed(annotation: object, is_finite: bool = True) -> str:
    """Return what an annotation allows: "a whole number of at least 1 or none".

    is_finite: False says "a finite number", where the value given was not one.
    """
    parts: list[str] = [_allowed(part, is_finite) for part in alternatives(annotation)]
    if any(" that " in part for part in parts):
        return reduce(_or_else, parts)
    return reduce(_either, parts)


def _or_else(one: str, other: str) -> str:
    return message("{one}, or {other}", one=one, other=other)


def _either(one: str, other: str) -> str:
    return message("{one} or {other}", one=one, other=other)


def _allowed(annotation: object, is_finite: bool = True) -> str:
    kind, marks = bare(annotation)
    notes = [one.text for one in marks if isinstance(one, Note)]
    note = f" ({', '.join(notes)})" if notes else ""
    if choices := _choices(kind):
        listed = ", ".join(map(str, choices)) + note
        return message("one of {names}", names=listed) if len(choices) > 1 else listed
    if kind is type(None):
        return message("none")
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict:
        if bare(parts[1])[0] not in PLAIN:
            return message("a table") + note
        each = _allowed(parts[1], is_finite)
        return message("a table, each of whose values is {each}", each=each) + note
    if dataclasses.is_dataclass(kind):
        return message("a table") + note
    if origin is list:
        element, inner = bare(parts[0])
        is_filled = any(isinstance(one, MinLen) for one in inner)
        filled = message(" that are not empty") if is_filled else ""
        return message("a list of {things}", things=_plural(element)) + filled + note
    filled = message(" that is not empty") if any(isinstance(one, MinLen) for one in marks) else ""
    plain = FINITE if kind is float and not is_finite else _worded(PLAIN, kind)
    return plain + filled + _bounds(marks) + note


def _worded(words: Mapping[type, Message], kind: object) -> Message:
    """Return the words for a type, or its name in Python."""
    return words.get(kind) or Message(str(kind))  # type: ignore[call-overload]


def _plural(kind: object) -> str:
    return reduce(_either, (_many(bare(one)[0]) for one in alternatives(kind)))


def _many(kind: object) -> str:
    if typing.get_origin(kind) is list:
        return message("lists of {things}", things=_plural(bare(typing.get_args(kind)[0])[0]))
    return _worded(PLURAL, kind)


def _bounds(marks: Iterable[object]) -> str:
    """Return the bounds of a number in words, with its unit."""
    low = next((one for one in marks if isinstance(one, Ge | Gt)), None)
    high = next((one for one in marks if isinstance(one, Le | Lt)), None)
    unit = next((f" {one.unit}" for one in marks if isinstance(one, Unit)), "")
    below = "" if high is None else _number(high.le if isinstance(high, Le) else high.lt)
    if isinstance(low, Ge):
        least = _number(low.ge)
        if high is None:
            singular = unit.removesuffix("s") if low.ge == 1 else unit
            return message(" of at least {least}{unit}", least=least, unit=singular)
        if isinstance(high, Lt):
            return message(
                " from {least} to below {most}{unit}", least=least, most=below, unit=unit
            )
        return message(" from {least} to {most}{unit}", least=least, most=below, unit=unit)
    found: list[Message] = []
    if low is not None:
        found.append(message(" above {least}", least=_number(low.gt)))
    if high is not None and isinstance(high, Lt):
        found.append(message(" below {most}", most=below))
    elif high is not None:
        found.append(message(" at most {most}", most=below))
    if not found:
        return message(" of{unit}", unit=unit) if unit else ""
    return (
        reduce(lambda one, other: message("{one} and{other}", one=one, other=other), found) + unit
    )


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
