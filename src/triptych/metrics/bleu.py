"""Compute BLEU, chrF and exact match of translations with sacreBLEU.

The two scales of BLEU have different names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import sacrebleu
from sacrebleu.metrics.bleu import BLEU, BLEUScore
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.helpers import extract_all_char_ngrams

from ..errors import DataError
from .moses import published_tokens, require


@dataclass(frozen=True, slots=True)
class Score:
    """Hold a value from 0 to 100, and how it was computed."""

    value: float
    signature: str


# (hypotheses, references, target language) -> Score
Metric = Callable[[Sequence[str], Sequence[str], str], Score]


def bleu(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Compute cased corpus BLEU (Papineni et al. 2002) on plain text with sacreBLEU (Post 2018).

    Chinese is split by its tokenizer `zh`.
    """
    check(hypotheses, references)
    metric = BLEU(tokenize=tokens_of(language))
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(value, f"BLEU|{metric.get_signature()}")


def bleu_of_several(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], language: str = ""
) -> Score:
    """Compute `bleu` where each text has one reference or several.

    An n-gram counts as often as in the reference that has most of it.
    """
    check(hypotheses, references)
    if not all(references):
        raise DataError("There is nothing to score: a text has no reference.")
    metric, numbers = BLEU(tokenize=tokens_of(language)), {len(several) for several in references}
    metric.num_refs = numbers.pop() if len(numbers) == 1 else -1  # for the signature; -1: var
    counts = [
        _counts(text, tuple(several), tokens_of(language))
        for text, several in zip(hypotheses, references, strict=True)
    ]
    return Score(float(bleu_of(np.sum(counts, 0))), f"BLEU|{metric.get_signature()}")


@lru_cache(maxsize=1 << 15)  # a bootstrap scores the same texts a thousand times
def _counts(hypothesis: str, references: tuple[str, ...], tokenize: str) -> tuple[int, ...]:
    """Return the statistics of one line, in the order of `bleu_statistics`."""
    score = _metric(tokenize).sentence_score(hypothesis, list(references))
    assert isinstance(score, BLEUScore), "sacreBLEU's sentence score carries its counts"
    return (score.sys_len, score.ref_len, *score.counts, *score.totals)


@cache
def _metric(tokenize: str) -> BLEU:
    return BLEU(tokenize=tokenize, effective_order=True)


