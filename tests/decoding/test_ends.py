"""Several tokens end an answer: every one of them, however the answer is looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from continuing import stream, write
from toy_model import BEGIN, END, Toy, inputs

from triptych.decoding.drafts import Drafted, NgramDraft
from triptych.decoding.generate import search
from triptych.decoding.hypothesis import Hypothesis
from triptych.decoding.policies.choose import LogitsView
from triptych.decoding.settings import DecodingSettings
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer

SETTINGS = DecodingSettings(max_length=30)
WAYS = [
    {},
    {"beams": 3},
    {"temperature": 1.0, "seed": 4},
    {"temperature": 1.0, "top_k": 5},
    {"compile": False, "min_length": 3},
]


def run(ends: int | Sequence[int], **dials: object) -> list[Hypothesis]:
    found = search(
        Toy(vocabulary=12, seed=2),
        inputs([0, 1, 2, 3]),
        replace(SETTINGS, **dials),
        begin=BEGIN,
        end=ends,
    )
    return [one[0] for one in found]


@pytest.mark.parametrize("dials", WAYS)
def test_each_of_them_ends_an_answer(dials: dict[str, object]) -> None:
    ends = (END, 4, 7)
    several, single = run(ends, **dials), run(END, **dials)
    least = int(dials.get("min_length", 0))  # type: ignore[call-overload]
    assert all(not set(one.tokens) & set(ends) for one in several) and any(
        one.finished for one in several
    )
    assert all(len(one.tokens) >= least for one in several if one.finished)
    if "beams" not in dials and not least:  # the same answer, up to the first end of any kind
        for here, there in zip(several, single, strict=True):
            places = [place for place, token in enumerate(there.tokens) if token in ends]
            assert here.tokens == there.tokens[: places[0] if places else None]
            assert len(here.token_log_probabilities) == len(here.tokens) + here.finished
        assert any(
            len(here.tokens) < len(there.tokens)
            for here, there in zip(several, single, strict=True)
        )


def test_beams_never_run_dry_where_many_tokens_end() -> None:
    ends = (END, *range(3, 11))  # two of twelve tokens go on
    for one in run(ends, beams=4, n_best=1, min_length=5):
        assert len(one.tokens) >= 5 and not set(one.tokens) & set(ends)


def test_of_the_best_tokens_of_beams_those_that_end_are_left_room() -> None:
    """Greedy and one beam of the widest kind agree with the best of all continuations that are
    ranked.
    """
    (greedy,), (wide,) = (
        [one] for one in (run((END, 4))[0], run((END, 4), beams=12, length_penalty=0.0)[0])
    )
    assert wide.log_probability >= greedy.log_probability - 1e-5


class Numbers:
    begin_id, end_ids = 0, (1, 5)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(f" {number}" for number in ids if number > 1)


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(8)
    stack = StackConfig(
        layers=1, width=16, heads=2, inner_width=16, norm_placement="pre", positions="rotary"
    )
    return Transformer(ModelConfig(decoder=stack, vocabulary_size=9, tied_embeddings=False)).eval()


@pytest.mark.parametrize("dials", [{}, {"temperature": 1.0}, {"temperature": 1.0, "min_length": 2}])
def test_streams_and_drafts_end_there_too(model: Transformer, dials: dict[str, float]) -> None:
    settings, prompts = replace(SETTINGS, **dials), [[0, 3, 4, 3, 4, 3], [0], [6, 7, 6, 7]]
    texts = []
    for prompt in prompts:
        ((plain,),) = write(model, [prompt], settings, Numbers(), context=40)
        ((drafted,),) = write(
            Drafted(model, NgramDraft()), [prompt], settings, Numbers(), context=40
        )
        for one in (plain, drafted):
            assert not {1, 5} & set(one.tokens) and (one.finished or len(one.tokens) == 30)
        if not dials:
            assert drafted.tokens == plain.tokens
            assert "".join(stream(model, prompt, settings, Numbers(), context=40)) == plain.text
        texts.append(plain.tokens)
    together = write(model, prompts, settings, Numbers(), context=40, indices=[0, 0, 0])
    # prompts that begin with different tokens are one batch
    assert [several[0].tokens for several in together] == texts


def test_one_token_that_is_no_begin_is_a_prompt(model: Transformer) -> None:
    """What is written after the text " 6" does not begin anew with it."""
    ((one,),) = write(model, [[6]], SETTINGS, Numbers(), context=40)
    assert one.text == Numbers().decode(one.tokens)


def test_where_only_ends_are_left_a_repetition_may_come() -> None:
    view = LogitsView(torch.zeros(2, 4))
    view.forbid_each(torch.tensor([0, 0, 1]), torch.tensor([0, 2, 0]), ends=2)
    assert view.logits[0].tolist() == [0.0] * 4 and view.logits[1].tolist() == [
        float("-inf"),
        0.0,
        0.0,
        0.0,
    ]
