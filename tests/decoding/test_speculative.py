"""Drafts change no greedy answer and no distribution, whatever they propose; a state after
rejections is that of plain decoding.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from continuing import stream, write
from scipy.stats import chisquare
from test_writing import TEXT, Bytes, model, reciter, settings
from toy_model import BEGIN, END, ToyState

from triptych.decoding import speculative
from triptych.decoding.drafts import Drafted, ModelDraft, NgramDraft, lookup
from triptych.decoding.generate import search
from triptych.decoding.policies.distribution import distribution, draw
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.model.cache import TransformerState
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer

__all__ = ["model", "reciter"]  # fixtures


class Chain(torch.nn.Module):
    """A model that only writes: the next token depends on the last two, by a table of logits."""

    def __init__(self, seed: int, spread: float = 1.0, vocabulary: int = 5) -> None:
        super().__init__()
        table = (
            torch.randn(
                vocabulary, vocabulary, vocabulary, generator=torch.Generator().manual_seed(seed)
            )
            * spread
        )
        self.table = torch.nn.Parameter(table, requires_grad=False)

    def encode(self, inputs: dict[str, torch.Tensor]) -> Any:
        raise AssertionError("it reads no source")

    def start(self, memory: object, rows: Any) -> ToyState:
        zeros = torch.zeros(rows, dtype=torch.int64)
        return ToyState(zeros, torch.zeros(rows, 0, dtype=torch.int64), zeros)

    def step(self, tokens: torch.Tensor, state: ToyState) -> tuple[torch.Tensor, ToyState]:
        steps, most = tokens.shape[1], int(state.lengths.max()) + tokens.shape[1]
        past = torch.nn.functional.pad(state.past, (0, max(0, most - state.past.shape[1])))
        places = state.lengths[:, None] + torch.arange(steps)
        past = past.scatter(1, places, tokens)
        before = past.gather(1, (places - 1).clamp_min(0)) * (places > 0)
        return self.table[before, tokens].clone(), ToyState(
            state.sources, past, state.lengths + steps
        )


def toy_decoder(
    seed: int, layers: int = 1, positions: str = "rotary", room: int = 64
) -> Transformer:
    torch.manual_seed(seed)
    stack = StackConfig(
        layers=layers,
        width=32,
        heads=4,
        inner_width=64,
        norm_placement="pre",
        positions=positions,  # type: ignore[arg-type]
        max_positions=room,
    )
    return Transformer(ModelConfig(decoder=stack, vocabulary_size=258)).eval()


def drafts(reciter: Transformer) -> dict[str, Any]:
    return {
        "itself": ModelDraft(reciter),
        "random": ModelDraft(toy_decoder(11)),
        "ngram": NgramDraft(),
        "short": ModelDraft(toy_decoder(12, positions="learned", room=24)),
    }


PROMPTS = ["abc d", "", "hello there", TEXT]


@pytest.mark.parametrize("which", ["itself", "random", "ngram", "short"])
def test_greedy_text_is_the_same(reciter: Transformer, which: str) -> None:
    given = settings(max_length=40, draft_tokens=3)
    prompts = [Bytes().encode(text) for text in PROMPTS]
    plain = write(reciter, prompts, given, Bytes(), context=64)
    drafted = Drafted(reciter, drafts(reciter)[which])
    for found in (
        write(drafted, prompts, given, Bytes(), context=64),
        [write(drafted, [prompt], given, Bytes(), context=64)[0] for prompt in prompts],
    ):
        for (one,), (other,) in zip(plain, found, strict=True):
            assert (
                other.tokens == one.tokens
                and other.finished == one.finished
                and other.text == one.text
            )
            assert other.token_log_probabilities == pytest.approx(
                one.token_log_probabilities, abs=1e-4
            )
    tally = drafted.tally
    assert tally.steps > 0 and (
        tally.rate == 1.0 if which == "itself" else tally.rate < 1.0 or which == "ngram"
    )
    if which == "ngram":  # a text that repeats itself
        assert tally.rate > 0.5 and "% of them accepted" in str(tally)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
@pytest.mark.parametrize(
    "dials",
    [{}, {"min_length": 12}, {"repetition_penalty": 1.5}, {"scores": False}, {"draft_tokens": 7}],
)
def test_greedy_is_the_same_over_seeds(seed: int, dials: dict[str, Any]) -> None:
    target = toy_decoder(seed, 2)
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.mul_(1.6)
    noisy = toy_decoder(seed, 2)
    noisy.load_state_dict(
        {
            name: value + 0.04 * torch.randn_like(value)
            for name, value in target.state_dict().items()
        }
    )
    prompts = [[BEGIN], [BEGIN, 5, 6, 7, 8, 5, 6], [BEGIN, 9]]
    given = settings(max_length=20, **dials)
    plain = write(target, prompts, given, Bytes(), context=64)
    for draft in (ModelDraft(noisy), NgramDraft()):
        drafted = Drafted(target, draft)
        found = write(drafted, prompts, given, Bytes(), context=64)
        for (one,), (other,) in zip(plain, found, strict=True):
            assert other.tokens == one.tokens
            assert other.token_log_probabilities == pytest.approx(
                one.token_log_probabilities, abs=1e-4
            )
    assert isinstance(drafted.draft, NgramDraft)


def test_an_end_inside_a_draft_and_a_last_place() -> None:
    toy = Chain(3, 3.0)
    ends = []
    for longest in range(1, 9):
        given = DecodingSettings(max_length=longest, draft_tokens=4)
        prefixes: list[list[int]] = [[], [2], [3, 2], [4, 4, 4]]
        lengths = [longest, longest + 1, longest + 2, longest + 3]
        plain = search(toy, {}, given, begin=BEGIN, end=END, prefixes=prefixes, max_lengths=lengths)
        for draft in (toy, Chain(4, 3.0)):
            found = search(
                Drafted(toy, ModelDraft(draft)),
                {},
                given,
                begin=BEGIN,
                end=END,
                prefixes=prefixes,
                max_lengths=lengths,
            )
            assert [(a.tokens, a.finished) for (a,) in found] == [
                (a.tokens, a.finished) for (a,) in plain
            ]
        ends += [a.finished for (a,) in plain]
    assert {*ends} == {True, False}


def test_a_stop_string_inside_a_draft(reciter: Transformer) -> None:
    given = settings(max_length=50, stop=["e\u00e9", "zzz"], draft_tokens=6)
    for draft in drafts(reciter).values():
        (one,) = write(Drafted(reciter, draft), [Bytes().encode(TEXT)], given, Bytes(), context=64)[
            0
        ]
        assert one.text == "abc d" and one.finished
        assert (
            "".join(
                stream(Drafted(reciter, draft), Bytes().encode(TEXT), given, Bytes(), context=64)
            )
            == "abc d"
        )


def test_a_drafted_stream_is_what_is_written(reciter: Transformer) -> None:
    for dials in ({"max_length": 60}, {"max_length": 60, "temperature": 0.8, "top_k": 5}):
        drafted, prompt = Drafted(reciter, NgramDraft()), Bytes().encode("abc d")
        pieces = list(stream(drafted, prompt, settings(**dials), Bytes(), context=40))
        assert (
            "".join(pieces)
            == write(drafted, [prompt], settings(**dials), Bytes(), context=40)[0][0].text
            and len(pieces) > 3
        )


def test_the_state_after_rejections_is_that_of_plain_decoding() -> None:
    target = toy_decoder(5, 2)
    one = speculative.Speculation(Drafted(target, ModelDraft(toy_decoder(6))), begin=BEGIN, end=END)
    given = DecodingSettings(max_length=30, min_length=30)
    one.admit({}, given, prefixes=[[], [5, 6, 7], [8]], max_lengths=[30, 30, 30])
    for _ in range(2):
        one.step()
    group, state = one.groups[0], one.inner.state
    assert isinstance(state, TransformerState)
    assert one.drafted.tally.rate < 0.9 and group.count == 3
    next_tokens = torch.tensor([[20], [21], [22]])
    with torch.inference_mode():
        got, _ = target.step(next_tokens, state)
    for row in range(3):
        # the last one is not read yet
        written = group.tokens[row, : int(group.written[row]) - 1].tolist()
        assert int(state.lengths[row]) == len(written) + 2
        want, _ = target.step(
            torch.tensor([[BEGIN, *written, int(next_tokens[row])]]), target.start(None, 1)
        )
        torch.testing.assert_close(got[row, 0], want[0, -1], atol=1e-5, rtol=0)


def test_state_writes_over_what_was_taken_back() -> None:
    target = toy_decoder(7)
    _, state = target.step(torch.tensor([[0, 5, 6, 7]]), target.start(None, 1))
    keys = state.pool.keys[0].data_ptr()
    state = state.truncate(torch.tensor([2]), alone=True)
    assert state.used == state.pool.used == 2
    target.step(torch.tensor([[8, 9]]), state)
    assert state.pool.keys[0].data_ptr() == keys and state.pool.used == 4


SPOKEN = 2  # what every toy says after PREFIX: the first token is drawn without a draft
PREFIX = [3, 2, 4, 3, 2, 4, 3]


def exact_pairs(target: Chain, given: DecodingSettings) -> dict[tuple[int, ...], float]:
    """The chance of every continuation by two tokens."""
    table = distribution(target.table.flatten(0, 1), given).view_as(target.table)
    found: dict[tuple[int, ...], float] = {}
    for a, chance in enumerate(table[PREFIX[-1], SPOKEN].tolist()):
        pairs = (
            {(a,): chance}
            if a == END
            else {(a, b): chance * each for b, each in enumerate(table[SPOKEN, a].tolist())}
        )
        found |= pairs
    return found


def drawn_pairs(target: Chain, draft: Any, given: DecodingSettings, count: int) -> Counter:
    answers = search(
        Drafted(target, draft),
        {},
        given,
        begin=BEGIN,
        end=END,
        prefixes=[PREFIX] * count,
        max_lengths=[len(PREFIX) + 3] * count,
    )
    assert all(one.tokens[len(PREFIX)] == SPOKEN for (one,) in answers)
    return Counter(
        (*one.tokens[len(PREFIX) + 1 :], *([END] if one.finished else [])) for (one,) in answers
    )


def chance_of(found: Counter, exact: dict[tuple[int, ...], float]) -> float:
    """How probable counts this far from `exact` are (chi-square); continuations expected fewer than
    5 times count as one.
    """
    total = sum(found.values())
    common = [key for key, chance in exact.items() if chance * total >= 5]
    pairs = [(found[key], exact[key] * total) for key in common]
    pairs.append(
        (
            total - sum(seen for seen, _ in pairs),
            max(1e-9, total - sum(wanted for _, wanted in pairs)),
        )
    )
    seen, wanted = zip(*(pair for pair in pairs if pair[1] > 1e-3 or pair[0]), strict=True)
    return float(chisquare(seen, np.array(wanted) * total / sum(wanted)).pvalue)


@pytest.mark.parametrize("which", ["model", "ngram"])
@pytest.mark.parametrize(
    "dials",
    [
        {"temperature": 1.0},
        pytest.param({"temperature": 0.7, "top_k": 3}, marks=pytest.mark.slow),
        {"temperature": 1.2, "top_p": 0.9, "min_p": 0.1},
    ],
)
def test_draws_have_the_distribution_of_the_model(
    dials: dict[str, Any], which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, other = Chain(1), Chain(2)
    target.table[PREFIX[-2], PREFIX[-1], SPOKEN] = 50.0
    target.table[PREFIX[-1], SPOKEN, 4] = 0.3  # what n-grams propose: neither sure nor rare
    draft = ModelDraft(other) if which == "model" else NgramDraft()
    given = [DecodingSettings(draft_tokens=2, seed=seed, **dials) for seed in range(1, 5)]
    exact = exact_pairs(target, given[0])
    found = sum((drawn_pairs(target, draft, one, 1000) for one in given), Counter())
    assert all(exact.get(key, 0.0) > 0 for key in found)
    assert chance_of(found, exact) > 1e-4
    monkeypatch.setattr(speculative, "_left_over", lambda p, *_: p)  # the correction left out
    wrong = sum((drawn_pairs(target, draft, one, 1000) for one in given), Counter())
    assert chance_of(wrong, exact) < 1e-4


def test_a_distribution_is_what_is_drawn_from() -> None:
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(1)) * 2
    grid = (np.arange(20_000) + 0.5) / 20_000
    several: list[dict[str, Any]] = [
        {},
        {"top_k": 7},
        {"top_p": 0.7},
        {"min_p": 0.1},
        {"top_k": 9, "top_p": 0.6, "min_p": 0.05},
    ]
    for dials in several:
        given = DecodingSettings(temperature=0.9, **dials)
        for row in logits:
            drawn = draw(row.expand(len(grid), -1), given, grid)
            found = torch.bincount(drawn, minlength=40) / len(grid)
            torch.testing.assert_close(found, distribution(row[None], given)[0], atol=2e-4, rtol=0)


def test_draws_depend_on_no_neighbour_and_serve_several_samples(reciter: Transformer) -> None:
    given = settings(max_length=12, temperature=2.0, seed=9, samples=4, n_best=4, draft_tokens=3)
    drafted = Drafted(reciter, ModelDraft(toy_decoder(8)))
    prompts = [Bytes().encode(text) for text in ("abc", "hello", "xyz d")]
    together = write(drafted, prompts, given, Bytes(), context=64)
    for index, prompt in enumerate(prompts):
        alone = write(drafted, [prompt], given, Bytes(), context=64, indices=[index])[0]
        assert [one.tokens for one in alone] == [one.tokens for one in together[index]]
        assert len({tuple(one.tokens) for one in alone}) > 1


def test_a_model_with_few_positions_is_drafted_to_its_last(reciter: Transformer) -> None:
    target = toy_decoder(13, 2, "learned", 24)
    prompts = [[BEGIN], [BEGIN, *range(5, 20)], [BEGIN, 7, 8]]
    given = settings(max_length=24, min_length=1, draft_tokens=5)
    plain = write(target, prompts, given, Bytes(), context=24)
    for draft in (
        ModelDraft(target),
        ModelDraft(toy_decoder(14, positions="learned", room=16)),
        NgramDraft(),
    ):
        found = write(Drafted(target, draft), prompts, given, Bytes(), context=24)
        assert [one.tokens for (one,) in found] == [one.tokens for (one,) in plain]


def test_an_encoder_decoder_model_is_drafted_too() -> None:
    from test_with_transformer import END as STOP
    from test_with_transformer import batch, make

    for name in ("llama", "rnn"):
        model, given, inputs = make(name), DecodingSettings(max_length=12, draft_tokens=3), batch()
        plain = search(model, inputs, given, begin=0, end=STOP)
        for draft in (
            NgramDraft(sources=True),
            ModelDraft(make("llama", 2)),
            ModelDraft(make("2017")),
        ):
            found = search(Drafted(model, draft), inputs, given, begin=0, end=STOP)
            assert [one.tokens for (one,) in found] == [one.tokens for (one,) in plain]


def test_lookup_finds_the_longest_and_last_place() -> None:
    assert lookup("abcXabcYab", 3) == [ord(one) for one in "cYa"]  # of two places of "ab" the later
    assert lookup("qabcXzabcYqabc", 2) == [ord("X"), ord("z")]  # "qabc" rather than the later "abc"
    assert lookup("xyababab", 5) == [ord(one) for one in "ababa"]
    assert (
        lookup("abcdef", 4) == []
        and lookup("abab", 0) == []
        and lookup("", 3) == []
        and lookup("a", 3) == []
    )


def test_beams_take_no_draft() -> None:
    with pytest.raises(UsageError, match="give --decoding.beams 1, or no draft"):
        search(
            Drafted(Chain(1), NgramDraft()),
            {},
            DecodingSettings(beams=2, max_length=4),
            begin=BEGIN,
            end=END,
            prefixes=[[]],
        )


@pytest.mark.parametrize("dials", [{"compile": True}, {"no_repeat_ngram_size": 3}])
def test_what_takes_no_draft(dials: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="give --decoding.*, or no draft"):
        search(
            Drafted(Chain(1), NgramDraft()),
            {},
            DecodingSettings(**dials, max_length=4),
            begin=BEGIN,
            end=END,
            prefixes=[[]],
        )
