"""What the fuzzer found in files of runs and recipes: each is a sentence that names the file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toy_folder import write
from triptych.api import train
from triptych.convert import import_folder
from triptych.data.table import DataTable
from triptych.data.tokenizers import loading
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import RunError, UsageError
from triptych.inference.loading import load
from triptych.recipe.merge import anchored
from triptych.recipe.schema import Recipe
from triptych.runs.files import checked_labels, lacking_labels
from triptych.runs.run import Run
from triptych.tasks.specs import SPECS
from triptych.tasks.turns import ChatTemplate
from triptych.training.checkpoint import LoopState, restore
from triptych.training.resuming import fingerprints_of, refuse_other_data, remember

STATE = {
    "version": 1,
    "optimizer": "adamw",
    "seed": 1,
    "position": {"epoch": 0, "shard": 0, "buffer": 0, "cursor": 1, "number": 3},
    "data": {},
    "loop": asdict(LoopState(step=3, saved_step=3, seconds=1.5, best_score=float("nan"))),
}


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A run that classifies, trained for one step."""
    rows = "".join(f"text {place}\t{('good', 'bad')[place % 2]}\n" for place in range(40))
    (tmp_path / "a.tsv").write_text(f"text\tlabel\n{rows}")
    dials = {"preset": "encoder-tiny", "width": 16, "heads": 2, "layers": 1, "inner_width": 32}
    recipe = Recipe.from_values(
        {
            "task": {"name": "classification"},
            "data": {"train": str(tmp_path / "a.tsv")},
            "tokenizer": {"vocabulary_size": 300},
            "model": dials,
            "training": {"steps": 1, "warmup_steps": 1, "precision": "float32"},
        }
    )
    for _ in train(recipe, tmp_path / "run"):
        pass
    return tmp_path / "run"


def lacking(labels: dict[str, Any], task: str, path: Path) -> None:
    lacking_labels(labels, SPECS[task].labels, task, path)


