"""Define how much an engine takes on. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EngineLimits:
    """Bound the work and the memory of an engine.

    Args:
        queue: Requests that may wait; one more is refused.
        rows: Rows that are decoded in one step.
        cached_tokens: Tokens of all rows together that the decoder's cache may come to hold.
        read_tokens: Tokens of prompts and sources that are read between two decoding steps; a
            longer prompt is read in parts.
        batch_tokens: Tokens of inputs that an encoder without a decoder reads at once, and of
            texts that are scored at once.
        prefix_tokens: Tokens of prompts whose states are kept for later prompts that begin with
            them; 0: none.
        deadline: Seconds after which a request is given up.
    """

    queue: int = 256
    rows: int = 256
    cached_tokens: int = 131_072
    read_tokens: int = 512
    batch_tokens: int = 4096
    prefix_tokens: int = 16_384
    deadline: float = 300.0
