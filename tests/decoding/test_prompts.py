"""Prompts whose log-probabilities nobody asks for: the same answers as reading all of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from triptych.decoding import prompts
from triptych.decoding.generate import search
from triptych.decoding.scoring import answer_log_probabilities
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.steps import read
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer

SHARED = [int(one) for one in torch.randint(2, 50, (40,), generator=torch.Generator())]
ROWS = [[*SHARED, 7, 8, 9], [*SHARED, 11], [*SHARED, 12, 13, 14, 15, 16]]
APART = [[0, 5, 6], [0, 9, 9, 9, 9, 9], [3]]


def model(**dials: Any) -> Transformer:
    torch.manual_seed(5)
    stack = StackConfig(
        layers=2,
        width=32,
        heads=4,
        key_heads=2,
        inner_width=48,
        norm_placement="pre",
        **{"positions": "rotary", "max_positions": 64, **dials},
    )
    network = Transformer(ModelConfig(decoder=stack, vocabulary_size=50)).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # far from uniform, so that an error shows
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return network


@pytest.mark.parametrize("rows", [ROWS, APART, ROWS[:1], [[4]]])
@pytest.mark.parametrize("dials", [{}, {"attention_window": 9}, {"positions": "learned"}])
@torch.inference_mode()
def test_the_ends_of_prompts_are_those_of_whole_prompts(
    rows: list[list[int]], dials: dict[str, Any]
) -> None:
    one = model(**dials)
    logits, state = prompts.read_ends(one, rows)
    other: Any
    wanted, other, _ = read(one, None, [row[1:] for row in rows], [row[0] for row in rows])
    torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=0)
    for token in (3, 17):  # and what follows
        tokens = torch.full((len(rows), 1), token)
        logits, state = one.step(tokens, state)
        wanted, other = one.step(tokens, other)
        torch.testing.assert_close(logits, wanted, atol=1e-5, rtol=0)
    assert state.lengths.tolist() == other.lengths.tolist()


@pytest.mark.parametrize(
    "dials",
    [{}, {"beams": 3, "n_best": 2}, {"temperature": 1.0, "n_best": 3}, {"repetition_penalty": 1.5}],
)
@pytest.mark.parametrize("rows", [ROWS, APART])
def test_answers_are_the_same_either_way(
    rows: list[list[int]], dials: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, found = model(), []
    for large in (prompts.LARGE_VOCABULARY, 0):
        monkeypatch.setattr(prompts, "LARGE_VOCABULARY", large)
        assert prompts.reads_ends(one) == (large == 0)
        found.append(
            search(
                one,
                {},
                DecodingSettings(max_length_ratio=0.0, max_length_extra=64, **dials),
                begin=0,
                end=1,
                max_lengths=[len(row) + 6 for row in rows],
                prefixes=[row[1:] for row in rows],
                begins=[row[0] for row in rows],
                counted=False,
            )
        )
    for row, several, others in zip(rows, *found, strict=True):
        assert [one.tokens for one in several] == [one.tokens for one in others]
        for a, b in zip(several, others, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-5)
            given = len(row) - 1
            assert a.token_log_probabilities[given:] == pytest.approx(
                b.token_log_probabilities[given:], abs=1e-5
            )


def test_what_prompts_share_is_found() -> None:
    assert prompts.shared_beginning(ROWS) == len(SHARED)
    assert prompts.shared_beginning([*ROWS, [*SHARED, 7, 8, 9]]) == len(SHARED)
    assert prompts.shared_beginning([[*SHARED, 1], SHARED]) == len(SHARED) - 1  # one is to be read
    assert prompts.shared_beginning(APART) == 0
    assert prompts.shared_beginning([SHARED[: prompts.SHARED_TOKENS]] * 2) == 0  # too few


@pytest.mark.parametrize("batch_tokens", [1, 9, 4096])
def test_answers_after_shared_examples_are_scored_as_alone(batch_tokens: int) -> None:
    one = model()
    rows, answers = [*ROWS, ROWS[0]], [[7], [8, 9, 10], [1, 2], [9]]
    together = answer_log_probabilities(one, rows, answers, batch_tokens)
    for row, answer, nats in zip(rows, answers, together, strict=True):
        (alone,) = answer_log_probabilities(one, [row], [answer])
        assert nats == pytest.approx(alone, abs=1e-5)
