"""The head of classification: pooling over packed rows, and that a neighbour never leaks."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from triptych.model.build import build
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.heads import classifier_loss
from triptych.model.heads.classifier import Classifier


def small() -> torch.nn.Module:
    torch.manual_seed(1)
    stack = StackConfig(
        layers=1,
        width=8,
        heads=2,
        inner_width=16,
        positions="rotary",
        norm_placement="pre",
        segments=2,
        dropout=0.3,
    )
    return build(ModelConfig(encoder=stack, vocabulary_size=20)).eval()


def inputs(*lengths: int) -> dict[str, torch.Tensor]:
    total = sum(lengths)
    segments = torch.cat([torch.arange(length) >= length // 2 for length in lengths]).long()
    return {
        "source": torch.arange(total) % 20,
        "source_lengths": torch.tensor(lengths),
        "segments": segments,
    }


def one_of(given: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    lengths = given["source_lengths"].tolist()
    first = sum(lengths[:number])
    part = slice(first, first + lengths[number])
    return {
        "source": given["source"][part],
        "source_lengths": torch.tensor([lengths[number]]),
        "segments": given["segments"][part],
    }


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "first", "max", "compare"])
def test_a_neighbour_never_leaks(pooling: str, shortcut: bool) -> None:
    model = small()
    dials = {
        "pooling": pooling,
        "shortcut": shortcut,
        "bigrams": 40,
        "hidden": True,
        "vocabulary": 20,
    }
    head = Classifier(8, ["a", "b", "c"], **dials).eval()  # type: ignore[arg-type]
    torch.nn.init.normal_(head.bigrams)  # type: ignore[arg-type]
    together = inputs(5, 2, 9)
    logits = head(model, model(**together), together).logits
    assert logits.shape == (3, 3)
    for number in range(3):
        alone = one_of(together, number)
        assert torch.allclose(
            head(model, model(**alone), alone).logits[0], logits[number], atol=1e-5
        )


def test_means_are_means() -> None:
    model = small()
    head = Classifier(8, ["a", "b"]).eval()
    given = inputs(4, 3)
    states = model(**given)
    wanted = head.project(torch.stack([states[:4].mean(0), states[4:].mean(0)]))
    assert torch.allclose(head(model, states, given).logits, wanted, atol=1e-5)


def test_a_comparison_sees_what_the_texts_share() -> None:
    model = small()
    head = Classifier(8, [], pooling="compare", shortcut=True, vocabulary=20).eval()
    head.importance[:] = torch.arange(20) / 10  # type: ignore[index]
    texts = [([3, 4], [3, 4]), ([3, 4, 7], [7, 7, 5]), ([2], [9])]
    given = {
        "source": torch.tensor([token for pair in texts for text in pair for token in text]),
        "source_lengths": torch.tensor([len(one) + len(other) for one, other in texts]),
        "segments": torch.tensor(
            [segment for pair in texts for segment in (0, 1) for _ in pair[segment]]
        ),
    }
    words = head._pool(model.embedding(given["source"]), _rows(4, 6, 2), given)  # type: ignore[operator]
    means, bags = head._overlaps(words, _rows(4, 6, 2), given).unbind(1)  # type: ignore[arg-type,union-attr]
    seventh = 0.7 * 1.4 / ((0.3**2 + 0.4**2 + 0.7**2) * (1.4**2 + 0.5**2)) ** 0.5
    assert bags.tolist() == pytest.approx([10, 10 * seventh, 0]) and means[
        0
    ].item() == pytest.approx(10)
    said = head(model, model(**given), given).logits
    torch.nn.init.ones_(head.overlap.weight)  # type: ignore[union-attr]
    assert not torch.allclose(said, head(model, model(**given), given).logits)


def _rows(*lengths: int) -> object:
    from triptych.model.layout import PackedLayout

    return PackedLayout(torch.tensor(lengths))


def test_dropout_draws_from_the_models_seed() -> None:
    model = small().train()
    head = Classifier(8, ["a", "b"], drop=0.5).train()
    given, found = inputs(6, 6), []
    for seed in (1, 1, 2):
        model.reseed(seed)  # type: ignore[operator]
        found.append(head(model, model(**given), given).logits)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_losses_by_hand() -> None:
    torch.manual_seed(1)
    logits, ones = torch.randn(4, 3), torch.ones(1)
    labels = torch.tensor([0, 2, -1, 1])
    known = labels >= 0
    learnt, plain = classifier_loss.losses(logits, ones, labels, "label")
    assert torch.allclose(
        plain, functional.cross_entropy(logits[known], labels[known], reduction="sum")
    ) and torch.equal(learnt, plain)
    # the temperature counts
    assert classifier_loss.losses(logits, 2 * ones, labels, "label")[1] != plain
    several = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]])
    wanted = functional.binary_cross_entropy_with_logits(logits, several, reduction="sum") / 3
    assert torch.allclose(
        classifier_loss.losses(logits, ones, several.reshape(-1), "labels")[0], wanted
    )
    values = torch.tensor([1.0, 2, 3, 4])
    assert torch.allclose(
        classifier_loss.losses(logits[:, :1], ones, values, "value")[0],
        (logits[:, 0] - values).square().sum(),
    )


def test_two_passes_that_agree_have_no_disagreement() -> None:
    logits = torch.randn(3, 4)
    for kind in ("label", "labels", "value"):
        assert classifier_loss.r_drop_divergence(torch.cat([logits, logits]), kind) == 0
        assert classifier_loss.r_drop_divergence(torch.cat([logits, logits.flip(1)]), kind) > 0
    p, q = torch.softmax(logits, -1), torch.softmax(logits.flip(1), -1)
    # half the symmetric divergence, over both halves
    wanted = (p * (p / q).log()).sum() + (q * (q / p).log()).sum()
    assert torch.allclose(
        classifier_loss.r_drop_divergence(torch.cat([logits, logits.flip(1)]), "label"),
        wanted,
        rtol=1e-4,
    )
