"""Learn the pieces of a tokenizer from texts, reproducibly."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from ...errors import UsageError
from ..text_blocks import packed, unpacked
from ..workers import Work, Workers, spare_processes
from . import unigram
from .byte_pieces import BYTES
from .known_words import WordPattern

TOGETHER = 4096  # texts whose characters are counted in one go
JOINED = 1024  # texts whose words the library gets in one go
USUAL = 50  # characters of a text
DELIMITERS = range(0xF0000, 0xF0000 + 0x20000)  # for private use: some are in no text
ALONE = "<"  # never joined to anything, so that no piece can spell a special token
# Scripts without spaces; U+30FC, the long vowel, belongs to no script.
EAST = r"\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}"
# A run of Chinese or Japanese, a word, a run of digits or one sign, each with the space before it;
# or "<"; or white space.
WORDS = (
    rf"<| ?[{EAST}]+| ?[[\p{{L}}\p{{M}}]&&[^{EAST}]]+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{M}}\p{{N}}<]|\s+"
)
# The same, but adjacent signs may be one piece ("):", "()", three quotes): 12 % more bytes a token
# of Python.
CODE_WORDS = WORDS.replace(r"\p{N}<]|\s+", r"\p{N}<]+|\s+")


def learn(
    texts: Iterable[str], kind: str, vocabulary_size: int, specials: list[str]
) -> tokenizers.Tokenizer:
    """Learn the pieces of a tokenizer; see `Tokenizer.train`. specials: the first ids, by name.

    Raises UsageError if the vocabulary size leaves no room for pieces.
    """
    room = vocabulary_size - len(specials) - len(BYTES)
    if kind == "bytes":
        return _assemble({"vocabulary": [], "merges": []}, "bpe", specials)
    if room < 1:
        raise UsageError(
            f"tokenizer.vocabulary_size is {vocabulary_size}; special tokens, tags and bytes "
            f"alone take {len(specials) + len(BYTES)}. Give at least "
            f"{len(specials) + len(BYTES) + 100}."
        )
    corpus = _NotEmpty(list(texts) if iter(texts) is texts else texts)
    counts = _counts(corpus)
    alphabet = _alphabet(counts, room if kind == "characters" else max(1, room // 2))
    if kind == "characters":
        return _assemble({"vocabulary": alphabet, "merges": []}, "bpe", specials)
    # Characters outside the alphabet become "<", which joins to nothing: their neighbours are then
    # not learnt as neighbours of each other.
    others = dict.fromkeys(map(ord, set(counts).difference(alphabet)), ALONE)
    corpus = _NotEmpty(corpus.texts, others)
    characters = sum(counts.values())
    learnt = (
        _learn_unigram(corpus, alphabet, room, characters)
        if kind == "unigram"
        else _learn_bpe(corpus, alphabet, room, characters, kind)
    )
    return _assemble(learnt, kind, specials)


@dataclass(frozen=True, slots=True)
class _NotEmpty:
    """Give the texts that are not empty, each time that they are read.

    others: characters to replace, by code point.
    """

    texts: Iterable[str]
    others: Mapping[int, str] = field(default_factory=dict[int, str])

    def __iter__(self) -> Iterator[str]:
        found = filter(None, self.texts)
        return (text.translate(self.others) for text in found) if self.others else found


def _counts(corpus: Iterable[str]) -> dict[str, int]:
    """Count the characters of a corpus."""
    counts, pending = np.zeros(0x110000, dtype=np.int64), iter(corpus)
    while block := "".join(islice(pending, TOGETHER)):
        codes = np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.uint32)
        found = np.bincount(codes)
        counts[: len(found)] += found
    return {chr(code): int(counts[code]) for code in np.flatnonzero(counts).tolist()}


def _alphabet(counts: Mapping[str, int], room: int) -> list[str]:
    """Return the `room` most frequent characters; ties by code point. Others are spelt in bytes."""
    usable = [
        (-count, character)
        for character, count in counts.items()
        if not 0xD800 <= ord(character) <= 0xDFFF
    ]
    return sorted(character for _, character in sorted(usable)[:room])


def _words(kind: str = "bpe") -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(
        tokenizers.Regex(CODE_WORDS if kind == "code" else WORDS), "isolated"
    )


def _learn_bpe(
    corpus: Iterable[str], alphabet: list[str], room: int, characters: int, kind: str = "bpe"
) -> dict:
    """Learn BPE. Returns {"vocabulary": pieces in order, "merges": pairs}."""
    learner = tokenizers.Tokenizer(models.BPE())
    between = next(sign for sign in map(chr, DELIMITERS) if sign not in alphabet)
    learner.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(between)  # type: ignore[assignment]
    # A merge joins two characters or more of the texts, which bounds the number of pieces; the
    # library allocates memory for as many as are requested.
    trainer = trainers.BpeTrainer(
        vocab_size=min(room, len(alphabet) + characters),
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
        min_frequency=2,
    )
    learner.train_from_iterator(_joined(corpus, kind, between, characters), trainer)
    model = json.loads(learner.to_str())["model"]
    return {
        "vocabulary": sorted(model["vocab"], key=model["vocab"].__getitem__),
        "merges": model["merges"],
    }


def _joined(corpus: Iterable[str], kind: str, between: str, characters: int) -> Iterator[str]:
    """Yield the words of some texts at a time, with a sign between any two.

    The library finds such words faster than by their pattern, and counts them on all cores.
    """
    setup = json.dumps([kind, between]).encode()
    workers = Workers(f"{__name__}:join_work", setup, spare_processes(characters // USUAL))
    pending = iter(corpus)
    blocks = iter(lambda: list(islice(pending, JOINED)), [])
    for _, (raw,) in workers.map((None, packed(block)) for block in blocks):
        yield raw.decode("utf-8", "surrogatepass")


def join_work(setup: bytes) -> Work:
    """Return what joins the words of blocks of texts, in another process or this one."""
    kind, between = json.loads(setup)
    pattern = WordPattern(_words(kind), kind == "code")

    def work(parts: list[bytes]) -> list[bytes]:
        words = chain.from_iterable(pattern.words(unpacked(*parts)))
        return [between.join(words).encode("utf-8", "surrogatepass")]

    return work


def _learn_unigram(corpus: Iterable[str], alphabet: list[str], room: int, characters: int) -> dict:
    """Learn a unigram model. Returns {"vocabulary": pieces in order, "scores": log-probabilities}.

    The candidates are the pieces of a larger BPE.
    """
    words: Counter[str] = Counter()
    pattern, known, pending = WordPattern(_words()), set(alphabet), iter(corpus)
    while block := list(islice(pending, TOGETHER)):
        for found in pattern.words(block):
            words.update(found)
    if ALONE not in known:
        del words[ALONE]
    candidates = [
        *alphabet,
        *_learn_bpe(corpus, alphabet, max(room, len(alphabet)) * 4, characters)["vocabulary"],
    ]
    learnt = unigram.learn(words, candidates, room)
    # Scores that are multiples of 1/1024 are written and read exactly, so a loaded tokenizer
    # breaks ties in the same way.
    return {
        "vocabulary": list(learnt),
        "scores": [round(score * 1024) / 1024 for score in learnt.values()],
    }


def _assemble(learnt: dict, kind: str, specials: list[str]) -> tokenizers.Tokenizer:
    reserved = [*specials, *BYTES]
    taken = set(reserved)
    pieces = [piece for piece in learnt["vocabulary"] if piece not in taken]
    if kind != "unigram":
        vocabulary = {token: number for number, token in enumerate([*reserved, *pieces])}
        merges = [tuple(pair) for pair in learnt["merges"]]
        model = models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True)
    else:
        scores = dict(zip(learnt["vocabulary"], learnt["scores"], strict=True))
        lowest = min(scores.values(), default=-10.0)
        table = [(token, lowest - 10.0) for token in reserved] + [
            (piece, scores[piece]) for piece in pieces
        ]
        model = models.Unigram(table, unk_id=0, byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = _words(kind)  # type: ignore[assignment]
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])  # type: ignore[assignment]
    return backend
