"""What is hidden and how often, that it comes back exactly, and how marked runs are written."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, RunError, UsageError
from triptych.inference.predictor import Predictor
from triptych.model.build import build as build_model
from triptych.model.config import ModelConfig, StackConfig
from triptych.tasks.options import SpanCorruptionOptions
from triptych.tasks.span_corruption import build, rebuilt, sentinels_of, spans

WORDS = [
    "the",
    "old",
    "prince",
    "looked",
    "at",
    "his",
    "daughter",
    "and",
    "said",
    "nothing",
    "more",
    "unbelievable",
    "<to:span-1>",
]
TEXT = " ".join(WORDS[(7 * place + place // 5) % len(WORDS)] for place in range(700))
CHINESE = "我們今天去公園散步，天氣很好。🙂" * 20
EXAMPLES = [Example(text=TEXT, place="a.txt:1"), Example(text=CHINESE, place="a.txt:2")]
LABELS = build({}).prepare(EXAMPLES)


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    one = Tokenizer.train([TEXT, CHINESE], "bpe", 370, LABELS["tags"])
    return Tokenizers(one, one)


def encoded(
    tokenizers: Tokenizers, text: str = TEXT, seed: int | None = 1, **options: Any
) -> list[Any]:
    generator = None if seed is None else np.random.default_rng(seed)
    return build(options).encode(Example(text=text), tokenizers, LABELS, "train", generator)


@pytest.mark.parametrize("text", [TEXT, CHINESE, "one two", " <end> [MASK] a\n\tb"])
def test_source_and_target_together_are_the_text(tokenizers: Tokenizers, text: str) -> None:
    tokenizer = tokenizers.source
    for seed in (1, 2, None):
        pieces = encoded(tokenizers, text, seed, window=32)
        ids = [
            one
            for window in pieces
            for one in rebuilt(
                window.inputs["source"].tolist(),
                window.targets["tokens"].tolist(),
                sentinels_of(tokenizer),
                tokenizer.end_id,
            )
        ]
        assert ids == tokenizer.encode(text) and tokenizer.decode(ids) == text


def test_the_form_of_the_paper(tokenizers: Tokenizers) -> None:
    tokenizer, (one, *_) = tokenizers.source, encoded(tokenizers, window=64)
    source, target, marks = (
        one.inputs["source"].tolist(),
        one.targets["tokens"].tolist(),
        sentinels_of(tokenizer),
    )
    used = [number for number in source if number in marks]
    assert (
        used == marks[: len(used)] == [number for number in target if number in marks]
        and len(used) >= 2
    )
    assert target[0] == marks[0] and source[-1] == target[-1] == tokenizer.end_id
    assert one.inputs["target"].tolist() == [tokenizer.begin_id, *target[:-1]]
    assert not any(a in marks and b in marks for a, b in pairwise(source))  # runs do not touch


def test_the_whole_text_is_told_where_that_is_asked_for(tokenizers: Tokenizers) -> None:
    tokenizer, text = (
        tokenizers.source,
        "the old prince looked at his daughter and said nothing more",
    )
    (runs,), (whole,) = (
        encoded(tokenizers, text, window=64, target=target) for target in ("runs", "whole")
    )
    ids = tokenizer.encode(text)
    assert (
        whole.inputs["source"].tolist()
        == runs.inputs["source"].tolist()
        != [*ids, tokenizer.end_id]
    )
    assert whole.targets["tokens"].tolist() == [*ids, tokenizer.end_id]
    assert whole.inputs["target"].tolist() == [tokenizer.begin_id, *ids]
    task, made = build({"target": "whole"}), model(tokenizers)
    again = (
        task.remask([whole], tokenizers, np.random.default_rng(2))
        if task.remask is not None
        else []
    )
    assert again[0].targets["tokens"].tolist() == whole.targets["tokens"].tolist()
    predictor = Predictor(
        model=made,
        head=task.head(made.config, LABELS),
        task=task,
        tokenizers=tokenizers,
        labels=LABELS,
        decoding=DecodingSettings(max_length=6),
    )
    (found,) = predictor.predict(["the [MASK] looked"])
    assert found.text == tokenizer.decode(found.tokens) and not found.details
    assert "over all tokens" in task.score([], [], {"loss": 1.0, "nll": 1.0}).signatures["loss"]


@pytest.mark.parametrize(("rate", "mean"), [(0.15, 3.0), (0.5, 3.0), (0.15, 1.0), (0.3, 5.0)])
@pytest.mark.parametrize("length", [64, 101])
def test_rate_and_mean_length_are_as_asked(rate: float, mean: float, length: int) -> None:
    dials = SpanCorruptionOptions(rate=rate, mean_span=mean, window=128, sentinels=200)
    generator = np.random.default_rng(3)
    found = [spans(length, dials, generator) for _ in range(1500)]
    hidden = sum(int((ends - starts).sum()) for starts, ends in found) / len(found)
    count = sum(len(starts) for starts, _ in found) / len(found)
    assert abs(hidden / length - rate) < 0.005
    assert abs(hidden / count / mean - 1) < 0.05
    for starts, ends in found:
        assert (
            (ends > starts).all()
            and (starts[1:] > ends[:-1]).all()
            and starts[0] >= 0
            and ends[-1] <= length
        )
        assert len(starts) <= dials.most_spans(length)


def test_every_place_is_hidden_about_equally_often() -> None:
    dials, generator, times = (
        SpanCorruptionOptions(rate=0.2, mean_span=2.0, window=40, sentinels=32),
        np.random.default_rng(5),
        np.zeros(40),
    )
    for _ in range(4000):
        for start, end in zip(*spans(40, dials, generator), strict=True):
            times[start:end] += 1
    # few runs reach over an edge
    assert abs(times[3:-3] / 4000 - 0.2).max() < 0.03 and times.min() > 0.1 * 4000


@pytest.mark.parametrize("length", range(2, 12))
def test_short_windows_hide_something_and_show_something(length: int) -> None:
    generator = np.random.default_rng(length)
    for rate in (0.01, 0.15, 0.9):
        dials = SpanCorruptionOptions(rate=rate, window=128, sentinels=128)
        for _ in range(50):
            starts, ends = spans(length, dials, generator)
            assert 1 <= (ends - starts).sum() < length


def test_a_text_of_one_token_is_no_window(tokenizers: Tokenizers) -> None:
    assert encoded(tokenizers, "a") == [] and encoded(tokenizers, "") == []


def test_every_epoch_draws_anew_and_an_evaluation_does_not(tokenizers: Tokenizers) -> None:
    task, first = build({"window": 64}), encoded(tokenizers, window=64)
    assert task.remask is not None
    again = task.remask(first, tokenizers, np.random.default_rng(9))
    assert any(
        a.inputs["source"].tolist() != b.inputs["source"].tolist()
        for a, b in zip(first, again, strict=True)
    )
    assert all(
        (a.metadata == b.metadata).all() and a.index == b.index
        for a, b in zip(first, again, strict=True)
    )
    fixed = [
        [one.inputs["source"].tolist() for one in encoded(tokenizers, seed=None, window=64)]
        for _ in range(2)
    ]
    assert fixed[0] == fixed[1] and task.draws


def test_one_word_of_ten_thousand_characters(tokenizers: Tokenizers) -> None:
    pieces = encoded(tokenizers, "ab" * 5000)
    assert sum(len(one.metadata) for one in pieces) == len(tokenizers.source.encode("ab" * 5000))
    assert max(len(one.metadata) for one in pieces) <= 256


def model(tokenizers: Tokenizers, positions: Any = "rotary") -> Any:
    torch.manual_seed(1)
    stack = StackConfig(
        layers=1,
        width=16,
        heads=2,
        inner_width=32,
        norm_placement="pre",
        positions=positions,
        dropout=0.0,
    )
    return build_model(
        ModelConfig(encoder=stack, decoder=stack, vocabulary_size=tokenizers.target.vocabulary_size)
    ).eval()


def test_a_neighbour_never_leaks(tokenizers: Tokenizers) -> None:
    one, two, three = encoded(tokenizers, window=48)[:3]
    made = model(tokenizers)
    with torch.no_grad():
        states = [
            made(**collate([other, one]).inputs)[len(other.inputs["target"]) :]
            for other in (two, three)
        ]
        alone = made(**collate([one]).inputs)
    assert (states[0] - states[1]).abs().max() < 1e-5 and (states[0] - alone).abs().max() < 1e-5


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_marked_runs_are_written_in(tokenizers: Tokenizers, positions: str) -> None:
    task, made = build({}), model(tokenizers, positions)
    predictor = Predictor(
        model=made,
        head=task.head(made.config, LABELS),
        task=task,
        tokenizers=tokenizers,
        labels=LABELS,
        decoding=DecodingSettings(max_length=6),
    )
    found = predictor.predict(["the [MASK] looked at [MASK].", "[MASK]"])
    assert (
        len(found[0].details["spans"]) == 2
        and found[0].text.startswith("the")
        and found[0].text.endswith(".")
    )
    assert "[MASK]" not in found[0].text and len(found[1].details["spans"]) == 1
    several = predictor.predict(["the [MASK] looked"], beams=3, n_best=3)[0]
    assert len(several.alternatives) == 2 and all(
        one.text.startswith("the") for one in several.alternatives
    )
    told = several.to_json()["alternatives"]
    assert [one["text"] for one in told] == [one.text for one in several.alternatives] and len(
        told[0]["spans"]
    ) == 1
    (one,) = task.encode(Example(text="the [MASK] looked"), tokenizers, LABELS, "use", None)
    tokenizer = tokenizers.source
    assert one.inputs["source"].tolist() == [
        *tokenizer.encode("the"),
        sentinels_of(tokenizer)[0],
        *tokenizer.encode(" looked"),
        1,
    ]
    with pytest.raises(DataError, match=r"marks no run to write: write \[MASK\]"):
        predictor.predict(["no mark"])
    with pytest.raises(DataError, match="marks 33 runs, and at most 32 are possible"):
        predictor.predict(["[MASK] " * 33])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rat": 0.1}, "Did you mean 'task.rate'"),
        ({"rate": 0}, "task.rate is 0; it must be a number above 0 and below 1"),
        ({"rate": 1.0}, "task.rate is 1.0"),
        ({"mean_span": 0.5}, "task.mean_span is 0.5; it must be a number of at least 1"),
        ({"window": 4}, "task.window is 4; it must be a whole number of at least 8 tokens"),
        ({"window": 64.0}, "task.window is 64.0"),
        ({"sentinels": True}, "task.sentinels is True"),
        ({"target": "all"}, "task.target is 'all'; it must be one of runs, whole"),
        (
            {"window": 1024},
            "A window of 1024 tokens can have 52 hidden runs, and task.sentinels is 32",
        ),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(options)


def test_a_model_or_tokenizer_that_cannot_is_refused(tokenizers: Tokenizers) -> None:
    stack = StackConfig(width=16, heads=2, positions="learned", max_positions=100)
    with pytest.raises(UsageError, match="needs an encoder-decoder model"):
        build({}).head(ModelConfig(decoder=stack), LABELS)
    with pytest.raises(UsageError, match="this model has 100 positions"):
        build({}).head(ModelConfig(encoder=stack, decoder=stack), LABELS)
    plain = Tokenizer.train([TEXT], "bpe", 320)
    with pytest.raises(RunError, match="has 0 sentinels"):
        encoded(Tokenizers(plain, plain))
    with pytest.raises(DataError, match="nothing to train on"):
        build({}).prepare([])
    with pytest.raises(DataError, match=r"a\.txt:3 has no text"):
        build({}).encode(Example(place="a.txt:3"), tokenizers, LABELS, "train", None)
