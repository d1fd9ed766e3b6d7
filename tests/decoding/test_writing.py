"""Writing on from a prompt: streams, stop strings, prompts and answers past the context, draws that
are ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from continuing import stream, write

from triptych.decoding.generate import decoding_of
from triptych.decoding.policies.beam import common_prefix
from triptych.decoding.policies.distribution import distribution, draw
from triptych.decoding.requests import fitting
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer

TEXT = "abc de\u00e9f"


class Bytes:
    """Ids 2... are bytes."""

    begin_id, end_id, end_ids = 0, 1, (1,)

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(number - 2 for number in ids if number > 1).decode("utf-8", "replace")

    def encode(self, text: str) -> list[int]:
        return [self.begin_id, *(byte + 2 for byte in text.encode())]


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(3)
    stack = StackConfig(
        layers=2, width=32, heads=4, inner_width=64, norm_placement="pre", positions="rotary"
    )
    return Transformer(ModelConfig(decoder=stack, vocabulary_size=258)).eval()


@pytest.fixture(scope="module")
def reciter(model: Transformer) -> Transformer:
    """Has learnt to write a text over and over."""
    ids = torch.tensor(Bytes().encode(TEXT * 12))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for step in range(120):
        model.reseed(step)
        states = model(target=ids[:-1], target_lengths=torch.tensor([len(ids) - 1]))
        loss = torch.nn.functional.cross_entropy(model.project(states), ids[1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def settings(**values: object) -> DecodingSettings:
    chosen = DecodingSettings(**values)  # type: ignore[arg-type]
    chosen.check()
    return chosen


def test_a_stream_is_what_is_written(reciter: Transformer) -> None:
    for given in (
        {"max_length": 25},
        {"max_length": 25, "temperature": 1.0, "seed": 4},
        {"max_length": 60},
        {"max_length": 12, "beams": 3},
    ):
        prompt = Bytes().encode("abc d")
        whole = write(reciter, [prompt], settings(**given), Bytes(), context=64)[0][0]
        pieces = list(stream(reciter, prompt, settings(**given), Bytes(), context=64))
        assert "".join(pieces) == whole.text
        assert not any("\ufffd" in piece for piece in pieces[:-1])
        assert len(pieces) > 3 or "beams" in given


def test_beams_are_told_as_soon_as_they_agree(reciter: Transformer) -> None:
    for text, dials in (
        ("abc d", {"max_length": 30}),
        ("abc d", {"max_length": 80}),
        ("b", {"max_length": 30, "stop": ["e\u00e9"]}),
    ):
        prompt, given = Bytes().encode(text), settings(beams=4, **dials)
        whole = write(reciter, [prompt], given, Bytes(), context=48)[0][0]
        pieces = list(stream(reciter, prompt, given, Bytes(), context=48))
        assert "".join(pieces) == whole.text and "\ufffd" not in "".join(pieces[:-1])
        assert "stop" in dials or len(pieces) > 1  # not all at the end


def test_what_is_settled_stands_in_every_later_answer(model: Transformer) -> None:
    early = 0
    for seed in range(4):
        torch.manual_seed(seed)
        other = Transformer(model.config).eval()
        decoding = decoding_of(other, begin=0, end=1)
        decoding.admit({}, settings(beams=5, max_length=25), prefixes=[[]], max_lengths=[25])
        sent: list[list[int]] = []
        while decoding.live:
            sent.append(decoding.groups[0].settled(0))
            decoding.step()
        answer = decoding.answers[0][0].tokens
        assert all(answer[: len(one)] == one for one in sent)
        assert all(later[: len(one)] == one for one, later in pairwise(sent))
        early += len(answer) - 5 > len(sent[-1]) > 0 or len(sent[len(sent) // 2]) > 0
    assert early > 0  # some of it was known before the end


def test_a_common_prefix() -> None:
    assert (
        common_prefix([[1, 2, 3], [1, 2], [1, 2, 5]]) == [1, 2]
        and common_prefix([]) == []
        and common_prefix([[4, 5]]) == [4, 5]
    )
    assert common_prefix([[1, 2], [3]]) == []


def test_greedy_recites_past_its_context(reciter: Transformer) -> None:
    (one,) = write(reciter, [Bytes().encode(TEXT)], settings(max_length=90), Bytes(), context=40)[0]
    assert one.text.startswith(TEXT * 3) and len(one.tokens) == 90 and not one.finished
    assert (
        one.log_probability == pytest.approx(sum(one.token_log_probabilities))
        and len(one.token_log_probabilities) == 90
    )


def test_a_stop_string_across_tokens(reciter: Transformer) -> None:
    given = settings(max_length=50, stop=["e\u00e9", "zzz"])
    (one,) = write(reciter, [Bytes().encode(TEXT)], given, Bytes(), context=64)[0]
    assert one.text == "abc d" and one.finished
    assert "".join(stream(reciter, Bytes().encode(TEXT), given, Bytes(), context=64)) == "abc d"


@pytest.mark.parametrize("context", range(12, 20))
def test_nothing_is_written_past_a_stop_string_that_is_reread(
    reciter: Transformer, context: int
) -> None:
    """Wherever the context is full: the tokens and their scores are those of the text and of the
    stop string's end.
    """
    prompt, given = (
        Bytes().encode("abc d"),
        settings(max_length=60, stop=["fab", "fabc de\u00e9fabc de"]),
    )
    (one,) = write(
        reciter, [prompt], replace(given, stop=["c de\u00e9fabc"]), Bytes(), context=context
    )[0]
    assert one.finished and Bytes().decode(one.tokens) == one.text + "c de\u00e9fabc"
    (one,) = write(reciter, [prompt], given, Bytes(), context=context)[0]
    assert (
        one.finished
        and Bytes().decode(one.tokens) == one.text + "fab"
        and len(one.token_log_probabilities) == len(one.tokens)
    )


@pytest.mark.parametrize("beams", [1, 2])
def test_a_stop_string_in_the_last_step_ends_a_stream_too(reciter: Transformer, beams: int) -> None:
    prompt, given = Bytes().encode(TEXT), settings(max_length=3, beams=beams, stop=["c"])
    pieces, ended = stream(reciter, prompt, given, Bytes(), context=64), None
    while ended is None:
        try:
            next(pieces)
        except StopIteration as end:
            ended = end.value
    (one,) = write(reciter, [prompt], given, Bytes(), context=64)[0]
    assert one.text == "ab" and one.finished and ended is True


@pytest.mark.parametrize("context", [64, 12])
def test_an_answer_cut_inside_a_character_shows_nothing_of_it(
    reciter: Transformer, context: int
) -> None:
    prompt, given = Bytes().encode("abc "), settings(max_length=3)
    (one,) = write(reciter, [prompt], given, Bytes(), context=context)[0]
    assert Bytes().decode(one.tokens) == "de\ufffd" and one.text == "de" and not one.finished
    assert "".join(stream(reciter, prompt, given, Bytes(), context=context)) == "de"


class Spaced(Bytes):
    """Takes off what a text begins with, as SentencePiece does with a space."""

    def decode(self, ids: Sequence[int]) -> str:
        text = super().decode(ids)
        return text[1:] if ids and ids[0] == self.begin_id else text


def test_a_stop_string_is_looked_for_in_the_text_that_is_read(reciter: Transformer) -> None:
    (plain,) = write(reciter, [[0]], settings(max_length=9), Bytes(), context=32)[0]
    given = settings(max_length=9, stop=[plain.text[0]])
    assert plain.text[0] not in plain.text[1:]
    together = write(reciter, [[0], [0, *plain.tokens[:2]]], given, Spaced(), context=32)
    assert (
        together[0][0].text
        == plain.text[1:]
        == "".join(stream(reciter, [0], given, Spaced(), context=32))
    )
    assert (
        not together[0][0].finished
        and together[1] == write(reciter, [[0, *plain.tokens[:2]]], given, Spaced(), context=32)[0]
    )


def test_neighbours_and_length_of_the_prompt_do_not_matter(model: Transformer) -> None:
    prompts = [Bytes().encode(text) for text in ("a", "hello there", "xyz", "")]
    given = settings(max_length=12, temperature=0.8, seed=9)
    together = write(model, prompts, given, Bytes(), context=64)
    for index, prompt in enumerate(prompts):
        assert (
            write(model, [prompt], given, Bytes(), context=64, indices=[index])[0][0].tokens
            == together[index][0].tokens
        )


def test_a_long_prompt_loses_its_beginning_and_says_so(model: Transformer) -> None:
    prompt = Bytes().encode("x" * 100)
    (one,) = write(model, [prompt], settings(max_length=10), Bytes(), context=40)[0]
    assert one.unread == 101 - 30 and len(one.tokens) <= 10
    assert (
        fitting(prompt, 10, 40) == prompt[-30:]
        and fitting(prompt, 200, 40) == prompt[-20:]
        and fitting([0, 5], 10, 40) == [0, 5]
    )


def test_the_most_probable_of_several_draws(model: Transformer) -> None:
    several = write(
        model,
        [[0]],
        settings(max_length=8, temperature=1.0, samples=8, n_best=8),
        Bytes(),
        context=32,
    )[0]
    (best,) = write(
        model, [[0]], settings(max_length=8, temperature=1.0, samples=8), Bytes(), context=32
    )[0]
    assert len(several) == 8 and best.tokens == several[0].tokens
    assert best.score == max(one.score for one in several)


def test_several_draws_part_ways_past_the_context(model: Transformer) -> None:
    given = settings(max_length=40, min_length=40, temperature=3.0, n_best=4)
    several = write(model, [[0, 70, 71]], given, Bytes(), context=16)[0]
    beyond = [tuple(one.tokens[20:]) for one in several]  # the context was full after 14
    for place in range(20):
        assert len({tokens[place] for tokens in beyond}) > 1
    ranked = replace(given, n_best=1, samples=4)
    (best,) = write(model, [[0, 70, 71]], ranked, Bytes(), context=16)[0]
    assert "".join(stream(model, [0, 70, 71], ranked, Bytes(), context=16)) == best.text


def test_of_more_draws_than_are_kept_no_two_are_alike(reciter: Transformer) -> None:
    prompt = [0, *Bytes().encode(TEXT)[:3]]
    given: dict[str, Any] = {"max_length": 2, "temperature": 1.5, "samples": 24}
    every = write(reciter, [prompt], settings(**given, n_best=24), Bytes(), context=32)[0]
    kept = write(reciter, [prompt], settings(**given, n_best=23), Bytes(), context=32)[0]
    different = list(dict.fromkeys(tuple(one.tokens) for one in every))
    assert len(every) == 24 > len(different) > 1
    assert [tuple(one.tokens) for one in kept] == different


def test_repetition_costs(reciter: Transformer) -> None:
    prompt = Bytes().encode(TEXT)
    plain = write(reciter, [prompt], settings(max_length=20), Bytes(), context=64)[0][0]
    varied = write(
        reciter, [prompt], settings(max_length=20, repetition_penalty=100.0), Bytes(), context=64
    )[0][0]
    assert len(set(varied.tokens)) > len(set(plain.tokens))
    assert varied.log_probability < plain.log_probability  # told by the model's own distribution


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_repeats_no_run_of_its_own_but_may_repeat_the_prompt(
    reciter: Transformer, beams: int
) -> None:
    prompt, given = (
        Bytes().encode(TEXT * 2),
        settings(max_length=24, beams=beams, no_repeat_ngram_size=3),
    )
    own = write(reciter, [prompt], given, Bytes(), context=64)[0][0]
    runs = [tuple(own.tokens[place : place + 3]) for place in range(len(own.tokens) - 2)]
    assert len(set(runs)) == len(runs) and own.text.startswith(TEXT)  # which the prompt says twice
    assert "".join(stream(reciter, prompt, given, Bytes(), context=64)) == own.text


@pytest.mark.parametrize("dials", [{}, {"beams": 3}, {"temperature": 1.0}])
def test_an_answer_repeats_no_run_of_what_is_no_longer_read(
    reciter: Transformer, dials: dict[str, Any]
) -> None:
    prompt, given = (
        Bytes().encode(TEXT),
        settings(max_length=90, min_length=90, no_repeat_ngram_size=3, **dials),
    )
    own = write(reciter, [prompt], given, Bytes(), context=24)[0][0]
    runs = [tuple(own.tokens[place : place + 3]) for place in range(len(own.tokens) - 2)]
    assert len(own.tokens) == 90 and len(set(runs)) == len(runs)
    assert "".join(stream(reciter, prompt, given, Bytes(), context=24)) == own.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": 3},
        {"samples": 0},
        {"repetition_penalty": 0},
        {"stop": [""]},
        {"repetition_penalty": 2.0, "beams": 2},
        {"stop": "User:"},
        {"stop": [1]},
        {"beams": 1.5},
        {"beams": True},
        {"max_length": "9"},
        {"temperature": "hot"},
        {"scores": 0},
    ],
)
def test_dials_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="decoding"):
        DecodingSettings(**wrong).check()
    DecodingSettings(stop=["User:"], beams=np.int64(2), length_penalty=np.float32(0.5)).check()  # type: ignore[arg-type]


class Leaning:
    """A model that is so much more inclined to end."""

    def __init__(self, model: Transformer, amount: float) -> None:
        self.model, self.amount = model, amount

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def step(self, tokens: torch.Tensor, state: object) -> tuple[torch.Tensor, object]:
        logits, state = self.model.step(tokens, state)  # type: ignore[arg-type]
        logits[..., 1] += self.amount
        return logits, state


@pytest.mark.parametrize(
    "dials", [{"temperature": 1.0, "samples": 12, "n_best": 12}, {"beams": 6, "n_best": 6}]
)
def test_a_prompt_has_no_part_in_the_ranking(dials: dict) -> None:
    torch.manual_seed(5)
    stack = StackConfig(
        layers=1, width=32, heads=4, inner_width=64, norm_placement="pre", positions="rotary"
    )
    ends = Leaning(Transformer(ModelConfig(decoder=stack, vocabulary_size=258)).eval(), 3.0)
    prompt = Bytes().encode("a prompt that costs much: 0x7f zq")
    several = write(ends, [prompt], settings(max_length=12, **dials), Bytes(), context=64)[0]
    assert len({len(one.tokens) for one in several}) > 1
    for one in several:
        assert one.score == pytest.approx(
            one.log_probability / len(one.token_log_probabilities), abs=1e-5
        )
    ranks = [(not one.finished, -one.score) for one in several]
    assert ranks == sorted(ranks)
    (best,) = write(
        ends, [prompt], settings(max_length=12, **dials | {"n_best": 1}), Bytes(), context=64
    )[0]
    assert best.tokens == several[0].tokens


@pytest.mark.parametrize("dials", [{}, {"beams": 3}, {"temperature": 1.0}])
def test_the_least_length_is_that_of_what_is_written(model: Transformer, dials: dict) -> None:
    eager, prompt = Leaning(model, 50.0), Bytes().encode("a prompt of some length")
    (one,) = write(
        eager, [prompt], settings(max_length=9, min_length=5, **dials), Bytes(), context=64
    )[0]
    assert one.finished and len(one.tokens) == 5
    (past,) = write(
        eager, [prompt], settings(max_length=60, min_length=45, **dials), Bytes(), context=40
    )[0]
    assert past.finished and len(past.tokens) == 45
    sent = "".join(
        stream(eager, prompt, settings(max_length=9, min_length=5, **dials), Bytes(), context=64)
    )
    assert sent == one.text


def test_an_answer_of_many_contexts(model: Transformer) -> None:
    (one,) = write(
        model, [[0, 70]], settings(max_length=1500, min_length=1500), Bytes(), context=4
    )[0]
    assert len(one.tokens) == 1500


@pytest.mark.parametrize("filters", [{}, {"top_k": 2}, {"top_p": 0.9}, {"min_p": 0.1}])
@pytest.mark.parametrize("temperature", [1e-6, 1e-38, 1e-300])
def test_a_very_small_temperature_draws_the_most_probable(
    temperature: float, filters: dict[str, float]
) -> None:
    settings = DecodingSettings(temperature=temperature, **filters)  # type: ignore[arg-type]
    logits = torch.tensor([[30.0, 29.0, -50.0, float("-inf")], [-3.0, 5.0, 4.0, 0.0]])
    assert draw(logits, settings, np.array([0.999, 0.001])).tolist() == [0, 1]
    assert distribution(logits, settings).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_a_full_context_among_many_that_go_on(positions: Any) -> None:
    """A finished row that is computed on neither writes nor reads past the end."""
    torch.manual_seed(3)
    dials: dict[str, Any] = {"max_positions": 24} if positions == "learned" else {}
    stack = StackConfig(
        layers=1, width=16, heads=2, inner_width=16, norm_placement="pre", positions=positions,
        **dials,
    )  # fmt: skip
    model = Transformer(ModelConfig(decoder=stack, vocabulary_size=258)).eval()
    given = settings(max_length=24, min_length=23)
    prompts = [[0, *[90] * (11 if number == 0 else 3)] for number in range(14)]
    together = write(model, prompts, given, Bytes(), context=24)
    for prompt, several in zip(prompts, together, strict=True):
        ((alone, *_),) = write(model, [prompt], given, Bytes(), context=24)
        assert several[0].tokens == alone.tokens
