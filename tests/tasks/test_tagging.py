"""Tagging, slot by slot: words and pieces, windows, whole spans always, text that nobody expected;
and once through a small model.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.data.formats import bio
from triptych.data.segmentation import words as rules
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, UsageError
from triptych.inference.predictor import Predictor
from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.tasks.options import TaggingOptions
from triptych.tasks.specs import SPECS
from triptych.tasks.tagging import Raw, constraints, read
from triptych.tasks.tagging_pieces import MOST_PIECES, WordWindow, central, spelt, windows
from triptych.tasks.task import Prediction, Purpose, Task

NAMES = {"Ann": "PER", "Bob": "PER", "Rome": "LOC", "York": "LOC"}
SENTENCES = [
    "Ann Ann saw Rome .",
    "Bob left York",
    "He saw Bob Ann in Rome",
    "Rome and York",
    "Ann left .",
]


def example(text: str) -> Example:
    words, tags, before = rules.split(text, "spaces"), [], ""
    for start, end in words:
        kind = NAMES.get(text[start:end], "")
        tags.append(f"{'I' if kind == before else 'B'}-{kind}" if kind else "O")
        before = kind
    return Example(text=text, words=words, tags=tags, place=text[:10])


EXAMPLES = [example(text) for text in SENTENCES]
TOKENIZER = Tokenizer.train(SENTENCES * 3, "bpe", 330)
TOKENIZERS = Tokenizers(TOKENIZER, TOKENIZER)


def task(**options: Any) -> Task:
    return SPECS["tagging"].build(options)


def predictor(examples: list[Example] = EXAMPLES, steps: int = 0, **options: Any) -> Predictor:
    """A tiny model, trained a little where wanted."""
    torch.manual_seed(1)
    built = task(**options)
    labels = built.prepare(examples)
    stack = StackConfig(
        layers=1,
        width=16,
        heads=2,
        inner_width=32,
        positions="rotary",
        norm_placement="pre",
        dropout=0.0,
    )
    config = ModelConfig(encoder=stack, vocabulary_size=TOKENIZER.vocabulary_size)
    model, head = build(config), built.head(config, labels)
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], 0.02)
    batch = collate(
        [
            one
            for given_one in examples
            for one in built.encode(given_one, TOKENIZERS, labels, "train", None)
        ]
    )
    for _ in range(steps):
        optimizer.zero_grad()
        total, count, _ = built.loss(head(model, model(**batch.inputs), batch.inputs), batch)[
            "loss"
        ]
        (total / count).backward()
        optimizer.step()
    model.eval()
    head.eval()
    return Predictor(
        model=model,
        head=head,
        task=built,
        tokenizers=TOKENIZERS,
        labels=labels,
        decoding=DecodingSettings(),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema": "bio"}, r"Unknown recipe key 'task\.schema'"),
        (
            {"scheme": "iob"},
            r"task\.scheme is 'iob'; .* one of bio, bioes, plain or none\. Did you mean",
        ),
        ({"decoding": "crff"}, r"Did you mean 'crf'"),
        ({"label_smoothing": 2}, r"task\.label_smoothing is 2"),
        ({"window": 100, "stride": 99}, r"task\.stride is 99"),
        ({"decoding": "crf", "label_smoothing": 0.1}, "CRF learns whole paths"),
        ({"word_dropout": 1.0}, r"task\.word_dropout is 1\.0"),
        ({"bigrams": -1}, r"task\.bigrams is -1"),
        ({"bigrams": True}, r"task\.bigrams is True"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task(**options)


def test_labels_say_how_tags_and_words_are_read() -> None:
    labels = task().prepare(EXAMPLES)
    assert labels["names"] == ["O", "B-LOC", "B-PER", "I-PER"] and (
        labels["scheme"],
        labels["written"],
    ) == ("bio", "bio")
    assert (
        labels["words"] == {"rules": "unicode"}
        and labels["spaces"] == "always"
        and json.loads(json.dumps(labels)) == labels
    )
    assert task(scheme="bioes").prepare(EXAMPLES)["names"] == [
        "O",
        "B-PER",
        "E-PER",
        "S-LOC",
        "S-PER",
    ]
    glued = Example(text="a.", words=[(0, 1), (1, 2)], tags=["X", "PUNCT"])
    assert (
        task().prepare([glued])["spaces"] == "text" and task().prepare([glued])["scheme"] == "plain"
    )
    with pytest.raises(UsageError, match="are not spans"):
        task(scheme="bioes").prepare([glued])
    with pytest.raises(DataError, match="no sentence with tags"):
        task().prepare([])
    with pytest.raises(UsageError, match=r"task\.words is 'nowhere'"):
        task(words="nowhere").prepare(EXAMPLES)


def test_labels_stand_at_words_whatever_their_pieces() -> None:
    labels = task().prepare(EXAMPLES)
    (one,) = task().encode(EXAMPLES[0], TOKENIZERS, labels, "train", None)
    starts, source = one.inputs["word_starts"], one.inputs["source"]
    assert (
        starts.sum() == len(one.targets["tags"]) == 5
        and starts[0] == starts[-1] == 0
        and len(starts) == len(source)
    )
    assert TOKENIZER.decode(source.tolist()) == " " + SENTENCES[0]
    assert [labels["names"][number] for number in one.targets["tags"]] == EXAMPLES[0].tags
    new = Example(text="Ann", words=[(0, 3)], tags=["B-NEW"])
    assert task().encode(new, TOKENIZERS, labels, "train", None)[0].targets["tags"].tolist() == [-1]
    with pytest.raises(DataError, match="2 words and 1 tags"):
        task().encode(
            Example(text="a b", words=[(0, 1), (2, 3)], tags=["O"]),
            TOKENIZERS,
            labels,
            "train",
            None,
        )
    with pytest.raises(DataError, match="is not valid"):
        task().encode(Example(text="a b", words=[(0, 9)]), TOKENIZERS, labels, "use", None)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=60), st.integers(12, 30), st.integers(1, 12)
)
def test_windows_hold_every_word_and_overlap(counts: list[int], room: int, stride: int) -> None:
    found = windows(counts, room, stride)
    assert found[0][0] == 0 and found[-1][1] == len(counts)
    for first, last in found:
        assert first < last and sum(counts[first:last]) <= room
    for (first, last), (after, later) in itertools.pairwise(found):
        assert first < after <= last < later


def test_a_word_is_taken_where_it_stands_most_central() -> None:
    words = [(place, place + 1) for place in range(10)]
    left, right = WordWindow(0, 6, words, 0), WordWindow(4, 10, words, 0)
    merged = central([(right, np.full((6, 1), 2.0)), (left, np.full((6, 1), 1.0))])
    assert merged[:, 0].tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]


def test_long_words_are_bounded_and_counted() -> None:
    found, unseen = spelt(
        "x" * 10_000 + " b", [(0, 10_000), (10_001, 10_002)], TOKENIZER, 254, True, True
    )
    assert len(found[0]) == MOST_PIECES and unseen > 0 and len(found[1]) >= 1
    assert len(spelt("abcdefgh", [(0, 8)], TOKENIZER, 6, True, True)[0][0]) <= 6


@given(st.integers(0, 1000), st.sampled_from(["bio", "bioes"]), st.integers(1, 12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_broken_span_ever_comes_out(
    seed: int, scheme: bio.Scheme, count: int, two_windows: bool
) -> None:
    draw = np.random.default_rng(seed).normal
    letters = "BI" if scheme == "bio" else "BIES"
    names = ["O", *(f"{letter}-{kind}" for letter in letters for kind in ("A", "B"))]
    labels = {"names": names, "scheme": scheme, "written": scheme, "unit": "word"}
    text = "w " * count
    words = rules.split(text)
    cut = count // 2 if two_windows and count > 1 else count
    places = [WordWindow(0, cut, words, 0), WordWindow(cut, count, words, 0)][: 1 + (cut < count)]
    raw = [
        Raw(draw(size=(one.last - one.first, len(names))) * 5, one, None, labels) for one in places
    ]
    prediction = read(raw, Example(text=text), TOKENIZERS, options=TaggingOptions())
    assert bio.broken(prediction.details["tags"], scheme) == []
    assert [(one["start"], one["end"]) for one in prediction.details["entities"]] == [
        (words[first][0], words[last - 1][1])
        for _, first, last in bio.spans(prediction.details["tags"])
    ]
    assert constraints(labels).first.shape == (len(names),)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"decoding": "crf"},
        {"decoding": "crf", "scheme": "bioes"},
        {"decoding": "greedy"},
        {"pooling": "mean"},
        {"bigrams": 997},
    ],
)
def test_a_small_model_learns_and_answers_in_readable_text(options: dict[str, Any]) -> None:
    ready = predictor(steps=60, dropout=0.0, **options)
    evaluation = ready.evaluate(EXAMPLES)
    assert next(iter(evaluation.scores.values)) == "f1" and evaluation.scores.values["f1"] == 100.0
    assert {"precision", "recall", "accuracy", "f1_PER", "f1_LOC", "loss"} <= set(
        evaluation.scores.values
    )
    answer = ready.predict(["Ann Ann saw Rome."])[0]
    assert answer.text == "[PER Ann Ann] saw [LOC Rome]."
    entities = answer.to_json()["entities"]
    assert [tuple(one.values())[:4] for one in entities] == [
        (0, 7, "PER", "Ann Ann"),
        (12, 16, "LOC", "Rome"),
    ]
    assert all(0 < one["score"] <= 1 for one in entities) and answer.details["tags"] == [
        "B-PER",
        "I-PER",
        "O",
        "B-LOC",
        "O",
    ]
    given_words = ready.predict([{"text": "AnnRome", "words": [(0, 3), (3, 7)]}])[0]
    assert [one["text"] for one in given_words.details["entities"]] == ["Ann", "Rome"]


def test_windows_answer_as_one_text_and_neighbours_do_not_leak() -> None:
    ready = predictor(steps=40, dropout=0.0, window=12, stride=6)
    long = " ".join(["Ann Ann saw Rome ."] * 30)
    answer = ready.predict([long])[0]
    assert len(answer.details["tags"]) == 150 and answer.truncated_input_tokens == 0
    assert sum(one["label"] == "LOC" for one in answer.details["entities"]) == 30
    alone = [ready.predict([text])[0].details for text in SENTENCES]
    together = [one.details for one in ready.predict(SENTENCES)]
    for one, other in zip(alone, together, strict=True):
        assert one["tags"] == other["tags"]
        assert [entity["score"] for entity in one["entities"]] == pytest.approx(
            [entity["score"] for entity in other["entities"]], abs=1e-3
        )


def test_bad_texts_never_crash() -> None:
    ready = predictor()
    texts = [
        "",
        "   ",
        "x" * 10_000,
        "👨‍👩‍👧🇹🇼 hi \u200b",
        "我愛 Rome שלום नमस्ते",
        "<end> <begin>",
        "\x00\x01",
        "a\nb\tc",
        "٣٤ ½ ﷺ",
        "e\u0301",
    ]
    found = ready.predict(texts)
    assert (
        found[0].text == ""
        and found[2].truncated_input_tokens > 0
        and len(found[2].details["tags"]) == 1
    )
    for text, one in zip(texts, found, strict=True):
        for (start, end), word in zip(
            one.details.get("offsets", []), one.details.get("words", []), strict=True
        ):
            assert text[start:end] == word
        json.dumps(one.to_json())


def test_a_document_of_200_000_characters_is_read_whole() -> None:
    document = "Ann saw Rome . " * (200_000 // 15)
    answer = predictor().predict([document])[0]
    assert (
        len(answer.details["tags"]) == len(document.split()) and answer.truncated_input_tokens == 0
    )


def test_plain_tags_are_shown_at_their_words() -> None:
    nouns = [
        Example(text="Dogs run.", words=[(0, 4), (5, 8), (8, 9)], tags=["NOUN", "VERB", "PUNCT"])
    ]
    ready = predictor(nouns, steps=40, dropout=0.0)
    assert ready.predict(["Dogs run."])[0].text == "Dogs/NOUN run/VERB ./PUNCT"
    scores = ready.evaluate(nouns).scores
    assert scores.values["upos"] == 100.0 and "entities" not in ready.predict(["Dogs"])[0].details


def test_labels_that_training_never_showed_are_named_and_wrong() -> None:
    ready = predictor(steps=40, dropout=0.0)
    scores = ready.evaluate(
        [*EXAMPLES, Example(text="Zed", words=[(0, 3)], tags=["B-ORG"], place="test:9")]
    ).scores
    assert (
        scores.values["f1_ORG"] == 0.0
        and "B-ORG" in scores.signature
        # a word without a known tag has no part in the mean
        and scores.values["loss"] == ready.evaluate(EXAMPLES).scores.values["loss"]
    )


@pytest.mark.parametrize("decoding", ["crf", "greedy"])
def test_nothing_is_known_of_the_loss_where_no_tag_is(decoding: str) -> None:
    scores = (
        predictor(decoding=decoding)
        .evaluate([Example(text="Zed", words=[(0, 3)], tags=["B-ORG"])])
        .scores
    )
    assert "loss" not in scores.values
    assert "loss = not known: no word has a tag of the training data" in scores.signature
    outside = predictor(decoding=decoding).evaluate(
        [Example(text="Zed", words=[(0, 3)], tags=["O"])]
    )
    assert "loss" in outside.scores.values and "no entity" in outside.scores.signature


def test_word_dropout_hides_words_in_training_alone() -> None:
    built, tokenizer = task(word_dropout=0.5), Tokenizer.train(SENTENCES * 3, "bpe", 330, mask=True)
    labels, masked = built.prepare(EXAMPLES), Tokenizers(tokenizer, tokenizer)
    assert (
        built.draws
        and labels["mask"] is True
        and not task().draws
        and "mask" not in task().prepare(EXAMPLES)
    )
    hidden = 0
    for seed in range(20):
        (one,) = built.encode(EXAMPLES[0], masked, labels, "train", np.random.default_rng(seed))
        assert one.inputs["word_starts"].sum() == len(one.targets["tags"]) == 5
        hidden += int((one.inputs["source"] == tokenizer.mask_id).sum())
    assert 35 <= hidden <= 65
    calls: list[tuple[Purpose, np.random.Generator | None]] = [
        ("train", None),
        ("use", np.random.default_rng(1)),
    ]
    for purpose, generator in calls:
        (one,) = built.encode(EXAMPLES[0], masked, labels, purpose, generator)
        assert tokenizer.mask_id not in one.inputs["source"]


def test_characters_become_words() -> None:
    chinese = [
        Example(text="我們愛台灣", words=[(0, 2), (2, 3), (3, 5)], tags=["X"] * 3),
        Example(text="我們愛台灣 我們", words=[(0, 2), (2, 3), (3, 5), (6, 8)], tags=["X"] * 4),
    ]
    ready = predictor(chinese, steps=80, dropout=0.0, unit="character")
    assert ready.evaluate(chinese).scores.values["f1"] == 100.0
    answer = ready.predict(["我們愛台灣 我們"])[0]
    assert answer.text == "我們 愛 台灣 我們" and answer.to_json()["offsets"] == [
        [0, 2],
        [2, 3],
        [3, 5],
        [6, 8],
    ]
    words_run = predictor(
        [Example(text="我們 去", words=[(0, 2), (3, 4)], tags=["B-X", "O"])], steps=20
    )
    words_run.segmenter = ready
    assert words_run.predict(["我們愛台灣"])[0].details["words"] == ["我們", "愛", "台灣"]
    assert words_run.predict([{"text": "我們愛台灣", "words": [(0, 5)]}])[0].details["words"] == [
        "我們愛台灣"
    ]


def test_heads_refuse_models_that_do_not_fit() -> None:
    labels = task().prepare(EXAMPLES)
    learned = StackConfig(layers=1, width=16, heads=2, positions="learned", max_positions=64)
    with pytest.raises(UsageError, match="this model has 64 positions"):
        task().head(ModelConfig(encoder=learned), labels)
    with pytest.raises(UsageError, match="encoder-only"):
        task().head(ModelConfig(encoder=learned, decoder=learned), labels)


def test_scores_want_an_answer_for_every_word() -> None:
    wrong = Prediction(text="", details={"words": ["a"], "tags": ["O"]})
    with pytest.raises(DataError, match="2 words have tags, and 1 were answered"):
        task().score(
            [wrong], [Example(text="a b", words=[(0, 1), (2, 3)], tags=["O", "O"], place="p")], {}
        )


@pytest.mark.parametrize(("learnt", "scored"), [("bio", "bioes"), ("bioes", "bio")])
def test_a_test_set_in_the_other_scheme_is_scored_alike(
    learnt: bio.Scheme, scored: bio.Scheme
) -> None:
    def written(scheme: bio.Scheme) -> list[Example]:
        return [
            dataclasses.replace(one, tags=bio.converted(one.tags or [], scheme)) for one in EXAMPLES
        ]

    model = predictor(written(learnt), steps=40)
    same, other = model.evaluate(written(learnt)).scores, model.evaluate(written(scored)).scores
    assert (
        same.values["f1"] > 50
        and other.values == pytest.approx(same.values)
        and other.signature == same.signature
    )


def test_a_label_that_training_lacks_is_named_whatever_the_scheme_that_is_learnt() -> None:
    strange = dataclasses.replace(EXAMPLES[0], tags=["B-MISC", "I-MISC", "O", "B-LOC", "O"])
    choices: list[dict[str, Any]] = [
        {},
        {"scheme": "bioes"},
        {"scheme": "bioes", "decoding": "crf"},
    ]
    for options in choices:
        said = predictor(**options).evaluate([strange]).scores.signature
        assert "labels not seen in training, never right: B-MISC, I-MISC" in said
