"""Test GPT-2 and Llama in the format of transformers, in and out: equal logits, ids and tensors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from triptych.convert import export_run, import_folder
from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.errors import RunError
from triptych.inference.loading import load
from triptych.interchange import gpt2, llama
from triptych.model.build import build
from triptych.model.config import ModelConfig
from triptych.presets import PRESETS, configure
from triptych.runs.checkpoint import MODEL, weights_of
from triptych.runs.run import Run, RunConfig
from triptych.runs.storage import read_tensors
from triptych.tasks.specs import SPECS
from triptych.tasks.turns import TEMPLATES, ChatTemplate

TEXTS = ["the cat sat", "Ünïcode 貓 and 😀\n  two  lines", "<|endoftext|> <s> is text"]
NONE: Any = None  # a tokenizer, which these families do not ask
GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 300,
    "n_positions": 32,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 4,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new",
    "n_inner": None,
}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 300,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "bos_token_id": 1,
    "eos_token_id": [2, 1],
    "rms_norm_eps": 1e-6,
    "rope_theta": 5000.0,
}


def byte_level() -> tokenizers.Tokenizer:
    """Build a tokenizer like GPT-2's."""
    found = tokenizers.Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    found.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    found.train_from_iterator(["the cat sat on the mat and the other cat"] * 4, trainer)
    return found


def sentence_piece() -> tokenizers.Tokenizer:
    """Build a tokenizer like Llama's: a space first, `<0xE8>` for bytes without a piece."""
    named = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "t",
        "h",
        "e",
        "c",
        "a",
        "th",
        "the",
        "▁the",
        "at",
    ]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("a", "t")]
    vocabulary = {piece: number for number, piece in enumerate(named)}
    found = tokenizers.Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True)
    )
    found.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )  # type: ignore[assignment]
    found.decoder = decoders.Sequence(  # type: ignore[assignment]
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    found.add_special_tokens(["<unk>", "<s>", "</s>"])
    return found


FAMILIES = {"gpt2": (gpt2.FAMILY, GPT2, byte_level), "llama": (llama.FAMILY, LLAMA, sentence_piece)}


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip(
        "transformers",
        reason="transformers, the oracle of imports, is not installed: pip install -e '.[dev]'",
    )


def model_of(transformers: Any, kind: str, tied: bool) -> Any:
    family, values, _ = FAMILIES[kind]
    config = {"gpt2": transformers.GPT2Config, "llama": transformers.LlamaConfig}[kind]
    torch.manual_seed(3)
    model = getattr(transformers, family.classes[0].architecture)(
        config(**values, tie_word_embeddings=tied)
    ).eval()
    with torch.no_grad():  # norms and biases that differ from their start
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", FAMILIES)
def test_in_and_out(transformers: Any, tmp_path: Path, kind: str, tied: bool) -> None:
    there = model_of(transformers, kind, tied)
    there.save_pretrained(tmp_path / "there")
    backend = FAMILIES[kind][2]()
    backend.save(str(tmp_path / "there" / "tokenizer.json"))
    certificate = import_folder(tmp_path / "there", tmp_path / "run")
    predictor, ids = load(tmp_path / "run"), torch.randint(3, 260, (13,))
    assert predictor.task.name == "language-modelling" and predictor.task.options["context"] == 32
    with torch.no_grad():
        states = predictor.model(target=ids, target_lengths=torch.tensor([13]))
        expected = there(ids[None], output_hidden_states=True)
        assert (states - expected.hidden_states[-1][0]).abs().max() < 1e-5
        assert (predictor.model.project(states) - expected.logits[0]).abs().max() < 1e-5
    export_run(tmp_path / "run", tmp_path / "out")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("there", "out"))
    assert before.keys() == after.keys() and all(
        torch.equal(before[name], after[name]) for name in before
    )
    assert certificate.mapped == len(before)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    with torch.no_grad():
        found, wanted = (one(ids[None]).logits for one in (again, there))
    # The same weights lie elsewhere in memory, where some kernels round differently.
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_text()) == json.loads(
        (tmp_path / "there" / "tokenizer.json").read_text()
    )
    tokenizer = predictor.tokenizers.target
    backend.encode_special_tokens = True
    for text in TEXTS:
        assert tokenizer.encode(text) == backend.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode([tokenizer.begin_id, *tokenizer.encode(text)]) == text
    written = predictor.predict([TEXTS[0], ""], max_length=5)
    assert (
        all(len(one.tokens) <= 5 for one in written)
        and list(predictor.stream("the", max_length=4)) is not None
    )
    assert (tokenizer.begin_id, tokenizer.end_id) == ((0, 0) if kind == "gpt2" else (1, 2))


