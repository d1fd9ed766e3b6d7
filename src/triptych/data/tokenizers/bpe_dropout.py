"""Regularise subwords: cut the words of a text differently in every epoch of training.

A model then sees words by their parts too. BPE-dropout (Provilkov et al. 2020, section 3): each
merge is left out with a probability. Only training samples; in use a text has one encoding. Each
word has a fixed number of segmentations that are sampled once, and every epoch picks among them.
"""

from __future__ import annotations

import json
import random

import numpy as np

from ...errors import UsageError
from .sides import Tokenizers
from .subwords import Tokenizer

KINDS = ("bpe", "code")  # kinds of tokenizers whose merges can be left out
VARIANTS = 32  # segmentations that are sampled for each word
LONGEST_REMEMBERED = 24  # characters of the longest text whose words are cached


class Segmentations:
    """Sample and cache segmentations of words.

    They are the same for the same tokenizer, probability and seed.
    """

    def __init__(self, tokenizer: Tokenizer, dropout: float, seed: int) -> None:
        if tokenizer.kind not in KINDS:
            raise UsageError(
                "batches.bpe_dropout needs tokenizer.kind 'bpe' or 'code', and this one is "
                f"'{tokenizer.kind}'. Leave it at 0."
            )
        model = json.loads(tokenizer.to_json())["tokenizer"]["model"]
        self.ids: dict[str, int] = model["vocab"]
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.tokenizer, self.dropout, self.seed = tokenizer, dropout, seed
        self._known: dict[str, list[list[int] | None]] = {}
        # Short text -> words. Where words are encoded one by one, the same texts return often.
        self._words: dict[str, list[str]] = {}

    def sample(self, text: str, generator: np.random.Generator) -> list[int]:
        """Return the ids of `text` in a random segmentation."""
        words = self._words.get(text) or self.tokenizer.words(text)
        if len(text) <= LONGEST_REMEMBERED:
            self._words[text] = words
        ids: list[int] = []
        for word, pick in zip(
            words, generator.integers(0, VARIANTS, len(words)).tolist(), strict=True
        ):
            variants = self._known.get(word)
            if variants is None:
                variants = self._known[word] = [None] * VARIANTS
            found = variants[pick]
            if found is None:
                found = variants[pick] = self._segment(word, pick)
            ids += found
        return ids

    def _segment(self, word: str, number: int) -> list[int]:
        symbols = list(word)
        # A word that is spelt in bytes has no merges to leave out.
        if any(symbol not in self.ids for symbol in symbols):
            return self.tokenizer.encode(word)
        rng = random.Random(f"{self.seed} {number} {word}")
        while len(symbols) > 1:
            pairs = [
                (rank, place)
                for place in range(len(symbols) - 1)
                if (rank := self.ranks.get((symbols[place], symbols[place + 1]))) is not None
                and rng.random() >= self.dropout
            ]
            if not pairs:
                break
            place = min(pairs)[1]
            symbols[place : place + 2] = [symbols[place] + symbols[place + 1]]
        return [self.ids[symbol] for symbol in symbols]


class BpeDropoutTokenizer(Tokenizer):
    """Encode with sampled segmentations, and otherwise behave like the plain tokenizer."""

    def __init__(self, segmentations: Segmentations, generator: np.random.Generator) -> None:
        self.__dict__.update(segmentations.tokenizer.__dict__)
        self._segmentations, self._generator = segmentations, generator

    def encode(self, text: str) -> list[int]:
        return self._segmentations.sample(text, self._generator)


class BpeDropout:
    """Make tokenizers for training that leave out merges with a probability."""

    def __init__(self, tokenizers: Tokenizers, dropout: float, seed: int) -> None:
        self.source = Segmentations(tokenizers.source, dropout, seed)
        self.target = (
            self.source if tokenizers.shared else Segmentations(tokenizers.target, dropout, seed)
        )

    def tokenizers(self, generator: np.random.Generator) -> Tokenizers:
        source = BpeDropoutTokenizer(self.source, generator)
        return Tokenizers(
            source,
            source if self.target is self.source else BpeDropoutTokenizer(self.target, generator),
        )
