"""Count the literals outside tasks/ that compare names of tasks."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

from import_graph import last_name, texts, walked
from structure_counts import Counts, Source


def task_names(sources: list[Source]) -> set[str]:
    """Return the names of the tasks.

    They are the string keys of the dictionaries `MODULES`, `TASKS` or `SPECS` at the top of a file
    in tasks/, and the first argument or `name=` of a call of `TaskSpec` there. Raises SystemExit
    where there are none, so that a renamed table is noticed.
    """
    names: set[str] = set()
    for one in sources:
        if one.room != "tasks":
            continue
        for node in one.tree.body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            tables = {"MODULES", "TASKS", "SPECS"} & {last_name(target) for target in targets}
            if tables and isinstance(node.value, ast.Dict):
                names |= _texts(node.value.keys)
        for node in walked(one.tree):
            if isinstance(node, ast.Call) and last_name(node.func) == "TaskSpec":
                given = [*node.args[:1], *(w.value for w in node.keywords if w.arg == "name")]
                names |= _texts(given)
    if not names:
        raise SystemExit("No table of tasks was found in tasks/: mend task_names in this file.")
    return names


def _texts(nodes: Sequence[ast.expr | None]) -> set[str]:
    values = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {value for value in values if isinstance(value, str)}


class _Comparisons(ast.NodeVisitor):
    """Collect the task-name literals of a file that decide something.

    Counted are literals that are operands of == and !=, elements of a collection to the right of
    `in` or `not in`, patterns of `match`, subscripts, first arguments of `.get`, keys of a table
    and elements of a list of tasks. A table is a dictionary, or `dict.fromkeys` of a collection; a
    list of tasks is a tuple, list or set. Both count only where all their literal keys or elements
    are names of tasks (of a key that is a tuple, one element), which leaves out tables of verbs or
    columns that share a word with a task. A literal to the left of `in` counts only where
    the right side has "task" in its name: `"embedding" in name` asks for a parameter.
    """

    def __init__(self, names: set[str]) -> None:
        self.names, self.found = names, set[ast.Constant]()

    def _take(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if isinstance(node, ast.Constant) and node.value in self.names:
                self.found.add(node)
            elif isinstance(node, ast.Tuple | ast.List | ast.Set):
                self._take(*node.elts)

    def _take_table(self, keys: list[ast.expr]) -> None:
        literal = [key for key in keys if isinstance(key, ast.Constant | ast.Tuple)]
        held = [
            any(isinstance(one, ast.Constant) and one.value in self.names for one in ast.walk(key))
            for key in literal
        ]
        if literal and all(held):
            self._take(*literal)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            if isinstance(operator, ast.In | ast.NotIn):
                self._take(right, left if "task" in last_name(right).lower() else None)
            elif isinstance(operator, ast.Eq | ast.NotEq):
                self._take(left, right)
        self.generic_visit(node)

    def visit_MatchValue(self, node: ast.MatchValue) -> None:
        self._take(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if last_name(node.value) != "Literal":
            self._take(node.slice)
            self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> None:
        self._take_table([key for key in node.keys if key is not None])
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if node.args and last_name(node.func) == "get":
            self._take(node.args[0])
        if node.args and last_name(node.func) == "fromkeys":
            keys = node.args[0]
            if isinstance(keys, ast.Tuple | ast.List | ast.Set):
                self._take_table(keys.elts)
        self.generic_visit(node)

    def _visit_list(self, node: ast.Tuple | ast.List | ast.Set) -> None:
        literal = [one for one in node.elts if not isinstance(one, ast.Starred)]
        if literal and all(isinstance(x, ast.Constant) and x.value in self.names for x in literal):
            self._take(*literal)
        self.generic_visit(node)

    visit_Tuple = visit_List = visit_Set = _visit_list


def task_literals(sources: list[Source]) -> Counts:
    """Count the literals outside tasks/ that compare names of tasks, and all that equal one.

    Literals that "equal" a name include defaults, arguments and words that mean something else (a
    verb, a parameter's name); they are shown so that moving a comparison behind a call is seen.
    """
    names, places, equal, rooms = task_names(sources), list[str](), list[str](), Counter[str]()
    for one in sources:
        if one.room == "tasks":
            continue
        named = [(x, text) for x, text in texts(one.tree) if text in names]
        if not named:  # nor can there be a comparison
            continue
        visitor = _Comparisons(names)
        visitor.visit(one.tree)
        rooms[one.room] += len(visitor.found)
        places += [f"{one.name}:{x.lineno} {x.value}" for x in visitor.found]
        equal += [f"{one.name}:{x.lineno} {text}" for x, text in named]
    files = {place.split(":")[0] for place in places}
    rows: dict[str, float | int | str | None] = {
        "task names compared outside tasks/": len(places),
        "files that compare task names outside tasks/": len(files),
        "literals equal to a task name outside tasks/": len(equal),
        "files with such literals outside tasks/": len({one.split(":")[0] for one in equal}),
    }
    by_room = {room: number for room, number in rooms.items() if number}
    return Counts(rows, {"compared": sorted(places), "equal": sorted(equal), "by room": by_room})
