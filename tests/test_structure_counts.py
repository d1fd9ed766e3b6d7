"""Run the counters of `benchmarks/structure.py` on tiny packages whose answers are known."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NAMES = "call_profile import_graph structure structure_counts structure_runs structure_tasks"
CALL = "from importlib import import_module\nimport_module(name)\n"
TASKS = 'MODULES = {"tagging": "tagging", "chat": "talking"}\n'


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES.split()})


@pytest.fixture
def package(tmp_path: Path) -> Any:
    """Write files below tmp_path/toy and return its path."""

    def write(**files: str) -> Path:
        for name, text in {"__init__": "", **files}.items():
            path = tmp_path / "toy" / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path / "toy"

    return write


def rows_of(tools: Any, root: Path, counter: str) -> dict[str, Any]:
    module = tools.structure_tasks if counter == "task_literals" else tools.structure_counts
    return getattr(module, counter)(tools.structure_counts.read(root)).rows


# Import edges and circles -------------------------------------------------------------------------


def test_a_lazy_import_closes_a_circle(tools: Any, package: Any) -> None:
    root = package(one="from . import two\n", two="def later():\n    from .one import x\n")
    graph = tools.import_graph.ImportGraph(root)
    assert graph.pairs(["module"]) == {("toy.one", "toy.two")}
    assert graph.pairs(["lazy"]) == {("toy.two", "toy.one")}
    assert graph.circles(["module"]) == []
    assert graph.circles(["module", "lazy"]) == graph.circles() == [["toy.one", "toy.two"]]
    rows = tools.structure_counts.imports(root).rows
    assert rows["circles, lazy imports too"] == 1
    assert rows["modules in circles, lazy imports too"] == 2


@pytest.mark.parametrize(
    "text",
    [
        'VERBS = {"go": ("two:start", "Start.")}\n',
        'VERBS = {"go": "toy.two:start"}\n',
        'PLACE = "toy.two"\n',
        CALL + '_PLACES = {"start": ".two"}\n',
        CALL + 'MODULES = ("two",)\n',
        CALL + 'SPECS = [Spec("go", module="two")]\n',
        'from importlib import import_module\ndef go():\n    import_module(".two", "toy")\n',
    ],
)
def test_a_module_named_in_a_string_is_an_edge(tools: Any, package: Any, text: str) -> None:
    root = package(one=text, two="import toy.one\ndef start(): ...\n")
    graph = tools.import_graph.ImportGraph(root)
    assert graph.pairs(["string"]) == {("toy.one", "toy.two")}
    assert graph.circles(["module", "lazy"]) == []
    assert graph.circles() == [["toy.one", "toy.two"]]


@pytest.mark.parametrize(
    "text",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import two\n",
        "import typing\nif typing.TYPE_CHECKING:\n    import toy.two\n",
        'PLACE = "two:other"\n',  # The module does not define that name.
        'WORDS = ("two", ".two")\n',  # This file does not call import_module.
        '"""toy.two"""\n',
        "from .one import x\n",
    ],
)
def test_what_does_not_count_as_an_edge(tools: Any, package: Any, text: str) -> None:
    root = package(one=text, two="def start(): ...\n")
    assert tools.import_graph.ImportGraph(root).pairs() == set()


def test_relative_imports_are_resolved_from_their_package(tools: Any, package: Any) -> None:
    root = package(
        part__in____init__="from .inner import x\n",
        part__in__inner="from ..one import y\nfrom . import other\nfrom .. import z\n",
        part__in__other="",
        one="",
    )
    wanted = {("toy.part", "toy.part.inner"), ("toy.part.inner", "toy.one")}
    wanted |= {("toy.part.inner", "toy.part.other"), ("toy.part.inner", "toy")}
    assert tools.import_graph.ImportGraph(root).pairs() == wanted


def test_separate_circles_are_listed_apart(tools: Any, package: Any) -> None:
    root = package(
        a="from . import b",
        b="from . import c",
        c="from . import a, d",
        d="import toy.e",
        e="from . import d",
        f="from . import a",
    )
    found = tools.import_graph.ImportGraph(root).circles()
    assert found == [["toy.a", "toy.b", "toy.c"], ["toy.d", "toy.e"]]


# Sizes, tasks, checks, annotations, repetition ----------------------------------------------------


def test_sizes(tools: Any, package: Any) -> None:
    body = "    x = 1\n"
    root = package(
        model__in__block=f"def forward():\n{body * 40}def inner():\n{body * 60}",
        model__in__extra=f"def fits():\n{body * 59}" + "#" * 101 + "\n" + "#" * 100 + "\n",
        long="y = 2\n" * 401,
    )
    rows = rows_of(tools, root, "sizes")
    assert rows["files"] == 4 and rows["lines"] == 102 + 62 + 401
    assert rows["files in model"] == 2 and rows["lines in model"] == 164
    assert rows["files over 400 lines"] == 1 and rows["lines over 100 characters"] == 1
    assert rows["functions over 60 lines"] == 1 and rows["forwards over 40 lines in model/"] == 1
    assert rows["files of the core path"] == 1 and rows["lines of the core path"] == 102


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ('found = name == "tagging"', 1),
        ('found = name != "tagging"', 1),
        ('found = name in ("tagging", None, "chat")', 2),
        ('found = "tagging" in TASKS', 1),
        ('found = "tagging" in name', 0),
        ('match name:\n    case "tagging" | "chat": ...', 2),
        ('found = TABLE["tagging"]', 1),
        ('found = TABLE.get("tagging", 0)', 1),
        ('TABLE = {"tagging": 1, "chat": 2}', 2),
        ('TABLE = {("bert", "tagging"): 1}', 1),
        ('VERBS = {"tagging": 1, "inspect": 2}', 0),
        ('TABLE = dict.fromkeys(("tagging", "chat"), 1)', 2),
        ('TALKS = ("chat",)', 1),
        ('def build(task: Literal["tagging"] = "tagging"): ...', 0),
        ("found = name == 'translation'", 0),
    ],
)
def test_task_names_that_are_compared(tools: Any, package: Any, text: str, compared: int) -> None:
    root = package(tasks__in__task=f'{TASKS}found = name == "chat"\n', other=f"{text}\n")
    rows = rows_of(tools, root, "task_literals")
    assert rows["task names compared outside tasks/"] == compared
    assert rows["files that compare task names outside tasks/"] == int(compared > 0)
    mentions = text.count("tagging") + text.count('"chat"')
    assert rows["literals equal to a task name outside tasks/"] == mentions


def test_task_names_come_from_a_typed_table_too(tools: Any, package: Any) -> None:
    specs = 'SPECS = (TaskSpec("tagging", 1), TaskSpec(name="chat"))\n'
    root = package(tasks__in__specs=specs)
    assert tools.structure_tasks.task_names(tools.structure_counts.read(root)) == {
        "tagging",
        "chat",
    }
    (root / "tasks" / "specs.py").write_text("")
    with pytest.raises(SystemExit, match="No table of tasks"):
        rows_of(tools, root, "task_literals")


@pytest.mark.parametrize(
    ("head", "test", "counts"),
    [
        ("def check(value):", "value < 1", True),
        ("def build(value):", "value < 1", True),
        ("def __post_init__(self):", "self.value < 1", True),
        ("@field_validator('value')\ndef bounded(value):", "value < 1", True),
        ("def bounded(options: Mapping[str, Any]):", "options['value'] < 1", True),
        ("def bounded(options: Options):", "options.value < 1", False),
        ("def bounded(value):", "isinstance(value, bool)", True),
        ("def bounded(value):", "value < 1", False),
        ("def checkpoint(value):", "value < 1", False),
    ],
)
def test_hand_written_checks(tools: Any, package: Any, head: str, test: str, counts: bool) -> None:
    text = f"{head}\n    if {test}:\n        raise UsageError('At least 1.')\n"
    root = package(tasks__in__one=text, other=text.replace("UsageError", "RuntimeError"))
    rows = rows_of(tools, root, "hand_checks")
    assert rows["hand-written check lines in tasks"] == (3 if counts else 0)
    assert rows["hand-written check lines elsewhere"] == 0
    assert rows["isinstance(.., bool) in tasks"] == int("bool" in test)


def test_any_and_config_look_ups(tools: Any, package: Any) -> None:
    root = package(
        one="from typing import Any\nAlias = dict[str, Any]\n"
        "def f(x: Any, *y: list[Any], z: 'Any' = 1) -> dict[str, Any]:\n    v: typing.Any = x\n",
        two='a = getattr(config, "encoder", None)\nb = getattr(model.config, name)\n'
        'c = getattr(getattr(model, "config", None), "decoder")\nd = getattr(options, "x")\n',
    )
    rows = rows_of(tools, root, "loose_types")
    assert rows["Any in annotations"] == 5 and rows["Any elsewhere (aliases, casts)"] == 1
    assert rows["getattr(config, ...)"] == 3 and rows["files with getattr(config, ...)"] == 1


def test_repeated_lines(tools: Any, package: Any) -> None:
    lines = [f"x{number} = {number}" for number in range(8)]
    others = [*lines[:2], "x2  =  2", "", "# a note", "import os", "()", *lines[3:6], "y = 1"]
    root = package(one="\n".join(lines), two="\n".join(others))
    rows = rows_of(tools, root, "repetition")
    assert rows["repeated lines (windows of 6)"] == 12
    assert rows["repeated lines, % of the lines that count"] == pytest.approx(100 * 12 / 15)
    (root / "two.py").write_text("\n".join(lines[:5]))
    (root / "one.py").write_text("x = 1\n" * 11)  # Two windows would overlap.
    assert rows_of(tools, root, "repetition")["repeated lines (windows of 6)"] == 0
    (root / "one.py").write_text("x = 1\n" * 12)
    assert rows_of(tools, root, "repetition")["repeated lines (windows of 6)"] == 12


# Running, and the table ---------------------------------------------------------------------------

CHAIN = """
class Model:
    def forward(self):
        return sorted(self.twice(one) for one in (1, 2))
    def twice(self, x):
        return (lambda y: helped(2 * y))(x)