@pytest.mark.parametrize("kind", FAMILIES)
def test_config_there_and_back(kind: str) -> None:
    family, values, _ = FAMILIES[kind]
    assert family.read_config is not None
    config = family.read_config(values, "config.json")
    assert (
        isinstance(config, ModelConfig)
        and not family.refusals(config)
        and config.tied_embeddings == (kind == "gpt2")
    )
    assert family.read_config(family.write_config(config, 8, NONE), "config.json") == config
    base = dataclasses.replace(PRESETS[family.preset], vocabulary_size=300)
    assert (
        isinstance(base, ModelConfig)
        and family.read_config(family.write_config(base, 8, NONE), "config.json") == base
    )


def test_what_a_config_says_that_we_have_not_is_said_at_once() -> None:
    with pytest.raises(RunError) as caught:
        gpt2.read_config(
            {
                **GPT2,
                "n_head": "4",
                "scale_attn_by_inverse_layer_idx": True,
                "embd_pdrop": 0.3,
                "activation_function": "x",
            },
            "c",
        )
    for part in (
        "n_head is '4'",
        "scale_attn_by_inverse_layer_idx is True",
        "embd_pdrop is 0.3, not 0.1 as resid_pdrop",
        "'x', not one of",
    ):
        assert part in str(caught.value)
    values = {
        **LLAMA,
        "head_dim": "8",
        "attention_bias": "yes",
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 1.0},
    }
    del values["hidden_size"], values["vocab_size"]
    assert llama.FAMILY.read_config is not None
    with pytest.raises(RunError) as caught:
        llama.FAMILY.read_config(values, "c/config.json")
    for part in (
        "hidden_size is missing",
        "vocab_size is missing",
        "rope_parameters of rope_type 'llama3' lacks factor",
        "attention_bias is 'yes', not true or false",
        "head_dim is '8'",
    ):
        assert part in str(caught.value)
    for wrong in (
        {"num_key_value_heads": 3},
        {"num_key_value_heads": "2"},
        {"rope_parameters": "default"},
    ):
        with pytest.raises(RunError, match=f"{next(iter(wrong))} is|each must be a multiple"):
            llama.FAMILY.read_config({**LLAMA, **wrong}, "c")


def own_run(folder: Path, preset: str, task: str = "language-modelling", **dials: object) -> Path:
    """Write a run as training would leave it, with a tokenizer of ours."""
    from triptych.data.tokenizers.subwords import Tokenizer

    tokenizer = Tokenizer.train(["the cat sat on the mat"] * 3, "characters", 400)
    config = configure(
        preset, {"layers": 1, "width": 8, "heads": 2, "key_heads": 2, "inner_width": 12, **dials}
    )
    config = dataclasses.replace(config, vocabulary_size=tokenizer.vocabulary_size)
    run, chosen = (
        Run.create(folder),
        SPECS[task].build({"context": 64} if task == "language-modelling" else {}),
    )
    run.write_text("tokenizer.json", tokenizer.to_json())
    run.write_labels(
        {"template": TEMPLATES["text"], "tags": []} if task in ("chat", "preference") else {}
    )
    run.write_model(weights_of(build(config), chosen.head(config, {})))
    run.write_config(
        RunConfig(
            task=task,
            model=config,
            options=dict(chosen.options),
            tokenizers={"shared": "tokenizer.json"},
        )
    )
    return folder


