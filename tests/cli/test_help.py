"""The help of every verb: examples that can be typed, and only what the verb takes."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from triptych.cli.completion import completing
from triptych.cli.main import FIRST, build_app, run
from triptych.cli.verbs import DATA_VERBS, VERBS, Verb
from triptych.cli.wrapping import cells, wrapped

ALL: dict[str, Verb] = {
    **VERBS,
    **{f"data {name}": verb for name, verb in DATA_VERBS.items()},
    "completion": completing(build_app),
}


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    """Import tests/test_docs.py, which can refuse a command."""
    path = Path(__file__).parents[1] / "test_docs.py"
    spec = importlib.util.spec_from_file_location("test_docs", path)
    assert spec is not None and spec.loader is not None, "a file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ALL)
def test_examples_can_be_typed(name: str, docs: ModuleType) -> None:
    examples = ALL[name].examples
    assert 1 <= len(examples) <= 3
    for example in examples:
        assert f"triptych {name}" in example
        command = re.search(r"triptych .*?(?=\)\"|$| \|)", example)
        assert command is not None
        docs.refuse(command[0])


def test_the_first_examples_can_be_typed(docs: ModuleType) -> None:
    for example in FIRST:
        docs.refuse(example.strip())


@pytest.mark.parametrize("name", ALL)
def test_help_names_what_is_given_and_every_option_has_words(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TRIPTYCH_LANG", "en")
    assert run([*name.split(), "--help"]) == 0
    out = capsys.readouterr().out
    usage = out.lstrip().splitlines()[0]
    assert usage.startswith(f"Usage: triptych {name}") and "ARGS" not in usage
    assert "Examples:" in out and "Parameters" not in out
    options = re.findall(r"^│ +\*? +(?:--[\w-]+|[A-Z]+)((?: +[A-Z.]+)*) *│$", out, re.MULTILINE)
    assert not options, "an option without a word on what it does"
    parameters = inspect.signature(ALL[name].load()).parameters
    for one in parameters.values():
        if one.kind in (one.POSITIONAL_ONLY, one.VAR_POSITIONAL):
            assert re.search(rf"^│ [ *]* *{one.name.upper()} +\S", out, re.MULTILINE), one.name
    takes_keys = "overrides" in parameters
    assert ("--decoding." in out or "--table.key" in out) == takes_keys
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("name", ALL)
def test_a_chinese_page_has_no_english_labels_and_fills_its_lines(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TRIPTYCH_LANG", "zh_TW")
    assert run([*name.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"用法：triptych {name}")
    assert not re.search(r"\[(required|choices|default)\b", out)
    assert max(map(cells, out.splitlines())) <= 100
    assert not re.search(r"^[│ ]*[，。、；：！？）」]", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("中文可以在字間換行", 8, ["中文可以", "在字間換", "行"]),
        ("句點不在行首。好", 12, ["句點不在行", "首。好"]),
        ("寫成 a.toml（例如）", 12, ["寫成 a.toml", "（例如）"]),
        ("supercalifragilistic", 8, ["supercalifragilistic"]),
        ("", 8, [""]),
    ],
)
def test_lines_are_broken_at_spaces_and_between_chinese_characters(
    text: str, width: int, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert wrapped(text).split("\n") == lines


@pytest.mark.parametrize("verb", ["classify", "tag", "parse", "embed"])
def test_a_verb_that_writes_nothing_names_no_key_of_writing(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert "batch_tokens" in out
    for word in ("temperature", "--draft", "--suffix", "--template", "--passage", "--to "):
        assert word not in out
