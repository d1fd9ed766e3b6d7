"""A decoder's state: rows that share a past go their own ways, and what is forgotten stays
forgotten.
"""

from __future__ import annotations

import torch
from test_transformer import batch, make


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
