"""Recipes: strict in, the same out, and what a command line changes of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import UsageError
from triptych.recipe.schema import Recipe, packaged

PROMISED = {
    "phrasebook",
    "multi30k-en-de",
    "multi30k-en-fr",
    "multi30k-en-x",
    "multi30k-en-de-rnn",
    "tatoeba-en-zh",
}
SMALL = '[data]\ntrain = ["a.en", "a.de"]\nsource = "en"\ntarget = "de"\n[training]\nsteps = 10\n'


def test_the_promised_recipes_are_there_and_whole() -> None:
    assert set(packaged()) >= PROMISED
    for name in packaged():
        recipe = Recipe.load(name)
        recipe.model.config()
        recipe.build_task()
        recipe.training.check()
        recipe.decoding.check()


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_out_and_in_again_is_the_same(name: str) -> None:
    recipe = Recipe.load(name)
    assert Recipe.parse(recipe.to_toml(), name=name) == recipe


def test_headers_tell_command_hardware_and_score() -> None:
    from triptych.recipe.schema import packaged_text

    for name in packaged():
        header = packaged_text(name).split("\n\n")[0]
        assert all(line.startswith("#") for line in header.split("\n"))
        assert (
            f"triptych train {name}" in header
            and re.search(r"(?i)one CPU core\b|two CPU cores\b", header)
            and "inutes" in header
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[trainig]\nsteps = 1",
            "Unknown recipe table 'trainig' in my.toml. Did you mean 'training'",
        ),
        ("[training]\nstepz = 1", "Did you mean 'training.steps'"),
        (
            '[training]\nsteps = "1"',
            "training.steps is '1' in my.toml; it must be a whole number of at least 1 or none",
        ),
        ("[training]\nsteps = true", "it must be a whole number"),
        (
            '[training]\nschedule = "linar"',
            "one of inverse_square_root, trapezoid, linear, cosine, constant",
        ),
        ("[model.encoder]\nlayer = 1", "Did you mean 'model.encoder.layers'"),
        ("[model]\nencoder = 1", "is a table of keys"),
        ("[model]\nvocabulary_size = 1", "Unknown recipe key 'model.vocabulary_size'"),
        ('[task]\nname = "translaton"', "Unknown task 'translaton'"),
        ("[task]\nsmoothing = 0.1", "Did you mean 'task.label_smoothing'"),
        ("[data\n", "my.toml is not valid TOML"),
        ("[training]\nlearning_rate = nan", "it must be a finite number above 0"),
        (
            '[model]\nstart = "runs/a"\npreset = "transformer-small"',
            "model.preset cannot be given as well",
        ),
        (
            '[model]\nstart = "runs/a"\n[tokenizer]\nkind = "bpe"',
            "tokenizer cannot be given as well",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.parse(text, place="my.toml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("training.steps", "500", 500),
        ("training.learning_rate", "1e-3", 1e-3),
        ("training.clip_norm", "none", None),
        ("data.target", "fr", "fr"),
        ("data.target", "de,fr", ["de", "fr"]),
        ("data.target", '["de", "cs"]', ["de", "cs"]),
        ("tokenizer.shared", "false", False),
        ("tokenizer.kind", "unigram", "unigram"),
        ("data.examples", "7", 7),
        ("decoding.stop", "a, b", ["a", "b"]),
        ("decoding.stop", '"a","\\n"', ["a", "\n"]),
        ("decoding.stop", 'User:, "\\n", \'"\',"a,b"', ["User:", "\n", '"', "a,b"]),
        ("decoding.stop", 'don\'t,"a"b,"', ["don't", '"a"b', '"']),
        ("decoding.stop", ",", [","]),
        ("decoding.stop", ", ", [", "]),
        ("decoding.stop", "\n", ["\n"]),
    ],
)
def test_overrides_are_read_by_type(key: str, text: str, value: Any) -> None:
    recipe = Recipe.load("multi30k-en-de", {key: text})
    table, name = key.split(".")
    assert getattr(getattr(recipe, table), name) == value


def test_overrides_of_dials_and_options() -> None:
    recipe = Recipe.load(
        "multi30k-en-de",
        {"model.encoder.layers": "5", "task.label_smoothing": "0", "model.heads": "8"},
    )
    assert recipe.model.dials["encoder"]["layers"] == 5 and recipe.model.dials["heads"] == 8
    assert recipe.task["label_smoothing"] == 0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"training.stepz": "5"}, "Did you mean 'training.steps'"),
        ({"trainig.steps": "5"}, "Did you mean 'training.steps'"),
        (
            {"training.steps": "five"},
            "training.steps is 'five' on the command line; it must be a whole number",
        ),
        ({"training": "5"}, "Unknown recipe key 'training'"),
        ({"model.start": "a", "model.preset": "transformer-base"}, "cannot be given as well"),
        ({"data.train": ""}, "data.train is an empty file name"),
        ({"model.start": ""}, "model.start is an empty file name"),
    ],
)
def test_wrong_overrides_are_refused(overrides: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.load("multi30k-en-de", overrides)
    assert said in str(caught.value)


def test_dropouts_beside_a_preset_are_set_aside_with_it_and_those_beside_a_start_count() -> None:
    assert Recipe.load("samsum", {"model.start": "a"}).model.dials == {}
    assert Recipe.load("samsum", {"model.start": "a", "model.dropout": "0.4"}).model.dials == {
        "dropout": 0.4
    }


def test_stacks_of_two_widths_need_two_vocabularies(tmp_path: Path) -> None:
    from triptych.setup.job import prepare

    recipe = Recipe.load(
        "multi30k-en-de", {"model.encoder.width": "32", "tokenizer.shared": "true"}
    )
    with pytest.raises(
        UsageError,
        match=r"model.encoder.width 32 and model.decoder.width \d+ need separate vocabularies",
    ):
        prepare(recipe, tmp_path / "run", dry=True)


def test_a_limit_given_last_replaces_the_other_one() -> None:
    recipe = Recipe.load("multi30k-en-de", {"training.steps": "500"})
    assert (recipe.training.steps, recipe.training.minutes, recipe.validation.every_minutes) == (
        500,
        None,
        None,
    )
    both = Recipe.load("multi30k-en-de", {"training.steps": "500", "training.minutes": "3"})
    assert (both.training.steps, both.training.minutes) == (500, 3)
    recipe = Recipe.load("multi30k-en-de", {"training.epochs": "3"})
    assert (recipe.training.epochs, recipe.training.minutes, recipe.validation.every_minutes) == (
        3,
        None,
        None,
    )
    recipe = Recipe.parse("[training]\nepochs = 3", overrides={"training.minutes": "2"})
    assert (recipe.training.epochs, recipe.training.minutes) == (None, 2)
    recipe = Recipe.parse(
        "[training]\nsteps = 7\nminutes = 2", overrides={"training.minutes": "none"}
    )
    assert (recipe.training.steps, recipe.training.minutes) == (7, None)


def test_files_of_a_recipe_can_be_unset() -> None:
    recipe = Recipe.parse(
        '[data]\ntrain = "a.txt"\nvalidation = "b.txt"', overrides={"data.validation": "none"}
    )
    assert recipe.data.validation is None and recipe.data.train == "a.txt"


def test_start_given_last_sets_the_recipes_model_aside(tmp_path: Path) -> None:
    recipe = Recipe.load("multi30k-en-de", {"model.start": str(tmp_path)})
    assert recipe.model.start == str(tmp_path) and not recipe.model.dials
    values = recipe.to_values()
    assert values["model"] == {"start": str(tmp_path)} and "tokenizer" not in values
    assert Recipe.parse(recipe.to_toml()).model.start == str(tmp_path)


def test_another_preset_forgets_the_dials_of_the_first() -> None:
    recipe = Recipe.load("multi30k-en-de", {"model.preset": "recurrent-small", "model.width": "64"})
    assert recipe.model.dials == {"width": 64}
    recipe.model.config()


def test_files_are_meant_from_the_recipes_folder(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(SMALL)
    recipe = Recipe.load(tmp_path / "my.toml")
    assert recipe.name == "my" and recipe.data.train == [
        str(tmp_path / "a.en"),
        str(tmp_path / "a.de"),
    ]
    for given, meant in (("finds-words", str(tmp_path / "finds-words")), ("spaces", "spaces")):
        (tmp_path / "tags.toml").write_text(f'[task]\nname = "tagging"\nwords = "{given}"\n')
        assert Recipe.load(tmp_path / "tags.toml").task["words"] == meant


def test_values_of_a_program_are_read_as_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values: dict[str, Any] = {
        "data": {"train": "a.tsv"},
        "model": {"preset": "decoder-small", "depth": 2},
    }
    (tmp_path / "x.toml").write_text(
        '[data]\ntrain = "a.tsv"\n[model]\npreset = "decoder-small"\ndepth = 2\n'
    )
    recipe = Recipe.from_values(values, name="x")
    assert recipe == Recipe.load("x.toml") and recipe.data.train == str(tmp_path / "a.tsv")
    assert Recipe.from_values(recipe.to_values(), name="x") == recipe
    with pytest.raises(
        UsageError,
        match=(
            r"Unknown recipe key 'training.minuts' in these values. Did you mean "
            r"'training.minutes'"
        ),
    ):
        Recipe.from_values({"training": {"minuts": 3}})
    with pytest.raises(
        UsageError, match=r"training.steps is 'five' in these values; it must be a whole number"
    ):
        Recipe.from_values({"training": {"steps": "five"}})


def test_own_files_and_a_set_replace_each_other(tmp_path: Path) -> None:
    own = Recipe.load("samsum", {"data.train": "my.jsonl"})
    assert own.data.set is None and own.data.train == str(tmp_path.cwd() / "my.jsonl")
    (tmp_path / "my.toml").write_text(SMALL)
    public = Recipe.load(tmp_path / "my.toml", {"data.set": "multi30k"})
    assert (
        public.data.set == "multi30k"
        and public.data.train is None
        and public.data.validation is None
    )
    (tmp_path / "both.toml").write_text('[data]\nset = "multi30k"\ntrain = ["a.en", "a.de"]\n')
    with pytest.raises(UsageError, match="Remove one of them"):
        Recipe.load(tmp_path / "both.toml")


@pytest.mark.parametrize(
    ("name", "said"),
    [("multi30k-en-d", "Did you mean 'multi30k-en-de'"), ("no.toml", "no recipe file no.toml")],
)
def test_an_unknown_recipe_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Recipe.load(name)


def test_the_mark_that_some_editors_write_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_bytes(b"\xef\xbb\xbf[training]\nsteps = 3\n")
    assert Recipe.load(tmp_path / "my.toml").training.steps == 3


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_bytes(b"# \xff\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        Recipe.load(tmp_path / "my.toml")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1" * 5000, "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        ("0x" + "F" * 5000, "training.steps is a number of thousands of digits"),
        ("0x1" + "0" * 16, "training.steps is 18446744073709551616"),
        ("[" + "1, " * 300 + "]", "training.steps is [1, 1"),
    ],
    ids=["digits", "brackets", "hexadecimal", "64 bits", "long"],
)
def test_what_no_recipe_can_hold_is_refused(value: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as found:
        Recipe.parse(f"[training]\nsteps = {value}\n", place="my.toml")
    assert "my.toml" in str(found.value) and len(str(found.value)) < 400
    with pytest.raises(UsageError, match=r"training\.steps is") as found:
        Recipe.parse("", overrides={"training.steps": value})
    assert len(str(found.value)) < 400
