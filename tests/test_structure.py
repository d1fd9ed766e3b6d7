"""The house: who may import whom, how long files and functions are, what imports no torch."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "triptych"
FILES = sorted(ROOT.rglob("*.py"))
with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(str(ROOT.parents[1] / "benchmarks"))
    # Every file is parsed once and walked once for all tests here.
    GRAPH = importlib.import_module("import_graph")
    COUNTS, TASKS = (importlib.import_module(f"structure_{name}") for name in ("counts", "tasks"))
# Who may import whom: what a room may import, its own files, `errors` and `checking` aside. Every
# arrow is transitive; `config` and `settings` modules of plain dataclasses are named where they
# are shared.
BELOW: dict[str, set[str]] = {
    "messages": set(),
    "errors": set(),
    "checking": set(),
    "own_code": set(),
    "model": set(),
    "metrics": set(),
    "data": set(),
    "runs": {"model"},
    "decoding": {"model"},
    "interchange": {"model", "data", "runs"},
    "presets": {"model", "data", "runs"},
    "tasks": {"model", "data", "decoding", "metrics", "own_code"},
    "training": {"model", "data", "runs", "tasks"},
    "inspection": {"metrics", "presets", "training"},
    "inference": {"inspection"},
    "serving": {"inference"},
    "recipe": {"presets", "training"},
    "convert": {"interchange", "recipe"},
    "setup": {"convert", "inference"},
    "api": {"setup"},
}


def _allowed(room: str) -> set[str]:
    """Return everything that a room may import, directly or through what it imports."""
    found: set[str] = set()
    pending = list(BELOW[room])
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += BELOW[name]
    return found


ALLOWED = {name: _allowed(name) for name in BELOW}

# Longer than the house allows since lines have 100 columns. The list may only get shorter.
LONG: dict[str, int] = {
    "cli/compare.py:compare": 64,
    "cli/init.py:init": 98,
    "cli/inspect.py:inspect": 61,
    "cli/predict.py:predict": 63,
    "model/r_drop.py:forward": 53,
}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def tree_of(path: Path) -> ast.Module:
    return GRAPH.parsed(path.read_text(encoding="utf-8"))


def imported_rooms(path: Path) -> set[str]:
    """Top-level rooms of the package that a file imports, lazily or not; for type checking does not
    count.
    """
    nodes, rooms = GRAPH.walked(tree_of(path)), set()
    depth = len(path.relative_to(ROOT).parts) - 1
    left_out = {
        inner
        for node in nodes
        if isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in nodes:
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            rooms |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("triptych.")
            }
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0 and module.split(".")[0] == "triptych":
                rooms |= set(module.split(".")[1:2]) or {alias.name for alias in node.names}
            elif node.level == depth + 1:
                rooms |= (
                    set(module.split(".")[:1]) if module else {alias.name for alias in node.names}
                )
    return {name for name in rooms if (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()}


def test_imports_run_one_way() -> None:
    wrong: list[str] = []
    for path in FILES:
        here = room(path)
        if here in ("__init__", "__main__", "cli"):
            continue
        assert here in ALLOWED, (
            f"{path} stands in no room of the house; name it in docs/architecture.md and here"
        )
        found = imported_rooms(path) - ALLOWED[here] - {"errors", "messages", "checking", here}
        if found:
            wrong.append(f"{path.relative_to(ROOT)} imports {sorted(found)}, which {here} may not")
    assert not wrong, "\n".join(wrong)


def too_long(path: Path) -> list[str]:
    """Return what of a file is longer than the house or LONG allows, or short enough by now."""
    text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
    sizes = {name: (text.count("\n"), 400)}
    for node in GRAPH.walked(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            core = node.name == "forward" and "model" in path.parts and "ops" not in path.parts
            most = 40 if core else 60
            if lines > most:
                sizes[f"{name}:{node.name}"] = (lines, most)
    found = [
        f"{place} has {lines} lines"
        for place, (lines, most) in sizes.items()
        if lines > LONG.get(place, most)
    ]
    known = {place for place in LONG if place.split(":")[0] == name}
    short = known - {place for place, (lines, most) in sizes.items() if lines > most}
    return found + [f"{place} got short enough: take it out of LONG" for place in sorted(short)]


def test_files_and_functions_stay_readable() -> None:
    """Allow 400 lines a file, 60 a function and 40 a `forward`, or what LONG names, no more."""
    found = [line for path in FILES for line in too_long(path)]
    assert not found, "\n".join(found)


def test_no_import_circle() -> None:
    """Imports inside functions and modules named in strings count (benchmarks/import_graph.py)."""
    assert not (circles := GRAPH.ImportGraph(ROOT).circles()), (
        f"These modules import each other: {circles}"
    )


def test_no_task_name_is_compared_outside_tasks() -> None:
    """A capability of `TaskSpec` is asked for instead (benchmarks/structure_tasks.py)."""
    assert not TASKS.task_literals(COUNTS.read(ROOT)).details["compared"]


def test_long_places_exist() -> None:
    files = {str(path.relative_to(ROOT)) for path in FILES}
    assert not {place.split(":")[0] for place in LONG} - files


def test_the_core_stays_small() -> None:
    from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig

    dials = sum(len(dataclasses.fields(config)) for config in (StackConfig, ModelConfig))
    assert dials <= 70, f"{dials} dials"
    assert len(dataclasses.fields(RecurrentConfig)) <= 12
    assert (
        sum(path.read_text(encoding="utf-8").count("\n") for path in (ROOT / "model").rglob("*.py"))
        <= 6960
    )


def test_configuration_and_inits_import_no_torch() -> None:
    names = [
        "triptych",
        "triptych.model",
        "triptych.model.config",
        "triptych.decoding",
        "triptych.decoding.settings",
        "triptych.training",
        "triptych.training.settings",
        "triptych.tasks",
        "triptych.data",
        "triptych.metrics",
        "triptych.inspection",
        "triptych.recipe.schema",
        "triptych.cli.main",
        "triptych.runs.run",
        "triptych.presets",
        "triptych.convert",
    ]
    code = (
        f"import sys\nfor name in {names!r}:\n    __import__(name)\nprint('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert answer.stdout.strip() == "False"


def test_no_pickle_on_any_path() -> None:
    for path in FILES:
        for node in GRAPH.walked(tree_of(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & {
                "pickle",
                "dill",
                "joblib",
                "shelve",
                "cloudpickle",
            }, path
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "torch"
            ):
                assert node.attr not in ("load", "save"), (
                    f"{path}:{node.lineno} uses torch.{node.attr}"
                )


def test_no_two_files_of_tests_have_one_name() -> None:
    """Pytest imports a test by its name alone, and refuses to run where another has it."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == []


def test_no_test_stops_the_clock_of_all_threads() -> None:
    """A server's event loop that goes to sleep by a moved clock never wakes again."""
    moved = re.compile(r"setattr\(\s*(?:[\w.]*\btime,|\"[\w.]*\btime\.)")
    tests = Path(__file__).parent
    found = [one.name for one in tests.rglob("*.py") if moved.search(one.read_text("utf-8"))]
    assert not found, f"patch the module's name `time`, not the module: {found}"
