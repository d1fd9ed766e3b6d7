"""Split a set that comes in one piece so that no sentence is on two sides.

There are two ways (docs/decisions/022). The hash of a text alone decides by default: a text never
moves when the set grows, but a small part may have too many of one class or none of another. A
stratified split takes its share of every class.
"""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from .example import Example
from .pair_table import chosen, packed_blocks, values_of
from .strata import allotted, strata_of
from .text_blocks import unpacked
from .workers import Work, Workers, spare_processes

if TYPE_CHECKING:
    from .table import DataTable

SHARES = {"test": 0.025, "validation": 0.025}
PARTS = ("test", "validation", "train")


@dataclass(frozen=True)
class Division:
    """Say how a set is divided.

    Args:
        shares: Part -> share of the texts that is held out.
        stratified: Take the share of every class, instead of deciding each text by its hash alone.
    """

    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    stratified: bool = False


BY_HASH = Division()


def sentence_key(text: str) -> str:
    """Reduce a sentence to what identifies it: no case, punctuation or double spaces.

    A text of punctuation alone stays as it is.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(_SIGN.sub(_no_sign, folded.translate(_ASCII_SIGNS)).split()) or folded.strip()


def sentence_keys(texts: Iterable[str]) -> Iterator[str]:
    """Yield `sentence_key` of each text. Many are reduced in one go, as lines of one text."""
    pending = iter(texts)
    while block := list(islice(pending, TOGETHER)):
        folded = unicodedata.normalize("NFKC", "\n".join(block)).casefold()
        raw = folded.encode("utf-8", "surrogatepass").translate(_SIGN_BYTES)
        signless = _SIGN.sub(_no_sign, raw.decode("utf-8", "surrogatepass"))
        whole, plain = folded.split("\n"), signless.split("\n")
        if len(whole) != len(block):  # a text of several lines
            yield from map(sentence_key, block)
            continue
        for one, line in zip(whole, plain, strict=True):
            yield " ".join(line.split()) or one.strip()


TOGETHER = 2048  # texts
_ASCII_SIGNS = str.maketrans(dict.fromkeys(string.punctuation, " "))  # the common ones, fast
_SIGN_BYTES = bytes(32 if chr(code) in string.punctuation else code for code in range(256))
_SIGN = re.compile(r"[^\w\s]")


def _no_sign(found: re.Match[str]) -> str:
    """Drop a punctuation sign, but keep Unicode marks (vowel signs, accents).

    Marks belong to their letter: without them different Hindi or Thai words would become equal.
    """
    return found[0] if unicodedata.category(found[0])[0] == "M" else " "


def division_of(data: DataTable) -> Division:
    """Return how the parts that have no file of their own are kept out of the training file."""
    shares = SHARES if data.held_out is None else dict.fromkeys(SHARES, data.held_out)
    return Division(shares, data.split == "stratified")


def split_of(key: str, shares: Mapping[str, float] = SHARES) -> str:
    """Return the split of a sentence by its hash alone, so it never moves when a set grows."""
    point = _point(key)
    for name, share in shares.items():
        if point < share:
            return name
        point -= share
    return "train"


def by_input(examples: Sequence[Example], division: Division = BY_HASH) -> dict[str, list[Example]]:
    """Split Examples by their first input text, passage or first turn; equal ones stay together.

    Nothing is left out. If so few are given that none would be left for training, none is held out.
    """
    keys = [sentence_key(_input_of(example)) for example in examples]
    part_of = _assigned(keys, examples, division)
    parts: dict[str, list[Example]] = {part: [] for part in PARTS}
    for key, example in zip(keys, examples, strict=True):
        parts[part_of[key]].append(example)
    return parts if parts["train"] else {"test": [], "validation": [], "train": list(examples)}


def by_source(
    examples: Sequence[Example], division: Division = BY_HASH
) -> dict[str, Sequence[Example]]:
    """Split pairs by their source sentence, and drop repeated pairs and leaked targets.

    All pairs of one source go to the same split. A training pair whose target is in test or
    validation is left out, and so is a validation pair whose target is in test.
    """
    sources, targets = key_digests(examples, ("source", "target"))
    parts = _parts_of_sources(examples, sources, division)
    kept = np.zeros(len(examples), dtype=bool)
    # Equal pairs have equal sums of their digests, and only they have.
    kept[firsts(sources + targets * np.uint64(PRIME))] = True
    held, found = set[bytes](), dict[str, Sequence[Example]]()
    for number, name in enumerate(PARTS):
        rows = np.flatnonzero(kept & (parts == number))
        own = targets[rows]
        leaks = _among(own, held)
        if name != "train":
            held |= {digest.tobytes() for digest in own}
        found[name] = chosen(examples, rows[~leaks])
    return found


def _parts_of_sources(
    examples: Sequence[Example], sources: np.ndarray, division: Division
) -> np.ndarray:
    """Return the number in PARTS of each pair's part. sources: the digests of their keys."""
    if not division.stratified:
        return _numbers_of(sources, division.shares)
    keys = [*sentence_keys(str(text or "") for text in values_of(examples, "source"))]
    part_of = _assigned(keys, examples, division)
    return np.array([PARTS.index(part_of[key]) for key in keys], dtype=np.int8)


def _numbers_of(found: np.ndarray, shares: Mapping[str, float]) -> np.ndarray:
    """Return the number in PARTS of the part of each digest, as `split_of` does."""
    points, numbers = found[:, 0] / 2.0**64, np.full(len(found), -1, dtype=np.int8)
    for name, share in shares.items():
        numbers[(numbers < 0) & (points < share)] = PARTS.index(name)
        points = points - share
    numbers[numbers < 0] = PARTS.index("train")
    return numbers


