"""Classification, slot by slot, and three small models trained to know what they were shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, UsageError
from triptych.inference.evaluation import encode_all
from triptych.inference.predictor import Predictor
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.heads.classifier import Classifier
from triptych.tasks.specs import SPECS
from triptych.tasks.task import Prediction, Task

TEXTS = [
    ("a good film", "pos"),
    ("very good indeed", "pos"),
    ("很好 的 电影", "pos"),
    ("a bad film", "neg"),
    ("bad, bad!", "neg"),
    ("很差 的 电影", "neg"),
]


def examples() -> list[Example]:
    return [
        Example(text=text, label=label, place=f"toy.tsv:{number}")
        for number, (text, label) in enumerate(TEXTS, 1)
    ]


def task(**options: Any) -> Task:
    return SPECS["classification"].build(options)


def tokenizers() -> Tokenizers:
    one = Tokenizer.train([text for text, _ in TEXTS] * 2, "bpe", 330)
    return Tokenizers(one, one)


def trained(built: Task, shown: Sequence[Example], steps: int = 60) -> Predictor:
    """A toy model after some steps on all of `shown` at once, calibrated on them."""
    torch.manual_seed(1)
    both, labels = tokenizers(), built.prepare(shown)
    stack = StackConfig(
        layers=1,
        width=16,
        heads=2,
        inner_width=32,
        positions="rotary",
        norm_placement="pre",
        segments=2,
    )
    config = ModelConfig(encoder=stack, vocabulary_size=both.source.vocabulary_size)
    model, head = build(config), built.head(config, labels)
    batch = collate(encode_all(built, shown, both, labels), built.passes)
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], 2e-2)
    for step in range(steps):
        model.reseed(step)  # type: ignore[operator]
        total, count, weight = built.loss(head(model, model(**batch.inputs), batch.inputs), batch)[
            "loss"
        ]
        assert weight == 1 and count == batch.counts["examples"]
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    model.eval()
    head.eval()
    return Predictor(
        model=model,
        head=head,
        task=built,
        tokenizers=both,
        labels=labels,
        decoding=DecodingSettings(),
    )


@pytest.fixture(scope="module")
def single() -> Predictor:
    return trained(task(window=24, stride=16, dropout=0.0), examples())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 0.1}, r"Unknown recipe key 'task\.smoothing'.*label_smoothing"),
        (
            {"learn": "tags"},
            r"task\.learn is 'tags'; .* one of label, labels, value\.",
        ),
        ({"pooling": "least"}, r"task\.pooling is 'least'; it must be one of"),
        ({"pooling": "compare"}, r"needs two texts: set task\.pair = true"),
        ({"dropout": 1.0}, r"task\.dropout is 1\.0.*below 1"),
        ({"token_dropout": -0.1}, r"task\.token_dropout is -0\.1"),
        ({"window": 8}, r"task\.window is 8; it must be a whole number of at least 16 tokens"),
        ({"stride": 400}, r"task\.stride is 400; it must be at most task\.window - 2 = 382"),
        ({"pair": 1}, r"task\.pair is 1; it must be true or false"),
        ({"positive": "spam", "learn": "value"}, r"task\.positive is 'spam'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task(**options)


def test_needs_and_labels_follow_what_is_learnt() -> None:
    assert task().needs == ("text", "label") and task(pair=True, learn="value").needs == (
        "text",
        "text_pair",
        "value",
    )
    assert task().prepare(examples()) == {"labels": ["neg", "pos"]}
    scale = task(learn="value").prepare(
        [Example(text="a", value=1.0), Example(text="b", value=3.0)]
    )
    assert scale == {
        "value": {"mean": 2.0, "deviation": 1.0, "low": 1.0, "high": 3.0}
    } and json.dumps(scale)
    for shown, learn, message in (
        ([], "label", "nothing to train on"),
        ([Example(text="a", label="x")], "label", r"All training texts have the label \['x'\]"),
        ([Example(text="a", place="f:1")], "label", "f:1 has no label"),
        ([Example(text="a", value=2.0)], "value", "value 2: there is nothing to learn"),
        ([Example(text="a", labels=[])], "labels", "No training text has a label"),
    ):
        with pytest.raises(DataError, match=message):
            task(learn=learn).prepare(shown)
    with pytest.raises(UsageError, match=r"'spam' in task\.positive.*Allowed: neg, pos"):
        task(positive="spam").prepare(examples())


def test_encoding_of_texts_and_pairs() -> None:
    both = tokenizers()
    source = both.source
    (one,) = task().encode(examples()[0], both, {"labels": ["neg", "pos"]}, "train", None)
    assert one.inputs["source"].tolist() == [0, *source.encode("a good film"), 1] and set(
        one.inputs
    ) == {"source"}
    assert one.targets["label"].tolist() == [1] and one.weight == 1
    pair = Example(text="good", text_pair="bad", value=5.0)
    scale = {"value": {"mean": 2.0, "deviation": 1.5, "low": 0.0, "high": 5.0}}
    (two,) = task(pair=True, learn="value").encode(pair, both, scale, "train", None)
    first, second = source.encode("good"), source.encode("bad")
    assert two.inputs["source"].tolist() == [0, *first, 1, *second, 1]
    assert two.inputs["segments"].tolist() == [0] * (len(first) + 2) + [1] * (
        len(second) + 1
    ) and two.targets["value"].tolist() == [2.0]
    (use,) = task().encode(Example(text="x"), both, {"labels": ["a"]}, "use", None)
    assert not use.targets
    with pytest.raises(DataError, match="f:2 has no text_pair"):
        task(pair=True).encode(Example(text="x", place="f:2"), both, {"labels": ["a"]}, "use", None)


def test_token_dropout_draws_in_training_alone() -> None:
    both, built, labels = tokenizers(), task(token_dropout=0.5), {"labels": ["neg", "pos"]}
    example = Example(text="a good film " * 5, label="pos")
    whole = len(built.encode(example, both, labels, "train", None)[0].inputs["source"])
    drawn = [
        len(
            built.encode(example, both, labels, "train", np.random.default_rng(seed))[0].inputs[
                "source"
            ]
        )
        for seed in (1, 1, 2)
    ]
    assert built.draws and drawn[0] == drawn[1] < whole and drawn[2] < whole
    assert (
        len(
            built.encode(example, both, labels, "use", np.random.default_rng(1))[0].inputs["source"]
        )
        == whole
    )


def test_one_label_is_learnt_and_scored(single: Predictor) -> None:
    evaluation = single.evaluate(examples())
    values = evaluation.scores.values
    assert (
        list(values) == ["accuracy", "f1", "mcc", "calibration_error", "loss"]
        and values["accuracy"] == 100 == values["f1"]
    )
    told = json.loads(json.dumps(evaluation.predictions[0].to_json()))
    assert (
        told["text"] == told["label"] == "pos"
        and told["score"] == told["probabilities"]["pos"] > 0.5
    )
    assert (
        sum(told["probabilities"].values()) == pytest.approx(1)
        and told["truncated_input_tokens"] == 0
    )
    assert "all labels" in evaluation.scores.signature


def test_the_positive_label_comes_first() -> None:
    scores = task(positive="pos").score(
        [Prediction("pos", score=0.9)], [Example(label="pos")], {"nll": 0.1, "loss": 0.2}
    )
    assert (
        next(iter(scores.values)) == "f1"
        and scores.values["loss"] == 0.1
        and scores.signatures["f1"] == "of 'pos'"
    )


def test_several_labels_are_learnt() -> None:
    shown = [
        Example(text=text, labels=[label] if text[0] != "a" else [label, "a"])
        for text, label in TEXTS
    ]
    predictor = trained(task(learn="labels", r_drop=0.5, label_smoothing=0.05), shown)
    batches = [
        collate(encode_all(predictor.task, shown * 10, predictor.tokenizers, predictor.labels))
    ]
    for number, one in enumerate(batches[0].encoded):
        one.index = number
    with torch.no_grad():
        assert "3 thresholds fitted on 60" in predictor.task.calibrate(
            predictor.model, predictor.head, batches
        )  # type: ignore[misc, operator]
    evaluation = predictor.evaluate(shown)
    assert evaluation.scores.values["f1"] == 100 and evaluation.scores.values["exact_match"] == 100
    assert (
        sorted(evaluation.predictions[0].text.split(", "))
        == ["a", "pos"]
        == sorted(evaluation.predictions[0].details["labels"])
    )


def test_a_number_is_learnt_for_a_pair() -> None:
    shown = [
        Example(text=one, text_pair=other, value=5.0 if a == b else 0.0)
        for one, a in TEXTS
        for other, b in TEXTS
    ]
    predictor = trained(
        task(learn="value", pair=True, pooling="compare", shortcut=True, dropout=0.0),
        shown,
        steps=80,
    )
    assert predictor.task.calibrate is None
    evaluation = predictor.evaluate(shown)
    assert (
        list(evaluation.scores.values) == ["pearson", "spearman", "loss"]
        and evaluation.scores.values["pearson"] > 90
    )
    best = evaluation.predictions[0]
    assert 0 <= best.details["value"] <= 5 and float(best.text) == pytest.approx(
        best.details["value"], abs=1e-3
    )


def test_a_long_text_is_read_in_windows_and_merged(single: Predictor) -> None:
    whole = "good film " * 200 + "bad " * 3
    pieces = single.task.encode(Example(text=whole), single.tokenizers, single.labels, "use", None)
    assert len(pieces) > 5 and all(len(one.inputs["source"]) <= 24 for one in pieces)
    found = single.predict([whole])[0]
    assert found.text == "pos" and found.truncated_input_tokens == 0
    raw = [single.raw([one], single.decoding)[0] for one in pieces]
    logs = [np.log(np.exp(row - row.max()) / np.exp(row - row.max()).sum()) for _, row, *_ in raw]
    mean = np.average(logs, axis=0, weights=[weight for weight, *_ in raw])
    wanted = np.exp(mean) / np.exp(mean).sum()
    assert list(found.details["probabilities"].values()) == pytest.approx(
        sorted(wanted, reverse=True), abs=1e-6
    )


STRANGE = (
    "\U0001f642 \U0001f469\u200d\U0001f469\u200d\U0001f467 mixed 很 \u0645\u0631\u062d \x00 \u200d"
)


@pytest.mark.parametrize(
    "text", ["", "   ", "x" * 10_000, "很" * 10_000, "good film. " * 18_000, STRANGE]
)
def test_no_text_breaks_a_prediction(text: str, single: Predictor) -> None:
    (found,) = single.predict([text])
    assert found.text in ("neg", "pos") if text.strip() else found.text == ""


def test_an_unseen_label_is_wrong_and_named(single: Predictor) -> None:
    shown = [*examples(), Example(text="strange", label="new", place="t:9")]
    scores = single.evaluate(shown).scores
    assert (
        scores.values["accuracy"] == pytest.approx(600 / 7)
        and "'new' (1)" in scores.signatures["unseen labels"]
    )
    with pytest.raises(DataError, match="t:1 has no label to score against"):
        single.task.score([Prediction("pos")], [Example(text="a", place="t:1")], {})


def test_calibration_sets_the_temperature_and_needs_some_texts(single: Predictor) -> None:
    head: Any = single.head

    def batches(count: int) -> list[Any]:
        encoded = encode_all(single.task, examples() * count, single.tokenizers, single.labels)
        # every fifth label is wrong, so that the model is too sure
        for number, one in enumerate(encoded):
            one.targets["label"] = one.targets["label"] ^ int(number % 5 == 0)
        return [collate(encoded)]

    calibrate: Any = single.task.calibrate
    before = single.predict(["a good film"])[0]
    with torch.no_grad():
        assert (
            "too few" in calibrate(single.model, head, batches(1)) and float(head.temperature) == 1
        )
        said = calibrate(single.model, head, batches(10))
    after = single.predict(["a good film"])[0]
    assert head.temperature > 1 and "Temperature" in said and after.text == before.text
    assert after.score is not None and before.score is not None and 0.6 < after.score < before.score
    assert "temperature" in head.state_dict()  # travels with the weights
    head.temperature.fill_(1.0)


def test_a_decoder_or_too_long_a_window_is_refused() -> None:
    stack = StackConfig(
        layers=1, width=8, heads=2, inner_width=16, positions="learned", max_positions=128
    )
    with pytest.raises(UsageError, match=r"task\.window is 384; this model has 128 positions"):
        task().head(ModelConfig(encoder=stack), {"labels": ["a", "b"]})
    with pytest.raises(UsageError, match="encoder-only"):
        task().head(ModelConfig(encoder=stack, decoder=stack), {"labels": ["a", "b"]})


def test_words_that_few_texts_have_weigh_more_in_a_comparison() -> None:
    built, both = task(learn="value", pair=True, pooling="compare", shortcut=True), tokenizers()
    shown = [
        Example(text="a good film", text_pair="a bad film", value=1.0),
        Example(text="a good day", text_pair="a film", value=0.5),
    ]
    labels = built.prepare(shown)
    config = ModelConfig(
        encoder=StackConfig(layers=1, width=16, heads=2, segments=2),
        vocabulary_size=both.source.vocabulary_size,
    )
    head = built.head(config, labels)
    assert isinstance(head, Classifier) and head.importance is not None
    assert built.fit_head is not None and bool((head.importance == 1).all())
    built.fit_head(head, [built.encode(one, both, labels, "train", None) for one in shown])
    weight = {
        name: head.importance[both.source.encode(name)[-1]].item()
        for name in ("a film", "a good", "a bad")
    }
    assert weight["a film"] == pytest.approx(np.log(5 / 4)) and weight["a good"] == pytest.approx(
        np.log(5 / 3)
    )
    assert weight["a bad"] == pytest.approx(np.log(5 / 2)) and head.importance[:2].tolist() == [
        0,
        0,
    ]
    plain = task().head(config, {"labels": ["a", "b"]})
    assert plain.importance is None
    built.fit_head(plain, [])
