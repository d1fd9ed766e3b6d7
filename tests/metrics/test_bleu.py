"""Scores carry their signature; the Moses scale equals its oracle on real sentences."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from triptych.metrics import bleu as metrics
from triptych.metrics.moses import tokenize

MULTI30K = Path(os.environ.get("TRIPTYCH_DATA", "missing")) / "multi30k"


def test_identical_lines_score_100_and_carry_a_signature() -> None:
    lines = ["A man rides a bike .", "Two dogs."]
    for metric in (metrics.bleu, metrics.chrf, metrics.exact_match, metrics.bleu_tokenized_lowercased):
        found = metric(lines, lines, "en")
        assert found.value == pytest.approx(100) and "|" in found.signature


def test_chinese_is_counted_by_characters() -> None:
    found = metrics.bleu(["我喜歡紅色的貓。"], ["我喜歡黑色的貓。"], "zh-Hant")
    assert 30 < found.value < 100 and "tok:zh" in found.signature


def test_the_two_scales_of_bleu_differ() -> None:
    hypothesis, reference = ["Ein T-Shirt hängt dort."], ["ein T-Shirt hängt dort ."]
    assert metrics.bleu_tokenized_lowercased(hypothesis, reference, "de").value == pytest.approx(100)
    assert metrics.bleu(hypothesis, reference, "de").value < 100


@pytest.mark.skipif(not MULTI30K.is_dir(), reason="TRIPTYCH_DATA names no folder with multi30k")
@pytest.mark.parametrize("language", ["en", "de", "fr", "cs"])
def test_moses_tokens_equal_sacremoses(language: str) -> None:
    moses = pytest.importorskip("sacremoses").MosesTokenizer(language)
    lines = (MULTI30K / f"test_2016_flickr.{language}").read_text(encoding="utf-8").split("\n")[:-1]
    for split in (False, True):
        for cased in (lines, [line.lower() for line in lines]):
            ours = [tokenize(line, language, split) for line in cased]
            theirs = [moses.tokenize(line, aggressive_dash_splits=split, escape=False) for line in cased]
            different = [(line, a, b) for line, a, b in zip(cased, ours, theirs, strict=True) if a != b]
            assert not different, different[:3]


@pytest.mark.skipif(not MULTI30K.is_dir(), reason="TRIPTYCH_DATA names no folder with multi30k")
def test_the_german_reference_has_the_published_number_of_tokens() -> None:
    lines = (MULTI30K / "test_2016_flickr.de").read_text(encoding="utf-8").split("\n")[:-1]
    assert sum(len(tokenize(line.lower(), "de")) for line in lines) == 12_103
