"""Test that scores carry their signature, and that the two scales of BLEU never mix."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics.bleu import BLEU

from triptych.errors import DataError, UsageError
from triptych.metrics import bleu as metrics

HYPOTHESES = [
    "A man rides a bike .",
    "Two dogs run on the beach.",
    "the",
    "",
    "Two dogs play in the green snow near a house.",
]
REFERENCES = [
    "A man rides a bike.",
    "Two dogs run along the beach.",
    "A",
    "Nobody.",
    "Two dogs play in the snow near a house.",
]


@pytest.mark.parametrize(
    "metric", [metrics.bleu, metrics.chrf, metrics.exact_match, metrics.bleu_tokenized_lowercased]
)
def test_identical_lines_score_100_with_a_signature(metric: metrics.Metric) -> None:
    lines = ["A man rides a bike down the road.", "Two dogs play in the snow."]
    found = metric(lines, lines, "en")
    assert found.value == pytest.approx(100) and "nrefs:1" in found.signature
    assert metric(["no", "none"], lines, "en").value < 10


def test_bleu_is_sacrebleus_own() -> None:
    found = metrics.bleu(HYPOTHESES, REFERENCES, "en")
    assert found.value == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    for part in (
        "case:mixed",
        "eff:no",
        "tok:13a",
        "smooth:exp",
        f"version:{sacrebleu.__version__}",
    ):
        assert part in found.signature
    assert (
        metrics.chrf(HYPOTHESES, REFERENCES).value
        == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    )


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_several_references_count_as_sacrebleu_counts_them(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = [[one, "the snow is green"][: 1 + place % 2] for place, one in enumerate(REFERENCES)]
    streams = [REFERENCES, [both[1] if len(both) > 1 else None for both in several]]
    for texts in (
        several,
        [[one, "the snow"] for one in REFERENCES],
        [[one] for one in REFERENCES],
    ):
        if texts is not several:
            streams = [list(stream) for stream in zip(*texts, strict=True)]
        oracle = BLEU(tokenize=metrics.tokens_of(language))
        wanted = oracle.corpus_score(HYPOTHESES, streams).score  # type: ignore[arg-type]
        found = metrics.bleu_of_several(HYPOTHESES, texts, language)
        assert (
            found.value == pytest.approx(wanted, abs=1e-9)
            and found.signature == f"BLEU|{oracle.get_signature()}"
        )
    assert metrics.bleu_of_several(["no"], [["none", "at all"]], language).value == 0

    def again(*given: object, **more: object) -> None:
        raise AssertionError("counted twice")

    # A thousand resamples of an interval count each text once.
    monkeypatch.setattr(BLEU, "sentence_score", again)
    monkeypatch.setattr(BLEU, "corpus_score", again)
    metrics.bleu_of_several(HYPOTHESES[::-1], several[::-1], language)


@pytest.mark.parametrize("language", ["zh", "zh-Hant", "zh-Hans"])
def test_chinese_is_counted_by_characters(language: str) -> None:
    found = metrics.bleu(["我喜歡紅色的貓。"], ["我喜歡黑色的貓。"], language)
    assert 30 < found.value < 100 and "tok:zh" in found.signature


def test_exact_match_counts_lines() -> None:
    assert metrics.exact_match(["a ", "b", "C", "d"], ["a", "b", "c", "e"]).value == 50


def test_the_two_scales_of_bleu_have_different_signatures_and_values() -> None:
    hypotheses, references = ["Ein T-Shirt hängt dort."], ["ein T-Shirt hängt dort ."]
    published = metrics.bleu_tokenized_lowercased(hypotheses, references, "de")
    assert (
        published.value == pytest.approx(100)
        and metrics.bleu(hypotheses, references, "de").value < 100
    )
    assert "case:lc" in published.signature and not published.signature.startswith("BLEU|")


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(DataError, match="2 answers but 1 references"):
        metrics.bleu(["a", "b"], ["a"])
    with pytest.raises(DataError, match="nothing to score"):
        metrics.chrf([], [])
    with pytest.raises(
        UsageError, match=r"'zh' for bleu_tokenized_lowercased.*Allowed: cs, de, en, fr"
    ):
        metrics.bleu_tokenized_lowercased(["a"], ["a"], "zh")


@pytest.mark.parametrize("lines", [slice(0, 5), slice(0, 1), slice(2, 3), slice(3, 4), slice(0, 4)])
def test_bleu_of_summed_statistics_equals_bleu(lines: slice) -> None:
    statistics = metrics.bleu_statistics(HYPOTHESES[lines], REFERENCES[lines])
    wanted = metrics.bleu(HYPOTHESES[lines], REFERENCES[lines]).value
    assert float(metrics.bleu_of(statistics.sum(0))) == pytest.approx(wanted, abs=1e-9)


def test_bleu_of_smooths_as_sacrebleu_does() -> None:
    generator = np.random.default_rng(1)
    for _ in range(300):
        total = np.sort(generator.integers(0, 9, 4))[::-1]
        correct = (
            np.sort(generator.integers(0, 1 + total))[::-1]
            if generator.random() < 0.9
            else np.zeros(4, int)
        )
        correct = np.minimum(correct, total)
        wanted = sacrebleu.BLEU.compute_bleu(
            correct.tolist(), total.tolist(), int(total[0]), 7, smooth_method="exp"
        ).score
        found = float(metrics.bleu_of(np.array([total[0], 7, *correct, *total])))
        assert found == pytest.approx(wanted, abs=1e-9)


def test_statistics_on_the_published_scale() -> None:
    hypotheses, references = (
        ["Ein Hund läuft – schnell.", "Zwei Männer."],
        ["ein hund läuft - schnell .", "Zwei Frauen , sitzend."],
    )
    statistics = metrics.bleu_statistics(hypotheses, references, "de", tokenized=True)
    wanted = metrics.bleu_tokenized_lowercased(hypotheses, references, "de").value
    assert float(metrics.bleu_of(statistics.sum(0))) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    "lines", [slice(0, 5), slice(0, 1), slice(2, 3), slice(3, 4), slice(1, 4), slice(2, 4)]
)
def test_chrf_of_summed_statistics_equals_chrf(lines: slice) -> None:
    statistics = metrics.chrf_statistics(HYPOTHESES[lines], REFERENCES[lines])
    wanted = metrics.chrf(HYPOTHESES[lines], REFERENCES[lines]).value
    drawn = np.stack([statistics.sum(0), statistics[:1].sum(0)])
    first = metrics.chrf(HYPOTHESES[lines][:1], REFERENCES[lines][:1]).value
    assert metrics.chrf_of(drawn) == pytest.approx([wanted, first], abs=1e-9)
