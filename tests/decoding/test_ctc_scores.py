"""CTC prefixes, alignments and joint decoding equal brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from test_stem import batch, make
from test_transformer import one

from triptych.decoding.ctc import CtcMemory, CtcModel, CtcPrefixes, align, greedy, warp
from triptych.decoding.generate import search
from triptych.decoding.settings import DecodingSettings
from triptych.model.heads.ctc import NextTokenAndCtc
from triptych.model.layout import PackedLayout

BLANK = 3  # of a vocabulary of three tokens


def drawn(states: int, seed: int = 0) -> np.ndarray:
    logits = torch.randn(states, BLANK + 1, generator=torch.Generator().manual_seed(seed))
    return torch.log_softmax(1.5 * logits, -1).numpy()


def paths(scores: np.ndarray) -> list[tuple[tuple[int, ...], list[int], float]]:
    """Return every path with its text and log-probability."""
    found = []
    for path in itertools.product(range(BLANK + 1), repeat=len(scores)):
        text = [token for token, _ in itertools.groupby(path) if token != BLANK]
        total = sum(float(scores[place, token]) for place, token in enumerate(path))
        found.append((path, text, total))
    return found


def memory_of(several: list[np.ndarray]) -> CtcMemory:
    layout = PackedLayout(torch.tensor([len(one) for one in several]))
    packed = torch.from_numpy(np.concatenate(several))
    return CtcMemory(packed, layout, layout.pad(packed))


@pytest.mark.parametrize("text", [[], [0], [1, 2], [2, 2], [0, 1, 0]])
def test_prefix_scores_are_sums_over_paths(text: list[int]) -> None:
    several = [drawn(5, 1), drawn(4, 2)]
    prefixes = CtcPrefixes.empty(memory_of(several), torch.tensor([0, 1, 0]))
    for token in text:
        prefixes = prefixes.extend(torch.full((3,), token))
    # the end stands for the first token here, which is then not looked at
    found = prefixes.scores(end=0)
    for row, scores in enumerate((several[0], several[1], several[0])):
        every = paths(scores)

        def total(kept: list[float]) -> float:
            return math.log(max(1e-30, sum(math.exp(one) for one in kept)))

        n = len(text)
        whole = total([score for _, said, score in every if said[:n] == text])
        end = total([score for _, said, score in every if said == text])
        assert float(found[row, 0]) == pytest.approx(end - whole, abs=1e-3)
        for token in (1, 2):
            longer = [score for _, said, score in every if said[: n + 1] == [*text, token]]
            if longer:
                assert float(found[row, token]) == pytest.approx(total(longer) - whole, abs=1e-3)


def test_a_neighbour_and_its_padding_never_matter() -> None:
    short, long = drawn(3, 4), drawn(6, 5)
    both = CtcPrefixes.empty(memory_of([short, long]), torch.tensor([0, 1]))
    alone = CtcPrefixes.empty(memory_of([short]), torch.tensor([0]))
    joined = alone.join(CtcPrefixes.empty(memory_of([long]), torch.tensor([0])))
    for token in (2, 1):
        step = torch.tensor([token, token])
        both, alone, joined = both.extend(step), alone.extend(step[:1]), joined.extend(step)
        torch.testing.assert_close(both.scores(0)[:1], alone.scores(0))
        torch.testing.assert_close(joined.scores(0), both.scores(0))
    swapped = both.select(torch.tensor([1, 0, 1]))
    torch.testing.assert_close(swapped.scores(0), both.scores(0)[[1, 0, 1]])


@pytest.mark.parametrize("text", [[0], [1, 2], [2, 2], [0, 1, 0]])
def test_the_alignment_is_the_best_path(text: list[int]) -> None:
    for seed in range(4):
        scores = drawn(6, seed)
        best = max((one for one in paths(scores) if one[1] == text), key=lambda one: one[2])[0]
        runs = [(token, len(list(run))) for token, run in itertools.groupby(best)]
        wanted, place = [], 0
        for token, count in runs:
            if token != BLANK:
                wanted.append((place, place + count))
            place += count
        assert align(scores, text) == wanted
    assert align(drawn(2), [1, 1]) is None and align(drawn(2), []) == []


def test_the_greedy_text_is_that_of_the_best_path() -> None:
    for seed in range(5):
        scores = drawn(6, seed)
        best = max(paths(scores), key=lambda one: one[2])
        assert greedy(scores) == best[1]


def test_warping_follows_the_weights() -> None:
    weights = np.full((3, 8), -0.1)
    weights[0, 0:3], weights[1, 3:4], weights[2, 4:8] = 0.3, 0.9, 0.2
    assert warp(weights) == [(0, 3), (3, 4), (4, 8)]

    def total(cells: tuple[tuple[int, int], ...]) -> float:
        return sum(float(small[cell]) for cell in cells)

    small = np.random.default_rng(2).random((3, 4))

    def walks(token: int, state: int) -> list[tuple[tuple[int, int], ...]]:
        if (token, state) == (0, 0):
            return [((0, 0),)]
        before = [(token - 1, state - 1), (token, state - 1), (token - 1, state)]
        return [(*walk, (token, state)) for one in before if min(one) >= 0 for walk in walks(*one)]

    best = max(walks(2, 3), key=total)
    wanted = [
        (min(s for t, s in best if t == token), max(s for t, s in best if t == token) + 1)
        for token in range(3)
    ]
    assert warp(small) == wanted


def joint(weight: float, beams: int) -> tuple[CtcModel, DecodingSettings]:
    model = make("convolution")
    torch.manual_seed(3)
    head = NextTokenAndCtc(32, 50)
    for parameter in [*model.parameters(), *head.parameters()]:
        torch.nn.init.normal_(parameter, std=0.3)
    settings = DecodingSettings(beams=beams, max_length=6, suppress_tokens=[0])
    return CtcModel(model, head, weight, 0, 1), settings


@pytest.mark.parametrize("beams", [1, 3])
@torch.inference_mode()
def test_joint_decoding_alone_is_as_in_a_batch(beams: int) -> None:
    model, settings = joint(0.4, beams)
    inputs = {name: values for name, values in batch().items() if "target" not in name}
    together = search(model, inputs, settings, begin=0, end=1)
    for row, found in enumerate(together):
        (alone,) = search(model, one(inputs, row), settings, begin=0, end=1)
        assert alone[0].tokens == found[0].tokens
        assert alone[0].score == pytest.approx(found[0].score, abs=1e-4)
        assert 0 not in found[0].tokens


@torch.inference_mode()
def test_a_joint_score_is_that_of_attention_and_ctc() -> None:
    """Of a whole answer: (1 - w) log p of attention + w log p of CTC, not normalised again."""
    weight = 0.4
    model, settings = joint(weight, 4)
    inputs = one({k: v for k, v in batch().items() if "target" not in k}, 1)
    (found,) = search(model, inputs, settings, begin=0, end=1)
    checked = 0
    for answer in found:
        if not answer.finished:
            continue
        tokens = torch.tensor([0, *answer.tokens])
        whole = {**inputs, "target": tokens, "target_lengths": torch.tensor([len(tokens)])}
        each = torch.log_softmax(model.model.project(model.model(**whole)), -1)
        wanted = torch.tensor([*answer.tokens, 1])
        attention = float(each.gather(1, wanted[:, None]).sum())
        memory = model.encode(inputs)
        chance = -float(
            torch.nn.functional.ctc_loss(
                memory.ctc[:, : memory.lengths[0]].transpose(0, 1),
                torch.tensor([answer.tokens]),
                memory.lengths,
                torch.tensor([len(answer.tokens)]),
                blank=50,
                reduction="sum",
            )
        )
        both = (1 - weight) * attention + weight * chance
        assert answer.log_probability == pytest.approx(both, abs=1e-2)
        checked += 1
    assert checked
