"""Choose and mask tokens of a window (Devlin et al. 2018, section 3.1)."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.formats.texts import UNSPACED
from ..data.tokenizers.subwords import Tokenizer
from .options import MaskedWordsOptions


def hide(
    ids: np.ndarray,
    units: np.ndarray | None,
    tokenizer: Tokenizer,
    options: MaskedWordsOptions,
    generator: np.random.Generator | None,
) -> Encoded:
    """Return a window with a share of its tokens masked.

    units: (n,) a number for each token; tokens of the same number are masked together. Without a
    generator the window itself seeds one, so that an evaluation always masks the same.
    """
    generator = generator or fixed(ids)
    assert tokenizer.mask_id is not None, "the labels of `prepare` give the tokenizer a mask"
    places = _choose(len(ids), units, options.rate, generator)
    source = np.empty(len(ids) + 2, dtype=np.int64)
    source[0], source[1:-1], source[-1] = tokenizer.begin_id, ids, tokenizer.end_id
    fate = generator.random(len(places))
    drawn = _ordinary(tokenizer, generator, len(places))
    hidden = np.where(fate < options.mask_share, tokenizer.mask_id, ids[places])
    source[1 + places] = np.where(
        (fate >= options.mask_share) & (fate < options.mask_share + options.random_share),
        drawn,
        hidden,
    )
    masked = np.zeros(len(ids) + 2, dtype=np.int64)
    masked[1 + places] = 1
    return Encoded({"source": source, "masked": masked}, {"tokens": ids[places]}, metadata=units)


def even_cuts(length: int, window: int) -> list[tuple[int, int]]:
    """Return [first, last) of parts of about equal length, none over `window`; [] for length 0."""
    count = math.ceil(length / window)
    return list(pairwise(length * number // count for number in range(count + 1))) if count else []


def fixed(ids: np.ndarray) -> np.random.Generator:
    """Return a generator seeded by the window, so that an evaluation always draws the same."""
    return np.random.default_rng(
        int.from_bytes(hashlib.blake2b(ids.tobytes(), digest_size=8).digest(), "little")
    )


def _choose(
    count: int, units: np.ndarray | None, rate: float, generator: np.random.Generator
) -> np.ndarray:
    """Return sorted places, `rate` of `count` on average and at least one.

    Where units are given, they are chosen whole.
    """
    wanted = rate * count
    if units is None:
        return np.sort(generator.permutation(count)[: max(1, int(wanted + generator.random()))])
    names, sizes = np.unique(units, return_counts=True)
    order = generator.permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order]
    # The last unit may exceed the wanted number, so it is taken with a probability that keeps the
    # mean.
    taken = int((before < wanted).sum())
    last = order[taken - 1]
    if taken > 1 and generator.random() >= (wanted - before[taken - 1]) / sizes[last]:
        taken -= 1
    return np.flatnonzero(np.isin(units, names[order[:taken]]))


def _ordinary(tokenizer: Tokenizer, generator: np.random.Generator, count: int) -> np.ndarray:
    """Draw random ids, none of them special."""
    assert tokenizer.mask_id is not None, "the labels of `prepare` give the tokenizer a mask"
    special = sorted(
        {tokenizer.begin_id, tokenizer.end_id, tokenizer.mask_id, *tokenizer.tags.values()}
    )
    drawn = generator.integers(0, tokenizer.vocabulary_size - len(special), count)
    for number in special:
        drawn += drawn >= number
    return drawn


def word_units(text: str, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of `text`, and the number of the word that each belongs to.

    Chinese and Japanese write no spaces: there every piece is a unit of its own (frequent words are
    pieces), and so are the bytes of one character.
    """
    ids, offsets = tokenizer.encode_with_offsets(text)
    spans = tokenizer.word_spans(text)
    words, ends = [text[start:end] for start, end in spans], [end for _, end in spans]
    starts = np.array([start for start, _ in offsets], dtype=np.int64)
    units = np.searchsorted(ends, starts, side="right")
    unspaced = np.array([UNSPACED.match(word.lstrip()) is not None for word in words], dtype=bool)
    inside = unspaced[units] if len(words) else np.zeros(0, dtype=bool)
    return np.array(ids, dtype=np.int64), np.where(inside, len(words) + starts, units)
