"""A decoder's state: rows that share a past go their own ways, and what is forgotten stays
forgotten.
"""

from __future__ import annotations

import pytest
import torch
from test_transformer import batch, make

from triptych.model import cache, kv_pool
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer


def test_two_states_from_one_do_not_meet() -> None:
    model, inputs = make("2017"), batch()
    memory = model.encode(inputs)
    _, state = model.step(torch.tensor([[1], [2], [3]]), model.start(memory, torch.arange(3)))
    first, second = state.select(torch.arange(3)), state.select(torch.arange(3))
    steps = torch.tensor([[4, 5], [6, 7], [8, 9]])
    _, first = model.step(steps[:, :1], first)
    _, second = model.step(steps[:, 1:], second)
    for state_, token in ((first, 0), (second, 1)):
        got, _ = model.step(torch.tensor([[10], [11], [12]]), state_)
        _, fresh = model.step(torch.tensor([[1], [2], [3]]), model.start(memory, torch.arange(3)))
        _, fresh = model.step(steps[:, token : token + 1], fresh)
        want, _ = model.step(torch.tensor([[10], [11], [12]]), fresh)
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_beams_trade_places_many_times() -> None:
    model, inputs = make("llama"), batch()
    memory = model.encode(inputs)
    state, written = model.start(memory, torch.arange(3)), torch.zeros(3, 0, dtype=torch.int64)
    generator = torch.Generator().manual_seed(1)
    rows = torch.arange(3).repeat_interleave(4)
    state, written = state.select(rows), written[rows]
    for _ in range(40):
        tokens = torch.randint(0, 50, (12, 1), generator=generator)
        logits, state = model.step(tokens, state)
        written = torch.cat((written, tokens), 1)
        order = (
            torch.arange(3)[:, None] * 4 + torch.randint(0, 4, (3, 4), generator=generator)
        ).view(-1)
        logits, state, written = logits[order], state.select(order), written[order]
    fresh, _ = model.step(written, model.start(memory, rows))
    torch.testing.assert_close(logits[:, 0], fresh[:, -1], atol=1e-4, rtol=0)


