"""A language model tried on translations, answers, summaries and choices without training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.decoding.settings import DecodingSettings
from triptych.errors import DataError, UsageError
from triptych.inference.few_shot import FewShot, judge
from triptych.inference.few_shot_tasks import (
    CHOICES_TEMPLATE,
    KINDS,
    chance_of,
    choices_of,
    continued,
    read_choices,
    try_writing,
)
from triptych.inference.predictor import Predictor
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer
from triptych.tasks import chat, language_modelling

PAIRS = [
    Example(source=f"text {n}", target=f"Text {n}", source_language="en", target_language="fr")
    for n in range(6)
]
QUESTIONS = [
    Example(passage=f"It is {n}.", question="What is it?", answers=[(str(n), 6)]) for n in range(4)
]


def predictor(name: str) -> Predictor:
    texts = [f"English: text {n}\nFrench: Text {n}\n\n" for n in range(9)]
    tags = ("system", "user", "assistant") if name == "chat" else ()
    one = Tokenizer.train(texts, "bpe", 340, tags=tags)
    torch.manual_seed(7)
    stack = StackConfig(
        layers=1, width=32, heads=4, inner_width=64, norm_placement="pre", positions="rotary"
    )
    network = Transformer(ModelConfig(decoder=stack, vocabulary_size=one.vocabulary_size)).eval()
    module = chat if name == "chat" else language_modelling
    task = module.build({"context": 160})
    labels = {"template": chat.TEMPLATES["marks"]} if name == "chat" else {}
    return Predictor(
        model=network,
        head=task.head(network.config, {}),
        task=task,
        tokenizers=Tokenizers(one, one),
        labels=labels,
        decoding=DecodingSettings(),
    )


@pytest.mark.parametrize("name", ["language-modelling", "chat"])
@pytest.mark.parametrize("turns", [False, True])
def test_a_prompt_is_continued_as_by_the_task_itself(name: str, turns: bool) -> None:
    one = predictor(name)
    if turns and name != "chat":
        with pytest.raises(UsageError, match="a run that converses"):
            FewShot(one, [], turns=True)
        return
    kind = KINDS["translation"]
    shots = FewShot(one, kind.written(PAIRS[:2]), kind.template_of(PAIRS), turns)
    answers, dropped = continued(shots, ["text 5", "text"], DecodingSettings(), 6)
    assert dropped == [0, 0] and shots.stop == (None if turns else ["\n"])
    if turns:
        asked = [
            {"role": "user", "content": "English: text 0\nFrench:"},
            {"role": "assistant", "content": "Text 0"},
            {"role": "user", "content": "English: text 1\nFrench:"},
            {"role": "assistant", "content": "Text 1"},
            {"role": "user", "content": "English: text 5\nFrench:"},
        ]
        (own,) = one.predict([{"messages": asked}], max_length=6)
    elif name == "chat":  # a plain text, without the marks of turns
        ids = one.tokenizers.target.prompt("English: text 0\nFrench: Text 0\n\n")
        assert shots.ids("text 5", 6)[0][: len(ids) - 1] == ids[:-1]
        return
    else:
        text = "".join(f"English: text {n}\nFrench: Text {n}\n\n" for n in range(2))
        (own,) = one.predict([f"{text}English: text 5\nFrench:"], max_length=6, stop=["\n"])
    assert answers[0].text == own.text.strip() and answers[0].cut == own.cut


def test_what_does_not_fit_is_counted() -> None:
    one = predictor("chat")
    for turns in (False, True):
        shots = FewShot(one, KINDS["translation"].written(PAIRS), turns=turns)
        shots.context = 60
        ids, dropped = shots.ids("text", 8)
        assert 0 < dropped < len(PAIRS) and len(ids) <= 52
        shots.context = 16
        assert shots.ids("text " * 40, 8)[1] == len(PAIRS) + 1


def test_answers_are_scored_beside_dealt_ones() -> None:
    one, kind = predictor("language-modelling"), KINDS["answering"]
    shots = FewShot(one, kind.written(QUESTIONS[:1]), kind.template_of(QUESTIONS))
    trial = try_writing(shots, kind, QUESTIONS, DecodingSettings(max_length=3))
    assert {"f1", "exact_match"} <= trial.scores.values.keys() and len(trial.answers) == 4
    assert trial.chance["exact_match"] == 0.0  # nobody is dealt its own answer
    assert trial.cut == sum(answer.cut for answer in trial.answers)


def test_texts_and_answers_of_each_kind() -> None:
    assert KINDS["answering"].shown(QUESTIONS[0]) == ("It is 0.\nQuestion: What is it?", "0")
    assert KINDS["translation"].template_of(PAIRS).startswith("English: {text}\nFrench: {label}")
    assert KINDS["translation"].template_of([Example()]).startswith("source: {text}\ntarget: ")
    several = Example(source="a", references=["b", "c"])
    assert KINDS["summarization"].shown(several) == ("a", "b")
    assert KINDS["answering"].written([Example(passage="p", question="q", answers=[])]) == []


def test_choices_of_each_question(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    records = [
        {"text": "one", "choices": ["1", "2", "3"], "answer": "1"},
        {"passage": "p", "question": "two", "choices": ["a", "b"], "answer": 1},
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    questions = read_choices(path)
    assert questions[1].text == "p\nQuestion: two" and questions[1].answer == "b"
    assert chance_of(questions) == pytest.approx(100 * (1 / 3 + 1 / 2) / 2)
    shots = FewShot(predictor("language-modelling"), [], CHOICES_TEMPLATE)
    texts = [one.text for one in questions]
    for normalise in ("sum", "prior"):
        found = judge(shots, texts, choices_of(questions), normalise)  # type: ignore[arg-type]
        for text, own, one in zip(texts, choices_of(questions), found, strict=True):
            (alone,) = judge(shots, [text], own, normalise)  # type: ignore[arg-type]
            assert one.label == alone.label and one.scores == pytest.approx(alone.scores, abs=1e-4)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[1]", "expected a JSON object"),
        ('{"choices": ["a", "b"], "answer": 0}', "there is no text"),
        ('{"text": "x", "choices": "ab", "answer": 0}', "a list of texts"),
        ('{"text": "x", "choices": ["a"], "answer": 0}', "two or more different"),
        ('{"text": "x", "choices": ["a", "a"], "answer": 0}', "two or more different"),
        ('{"text": "x", "choices": ["a", "b"], "answer": 2}', "one of the choices"),
        ('{"text": "x", "choices": ["a", "b"], "answer": true}', "one of the choices"),
        ("", "has no question"),
    ],
)
def test_wrong_questions_are_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line)
    with pytest.raises(DataError, match=said):
        read_choices(path)
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read"):
        read_choices(tmp_path / "none.jsonl")
