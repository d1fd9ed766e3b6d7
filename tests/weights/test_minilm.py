"""A real pretrained encoder (6 layers, width 384), imported and held against the library that it
comes from.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from triptych.convert import export_run, import_folder
from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.inference.loading import load
from triptych.inference.predictor import Predictor

os.environ.setdefault("HF_HUB_OFFLINE", "1")
TEXTS = [
    "A man is eating food.",
    "Hello, [SEP] world! Naïve CAFÉ.",
    "短い文章。機器學習 is fun 😀",
    "x" * 10_000 + " end",
    "She didn't go; don't ask...",
    "many words again and again " * 20,
    "I",
]


@pytest.fixture(scope="module")
def source(minilm: Path) -> Path:
    return minilm


@pytest.fixture(scope="module")
def run(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "minilm"
    assert import_folder(source, out).mapped == 103
    return out


@pytest.fixture(scope="module")
def predictor(run: Path) -> Predictor:
    return load(run)


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip(
        "transformers",
        reason="transformers, the oracle of imports, is not installed: pip install -e '.[dev]'",
    )


def test_ids_and_offsets_are_theirs(source: Path, predictor: Predictor, transformers: Any) -> None:
    there, here = transformers.AutoTokenizer.from_pretrained(source), predictor.tokenizers.source
    for text in TEXTS:
        expected = there(
            text,
            return_offsets_mapping=True,
            split_special_tokens=True,
            truncation=False,
            padding=False,
        )
        ids, offsets = here.encode_with_offsets(text)
        assert [here.begin_id, *ids, here.end_id] == expected["input_ids"]
        assert offsets == [tuple(pair) for pair in expected["offset_mapping"][1:-1]]


def test_states_within_1e_5_alone_and_in_a_batch_and_back_bit_equal(
    source: Path, run: Path, predictor: Predictor, transformers: Any, tmp_path: Path
) -> None:
    there = transformers.AutoModel.from_pretrained(source).eval()
    examples = [Example(text=text) for text in TEXTS]
    encoded = [
        predictor.task.encode(one, predictor.tokenizers, predictor.labels, "use", None)[0]
        for one in examples
    ]
    ids = [one.inputs["source"] for one in encoded]
    longest = max(map(len, ids))
    padded, mask = (torch.tensor(np.array([np.pad(row, (0, longest - len(row))) for row in rows]))
                    for rows in (ids, [np.ones_like(one) for one in ids]))  # fmt: skip
    with torch.no_grad():
        expected = there(padded, attention_mask=mask).last_hidden_state
        batch = collate(encoded)
        together = predictor.model(**batch.inputs).split([len(one) for one in ids])
        for place, one in enumerate(encoded):
            alone = predictor.model(**collate([one]).inputs)
            theirs_alone = there(torch.tensor(ids[place])[None]).last_hidden_state[0]
            assert (together[place] - expected[place, : len(ids[place])]).abs().max() < 1e-5
            assert (alone - theirs_alone).abs().max() < 1e-5
    export_run(run, tmp_path / "out")
    again = transformers.AutoModel.from_pretrained(tmp_path / "out").state_dict()
    assert again.keys() == there.state_dict().keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in there.state_dict().items())
    names = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert names(TEXTS[0], padding=False)["input_ids"] == ids[0].tolist()


def test_what_means_the_same_stands_close(predictor: Predictor) -> None:
    texts = ["A man is eating food.", "Someone has a meal.", "The stock market fell sharply today."]
    vectors = np.array([one.details["vector"] for one in predictor.predict(texts)])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5 > 0.2 > far
