"""A real language model that follows instructions, imported from GGUF with weights of 4 bits: its
text and its answers, token by token against transformers on the same weights.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych.cli.main import run as run_command
from triptych.convert import export_run, import_folder
from triptych.inference.loading import load
from triptych.runs.run import Run

os.environ.setdefault("HF_HUB_OFFLINE", "1")
BEGINNING = "The capital of France is"
ASKED = "What is 2+2?"
TOKENS = 16


@pytest.fixture(scope="module")
def run(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "smollm2"
    certificate = import_folder(smollm2, out)
    assert certificate.quantised["Q4_1"] > 100
    return out


@pytest.fixture(scope="module")
def theirs(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    transformers = pytest.importorskip(
        "transformers",
        reason="transformers, the oracle of imports, is not installed: pip install -e '.[dev]'",
    )
    folder = tmp_path_factory.mktemp("exported") / "smollm2"
    export_run(run, folder)
    return (
        transformers.AutoTokenizer.from_pretrained(folder),
        transformers.AutoModelForCausalLM.from_pretrained(folder).eval(),
    )


def greedy(theirs: tuple[Any, Any], ids: list[int]) -> list[int]:
    with torch.no_grad():
        found = theirs[1].generate(
            torch.tensor([ids]), max_new_tokens=TOKENS, do_sample=False, num_beams=1
        )
    return found[0, len(ids) :].tolist()


def test_it_is_a_chat_run(run: Path) -> None:
    assert Run.open(run).read_config().task == "chat"
    assert "im_start" in Run.open(run).read_labels()["template"]["jinja"]


def test_greedy_text_is_that_of_transformers(
    smollm2: Path, theirs: tuple[Any, Any], tmp_path: Path
) -> None:
    import_folder(smollm2, tmp_path / "writer", "language-modelling")
    (ours,) = load(tmp_path / "writer").predict([BEGINNING], max_length=TOKENS)
    there = theirs[0]
    ids = there(BEGINNING, add_special_tokens=False)["input_ids"]
    assert ours.text.strip() == there.decode(greedy(theirs, ids)).strip()
    assert "Paris" in ours.text


def test_its_answer_is_that_of_transformers(run: Path, theirs: tuple[Any, Any]) -> None:
    (ours,) = load(run).predict([ASKED], max_length=TOKENS)
    text = theirs[0].apply_chat_template(
        [{"role": "user", "content": ASKED}], tokenize=False, add_generation_prompt=True
    )
    ids = theirs[0](text, add_special_tokens=False)["input_ids"]
    expected = theirs[0].decode(greedy(theirs, ids), skip_special_tokens=True)
    assert ours.text.strip() == expected.strip()
    assert "4" in ours.text


def test_the_command_line_talks(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["chat", str(run), ASKED, "--decoding.max_length", str(TOKENS)]) == 0
    assert "4" in capfd.readouterr().out
