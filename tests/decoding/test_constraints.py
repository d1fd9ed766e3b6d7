"""Tokens by their place, and times that rise: logits equal transformers' processors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.decoding.policies.constraints import Constraints, constraints_of
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError

END, WITHOUT, FIRST, SIZE = 20, 24, 25, 40  # text below END, then tokens of tasks, then times


def processed(ids: list[int], begin: int, logits: torch.Tensor) -> torch.Tensor:
    from transformers import WhisperTimeStampLogitsProcessor

    config: Any = SimpleNamespace(
        no_timestamps_token_id=WITHOUT,
        eos_token_id=END,
        bos_token_id=END,
        max_initial_timestamp_index=4,
    )
    processor = WhisperTimeStampLogitsProcessor(config, begin_index=begin)
    given: Any = torch.tensor([ids])
    return processor(given, logits.clone()[None])[0]


@pytest.mark.parametrize("seed", range(3))
def test_times_equal_transformers(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    settings = DecodingSettings(timestamps={"first": FIRST, "without": WITHOUT, "latest_first": 4})
    answers: list[list[int]] = [
        [], [25], [27], [27, 3], [27, 3, 4], [27, 3, 4, 30], [27, 3, 30, 30], [27, 3, 30, 31, 5],
        [3, 4], [25, 30], [27, 3, 30, 30, 4, 39],
    ]  # fmt: skip
    rows = [[21, 22, *one] for one in answers]
    for scale in (0.1, 1, 5):
        logits = scale * torch.randn(len(rows), SIZE, generator=generator)
        expected = torch.stack(
            [processed(row, 2, one) for row, one in zip(rows, logits, strict=True)]
        )
        tokens = torch.full((len(rows), 12), 39)  # what follows is not read
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = torch.tensor(row)
        found = logits.clone()
        written = np.array([len(row) for row in rows])
        Constraints(settings, (END,))(found, tokens, np.full(len(rows), 2), written)
        assert torch.equal(found, expected)
        for place in range(len(rows)):  # alone as in a batch
            own = logits[place : place + 1].clone()
            Constraints(settings, (END,))(
                own, tokens[place : place + 1], np.array([2]), written[place : place + 1]
            )
            assert torch.equal(own[0], expected[place])


def test_first_tokens_and_what_must_not_follow_them() -> None:
    settings = DecodingSettings(
        first_tokens=[[3, 5], [7]],
        begin_suppress_tokens=[1, END],
        suppress_tokens=[2, 7],  # and yet 7 is written where it is the only choice
        timestamps={"first": FIRST, "without": WITHOUT},
    )
    apply = Constraints(settings, (END,))
    tokens = torch.tensor([[21, 0, 0, 0, 0, 0], [21, 3, 0, 0, 0, 0], [21, 3, 7, 0, 0, 0],
                           [21, 3, 7, 26, 2, 0]])  # fmt: skip
    logits = torch.zeros(4, SIZE)
    apply(logits, tokens, np.ones(4, dtype=int), np.array([1, 2, 3, 5]))
    allowed = [set((row > -1).nonzero()[:, 0].tolist()) for row in logits]
    assert allowed[0] == {3, 5} and allowed[1] == {7}
    assert allowed[2] == set(range(FIRST, SIZE))  # a time begins
    # All 15 times together are more probable than a token of text.
    assert allowed[3] == set(range(27, SIZE))


def test_without_settings_there_are_no_constraints() -> None:
    assert constraints_of(DecodingSettings(), (1,)) is None
    with pytest.raises(UsageError, match="timestamps"):
        DecodingSettings(timestamps={"without": 3}).check()
