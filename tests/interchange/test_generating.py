"""Test that an imported model generates what the library transformers does: prompts and ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_writers import FAMILIES, own_run
from tokenizers import processors

from triptych.convert import export_run, import_folder
from triptych.data.tokenizers.sides import Tokenizers
from triptych.inference.loading import load
from triptych.recipe.schema import Recipe
from triptych.runs.run import Run
from triptych.setup.job import prepare

PROMPTS = ["the cat", "the", "t", "a mat on the cat sat", "貓", ""]
NAMES = {"gpt2": ("<|endoftext|>", 0), "llama": ("<s>", 1)}


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip(
        "transformers",
        reason="transformers, the oracle of imports, is not installed: pip install -e '.[dev]'",
    )


def folder_of(
    transformers: Any, path: Path, kind: str, marked: bool, ends: Any = None, generation: Any = None
) -> Path:
    """Write a folder whose tokenizer puts the begin token before a text, or does not.

    add_bos_token beside it has no effect.
    """
    family, values, backend = FAMILIES[kind]
    values = {**values, "eos_token_id": values["eos_token_id"] if ends is None else ends}
    torch.manual_seed(6)
    config = {"gpt2": transformers.GPT2Config, "llama": transformers.LlamaConfig}[kind](**values)
    model = getattr(transformers, family.classes[0].architecture)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    if generation is not None:
        model.generation_config.eos_token_id = generation
    model.save_pretrained(path)
    if generation is None:
        (path / "generation_config.json").unlink()
    tokenizer, (name, number) = backend(), NAMES[kind]
    if marked:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{name} $A", pair=f"{name} $A $B", special_tokens=[(name, number)]
        )
    tokenizer.save(str(path / "tokenizer.json"))
    tokenizer_config = {
        "bos_token": name,
        "eos_token": name,
        "add_bos_token": not marked,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (path / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return path


def theirs(
    transformers: Any, path: Path, prompts: list[str], new: int
) -> list[tuple[list[int], list[int]]]:
    """Return each prompt's ids and its greedy continuation by the library.

    An empty prompt begins with bos, as in the library's pipeline.
    """
    model = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
    tokenizer, found = transformers.AutoTokenizer.from_pretrained(path), []
    for prompt in prompts:
        ids = tokenizer(prompt)["input_ids"] or [model.generation_config.bos_token_id]
        given = torch.tensor([ids])
        out = model.generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=new,
            do_sample=False,
            pad_token_id=0,
        )
        found.append((ids, out[0, len(ids) :].tolist()))
    return found


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("kind", FAMILIES)
def test_greedy_texts_are_theirs_before_and_after_an_export(
    transformers: Any, tmp_path: Path, kind: str, marked: bool
) -> None:
    source = folder_of(transformers, tmp_path / "there", kind, marked)
    import_folder(source, tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "out")
    predictor = load(tmp_path / "run")
    answers = predictor.predict(PROMPTS, max_length=12)
    for folder in (source, tmp_path / "out"):
        for prompt, answer, (ids, written) in zip(
            PROMPTS, answers, theirs(transformers, folder, PROMPTS, 12), strict=True
        ):
            assert predictor.tokenizers.target.prompt(prompt) == ids
            ended = written[-1] in predictor.tokenizers.target.end_ids
            assert (answer.tokens, answer.cut) == (written[:-1] if ended else written, not ended), (
                prompt
            )
            # Bytes that make no character are displayed differently when more of them follow.
            if "\ufffd" not in answer.text:
                assert "".join(predictor.stream(prompt, max_length=12)) == answer.text


@pytest.mark.parametrize("place", ["config", "generation"])
def test_every_end_token_of_a_folder_ends_an_answer(
    transformers: Any, tmp_path: Path, place: str
) -> None:
    plain = folder_of(transformers, tmp_path / "plain", "llama", True, ends=2)
    written = theirs(transformers, plain, PROMPTS, 12)
    # The fourth token would be this one.
    ends = [2, *dict.fromkeys(tokens[3] for _, tokens in written[:3])]
    of = {"ends": ends} if place == "config" else {"ends": 2, "generation": ends}
    source = folder_of(transformers, tmp_path / "there", "llama", True, **of)
    import_folder(source, tmp_path / "run")
    predictor = load(tmp_path / "run")
    tokenizer = predictor.tokenizers.target
    assert (tokenizer.end_id, set(tokenizer.end_ids)) == (2, set(ends))
    export_run(tmp_path / "run", tmp_path / "out")
    assert set(json.loads((tmp_path / "out" / "config.json").read_text())["eos_token_id"]) == set(
        ends
    )
    assert (tmp_path / "out" / "generation_config.json").exists() == (place == "generation")
    for folder in (source, tmp_path / "out"):
        short = theirs(transformers, folder, PROMPTS, 12)
        assert [len(tokens) for _, tokens in short[:3]] <= [4, 4, 4] and any(
            len(tokens) < 12 for _, tokens in short
        )
        for answer, (_, tokens) in zip(
            predictor.predict(PROMPTS, max_length=12), short, strict=True
        ):
            assert answer.tokens == (tokens[:-1] if tokens[-1] in ends else tokens)
    for one in predictor.predict(PROMPTS, max_length=12, beams=3):
        assert not set(one.tokens) & set(ends)


def test_a_run_of_before_keeps_its_begin_and_what_is_trained_here_gets_one(
    transformers: Any, tmp_path: Path
) -> None:
    import_folder(folder_of(transformers, tmp_path / "there", "gpt2", False), tmp_path / "run")
    path = tmp_path / "run" / "tokenizer.json"
    values, (text,) = json.loads(path.read_text()), PROMPTS[:1]
    new = Tokenizers.load(tmp_path / "run").target
    assert new.prompt(text) == new.encode(text) and new.prompt("") == [0]
    del values["triptych"]["before"]  # as it was written before
    path.write_text(json.dumps(values))
    old = load(tmp_path / "run")
    assert old.tokenizers.target.prompt(text) == [0, *new.encode(text)]
    assert old.tokenizers.target.fingerprint == new.fingerprint
    (tmp_path / "a.txt").write_text("the cat sat on the mat\n\nthe mat\n")
    recipe = {
        "task": {"name": "language-modelling", "context": 16},
        "data": {"train": str(tmp_path / "a.txt")},
        "model": {"start": str(tmp_path / "there")},
        "training": {"steps": 1},
    }
    prepare(Recipe.from_values(recipe), tmp_path / "tuned")
    assert Tokenizers.load(tmp_path / "tuned").target.prompt(text) == [0, *new.encode(text)]
    export_run(tmp_path / "run", tmp_path / "out")
    there = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert there(text)["input_ids"] == [0, *new.encode(text)]


def test_a_model_trained_here_is_exported_as_it_was(tmp_path: Path) -> None:
    run = own_run(tmp_path / "run", "gpt2")
    export_run(run, tmp_path / "out")
    values = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (values["bos_token_id"], values["eos_token_id"]) == (0, 1) and not (
        tmp_path / "out" / "generation_config.json"
    ).exists()
    tokenizer = Tokenizers.load(Run(run).path).target
    assert tokenizer.end_ids == (1,) and tokenizer.prompt("the") == [0, *tokenizer.encode("the")]
