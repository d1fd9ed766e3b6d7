"""The CTC loss sums over all paths, and a neighbour never matters."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from test_stem import batch, make
from test_transformer import one

from triptych.model.heads.ctc import NextTokenAndCtc, SpeechOutput, ctc_loss
from triptych.model.heads.tokens import output_of


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    return [token for token, _ in itertools.groupby(path) if token != blank]


def brute_force(logits: torch.Tensor, text: list[int]) -> float:
    """Return the negative log of the probability of all paths that spell a text."""
    chances, total = logits.double().softmax(-1), 0.0
    for path in itertools.product(range(logits.shape[1]), repeat=logits.shape[0]):
        if collapsed(path, logits.shape[1] - 1) == text:
            total += math.prod(float(chances[place, token]) for place, token in enumerate(path))
    return -math.log(total)


def test_the_loss_is_that_of_all_paths() -> None:
    torch.manual_seed(1)
    logits, lengths = torch.randn(9, 4), torch.tensor([4, 5])
    texts = [[0, 2], [1, 1]]
    found = ctc_loss(logits, lengths, torch.tensor([0, 2, 1, 1]), torch.tensor([2, 2]))
    wanted = sum(
        brute_force(part, text) for part, text in zip(logits.split([4, 5]), texts, strict=True)
    )
    assert float(found) == pytest.approx(wanted, abs=1e-4)


def test_a_text_longer_than_any_path_teaches_nothing() -> None:
    logits = torch.randn(2, 4, requires_grad=True)
    loss = ctc_loss(logits, torch.tensor([2]), torch.tensor([1, 1]), torch.tensor([2]))
    loss.backward()  # 1, blank, 1 needs three states
    assert float(loss.detach()) == 0 and logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("stem", ["convolution", "whisper"])
def test_the_head_reads_both_stacks_and_neighbours_never_matter(stem: str) -> None:
    model, inputs = make(stem), batch()
    head = NextTokenAndCtc(32, 50)
    whole = output_of(model, head, inputs)
    assert isinstance(whole, SpeechOutput) and model.memories is None
    torch.testing.assert_close(whole.tokens.states, model(**inputs))
    torch.testing.assert_close(whole.ctc, head.ctc(model.encode(inputs).states))
    parts = whole.ctc.split(whole.lengths.tolist())
    texts = [torch.tensor([3, 4]), torch.tensor([5]), torch.tensor([6, 6])]
    together = ctc_loss(
        whole.ctc, whole.lengths, torch.cat(texts), torch.tensor([len(one) for one in texts])
    )
    alone = 0.0
    for row, part in enumerate(parts):
        found = output_of(model, head, one(inputs, row))
        torch.testing.assert_close(found.ctc, part, atol=1e-5, rtol=0)
        alone += float(
            ctc_loss(found.ctc, found.lengths, texts[row], torch.tensor([len(texts[row])]))
        )
    assert alone == pytest.approx(float(together), abs=1e-3)


def test_an_error_leaves_nothing_behind() -> None:
    model, head = make("convolution"), NextTokenAndCtc(32, 50)
    with pytest.raises(TypeError, match="no input 'sauce'"):
        output_of(model, head, {**batch(), "sauce": torch.zeros(1)})
    assert model.memories is None
