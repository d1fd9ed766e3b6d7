"""Read long sound as Whisper does: windows of 30 seconds that begin where the last text ended.

Radford et al. 2022, section 3.8 and 2.3: an answer is pieces of text between times; what follows
the last complete piece is read again, at the beginning of the next window. A window whose answer
repeats itself or is improbable is drawn again at a higher temperature.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

STEP_SECONDS = 0.02  # between two times
FRAMES_PER_STEP = 2
# a window is drawn again with the next temperature if its answer is improbable or repeats itself
TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
LEAST_LOG_PROBABILITY = -1.0  # mean nats of a token
MOST_COMPRESSION = 2.4  # bytes of a text beside its compressed bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold a piece of text and when it is said.

    start, end: seconds. tokens: without times.
    """

    start: float
    end: float
    tokens: tuple[int, ...]


def segments_of(
    tokens: Sequence[int], first_time: int, frames: int, start: float = 0.0
) -> tuple[list[Segment], int]:
    """Cut an answer at its times.

    Args:
        tokens: Of the answer, with times, without the end.
        first_time: The token of time 0.
        frames: How many frames the window has.
        start: Seconds of the sound before the window.

    Returns:
        The pieces of text, and after how many frames the next window begins.
    """
    is_time = [one >= first_time for one in tokens]
    closed = is_time[-2:] == [False, True]  # nothing is said after the last time
    cuts = [place for place in range(1, len(tokens)) if is_time[place - 1] and is_time[place]]
    if not cuts:
        times = [one - first_time for one in tokens if one >= first_time]
        end = frames // FRAMES_PER_STEP
        if times and times[-1]:
            end = times[-1]
        return [_segment(tokens, first_time, 0, end, start)], frames
    if closed:
        cuts.append(len(tokens))
    found: list[Segment] = []
    last = 0
    for cut in cuts:
        piece = tokens[last:cut]
        times = piece[0] - first_time, piece[-1] - first_time
        found.append(_segment(piece, first_time, *times, start))
        last = cut
    if closed:
        return found, frames
    return found, (tokens[last - 1] - first_time) * FRAMES_PER_STEP


def _segment(
    tokens: Sequence[int], first_time: int, begin: int, end: int, start: float
) -> Segment:
    return Segment(
        round(start + begin * STEP_SECONDS, 3),
        round(start + end * STEP_SECONDS, 3),
        tuple(one for one in tokens if one < first_time),
    )


def compression(text: str) -> float:
    """Return how many times longer a text is than zlib makes it; a text that repeats is long."""
    content = text.encode()
    return len(content) / len(zlib.compress(content)) if content else 0.0


def is_poor(text: str, token_log_probabilities: Sequence[float]) -> bool:
    """Tell whether an answer repeats itself or is improbable, so that it is drawn again."""
    if compression(text) > MOST_COMPRESSION:
        return True
    count = len(token_log_probabilities)
    return bool(count) and sum(token_log_probabilities) / count < LEAST_LOG_PROBABILITY