def test_forgotten_drafts_leave_no_trace() -> None:
    model, inputs = make("2017"), batch()
    memory = model.encode(inputs)
    state = model.start(memory, torch.arange(3))
    written = [[], [], []]
    for round_ in range(5):
        draft = torch.randint(0, 50, (3, 4), generator=torch.Generator().manual_seed(round_))
        _, state = model.step(draft, state)
        keep = [len(written[row]) + 1 + (row + round_) % 4 for row in range(3)]
        state = state.truncate(torch.tensor(keep))
        for row in range(3):
            written[row] = (written[row] + draft[row].tolist())[: keep[row]]
    last = torch.tensor([[5], [6], [7]])
    got, _ = model.step(last, state)
    for row in range(3):
        want, _ = model.step(
            torch.tensor([[*written[row], int(last[row])]]),
            model.start(memory, torch.tensor([row])),
        )
        torch.testing.assert_close(got[row, 0], want[0, -1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("window", [4, [4, "unset"]], ids=["all layers", "every other layer"])
@torch.no_grad()
def test_a_window_is_all_that_its_layers_keep(
    window: int | list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same logits as without a cache, over states that share, trade, join and take back."""
    monkeypatch.setattr(kv_pool, "REWIND", 8)
    monkeypatch.setattr(cache, "REWIND", 8)
    monkeypatch.setattr(cache, "FORGOTTEN", 16)
    torch.manual_seed(7)
    blocks = {"attention_window": window} if isinstance(window, list) else None
    stack = StackConfig(layers=2, width=16, heads=2, inner_width=16, positions="rotary",
                        attention_window=4, by_block=blocks)  # fmt: skip
    model = Transformer(ModelConfig(decoder=stack, vocabulary_size=50)).eval()
    text = torch.randint(0, 50, (4, 100))
    whole = [model.project(model(target=row, target_lengths=torch.tensor([100]))) for row in text]

    def follow(state, rows, start, end, size=1):  # type: ignore[no-untyped-def]
        for first in range(start, end, size):
            logits, state = model.step(text[rows, first : first + size], state)
            for row, found in zip(rows, logits, strict=True):
                wanted = whole[row][first : first + size]
                torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
        return state

    state = follow(model.start(None, 2), [0, 1], 0, 40)
    old = state.select(torch.tensor([1, 0]))  # shares the pool and goes on later
    state = follow(state, [0, 1], 40, 90)
    windowed, other = (state.pool.keys[layer].shape[2] for layer in (0, 1))
    assert windowed <= 3 + 8 + 2 * 16 + 16 and state.pool.slots >= 90
    assert other == windowed if window == 4 else other >= 90
    old = follow(old, [1, 0], 40, 60, 5)
    back = follow(state.truncate(state.lengths - 8), [0, 1], 82, 90, 2)
    with pytest.raises(ValueError, match="at most 8 tokens"):
        back.truncate(back.lengths - 60)
    young = follow(model.start(None, 2), [2, 3], 0, 5)
    both = old.join(young)
    lengths = [60, 60, 5, 5]
    for _ in range(30):
        tokens = torch.stack([text[row, at] for row, at in zip((1, 0, 2, 3), lengths, strict=True)])
        logits, both = model.step(tokens[:, None], both)
        for row, at, found in zip((1, 0, 2, 3), lengths, logits[:, 0], strict=True):
            torch.testing.assert_close(found, whole[row][at], atol=1e-5, rtol=0)
        lengths = [one + 1 for one in lengths]
    assert both.pool.keys[0].shape[2] <= 80
    beams = follow(both.select(torch.tensor([0, 0, 2, 2])), [1, 1, 2, 2], 90, 90)
    assert beams.beams == 2


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("beams", [1, 3])
def test_slots_that_nobody_sees_are_removed(
    window: int | None, beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of all lengths that joined late, with holes, go on as if they had been read alone."""
    monkeypatch.setattr(kv_pool, "REWIND", 2)
    monkeypatch.setattr(kv_pool, "FORGOTTEN", 4)
    monkeypatch.setattr(cache, "REWIND", 2)
    monkeypatch.setattr(cache, "FORGOTTEN", 4)
    torch.manual_seed(2)
    stack = StackConfig(
        layers=2, width=16, heads=2, inner_width=16, positions="rotary", norm_placement="pre",
        attention_window=window,
    )  # fmt: skip
    model = Transformer(ModelConfig(decoder=stack, vocabulary_size=50)).eval()
    generator = torch.Generator().manual_seed(3)

    def written(rows: int, length: int) -> torch.Tensor:
        return torch.randint(0, 50, (rows, length), generator=generator)

    with torch.inference_mode():
        texts = [written(1, length) for length in (17, 3, 6)]
        state = None
        for number, text in enumerate(texts):
            own = model.start(None, 1)
            model.read_on(text, own)
            state = own if state is None else state.join(own)
            for _ in range(4 * (number == 0)):  # the first one goes on before the others join
                more = written(1, 1)
                texts[0] = torch.cat((texts[0], more), 1)
                model.read_on(more, state)
        assert state is not None
        rows = torch.arange(3).repeat_interleave(beams)
        state, texts = state.select(rows), [texts[row] for row in rows.tolist()]
        for _ in range(3):
            more = written(len(rows), 1)
            texts = [torch.cat((text, more[i : i + 1]), 1) for i, text in enumerate(texts)]
            model.read_on(more, state)
        kept = torch.arange(beams, 3 * beams)  # the longest one leaves
        state, texts = state.select(kept), [texts[row] for row in kept.tolist()]
        before, state = state.used, state.compact()
        assert state.used <= before - 12
        for _ in range(6):
            more = written(len(kept), 1)
            texts = [torch.cat((text, more[i : i + 1]), 1) for i, text in enumerate(texts)]
            logits, state = model.step(more, state)
        for i, text in enumerate(texts):
            alone, _ = model.step(text, model.start(None, 1))
            torch.testing.assert_close(logits[i, 0], alone[0, -1], atol=1e-5, rtol=0)
