"""Test the weights of classes in the loss, and what is known of it without known labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_classification_task import examples, task, tokenizers, trained

from triptych.data.batches.encoded import collate
from triptych.data.example import Example
from triptych.errors import UsageError
from triptych.inference.evaluation import encode_all, uncalibrated
from triptych.model.heads import classifier_loss

UNEVEN = [*examples(), *(Example(text=f"fine {number}", label="pos") for number in range(6))]


def test_balanced_gives_every_label_the_same_total() -> None:
    found = task(class_weights="balanced").prepare(UNEVEN)["class_weights"]
    assert found == {"neg": pytest.approx(12 / (2 * 3)), "pos": pytest.approx(12 / (2 * 9))}


def test_a_table_is_scaled_to_a_mean_of_one() -> None:
    found = task(class_weights={"neg": 3}).prepare(UNEVEN)["class_weights"]
    assert found["neg"] == pytest.approx(3 * found["pos"])
    assert 3 * found["neg"] + 9 * found["pos"] == pytest.approx(12)
    assert "class_weights" not in task().prepare(UNEVEN)
    assert "class_weights" not in task().options


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("even", r"task\.class_weights is 'even'.*balanced.*a table"),
        ({"neg": 0.0}, r"task\.class_weights\.neg is 0\.0; it must be a number above 0\."),
        ({"pos": 1.0, "neg": -1}, r"task\.class_weights\.neg is -1; .* above 0\."),
        ({"neg": float("nan")}, r"task\.class_weights\.neg is nan; .*a finite number above 0"),
        ({"neg": "2"}, r"task\.class_weights\.neg is '2'; .* above 0"),
        (["neg"], r"task\.class_weights"),
    ],
)
def test_wrong_weights_are_refused(weights: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task(class_weights=weights)


def test_a_label_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"'negg' in task\.class_weights\. Did you mean 'neg'"):
        task(class_weights={"negg": 2.0}).prepare(UNEVEN)
    for learn in ("labels", "value"):
        with pytest.raises(UsageError, match=rf"task\.learn is '{learn}'\. Leave it out"):
            task(class_weights="balanced", learn=learn)


def test_the_loss_is_the_weighted_sum() -> None:
    draw = torch.Generator().manual_seed(1)
    logits, targets = torch.randn(12, 2, generator=draw), torch.tensor([0] * 3 + [1] * 9)
    weights = torch.tensor([2.0] * 3 + [2 / 3] * 9)
    learnt, plain = classifier_loss.losses(logits, torch.ones(1), targets, "label", 0.0, weights)
    wanted = torch.nn.functional.cross_entropy(
        logits, targets, weight=torch.tensor([2.0, 2 / 3]), reduction="mean"
    )  # divides by the sum of the weights
    assert learnt / 12 == pytest.approx(float(wanted), rel=1e-5)
    assert plain == classifier_loss.losses(logits, torch.ones(1), targets, "label")[0]


def test_weights_move_a_model_toward_the_rare_label() -> None:
    shown = [Example(text="the same", label="pos") for _ in range(9)]
    shown += [Example(text="the same", label="neg") for _ in range(3)]
    chances = [
        trained(task(dropout=0.0, class_weights=weights), shown)
        .predict(["the same"])[0]
        .details["probabilities"]["neg"]
        for weights in (None, "balanced", {"neg": 9.0})
    ]
    assert chances == pytest.approx([0.25, 0.5, 0.75], abs=0.05)


def test_an_unknown_label_has_no_part_in_the_loss() -> None:
    model = trained(task(dropout=0.0), examples())
    other = Example(text="a strange film", label="new")
    known = model.losses(examples())
    assert model.losses([*examples(), other]) == pytest.approx(known)
    scores = model.evaluate([other]).scores
    assert "loss" not in scores.values and scores.values["accuracy"] == 0.0
    assert "loss = not known: no text has a label of the training data" in scores.signature
    weighted = trained(task(dropout=0.0, class_weights="balanced"), examples(), steps=1)
    batch = collate(encode_all(weighted.task, [*examples(), other], tokenizers(), weighted.labels))
    assert batch.counts["tokens"] == 6 and batch.targets["weight"].tolist() == [1.0] * 6 + [0.0]


def test_scores_that_cannot_be_known_say_so() -> None:
    shown = [Example(text=one.text, value=float(place)) for place, one in enumerate(examples())]
    numbers = trained(task(learn="value"), shown, steps=1)
    assert "do not vary" in numbers.evaluate(shown[:1]).scores.signature
    assert "do not vary" not in numbers.evaluate(shown).scores.signature


def test_each_class_the_confusions_and_the_surest_mistake() -> None:
    model = trained(task(dropout=0.0), examples())
    wrong = Example(text="a good film", label="neg")
    given = [*examples(), wrong, Example(text="", label="neg")]
    predictions = model.evaluate(given).predictions
    found = model.task.break_down(predictions, given)  # type: ignore[misc]
    assert found.classes["pos"].to_json() == pytest.approx(
        {"precision": 75.0, "recall": 100.0, "f1": 600 / 7, "support": 3}
    )
    assert found.classes["neg"].support == 5 and found.classes["neg"].recall == 60.0
    assert found.confusion is not None
    assert found.confusion.pairs() == [("neg", "pos", 1), ("neg", "", 1)]
    first, second = found.mistakes
    assert (first.place, first.reference, first.answer) == (6, "neg", "pos")
    assert first.probability == predictions[6].score and second.answer == ""
    assert task(learn="value").break_down is None


def test_a_temperature_needs_enough_texts() -> None:
    model = trained(task(dropout=0.0), examples())
    assert "50 validation texts" in (uncalibrated(model) or "")
    for copies, fitted in ((8, False), (9, True)):
        batch = collate(encode_all(model.task, examples() * copies, model.tokenizers, model.labels))
        with torch.no_grad():
            said = model.task.calibrate(model.model, model.head, [batch]) or ""  # type: ignore[misc]
        assert ("Temperature" in said) is fitted and ("No temperature" in said) is not fitted
        assert (uncalibrated(model) is None) is fitted
    off = trained(task(calibrate=False), examples(), steps=1)
    assert uncalibrated(off) is None and np.isfinite(float(off.head.temperature))
