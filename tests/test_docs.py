"""The pages say what the code says: the recipe's reference, every command, every recipe, every
link.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cyclopts.exceptions import CycloptsError

from triptych import own_code
from triptych.cli.given import take_value
from triptych.cli.main import build_app, split_overrides
from triptych.cli.verbs import DATA_VERBS, VERBS
from triptych.errors import TriptychError, UsageError
from triptych.recipe.schema import TABLES, Recipe, key_types, nested
from triptych.tasks.specs import SPECS

ROOT = Path(__file__).parent.parent
RESULTS = sorted((ROOT / "docs" / "results").glob("*.md"))
PAGES = sorted([*ROOT.glob("[A-Z]*.md"), *(ROOT / "docs").glob("*.md"), *RESULTS])
FENCED = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SPOKEN = re.compile(r"`(?:triptych )?((?<=triptych )[^`\n]+|init [^`\n]+)`")
PIPED = re.compile(r" \| | && |; (?:do )?")
LAUNCHED = re.compile(r"^(?:torchrun|python) .*-m triptych ")
LINKED = re.compile(r"\]\(([^()\s]+)\)")
MENTIONED = re.compile(rf"`(?:--)?((?:task|{'|'.join(TABLES)})\.[a-z_.]*[a-z_])(?:[ =][^`\n]*)?`")
# "model.safetensors" is no key of the table model
FILES = (".safetensors", ".toml", ".py", ".json", ".jsonl", ".onnx")


def commands(text: str) -> Iterator[str]:
    """Every command on a page, in a block of its own or in a sentence."""
    for language, body in FENCED.findall(text):
        for line in body.replace("\\\n", " ").split("\n") if language in ("", "sh", "bash") else ():
            for part in PIPED.split(line):
                part = LAUNCHED.sub("triptych ", part.strip())
                if part.startswith("triptych "):
                    yield part
    yield from (f"triptych {spoken}" for spoken in SPOKEN.findall(FENCED.sub("", text)))


def refuse(command: str) -> None:
    """Raise for a verb, a flag, a recipe or a key that is not there, and for a value that its key
    cannot have.
    """
    words = shlex.split(re.sub(r" [<>] \S+", "", command), comments=True)[1:]
    if words == ["--help"] or " ".join(words) in (*VERBS, *(f"data {verb}" for verb in DATA_VERBS)):
        return
    words, code = take_value(words, "--code", "a file")
    if code is not None and not code.isupper() and code != "FILE.py":
        own_code.read(ROOT / code)
    rest, overrides = split_overrides(words)
    _, bound, ignored = app().parse_args(rest, exit_on_error=False, print_error=False)
    if overrides and "overrides" not in ignored:
        raise UsageError(f"triptych {rest[0]} takes no recipe keys.")
    if rest[0] == "train":
        refuse_keys(bound.arguments["recipe"], overrides)
    elif rest[0] == "evaluate" and "--as" in rest:
        nested(overrides, task="classification")
    else:
        own = {"decoding", "data"} if set(overrides) & {"data.leaks"} else {"decoding"}
        if not set(nested(overrides)) <= own:
            raise UsageError(f"triptych {rest[0]} takes keys of {' and '.join(own)} alone.")


def refuse_keys(recipe: str, overrides: Mapping[str, Any]) -> None:
    """The same for a recipe and what is changed of it. A file's or a run's task is not known: one
    that has the keys will do.
    """
    if not recipe.endswith(".toml") and "/" not in recipe and not recipe.isupper():
        Recipe.load(recipe, overrides)
        return
    problems = []
    for task in SPECS:
        try:
            nested(overrides, task=task)
            return
        except UsageError as problem:
            problems.append(problem)
    raise problems[0]


@cache
def app() -> Any:
    return build_app()


@cache
def known_keys() -> frozenset[str]:
    return frozenset(key for task in SPECS for key in flat(key_types(task)))


def flat(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, wanted in tree.items():
        yield f"{path}{key}"
        if isinstance(wanted, dict):
            yield from flat(wanted, f"{path}{key}.")


def writer() -> ModuleType:
    """Import docs/make_recipe_reference.py, which is in no package."""
    spec = importlib.util.spec_from_file_location(
        "make_recipe_reference", ROOT / "docs" / "make_recipe_reference.py"
    )
    assert spec is not None and spec.loader is not None, "a file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recipes_reference_is_what_the_source_says() -> None:
    module = writer()
    text = module.PAGE.read_text(encoding="utf-8")
    assert text == module.page(text), "write it anew: python docs/make_recipe_reference.py"


def test_the_recipes_reference_leaves_nothing_out() -> None:
    listed = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| (\S+|`.*`) \| (.*) \|$",
        writer().PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    names = {name for name, *_ in listed}
    missing = {
        key for key in known_keys() if key.count(".") and key.rsplit(".", 1)[1] not in names
    } - {"task.name"}
    assert not missing
    silent = sorted({name for name, *_, about in listed if not about})
    assert not silent, "these lack a comment beside them in the source"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_can_be_typed(page: Path) -> None:
    wrong = []
    for command in commands(page.read_text(encoding="utf-8")):
        try:
            refuse(command)
        except (CycloptsError, TriptychError, ValueError) as problem:
            wrong.append(f"{command}\n    {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_and_recipes_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    mentioned = {key for key in MENTIONED.findall(FENCED.sub("", text)) if not key.endswith(FILES)}
    assert mentioned <= known_keys()
    for language, body in FENCED.findall(text):
        if language == "toml":
            own = ROOT / "examples" / "reversal_task.py" if "own-code" in page.name else None
            with own_code.given(own):
                recipe = Recipe.parse(body, place=page.name)
                recipe.build_task()
            recipe.model.config() if recipe.model.start is None else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [
        link.split("#")[0]
        for link in LINKED.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
        if "://" not in link
    ]
    assert not [link for link in links if link and not (page.parent / link).exists()]


def test_figures_of_the_summary_stand_in_the_details() -> None:
    rows = re.findall(r"^\|.*$", (ROOT / "RESULTS.md").read_text(encoding="utf-8"), re.MULTILINE)
    figures = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])")
    details = {
        figure for page in RESULTS for figure in figures.findall(page.read_text(encoding="utf-8"))
    }
    assert set(figures.findall("\n".join(rows))) <= details


def test_hooks_use_the_versions_of_continuous_integration() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    pinned = re.findall(r'"([\w-]+==[^"]+)"', hooks)
    assert len(pinned) == hooks.count("- id: ") == hooks.count("language: python")
    assert set(pinned) <= set((ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("triptych trian phrasebook", "trian"),
        ("triptych train phrasebok", "Did you mean 'phrasebook'"),
        ("triptych train phrasebook --resum", "--resum"),
        ("triptych train phrasebook --training.minuts 3", "training.minuts"),
        ("triptych train phrasebook --task.window 3", "task.window"),
        ("triptych train my.toml --task.windw 3", "task.windw"),
        ("triptych predict RUN --training.minutes 3", "decoding alone"),
        ("triptych info --decoding.beams 3", "no recipe keys"),
        ("triptych inspect RUN TEXT --language fr", "fr"),
    ],
)
def test_what_is_wrong_is_seen(command: str, said: str) -> None:
    with pytest.raises((CycloptsError, TriptychError), match=re.escape(said)):
        refuse(next(commands(f"```\n{command}    # as a page has it\n```\n")))
