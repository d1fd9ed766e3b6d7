"""Run a template that came with a model: Jinja in its sandbox, with bounds on loops and sizes.

A chat template is code from outside. Jinja's ImmutableSandboxedEnvironment keeps it away from
Python's internals, but lets it loop for ever or build a text of many gigabytes. Here each loop,
call, filter and operator is counted, and every size is checked before it is allocated. What a
template can use is otherwise that of the library transformers.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Any, ClassVar

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

STEPS = 1_000_000  # items of loops, calls, filters and operators of one rendering
SECONDS = 5.0
LONGEST = 1 << 22  # characters of a text; a conversation of more has no context to fit into
BITS = 4096  # of a whole number
WIDEST = 100  # an indentation
COUNTED, JOINED = "counted items", "joined texts"  # filters that no template can name
WIDE_FORMAT, GIVEN_WIDTH = re.compile(r"\d{6,}"), re.compile(r"%[^%]*\*|\{[^}]*:[^}]*\{")
WIDTHS = ("center", "indent", "tojson", "wordwrap", "batch", "slice")


class TooMuch(TemplateError):
    """Stop a template that exceeds a bound."""


class Refused(TemplateError):
    """Carry what a template says about a conversation by `raise_exception`."""


@dataclass(slots=True)
class Budget:
    """Count what one rendering does.

    longest: characters that a text may have.
    """

    longest: int = LONGEST
    left: int = STEPS
    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def spend(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooMuch(f"it takes more than {STEPS:,} steps")
        if time.monotonic() > self.until:
            raise TooMuch(f"it takes more than {SECONDS:g} seconds")

    def fits(self, characters: int) -> None:
        if characters > self.longest:
            raise TooMuch(f"it makes a text of more than {self.longest:,} characters")

    def checked(self, value: Any) -> Any:
        if isinstance(value, str):
            self.fits(len(value))
        elif isinstance(value, (list, tuple, dict)) and len(value) > STEPS:
            raise TooMuch(f"it makes a list of more than {STEPS:,} items")
        elif isinstance(value, int) and value.bit_length() > BITS:
            raise TooMuch(f"it computes a number of more than {BITS:,} bits")
        return value


BUDGET: ContextVar[Budget] = ContextVar("budget")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Compile templates whose loops and texts are bounded by the current `BUDGET`."""

    intercepted_binops = frozenset({"+", "*", "**", "%", "//"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            optimized=False,
            extensions=[loopcontrols, Generation],
        )
        self.filters = {name: _bounded(name, one) for name, one in self.filters.items()}
        self.filters |= {
            "tojson": _bounded("tojson", _to_json), COUNTED: _counted, JOINED: _joined,
        }  # fmt: skip
        del self.globals["lipsum"]
        self.globals |= {"raise_exception": _refuse, "strftime_now": _now}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Counting().visit(super()._parse(source, name, filename))

    @staticmethod
    def concat(parts: Iterable[str]) -> str:  # type: ignore[override]
        return _join(parts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget = BUDGET.get()
        budget.spend()
        if operator == "*":
            _refuse_product(budget, left, right)
        elif operator == "**":
            _refuse_power(left, right)
        elif operator == "%" and isinstance(left, str):
            _refuse_format(left, right if isinstance(right, tuple) else (right,))
        return budget.checked(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        budget = BUDGET.get()
        budget.spend()
        method = getattr(__obj, "__wrapped__", __obj)  # the sandbox wraps str.format
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str):
            _refuse_method(budget, owner, method.__name__, (*args, *kwargs.values()))
        return budget.checked(super().call(__context, __obj, *args, **kwargs))


class Generation(Extension):
    """Read `{% generation %}`, which marks the assistant's words for other libraries."""

    tags: ClassVar[set[str]] = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Counting(NodeTransformer):
    """Put counters around what loops run through, and a bound on texts that `~` joins."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, COUNTED, [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(parts, JOINED, [], [], None, None, lineno=node.lineno)


@pass_context
def _counted(context: Context, items: Any) -> Any:
    budget = BUDGET.get()
    if isinstance(items, Sized):
        budget.spend(1 + len(items))
        return items
    return _one_by_one(items, budget)


def _one_by_one(items: Iterable[Any], budget: Budget) -> Iterator[Any]:
    for one in items:
        budget.spend()
        yield one


@pass_context
def _joined(context: Context, parts: list[Any]) -> str:
    BUDGET.get().spend()
    return _join([str(one) for one in parts])


def _join(parts: Iterable[str], between: str = "") -> str:
    """Join texts after their sum is known to be within the budget."""
    budget, held, size = BUDGET.get(), list[str](), 0
    for one in parts:
        held.append(one)
        size += len(one) + len(between)
        budget.fits(size - len(between))
    return between.join(held)


def _bounded(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that checks its sizes. With a context it is never run while compiling."""
    kind = getattr(original, "jinja_pass_arg", None)

    @pass_context
    @wraps(original, assigned=("__name__", "__doc__"), updated=())
    def run(context: Context, value: Any = "", *args: Any, **kwargs: Any) -> Any:
        budget = BUDGET.get()
        budget.spend()
        given = (*args, *kwargs.values())
        if name in WIDTHS and any(isinstance(one, int) and one > WIDEST for one in given):
            raise TooMuch(f"its filter {name} has a number over {WIDEST}")
        if name == "format":
            _refuse_format(str(value), given)
        elif name in ("replace", "join") and isinstance(value, (str, list, tuple)):
            texts = value if isinstance(value, str) else [str(one) for one in value]
            _refuse_method(budget, *_as_method(name, texts, given))
        first = {
            "context": (context,),
            "eval_context": (context.eval_ctx,),
            "environment": (context.environment,),
        }.get(getattr(kind, "name", ""), ())
        return budget.checked(original(*first, value, *args, **kwargs))

    return run


def _as_method(
    name: str, texts: str | list[str], given: tuple[Any, ...]
) -> tuple[str, str, tuple[Any, ...]]:
    """Return a filter's call as that of the text's method: owner, name, arguments."""
    if name == "join":
        return (str(given[0]) if given else ""), name, (list(texts),)
    return str(texts), name, tuple(str(one) for one in given[:2])


def _refuse_method(budget: Budget, owner: str, name: str, given: tuple[Any, ...]) -> None:
    """Raise TooMuch where a method of a text would make one that is too long."""
    size = max((one for one in given if isinstance(one, int)), default=0)
    if name in ("center", "ljust", "rjust", "zfill"):
        budget.fits(size)
    elif name == "expandtabs":
        budget.fits(len(owner) + size * owner.count("\t"))
    elif name == "replace" and len(given) >= 2:
        found, put = given[:2]
        if isinstance(found, str) and isinstance(put, str):
            budget.fits(len(owner) + owner.count(found) * (len(put) - len(found)))
    elif name == "join" and given and isinstance(given[0], (list, tuple)):
        texts = [one for one in given[0] if isinstance(one, str)]
        budget.fits(sum(map(len, texts)) + len(owner) * len(texts))
    elif name in ("format", "format_map"):
        _refuse_format(owner, given)


def _refuse_format(text: str, given: Iterable[Any]) -> None:
    """Raise TooMuch for a width of six digits in a format, or in what a width is read from."""
    if WIDE_FORMAT.search(text) or (
        GIVEN_WIDTH.search(text)
        and any(isinstance(one, int) and abs(one) > LONGEST for one in given)
    ):
        raise TooMuch("it formats a text of a great width")


def _refuse_product(budget: Budget, left: Any, right: Any) -> None:
    for one, times in ((left, right), (right, left)):
        if isinstance(one, (str, list, tuple)) and isinstance(times, int):
            budget.fits(len(one) * times)


def _refuse_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > BITS:
        raise TooMuch(f"it computes a number of more than {BITS:,} bits")


def _refuse(text: object) -> None:
    raise Refused(str(text))


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Write JSON without escaping characters of HTML, as chat templates expect."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def bounded(run: Callable[[Mapping[str, Any]], str], values: Mapping[str, Any], given: int) -> str:
    """Run a compiled template under a new budget.

    given: characters of its input, which may be long without being the template's fault.
    """
    token = BUDGET.set(Budget(longest=LONGEST + 4 * given))
    try:
        return run(values)
    finally:
        BUDGET.reset(token)


__all__ = ["BoundedEnvironment", "Refused", "SecurityError", "TooMuch", "bounded"]
