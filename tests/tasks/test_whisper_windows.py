"""Answers are cut at their times as transformers does, and windows begin where texts ended."""

from __future__ import annotations

import pytest
import torch

from triptych.tasks.whisper import is_poor, segments_of

FIRST = 100


def theirs(tokens: list[int], frames: int, start: float) -> tuple[list[tuple], int]:
    from transformers import WhisperForConditionalGeneration

    segments, offset = WhisperForConditionalGeneration._retrieve_segment(
        seek_sequence=torch.tensor(tokens),
        seek_outputs=[{}],
        time_offset=torch.tensor([start], dtype=torch.float64),
        timestamp_begin=FIRST,
        seek_num_frames=torch.tensor([frames]),
        time_precision=0.02,
        time_precision_features=0.01,
        input_stride=2,
        prev_idx=0,
        idx=0,
        return_token_timestamps=False,
        decoder_input_ids=torch.zeros(1, 3),
    )
    return [
        (float(one["start"]), float(one["end"]), [t for t in one["tokens"].tolist() if t < FIRST])
        for one in segments
    ], int(offset)


@pytest.mark.parametrize(
    "tokens",
    [
        [100, 5, 6, 150],  # closed by a time
        [100, 5, 6, 150, 150, 7, 170],
        [100, 5, 6, 150, 150, 7, 8],  # the last piece is cut off
        [100, 5, 150, 160],
        [110, 5, 150, 160, 6, 170, 170, 3],
        [100, 5, 6],  # no closing time
        [100],
        [100, 150],
        [103, 5, 130, 130],
        [5, 6, 7],
    ],
)
@pytest.mark.parametrize(("frames", "start"), [(3000, 0.0), (777, 12.34)])
def test_segments_equal_transformers(tokens: list[int], frames: int, start: float) -> None:
    expected, wanted = theirs(tokens, frames, start)
    found, offset = segments_of(tokens, FIRST, frames, start)
    assert offset == wanted
    assert [one.tokens for one in found] == [tuple(tokens) for _, _, tokens in expected]
    for one, (first, last, _) in zip(found, expected, strict=True):
        assert (one.start, one.end) == pytest.approx((first, last), abs=1e-3)


def test_what_repeats_or_is_improbable_is_poor() -> None:
    assert is_poor("and so on, " * 30, [-0.1] * 90)
    assert is_poor("a text", [-1.5, -0.9])
    assert not is_poor("The birch canoe slid on the smooth planks.", [-0.5] * 9)
    assert not is_poor("", [])
