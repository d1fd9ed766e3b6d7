"""The house: who may import whom, how long files and functions are, what imports no torch."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "triptych"
FILES = sorted(ROOT.rglob("*.py"))
ABOVE = {"recipe", "precedence", "prepare", "said", "exchange", "cli"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "model": set(),
    "metrics": set(),
    "data": set(),
    "storage": set(),
    "sizes": {"model", "storage"},
    "run_files": {"model"},
    "run": {"model", "run_files", "storage"},
    "decoding": {"model"},
    "presets": {"model", "data", "run", "sizes", "storage"},
    "tasks": {"model", "data", "decoding", "metrics"},
    "training": {"model", "data", "run", "sizes", "storage", "tasks"},
}
ALLOWED["inspection"] = {"model", "metrics", "data", "run", "run_files", "sizes", "storage", "decoding", "presets", "tasks", "training"}
ALLOWED["inference"] = ALLOWED["inspection"] | {"inspection"}
ALLOWED["precedence"] = {"data"}
ALLOWED["recipe"] = ALLOWED["inference"] | {"inference", "prepare", "precedence"}
ALLOWED["exchange"] = ALLOWED["recipe"] | {"recipe"}
ALLOWED["said"] = ALLOWED["recipe"]
ALLOWED["prepare"] = ALLOWED["exchange"] | {"exchange", "said"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Top-level rooms of the package that a file imports, lazily or not; for type checking does not count."""
    tree, rooms = ast.parse(path.read_text(encoding="utf-8")), set()
    depth = len(path.relative_to(ROOT).parts) - 1
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for inner in ast.walk(node):
                inner.skip = True  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if getattr(node, "skip", False):
            continue
        if isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("triptych.")}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0 and module.split(".")[0] == "triptych":
                rooms |= set(module.split(".")[1:2]) or {alias.name for alias in node.names}
            elif node.level == depth + 1:
                rooms |= set(module.split(".")[:1]) if module else {alias.name for alias in node.names}
    return {name for name in rooms if (ROOT / name).is_dir() or (ROOT / f"{name}.py").exists()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__", "cli"):
        return
    assert here in ALLOWED, f"{path} stands in no room of the house; name it in docs/architecture.md and here"
    wrong = imported_rooms(path) - ALLOWED[here] - {"errors", here}
    assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}, which {here} may not"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, f"{path.name} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            most = 40 if node.name == "forward" and "model" in path.parts and path.name != "kernels.py" else 60
            assert lines <= most, f"{path.name}:{node.lineno} {node.name} has {lines} lines"


def test_the_core_stays_small() -> None:
    from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig

    dials = sum(len(dataclasses.fields(config)) for config in (StackConfig, ModelConfig))
    assert dials <= 45, f"{dials} dials"
    assert len(dataclasses.fields(RecurrentConfig)) <= 12
    assert sum(path.read_text(encoding="utf-8").count("\n") for path in (ROOT / "model").glob("*.py")) <= 3000


def test_configuration_and_inits_import_no_torch() -> None:
    names = ["triptych", "triptych.model", "triptych.model.config", "triptych.decoding", "triptych.decoding.settings", "triptych.training",
             "triptych.training.settings", "triptych.tasks", "triptych.data", "triptych.metrics", "triptych.inspection", "triptych.recipe",
             "triptych.cli.main", "triptych.run", "triptych.presets"]  # fmt: skip
    code = f"import sys\nfor name in {names!r}:\n    __import__(name)\nprint('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_no_pickle_on_any_path() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & {"pickle", "dill", "joblib", "shelve", "cloudpickle"}, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
                assert node.attr not in ("load", "save"), f"{path}:{node.lineno} uses torch.{node.attr}"
