"""Test sampled segmentations: other pieces of the same text, nothing lost, the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.data.tokenizers.bpe_dropout import BpeDropout, Segmentations
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import UsageError

TEXTS = ["the cats sat on the mats", "a cat and the other cat", "seated cats, matted hats"] * 20


def tokenizer(kind: str = "bpe") -> Tokenizer:
    return Tokenizer.train(TEXTS, kind, 320)  # type: ignore[arg-type]


def test_without_dropout_it_is_the_plain_encoding() -> None:
    plain = tokenizer()
    segmentations = Segmentations(plain, 0.0, 1)
    for text in [*TEXTS[:3], "", "unseen wörds 貓 and <begin>"]:
        assert segmentations.sample(text, np.random.default_rng(1)) == plain.encode(text)


def test_epochs_differ_seeds_repeat_and_nothing_is_lost() -> None:
    plain = tokenizer()
    bpe_dropout = BpeDropout(Tokenizers(plain, plain), 0.3, 1)
    again = BpeDropout(Tokenizers(plain, plain), 0.3, 1)
    other = BpeDropout(Tokenizers(plain, plain), 0.3, 2)
    text = "the cats sat on the mats 貓"
    drawn = [
        bpe_dropout.tokenizers(np.random.default_rng((1, epoch, 0))).source.encode(text)
        for epoch in range(20)
    ]
    assert drawn == [
        again.tokenizers(np.random.default_rng((1, epoch, 0))).source.encode(text)
        for epoch in range(20)
    ]
    assert drawn != [
        other.tokenizers(np.random.default_rng((1, epoch, 0))).source.encode(text)
        for epoch in range(20)
    ]
    assert len({tuple(ids) for ids in drawn}) > 5
    assert {plain.decode(ids) for ids in drawn} == {text}
    assert np.mean([len(ids) for ids in drawn]) > len(plain.encode(text))


def test_a_drawn_tokenizer_is_otherwise_the_plain_one() -> None:
    plain = Tokenizer.train(TEXTS, "bpe", 330, ("de", "fr"))
    both = BpeDropout(Tokenizers(plain, plain), 0.3, 1).tokenizers(np.random.default_rng(1))
    assert (
        both.shared
        and both.source.tags == plain.tags
        and both.source.vocabulary_size == plain.vocabulary_size
    )


def test_unigram_has_no_merges_to_drop() -> None:
    with pytest.raises(UsageError, match=r"batches\.bpe_dropout needs tokenizer\.kind 'bpe'"):
        Segmentations(tokenizer("unigram"), 0.1, 1)
