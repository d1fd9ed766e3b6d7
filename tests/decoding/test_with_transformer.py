"""Search with the real networks: the cache changes nothing, neighbours change nothing, scores are
those of forced scoring.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from triptych.decoding.generate import force, search
from triptych.decoding.hypothesis import Hypothesis
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.steps import Decoding
from triptych.errors import UsageError
from triptych.model.build import build
from triptych.model.config import ModelConfig, RecurrentConfig, StackConfig

BEGIN, END, VOCABULARY = 0, 1, 1100  # large enough for the search by blocks
SMALL: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "inner_width": 64}
MODELS = ["2017", "llama", "learned", "rnn", "rnn-no-attention"]


def make(name: str, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    if name.startswith("rnn"):
        sizes = {"embedding_width": 24, "width": 32, "attention_width": 16, "readout_width": 24}
        model: Any = build(
            RecurrentConfig(**sizes, attention=name == "rnn", vocabulary_size=VOCABULARY)
        )
    else:
        dials = {
            "2017": {},
            "learned": {"positions": "learned", "max_positions": 24, "norm_placement": "pre"},
            "llama": {
                "norm_placement": "pre",
                "norm": "rms",
                "positions": "rotary",
                "key_heads": 2,
                "bias": False,
            },
        }[name]
        stack = StackConfig(**{**SMALL, **dials})
        model = build(
            ModelConfig(encoder=stack, decoder=stack, vocabulary_size=VOCABULARY, output_bias=True)
        )
        with torch.no_grad():
            model.output_bias[END] = 2.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


def batch(count: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    lengths = torch.randint(1, 9, (count,), generator=generator)
    return {
        "source": torch.randint(2, VOCABULARY, (int(lengths.sum()),), generator=generator),
        "source_lengths": lengths,
    }


def one(inputs: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    lengths = inputs["source_lengths"]
    return {
        "source": inputs["source"].split(lengths.tolist())[row],
        "source_lengths": lengths[row : row + 1],
    }


def run(model: Any, inputs: dict[str, torch.Tensor], **options: Any) -> list[list[Hypothesis]]:
    given = {
        key: options.pop(key) for key in ("prefixes", "indices", "max_lengths") if key in options
    }
    return search(
        model,
        inputs,
        DecodingSettings(**{"max_length": 12, **options}),
        begin=BEGIN,
        end=END,
        **given,
    )


def with_end(answer: Hypothesis) -> list[int]:
    return [*answer.tokens, END] if answer.finished else answer.tokens


def forced(
    model: Any, inputs: dict[str, torch.Tensor], answers: list[list[int]]
) -> list[list[float]]:
    fed = {
        "target": torch.tensor([t for a in answers for t in [BEGIN, *a[:-1]]]),
        "target_lengths": torch.tensor([len(a) for a in answers]),
    }
    return force(model, {**inputs, **fed}, torch.tensor([t for a in answers for t in a]))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "options", [{}, {"beams": 3, "n_best": 3}, {"temperature": 1.0, "top_k": 50}]
)
def test_scores_are_those_of_forced_scoring(name: str, options: dict[str, Any]) -> None:
    model, inputs = make(name), batch()
    found = run(model, inputs, **options)
    for rank in range(options.get("n_best", 1)):
        answers = [part[rank] for part in found]
        for answer, each in zip(
            answers, forced(model, inputs, [with_end(a) for a in answers]), strict=True
        ):
            assert answer.token_log_probabilities == pytest.approx(each, abs=2e-4)
            assert answer.log_probability == pytest.approx(sum(each), abs=5e-4)


@pytest.mark.parametrize("name", MODELS)
def test_cached_greedy_is_greedy_without_a_cache(name: str) -> None:
    model, inputs = make(name), batch(3)
    for row, (answer,) in enumerate(run(model, inputs)):
        written: list[int] = []
        alone = one(inputs, row)
        while len(written) < 12 and END not in written:
            fed = {
                "target": torch.tensor([BEGIN, *written]),
                "target_lengths": torch.tensor([len(written) + 1]),
            }
            with torch.inference_mode():
                written.append(int(model.project(model(**alone, **fed))[-1].argmax()))
        assert with_end(answer) == written


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "options", [{}, {"beams": 4, "n_best": 2}, {"temperature": 0.7, "n_best": 2}]
)
def test_alone_is_as_in_a_batch(name: str, options: dict[str, Any]) -> None:
    model, inputs = make(name), batch(8)
    prefixes = [[], [5, 6, 7], [9], [], [4, 4], [], [8], []]
    together = run(model, inputs, prefixes=prefixes, indices=range(10, 18), **options)
    for row in range(8):
        alone = run(
            model, one(inputs, row), prefixes=[prefixes[row]], indices=[10 + row], **options
        )[0]
        assert [a.tokens for a in alone] == [a.tokens for a in together[row]]
        for a, b in zip(alone, together[row], strict=True):
            assert a.tokens[: len(prefixes[row])] == prefixes[row]
            assert a.token_log_probabilities == pytest.approx(b.token_log_probabilities, abs=2e-4)


@pytest.mark.parametrize("name", ["2017", "rnn"])
def test_joining_late_changes_nothing(name: str) -> None:
    model, inputs = make(name), batch(4)
    decoding = Decoding(model, begin=BEGIN, end=END)
    choices = [
        DecodingSettings(max_length=9),
        DecodingSettings(max_length=9, beams=3),
        DecodingSettings(max_length=9, temperature=1.0),
    ]
    for row in range(4):
        decoding.admit(one(inputs, row), choices[row % 3], indices=[row])
        decoding.step()
        decoding.step()
    while decoding.live:
        decoding.step()
    for row in range(4):
        alone = search(
            model, one(inputs, row), choices[row % 3], begin=BEGIN, end=END, indices=[row]
        )[0]
        assert [a.tokens for a in alone] == [a.tokens for a in decoding.answers[row]]


def test_a_model_that_only_writes_goes_on_from_its_prefix() -> None:
    torch.manual_seed(2)
    model = build(ModelConfig(decoder=StackConfig(**SMALL), vocabulary_size=VOCABULARY)).eval()
    choices: list[dict[str, Any]] = [{}, {"beams": 3}]
    for options in choices:
        settings = DecodingSettings(max_length=10, **options)
        found = search(model, {}, settings, begin=BEGIN, end=END, prefixes=[[3, 4, 5], [7]])
        for prefix, (answer, *_) in zip([[3, 4, 5], [7]], found, strict=True):
            assert answer.tokens[: len(prefix)] == prefix and len(with_end(answer)) <= 10
            fed = {
                "target": torch.tensor([BEGIN, *with_end(answer)[:-1]]),
                "target_lengths": torch.tensor([len(with_end(answer))]),
            }
            assert force(model, fed, torch.tensor(with_end(answer)))[0] == pytest.approx(
                answer.token_log_probabilities, abs=1e-4
            )


def test_learned_positions_end_the_answer() -> None:
    model = make("learned")
    with torch.no_grad():
        model.output_bias[END] = -100.0
    answer = run(model, batch(2), max_length=100)[0][0]
    assert len(answer.tokens) == 24 and not answer.finished
    with pytest.raises(UsageError, match="24 positions"):
        run(model, batch(1), prefixes=[[3] * 24])


def test_bf16_is_near() -> None:
    model, inputs = make("2017"), batch(4)
    model.precision = torch.bfloat16
    low = [part[0] for part in run(model, inputs, beams=2)]
    model.precision = torch.float32
    for answer, each in zip(low, forced(model, inputs, [with_end(a) for a in low]), strict=True):
        assert answer.token_log_probabilities == pytest.approx(each, abs=0.3)
