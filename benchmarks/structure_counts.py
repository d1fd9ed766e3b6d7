"""Count what the source of a package says about its structure; each function states its rule."""

from __future__ import annotations

import ast
import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from import_graph import KINDS, ImportGraph, import_calls, last_name, parsed, walked

LONGEST_FILE, LONGEST_FUNCTION, LONGEST_FORWARD, LONGEST_LINE = 400, 60, 40, 100
CORE = (
    "config",
    "transformer",
    "block",
    "attention",
    "feed_forward",
    "embeddings",
    "positions",
    "layout",
    "masks",
)
OPTION_ROOMS = ("tasks", "decoding", "training", "presets")
MAPPINGS = ("Mapping", "dict")
WINDOW = 6
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Counts:
    """Collect one section of the table: values by label, and places for the JSON file."""

    rows: dict[str, float | int | str | None] = field(default_factory=dict)
    details: dict[str, object] = field(default_factory=dict)


@dataclass
class Source:
    """Hold one file of the package with its text and tree."""

    name: str  # The path relative to the package, with slashes.
    text: str

    @property
    def room(self) -> str:
        """Return the top-level package that the file belongs to, or its own name without `.py`."""
        return self.name.split("/")[0].removesuffix(".py")

    @property
    def lines(self) -> int:
        """Return the number of lines."""
        return len(self.text.removesuffix("\n").split("\n")) if self.text else 0

    @cached_property
    def tree(self) -> ast.Module:
        """Return the parsed text."""
        return parsed(self.text)

    def functions(self) -> Iterator[tuple[Function, int]]:
        """Yield every function and method with its number of lines, decorators left out."""
        for node in walked(self.tree):
            if isinstance(node, Function):
                yield node, (node.end_lineno or node.lineno) - node.lineno + 1


def read(root: Path) -> list[Source]:
    """Read every Python file below the package's folder."""
    return [
        Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.py"))
    ]


def sizes(sources: list[Source]) -> Counts:
    """Count files and lines for each room, and what is longer than the rules of the house allow."""
    files, lines = Counter(one.room for one in sources), Counter[str]()
    functions, forwards = list[str](), list[str]()
    for one in sources:
        lines[one.room] += one.lines
        for node, length in one.functions():
            where = f"{one.name}:{node.lineno} {node.name} ({length} lines)"
            if length > LONGEST_FUNCTION:
                functions.append(where)
            if one.room == "model" and node.name == "forward" and length > LONGEST_FORWARD:
                forwards.append(where)
    long_files = [f"{one.name} ({one.lines} lines)" for one in sources if one.lines > LONGEST_FILE]
    wide = Counter[str]()
    for one in sources:
        wide[one.name] += sum(len(line) > LONGEST_LINE for line in one.text.split("\n"))
    core = {name: one.lines for name in CORE for one in sources if one.name == f"model/{name}.py"}
    counts = Counts({"files": len(sources), "lines": sum(lines.values())})
    for room in sorted(lines, key=lambda name: -lines[name]):
        counts.rows[f"files in {room}"] = files[room]
        counts.rows[f"lines in {room}"] = lines[room]
    counts.rows |= {
        f"files over {LONGEST_FILE} lines": len(long_files),
        f"functions over {LONGEST_FUNCTION} lines": len(functions),
        f"forwards over {LONGEST_FORWARD} lines in model/": len(forwards),
        f"lines over {LONGEST_LINE} characters": wide.total(),
        "lines of the core path": sum(core.values()),
        "files of the core path": len(core),
    }
    counts.details = {
        "long files": long_files,
        "long functions": functions,
        "long forwards": forwards,
        "lines over 100 characters": {name: number for name, number in wide.items() if number},
        "core path": core,
    }
    return counts


