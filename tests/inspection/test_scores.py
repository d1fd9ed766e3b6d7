"""Test that each task's score is its answer's own probability, and its gradient a slope."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_classifier import LABELS, task
from toy_tasks import SPEECH, TEXT, VALUES, example, predictor

from triptych.data.batches.encoded import Encoded, collate
from triptych.decoding.chain import Chain, marginals
from triptych.errors import UsageError
from triptych.inference.predictor import Predictor
from triptych.inspection.attribution import vectors_of
from triptych.inspection.encoder import trace_encoder
from triptych.inspection.scores import label_score, score_of, span_score, tags_score
from triptych.model.heads.tagger import TagOutput
from triptych.tasks.specs import SPECS

# output of a head -> the score of what was chosen once and stays chosen
Chosen = Callable[[Any], Tensor]


def span(run: Predictor, encoded: Encoded, output: Any) -> tuple[Chosen, str]:
    """Try every pair of places that can be a span."""
    first, count = encoded.metadata.first, len(encoded.metadata.offsets)
    chances = output.log_softmax(0)
    pairs = [
        (start, end)
        for start in range(first, first + count)
        for end in range(start, min(first + count, start + 48))
    ]
    start, end = max(pairs, key=lambda pair: float(chances[pair[0], 0] + chances[pair[1], 1]))
    offsets = encoded.metadata.offsets
    name = TEXT[offsets[start - first, 0] : offsets[end - first, 1]].strip()
    return lambda given: given.log_softmax(0)[start, 0] + given.log_softmax(0)[end, 1], name


def tags(run: Predictor, encoded: Encoded, output: Any) -> tuple[Chosen, str]:
    def chances(given: Any) -> Tensor:
        if given.pairs is None:
            return given.scores.log_softmax(-1)
        chain = Chain(
            *(part.detach().double().numpy() for part in (given.pairs, given.first, given.last))
        )
        return torch.from_numpy(marginals(given.scores.detach().double().numpy(), chain)).log()

    best = chances(output).argmax(-1)
    kept = [
        place for place, number in enumerate(best.tolist()) if run.labels["names"][number] != "O"
    ]
    assert run.labels is SPEECH or 0 < len(kept) < len(best), (
        "some words are O and some are not: a check that cannot fail"
    )
    return lambda given: sum(
        (chances(given)[place, best[place]] for place in kept), torch.zeros(())
    ), ""


def tree(run: Predictor, encoded: Encoded, output: Any) -> tuple[Chosen, str]:
    assert run.task.answer is not None
    (parsed,) = run.task.answer(
        run.model, run.head, collate([encoded]), run.decoding, run.tokenizers
    )
    return lambda given: sum(
        (given.arcs[word].log_softmax(-1)[head] for word, head in enumerate(parsed.heads)),
        torch.zeros(()),
    ), ""


def filling(run: Predictor, encoded: Encoded, output: Any) -> tuple[Chosen, str]:
    assert run.task.answer is not None
    (places,) = run.task.answer(
        run.model, run.head, collate([encoded]), run.decoding, run.tokenizers
    )
    best = [fillings[0] for _, fillings in places]
    numbers = [
        int((row.softmax(-1) - one.probability).abs().argmin())
        for row, one in zip(output.logits, best, strict=True)
    ]
    chosen = lambda given: sum(  # noqa: E731
        (row.log_softmax(-1)[n] for row, n in zip(given.logits, numbers, strict=True)),
        torch.zeros(()),
    )
    return chosen, ", ".join(one.text for one in best)


def number(run: Predictor, encoded: Encoded, output: Any) -> tuple[Chosen, str]:
    return lambda given: given.logits[0, 0] * 1.5 + 2.5, ""


CASES = [
    ("answer", "question-answering", None, {}, span),
    ("entity_tags", "tagging", None, {}, tags),
    ("entity_tags", "tagging", None, {"decoding": "crf", "seed": 2}, tags),
    ("tags", "tagging", SPEECH, {}, tags),
    ("tree", "parsing", None, {}, tree),
    ("filling", "masked-words", None, {}, filling),
    ("value", "classification", VALUES, {"learn": "value"}, number),
]


@pytest.mark.parametrize(("kind", "name", "labels", "options", "by_hand"), CASES)
def test_it_is_the_slope_of_the_answers_score_as_a_tokens_vector_grows(
    kind: str,
    name: str,
    labels: dict[str, Any] | None,
    options: dict[str, Any],
    by_hand: Callable[..., tuple[Chosen, str]],
) -> None:
    run = predictor(name, labels, **options)
    (encoded,) = run.task.encode(example(run), run.tokenizers, run.labels, "use", None)
    score = score_of(run.task, run.labels, run.tokenizers.source, example(run))
    assert score is not None
    trace = trace_encoder(run.model, run.head, run.tokenizers.source, encoded, score=score)
    found, inputs = trace.attribution, collate([encoded]).inputs
    model, head = run.model.double(), run.head.double()
    # its head bends sharply (leaky ReLU); heads round to fp32
    step = 0.002 if kind == "tree" else 0.02
    model.precision = torch.float64

    def output(factor: float = 1.0, tokens: tuple[int, ...] = ()) -> Any:
        def grown(vectors: Tensor) -> Tensor:
            factors = torch.ones(len(vectors), 1, dtype=vectors.dtype)
            factors[list(tokens)] = factor
            return vectors * factors

        with torch.no_grad(), vectors_of(model, grown):
            return head(model, model(**inputs), inputs)

    chosen, called = by_hand(run, encoded, output())
    assert found is not None and (found.kind, found.of) == (kind, called)
    assert found.value == pytest.approx(chosen(output()).item(), abs=1e-4)

    def slope(wide: float, tokens: tuple[int, ...]) -> float:
        return (chosen(output(1 + wide, tokens)) - chosen(output(1 - wide, tokens))).item() / (
            2 * wide
        )

    slopes = [
        (4 * slope(step, cell.tokens) - slope(2 * step, cell.tokens)) / 3 for cell in trace.source
    ]
    assert np.abs(slopes).max() > 1e-2, "a check that cannot fail"
    np.testing.assert_allclose(
        found.gradient_times_input, slopes, atol=2e-3 if kind == "tree" else 5e-4, rtol=5e-3
    )


def test_labels_are_chosen_by_score_or_by_name() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0, 0.0]])
    run = predictor("classification")
    score = score_of(task(), {"labels": LABELS}, run.tokenizers.source, example(run))
    assert score is not None
    for given, expected in (
        (logits, logits),
        (SimpleNamespace(logits=logits, temperature=torch.tensor(2.0)), logits / 2),
    ):
        found = score(given, Encoded({}))
        assert (found.kind, found.of) == ("label", "Sports")
        assert float(found.value) == pytest.approx(float(expected.log_softmax(-1)[0, 1]))
    assert label_score(logits, LABELS, "Business").of == "Business"
    assert float(label_score(logits, LABELS, None, "labels").value) == pytest.approx(
        float(torch.sigmoid(logits[0, 1]).log())
    )
    assert label_score(torch.tensor([[3.5]]), [], None, "value") == (3.5, "value", "")
    for wanted, kind, said in (
        ("Sport", "label", "Unknown label 'Sport'.*Did you mean 'Sports'"),
        ("Sports", "value", "gives a number"),
    ):
        with pytest.raises(UsageError, match=said):
            label_score(logits, LABELS, wanted, kind)


def test_words_that_are_all_outside_count() -> None:
    scores = torch.tensor([[3.0, 0.0], [2.0, 0.0]])
    found = tags_score(TagOutput(scores, torch.tensor([2]), None, None, None), ["O", "B-PER"])
    assert found.kind == "tags" and float(found.value) == pytest.approx(
        float(scores.log_softmax(-1)[:, 0].sum())
    )


def test_a_window_without_a_place_for_a_span_has_the_score_of_none() -> None:
    logits = torch.full((4, 2), float("-inf"))
    logits[0] = 1.0
    window = SimpleNamespace(first=3, offsets=np.zeros((0, 2), dtype=np.int32))
    found = span_score(logits.requires_grad_(), Encoded({}, metadata=window), passage="", longest=8)
    assert found.value.item() == 0 and found.of == "" and found.value.requires_grad


def test_a_task_without_a_score_says_so() -> None:
    run = predictor("embedding")
    assert score_of(run.task, {}, run.tokenizers.source, example(run)) is None
    other = dataclasses.replace(task(), spec=SPECS["tagging"])
    with pytest.raises(UsageError, match="--target"):
        score_of(other, {}, run.tokenizers.source, example(run), "PER")
