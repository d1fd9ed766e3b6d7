"""Join policies: whose settings are alike, and the tables of their rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from ..hypothesis import SearchStep
from ..settings import DecodingSettings

# (index of the source, tokens so far) -> True if this answer is complete
Stop = Callable[[int, list[int]], bool]
OwnStop = Callable[[list[int]], bool]  # the same for one source


class Joinable(Protocol):
    """What of a policy decides which other it can be joined with."""

    settings: DecodingSettings
    width: int  # rows of a source
    before: Tensor
    on_event: Callable[[SearchStep], None] | None


def common(settings: DecodingSettings) -> DecodingSettings:
    """Return the settings without what each source may have of its own."""
    return replace(
        settings,
        seed=1,
        stop=None,
        stop_at_dedent=False,
        max_length=None,
        max_length_ratio=0.0,
        max_length_extra=1,
        min_length=0,
        batch_tokens=1,
    )


def are_alike(one: Joinable, other: Joinable) -> bool:
    """Tell whether the sources of two policies can be the sources of one."""
    return (
        type(one) is type(other)
        and one.width == other.width
        and not one.before.numel()
        and not other.before.numel()
        and one.on_event is None
        and other.on_event is None
        and (one.settings is other.settings or common(one.settings) == common(other.settings))
    )


def stops_of(stop: Stop | None, sources: int) -> list[OwnStop | None]:
    """Return what ends the answer of each source."""
    return [None if stop is None else partial(stop, source) for source in range(sources)]


def cat_wide(a: Tensor, b: Tensor, value: float) -> Tensor:
    """Concatenate rows (A, L) and (B, M), the shorter ones padded with a value."""
    most = max(a.shape[1], b.shape[1])
    return torch.cat([functional.pad(x, (0, most - x.shape[1]), value=value) for x in (a, b)])
