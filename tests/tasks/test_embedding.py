"""Vectors of texts: mean, length 1, windows, and that nothing can be trained here."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, UsageError
from triptych.inference.predictor import Predictor
from triptych.inference.search_index import as_embedder, embed
from triptych.model.build import build as build_model
from triptych.presets import configure
from triptych.setup.model import with_vocabulary
from triptych.tasks.embedding import build
from triptych.tasks.parsing import build as parsing


def embedder(
    preset: str = "encoder-tiny", dials: dict[str, Any] | None = None, **options: object
) -> Predictor:
    torch.manual_seed(1)
    one = Tokenizer.train(["a small text of words", "和一些中文"] * 3, "bpe", 320)
    task, both = build(options), Tokenizers(one, one)
    config = with_vocabulary(
        configure(
            preset, {"width": 16, "heads": 2, "layers": 1, "inner_width": 32, **(dials or {})}
        ),
        both,
    )
    model, head = build_model(config).eval(), task.head(config, {}).eval()
    return Predictor(
        model=model, head=head, task=task, tokenizers=both, labels={}, decoding=DecodingSettings()
    )


def test_a_vector_is_the_mean_of_the_states_and_has_length_one() -> None:
    run = embedder()
    ids = [0, *run.tokenizers.source.encode("a small text"), 1]
    with torch.no_grad():
        states = run.model(source=torch.tensor(ids), source_lengths=torch.tensor([len(ids)]))
    wanted = states.mean(0) / states.mean(0).norm()
    assert embed(run, ["a small text"])[0] == pytest.approx(wanted.numpy(), abs=1e-5)
    first = embed(embedder(pooling="first", normalize=False), ["a small text"])[0]
    assert first == pytest.approx(states[0].numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "least"),
    [({"window": 12}, 3), ({"window": 12, "stride": 6}, 4), ({"window": 12, "stride": 0}, 2)],
)
def test_a_long_text_is_the_mean_over_its_windows_and_every_token_counts_once(
    options: dict[str, Any], least: int
) -> None:
    run = embedder(normalize=False, **options)
    text = "a small text of words 和一些中文 " * 5
    ids = run.tokenizers.source.encode(text)
    windows = run.task.encode(Example(text=text), run.tokenizers, {}, "use", None)
    assert len(windows) > least and all(len(one.inputs["source"]) <= 12 for one in windows)
    shared = run.task.options["stride"]
    often, places, first = np.zeros(len(ids)), [], 0
    for number, one in enumerate(windows):
        inside = one.inputs["source"][1:-1].tolist()
        first = 0 if number == 0 else min(first + 10 - shared, len(ids) - 10)
        assert inside == ids[first : first + len(inside)]
        often[first : first + len(inside)] += 1
        places.append(first)
    assert (often >= 1).all() and (often > 1).any() == (shared > 0)
    mean = torch.zeros(16)
    with torch.no_grad():
        for first, one in zip(places, windows, strict=True):
            source = torch.from_numpy(one.inputs["source"])
            states = run.model(source=source, source_lengths=torch.tensor([len(source)]))
            mean += (states[0] + states[-1]) / len(windows)
            mean += (
                states[1:-1]
                / torch.from_numpy(often[first : first + len(source) - 2]).float()[:, None]
            ).sum(0)
    (found,) = run.predict([text])
    assert found.details["vector"] == pytest.approx((mean / (len(ids) + 2)).numpy(), abs=1e-5)
    assert found.details["tokens"] == len(ids) + 2 and found.truncated_input_tokens == 0


def test_a_window_has_no_more_tokens_than_the_model_has_positions() -> None:
    learned = {"positions": "learned", "max_positions": 24}
    with pytest.raises(UsageError, match="task.window is 256; this model has 24 positions"):
        embedder(dials=learned)
    run = embedder(dials=learned, window=24)
    run.task = parsing({"window": 24, "word_pieces": 8})
    text = "a small text of words 和一些中文 " * 5
    found = as_embedder(run)
    assert found.task.options["window"] == 24 and found.task.options["stride"] == 6
    assert np.isfinite(embed(found, [text])).all()
    wider = as_embedder(dataclasses.replace(embedder(), task=run.task))
    assert wider.task.options["window"] == 256


def test_neighbours_change_nothing_and_empty_texts_have_zeros() -> None:
    run = embedder()
    texts = ["words", "", "a small text of words", "中文" * 200]
    vectors = embed(run, texts)
    assert vectors.shape == (4, 16) and vectors.dtype == np.float32
    assert not vectors[1].any() and np.allclose(
        np.linalg.norm(vectors[[0, 2, 3]], axis=1), 1, atol=1e-5
    )
    assert np.allclose(vectors[2], embed(run, texts[2:3])[0], atol=1e-5)


def test_any_encoder_alone_embeds_and_a_translator_does_not() -> None:
    from triptych.tasks.question_answering import build as reading

    run = embedder()
    run.task = reading({})
    assert embed(as_embedder(run), ["words"])[0] == pytest.approx(
        embed(embedder(), ["words"])[0], abs=1e-6
    )
    with pytest.raises(UsageError, match="encoder-only"):
        embedder("transformer-tiny")


def test_it_is_not_trained_and_its_options_are_checked() -> None:
    task = build({})
    for refused in (
        lambda: task.prepare([]),
        lambda: task.loss(None, None),  # type: ignore[arg-type]
        lambda: task.score([], [], {}),
    ):
        with pytest.raises(UsageError, match="triptych import"):
            refused()
    with pytest.raises(DataError, match="no text"):
        task.encode(Example(place="x"), embedder().tokenizers, {}, "use", None)
    for options in (
        {"pool": 1},
        {"pooling": "max"},
        {"normalize": 1},
        {"window": 2},
        {"stride": 254},
        {"window": 8, "stride": -1},
    ):
        with pytest.raises(UsageError, match="task."):
            build(options)
