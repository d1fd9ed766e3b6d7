"""Folders of another library that were damaged or made to harm: a sentence, nothing left behind,
and no long wait.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import toy_llama
from toy_folder import CONFIG, word_piece, write
from triptych.convert import export_run, exports, import_folder, open_origin
from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.errors import DataError, RunError, UsageError
from triptych.inference.loading import load
from triptych.runs.run import Run
from triptych.runs.sizes import (
    _group_limits,
    available_memory,
    bytes_needed,
    parameter_count,
    refuse_too_large,
)

DEEP = "[" * 100_000 + "]" * 100_000
CONFIGS = {  # the text of a config.json -> what is said
    json.dumps({**CONFIG, "model_type": ["bert"]}): r"of model_type \['bert'\]",
    json.dumps({**CONFIG, "model_type": None}): "of model_type None",
    json.dumps({**CONFIG, "hidden_size": "8"}): "hidden_size is '8'",
    json.dumps({**CONFIG, "hidden_size": [8]}): r"hidden_size is \[8\]",
    json.dumps({**CONFIG, "hidden_size": 2**63}): "hidden_size is 9223372036854775808",
    json.dumps({**CONFIG, "vocab_size": 2**64}): "vocab_size is 18446744073709551616",
    json.dumps({**CONFIG, "hidden_dropout_prob": 10**30}): "hidden_dropout_prob is 1000",
    json.dumps({**CONFIG, "hidden_act": "\ud800"}): "half a character",
    json.dumps({**CONFIG, "note": "\ud800"}): "half a character",
    json.dumps(
        {**CONFIG, "num_hidden_layers": 10**9}
    ): r"model of [\d,]+ weights in 1,000,000,000 layers .* holds [\d,]+ weights",
    json.dumps(
        {**CONFIG, "vocab_size": 10**12}
    ): r"model of 8,000,0[\d,]+ weights in 2 layers .* holds [\d,]+ weights in 39 tensors",
    json.dumps(
        {**CONFIG, "hidden_size": 10**9, "num_attention_heads": 1}
    ): r"model of [\d,]+ weights in 2 layers",
    '{"model_type": "bert", "x": ' + DEEP + "}": "config.json",
    '{"model_type": "bert", "x": ' + "9" * 5000 + "}": "config.json",
    "[]": "config.json",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "toy-bert")


@pytest.mark.parametrize(("text", "said"), CONFIGS.items(), ids=range(len(CONFIGS)))
def test_no_number_of_a_config_is_believed(
    source: Path, tmp_path: Path, text: str, said: str
) -> None:
    (source / "config.json").write_text(text)
    with pytest.raises(RunError, match=said):
        import_folder(source, tmp_path / "run")
    with pytest.raises(RunError):
        open_origin(source, "classification").read_config()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toy-bert"]


def changed_tokenizer(**parts: Any) -> str:
    values = json.loads(word_piece().to_str())
    model = {**values["model"], **parts.pop("model", {})}
    return json.dumps({**values, "model": model, **parts})


def test_tokenizers_that_do_not_fit_or_break(source: Path, tmp_path: Path) -> None:
    values = json.loads(word_piece().to_str())
    vocabulary = {
        word: number for word, number in values["model"]["vocab"].items() if word != "[UNK]"
    }
    added = [one for one in values["added_tokens"] if one["content"] != "[UNK]"]
    cases = {
        changed_tokenizer(model={"vocab": vocabulary}, added_tokens=added): r"no token '\[UNK\]'",
        changed_tokenizer(
            model={"vocab": {**vocabulary, "[UNK]": 1, "the": 4_000_000_000}}
        ): "the token 'the' the number 4,000,000,000",
        changed_tokenizer(
            model={"vocab": {**vocabulary, "[UNK]": 1, "the": 2**70}}
        ): "is not a tokenizer.json",
        changed_tokenizer(
            model={"vocab": {**vocabulary, "[UNK]": 1, "\ud800": 8}}
        ): "is not a tokenizer.json",
        "[" * 100_000: "is not a tokenizer.json",
        changed_tokenizer(
            pre_tokenizer={
                "type": "Split",
                "pattern": {"Regex": "("},
                "behavior": "Removed",
                "invert": False,
            }
        ): "is not a",
    }
    for text, said in cases.items():
        (source / "tokenizer.json").write_text(text)
        with pytest.raises(RunError, match=said):
            import_folder(source, tmp_path / "run")
    (source / "tokenizer.json").write_text(word_piece().to_str())
    for wrong in ({"mask_token": 2**70}, {"mask_token": "\u20ac"}, {"mask_token": ["x"]}):
        (source / "tokenizer_config.json").write_text(json.dumps(wrong))
        import_folder(source, tmp_path / f"run-{len(list(tmp_path.iterdir()))}")


class PanicException(BaseException):
    """As pyo3 names what a panic of Rust code raises."""


def test_panics_are_sentences(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import_folder(source, source.parent / "run")
    tokenizer = load(source.parent / "run").tokenizers.source

    class Broken:
        def __init__(self, problem: BaseException) -> None:
            self.problem = problem

        def encode(self, *_: Any, **__: Any) -> None:
            raise self.problem

        encode_batch = encode_batch_fast = decode = encode

    uses = (
        lambda: tokenizer.encode("the"),
        lambda: tokenizer.encode_batch(["the"]),
        lambda: tokenizer.words("the"),
        lambda: tokenizer.encode_with_offsets("the"),
    )
    monkeypatch.setattr(tokenizer, "_backend", Broken(PanicException("regex went on too long")))
    for use in uses:
        with pytest.raises(DataError, match="cannot cut 'the' into tokens .regex went on"):
            use()
    monkeypatch.setattr(tokenizer, "_backend", Broken(KeyboardInterrupt()))
    for use in uses:
        with pytest.raises(KeyboardInterrupt):
            use()


def test_a_pattern_that_backtracks_is_a_sentence() -> None:
    """The real library gives up by a panic."""
    pattern = {
        "type": "Split",
        "pattern": {"Regex": "(x+x+)+y"},
        "behavior": "Isolated",
        "invert": False,
    }
    tokenizer = ImportedTokenizer.take(changed_tokenizer(pre_tokenizer=pattern), "tokenizer.json")
    assert tokenizer.encode("the")
    with pytest.raises(DataError, match="cannot cut 'xxx.*retry-limit"):
        tokenizer.encode("x" * 40)


def test_weights_that_are_no_numbers_are_refused_unless_asked_for(
    source: Path, tmp_path: Path
) -> None:
    held = load_file(source / "model.safetensors")
    held["encoder.layer.1.output.dense.bias"][2] = float("nan")
    held["pooler.dense.weight"][0, 1:3] = float("inf")
    save_file(held, source / "model.safetensors")
    with pytest.raises(
        RunError,
        match=(
            r"NaN or infinite, in (encoder.layer.1.output.dense.bias \(1\), pooler.dense.weight "
            r"\(2\)).*nonfinite"
        ),
    ):
        import_folder(source, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    import_folder(source, tmp_path / "run", allow_nonfinite=True)
    assert (
        torch.isnan(
            load_file(tmp_path / "run" / "model.safetensors")[
                "encoder.blocks.1.feed_forward.output.bias"
            ]
        ).sum()
        == 1
    )


@pytest.mark.parametrize("place", ["new/deep/run", "empty"])
def test_a_failed_import_leaves_nothing_and_can_be_repeated(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "empty").mkdir()
    out, before = tmp_path / place, sorted(tmp_path.rglob("*"))
    for name, problem in (
        ("write_mapped", RunError("disk")),
        ("write_config", KeyboardInterrupt()),
        ("write_card", PanicException()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Run, name, lambda *_, problem=problem: (_ for _ in ()).throw(problem))
            with pytest.raises(type(problem)):
                import_folder(source, out)
        assert sorted(tmp_path.rglob("*")) == before
    left = out.parent / f".{out.name}.writing" / "half"
    left.parent.mkdir(parents=True)  # as a killed process leaves it
    left.write_text("half")
    import_folder(source, out)
    assert (
        load(out).task.name == "embedding"
        and not left.parent.exists()
        and not (out / "half").exists()
    )
    with monkeypatch.context() as patch:
        patch.setattr(
            exports,
            "write_pooling",
            lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
        )
        with pytest.raises(Exception, match="disk is full"):
            export_run(out, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    export_run(out, tmp_path / "out")


def test_a_llama_file_of_many_equal_pieces_is_refused_at_once(tmp_path: Path) -> None:
    source = toy_llama.write(tmp_path / "toy")
    pieces = [*toy_llama.pieces()[:3], *[(b" cat", 0.0)] * 273]
    (source / "tok276.bin").write_bytes(toy_llama.tokenizer_bytes(pieces))
    with pytest.raises(RunError, match="holds 1 tokens twice, first ' cat'"):
        import_folder(source, tmp_path / "run")


# Sizes --------------------------------------------------------------------------------------------


def test_a_run_that_describes_more_than_it_holds(source: Path, tmp_path: Path) -> None:
    import_folder(source, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    values = json.loads(path.read_text())
    for dials in ({"layers": 10**9}, {"layers": 100_000}, {"inner_width": 10**12}):
        path.write_text(
            json.dumps(
                {
                    **values,
                    "model": {
                        **values["model"],
                        "encoder": {**values["model"]["encoder"], **dials},
                    },
                }
            )
        )
        with pytest.raises(
            RunError,
            match=(
                r"config.json describes a model of [\d,]+ weights .* model.safetensors holds "
                r"[\d,]+ weights"
            ),
        ):
            load(tmp_path / "run")
    path.write_text(json.dumps({**values, "model": {**values["model"], "vocabulary_size": 10**12}}))
    with pytest.raises(RunError, match="describes a model of"):
        load(tmp_path / "run")


def test_the_bound_is_arithmetic() -> None:
    from triptych.presets import PRESETS, configure

    huge = configure("gpt2", {"layers": 10**9})
    assert parameter_count(huge) == parameter_count(PRESETS["gpt2"]) + (10**9 - 12) * 7_087_872
    assert bytes_needed(huge, 16) > 16 * parameter_count(huge)
    small = configure("gpt2", {"layers": 1})
    needed = bytes_needed(small, 16, 4096)
    assert needed == 16 * parameter_count(small) + 40_000 + 2 * 4096 * 3072
    refuse_too_large(small, 16, 4096, needed)
    with pytest.raises(
        UsageError,
        match=(
            r"needs at least 0.2 GB to train \(16 bytes a weight, 4,096 tokens a micro-batch\), "
            r"but only 0.2 GB"
        ),
    ):
        refuse_too_large(small, 16, 4096, needed - 1)
    assert 0 < (available_memory() or 1) < 1 << 60


def test_the_memory_of_a_control_group_is_heeded(tmp_path: Path) -> None:
    inside = tmp_path / "cgroup" / "a" / "b"
    inside.mkdir(parents=True)
    (tmp_path / "own").write_text("0::/a/b\n")
    for folder, limit in ((inside, "max"), (inside.parent, "1000")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("700\n")
        (folder / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert _group_limits(tmp_path / "cgroup", tmp_path / "own") == [450]
    assert _group_limits(tmp_path / "cgroup", tmp_path / "none") == []


def test_training_asks_before_it_builds(tmp_path: Path) -> None:
    from triptych.recipe.schema import Recipe
    from triptych.setup.job import prepare

    text = (
        '[task]\nname = "language-modelling"\n[model]\npreset = "decoder-tiny"\nlayers = %s\n'
        '[data]\ntrain = "none.txt"\n'
    )
    text += "[training]\nsteps = 1\n"
    with pytest.raises(
        UsageError,
        match=(
            r"in 1,000,000,000 layers needs at least [\d,.]+ GB to train .*, "
            r"but only [\d,.]+ GB of memory"
        ),
    ):
        prepare(Recipe.parse(text % 10**9), tmp_path / "run")
    assert not os.listdir(tmp_path)
