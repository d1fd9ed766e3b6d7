"""Test every published decoder: logits, greedy texts, export and reload, equal to transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from published_folders import TEXTS, cases, ids, library, write
from safetensors.torch import load_file
from toys_of_decoders import TOYS

from triptych.convert import export_run, import_folder
from triptych.inference.loading import load

LENGTHS = (17, 9, 1, 30)
# Each differs by a setting alone from a toy of its family, or has one that another family has too.
SLOW = {
    "llama with biases of attention",
    "llama with biases of the network",
    "llama 3.1 with wide heads",
    "mistral without a window",
    "mistral with yarn",
    "qwen2 with windows",
    "qwen2 with yarn",
    "olmo2 with biases",
    "olmo2 with linear rotations",
    "phi3 with a window",
    "phi3 with longrope of a part",
    "gemma2 without softcaps",
    "gemma3 with windows in all blocks",
    "smollm3 with windows and yarn",
    "stablelm 2",
    "starcoder2 without biases",
    "gpt-neox in sequence",
    "gpt-j with whole rotations",
    "opt without biases",
}
NEW = 8


def forget(model: Any) -> None:
    """Let dynamic rotations of theirs forget the longest text that they have seen."""
    for module in model.modules():
        if getattr(module, "rope_type", None) == "dynamic":
            module.max_seq_len_cached = module.original_max_seq_len
            module.inv_freq = module.original_inv_freq.clone()


@pytest.mark.parametrize("name", cases(TOYS, SLOW))
def test_in_and_out(tmp_path: Path, name: str) -> None:
    there = write(TOYS[name], tmp_path / "there")
    import_folder(tmp_path / "there", tmp_path / "run")
    predictor = load(tmp_path / "run")
    given = [ids(length, length) for length in LENGTHS]
    with torch.no_grad():
        states = predictor.model(target=torch.cat(given), target_lengths=torch.tensor(LENGTHS))
        logits = predictor.model.project(states).split(list(LENGTHS))
        for found, one in zip(logits, given, strict=True):
            forget(there)
            wanted = there(one[None]).logits[0]
            assert (found - wanted).abs().max() < 1e-5 * max(1.0, float(wanted.abs().max()))
    answers = predictor.predict(TEXTS, max_length=NEW)
    for text, answer in zip(TEXTS, answers, strict=True):
        forget(there)
        prompt = torch.tensor([predictor.tokenizers.target.prompt(text)])
        written = there.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW, do_sample=False
        )[0, prompt.shape[1] :].tolist()
        ended = written[-1] in predictor.tokenizers.target.end_ids
        assert answer.tokens == (written[:-1] if ended else written), text
    export_run(tmp_path / "run", tmp_path / "out")
    before, after = (load_file(tmp_path / one / "model.safetensors") for one in ("there", "out"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[one], after[one]) for one in before)
    again = library().AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", attn_implementation="eager"
    )
    assert type(again) is type(there)
    forget(there)
    with torch.no_grad():
        found, wanted = (one.eval()(given[0][None]).logits for one in (again, there))
    # The same weights lie elsewhere in memory, where some kernels round differently.
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