def helped(x):
    return x
"""


def test_calls_are_counted(tools: Any, package: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = package(chain=CHAIN)
    monkeypatch.syspath_prepend(str(root.parent))
    model = importlib.import_module("toy.chain").Model()
    result, found = tools.call_profile.profile(model.forward, str(root))
    assert result == [2, 4] and found.pop("files") == 1
    assert found == {
        "depth": 4,
        "functions": 4,
        "calls": 7,
        "deepest chain": "Model.forward > Model.twice > Model.twice.<lambda> > helped",
    }


@pytest.mark.slow
def test_calls_of_the_toys(tools: Any) -> None:
    found = tools.structure_runs.calls(tools.structure.ROOT).rows
    assert len(found) == 16
    for what in ("forward", "decoding step"):
        for kind in ("encoder-decoder", "decoder-only"):
            depth, functions, files, calls = (
                found[f"{name} of a {what}, {kind}"]
                for name in ("depth", "functions", "files", "calls")
            )
            assert 3 <= depth <= functions <= calls and 2 <= files <= functions


@pytest.mark.slow
def test_strict_errors(tools: Any, package: Any) -> None:
    root = package(model__in__one="def f(x):\n    return x\n", other="def f(x):\n    return x\n")
    rows = tools.structure_runs.strict_errors(root).rows
    assert rows["strict type errors"] == rows["strict type errors in model"] > 0
    assert rows["strict type errors in tasks"] == 0
    (root / "model" / "one.py").unlink()
    assert tools.structure_runs.strict_errors(root).rows == {"strict type errors": "failed"}


def test_failed_measurements_are_reported(tools: Any, package: Any) -> None:
    root = package(tasks__in__task=TASKS, __main__="raise SystemExit('no command')\n")
    found = tools.structure_runs.calls(root)
    assert found.rows == {"calls of a forward": "failed"}
    times = tools.structure_runs.starting_times(root)
    assert times.rows["seconds of toy --help"] == "failed"
    assert 0 < times.rows["seconds of import toy"] < 60


def test_a_table_beside_an_older_one(
    tools: Any,
    package: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    root = package(tasks__in__task=TASKS, one="from . import two\n", two="from . import one\n")
    old = tmp_path / "old.json"
    monkeypatch.setattr("sys.argv", ["structure.py", str(root), "--no-calls", "--json", str(old)])
    assert tools.structure.main() == 0
    assert "  2: toy.one toy.two" in capsys.readouterr().out
    assert json.loads(old.read_text())["details"]["circles"]["lazy imports too"]
    (root / "two.py").unlink()
    monkeypatch.setattr("sys.argv", ["structure.py", str(root), "--no-calls", "--beside", str(old)])
    assert tools.structure.main() == 0
    table = capsys.readouterr().out
    assert "| circles, module-level imports only | 1 | 0 |" in table
    assert "| files in two | 1 | – |" in table
