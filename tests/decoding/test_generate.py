"""What a search promises, on a model small enough to try every answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from toy_model import BEGIN, END, Toy, inputs

from triptych.decoding.generate import search
from triptych.decoding.hypothesis import Hypothesis, SearchStep
from triptych.decoding.policies.beam import BeamPolicy
from triptych.decoding.policies.choose import LogitsView, log_norms, repeats
from triptych.decoding.policies.distribution import draw, uniform
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.steps import Decoding
from triptych.errors import UsageError


def run(model: Toy, sources: list[int], **options: Any) -> list[list[Hypothesis]]:
    given_ = {
        key: options.pop(key)
        for key in ("prefixes", "max_lengths", "stop", "indices", "on_event")
        if key in options
    }
    return search(
        model,
        inputs(sources),
        DecodingSettings(**{"max_length": 5, **options}),
        begin=BEGIN,
        end=END,
        **given_,
    )


def with_end(one: Hypothesis) -> list[int]:
    return [*one.tokens, END] if one.finished else one.tokens


def same(a: list[Hypothesis], b: list[Hypothesis]) -> None:
    assert [one.tokens for one in a] == [one.tokens for one in b]
    assert [one.finished for one in a] == [one.finished for one in b]
    for one, other in zip(a, b, strict=True):
        assert one.token_log_probabilities == pytest.approx(other.token_log_probabilities, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_what_trying_all_finds(seed: int, penalty: float) -> None:
    model = Toy(vocabulary=4, seed=seed)
    longest = 4
    found = run(model, [0, 3], beams=200, n_best=200, length_penalty=penalty, max_length=longest)
    for source, answers in zip([0, 3], found, strict=True):
        every = [
            (log / max(1, len(t) + end) ** penalty, t, end)
            for log, t, end in model.everything(source, longest)
        ]
        every.sort(key=lambda one: (not one[2], -one[0]))
        assert len(answers) == len(every)
        assert [tuple(one.tokens) for one in answers] == [tokens for _, tokens, _ in every]
        assert [one.score for one in answers] == pytest.approx(
            [score for score, _, _ in every], abs=1e-5
        )


@pytest.mark.parametrize("beams", [1, 2, 3, 7])
def test_figures_belong_to_the_tokens(beams: int) -> None:
    model = Toy(seed=5)
    for source, answers in enumerate(
        run(model, list(range(6)), beams=beams, n_best=beams, length_penalty=0.7, max_length=6)
    ):
        for one in answers:
            expected = model.log_probabilities(source, with_end(one))
            assert one.token_log_probabilities == pytest.approx(expected, abs=1e-5)
            assert one.log_probability == pytest.approx(sum(expected), abs=1e-5)
            assert one.score == pytest.approx(sum(expected) / len(expected) ** 0.7, abs=1e-5)
            assert END not in one.tokens


@pytest.mark.parametrize(
    "settings",
    [{}, {"beams": 3, "n_best": 3}, {"temperature": 1.0, "n_best": 2}, {"scores": False}],
)
@effort(max_examples=25, deadline=None)
@given(
    sources=st.lists(st.integers(0, 5), min_size=1, max_size=7),
    seed=st.integers(0, 50),
    data=st.data(),
)
def test_a_neighbour_never_matters(
    settings: dict[str, Any], sources: list[int], seed: int, data: st.DataObject
) -> None:
    model = Toy(seed=seed)
    lengths = [data.draw(st.integers(1, 6)) for _ in sources]
    prefixes = [data.draw(st.lists(st.integers(2, 4), max_size=3)) for _ in sources]
    names = [data.draw(st.integers(0, 9)) for _ in sources]
    together = run(
        model, sources, max_lengths=lengths, prefixes=prefixes, indices=names, **settings
    )
    for place, source in enumerate(sources):
        alone = run(
            model,
            [source],
            max_lengths=[lengths[place]],
            prefixes=[prefixes[place]],
            indices=[names[place]],
            **settings,
        )
        same(together[place], alone[0])
        for one in alone[0]:
            assert one.tokens[: len(prefixes[place])] == prefixes[place]
            assert len(with_end(one)) <= max(lengths[place], len(prefixes[place]) + 1)


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Toy(seed=seed)
    greedy = run(model, list(range(6)), max_length=7)
    monkeypatch.setattr("triptych.decoding.steps.SamplingPolicy", BeamPolicy)
    for a, b in zip(greedy, run(model, list(range(6)), max_length=7), strict=True):
        same(a, b)


def test_n_best_are_sorted_and_distinct() -> None:
    for answers in run(Toy(seed=2), list(range(6)), beams=5, n_best=5, max_length=6):
        assert [one.score for one in answers if one.finished] == sorted(
            (one.score for one in answers if one.finished), reverse=True
        )
        assert len({tuple(with_end(one)) for one in answers}) == len(answers) == 5


@pytest.mark.parametrize("settings", [{}, {"beams": 3}, {"temperature": 0.8}])
def test_lengths_are_kept_and_a_cut_is_told(settings: dict[str, Any]) -> None:
    model = Toy(seed=1)
    model.table[..., END] = -30.0
    for answers in run(model, [0, 1, 2], max_length=4, **settings):
        assert not answers[0].finished and len(answers[0].tokens) == 4
    model.table[..., END] = 30.0
    for answers in run(model, [0, 1, 2], max_length=6, min_length=3, **settings):
        assert answers[0].finished and len(answers[0].tokens) == 3
    for answers in run(model, [0, 1, 2], max_length=16, min_length=16, **settings):
        assert not answers[0].finished and len(answers[0].tokens) == 16


def test_a_forced_prefix_counts_in_score_and_least_length() -> None:
    model = Toy(seed=3)
    model.table[..., END] = 30.0
    for beams in (1, 3):
        first, second = run(model, [0, 1], prefixes=[[2, 3], []], min_length=3, beams=beams)
        assert len(first[0].tokens) == len(second[0].tokens) == 3
        assert first[0].log_probability == pytest.approx(
            sum(model.log_probabilities(0, with_end(first[0]))), abs=1e-4
        )
    with pytest.raises(UsageError, match="end token"):
        run(model, [0], prefixes=[[2, END]])


@pytest.mark.parametrize("settings", [{}, {"beams": 3}, {"temperature": 1.0}])
def test_stop_completes_an_answer(settings: dict[str, Any]) -> None:
    model = Toy(seed=4)
    model.table[..., END] = -30.0
    answers = run(
        model,
        [0, 1, 2],
        max_length=9,
        stop=lambda source, tokens: source == 1 and len(tokens) == 3,
        **settings,
    )
    assert [one[0].finished for one in answers] == [False, True, False]
    assert [len(one[0].tokens) for one in answers] == [9, 3, 9]


def test_draws_follow_the_distribution_and_the_filters() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0, -2.0]])
    chance = uniform(3, np.arange(20_000), 0)

    def shares(**options: Any) -> list[float]:
        drawn = draw(
            logits.expand(len(chance), -1), DecodingSettings(temperature=1.0, **options), chance
        )
        return (torch.bincount(drawn, minlength=5) / len(chance)).tolist()

    probabilities = logits.softmax(-1)[0]
    assert shares() == pytest.approx(probabilities.tolist(), abs=0.012)
    two = probabilities[:2] / probabilities[:2].sum()
    for options in ({"top_k": 2}, {"top_p": 0.7}, {"min_p": 0.3}):
        assert shares(**options) == pytest.approx([*two.tolist(), 0, 0, 0], abs=0.012)
    assert shares(top_p=1e-9) == shares(top_k=1) == [1, 0, 0, 0, 0]


def test_top_p_far_down_a_flat_distribution() -> None:
    logits = (
        torch.randn(6, 2000, generator=torch.Generator().manual_seed(0))
        * torch.tensor([0.01, 5.0] * 3)[:, None]
    )
    settings = DecodingSettings(temperature=1.0, top_p=0.9)
    chance = np.array([0.0, 0.3, 0.5, 0.7, 0.9, 1 - 1e-12])
    drawn = draw(logits, settings, chance)
    for row in range(6):
        assert draw(logits[row : row + 1], settings, chance[row : row + 1]) == drawn[row]
        ordered = logits[row].softmax(-1).sort(descending=True)[0]
        above = ordered[ordered > logits[row].softmax(-1)[drawn[row]]].sum()
        assert above < 0.9


def test_seeds_and_draws_differ() -> None:
    model = Toy(vocabulary=40, seed=6, spread=0.3)
    options: dict[str, Any] = {"temperature": 1.0, "n_best": 4, "max_length": 8}
    first, again, other = (run(model, [0, 0], seed=seed, **options) for seed in (1, 1, 2))
    assert [[one.tokens for one in part] for part in first] == [
        [one.tokens for one in part] for part in again
    ]
    assert len({tuple(one.tokens) for part in (*first, *other) for one in part}) == 16
    single = run(model, [0], seed=1, **{**options, "n_best": 1})
    assert single[0][0].tokens in [one.tokens for one in first[0]]


@pytest.mark.parametrize("beams", [1, 3])
def test_events_tell_the_same_story(beams: int) -> None:
    steps: list[SearchStep] = []
    model = Toy(seed=7)
    answers = run(model, [2, 4], beams=beams, n_best=beams, on_event=steps.append)
    assert [step.number for step in steps] == list(range(len(steps)))
    for place in range(2):
        alive: dict[int, list[int]] = {0: []}
        ended = []
        for step in steps:
            after: list[list[int]] = []
            for source, parent, token, total, fate in zip(
                step.source, step.parent, step.token, step.log_probability, step.fate, strict=True
            ):
                if source != place:
                    continue
                tokens = [*alive[parent], token]
                assert total == pytest.approx(
                    sum(model.log_probabilities([2, 4][place], tokens)), abs=1e-4
                )
                assert fate in ("kept", "finished", "cut", "pruned")
                if fate == "kept":
                    after.append(tokens)
                elif fate in ("finished", "cut"):
                    ended.append(tokens)
            alive = dict(enumerate(after))
        for one in answers[place]:
            assert with_end(one) in ended


def test_sources_join_and_leave_at_any_step() -> None:
    model = Toy(seed=8)
    groups: list[tuple[list[int], DecodingSettings]] = [
        ([0, 1, 2], DecodingSettings(max_length=9)),
        ([3, 1], DecodingSettings(max_length=9, beams=3)),
        ([4, 5], DecodingSettings(max_length=9, temperature=1.0, n_best=2)),
        ([5], DecodingSettings(max_length=1)),
    ]
    decoding = Decoding(cast(Any, model), begin=BEGIN, end=END)
    numbers = []
    for sources, settings in groups:
        numbers.append(decoding.admit(inputs(sources), settings))
        decoding.step()
    ended = set(decoding.answers)
    decoding.drop([numbers[0][1], numbers[1][0]])
    while decoding.live:
        ended.update(decoding.step())
    assert ended == set(decoding.answers)
    for (sources, settings), part in zip(groups, numbers, strict=True):
        alone = search(model, inputs(sources), settings, begin=BEGIN, end=END)
        for number, expected in zip(part, alone, strict=True):
            if number in decoding.answers:
                same(decoding.answers[number], expected)
    assert len(decoding.answers) >= 6


def written_twice(tokens: Sequence[int], size: int) -> bool:
    runs = [tuple(tokens[place : place + size]) for place in range(len(tokens) - size + 1)]
    return len(set(runs)) < len(runs)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("prefix", [[], [2, 2]])
def test_no_run_is_written_twice(size: int, prefix: list[int]) -> None:
    model, longest = Toy(vocabulary=4, seed=size), 6
    model.table[..., END] -= 2.0
    every = model.everything(2, longest)
    every = [
        one
        for one in every
        if list(one[1][: len(prefix)]) == prefix and len(one[1]) + one[2] > len(prefix)
    ]
    allowed = [one for one in every if not written_twice(one[1], size)]
    assert len(allowed) < len(every)  # so that it matters
    allowed.sort(key=lambda one: (not one[2], -one[0]))
    given_: dict[str, Any] = {
        "max_length": longest,
        "no_repeat_ngram_size": size,
        "length_penalty": 0.0,
        "prefixes": [prefix],
    }
    (found,) = run(model, [2], beams=2000, n_best=2000, **given_)
    assert [tuple(one.tokens) for one in found] == [tokens for _, tokens, _ in allowed]
    assert [one.score for one in found] == pytest.approx([log for log, _, _ in allowed], abs=1e-4)
    (drawn,) = run(model, [2], temperature=3.0, n_best=400, **given_)
    assert (
        not any(written_twice(one.tokens, size) for one in drawn)
        and len({tuple(one.tokens) for one in drawn}) > 20
    )


def test_greedy_takes_the_best_that_repeats_nothing() -> None:
    model = Toy(vocabulary=9, seed=4)
    model.table[..., END] = -30.0
    for source, (one,) in enumerate(run(model, [0, 1, 2], max_length=25, no_repeat_ngram_size=2)):
        written: list[int] = []
        while len(written) < 25:
            logits = model.logits(source, [BEGIN, *written])
            written.append(
                next(
                    token
                    for token in logits.argsort(descending=True).tolist()
                    if not written_twice([*written, token], 2)
                )
            )
        assert one.tokens == written
        assert one.token_log_probabilities == pytest.approx(
            model.log_probabilities(source, written), abs=1e-5
        )
    plain = run(model, [0, 1, 2], max_length=25)
    assert all(written_twice(one.tokens, 2) for (one,) in plain)


def test_a_prompt_may_be_said_again_and_what_cannot_go_on_may_repeat() -> None:
    model = Toy(vocabulary=4, seed=1)
    model.table[..., END] = -30.0
    settings = DecodingSettings(max_length=40, no_repeat_ngram_size=2, min_length=30)
    for beams in (1, 3):
        ((one,),) = search(model, inputs([0]), replace(settings, beams=beams), begin=BEGIN, end=END)
        assert len(one.tokens) == 40  # of three tokens there are nine pairs
    rows, tokens = repeats(
        torch.tensor([[5, 6, 5, 6, 5]]), torch.tensor([2]), torch.tensor([5]), 2, [END]
    )
    assert (rows.tolist(), tokens.tolist()) == ([0], [6])
    rows, tokens = repeats(
        torch.tensor([[5, 6, 5, 6, 5]]), torch.tensor([3]), torch.tensor([5]), 2, [END]
    )
    assert rows.tolist() == tokens.tolist() == []


def test_nothing_to_do() -> None:
    assert run(Toy(), []) == []
    assert [
        len(one) for one in run(Toy(vocabulary=3), [0, 1], beams=6, n_best=6, max_length=2)
    ] == [6, 6]


@pytest.mark.parametrize("vocabulary", [7, 1024, 1030, 1999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_choices_by_blocks_are_those_of_topk(vocabulary: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(vocabulary)
    logits = (torch.randn(12, vocabulary, generator=generator) * 4).to(dtype)
    logits[3, vocabulary - 1] = logits[4, 0] = 40.0
    offsets = torch.randn(12, generator=generator)
    view = LogitsView(logits)
    best, values = view.best()
    assert torch.equal(logits.gather(1, best[:, None])[:, 0], logits.amax(-1)) and torch.equal(
        values, logits.amax(-1).float()
    )
    assert view.norms is not None
    for norms in (view.norms, log_norms(logits)):
        torch.testing.assert_close(norms, logits.float().logsumexp(-1), atol=1e-5, rtol=0)
    view.forbid(0, torch.arange(12) == 4)
    assert view.best()[0][4] != 0 and logits[4, 0] == float("-inf")
    peaks = logits.float().topk(3)[1]  # the best of a row are what is worth forbidding
    view.forbid_each(torch.arange(12).repeat_interleave(2), peaks[:, :2].flatten())
    assert bool((logits.gather(1, peaks[:, :2]) == float("-inf")).all())
    best, values = view.best()
    assert torch.equal(values, logits.amax(-1).float()) and torch.equal(
        logits.gather(1, best[:, None])[:, 0].float(), values
    )
    for beams in (1, 3, 4):
        totals, rows, tokens, values = view.best_of_beams(offsets, beams, 6)
        expected = (logits.float() + offsets[:, None]).view(12 // beams, -1).topk(6)[0]
        assert torch.equal(totals, expected)
        assert torch.equal(logits[rows, tokens].float() + offsets[rows], totals)
        assert torch.equal(logits[rows, tokens].float(), values)
        assert torch.equal(rows // beams, torch.arange(12 // beams)[:, None].expand_as(rows))


@pytest.mark.parametrize("vocabulary", [7, 1999])
def test_rounded_logits_choose_as_exact_ones(vocabulary: int) -> None:
    generator = torch.Generator().manual_seed(vocabulary)
    # where bfloat16 moves in steps of a sixteenth
    exact = torch.randn(12, vocabulary, generator=generator) * 3 + 12
    exact[:, 5] = exact.amax(-1) + 0.01  # nearer to the largest than a step
    offsets = torch.randn(12, generator=generator)
    refined, rounded, whole = (
        LogitsView(exact.bfloat16()),
        LogitsView(exact.bfloat16()),
        LogitsView(exact),
    )
    refined.refine(lambda tokens: exact.gather(1, tokens), 5)
    assert torch.equal(refined.best()[0], whole.best()[0]) and not torch.equal(
        rounded.best()[0], whole.best()[0]
    )
    assert refined.norms is not None and rounded.norms is not None and whole.norms is not None
    assert (refined.norms - whole.norms).abs().max() < 0.2 * (
        rounded.norms - whole.norms
    ).abs().max()
    ours, theirs = refined.best_of_beams(offsets, 3, 5), whole.best_of_beams(offsets, 3, 5)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"beams": 0},
        {"n_best": 2},
        {"temperature": -1},
        {"top_p": 0},
        {"min_p": 2},
        {"beams": 2, "temperature": 1.0},
        {"max_length": 0},
        {"min_length": -1},
        {"min_length": 9, "max_length": 8},
        {"length_penalty": math.nan},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": -2},
    ],
)
def test_settings_that_cannot_decode_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="decoding"):
        DecodingSettings(**wrong).check()
