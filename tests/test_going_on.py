"""Runs that go on from a run: pretraining, then adapters, fewer layers and a teacher; toy sizes,
from files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triptych.errors import RunError, UsageError
from triptych.inference.loading import load
from triptych.recipe.schema import Recipe
from triptych.runs.run import Run
from triptych.runs.storage import read_tensors
from triptych.setup.job import prepare
from triptych.training.distributed import World

TOY = """
[task]
name = "masked-words"
window = 16
[data]
train = ["train.txt"]
validation = ["dev.txt"]
test = ["dev.txt"]
[tokenizer]
vocabulary_size = 320
[model]
preset = "encoder-tiny"
layers = 4
width = 16
heads = 2
inner_width = 32
[batches]
batch_tokens = 256
[training]
steps = 4
learning_rate = 0.01
warmup_steps = 2
precision = "float32"
checkpoint_every_steps = 2
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts, a recipe and a pretrained run `base`."""
    folder = tmp_path_factory.mktemp("toy")
    words = ["red", "blue", "dogs", "cats", "run", "sleep", "and", "the"]
    draw = np.random.default_rng(1)
    for name, count in (("train", 60), ("dev", 8)):
        lines = [
            " ".join(words[place] for place in draw.integers(0, len(words), 30))
            for _ in range(count)
        ]
        (folder / f"{name}.txt").write_text("\n\n".join(lines))
    (folder / "toy.toml").write_text(TOY)
    run(folder, "base")
    return folder


def run(
    folder: Path,
    out: str,
    resume: bool = False,
    until: int | None = None,
    named: str = "toy",
    **overrides: Any,
) -> list[str]:
    """Train by the recipe `named`; what was said. until: stop as if killed after the checkpoint of
    that step.
    """
    torch.set_num_threads(1)
    said: list[str] = []
    recipe = Recipe.load(
        folder / f"{named}.toml",
        {key.replace("__", "."): value for key, value in overrides.items()},
    )
    for progress in prepare(recipe, folder / out, resume=resume, report=said.append).train():
        said += [progress.message] if progress.event == "notice" else []
        if progress.event == "checkpoint" and progress.step == until:
            break
    return said


def weights(folder: Path, out: str) -> dict[str, torch.Tensor]:
    return read_tensors(folder / out / "model.safetensors")


def test_pretraining_from_files_can_be_used(toy: Path) -> None:
    predictor = load(toy / "base")
    found = predictor.predict(["the red [MASK] run"])[0]
    assert len(found.details["masks"]) == 1 and found.truncated_input_tokens == 0
    lines = Run(toy / "base").read_metrics()
    assert {"loss", "perplexity", "accuracy"} <= set(
        next(line for line in lines if line["split"] == "validation")
    )


def test_a_run_of_a_later_version_is_named(toy: Path) -> None:
    copy = Run(toy / "base").copy_to(toy / "later")
    values = copy.read_json("config.json")
    copy.write_json("config.json", {**values, "decoding": {**values["decoding"], "foresight": 2}})
    with pytest.raises(
        RunError,
        match=r"config\.json does not fit this version of triptych: .*foresight.*Update triptych",
    ):
        load(toy / "later")


def test_resumed_is_uninterrupted(toy: Path) -> None:
    run(toy, "killed", until=2)
    run(toy, "killed", resume=True)
    for name, tensor in weights(toy, "base").items():
        assert torch.equal(tensor, weights(toy, "killed")[name]), name


@pytest.mark.parametrize(
    "given",
    [{"training__seed": "5"}, {"training__optimizer": "muon"}, {"training__freeze": "embedding"}],
)
def test_a_refused_resume_leaves_the_run_as_it_was(toy: Path, given: dict[str, Any]) -> None:
    before = (toy / "base" / "recipe.toml").read_text()
    with pytest.raises(RunError, match="Resume with the run's own"):
        run(toy, "base", resume=True, **given)
    assert (toy / "base" / "recipe.toml").read_text() == before


def test_what_a_resume_may_change_is_saved_with_the_run(toy: Path) -> None:
    run(toy, "longer", training__steps="2")
    run(toy, "longer", resume=True, training__steps="3")
    assert Recipe.load(toy / "longer").training.steps == 3


def test_a_start_takes_the_head_of_the_same_task(toy: Path) -> None:
    said = run(
        toy, "again", model__start=str(toy / "base"), training__freeze="encoder.blocks.0,embedding"
    )
    assert any(one.startswith("Taken from") and one.endswith("its head.") for one in said)
    assert any(one.startswith("Frozen: encoder.blocks.0, embedding") for one in said)
    before, after = weights(toy, "base"), weights(toy, "again")
    for name in before:
        frozen = name.startswith(("encoder.blocks.0.", "embedding."))
        assert torch.equal(before[name], after[name]) == frozen, name


def test_adapters_train_and_the_run_holds_merged_weights(toy: Path) -> None:
    dials: dict[str, Any] = {
        "model__start": str(toy / "base"),
        "model__lora_rank": 2,
        "training__average": 0.9,
    }
    said = run(toy, "lora", **dials)
    assert any("LoRA of rank 2 on query, value (8 matrices): 512 weights" in one for one in said)
    before, after = weights(toy, "base"), weights(toy, "lora")
    assert set(before) == set(after)
    changed = {
        name
        for name in before
        if not torch.equal(before[name], after[name]) and not name.startswith("head.")
    }
    assert changed == {name for name in before if name.endswith(("query.weight", "value.weight"))}
    checkpoint = Run(toy / "lora").latest_checkpoint()
    assert checkpoint is not None and any(
        name.endswith("adapter_down") for name in checkpoint.tensors("model.safetensors")
    )
    load(toy / "lora").predict(["the [MASK]"])
    run(toy, "lora-killed", until=2, **dials)
    # an unfinished run: its checkpoint's adapters are added
    assert load(toy / "lora-killed").predict(["the [MASK]"])
    run(toy, "lora-killed", resume=True, **dials)
    for name, tensor in after.items():
        assert torch.equal(tensor, weights(toy, "lora-killed")[name]), name


def test_a_head_that_other_options_ask_for_is_new(toy: Path) -> None:
    (toy / "labelled.tsv").write_text(
        "text\tlabel\n" + "the cats run\tyes\nthe dogs sleep\tno\n" * 8
    )
    text = TOY.replace('"masked-words"\nwindow = 16', '"classification"')
    text = text.replace("train.txt", "labelled.tsv").replace("dev.txt", "labelled.tsv")
    (toy / "labelled.toml").write_text(text)
    run(toy, "labelled", named="labelled")
    for hidden, said in (
        ("false", "its head."),
        ("true", "the head with 306 weights is new: its options differ."),
    ):
        told = run(
            toy,
            f"labelled-{hidden}",
            named="labelled",
            model__start=str(toy / "labelled"),
            task__hidden=hidden,
        )
        assert any(one.startswith("Taken from") and one.endswith(said) for one in told), told


def test_a_started_run_that_was_killed_at_once_starts_from_there_again(toy: Path) -> None:
    recipe = Recipe.load(toy / "toy.toml", {"model.start": str(toy / "base")})
    prepare(recipe, toy / "at-once")
    again = prepare(recipe, toy / "at-once", resume=True)
    assert torch.equal(
        again.job.model.state_dict()["embedding.weight"], weights(toy, "base")["embedding.weight"]
    )


def test_a_student_with_every_second_layer(toy: Path) -> None:
    dials: dict[str, Any] = {
        "model__start": str(toy / "base"),
        "model__start_layers": "0,2",
        "training__teacher": str(toy / "base"),
    }
    said = run(toy, "student", training__log_every_steps=1, **dials)
    assert any("encoder layers 0, 2" in one for one in said) and any(
        "The teacher is" in one for one in said
    )
    line = next(line for line in Run(toy / "student").read_metrics() if line["split"] == "train")
    assert line["soft"] > 0 and 0 < line["cosine_distance"] < 2
    student = load(toy / "student")
    assert student.model.config.encoder.layers == 2 and set(student.task.options) == set(
        load(toy / "base").task.options
    )
    assert Recipe.load(toy / "student").model.start_layers == [0, 2]


@pytest.mark.parametrize(
    ("task", "preset"),
    [("language-modelling", "decoder-tiny"), ("translation", "transformer-tiny")],
)
def test_what_writes_is_taught_by_all_its_states(toy: Path, task: str, preset: str) -> None:
    text = (
        TOY.replace('"masked-words"', f'"{task}"')
        .replace("window = 16\n", "")
        .replace("encoder-tiny", preset)
    )
    if task == "translation":
        (toy / "pairs.tsv").write_text(
            "".join(f"the cats run\tred {'dogs ' * (number % 5 + 3)}\n" for number in range(20))
        )
        text = text.replace("train.txt", "pairs.tsv").replace("dev.txt", "pairs.tsv")
    (toy / f"{task}.toml").write_text(text)
    run(toy, task, named=task)
    start: dict[str, Any] = {"model__start": str(toy / task), "training__teacher": str(toy / task)}
    run(
        toy,
        f"{task}-student",
        named=task,
        training__log_every_steps=1,
        training__learning_rate="1e-9",
        **start,
    )
    line = next(
        line for line in Run(toy / f"{task}-student").read_metrics() if line["split"] == "train"
    )
    # of dropout alone: it is the mean of its like, not a sum over a shorter side
    assert 0 <= line["cosine_distance"] < 0.2


def test_what_has_more_tokens_than_positions_is_said_before_training(toy: Path) -> None:
    text = TOY.replace('"masked-words"\nwindow = 16', '"translation"').replace(
        "encoder-tiny", "transformer-tiny"
    )
    (toy / "long.toml").write_text(
        text.replace("train.txt", "short.tsv").replace("dev.txt", "short.tsv")
    )
    (toy / "short.tsv").write_text("the cats run\tdogs sleep\n" * 9)
    (toy / "long.tsv").write_text("the cats run\tdogs sleep\n" * 9 + f"dogs\t{'cats ' * 40}\n")
    dials = {"model.positions": "learned", "model.max_positions": "30"}
    for part, said in (
        ("train", "Leave such examples out with data.longest"),
        ("validation", "Remove it from the validation data"),
    ):
        recipe = Recipe.load(toy / "long.toml", {**dials, f"data.{part}": str(toy / "long.tsv")})
        with pytest.raises(
            UsageError,
            match=rf"long.tsv:10 has \d+ target tokens, but the model has 30 positions .*{said}",
        ):
            prepare(recipe, toy / "refused", dry=True)
    prepare(
        Recipe.load(
            toy / "long.toml", {**dials, "data.train": str(toy / "long.tsv"), "data.longest": "30"}
        ),
        toy / "refused",
        dry=True,
    )


def test_too_few_micro_batches_are_refused_before_the_folder_is_written(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.resolve.world", lambda: World(0, 2))
    with pytest.raises(UsageError, match=r"batches\.accumulate 2 or more"):
        prepare(Recipe.load(toy / "toy.toml"), toy / "shared")
    assert not (toy / "shared").exists()


def test_layers_are_copied_before_training(toy: Path) -> None:
    recipe = Recipe.load(
        toy / "toy.toml", {"model.start": str(toy / "base"), "model.start_layers": [1, 3]}
    )
    state = prepare(recipe, toy / "dry", dry=True).job.model.state_dict()
    base = weights(toy, "base")
    for place, layer in enumerate((1, 3)):
        name = "encoder.blocks.{}.feed_forward.inner.weight"
        assert torch.equal(state[name.format(place)], base[name.format(layer)])


def test_a_started_run_may_drop_out_more(toy: Path) -> None:
    recipe = Recipe.load(
        toy / "toy.toml",
        {
            "model.start": str(toy / "base"),
            "model.dropout": "0.3",
            "model.attention_dropout": "0.2",
        },
    )
    made: Any = prepare(recipe, toy / "dropping", dry=True).job.model
    assert (made.config.encoder.dropout, made.config.encoder.attention_dropout) == (0.3, 0.2)
    assert Recipe.parse(recipe.to_toml()).model == recipe.model
    again = Recipe.parse(
        recipe.to_toml(), overrides={"model.start": "elsewhere", "model.attention_dropout": "0"}
    )
    assert again.model.dials == {"dropout": 0.3, "attention_dropout": 0}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"model.dropout": "1"}, "from 0 to below 1"),
        ({"model.start_layers": "0,9"}, "from 0 to 3"),
        ({"model.start_layers": "0,0"}, "different layers"),
        ({"model.lora_rank": "0"}, "a whole number of at least 1"),
        ({"model.lora_rank": "2", "model.lora_targets": "qery"}, "Did you mean 'query'"),
        ({"model.lora_rank": "2", "model.lora_targets": "[]"}, "names no layer to adapt"),
        ({"model.lora_alpha": "32"}, "set model.lora_rank too"),
        ({"training.teacher": "nowhere"}, "no run folder"),
        ({"training.freeze": "encoder.block"}, "Unknown part of the model"),
    ],
)
def test_what_cannot_be_started_is_said(toy: Path, overrides: dict[str, str], said: str) -> None:
    from triptych.errors import TriptychError
    from triptych.training.trainer import Interrupt, Loop

    with pytest.raises(TriptychError, match=said):
        recipe = Recipe.load(toy / "toy.toml", {"model.start": str(toy / "base"), **overrides})
        Loop(prepare(recipe, toy / "refused", dry=True).job, Interrupt())


def test_a_teacher_with_another_tokenizer_is_refused(toy: Path) -> None:
    recipe = Recipe.load(
        toy / "toy.toml",
        {"training.teacher": str(toy / "base"), "tokenizer.vocabulary_size": "300"},
    )
    with pytest.raises(UsageError, match="another tokenizer"):
        prepare(recipe, toy / "refused", dry=True)


def test_adapters_need_a_start(toy: Path) -> None:
    recipe = Recipe.load(toy / "toy.toml", {"model.lora_rank": "4"})
    with pytest.raises(UsageError, match=r"Name the run with model\.start"):
        prepare(recipe, toy / "refused", dry=True)


def test_dials_of_the_start_survive_the_recipe(toy: Path) -> None:
    given = {
        "model.start": str(toy / "base"),
        "model.lora_rank": "4",
        "model.lora_targets": "query,output",
    }
    recipe = Recipe.load(toy / "toy.toml", given)
    again = Recipe.parse(recipe.to_toml())
    assert again.model == recipe.model and again.model.lora_targets == ["query", "output"]
    assert "lora_rank" not in Recipe.load(toy / "toy.toml").to_toml()
    with pytest.raises(UsageError, match=r"model\.width cannot be given as well"):
        Recipe.load(toy / "toy.toml", {**given, "model.width": "32"})