PRIME = 0x9E3779B97F4A7C15


def digests(keys: Iterable[str]) -> np.ndarray:
    """Return the first 16 bytes of the SHA-256 of each text: (N, 2) uint64."""
    found = bytearray()
    for key in keys:
        found += hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:16]
    return np.frombuffer(found, ">u8").astype(np.uint64).reshape(-1, 2)


def key_work(setup: bytes) -> Work:
    """Return what digests the keys of blocks of texts, in another process or this one."""

    def work(parts: list[bytes]) -> list[bytes]:
        sides = zip(parts[::2], parts[1::2], strict=True)
        return [digests(sentence_keys(unpacked(raw, ends))).tobytes() for raw, ends in sides]

    return work


def pair_work(setup: bytes) -> Work:
    """Return what digests blocks of pairs, in another process or this one."""

    def work(parts: list[bytes]) -> list[bytes]:
        found, one, other = bytearray(), 0, 0
        ends = (np.frombuffer(parts[place], np.int64).tolist() for place in (1, 3))
        for own, its in zip(*ends, strict=True):
            pair = b"%d %b%b" % (own - one, parts[0][one:own], parts[2][other:its])
            found += hashlib.sha256(pair).digest()[:16]
            one, other = own, its
        return [bytes(found)]

    return work


def key_digests(examples: Sequence[Example], sides: Sequence[str]) -> list[np.ndarray]:
    """Return `digests` of the keys of each side's texts, on all cores where they are many."""
    return _digested("key_work", examples, sides)


def pair_digests(examples: Sequence[Example]) -> np.ndarray:
    """Return 16 bytes for each pair, equal for equal pairs alone: (N, 2) uint64."""
    return _digested("pair_work", examples, ("source", "target"))[0]


def _digested(work: str, examples: Sequence[Example], sides: Sequence[str]) -> list[np.ndarray]:
    workers = Workers(f"{__name__}:{work}", b"", spare_processes(len(examples)))
    blocks = ((None, block) for block in packed_blocks(examples, sides))
    found = [[np.frombuffer(raw, np.uint64) for raw in parts] for _, parts in workers.map(blocks)]
    found = found or [[np.empty(0, np.uint64) for _ in sides]]
    return [np.concatenate(each).reshape(-1, 2) for each in zip(*found, strict=True)]


def firsts(found: np.ndarray) -> np.ndarray:
    """Return the numbers of those of (N, 2) digests that no earlier one equals."""
    return np.flatnonzero(first_of(found) == np.arange(len(found)))


def first_of(found: np.ndarray) -> np.ndarray:
    """Return, for each of (N, 2) digests, the number of the first that equals it: (N,)."""
    order = np.lexsort((found[:, 1], found[:, 0]))  # stable: equal ones stay in their order
    ordered = found[order]
    begins = np.ones(len(found), dtype=bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    numbers = np.empty(len(found), dtype=np.int64)
    numbers[order] = order[begins][np.cumsum(begins) - 1]
    return numbers


def _among(own: np.ndarray, held: set[bytes]) -> np.ndarray:
    """Tell which of (N, 2) digests are in a set of their bytes."""
    halves = np.array([np.frombuffer(one, np.uint64)[0] for one in held], dtype=np.uint64)
    found = np.isin(own[:, 0], halves)
    for row in np.flatnonzero(found).tolist():
        found[row] = own[row].tobytes() in held
    return found


def _assigned(
    keys: Sequence[str], examples: Sequence[Example], division: Division
) -> dict[str, str]:
    """Return the part of every key.

    A stratified split orders the keys of each class by their hashes and takes the first ones for
    the test, the next for validation: when a set grows, a text at the border of training can move
    to validation, but hardly to the test.
    """
    if not division.stratified:
        return {key: split_of(key, division.shares) for key in keys}
    several: dict[str, set[str]] = {}
    for key, stratum in zip(keys, strata_of(examples), strict=True):
        several.setdefault(key, set()).add(stratum)
    # Equal texts are one. Of two classes it is in the rarer, whatever the order of the file.
    sizes = Counter(stratum for found in several.values() for stratum in found)
    strata: dict[str, list[str]] = {}
    for key, found in several.items():
        strata.setdefault(min(found, key=lambda one: (sizes[one], one)), []).append(key)
    part_of: dict[str, str] = {}
    ordered = {name: sorted(group, key=_point) for name, group in strata.items()}
    held = allotted({name: len(group) for name, group in ordered.items()}, division.shares)
    for name, group in ordered.items():
        begin = 0
        for part, counts in held.items():
            part_of |= dict.fromkeys(group[begin : begin + counts[name]], part)
            begin += counts[name]
        part_of |= dict.fromkeys(group[begin:], "train")
    return part_of


def _point(key: str) -> float:
    """Map a text to a number from 0 to 1 by its hash."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def _input_of(example: Example) -> str:
    """Return the text by which an Example is split; all questions on a passage stay together."""
    if example.messages is not None:
        return next((one["content"] for one in example.messages if one["role"] != "system"), "")
    if example.passage is not None:
        return example.passage
    if isinstance(example.audio, str):  # its name, wherever the files are
        return f"{PurePath(example.audio).name} {example.start or ''}"
    return next((value for value in example.inputs.values() if isinstance(value, str)), "")