def imports(root: Path) -> Counts:
    """Count import edges by kind and the circles; `import_graph` says what an edge is.

    Edges are distinct pairs of modules. A pair counts as lazy only where it has no module-level
    import, and as string only where it has neither.
    """
    graph = ImportGraph(root)
    pairs = {kind: graph.pairs([kind]) for kind in KINDS}
    circles = {
        "module-level imports only": graph.circles(["module"]),
        "lazy imports too": graph.circles(["module", "lazy"]),
        "lazy imports and strings": graph.circles(),
    }
    computed = [
        f"{graph.files[name].relative_to(graph.root).as_posix()}:{call.lineno}"
        for name, tree in graph.trees.items()
        for call in import_calls(tree)
        if call.args and not isinstance(call.args[0], ast.Constant)
    ]
    rows: dict[str, float | int | str | None] = {
        "import edges, module-level": len(pairs["module"]),
        "import edges, lazy only": len(pairs["lazy"] - pairs["module"]),
        "import edges, string only": len(pairs["string"] - pairs["lazy"] - pairs["module"]),
        "import_module calls with a computed name": len(computed),
    }
    for label, found in circles.items():
        rows[f"circles, {label}"] = len(found)
        rows[f"modules in circles, {label}"] = sum(map(len, found))
    return Counts(rows, {"circles": circles, "import_module calls with a computed name": computed})


# Checks, annotations, repetition ----------------------------------------------------------------


def is_bool_test(node: ast.AST) -> bool:
    """Tell whether a node is `isinstance(x, bool)`, alone or with other types."""
    if not isinstance(node, ast.Call) or last_name(node.func) != "isinstance":
        return False
    return any(
        isinstance(x, ast.Name) and x.id == "bool" for one in node.args[1:] for x in ast.walk(one)
    )


def is_hand_check(function: Function) -> bool:
    """Tell whether a function checks options by hand.

    It raises UsageError, ValueError, TypeError or what `unknown(...)` returns, and one of these
    holds: a word of its name is check or checked; it is named build or __post_init__; a decorator
    ends in _validator; it tests `isinstance(x, bool)`; its first parameter is named options,
    chosen or dials and annotated as a mapping, as untyped options are. All its lines count.
    """
    raised = {
        last_name(node.exc.func)
        for node in ast.walk(function)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    }
    if not raised & {"UsageError", "ValueError", "TypeError", "unknown"}:
        return False
    first = next(iter(function.args.args), None)
    kind = "" if first is None or first.annotation is None else ast.unparse(first.annotation)
    decorators = [x.func if isinstance(x, ast.Call) else x for x in function.decorator_list]
    return bool(
        {"check", "checked"} & set(function.name.split("_"))
        or function.name in ("build", "__post_init__")
        or any(last_name(one).endswith("_validator") for one in decorators)
        or (first and first.arg in ("options", "chosen", "dials") and kind.startswith(MAPPINGS))
        or any(is_bool_test(node) for node in ast.walk(function))
    )


def hand_checks(sources: list[Source]) -> Counts:
    """Count functions that check options by hand, in the rooms that have options and elsewhere."""
    lines, number, tests = Counter[str](), Counter[str](), Counter[str]()
    places: list[str] = []
    for one in sources:
        tests[one.room] += sum(map(is_bool_test, walked(one.tree)))
        for node, length in one.functions():
            if is_hand_check(node):
                lines[one.room] += length
                number[one.room] += 1
                places.append(f"{one.name}:{node.lineno} {node.name} ({length} lines)")
    rooms = ", ".join(OPTION_ROOMS)
    rows: dict[str, float | int | str | None] = {
        f"hand-written check lines ({rooms})": sum(lines[room] for room in OPTION_ROOMS),
        f"hand-written check functions ({rooms})": sum(number[room] for room in OPTION_ROOMS),
    }
    for room in OPTION_ROOMS:
        rows[f"hand-written check lines in {room}"] = lines[room]
    rows["hand-written check lines elsewhere"] = sum(
        value for room, value in lines.items() if room not in OPTION_ROOMS
    )
    rows["isinstance(.., bool) in tasks"] = tests["tasks"]
    rows["isinstance(.., bool) everywhere"] = tests.total()
    by_room = {room: [number[room], value] for room, value in lines.items()}
    return Counts(rows, {"hand checks": places, "functions and lines by room": by_room})