def restored(run: Run, values: Any) -> LoopState:
    """Restore the checkpoint of step 3 whose state.json holds `values`."""
    run.path.mkdir(exist_ok=True)
    run.write_checkpoint(3, {"model.safetensors": {}}, values)
    nothing: Any = SimpleNamespace(load=lambda *given: None)
    empty = SimpleNamespace(state_dict=dict)
    batches = SimpleNamespace(restore=lambda position: None)
    settings = SimpleNamespace(optimizer="adamw", seed=1, checkpoint_address=None)
    job: Any = SimpleNamespace(
        run=run, settings=settings, batches=batches, model=empty, head=empty, data={}
    )  # fmt: skip
    return restore(job, nothing, nothing, [])


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Put a value at a path of keys with dots; None takes the key out."""
    *keys, last = path.split(".")

    def change_it(values: dict[str, Any]) -> None:
        for key in keys:
            values = values[key]
        values.pop(last) if value is None else values.__setitem__(last, value)

    return change_it


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("loop.step", None, "its steps are not those of step 3"),  # went round without end
        ("loop.step", 2, "its steps are not those of step 3"),
        ("loop.saved_step", 4, "its steps are not those of step 3"),
        ("loop.tokens", [1], r"tokens is \[1\]"),
        ("loop.tokens", -1, "tokens is -1"),
        ("loop.metrics_bytes", 10**20, "metrics_bytes is 100000000000000000000"),
        ("loop.seconds", "1", "seconds is '1'"),
        ("loop.seconds", float("inf"), "its clock is not a number"),
        ("loop.stopped_early", 1, "stopped_early is 1"),
        ("loop.interval.sums", {"loss": 3}, "sums is {'loss': 3}"),
        ("loop.interval", {"x": 1}, "TypeError"),
        ("loop.x", 1, "TypeError"),
        ("loop", 3, "TypeError"),
        ("position.cursor", None, "KeyError: 'cursor'"),
        ("position.epoch", "0", "epoch is '0'"),
        ("position.number", -1, "number is -1"),
        ("data", 3, "TypeError"),
    ],
)
def test_a_state_of_another_shape(tmp_path: Path, path: str, value: Any, said: str) -> None:
    assert restored(Run(tmp_path / "whole"), STATE).step == 3
    values = copy.deepcopy(STATE)
    change(path, value)(values)
    with pytest.raises(RunError, match=rf"state\.json does not hold the state .*{said}"):
        restored(Run(tmp_path / "damaged"), values)


def test_a_tokenizer_whose_ids_have_gaps(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    values = json.loads(Tokenizer.train(["one two"], "bytes", 300).to_json())
    values["tokenizer"]["model"]["vocab"]["<0x41>"] = 5000
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"tokenizer\.json is not a whole .*no token has the id \d+"):
        loading.load(path)


def test_a_tag_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    values = json.loads(Tokenizer.train(["one two"], "bytes", 300, ["de"]).to_json())
    values["triptych"]["tags"] = [1]
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"tokenizer\.json is not a whole .*a tag is not a text"):
        loading.load(path)


@pytest.mark.parametrize("size", [10**400, -1, 1 << 63, float("inf")])
def test_a_shape_that_no_tensor_has(tmp_path: Path, size: float) -> None:
    source = write(tmp_path / "toy")
    path = source / "model.safetensors"
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    next(info for name, info in header.items() if "shape" in info)["shape"] = [size]
    text = json.dumps(header).encode()  # Infinity too
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(RunError, match=r"model\.safetensors .*is cut off or damaged"):
        import_folder(source, tmp_path / "run")


def test_tags_that_the_tokenizer_lacks(tmp_path: Path) -> None:
    import_folder(write(tmp_path / "toy"), tmp_path / "run")
    labels = tmp_path / "run" / "labels.json"
    labels.write_text(json.dumps({**json.loads(labels.read_text()), "tags": ["user"]}))
    with pytest.raises(RunError, match=r"has no tag for user, which labels\.json names"):
        load(tmp_path / "run")


def test_the_rules_for_words_are_needed(tmp_path: Path) -> None:
    labels = {"names": [], "scheme": "plain", "written": "plain", "unit": "word", "spaces": "text"}
    with pytest.raises(RunError, match=r"has no 'words\.rules', which a run for tagging needs"):
        lacking_labels(
            {**labels, "words": {}}, SPECS["tagging"].labels, "tagging", tmp_path / "labels.json"
        )
    lacking_labels(
        {**labels, "words": {"rules": "unicode"}},
        SPECS["tagging"].labels,
        "tagging",
        tmp_path / "labels.json",
    )


@pytest.mark.parametrize("task", ["translation", "text-to-text"])
def test_target_languages_are_needed_and_texts(tmp_path: Path, task: str) -> None:
    path = tmp_path / "labels.json"
    with pytest.raises(RunError, match=r"has no 'languages\.targets'"):
        lacking({"languages": {"source": []}}, task, path)
    with pytest.raises(RunError, match="'languages' is .* not an object of lists"):
        checked_labels({"languages": {"targets": [["de"], "fr"]}}, path)


@pytest.mark.parametrize("task", ["chat", "preference"])
def test_each_role_of_a_template_is_needed(tmp_path: Path, task: str) -> None:
    template = {role: "x" for role in ("system", "user", "assistant")}
    lacking_labels(
        {"tags": [], "template": template}, SPECS[task].labels, task, tmp_path / "labels.json"
    )
    template.pop("user")
    with pytest.raises(UsageError, match="has no form for user"):
        ChatTemplate(template)
    with pytest.raises(RunError, match=r"has no 'template\.user'"):
        lacking_labels(
            {"tags": [], "template": template}, SPECS[task].labels, task, tmp_path / "labels.json"
        )


def test_a_head_is_held_against_the_weights(labelled: Path) -> None:
    assert load(labelled).labels["labels"] == ["bad", "good"]
    labels, path = labelled / "labels.json", labelled / "config.json"
    before = labels.read_text()
    labels.write_text(json.dumps({"labels": ["a", "b", "c"]}))
    with pytest.raises(
        RunError, match=r"describes a head whose .* has shape \(3.*so they are from different runs"
    ):
        load(labelled)
    labels.write_text(before)
    values = json.loads(path.read_text())
    values["options"]["bigrams"] = 10**20
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"config\.json holds .*task\.bigrams is 1000.*64 bits"):
        load(labelled)
    values["options"]["bigrams"] = 2**62
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"config\.json has options for a head that cannot be built"):
        load(labelled)


def test_a_run_for_masked_words_needs_a_mask(labelled: Path) -> None:
    labels = labelled / "labels.json"
    labels.write_text(json.dumps({**json.loads(labels.read_text()), "mask": True}))
    with pytest.raises(RunError, match="has no mask token, which masked words need"):
        load(labelled)


def test_the_scale_of_a_number_is_whole(tmp_path: Path) -> None:
    scale = {"mean": 0.0, "deviation": 1, "low": 0.0, "high": 5.0}
    lacking_labels(
        {"value": scale}, SPECS["classification"].labels, "classification", tmp_path / "labels.json"
    )
    scale.pop("high")
    with pytest.raises(RunError, match=r"has no 'value\.high'"):
        lacking_labels(
            {"value": scale},
            SPECS["classification"].labels,
            "classification",
            tmp_path / "labels.json",
        )


def test_a_shard_with_a_name_that_no_system_takes(tmp_path: Path) -> None:
    source = write(tmp_path / "toy")
    (source / "model.safetensors").unlink()
    index = {"weight_map": {"a": "a" * 300}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        RunError, match=r"lacks a+ \.\.\., which model\.safetensors\.index\.json names"
    ):
        import_folder(source, tmp_path / "run")


def test_a_file_name_with_nul_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"data\.train is 'a\\x00b'; a file name cannot have a NUL"
    ):
        anchored({"data": {"train": ["a\0b"]}}, Path())


def test_a_mark_of_data_without_content_differs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    table = DataTable(train=str(tmp_path / "a.txt"))
    run = Run.create(tmp_path / "run")
    marks = fingerprints_of(table, {"train": [], "validation": []})
    remember(run, marks, [])
    refuse_other_data(run, marks, False, print)
    run.write_json("data.json", {"train": {"a": {}}})
    with pytest.raises(RunError, match="a is no longer there"):
        refuse_other_data(run, marks, False, print)


def test_a_classifier_needs_the_labels_that_it_learns(labelled: Path) -> None:
    labels, path = labelled / "labels.json", labelled / "config.json"
    values = json.loads(path.read_text())
    values["options"]["learn"] = "value"
    path.write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"learn = 'value' needs 'value' in labels\.json"):
        load(labelled)
    values["options"]["learn"] = "label"
    path.write_text(json.dumps(values))
    labels.write_text("{}")
    with pytest.raises(RunError, match=r"learn = 'label' needs 'labels' in labels\.json"):
        load(labelled)
