"""Every dial computes what the published models compute that it is from (transformers)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from published import Published, both, ids
from published_toys import BY_LENGTH, DECODERS, ENCODERS, PAIRS
from torch import Tensor

from triptych.inference.prepack import can_prepack, prepack
from triptych.model.layout import PackedLayout
from triptych.model.transformer import Transformer

LENGTHS = torch.tensor([6, 11, 1])


def near(found: Tensor, wanted: Tensor) -> None:
    """Compare within 1e-5 of the largest value, which shaken weights make large."""
    assert found.shape == wanted.shape
    limit = 1e-5 * max(1.0, float(wanted.abs().max()))
    assert float((found - wanted).abs().max()) <= limit


def written(ours: Transformer, target: Tensor, memory: Any = None) -> Tensor:
    """Return the logits (N, V) of a packed target, decoded in steps of 1, 2, 1, 2, ... tokens."""
    rows = PackedLayout(LENGTHS)
    padded, state, found = rows.pad(target), ours.start(memory, len(LENGTHS)), []
    place, size = 0, 1
    while place < padded.shape[1]:
        logits, state = ours.step(padded[:, place : place + size], state)
        found.append(logits)
        place, size = place + size, 3 - size
    return rows.pack(torch.cat(found, 1))


def both_ways(ours: Transformer, target: Tensor, wanted: Tensor, **source: Tensor) -> None:
    """Compare logits of packed rows and of cached decoding, before and after prepacking."""
    near(ours.project(ours(target=target, target_lengths=LENGTHS, **source)), wanted)
    for prepacked in (False, True):
        if prepacked and not (can_prepack(torch.float32) and prepack(ours, torch.float32)):
            return
        near(written(ours, target, ours.encode(source) if source else None), wanted)


@pytest.mark.parametrize("name", DECODERS)
@torch.no_grad()
def test_decoders(name: str) -> None:
    toy: Published = DECODERS[name]
    theirs, ours = both(toy)
    target = ids(int(LENGTHS.sum()))
    wanted = [theirs(one[None]).logits[0] for one in target.split(LENGTHS.tolist())]
    both_ways(ours, target, torch.cat(wanted))


@pytest.mark.parametrize("name", BY_LENGTH)
@torch.no_grad()
def test_rotations_by_length(name: str) -> None:
    """Texts longer and shorter than the border stand in one batch."""
    theirs, ours = both(BY_LENGTH[name])
    target = ids(int(LENGTHS.sum()))
    parts = target.split(LENGTHS.tolist())
    wanted = torch.cat([theirs(one[None]).logits[0] for one in parts])
    near(ours.project(ours(target=target, target_lengths=LENGTHS)), wanted)
    long, text = parts[1][None], ours.start(None, 1)
    near(ours.step(long, text)[0][0], wanted[6:17])


@pytest.mark.parametrize("name", ENCODERS)
@torch.no_grad()
def test_encoders(name: str) -> None:
    theirs, ours = both(ENCODERS[name])
    source = ids(int(LENGTHS.sum()))
    parts = source.split(LENGTHS.tolist())
    wanted = torch.cat([theirs(one[None]).last_hidden_state[0] for one in parts])
    near(ours(source, LENGTHS), wanted)
    selected = torch.tensor([0, 7, 8, 16])
    near(ours(source, LENGTHS, selected_rows=selected), wanted[selected])


@pytest.mark.parametrize("name", PAIRS)
@torch.no_grad()
def test_pairs(name: str) -> None:
    theirs, ours = both(PAIRS[name])
    lengths = torch.tensor([4, 1, 9])
    source, target = ids(int(lengths.sum()), 4), ids(int(LENGTHS.sum()))
    wanted = [
        theirs(input_ids=one[None], decoder_input_ids=other[None]).logits[0]
        for one, other in zip(
            source.split(lengths.tolist()), target.split(LENGTHS.tolist()), strict=True
        )
    ]
    both_ways(ours, target, torch.cat(wanted), source=source, source_lengths=lengths)
