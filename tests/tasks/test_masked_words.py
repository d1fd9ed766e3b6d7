"""What is hidden and how often, what belongs together, and how marked places are filled."""

from __future__ import annotations

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
from triptych.model.build import build as build_model
from triptych.model.config import ModelConfig, StackConfig
from triptych.tasks.masked_words import build
from triptych.tasks.masking import word_units

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
    "misunderstandings",
]
TEXT = " ".join(WORDS[(7 * place + place // 5) % len(WORDS)] for place in range(900))
CHINESE = "我們今天去公園散步，天氣很好。" * 20


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    one = Tokenizer.train([TEXT, CHINESE], "bpe", 340, (), mask=True)
    return Tokenizers(one, one)


def encoded(
    tokenizers: Tokenizers, text: str = TEXT, seed: int | None = 1, **options: Any
) -> list[Any]:
    generator = None if seed is None else np.random.default_rng(seed)
    return build(options).encode(Example(text=text), tokenizers, {"mask": True}, "train", generator)


def drawn_anew(tokenizers: Tokenizers, seeds: int, **options: Any) -> list[Any]:
    """Windows of TEXT for each seed; the text is encoded once, as in training."""
    task, pieces = build(options), encoded(tokenizers, **options)
    assert task.remask is not None
    return [
        one
        for seed in range(seeds)
        for one in task.remask(pieces, tokenizers, np.random.default_rng(seed))
    ]


def originals(one: Any) -> np.ndarray:
    ids = one.inputs["source"].copy()
    ids[one.inputs["masked"] == 1] = one.targets["tokens"]
    return ids


@pytest.mark.parametrize("whole_words", [False, True])
@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_rate_is_kept_on_average(
    tokenizers: Tokenizers, rate: float, whole_words: bool
) -> None:
    windows = drawn_anew(tokenizers, 40, rate=rate, whole_words=whole_words)
    share = sum(one.weight for one in windows) / sum(one.length - 2 for one in windows)
    assert abs(share - rate) < 0.006
    assert min(one.weight for one in windows) >= 1


def test_eighty_ten_ten(tokenizers: Tokenizers) -> None:
    windows = drawn_anew(tokenizers, 60)
    shown = np.concatenate([one.inputs["source"][one.inputs["masked"] == 1] for one in windows])
    wanted = np.concatenate([one.targets["tokens"] for one in windows])
    mask = tokenizers.source.mask_id
    assert abs((shown == mask).mean() - 0.8) < 0.01
    assert abs((shown == wanted).mean() - 0.1) < 0.01
    drawn = shown[(shown != mask) & (shown != wanted)]
    assert abs(len(drawn) / len(shown) - 0.1) < 0.01
    # never a special, and all the rest
    assert drawn.min() > mask and drawn.max() >= tokenizers.source.vocabulary_size - 20


def test_only_what_was_chosen_is_changed_and_specials_never(tokenizers: Tokenizers) -> None:
    tokenizer, ids = tokenizers.source, tokenizers.source.encode(TEXT)
    found = encoded(tokenizers)
    # every token once: none is wasted
    assert np.concatenate([originals(one)[1:-1] for one in found]).tolist() == ids
    for one in found:
        assert one.inputs["masked"][0] == one.inputs["masked"][-1] == 0
        assert (
            one.inputs["source"][0] == tokenizer.begin_id
            and one.inputs["source"][-1] == tokenizer.end_id
        )
    lengths = [one.length for one in found]
    # of like length, so no short rest
    assert max(lengths) <= 130 and max(lengths) - min(lengths) <= 1


def test_shares_can_be_set(tokenizers: Tokenizers) -> None:
    for one in encoded(tokenizers, mask_share=0.0, random_share=0.0):
        assert (one.inputs["source"] == originals(one)).all()
    for one in encoded(tokenizers, mask_share=1.0, random_share=0.0):
        assert (one.inputs["source"][one.inputs["masked"] == 1] == tokenizers.source.mask_id).all()


def test_words_stay_whole(tokenizers: Tokenizers) -> None:
    ids, units = word_units(TEXT, tokenizers.source)
    assert len(set(units.tolist())) == 900 < len(ids)
    for one in encoded(tokenizers, whole_words=True, window=len(ids)):
        chosen = one.inputs["masked"][1:-1] == 1
        for unit in set(units[chosen].tolist()):
            assert chosen[units == unit].all()


def test_in_chinese_a_run_is_no_word(tokenizers: Tokenizers) -> None:
    ids, units = word_units("天氣很好 and 龘", tokenizers.source)
    pieces = tokenizers.source.pieces(ids.tolist())
    assert len(set(units.tolist())) > 3
    # three bytes of one character stay together
    assert len(set(units[-3:].tolist())) == 1 and pieces[-3:].count("龘") == 1


def test_the_draw_depends_on_seed_epoch_and_index_alone(tokenizers: Tokenizers) -> None:
    def draw(*key: int) -> list[list[int]]:
        task = build({})
        pieces = task.encode(Example(text=TEXT), tokenizers, {}, "train", None)
        assert task.remask is not None
        return [
            one.inputs["source"].tolist()
            for one in task.remask(pieces, tokenizers, np.random.default_rng(key))
        ]

    assert draw(1, 0, 5) == draw(1, 0, 5)
    assert len({str(draw(*key)) for key in [(1, 0, 5), (1, 1, 5), (1, 0, 6), (2, 0, 5)]}) == 4


@pytest.mark.parametrize("whole_words", [False, True])
def test_drawing_anew_is_encoding_anew(tokenizers: Tokenizers, whole_words: bool) -> None:
    task = build({"whole_words": whole_words})
    before = task.encode(Example(text=TEXT), tokenizers, {}, "train", np.random.default_rng(3))
    assert task.remask is not None
    again = task.remask(before, tokenizers, np.random.default_rng(9))
    wanted = task.encode(Example(text=TEXT), tokenizers, {}, "train", np.random.default_rng(9))
    for one, other in zip(again, wanted, strict=True):
        assert one.inputs["source"].tolist() == other.inputs["source"].tolist()
        assert one.targets["tokens"].tolist() == other.targets["tokens"].tolist()


def test_an_evaluation_always_hides_the_same(tokenizers: Tokenizers) -> None:
    first, second = encoded(tokenizers, seed=None), encoded(tokenizers, seed=None)
    assert [one.inputs["source"].tolist() for one in first] == [
        one.inputs["source"].tolist() for one in second
    ]
    assert first[0].inputs["masked"].tolist() != first[1].inputs["masked"].tolist()


@pytest.mark.parametrize("text", ["", "x" * 10_000, "🎻" * 300, "汉字" * 5000, "<mask><end>"])
def test_strange_texts(tokenizers: Tokenizers, text: str) -> None:
    for whole_words in (False, True):
        found = encoded(tokenizers, text, whole_words=whole_words)
        assert (
            tokenizers.source.decode(
                np.concatenate([originals(one) for one in found]).tolist() if found else []
            )
            == text
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rat": 0.1}, "Did you mean 'task.rate'"),
        ({"rate": 0.0}, "task.rate is 0.0"),
        ({"mask_share": 0.95}, "at most 1 together"),
        ({"window": 2}, "task.window is 2"),
        ({"whole_words": 1}, "true or false"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(options)


def predictor(tokenizers: Tokenizers, **options: Any) -> Predictor:
    torch.manual_seed(3)
    stack = StackConfig(
        layers=1,
        width=32,
        heads=2,
        inner_width=64,
        positions="learned",
        max_positions=130,
        dropout=0.0,
    )
    config = ModelConfig(encoder=stack, vocabulary_size=tokenizers.source.vocabulary_size)
    task = build(options)
    return Predictor(
        model=build_model(config).eval(),
        head=task.head(config, {"mask": True}).eval(),
        task=task,
        tokenizers=tokenizers,
        labels={"mask": True},
        decoding=DecodingSettings(),
    )


def test_names_of_the_head(tokenizers: Tokenizers) -> None:
    assert set(predictor(tokenizers).head.state_dict()) == {
        "transform.weight",
        "transform.bias",
        "norm.weight",
        "norm.bias",
        "bias",
    }


def test_a_window_beyond_the_positions_is_refused(tokenizers: Tokenizers) -> None:
    with pytest.raises(UsageError, match="Give 128 or less"):
        predictor(tokenizers, window=129)
    with pytest.raises(UsageError, match="encoder-small"):
        build({}).head(ModelConfig(decoder=StackConfig()), {})


def test_scores_are_those_of_a_plain_softmax(tokenizers: Tokenizers) -> None:
    one, examples = predictor(tokenizers), [Example(text=TEXT), Example(text=CHINESE)]
    scores = one.evaluate(examples).scores.values
    batch = collate(encode_all(one.task, examples, tokenizers, one.labels))
    with torch.no_grad():
        states = one.model(**batch.inputs)[batch.inputs["masked"] == 1]
        hidden = one.head.norm(torch.nn.functional.gelu(one.head.transform(states)))
        logits = one.model.project(hidden) + one.head.bias
    plain = torch.nn.functional.cross_entropy(logits, batch.targets["tokens"])
    assert scores["loss"] == pytest.approx(float(plain), rel=1e-4)
    assert scores["accuracy"] == pytest.approx(
        100 * float((logits.argmax(-1) == batch.targets["tokens"]).float().mean())
    )
    assert next(iter(scores)) == "loss" and scores["perplexity"] == pytest.approx(
        float(plain.exp()), rel=1e-4
    )


def test_marked_places_are_filled(tokenizers: Tokenizers) -> None:
    found = predictor(tokenizers).predict(["the old [MASK] looked at[MASK] his 天氣[MASK]好"])[0]
    masks = found.details["masks"]
    assert [(one["start"], one["end"]) for one in masks] == [(8, 14), (24, 30), (37, 43)]
    assert all(
        one["fillings"] == sorted(one["fillings"], key=lambda filling: -filling["probability"])
        for one in masks
    )
    assert "[MASK]" not in found.text and found.text.startswith("the old ")


def test_a_long_text_is_filled_in_windows_around_its_places(tokenizers: Tokenizers) -> None:
    one = predictor(tokenizers)
    text = f"the [MASK] prince {TEXT * 30} the [MASK] prince {TEXT} [MASK]"
    pieces = one.task.encode(Example(text=text), tokenizers, one.labels, "use", None)
    assert [[place.number for place in piece.metadata] for piece in pieces] == [[0], [1], [2]]
    assert all(piece.length <= 130 and piece.inputs["masked"].sum() == 1 for piece in pieces)
    assert len(one.predict([text])[0].details["masks"]) == 3


def test_a_text_without_a_place_is_said(tokenizers: Tokenizers) -> None:
    one, problems = predictor(tokenizers), {}
    with pytest.raises(DataError, match=r"write \[MASK\]"):
        one.predict(["nothing is missing here"])
    answers = list(
        one.answer([Example(text="nothing"), Example(text="the [MASK]")], problems=problems)
    )
    assert "marks no place" in problems[0] and answers[1].details["masks"]


def test_neighbours_never_leak(tokenizers: Tokenizers) -> None:
    one = predictor(tokenizers)
    alone = one.predict(["the old [MASK] said"])[0].details
    beside = one.predict([f"{TEXT[:300]} [MASK]", "the old [MASK] said", "[MASK]"])[1].details
    for first, second in zip(
        alone["masks"][0]["fillings"], beside["masks"][0]["fillings"], strict=True
    ):
        assert first["text"] == second["text"] and first["probability"] == pytest.approx(
            second["probability"], abs=1e-6
        )
