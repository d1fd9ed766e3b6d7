"""Help, messages and errors in the user's language; JSON, logs and str(error) stay English."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from triptych.cli.language import FOLDER, catalog, language, translated
from triptych.cli.main import run
from triptych.cli.usage_errors import usage_sentence
from triptych.errors import UsageError
from triptych.messages import Message, message

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> ModuleType:
    """Import docs/make_translations.py, which is in no package."""
    path = ROOT / "docs" / "make_translations.py"
    spec = importlib.util.spec_from_file_location("make_translations", path)
    assert spec is not None and spec.loader is not None, "a file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_LANG", "zh_TW")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("zh_TW", "zh_TW"), ("zh_TW.UTF-8", "zh_TW"), ("zh-Hant-HK", "zh_TW"), ("zh_HK", "zh_TW"),
        ("zh_CN.UTF-8", "zh_CN"), ("zh", "zh_CN"), ("zh-Hans-TW", "zh_CN"), ("zh_SG", "zh_CN"),
        ("en_US.UTF-8", "en"), ("de_DE", "en"), ("C", "en"), ("C.UTF-8", "en"), ("zhuang", "en"),
    ],
)  # fmt: skip
def test_the_locale_decides(given: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_LANG", given)
    monkeypatch.setenv("LC_ALL", "fr_FR")
    assert language() == wanted


def test_without_our_own_variable_the_usual_ones_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRIPTYCH_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert language() == "en"
    monkeypatch.setenv("LANG", "zh_TW.UTF-8")
    assert language() == "zh_TW"
    monkeypatch.setenv("LC_ALL", "C")
    assert language() == "en"


def test_every_text_is_translated_with_its_fields(made: ModuleType) -> None:
    wrong = {}
    for text in made.collected():
        for name in (made.WRITTEN, made.MADE):
            found = catalog(name).gettext(text)
            if made.fields(found) != made.fields(text) or (found == text and len(text) > 3):
                wrong[text] = name
    assert not wrong, "translate these: python docs/make_translations.py --missing"


def test_compiled_files_are_those_of_the_text(made: ModuleType) -> None:
    for entry in made.catalog():
        if entry.id and entry.string:
            assert catalog(made.WRITTEN).gettext(entry.id) == entry.string, "run it again"


def test_simplified_chinese_has_its_own_words() -> None:
    text = "Print one JSON object instead of a table."
    assert catalog("zh_TW").gettext(text) != catalog("zh_CN").gettext(text)
    assert (FOLDER / "zh_CN" / "LC_MESSAGES" / "triptych.mo").is_file()


def test_a_message_is_an_english_text_that_keeps_its_template(chinese: None) -> None:
    one = message("{first}{second}", first="a", second=message("Stopped."))
    assert one == "aStopped." and isinstance(one, str) and json.dumps(one) == '"aStopped."'
    assert translated(one) == f"a{translated(message('Stopped.'))}" != one
    error = UsageError(message("Unknown command {name}.", name="x"))
    assert str(error) == "Unknown command x."
    assert Message("100 % {x}") == "100 % {x}"  # without values nothing is filled in


def test_only_what_is_printed_for_a_person_is_translated(
    chinese: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["info", "--json"]) == 0
    assert set(json.loads(capfd.readouterr().out)) >= {"triptych", "python", "device"}
    assert run(["trian"]) == 2
    assert "trian" in (text := capfd.readouterr().err) and re.search(r"[\u4e00-\u9fff]", text)
    assert run(["train", "--help"]) == 0
    text = capfd.readouterr().out
    assert "--dry-run" in text and re.search(r"[\u4e00-\u9fff]{4}", text)


@pytest.mark.parametrize(
    "text",
    [
        'Unknown command "trian". Did you mean "train"? Available commands: init, train, ...',
        "Unknown option: --nothing. Did you mean --note?",
        'Command "train" parameter RECIPE requires an argument.',
        "Unused Tokens: ['b'].",
        'Invalid value for --minutes: unable to convert "x" into float.',
        'Invalid value "float8" for --precision. Choose from: "auto", "float32".',
        "Parameter --json specified multiple times.",
    ],
)
def test_every_usual_error_of_the_command_line_is_translated(text: str, chinese: None) -> None:
    found = usage_sentence(text)
    assert not re.search(r"\b(option|command|argument|value|must|times|mean)\b", found), found
    for name in re.findall(r"--\w+|\btrian\b|RECIPE", text):
        assert name in found
