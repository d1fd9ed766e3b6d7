"""Equation 7 by hand, log 2 at the start, and that the chosen answer becomes likelier."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from toy_chat import TAGS, network, predictor_of, talk, tokenizers_with

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.errors import DataError, UsageError
from triptych.tasks import chat
from triptych.tasks.preference import answer_log_probabilities, build

PAIRS = [
    talk("how", chosen="very well", rejected="no"),
    talk("hello", "hi", "you?", chosen="fine", rejected="fine, and you?", system="好"),
]


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    return tokenizers_with(TAGS)


def labels_of(task: Any, tokenizers: Tokenizers) -> dict[str, Any]:
    of_chat = chat.build({"context": 64}).prepare([talk("hello", "hi")])
    return task.inherit_labels(task.prepare(PAIRS), of_chat, tokenizers)


def frozen(seed: int, tokenizers: Tokenizers) -> Any:
    model = network(tokenizers.target.vocabulary_size, seed)

    def answer(inputs: dict[str, Any]) -> tuple[Any, Any]:
        with torch.no_grad():
            states = model(**inputs)
            return states, model.project(states[inputs["learnt"] == 1])

    return model, answer


def log_probability(
    model: Any, example: Example, text: str, tokenizers: Tokenizers, labels: dict[str, Any]
) -> float:
    """Of one answer, alone, token by token."""
    (asked,) = chat.build({"context": 64}).encode(example, tokenizers, labels, "use", None)
    ids, answer = (
        asked.inputs["target"].tolist(),
        [*tokenizers.target.encode(text), tokenizers.target.end_id],
    )
    whole = torch.tensor([*ids, *answer[:-1]])
    with torch.no_grad():
        chances = model.project(
            model(target=whole, target_lengths=torch.tensor([len(whole)]))
        ).log_softmax(-1)
    return sum(float(chances[len(ids) - 1 + place, token]) for place, token in enumerate(answer))


def test_the_loss_is_the_papers(tokenizers: Tokenizers) -> None:
    task = build({"context": 64, "beta": 0.3})
    labels = labels_of(task, tokenizers)
    model, reference = network(tokenizers.target.vocabulary_size, 1), frozen(2, tokenizers)
    task = task.with_teacher(reference[1]) if task.with_teacher else task
    batch = collate(
        [
            one
            for example in PAIRS
            for one in task.encode(example, tokenizers, labels, "train", None)
        ]
    )
    assert batch.counts["tokens"] == 2 and batch.inputs["target_lengths"].shape == (4,)
    found = task.loss(
        task.head(model.config, labels)(model, model(**batch.inputs), batch.inputs), batch
    )
    margins = []
    for example in PAIRS:
        own, theirs = (
            [
                log_probability(one, example, text or "", tokenizers, labels)
                for text in (example.chosen, example.rejected)
            ]
            for one in (model, reference[0])
        )
        margins.append(0.3 * ((own[0] - theirs[0]) - (own[1] - theirs[1])))
    wanted = sum(-math.log(1 / (1 + math.exp(-margin))) for margin in margins)
    assert float(found["loss"][0].detach()) == pytest.approx(wanted, rel=1e-4)
    assert float(found["margin"][0]) == pytest.approx(sum(margins), rel=1e-3, abs=1e-4)
    assert int(found["accuracy"][0]) == sum(margin > 0 for margin in margins)
    assert {name: (one[1], one[2]) for name, one in found.items()} == {
        "loss": (2, 1.0),
        "accuracy": (2, 0.0),
        "margin": (2, 0.0),
    }


def test_it_begins_at_log_two_and_prefers_the_chosen(tokenizers: Tokenizers) -> None:
    task = build({"context": 64})
    labels = labels_of(task, tokenizers)
    model, (_, reference) = network(tokenizers.target.vocabulary_size, 2), frozen(2, tokenizers)
    task = task.with_teacher(reference) if task.with_teacher else task
    batch = collate(
        [
            one
            for example in PAIRS
            for one in task.encode(example, tokenizers, labels, "train", None)
        ]
    )
    head, before = task.head(model.config, labels), torch.zeros(0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(12):
        output = head(model, model(**batch.inputs), batch.inputs)
        found = task.loss(output, batch)
        if not len(before):
            assert float(found["loss"][0].detach()) / 2 == pytest.approx(math.log(2), abs=1e-5)
            before = answer_log_probabilities(output.logits, batch).detach()
        optimizer.zero_grad()
        found["loss"][0].backward()
        optimizer.step()
    after = answer_log_probabilities(
        head(model, model(**batch.inputs), batch.inputs).logits, batch
    ).detach()
    gained = after - before
    assert (
        bool((gained[0::2] > gained[1::2]).all())
        and float(found["loss"][0].detach()) / 2 < 0.6
        and int(found["accuracy"][0]) == 2
    )


def test_what_has_no_room_is_counted(tokenizers: Tokenizers) -> None:
    labels = labels_of(build({"context": 64}), tokenizers)
    long = talk("how are you " * 4, chosen="very well " * 4 + "now", rejected="no")
    (whole,), (cut,) = (
        build({"context": size}).encode(long, tokenizers, labels, "train", None)
        for size in (256, 24)
    )
    sizes = [
        {name: int(one.targets[name][0]) for name in ("chosen_tokens", "rejected_tokens")}
        for one in (whole, cut)
    ]
    prompts = [int(one.inputs["learnt"].tolist().index(1)) for one in (whole, cut)]
    assert whole.unseen == 0 and sizes[0]["rejected_tokens"] == sizes[1]["rejected_tokens"]
    assert (
        cut.unseen
        == prompts[0] - prompts[1] + sizes[0]["chosen_tokens"] - sizes[1]["chosen_tokens"]
    )
    assert prompts[0] > prompts[1] and sizes[0]["chosen_tokens"] > sizes[1]["chosen_tokens"]


def test_it_answers_and_scores_like_a_chat(tokenizers: Tokenizers) -> None:
    task = build({"context": 64})
    labels = labels_of(task, tokenizers)
    same = chat.build({"context": 64})
    theirs = predictor_of(same, labels, tokenizers).predict(["how are you"])[0]
    task = task.with_teacher(frozen(5, tokenizers)[1]) if task.with_teacher else task
    predictor = predictor_of(task, labels, tokenizers)
    assert predictor.predict(["how are you"])[0].tokens == theirs.tokens
    scores = predictor.evaluate(PAIRS).scores.values
    assert list(scores) == ["loss", "accuracy", "margin"] and scores["loss"] == pytest.approx(
        math.log(2), abs=1e-5
    )


def test_what_cannot_be_is_refused(tokenizers: Tokenizers) -> None:
    for wrong in ({"beta": 0}, {"beta": True}, {"context": 4}, {"template": "text"}):
        with pytest.raises(UsageError, match="task"):
            build(wrong)
    task = build({"context": 64})
    assert task.inherit_labels is not None
    with pytest.raises(UsageError, match="starts from a run that can chat"):
        task.inherit_labels(task.prepare(PAIRS), {"tags": []}, tokenizers)
    with pytest.raises(DataError, match="no preference"):
        task.prepare([])
    with pytest.raises(DataError, match="no chosen and no rejected"):
        task.encode(talk("how"), tokenizers, labels_of(task, tokenizers), "train", None)
