"""Test the published Multi30k scale: tokens equal to the oracle's and the set's tokenised files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from triptych.metrics.moses import ABBREVIATIONS, published_tokens, tokenize

MULTI30K = Path(os.environ.get("TRIPTYCH_DATA", "missing")) / "multi30k"
needs_multi30k = pytest.mark.skipif(
    not MULTI30K.is_dir(), reason="TRIPTYCH_DATA names no folder with multi30k"
)
# Tokens and SHA-256 of the set's own test_2016_flickr.lc.norm.tok files
# (github.com/multi30k/dataset, data/task1/tok).
PUBLISHED = {
    "en": (12_968, "5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2"),
    "de": (12_103, "c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4"),
    "fr": (13_988, "1463bd5960f9bfe098ec3cd752d3df0c49c84dc646fb518964a29232658cd836"),
    "cs": (10_497, "748c8816de928732365176e5c5d2f9bbabcec9b8d4448fba2d230feb057898a7"),
}
ESCAPES = {
    "&": "&amp;",
    "|": "&#124;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    "[": "&#91;",
    "]": "&#93;",
}
HARD = [
    "It's 5,300 m², isn't it?",
    "the dogs' 1990's 'quoted' o'clock 5'6",
    "a,b,,c ,5 6, x,",
    "Hello... world.. end.....",
    "i.e. e.g. U.S.A.",
    "X. Y. said 3 vs. 4",
    "l'homme d'aujourd'hui qu'il n'est",
    "semi-auto-matic -x y- 2-3 --",
    "ends there.'",
    '50 % of $5.00 (approx.) [ok] <b> a&b a|b a/b "x"',
    "  many   spaces\tand tabs ",
    "bzw. 3. Mai XIV. usw. les. hor. vol. sec.",
    "",
    ".",
    "'",
    "mail@example.org #tag @-@ _under_score_",
    "naïve Ångström straße œuvre žluťoučký",
    "‘single’ “double” „deutsch“ – — … ´ `",
    "x.' y",
    "Žena, кот.",
    "3.5.2020 10:30 5.",
    "...start and .start",
    "c'est-à-dire p.ex. M. X.",
]


def lines_of(language: str, split: str = "test_2016_flickr") -> list[str]:
    return (MULTI30K / f"{split}.{language}").read_bytes().decode().split("\n")[:-1]


@needs_multi30k
@pytest.mark.parametrize("language", ABBREVIATIONS)
def test_equals_the_published_tokens_line_for_line(language: str) -> None:
    tokens = [published_tokens(line, language) for line in lines_of(language)]
    assert sum(map(len, tokens)) == PUBLISHED[language][0]
    text = "".join(" ".join(line).translate(str.maketrans(ESCAPES)) + "\n" for line in tokens)
    assert hashlib.sha256(text.encode()).hexdigest() == PUBLISHED[language][1]


@needs_multi30k
@pytest.mark.parametrize("split_hyphens", [False, True])
@pytest.mark.parametrize("language", ABBREVIATIONS)
def test_equals_sacremoses(language: str, split_hyphens: bool) -> None:
    oracle = pytest.importorskip("sacremoses").MosesTokenizer(language)
    texts = [*lines_of(language), *lines_of(language, "val"), *HARD]
    for cased in (texts, [line.lower() for line in texts]):
        ours = [tokenize(line, language, split_hyphens) for line in cased]
        theirs = [
            oracle.tokenize(line, aggressive_dash_splits=split_hyphens, escape=False)
            for line in cased
        ]
        different = [(line, a, b) for line, a, b in zip(cased, ours, theirs, strict=True) if a != b]
        assert not different, different[:5]


@needs_multi30k
def test_split_hyphens_would_be_another_scale() -> None:
    """Check that the published number of German tokens keeps hyphens and lower-cases first."""
    lines = lines_of("de")
    assert sum(len(tokenize(line.lower(), "de", split_hyphens=True)) for line in lines) == 12_243
    assert sum(len(tokenize(line, "de")) for line in lines) == 12_102


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("en", "It’s a “T-Shirt”, he said…", 'it \'s a " t-shirt , " he said ...'),
        ("de", "„Halt“, ruft er – laut.", '" halt " , ruft er - laut .'),
        ("de", 'Er sagt "ja."', 'er sagt " ja " .'),
        ("fr", "L’homme dit « bonjour. »", 'l\' homme dit " bonjour " .'),
        ("fr", "5\u00a0000 chiens", "5,000 chiens"),
        ("cs", 'Říká "ano."', 'říká " ano . "'),
    ],
)
def test_punctuation_is_normalised(language: str, text: str, tokens: str) -> None:
    assert " ".join(published_tokens(text, language)) == tokens
