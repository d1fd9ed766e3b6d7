"""The RNN encoder-decoder: the fast loops equal their plain references, lengths never leak,
stepping equals the whole.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from triptych.decoding.generate import search
from triptych.decoding.settings import DecodingSettings
from triptych.errors import UsageError
from triptych.model.build import build
from triptych.model.config import RecurrentConfig
from triptych.model.layout import PackedLayout
from triptych.model.rnn.recurrence import (
    TimeMajor,
    attend_recur,
    plain_attend_recur,
    plain_recur,
    recur,
    take,
)
from triptych.model.rnn.recurrent import RecurrentTranslator

LENGTHS = torch.tensor([4, 1, 6, 4])


def tiny(attention: bool = True, **options: object) -> RecurrentTranslator:
    torch.manual_seed(5)
    sizes = {
        "embedding_width": 12,
        "width": 10,
        "attention_width": 9,
        "readout_width": 7,
        "vocabulary_size": 30,
    }
    model = build(RecurrentConfig(attention=attention, **{**sizes, **options}))  # type: ignore[arg-type]
    assert isinstance(model, RecurrentTranslator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


def batch(
    source_lengths: tuple[int, ...] = (5, 2, 7), target_lengths: tuple[int, ...] = (3, 6, 1)
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "source": torch.randint(0, 30, (sum(source_lengths),), generator=generator),
        "source_lengths": torch.tensor(source_lengths),
        "target": torch.randint(0, 30, (sum(target_lengths),), generator=generator),
        "target_lengths": torch.tensor(target_lengths),
    }


def alone(inputs: dict[str, Any], row: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for side in ("source", "target"):
        lengths = inputs[f"{side}_lengths"]
        found[side] = inputs[side].split(lengths.tolist())[row]
        found[f"{side}_lengths"] = lengths[row : row + 1]
    return found


def test_time_major_order_goes_there_and_back() -> None:
    rows = PackedLayout(LENGTHS)
    time = TimeMajor(rows)
    assert [end - start for start, end in time.steps] == [4, 3, 3, 3, 1, 1]
    packed = torch.arange(rows.total)
    assert torch.equal(take(take(packed, time.rows), time.back), packed)
    assert time.rows[:4].tolist() == [5, 0, 11, 4]  # first tokens, longest sequence first
    assert time.reversed_rows[:4].tolist() == [10, 3, 14, 4]  # last tokens


def test_recurrence_and_its_gradients_equal_the_plain_reference() -> None:
    torch.manual_seed(0)
    steps = TimeMajor(PackedLayout(LENGTHS)).steps
    leaves = [torch.randn(2, 15, 18), torch.randn(2, 18, 6) * 0.5, torch.randn(2, 4, 6)]
    compare(
        lambda x, w, h: (recur(x, w, h, steps),),
        lambda x, w, h: (plain_recur(x, w, h, steps),),
        leaves,
    )


@pytest.mark.parametrize("is_padded", [False, True])
def test_attentive_recurrence_and_its_gradients_equal_the_plain_reference(is_padded: bool) -> None:
    torch.manual_seed(0)
    steps = TimeMajor(PackedLayout(LENGTHS)).steps
    leaves = [
        torch.randn(15, 18),
        torch.randn(5 + 18, 6) * 0.5,
        torch.randn(4, 6),
        torch.randn(4, 7, 5),
        torch.randn(4, 7, 18),
        torch.randn(5),
    ]
    hidden = torch.zeros(4, 7).masked_fill_(
        torch.arange(7)[None] >= torch.tensor([7, 3, 1, 6])[:, None], float("-inf")
    )
    bias = hidden if is_padded else None
    compare(
        lambda x, w, h, k, v, s: attend_recur(x, w, h, k, v, s, bias, steps),
        lambda x, w, h, k, v, s: plain_attend_recur(x, w, h, k, v, s, bias, steps),
        leaves,
    )


def compare(fused: Any, plain: Any, leaves: list[Tensor]) -> None:
    found = []
    for function in (fused, plain):
        inputs = [leaf.double().requires_grad_() for leaf in leaves]
        outputs = function(*inputs)
        generator = torch.Generator().manual_seed(1)
        grads = [torch.randn(out.shape, generator=generator, dtype=out.dtype) for out in outputs]
        found.append((*outputs, *torch.autograd.grad(outputs, inputs, grads)))
    for ours, reference in zip(*found, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-10, atol=1e-10)


def test_encoder_equals_torch_gru() -> None:
    model, inputs = tiny(), batch()
    reference = torch.nn.GRU(12, 10, bidirectional=True, batch_first=True)
    cells = model.encoder.forward_cell, model.encoder.backward_cell
    with torch.no_grad():
        for cell, end in zip(cells, ("", "_reverse"), strict=True):
            getattr(reference, f"weight_ih_l0{end}").copy_(cell.input.weight)
            getattr(reference, f"bias_ih_l0{end}").copy_(cell.input.bias)  # type: ignore[arg-type]
            getattr(reference, f"weight_hh_l0{end}").copy_(cell.recurrent.weight)
            getattr(reference, f"bias_hh_l0{end}").zero_()
        states = model.encode(inputs).states.split(inputs["source_lengths"].tolist())
        for ids, ours in zip(
            inputs["source"].split(inputs["source_lengths"].tolist()), states, strict=True
        ):
            torch.testing.assert_close(
                ours, reference(model.embedding(ids)[None])[0][0], rtol=1e-5, atol=1e-5
            )


@pytest.mark.parametrize("attention", [True, False])
def test_a_row_is_answered_alike_alone_and_in_any_batch(attention: bool) -> None:
    model, inputs = tiny(attention), batch()
    together = model(**inputs).split(inputs["target_lengths"].tolist())
    for row, states in enumerate(together):
        torch.testing.assert_close(model(**alone(inputs, row)), states, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attention", [True, False])
def test_no_look_ahead(attention: bool) -> None:
    model, inputs = tiny(attention), batch(target_lengths=(6, 6, 6))
    changed = {
        **inputs,
        "target": inputs["target"]
        .view(3, 6)
        .clone()
        .index_fill_(1, torch.tensor([4]), 3)
        .reshape(-1),
    }
    before, after = (model(**x).view(3, 6, -1) for x in (inputs, changed))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("cuts", [(1,) * 6, (6,), (2, 3, 1)])
def test_stepping_equals_the_whole_pass(attention: bool, cuts: tuple[int, ...]) -> None:
    model, inputs = tiny(attention), batch(target_lengths=(6, 6, 6))
    whole = model.project(model(**inputs)).view(3, 6, -1)
    with torch.no_grad():
        state, found = model.start(model.encode(inputs), 3), []
        for piece in inputs["target"].view(3, 6).split(list(cuts), 1):
            logits, state = model.step(piece, state)
            found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-5, atol=1e-5)
    assert state.lengths.tolist() == [6, 6, 6]


@pytest.mark.parametrize("attention", [True, False])
def test_select_join_and_beams(attention: bool) -> None:
    model, inputs = tiny(attention), batch(source_lengths=(5, 2, 7, 3), target_lengths=(4, 4, 4, 4))
    tokens = inputs["target"].view(4, 4)
    with torch.no_grad():
        state = model.start(model.encode(inputs), torch.arange(4))
        _, state = model.step(tokens[:, :1], state)
        expected, _ = model.step(tokens[:, 1:2], state)
        for rows in ([0, 0, 1, 1, 2, 2, 3, 3], [2, 2, 0, 0], [3, 1, 1], [2, 0, 2], [1]):
            index = torch.tensor(rows)
            logits, _ = model.step(tokens[index, 1:2], state.select(index))
            torch.testing.assert_close(logits, expected[index], rtol=1e-5, atol=1e-5)
        joined = state.select(torch.tensor([3])).join(state.select(torch.tensor([1, 2])))
        logits, after = model.step(tokens[torch.tensor([3, 1, 2]), 1:2], joined)
        torch.testing.assert_close(logits, expected[torch.tensor([3, 1, 2])], rtol=1e-5, atol=1e-5)
        assert after.lengths.tolist() == [2, 2, 2]


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("beams", [1, 4])
def test_the_search_answers_alike_alone_and_in_a_batch(attention: bool, beams: int) -> None:
    model, inputs = tiny(attention), batch()
    settings = DecodingSettings(beams=beams)
    with torch.no_grad():
        together = search(model, inputs, settings, begin=0, end=1)
        for row, found in enumerate(together):
            single = search(model, alone(inputs, row), settings, begin=0, end=1)[0][0]
            assert single.tokens == found[0].tokens
            assert single.log_probability == pytest.approx(found[0].log_probability, abs=1e-4)


def test_truncate_goes_back_inside_the_last_step_and_no_further() -> None:
    model, inputs = tiny(), batch(target_lengths=(6, 6, 6))
    tokens = inputs["target"].view(3, 6)
    with torch.no_grad():
        _, first = model.step(tokens[:, :2], model.start(model.encode(inputs), 3))
        _, padded = model.step(tokens[:, 2:5], first)
        short = padded.truncate(torch.tensor([3, 5, 2])).select(torch.tensor([0, 1, 2]))
        assert short.lengths.tolist() == [3, 5, 2]
        for row, length in enumerate((3, 5, 2)):
            _, exact = model.step(tokens[:, :length], model.start(model.encode(inputs), 3))
            torch.testing.assert_close(short.hidden[row], exact.hidden[row], rtol=1e-5, atol=1e-6)
        mixed = short.join(first)  # ragged rows with different depths of recent states
        assert mixed.truncate(torch.tensor([2, 4, 2, 0, 1, 2])).lengths.tolist() == [
            2,
            4,
            2,
            0,
            1,
            2,
        ]
        with pytest.raises(AssertionError, match="can only go back"):
            padded.truncate(torch.tensor([1, 2, 2]))


def test_attention_weights_are_those_of_the_forward_pass() -> None:
    model, inputs = tiny(), batch()
    weights = model.attention_weights("cross", **inputs)
    assert weights.shape == (1, 3, 1, 6, 7)
    sums = weights[0, :, 0].sum(-1)
    assert torch.allclose(sums, (torch.arange(6)[None] < inputs["target_lengths"][:, None]).float())
    for row in range(3):
        length, source = int(inputs["target_lengths"][row]), int(inputs["source_lengths"][row])
        torch.testing.assert_close(
            weights[0, row, 0, :length, :source],
            model.attention_weights(**alone(inputs, row))[0, 0, 0],
        )
        assert not weights[0, row, 0, :, source:].any()


def test_without_attention_there_is_nothing_to_show() -> None:
    with pytest.raises(UsageError, match=r"model\.attention = false"):
        tiny(attention=False).attention_weights(**batch())
    with pytest.raises(UsageError, match="Allowed: cross"):
        tiny().attention_weights("encoder", **batch())


@pytest.mark.parametrize("attention", [True, False])
def test_dropout_follows_its_seed_and_training_learns(attention: bool) -> None:
    model, inputs = tiny(attention, dropout=0.2), batch()
    quiet = model(**inputs)
    model.train()
    drawn = []
    for seed in (1, 1, 2):
        model.reseed(seed)
        drawn.append(model(**inputs))
    assert (
        torch.equal(drawn[0], drawn[1])
        and not torch.equal(drawn[0], drawn[2])
        and not torch.equal(drawn[0], quiet)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    losses = []
    for seed in range(40):
        model.reseed(seed)
        loss = torch.nn.functional.cross_entropy(model.project(model(**inputs)), inputs["target"])
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_bfloat16_stays_close_and_sizes_are_the_papers() -> None:
    model, inputs = tiny(), batch()
    exact = model(**inputs)
    model.precision = torch.bfloat16
    rounded = model(**inputs)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.1, atol=0.1)
    with torch.device("meta"):
        large = RecurrentTranslator(
            RecurrentConfig(vocabulary_size=30_000, source_vocabulary_size=30_000)
        )
    shapes = {name: tuple(parameter.shape) for name, parameter in large.named_parameters()}
    assert shapes["encoder.forward_cell.input.weight"] == (3000, 620)
    assert shapes["decoder.attention.key.weight"] == (1000, 2000)
    assert shapes["output.weight"] == (30_000, 500)
