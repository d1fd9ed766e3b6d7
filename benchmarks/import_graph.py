"""Read the import graph of a package from its source: edges of three kinds, and circles.

An edge of kind "module" is an import that runs when the importing module is loaded. An edge of kind
"lazy" is an import inside a function. An edge of kind "string" is a module named in a string:

- "module:function", where the module exists and defines the function;
- a string that begins with the package's name and a dot and names an existing module;
- in a file that calls `import_module`, a string that begins with a dot and names an existing
  module, or one that names a module beside the file and either is an element or a value of a
  module-level list, tuple, set or dictionary, or is the keyword `module` of a call there.

Imports under `if TYPE_CHECKING` are left out, and so are edges from a module to itself. An import
of `package.part.module` counts for that module, not for the `__init__` files that Python runs
first; `from package import name` counts for the `__init__` only where `name` is not a module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

KINDS = ("module", "lazy", "string")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
PLACE = re.compile(r"(\.*[A-Za-z_][\w.]*):([A-Za-z_]\w*)")


@dataclass(frozen=True, order=True)
class Edge:
    """Describe one import: who imports whom, of which kind, and on which line."""

    importer: str
    imported: str
    kind: str
    line: int


class ImportGraph:
    """Hold the modules of a package and the edges among them."""

    def __init__(self, root: Path) -> None:
        """Parse every file below a package.

        Args:
            root: The package's folder, which also gives the package its name.
        """
        self.root = root.resolve()
        self.package = self.root.name
        self.files = {self._name(path): path for path in sorted(self.root.rglob("*.py"))}
        self.trees = {
            name: parsed(path.read_text(encoding="utf-8")) for name, path in self.files.items()
        }
        self.edges = sorted({edge for name in self.files for edge in self._edges_of(name)})

    def pairs(self, kinds: Iterable[str] = KINDS) -> set[tuple[str, str]]:
        """Return the pairs (importer, imported) that have an edge of one of `kinds`."""
        wanted = set(kinds)
        return {(edge.importer, edge.imported) for edge in self.edges if edge.kind in wanted}

    def circles(self, kinds: Iterable[str] = KINDS) -> list[list[str]]:
        """Return the strongly connected components of two or more modules, the largest first."""
        found = [sorted(part) for part in _components(self.files, self.pairs(kinds))]
        return sorted(
            (part for part in found if len(part) > 1), key=lambda part: (-len(part), part)
        )

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join((self.package, *(parts[:-1] if parts[-1] == "__init__" else parts)))

    def _folder(self, module: str) -> str:
        """Return the package from which a module's relative imports are resolved."""
        is_package = self.files[module].name == "__init__.py"
        return module if is_package else module.rpartition(".")[0]

    def _edges_of(self, module: str) -> Iterator[Edge]:
        statements = list(_imports(self.trees[module]))
        for node, kind in statements:
            for imported in self._targets(module, node):
                if imported != module:
                    yield Edge(module, imported, kind, node.lineno)
        for imported, line in self._named_in_strings(module):
            if imported != module:
                yield Edge(module, imported, "string", line)

    def _targets(self, module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from self._existing(alias.name)
            return
        base = node.module or ""
        if node.level:
            base = self._absolute("." * node.level + base, module)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield from [inner] if inner in self.files else self._existing(base)

    def _existing(self, name: str) -> list[str]:
        return [name] if name in self.files else []

    def _absolute(self, name: str, module: str) -> str:
        """Return a dotted name without its leading dots, which are resolved from `module`."""
        bare = name.lstrip(".")
        dots = len(name) - len(bare)
        if not dots:
            return name
        parts = self._folder(module).split(".")
        return ".".join([*parts[: len(parts) - dots + 1], *([bare] if bare else [])])

    def _beside(self, name: str, module: str) -> str | None:
        """Return the module that a string names, absolutely or beside `module`, if it exists."""
        for full in (self._absolute(name, module), f"{self._folder(module)}.{name}"):
            if full in self.files and full != self.package:
                return full
        return None

    def _named_in_strings(self, module: str) -> Iterator[tuple[str, int]]:
        tree = self.trees[module]
        calls = import_calls(tree)
        table = _table_strings(tree) if calls else set()
        beginnings = (".", f"{self.package}.") if calls else (f"{self.package}.",)
        for node, text in texts(tree):
            place, found = PLACE.fullmatch(text), None
            if place is not None:
                found = self._beside(place[1], module)
                if found is not None and place[2] not in _defined(self.trees[found]):
                    found = None
            elif text.startswith(beginnings):
                found = self._beside(text, module) if text.strip(".") else None
            elif node in table:
                found = self._beside(text, module)
            if found is not None:
                yield found, node.lineno


@cache
def parsed(text: str) -> ast.Module:
    """Parse a file's text once for all who read it; nobody may change the tree."""
    return ast.parse(text)


@cache
def walked(tree: ast.AST) -> tuple[ast.AST, ...]:
    """Return all nodes of a file's tree, which is walked once for all who read it."""
    return tuple(ast.walk(tree))


def texts(tree: ast.AST) -> list[tuple[ast.Constant, str]]:
    """Return the string constants of a tree with their texts.

    Docstrings and the literal parts of f-strings are left out.
    """
    left_out: set[ast.AST] = set()
    for node in walked(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            left_out.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            left_out |= set(node.values)
    return [
        (node, node.value)
        for node in walked(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in left_out
    ]


def is_for_type_checking(node: ast.AST) -> bool:
    """Tell whether a statement is `if TYPE_CHECKING:` or `if typing.TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING"


def last_name(node: ast.AST) -> str:
    """Return the last identifier of `a.b.c`, or an empty string for another expression."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _imports(
    node: ast.AST, kind: str = "module"
) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node, kind
        return
    if isinstance(node, ast.expr):  # holds no statement
        return
    inner = "lazy" if isinstance(node, FUNCTIONS) else kind
    children: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and is_for_type_checking(node):
        children = node.orelse
    for child in children:
        yield from _imports(child, inner)


def import_calls(tree: ast.AST) -> list[ast.Call]:
    """Return the calls of `import_module` and `__import__`."""
    return [
        node
        for node in walked(tree)
        if isinstance(node, ast.Call) and last_name(node.func) in ("import_module", "__import__")
    ]


def _table_strings(tree: ast.Module) -> set[ast.AST]:
    """Return the strings that stand directly in module-level collections or as `module=`."""
    found: set[ast.AST] = set()
    for statement in tree.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            value = statement.value
            if isinstance(value, ast.Dict):
                found |= set(value.values)
            elif isinstance(value, ast.List | ast.Tuple | ast.Set):
                found |= set(value.elts)
            found |= {
                word.value
                for node in ast.walk(value)
                if isinstance(node, ast.Call)
                for word in node.keywords
                if word.arg == "module"
            }
    return found


def _defined(tree: ast.Module) -> set[str]:
    """Return the names that a module defines or imports at its top level."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {
                inner.id
                for one in targets
                for inner in ast.walk(one)
                if isinstance(inner, ast.Name)
            }
    return names


def _components(nodes: Iterable[str], pairs: set[tuple[str, str]]) -> list[list[str]]:
    """Return the strongly connected components (Tarjan 1972), without recursion."""
    following: dict[str, list[str]] = {node: [] for node in nodes}
    for importer, imported in sorted(pairs):
        following[importer].append(imported)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for start in following:
        work = [] if start in index else [(start, iter(following[start]))]
        while work:
            node, rest = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            step = next((one for one in rest if one not in index or one in on_stack), None)
            if step is not None and step not in index:
                work.append((step, iter(following[step])))
            elif step is not None:
                low[node] = min(low[node], index[step])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    place = stack.index(node)
                    part, stack[place:] = stack[place:], []
                    on_stack -= set(part)
                    found.append(part)
    return found