def exact_match_of_several(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """Compute the share of texts equal to one of their references after stripping space."""
    check(hypotheses, references)
    same = sum(
        text.strip() in {one.strip() for one in several}
        for text, several in zip(hypotheses, references, strict=True)
    )
    number = max(map(len, references))
    return Score(
        100.0 * same / len(references),
        f"exact_match|nrefs:{'1' if number == 1 else 'any'}|case:mixed",
    )


def chrf(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Compute chrF2 (Popović 2015)."""
    check(hypotheses, references)
    metric = CHRF()
    value = metric.corpus_score(list(hypotheses), [list(references)]).score
    return Score(value, f"chrF2|{metric.get_signature()}")


def exact_match(hypotheses: Sequence[str], references: Sequence[str], language: str = "") -> Score:
    """Compute the share of lines equal to the reference after stripping space."""
    check(hypotheses, references)
    same = sum(a.strip() == b.strip() for a, b in zip(hypotheses, references, strict=True))
    return Score(100.0 * same / len(references), "exact_match|nrefs:1|case:mixed")


def bleu_tokenized_lowercased(
    hypotheses: Sequence[str], references: Sequence[str], language: str = ""
) -> Score:
    """Compute BLEU on lower-cased Moses tokens, the scale of published Multi30k figures.

    It differs from `bleu` by several points. Languages are en, de, fr and cs; UsageError for
    another. See `metrics.moses` for the tokens.
    """
    check(hypotheses, references)
    metric = BLEU(tokenize="none", force=True)
    lines = [
        [" ".join(published_tokens(text, language)) for text in texts]
        for texts in (hypotheses, references)
    ]
    value = metric.corpus_score(lines[0], [lines[1]]).score
    tokens = f"multi30k-lc-norm-moses-{require(language)}"
    return Score(
        value,
        f"BLEU-tokenized|nrefs:1|case:lc|eff:no|tok:{tokens}|smooth:exp|version:{sacrebleu.__version__}",
    )


def tokens_of(language: str) -> str:
    """Return sacreBLEU's tokenizer for a language.

    `zh` for Chinese, `char` for Japanese, Korean and Thai, else `13a`.
    """
    code = language.lower().split("-")[0]
    return "zh" if code in ("zh", "cmn", "yue") else "char" if code in ("ja", "ko", "th") else "13a"


def check(hypotheses: Sequence[str], references: Sequence[object]) -> None:
    """Raise DataError if there is nothing to score or the numbers of lines differ."""
    if len(hypotheses) != len(references):
        raise DataError(
            f"There are {len(hypotheses)} answers but {len(references)} references; both must have "
            "the same lines."
        )
    if not references:
        raise DataError("There is nothing to score: the data holds no line with a reference.")


def bleu_statistics(hypotheses: Sequence[str], references: Sequence[str], language: str = "", *,
                    tokenized: bool = False) -> np.ndarray:  # fmt: skip
    """Return each line's statistics, (lines, 10) int64.

    They are system length, reference length, matching 1- to 4-grams, all 1- to 4-grams. BLEU of any
    choice of lines is `bleu_of` their sum. tokenized: on the scale of `bleu_tokenized_lowercased`.
    """
    check(hypotheses, references)
    metric = BLEU(
        tokenize="none" if tokenized else tokens_of(language), effective_order=True, force=True
    )
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        if tokenized:
            hypothesis, reference = (
                " ".join(published_tokens(text, language)) for text in (hypothesis, reference)
            )
        score = metric.sentence_score(hypothesis, [reference])
        assert isinstance(score, BLEUScore), "sacreBLEU's sentence score carries its counts"
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return np.array(rows, dtype=np.int64)


def bleu_of(sums: np.ndarray) -> np.ndarray:
    """Compute BLEU, 0 to 100, of summed statistics: (..., 10) -> (...).

    Empty counts are smoothed in sacreBLEU's default way ("exp").
    """
    sums = np.asarray(sums, dtype=np.float64)
    own, wanted, correct, total = sums[..., 0], sums[..., 1], sums[..., 2:6], sums[..., 6:10]
    zero = correct == 0
    halvings = np.where(zero, 2.0 ** np.cumsum(zero, -1), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(total > 0, np.where(zero, 1.0, correct) / (halvings * total), 0.0)
        brevity = np.where(own < wanted, np.exp(1 - wanted / own), 1.0)
        value = 100 * brevity * np.exp(np.log(precision).mean(-1))
    return np.where(correct.any(-1), np.nan_to_num(value, nan=0.0), 0.0)


def chrf_statistics(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """Return each line's own, wanted and shared n-grams of 1 to 6 characters, (lines, 18) int64.

    chrF of any choice of lines is `chrf_of` their sum.
    """
    check(hypotheses, references)
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        pairs = zip(
            *(extract_all_char_ngrams(text, CHRF.CHAR_ORDER) for text in (hypothesis, reference)),
            strict=True,
        )
        rows.append(
            [
                (own.total() if wanted else 0, wanted.total(), (own & wanted).total())
                for own, wanted in pairs
            ]
        )
    return np.array(rows, dtype=np.int64).reshape(len(rows), -1)


def chrf_of(sums: np.ndarray) -> np.ndarray:
    """Compute chrF2, 0 to 100, of summed statistics: (..., 18) -> (...).

    Precision and recall are means over the orders that both texts have.
    """
    own, wanted, shared = np.moveaxis(
        np.asarray(sums, dtype=np.float64).reshape(*np.shape(sums)[:-1], -1, 3), -1, 0
    )
    both = (own > 0) & (wanted > 0)
    orders = np.maximum(1, both.sum(-1))
    precision, recall = (
        np.where(both, shared / np.maximum(1, size), 0).sum(-1) / orders for size in (own, wanted)
    )
    factor = CHRF.BETA**2
    return 100 * (1 + factor) * precision * recall / np.maximum(factor * precision + recall, 1e-300)
