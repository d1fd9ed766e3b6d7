"""Put many texts, or their ids, into a few arrays of bytes, as other processes get them.

Imports no torch.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain

import numpy as np

TOGETHER = 8192  # texts of a block


def packed(texts: Sequence[str]) -> list[bytes]:
    """Return the texts one after the other in UTF-8, and where each ends."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    return [b"".join(raw), np.cumsum([*map(len, raw)], dtype=np.int64).tobytes()]


def unpacked(raw: bytes, ends: bytes) -> list[str]:
    """Return the texts of `packed`."""
    found, begin = list[str](), 0
    for end in np.frombuffer(ends, np.int64).tolist():
        found.append(raw[begin:end].decode("utf-8", "surrogatepass"))
        begin = end
    return found


def packed_ids(ids: Sequence[Sequence[int]]) -> list[bytes]:
    """Return the ids of all texts one after the other, and where those of each end."""
    ends = np.cumsum([*map(len, ids)], dtype=np.int64)
    return [array("I", chain.from_iterable(ids)).tobytes(), ends.tobytes()]


def unpacked_ids(raw: bytes | np.ndarray, ends: bytes | np.ndarray) -> list[list[int]]:
    """Return the ids of `packed_ids`."""
    flat, found, begin = np.frombuffer(raw, np.uint32).tolist(), list[list[int]](), 0
    for end in np.frombuffer(ends, np.int64).tolist():
        found.append(flat[begin:end])
        begin = end
    return found
