"""Fill in the middle: learn a text as prefix, suffix, middle (Bavarian et al. 2022, section 3).

So a model can write what belongs between two texts. Cuts may be between any two characters, and are
made in windows rather than in documents (section 3.2).

    <to:prefix> PREFIX <to:suffix> SUFFIX <to:middle> MIDDLE <end>

The first sentinel replaces begin. A sentinel is never a target, so a model never writes one in a
plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.tokenizers.subwords import Tokenizer
from ..decoding.requests import DecodingRequest
from ..decoding.settings import DecodingSettings
from ..errors import UsageError
from .options import FILL_IN_LEAST

SENTINELS = ("prefix", "suffix", "middle")  # tags of the tokenizer
NEW_TOKENS = 200  # most tokens of a middle, unless decoding.max_length is given


def sentinels(tokenizer: Tokenizer) -> list[int]:
    """Return the ids of the three sentinels. Raise UsageError for a run trained without them."""
    if any(name not in tokenizer.tags for name in SENTINELS):
        raise UsageError(
            "A suffix is given, but this run was not trained to fill in the middle. Leave out the "
            "suffix, or train with task.fill_in_the_middle = 0.5."
        )
    return [tokenizer.tags[name] for name in SENTINELS]


def windows(
    ids: np.ndarray,
    tokenizer: Tokenizer,
    context: int,
    share: float,
    generator: np.random.Generator,
) -> list[Encoded]:
    """Cut a text into windows of at most `context` tokens and rearrange a `share` of them.

    ids: begin, text, end (N + 2,). As for plain windows, the first one gets a random, shorter
    length. The window after a rearranged one begins with that one's last token.
    """
    length, place = len(ids) - 1, 0
    found: list[Encoded] = []
    last_of_text = length if ids[-1] == tokenizer.end_id else length + 1
    room = int(generator.integers(1, context + 1)) if length > context else context
    while place < length:
        made = (
            rearranged(ids[place + 1 : last_of_text], tokenizer, room, generator)
            if generator.random() < share
            else None
        )
        if made is None:
            last = min(place + room, length)
            found.append(
                Encoded({"target": ids[place:last]}, {"tokens": ids[place + 1 : last + 1]})
            )
            place = last
        else:
            found.append(made[0])
            place += made[1]
            if place == last_of_text - 1:  # the middle is followed by the end of the text
                break
        room = context
    return found


def rearranged(
    ids: np.ndarray, tokenizer: Tokenizer, room: int, generator: np.random.Generator
) -> tuple[Encoded, int] | None:
    """Return a rearranged window of at most `room` tokens, and how many of `ids` it took.

    None where too few tokens are left. Each part is cut into subwords by itself, as in use, so the
    parts can have more tokens than the text as a whole.
    """
    cuts, prefix_suffix_middle = np.sort(generator.random(2)), sentinels(tokenizer)
    taken = min(len(ids), room - len(SENTINELS))
    while taken >= FILL_IN_LEAST:
        # The window may cut a character in two; its bytes are left out.
        text = tokenizer.decode(ids[:taken].tolist()).strip("\ufffd")
        first, second = (int(cut * (len(text) + 1)) for cut in cuts)
        parts = [
            tokenizer.encode(part) for part in (text[:first], text[second:], text[first:second])
        ]
        sequence = [
            one
            for mark, part in zip(prefix_suffix_middle, parts, strict=True)
            for one in (mark, *part)
        ]
        if len(sequence) <= room:
            inputs = np.array(sequence, dtype=ids.dtype)
            return Encoded(
                {"target": inputs},
                {"tokens": np.append(inputs[1:], inputs.dtype.type(tokenizer.end_id))},
            ), taken
        taken -= len(sequence) - room
    return None


class Sides(NamedTuple):
    """Count the tokens before and after what is to be written."""

    before: int
    after: int


def asked(prefix: Sequence[int], suffix: Sequence[int], tokenizer: Tokenizer) -> Encoded:
    """Encode such a window up to where the middle is to be written.

    `metadata` holds the lengths of both sides.
    """
    marks = sentinels(tokenizer)
    ids = np.array([marks[0], *prefix, marks[1], *suffix, marks[2]], dtype=np.int64)
    return Encoded({"target": ids}, metadata=Sides(len(prefix), len(suffix)))


def request(one: Encoded, settings: DecodingSettings, context: int) -> DecodingRequest:
    """Return the request for the middle of what `asked` made, cut so that there is room for it.

    The middle may have half a context. A prefix that is too long keeps its end, a suffix that is
    too long its beginning; where both are, each gets half the room.
    """
    ids, (before, after) = one.inputs["target"].tolist(), one.metadata
    new = max(1, min(settings.max_length or NEW_TOKENS, context // 2))
    room = max(2, context - new - len(SENTINELS))
    kept_after = min(after, max(room - before, room // 2))
    kept_before = min(before, room - kept_after)
    prefix, suffix = ids[1 : before + 1], ids[before + 2 : before + 2 + after]
    shown = [
        ids[0],
        *prefix[before - kept_before :],
        ids[before + 1],
        *suffix[:kept_after],
        ids[-1],
    ]
    plain = replace(
        settings, max_length=new, min_length=min(settings.min_length, new), stop_at_dedent=False
    )
    return DecodingRequest(
        settings=plain, prompt=shown, context=context, unread=len(ids) - len(shown)
    )
