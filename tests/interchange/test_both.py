"""Test published encoder-decoders: logits, greedy texts, export and reload, as transformers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from published_folders import TEXTS, ids, library, write
from safetensors.torch import load_file
from toys_of_both import TO, TOYS

from triptych.convert import export_run, import_folder
from triptych.inference.loading import load
from triptych.runs.run import Run

SIZES = ((9, 5), (1, 1), (17, 12), (30, 2))  # tokens of source and target
NEW = 8


@pytest.mark.parametrize("name", TOYS)
def test_in_and_out(tmp_path: Path, name: str) -> None:
    there = write(TOYS[name], tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    predictor = load(tmp_path / "run")
    sources = [ids(first, first) for first, _ in SIZES]
    targets = [ids(second, 100 + second) for _, second in SIZES]
    with torch.no_grad():
        states = predictor.model(
            source=torch.cat(sources),
            source_lengths=torch.tensor([first for first, _ in SIZES]),
            target=torch.cat(targets),
            target_lengths=torch.tensor([second for _, second in SIZES]),
        )
        logits = predictor.model.project(states).split([second for _, second in SIZES])
        for found, source, target in zip(logits, sources, targets, strict=True):
            wanted = there(source[None], decoder_input_ids=target[None]).logits[0]
            assert (found - wanted).abs().max() < 1e-5 * max(1.0, float(wanted.abs().max()))
    to = TO.get(name)
    answers = predictor.predict(TEXTS, max_length=NEW, to=to)
    for text, answer in zip(TEXTS, answers, strict=True):
        assert answer.tokens == written(there, tmp_path / "there", text, to), text
    export_run(tmp_path / "run", tmp_path / "out")
    before, after = (load_file(tmp_path / one / "model.safetensors") for one in ("there", "out"))
    assert before.keys() == after.keys()
    fixed = "embed_positions"  # computed again, in another way
    assert all(torch.equal(before[one], after[one]) for one in before if fixed not in one)
    again = library().AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path / "out", attn_implementation="eager"
    )
    assert type(again) is type(there)
    with torch.no_grad():
        one, other = (
            model.eval()(sources[0][None], decoder_input_ids=targets[0][None]).logits
            for model in (again, there)
        )
    assert (one - other).abs().max() < 1e-6 * max(1.0, float(other.abs().max()))
    import_folder(tmp_path / "out", tmp_path / "again")
    runs = [Run(tmp_path / one) for one in ("run", "again")]
    first, second = (dataclasses.replace(one.read_config(), name="") for one in runs)
    assert first == second
    assert runs[0].read_labels() == runs[1].read_labels()


def written(there: Any, folder: Path, text: str, to: str | None) -> list[int]:
    """Return the tokens that their model writes, without those that an answer must begin with."""
    import tokenizers

    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    given = torch.tensor([backend.encode(text).ids])
    options: dict[str, Any] = {}
    if to is not None:
        code = {"de": ("de_DE", "__de__")}.get(to, (to,))
        number = next(backend.token_to_id(one) for one in code if backend.token_to_id(one))
        if there.config.decoder_start_token_id == 2:
            options["forced_bos_token_id"] = number
        else:
            options["decoder_start_token_id"] = number
    forced = options.get("forced_bos_token_id", getattr(there.config, "forced_bos_token_id", None))
    out = there.generate(
        given,
        attention_mask=torch.ones_like(given),
        max_new_tokens=NEW + (forced is not None),
        do_sample=False,
        **options,
    )[0].tolist()[1 + (forced is not None) :]
    end = there.config.eos_token_id
    return out[: out.index(end)] if end in out else out