def loose_types(sources: list[Source]) -> Counts:
    """Count `Any` in annotations, `Any` elsewhere, and look-ups of config fields by `getattr`.

    An annotation is that of a parameter, a return value or a variable; quoted ones are parsed.
    `Any` elsewhere stands in type aliases and casts. A look-up is `getattr(x, ...)` where the last
    identifier of x is config, or x is a call that ends in .config(...) or getattr(.., "config").
    """
    inside, outside, asked = Counter[str](), Counter[str](), Counter[str]()
    for one in sources:
        counted: set[ast.AST] = set()
        for node in walked(one.tree):
            given = [getattr(node, name, None) for name in ("annotation", "returns")]
            for annotation in (x for x in given if isinstance(x, ast.expr)):
                parts = [x for inner in ast.walk(annotation) for x in _with_quoted(inner)]
                found = {x for x in parts if last_name(x) == "Any"}
                inside[one.name] += len(found)
                counted |= found
        every = [node for node in walked(one.tree) if last_name(node) == "Any"]
        outside[one.name] += len([node for node in every if node not in counted])
        asked[one.name] += sum(map(_asks_config, walked(one.tree)))
    rows: dict[str, float | int | str | None] = {
        "Any in annotations": inside.total(),
        "Any elsewhere (aliases, casts)": outside.total(),
        "getattr(config, ...)": asked.total(),
        "files with getattr(config, ...)": sum(value > 0 for value in asked.values()),
    }
    details = {"Any in annotations": inside, "getattr(config, ...)": asked}
    return Counts(rows, {k: {n: x for n, x in v.items() if x} for k, v in details.items()})


def _with_quoted(node: ast.AST) -> list[ast.AST]:
    """Return the node and, where it is a quoted expression, all nodes of that."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        with contextlib.suppress(SyntaxError):
            return [node, *ast.walk(ast.parse(node.value, mode="eval"))]
    return [node]


def _asks_config(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or last_name(node.func) != "getattr" or len(node.args) < 2:
        return False
    owner = node.args[0]
    if isinstance(owner, ast.Call):
        named = len(owner.args) > 1 and ast.unparse(owner.args[1]) == "'config'"
        return last_name(owner.func) == "config" or (last_name(owner.func) == "getattr" and named)
    return last_name(owner) == "config"


def repetition(sources: list[Source], window: int = WINDOW) -> Counts:
    """Measure the share of lines that stand in a window of lines that occurs twice.

    Lines are normalised: white space is folded; blank lines, comment lines, imports and lines
    without a letter or digit are left out. Two occurrences of a window may not overlap.
    """
    kept: dict[str, list[tuple[int, str]]] = {}
    windows: defaultdict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for one in sources:
        imported = {
            line
            for node in walked(one.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        lines = enumerate((" ".join(line.split()) for line in one.text.split("\n")), 1)
        kept[one.name] = [
            (number, line)
            for number, line in lines
            if number not in imported and not line.startswith("#") and re.search(r"\w", line)
        ]
        bare = [line for _, line in kept[one.name]]
        for start in range(len(bare) - window + 1):
            windows[tuple(bare[start : start + window])].append((one.name, start))
    repeated: set[tuple[str, int]] = set()
    for places in windows.values():
        for name, start in places:
            if any(other != name or abs(begin - start) >= window for other, begin in places):
                repeated |= {(name, start + step) for step in range(window)}
    total = sum(map(len, kept.values()))
    share = round(100 * len(repeated) / total, 2) if total else 0.0
    rows: dict[str, float | int | str | None] = {
        f"repeated lines (windows of {window})": len(repeated),
        "repeated lines, % of the lines that count": share,
    }
    found = Counter(name for name, _ in repeated)
    return Counts(rows, {"repeated lines": dict(found.most_common())})