@pytest.mark.parametrize("preset", ["gpt2", "llama-small", "decoder-tiny"])
def test_our_own_run_writes_the_same_there(transformers: Any, tmp_path: Path, preset: str) -> None:
    run = own_run(tmp_path / "run", preset)
    export_run(run, tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    tokenizer, predictor = transformers.AutoTokenizer.from_pretrained(tmp_path / "out"), load(run)
    ids = tokenizer("the cat, 貓", return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == [0, *predictor.tokenizers.target.encode("the cat, 貓")]
    with torch.no_grad():
        found = predictor.model.project(
            predictor.model(target=ids[0], target_lengths=torch.tensor([ids.shape[1]]))
        )
        assert (found - model(ids).logits[0]).abs().max() < 1e-5
    assert model.config.max_position_embeddings >= 64 and model.config.eos_token_id == 1


def test_adapters_of_an_unfinished_run_are_added(tmp_path: Path) -> None:
    run = Run(own_run(tmp_path / "run", "gpt2"))
    tensors, layer = read_tensors(run.weights()), "decoder.blocks.0.self_attention.query."
    whole = tensors[f"{layer}weight"] + 2 * torch.ones(8, 1) @ torch.ones(1, 8)
    parts = {
        "adapter_up": torch.ones(8, 1),
        "adapter_down": torch.ones(1, 8),
        "adapter_scale": torch.tensor(2.0),
    }
    run.write_checkpoint(
        3, {MODEL: tensors | {layer + name: part for name, part in parts.items()}}, {}
    )
    (run.path / MODEL).unlink()
    export_run(run.path, tmp_path / "out")
    written = read_tensors(tmp_path / "out" / MODEL)["transformer.h.0.attn.c_attn.weight"]
    assert torch.equal(written[:, :8].T, whole)


@pytest.mark.parametrize("task", ["chat", "preference"])
def test_what_talks_is_exported_with_its_template(tmp_path: Path, task: str) -> None:
    notes = export_run(own_run(tmp_path / "run", "gpt2", task), tmp_path / "out")
    assert (tmp_path / "out" / MODEL).is_file() and any("chat_template" in one for one in notes)
    written = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert "User:" in written["chat_template"]


def test_what_goes_on_from_a_text_has_the_ids_that_it_has_there() -> None:
    """Check a tokenizer that begins every text with a space: none is put before a turn or label."""
    text = sentence_piece().to_str()
    tokenizer = ImportedTokenizer.take_writer(text, "tokenizer.json", 1, 2)
    whole, first = "the cat\nUser: the cat 貓", "the cat\nUser:"
    assert tokenizer.encode(whole) == [
        *tokenizer.encode(first),
        *tokenizer.encode_within(" the cat 貓"),
    ]
    assert tokenizer.encode(first) == [
        *tokenizer.encode("the cat"),
        *tokenizer.encode_within("\n"),
        *tokenizer.encode_within("User:"),
    ]
    assert (
        tokenizer.encode(" the") != tokenizer.encode_within(" the")
        and tokenizer.encode_within("") == []
    )
    turn = ChatTemplate(TEMPLATES["text"]).turn(
        {"role": "assistant", "content": "the cat"}, tokenizer
    )
    assert tokenizer.decode([0, *turn.ids]) == "Assistant: the cat\n"
    plain = ImportedTokenizer.take_writer(byte_level().to_str(), "tokenizer.json", 0, 0)
    assert plain.encode_within(" the cat\n") == plain.encode(" the cat\n")


def test_models_without_a_like_are_refused_by_their_dials(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"decoder.positions is 'alibi' instead of 'learned'.*presets gpt2"
    ):
        export_run(own_run(tmp_path / "small", "gpt2", positions="alibi"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_without_ends_and_other_models(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    save_file(
        {name: torch.ones(1) for name in ("wte.weight", "ln_f.weight", "ln_f.bias")},
        folder / "model.safetensors",
    )
    byte_level().save(str(folder / "tokenizer.json"))
    refused = {
        "end .eos_token_id. is 299": {**GPT2, "eos_token_id": 299},
        "is not given in config": {**GPT2, "bos_token_id": None},
        "'mamba'; triptych takes bert, distilbert, roberta": {"model_type": "mamba"},
    }
    for message, values in refused.items():
        (folder / "config.json").write_text(json.dumps(values))
        with pytest.raises(RunError, match=message):
            import_folder(folder, tmp_path / "run")
