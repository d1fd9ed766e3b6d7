"""Generate the built-in data set: English to Chinese in Traditional and Simplified characters.

Nothing is read from the network. A split is made by pairs of content words: a share of all pairs (a
verb and an object, a name and a verb, an adjective and a noun, ...) is kept for the test and
another for validation, and no training sentence holds any of them. A model with a good test score
has combined words that it never saw together.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from functools import cache
from itertools import combinations

from triptych.data.example import Example
from triptych.data.phrasebook.grammar import Grammar
from triptych.data.phrasebook.lexicon import FUNCTION_WORDS, lexicon
from triptych.data.phrasebook.phrases import Phrase
from triptych.errors import unknown

SEED = 2017
TRAINING_SENTENCES = 13_000
HELD_OUT_SENTENCES = 500  # in validation and in test
HELD_OUT_SHARE = 0.04  # of all pairs, for validation and for test each
LEAST_OCCURRENCES = 8  # in training, for every word of a validation or test sentence
SENTENCES_PER_PAIR = 2

SPLITS = ("train", "validation", "test")
SCRIPTS = ("zh-Hant", "zh-Hans")
DEMO_SENTENCES = ("I am a student.", "I like cats.")  # in no split, for demonstrations

_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")


@cache
def _lemma(token: str) -> str:
    """Return the dictionary form, or "" for a word of the grammar."""
    token = token.lower()
    if token not in FUNCTION_WORDS:
        token = token.removesuffix("'s")
    return "" if token in FUNCTION_WORDS else lexicon().lemmas.get(token, token)


def words(english: str) -> list[str]:
    """Return the words of a sentence in lower case, without "'s"."""
    return [
        word if word in FUNCTION_WORDS else word.removesuffix("'s")
        for word in _WORD.findall(english.lower())
    ]


def content_words(english: str) -> frozenset[str]:
    """Return the dictionary forms of a sentence's nouns, names, verbs, adjectives and times.

    Pronouns, articles, numbers, auxiliaries, prepositions and question words are left out. A word
    outside the lexicon counts unchanged.
    """
    return frozenset(filter(None, map(_lemma, _WORD.findall(english))))


@cache
def _split_of(pair: tuple[str, str]) -> str:
    """Return the split for a pair of content words (in alphabetical order), by its hash."""
    first, second = (lexicon().kinds.get(word, "") for word in pair)
    binding = {"noun", "verb", "adjective"}
    if (
        not {first, second} <= binding
        or (first == second == "verb")
        or frozenset(pair) in lexicon().together
    ):
        return "train"
    if set(pair) == {"cat", "like"}:  # the demo's pair is trained on, with other subjects
        return "train"
    digest = hashlib.sha256(f"{SEED} {' '.join(pair)}".encode()).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    return (
        "test"
        if share < HELD_OUT_SHARE
        else "validation"
        if share < 2 * HELD_OUT_SHARE
        else "train"
    )


def held_out_pairs(english: str, split: str) -> list[tuple[str, str]]:
    """Return the pairs of content words of a sentence that are held out for this split."""
    return [
        pair for pair in combinations(sorted(content_words(english)), 2) if _split_of(pair) == split
    ]


def _draw() -> dict[str, list[Phrase]]:
    """Sample distinct sentences until training is full, and split them by their pairs.

    Sentences with pairs of two splits are left out.
    """
    grammar = Grammar(lexicon(), SEED)
    seen: set[str] = set(DEMO_SENTENCES)
    drawn: dict[str, list[Phrase]] = {split: [] for split in SPLITS}
    while len(drawn["train"]) < TRAINING_SENTENCES:
        phrase = grammar.draw()
        if phrase.english in seen:
            continue
        seen.add(phrase.english)
        held = {
            _split_of(pair) for pair in combinations(sorted(content_words(phrase.english)), 2)
        } - {"train"}
        if len(held) < 2:
            drawn[held.pop() if held else "train"].append(phrase)
    return drawn


@cache
def _splits() -> dict[str, tuple[Phrase, ...]]:
    drawn = _draw()
    known: Counter[str] = Counter()
    for phrase in drawn["train"]:
        known.update(words(phrase.english))
        known.update(phrase.chinese)
    for split in ("validation", "test"):
        chosen: list[Phrase] = []
        used: Counter[tuple[str, str]] = Counter()
        for phrase in drawn[split]:
            pairs = held_out_pairs(phrase.english, split)
            rare = any(
                known[word] < LEAST_OCCURRENCES
                for word in (*words(phrase.english), *phrase.chinese)
            )
            if (
                not rare
                and all(used[pair] < SENTENCES_PER_PAIR for pair in pairs)
                and len(chosen) < HELD_OUT_SENTENCES
            ):
                used.update(pairs)
                chosen.append(phrase)
        drawn[split] = chosen
    return {split: tuple(phrases) for split, phrases in drawn.items()}


def examples(split: str, script: str | None = None) -> list[Example]:
    """Return all sentences of a split, in one script or, without one, in both.

    There are 13,000, 500 and 500 distinct English sentences for training, validation and test,
    always the same. `target_language` is the script's tag.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS, "of the phrasebook")
    if script is not None and script not in SCRIPTS:
        raise unknown("script", script, SCRIPTS, "of the phrasebook")
    simplified = lexicon().simplified
    result: list[Example] = []
    for number, phrase in enumerate(_splits()[split], start=1):
        for tag in SCRIPTS if script is None else (script,):
            atoms = (
                phrase.chinese
                if tag == "zh-Hant"
                else [simplified[atom] for atom in phrase.chinese]
            )
            result.append(
                Example(
                    source=phrase.english,
                    target="".join(atoms),
                    source_language="en",
                    target_language=tag,
                    place=f"phrasebook:{split}:{number}",
                )
            )
    return result
