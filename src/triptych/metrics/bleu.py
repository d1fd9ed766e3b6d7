"""BLEU, chrF and exact match of translations. sacreBLEU is the engine; two scales of BLEU never share a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sacrebleu
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from .moses import tokenize


@dataclass(frozen=True, slots=True)
class Score:
    """A value, and how it was computed."""

    value: float
    signature: str


def tokenizer_for(language: str) -> str:
    """sacreBLEU's tokenizer: `zh` for Chinese (13a scores it 0), `char` for Japanese, Korean and Thai, else 13a."""
    code = language.lower().split("-")[0]
    return "zh" if code in ("zh", "cmn", "yue") else "char" if code in ("ja", "ko", "th") else "13a"


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Corpus BLEU (Papineni et al. 2002), cased, detokenised, as sacreBLEU (Post 2018) counts."""
    metric = BLEU(tokenize=tokenizer_for(language))
    return Score(metric.corpus_score(list(hypotheses), [list(references)]).score, f"BLEU|{metric.get_signature()}")


def chrf(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """chrF2 (Popović 2015)."""
    metric = CHRF()
    return Score(metric.corpus_score(list(hypotheses), [list(references)]).score, f"chrF2|{metric.get_signature()}")


def exact_match(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Share of lines equal to the letter."""
    same = sum(a == b for a, b in zip(hypotheses, references, strict=True))
    return Score(100.0 * same / max(1, len(references)), "exact_match|case:mixed|white space:kept")


def bleu_tokenized_lowercased(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """BLEU on lower-cased Moses tokens: the scale of published Multi30k figures, not sacreBLEU's own.

    The text is lower-cased first and hyphens stay: that gives the 12,103 tokens which the published runs report for the German
    reference of test_2016_flickr; with hyphens split it would have 12,243.
    """
    metric = BLEU(tokenize="none", force=True)
    lines = [[" ".join(tokenize(text.lower(), language)) for text in texts] for texts in (hypotheses, references)]
    value = metric.corpus_score(lines[0], [lines[1]]).score
    signature = f"BLEU on tokens|nrefs:1|case:lc|tok:moses-{language or 'en'}|smooth:exp|version:{sacrebleu.__version__}"
    return Score(value, signature)
