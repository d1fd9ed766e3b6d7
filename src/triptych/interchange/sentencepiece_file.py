"""Read the model file of a SentencePiece tokenizer (Kudo & Richardson 2018), without its library.

It is a message of protocol buffers: fields, each a key (number and wire type) and a value. Only the
few fields that decide about ids are read; others are skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from ..errors import RunError, brief

LARGEST_FILE = 64 << 20  # bytes; published files have up to 5 MB
MOST_PIECES = 2_000_000
Value = int | bytes


class Kind(IntEnum):
    """Name the kinds of pieces, by their numbers in the file."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold a piece: its text, log-probability (or minus its rank) and kind."""

    text: str
    score: float = 0.0
    kind: int = Kind.NORMAL


@dataclass(kw_only=True)
class SentencePieceFile:
    """Hold what a file says.

    is_bpe: pieces join by score (BPE), instead of the most probable segmentation (unigram).
    charsmap: the normalisation of characters, compiled; trims: spaces at the ends and repeated ones
    are left out; begins_with_space: a text gets a space before it.
    """

    pieces: list[Piece] = field(repr=False)
    is_bpe: bool = False
    byte_fallback: bool = False
    charsmap: bytes = field(default=b"", repr=False)
    begins_with_space: bool = True
    trims: bool = True

    @property
    def unknown(self) -> int:
        """Return the number of the unknown piece."""
        return next(place for place, one in enumerate(self.pieces) if one.kind == Kind.UNKNOWN)


def read(path: Path) -> SentencePieceFile:
    """Read a file. Raises RunError if it is truncated, or of a kind that is not supported."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise RunError(f"{path} is larger than {LARGEST_FILE >> 20} MB: no such tokenizer is.")
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        found = parse(data)
    except (ValueError, struct.error, OverflowError) as problem:
        raise RunError(
            f"{path} is not a whole SentencePiece file ({brief(problem)}). Copy it again."
        ) from None
    return found


def parse(data: bytes) -> SentencePieceFile:
    """Read the content of a file. Raises ValueError saying what is wrong with it."""
    found = SentencePieceFile(pieces=[])
    for number, value in _fields(data):
        if number == 1:
            found.pieces.append(_piece(_message(value)))
            if len(found.pieces) > MOST_PIECES:
                raise ValueError(f"it has more than {MOST_PIECES:,} pieces")
        elif number == 2:  # how it was trained
            own = dict(_fields(_message(value)))
            if own.get(3, 1) not in (1, 2):
                raise ValueError("it is neither unigram nor BPE")
            if own.get(24):
                raise ValueError("it writes spaces after words, which is not supported")
            found.is_bpe, found.byte_fallback = own.get(3, 1) == 2, bool(own.get(35))
        elif number == 3:  # how it normalises
            own = dict(_fields(_message(value)))
            if not own.get(5, 1):
                raise ValueError("its pieces hold spaces, which is not supported")
            found.charsmap = _message(own.get(2, b""))
            found.begins_with_space, found.trims = bool(own.get(3, 1)), bool(own.get(4, 1))
    if not any(one.kind == Kind.UNKNOWN for one in found.pieces):
        raise ValueError("it has no unknown piece" if found.pieces else "it has no pieces")
    return found


def _piece(data: bytes) -> Piece:
    own = dict(_fields(data))
    kind, score = own.get(3, 1), struct.unpack("<f", _message(own.get(2, bytes(4))))[0]
    if not isinstance(kind, int) or kind not in list(Kind) or score != score:
        raise ValueError("a piece has an unknown kind or no score")
    return Piece(_message(own.get(1, b"")).decode(), score, kind)


def _message(value: Value) -> bytes:
    if isinstance(value, int):
        raise ValueError("a field has another type")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the number and value of each field: an integer, or bytes."""
    place = 0
    while place < len(data):
        key, place = _integer(data, place)
        size, wire = 0, key & 7
        if wire == 0:
            value, place = _integer(data, place)
            yield key >> 3, value
            continue
        if wire == 2:
            size, place = _integer(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field has the wire type {wire}")
        if size > len(data) - place:
            raise ValueError("it ends in the midst of a field")
        yield key >> 3, data[place : place + size]
        place += size


def _integer(data: bytes, place: int) -> tuple[int, int]:
    """Return an integer of 7 bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("it ends in the midst of a number")
        byte = data[place]
        value, place = value | (byte & 127) << shift, place + 1
        if byte < 128:
            return value, place
    raise ValueError("a number is longer than ten bytes")
