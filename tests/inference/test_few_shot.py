"""Prompts of worked examples, and labels judged by likelihood against a plain loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.scoring import answer_log_probabilities
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, TriptychError, UsageError
from triptych.inference.few_shot import (
    TEMPLATE,
    FewShot,
    PromptTemplate,
    drawn,
    judge,
    read_examples,
)
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer
from triptych.tasks.language_modelling import build

SHOTS = [
    Example(text=f"a film number {number}", label="good" if number % 2 else "bad")
    for number in range(6)
]
CHOICES = {"good": "good", "bad": "bad", "so": "neither good nor bad", "好": "很好"}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    texts = [PromptTemplate.parse(TEMPLATE).shown(one) for one in SHOTS] * 5 + ["很好 電影"]
    one = Tokenizer.train(texts, "bpe", 360)
    torch.manual_seed(7)
    stack = StackConfig(
        layers=2, width=32, heads=4, inner_width=64, norm_placement="pre", positions="rotary"
    )
    network = Transformer(ModelConfig(decoder=stack, vocabulary_size=one.vocabulary_size)).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # far from uniform, so that an error shows
            parameter.mul_(2.0)
    task = build({"context": 96})
    return Predictor(
        model=network,
        head=task.head(network.config, {}),
        task=task,
        tokenizers=Tokenizers(one, one),
        labels={},
        decoding=DecodingSettings(max_length=5),
    )


def by_hand(predictor: Predictor, prompt: list[int], answer: list[int]) -> list[float]:
    """Score one token at a time, without packing."""
    found = []
    for place, token in enumerate(answer):
        ids = torch.tensor(prompt + answer[:place])
        with torch.no_grad():
            logits = predictor.model.project(
                predictor.model(target=ids, target_lengths=torch.tensor([len(ids)]))
            )
        found.append(float(torch.log_softmax(logits[-1].float(), -1)[token]))
    return found


@pytest.mark.parametrize("batch_tokens", [1, 60, 4096])
def test_forced_scoring_is_the_plain_loop(predictor: Predictor, batch_tokens: int) -> None:
    prompts = [[0, 5, 6], [0, 5, 6], [0, 5, 6], [0], [0, 9, 9, 9, 9, 9]]
    answers = [[7], [8], [7, 8, 9], [10, 11], [7, 1]]
    found = answer_log_probabilities(predictor.model, prompts, answers, batch_tokens)
    for prompt, answer, nats in zip(prompts, answers, found, strict=True):
        assert nats == pytest.approx(by_hand(predictor, prompt, answer), abs=1e-4)
    assert answer_log_probabilities(predictor.model, [], []) == []


@pytest.mark.parametrize("normalise", ["sum", "token", "byte", "prior"])
def test_judged_as_by_hand(predictor: Predictor, normalise: str) -> None:
    shots = FewShot(predictor, SHOTS[:2])
    texts = ["a film number 9", "電影"]
    encode = predictor.tokenizers.target.encode

    def nats(text: str, words: str) -> float:
        prompt = (
            "".join(f"{shot.text}\nLabel: {shot.label}\n\n" for shot in SHOTS[:2])
            + f"{text}\nLabel:"
        )
        return sum(by_hand(predictor, [0, *encode(prompt)], encode(f" {words}")))

    for text, one in zip(texts, judge(shots, texts, CHOICES, normalise), strict=True):  # type: ignore[arg-type]
        for label, words in CHOICES.items():
            size = {"token": len(encode(f" {words}")), "byte": len(words.encode())}.get(
                normalise, 1
            )
            prior = nats("", words) if normalise == "prior" else 0.0
            assert one.scores[label] == pytest.approx((nats(text, words) - prior) / size, abs=1e-4)
        assert one.label == max(one.scores, key=one.scores.__getitem__) and one.dropped == 0


def test_a_prior_is_of_the_examples_that_a_text_left_room_for(predictor: Predictor) -> None:
    texts = ["a film", "a film " * 9, "a film " * 50]
    found = judge(FewShot(predictor, SHOTS), texts, CHOICES, "prior")
    plain = judge(FewShot(predictor, SHOTS), texts, CHOICES)
    assert len({one.dropped for one in found}) == 3 and found[-1].dropped == len(SHOTS) + 1
    for one, own in zip(found, plain, strict=True):
        (blank,) = judge(FewShot(predictor, SHOTS[one.dropped :]), [""], CHOICES)
        assert one.dropped == own.dropped
        assert {
            label: own.scores[label] - blank.scores[label] for label in CHOICES
        } == pytest.approx(one.scores, abs=1e-4)


def test_what_does_not_fit_drops_whole_examples_oldest_first(predictor: Predictor) -> None:
    shots, encode = FewShot(predictor, SHOTS), predictor.tokenizers.target.encode
    for context in range(20, 130, 7):
        shots.context = context
        ids, dropped = shots.ids("a film", 4)
        assert len(ids) <= context - 4
        if dropped <= len(SHOTS):
            kept = "".join(shots.template.shown(one) for one in SHOTS[dropped:])
            assert ids == [0, *encode(kept + "a film\nLabel:")]
        if 0 < dropped <= len(SHOTS):  # one more would not have fitted
            more = shots.template.shown(SHOTS[dropped - 1]) + kept
            assert len(encode(more + "a film\nLabel:")) + 1 > context - 4
    shots.context = 12
    ids, dropped = shots.ids("a film " * 50, 4)
    assert len(ids) == 8 and dropped == len(SHOTS) + 1


def test_templates() -> None:
    one = PromptTemplate.parse("Review: {text} -> {label}.\n")
    assert one.shown(SHOTS[1]) == "Review: a film number 1 -> good.\n"
    assert one.question("x") == "Review: x ->" and one.answer("good") == " good"
    assert PromptTemplate.parse("{text}\n標籤:{label}").answer("好") == "好"
    assert PromptTemplate.parse("{text}{}|{label}").question("{label}") == "{label}{}|"
    for wrong in ("{text}", "{label} {text}", "{text} {label} {label}", "no", "{text}{label}", ""):
        with pytest.raises(UsageError, match="template"):
            PromptTemplate.parse(wrong)


def test_an_answer_ends_where_an_example_does(predictor: Predictor) -> None:
    assert FewShot(predictor, SHOTS).stop == ["\n"]
    assert FewShot(predictor, [Example(text="a", label="b\nc")]).stop == ["\n\n"]
    assert FewShot(predictor, SHOTS, "{text} = {label}").stop is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "one\tgood\ntwo\tbad\n"),
        ("a.tsv", "text\tlabel\none\tgood\ntwo\tbad\n"),
        ("a.jsonl", '{"text": "one", "label": "good"}\n{"text": "two", "label": "bad"}\n'),
        ("a.jsonl", '{"input": "one", "answer": "good"}\n{"input": "two", "answer": "bad"}\n'),
    ],
)
def test_files_of_examples(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert [(one.text, one.label) for one in read_examples(tmp_path / name)] == [
        ("one", "good"),
        ("two", "bad"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("one\n", "no second column"),
        ('{"input": "one"}\n', "missing"),
        ("", "no second column|no example"),
        ("a\tb\nc\n", "column"),
    ],
)
def test_bad_files_of_examples_are_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / (
        "a.jsonl" if content.startswith("{") else "a.tsv" if "\t" in content else "a.txt"
    )
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        read_examples(path)
    with pytest.raises(DataError, match="no file"):
        read_examples(tmp_path / "none.tsv")


def test_drawn_examples_share_the_labels() -> None:
    many = [
        Example(text=str(number), label="rare" if number % 10 == 0 else "usual")
        for number in range(100)
    ]
    chosen = drawn(many, 8)
    assert (
        len({one.text for one in chosen}) == 8 and sum(one.label == "rare" for one in chosen) == 4
    )
    assert [one.text for one in drawn(many, 8)] == [one.text for one in chosen]
    with pytest.raises(UsageError, match="there are only 100"):
        drawn(many, 101)


def test_what_cannot_be_judged_is_a_sentence(predictor: Predictor) -> None:
    shots = FewShot(predictor, [])
    for wrong in ({}, {"a": "a"}, {"a": "a", "b": " "}):
        with pytest.raises(TriptychError, match=r"label|choice"):
            judge(shots, ["x"], wrong)
