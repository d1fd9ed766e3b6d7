"""Test intervals and paired comparison against sacreBLEU's own bootstrap."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from triptych.metrics import bleu, bootstrap, by_length

WORDS = [*"abcdefghijklmnopqrs"]


def lines(seed: int, noise: float, count: int = 120) -> tuple[list[str], list[str]]:
    """Return hypotheses that differ from references by `noise`, a share of the words."""
    same, own = np.random.default_rng(7), np.random.default_rng(seed)
    references = [
        [str(word) for word in same.choice(WORDS, same.integers(3, 30))] for _ in range(count)
    ]
    hypotheses = [
        [str(own.choice(WORDS)) if own.random() < noise else word for word in line]
        for line in references
    ]
    return [" ".join(line) for line in hypotheses], [" ".join(line) for line in references]


def statistics(seed: int, noise: float, count: int = 120) -> np.ndarray:
    return bleu.bleu_statistics(*lines(seed, noise, count))


def test_equals_sacrebleus_paired_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    (first, references), (second, _) = lines(1, 0.30), lines(2, 0.27)
    test = PairedTest(
        [("first", first), ("second", second)],
        {"BLEU": BLEU(references=[references])},
        None,
        test_type="bs",
        n_samples=500,
    )
    ours = bootstrap.compare(statistics(1, 0.30), statistics(2, 0.27), bleu.bleu_of, resamples=500)
    theirs: Any = test()[1]["BLEU"]
    assert ours.first.value == pytest.approx(
        theirs[0].score
    ) and ours.second.value == pytest.approx(theirs[1].score)
    assert ours.p_value == pytest.approx(theirs[1].p_value)
    assert (ours.second.high - ours.second.low) / 2 == pytest.approx(theirs[1].ci, rel=0.02)


def test_large_sets_are_drawn_in_parts_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = statistics(1, 0.3)
    whole = bootstrap.interval(rows, bleu.bleu_of, 300)
    monkeypatch.setattr(bootstrap, "CHUNK", 7 * len(rows))
    assert bootstrap.interval(rows, bleu.bleu_of, 300) == whole
    assert whole.low < whole.value < whole.high
    assert bootstrap.interval(rows, bleu.bleu_of, 300, seed=2) != whole


def test_a_system_against_itself_is_a_draw() -> None:
    found = bootstrap.compare(statistics(1, 0.3), statistics(1, 0.3), bleu.bleu_of, 200)
    assert (
        found.difference == bootstrap.ConfidenceInterval(0, 0, 0)
        and found.second_better == 0
        and found.p_value == 1
    )
    assert json.dumps(found.to_json())


def test_a_clearly_better_system_is_found() -> None:
    found = bootstrap.compare(statistics(1, 0.5), statistics(2, 0.1), bleu.bleu_of, 200)
    assert found.difference.low > 5 and found.second_better == 100 and found.p_value < 0.01


def test_the_interval_of_exact_match() -> None:
    rows = bootstrap.exact_statistics(["a"] * 90 + ["b"] * 10, ["a"] * 100)
    found = bootstrap.interval(rows, bootstrap.mean, 1000)
    assert found.value == 90 and 82 < found.low < 86 and 94 < found.high < 97  # binomial: 90 +- 5.9


def test_a_score_that_some_draws_lack_is_compared_over_those_that_have_it() -> None:
    """Compare F1 of a rare type that one system finds twice, the other once, no reference ever."""

    def scorer(places_of_type: set[int]) -> Callable[[list[int]], dict[str, float]]:
        return lambda places: {
            "f1": 50.0,
            **({"f1_RARE": 0.0} if places_of_type & set(places) else {}),
        }

    first, second = (bootstrap.redrawn(scorer(places), 20, 200) for places in ({3}, {3, 4}))
    missing = [int(np.isnan(one["f1_RARE"]).sum()) for one in (first, second)]
    assert (
        len(first["f1_RARE"]) == len(second["f1_RARE"]) == 200 and 0 < missing[1] < missing[0] < 200
    )
    assert bootstrap.between(0.0, first["f1_RARE"]) == bootstrap.ConfidenceInterval(0, 0, 0)
    found = bootstrap.compared((0.0, 0.0), (first["f1_RARE"], second["f1_RARE"]), 1)
    assert (
        found.difference == bootstrap.ConfidenceInterval(0, 0, 0)
        and found.resamples == 200 - missing[0]
    )


def test_bleu_by_length_of_the_source() -> None:
    hypotheses, references = lines(1, 0.3)
    found = by_length.bleu_by_length(
        references, hypotheses, references, "en", edges=(10, 20), resamples=50
    )
    assert [bucket.name for bucket in found] == ["1-10", "11-20", "21+"]
    assert sum(bucket.lines for bucket in found) == len(references)
    chosen = [number for number, line in enumerate(references) if 11 <= len(line.split()) <= 20]
    wanted = bleu.bleu(
        [hypotheses[number] for number in chosen], [references[number] for number in chosen]
    ).value
    assert found[1].lines == len(chosen) and found[1].bleu.value == pytest.approx(wanted)


def test_empty_buckets_are_left_out() -> None:
    found = by_length.bleu_by_length(["a b c"], ["x y z w"], ["x y z w"], resamples=10)
    assert [(bucket.name, bucket.lines) for bucket in found] == [("1-8", 1)]


def test_length_counts_words_and_ideographs() -> None:
    assert by_length.length_of("Two dogs  run .") == 4
    assert by_length.length_of("我有 2 隻 cat") == 5
