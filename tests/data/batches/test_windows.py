"""Test that windows cover every token and are not too long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.batches.windows import windows_of_pair, windows_of_text


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 200), st.integers(16, 40), st.integers(1, 14))
def test_every_token_stands_in_a_window(length: int, window: int, stride: int) -> None:
    ids = np.arange(length)
    found = [part for (part,) in windows_of_text(ids, window=window, stride=stride)]
    assert max(map(len, found)) <= window - 2 and set(np.concatenate(found).tolist()) == set(
        range(length)
    )
    assert (len(found) == 1) == (length <= window - 2)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 150), st.integers(0, 150), st.integers(16, 40), st.integers(1, 14))
def test_every_token_of_a_pair_stands_in_a_window(
    first: int, second: int, window: int, stride: int
) -> None:
    found = list(windows_of_pair(np.arange(first), np.arange(second), window=window, stride=stride))
    assert max(len(one) + len(other) for one, other in found) <= window - 3
    for side, length in enumerate((first, second)):
        assert set(np.concatenate([pair[side] for pair in found]).tolist()) == set(range(length))


def test_a_short_text_of_a_pair_stays_whole() -> None:
    found = list(windows_of_pair(np.arange(3), np.arange(50), window=16, stride=8))
    assert len(found) > 1 and all(len(one) == 3 for one, _ in found)


def test_a_stride_that_passes_over_tokens_is_our_own_bug() -> None:
    from triptych.data.batches.windows import starts

    with pytest.raises(AssertionError):
        starts(100, 10, 11)
