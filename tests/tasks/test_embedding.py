"""Vectors of texts: mean, length 1, windows, and that nothing can be trained here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triptych.data.example import Example
from triptych.data.tokenizer import Tokenizer, Tokenizers
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, UsageError
from triptych.inference.predictor import Predictor
from triptych.inference.search_index import as_embedder, embed
from triptych.model.build import build as build_model
from triptych.prepare import with_vocabulary
from triptych.presets import configure
from triptych.tasks.embedding import build


def embedder(preset: str = "encoder-tiny", **options: object) -> Predictor:
    torch.manual_seed(1)
    one = Tokenizer.train(["a small text of words", "和一些中文"] * 3, "bpe", 320)
    task, both = build(options), Tokenizers(one, one)
    config = with_vocabulary(configure(preset, {"width": 16, "heads": 2, "layers": 1, "inner_width": 32}), both)
    model, head = build_model(config).eval(), task.head(config, {}).eval()
    return Predictor(model=model, head=head, task=task, tokenizers=both, labels={}, decoding=DecodingSettings())


def test_a_vector_is_the_mean_of_the_states_and_has_length_one() -> None:
    run = embedder()
    ids = [0, *run.tokenizers.source.encode("a small text"), 1]
    with torch.no_grad():
        states = run.model(source=torch.tensor(ids), source_lengths=torch.tensor([len(ids)]))
    wanted = states.mean(0) / states.mean(0).norm()
    assert embed(run, ["a small text"])[0] == pytest.approx(wanted.numpy(), abs=1e-5)
    first = embed(embedder(pooling="first", normalize=False), ["a small text"])[0]
    assert first == pytest.approx(states[0].numpy(), abs=1e-5)


def test_a_long_text_is_the_mean_over_its_windows() -> None:
    run = embedder(window=12, normalize=False)
    text = "a small text of words 和一些中文 " * 5
    windows = run.task.encode(Example(text=text), run.tokenizers, {}, "use", None)
    assert len(windows) > 2 and all(len(one.inputs["source"]) <= 12 for one in windows)
    sums = []
    with torch.no_grad():
        for one in windows:
            source = torch.from_numpy(one.inputs["source"])
            sums.append(run.model(source=source, source_lengths=torch.tensor([len(source)])).sum(0))
    count = sum(len(one.inputs["source"]) for one in windows)
    assert embed(run, [text])[0] == pytest.approx((torch.stack(sums).sum(0) / count).numpy(), abs=1e-5)


def test_neighbours_change_nothing_and_empty_texts_have_zeros() -> None:
    run = embedder()
    texts = ["words", "", "a small text of words", "中文" * 200]
    vectors = embed(run, texts)
    assert vectors.shape == (4, 16) and vectors.dtype == np.float32
    assert not vectors[1].any() and np.allclose(np.linalg.norm(vectors[[0, 2, 3]], axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[2], embed(run, texts[2:3])[0], atol=1e-5)


def test_any_encoder_alone_embeds_and_a_translator_does_not() -> None:
    from triptych.tasks.question_answering import build as reading

    run = embedder()
    run.task = reading({})
    assert embed(as_embedder(run), ["words"])[0] == pytest.approx(embed(embedder(), ["words"])[0], abs=1e-6)
    with pytest.raises(UsageError, match="encoder-only"):
        embedder("transformer-tiny")


def test_it_is_not_trained_and_its_options_are_checked() -> None:
    task = build({})
    for refused in (lambda: task.prepare([]), lambda: task.loss(None, None), lambda: task.score([], [], {})):  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="triptych import"):
            refused()
    with pytest.raises(DataError, match="no text"):
        task.encode(Example(place="x"), embedder().tokenizers, {}, "use", None)
    for options in ({"pool": 1}, {"pooling": "max"}, {"normalize": 1}, {"window": 2}):
        with pytest.raises(UsageError, match="task."):
            build(options)
