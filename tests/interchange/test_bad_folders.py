"""Folders of any family that were damaged or put together wrongly: a sentence, nothing left."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import toys_of_both
import toys_of_decoders
import toys_of_encoders
from published_folders import write
from safetensors.torch import load_file, save_file

from triptych.convert import import_folder
from triptych.data.tokenizers.panics import may_not_end, unheard
from triptych.errors import DataError, RunError
from triptych.inference.loading import load

TOYS = {
    "encoder": toys_of_encoders.TOYS["RobertaForMaskedLM"],
    "decoder": toys_of_decoders.TOYS["llama"],
    "tied decoder": toys_of_decoders.TOYS["gemma3"],
    "encoder-decoder": toys_of_both.TOYS["bart"],
}
EMBEDDINGS = {  # names of the embedding, which are tied but in "decoder"
    "encoder": ("roberta.embeddings.word_embeddings.weight", "lm_head.decoder.weight"),
    "decoder": ("lm_head.weight",),
    "tied decoder": ("model.embed_tokens.weight", "lm_head.weight"),
    "encoder-decoder": ("model.shared.weight", "lm_head.weight"),
}
WIDTHS = {"encoder-decoder": "d_model"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("toys")
    for number, toy in enumerate(TOYS.values()):
        write(toy, root / str(number))
    return {name: root / str(number) for number, name in enumerate(TOYS)}


@pytest.fixture(params=TOYS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def source(folders: dict[str, Path], kind: str, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(folders[kind], tmp_path / "toy"))


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_tensors(source: Path, act: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    held = load_file(source / "model.safetensors")
    act(held)
    save_file(held, source / "model.safetensors", {"format": "pt"})


def refused(source: Path, said: str) -> None:
    """The import fails with these words, and leaves nothing behind."""
    with pytest.raises(RunError, match=said):
        import_folder(source, source.parent / "run")
    assert [one.name for one in source.parent.iterdir()] == [source.name]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_file_is_missing(source: Path, name: str) -> None:
    (source / name).unlink()
    refused(source, f"has no {name}")


@pytest.mark.parametrize(
    ("kind", "given", "nearest"),
    [
        ("encoder", "robreta", "roberta"),
        ("decoder", "llama4", "llama"),
        ("tied decoder", "gemma3", "gemma3_text"),
        ("decoder", "gpt_neo", "gpt_neox"),
        ("encoder-decoder", "m2m_10", "m2m_100"),
    ],
)
def test_an_unknown_family_names_the_nearest(source: Path, given: str, nearest: str) -> None:
    change(source / "config.json", model_type=given)
    refused(source, f"of model_type '{given}'; triptych takes .*The nearest is {nearest}\\.")


def test_sizes_contradict_the_tensors(source: Path, kind: str) -> None:
    key = WIDTHS.get(kind, "hidden_size")
    change(source / "config.json", **{key: 64})
    refused(source, r"(describes a model of|has shape .* instead of)")
    change(source / "config.json", **{key: 32, "vocab_size": 400})
    refused(source, r"(describes a model of|has shape \(300, 32\) instead of \(400, 32\))")
    change(source / "config.json", vocab_size=200)
    refused(source, "(has 300 tokens but the model's embedding has 200|describes a model of)")


def test_layers_are_missing(source: Path, kind: str) -> None:
    number = "2" if kind == "tied decoder" else "1"
    part = f".{number}."
    change_tensors(source, lambda held: [held.pop(one) for one in list(held) if part in one])
    refused(source, r"(describes a model of|is missing)")


def test_tensors_that_are_no_numbers(source: Path, kind: str) -> None:
    name = EMBEDDINGS[kind][0]
    change_tensors(source, lambda held: held[name][7].fill_(float("nan")))
    refused(source, rf"NaN or infinite, in {name} \(32\)")


def test_tied_weights_are_missing(source: Path, kind: str) -> None:
    names = EMBEDDINGS[kind]
    change_tensors(source, lambda held: [held.pop(one, None) for one in names])
    refused(source, rf"(describes a model of|'{names[0]}' is missing)")


@pytest.mark.parametrize("kind", ["tied decoder"])
def test_tied_weights_under_their_second_name(source: Path, kind: str) -> None:
    """Files of some versions hold only that; a different one beside it is refused."""
    first, second = EMBEDDINGS[kind]
    change_tensors(source, lambda held: held.update({second: held[first] + 1}))
    refused(source, f"'{second}' differs from '{first}', but they should be tied")
    change_tensors(source, lambda held: held.pop(first))
    import_folder(source, source.parent / "run")


def test_a_truncated_shard(source: Path) -> None:
    held = load_file(source / "model.safetensors")
    names = list(held)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in shards.items():
        save_file({name: held[name] for name in own}, source / file)
    places = {name: file for file, own in shards.items() for name in own}
    index = source / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    (source / "model.safetensors").unlink()
    whole = (source / "b.safetensors").read_bytes()
    for size in (4, 40, len(whole) // 2, len(whole) - 1):
        (source / "b.safetensors").write_bytes(whole[:size])
        refused(source, "b.safetensors")
    (source / "b.safetensors").unlink()
    refused(source, "lacks b.safetensors")
    (source / "b.safetensors").write_bytes(whole)
    import_folder(source, source.parent / "run")


def test_two_tokenizers(source: Path) -> None:
    for name in ("source.spm", "target.spm"):
        (source / name).write_bytes(b"")
    (source / "tokenizer.json").unlink()
    refused(source, "It has two tokenizers, source.spm and target.spm")


def test_tokens_beyond_the_vocabulary(source: Path) -> None:
    path = source / "tokenizer.json"
    values = json.loads(path.read_text())
    added = {**values["added_tokens"][-1], "id": 5000, "content": "<far>"}
    change(path, added_tokens=[*values["added_tokens"], added])
    refused(source, "(these files are not of one model|is not a tokenizer.json)")


@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_a_begin_or_an_end_beyond_the_vocabulary(source: Path) -> None:
    for key in ("eos_token_id", "decoder_start_token_id"):
        change(source / "config.json", **{key: 5000})
        change(source / "generation_config.json", **{key: 5000})
    refused(source, "5000")


@pytest.mark.parametrize("kind", ["decoder"])
def test_a_pattern_that_never_ends(source: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The import may succeed; a text that makes the pattern go on for ever gets a sentence.

    The report of the library's panic is not printed; what others print meanwhile is.
    """
    path = source / "tokenizer.json"
    pattern = {
        "type": "Split",
        "pattern": {"Regex": "(x+x+)+y"},
        "behavior": "Isolated",
        "invert": False,
    }
    before = json.loads(path.read_text())["pre_tokenizer"]
    both = {"type": "Sequence", "pretokenizers": [pattern, before]}
    change(path, pre_tokenizer=both)
    import_folder(source, source.parent / "run")
    predictor = load(source.parent / "run")
    with pytest.raises(DataError, match="cannot cut 'xxx.*retry-limit"):
        predictor.predict(["x" * 40], max_length=2)
    assert predictor.predict(["the cat"], max_length=2)
    with pytest.raises(DataError, match="cannot cut 'xxx"):
        predictor.tokenizers.source.encode_batch(["x" * 40])
    with unheard():
        os.write(2, b"meanwhile")
    assert capfd.readouterr().err == "meanwhile"


@pytest.mark.parametrize(
    ("pattern", "guarded"),
    [
        ("(x+x+)+y", True),
        ("(?:a|b*)*", True),
        ("((x+)y?){2,}", True),
        ("'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+|\\s+(?!\\S)|\\s+", False),
        ("(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s*[\\r\\n]+", False),
    ],
)
def test_patterns_that_may_never_end_are_known(pattern: str, guarded: bool) -> None:
    steps = [{"type": "Split", "pattern": {"Regex": pattern}}]
    assert may_not_end({"pre_tokenizer": {"pretokenizers": steps}}) is guarded


@pytest.mark.parametrize("kind", ["decoder"])
@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification"])
def test_a_decoder_with_a_head_of_another_task(source: Path, head: str) -> None:
    change(source / "config.json", architectures=[f"LlamaFor{head}"])
    refused(source, f"is of class LlamaFor{head}, a decoder with a head that does not write")
