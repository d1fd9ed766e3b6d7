"""Test that batches lose nothing, keep budgets, and have one order for any number of processes."""

from __future__ import annotations

import time

import numpy as np
import pytest

from triptych.data.batches.encoded import Encoded, collate, halve
from triptych.data.batches.order import MicroBatches, length_batches
from triptych.errors import DataError


def encoded(index: int, epoch: int = 0) -> list[Encoded]:
    draw = np.random.default_rng(index)
    source, target = draw.integers(1, 30), draw.integers(1, 30)
    return [
        Encoded(
            {"source": np.full(source, index), "target": np.full(target, index)},
            {"tokens": np.full(target, index)},
            index,
        )
    ]


def order(rank: int = 0, world: int = 1, **options: int) -> MicroBatches:
    return MicroBatches(
        lambda epoch, index: encoded(index, epoch),
        200,
        seed=3,
        rank=rank,
        world=world,
        **{"batch_tokens": 300, **options},
    )


def names(batches: list[tuple[int, list[Encoded]]]) -> list[tuple[int, list[int]]]:
    return [(number, [one.index for one in members]) for number, members in batches]


@pytest.mark.parametrize("buffer", [1000, 64])
def test_an_epoch_holds_every_example_once_within_the_budget(buffer: int) -> None:
    batches, seen = order(buffer=buffer), []
    while batches.epoch < 1:
        for _, members in batches.next_batches(1):
            seen += [one.index for one in members]
            assert sum(one.length for one in members) <= 300
    assert sorted(seen) == list(range(200))
    lengths = [len(members) for _, members in batches.next_batches(5)]
    assert max(lengths) > 1


def test_epochs_differ_and_seeds_repeat() -> None:
    first, again = order(), order()
    one = names(first.next_batches(30))
    assert one == names(again.next_batches(30))
    assert one != names(first.next_batches(30))


def test_processes_share_one_order() -> None:
    whole = names(order().next_batches(60))
    parts = [names(order(rank, 3).next_batches(60)) for rank in range(3)]
    assert sorted(sum(parts, [])) == whole
    assert all(number % 3 == rank for rank, part in enumerate(parts) for number, _ in part)


@pytest.mark.parametrize("cut", [0, 1, 7, 25, 60])
def test_a_restored_order_goes_on_exactly(cut: int) -> None:
    batches = order(buffer=64)
    batches.next_batches(cut)
    state = batches.state()
    following = names(batches.next_batches(40))
    other = order(buffer=64)
    other.restore(state)
    assert names(other.next_batches(40)) == following


def test_one_too_long_is_a_batch_of_its_own() -> None:
    batches = MicroBatches(lambda epoch, index: encoded(index), 20, batch_tokens=1, seed=1)
    assert all(len(members) == 1 for _, members in batches.next_batches(20))


def test_at_most_so_many_examples() -> None:
    assert (
        max(
            len(members)
            for _, members in order(batch_examples=4, batch_tokens=10_000).next_batches(40)
        )
        == 4
    )


def test_collate_packs_without_padding() -> None:
    members = [encoded(index)[0] for index in (3, 5, 8)]
    batch = collate(members)
    assert batch.inputs["source"].numel() == sum(len(one.inputs["source"]) for one in members)
    assert batch.inputs["source_lengths"].tolist() == [len(one.inputs["source"]) for one in members]
    assert batch.targets["tokens"].tolist() == sum(
        ([one.index] * len(one.targets["tokens"]) for one in members), []
    )
    assert batch.counts["tokens"] == len(batch.targets["tokens"]) and batch.counts["examples"] == 3
    assert batch.examples == [3, 5, 8]


def test_halves_hold_the_whole() -> None:
    members = [encoded(index)[0] for index in range(9)]
    first, second = halve(members)
    assert first and second and [one.index for one in first + second] == list(range(9))
    assert halve(members[:1]) == (members[:1], [])


def test_length_batches_cover_everything_without_chance() -> None:
    members = [encoded(index)[0] for index in range(50)]
    batches = length_batches(members, 200)
    assert sorted(sum(batches, [])) == list(range(50)) and batches == length_batches(members, 200)
    sizes = [len(members[place].inputs["source"]) for batch in batches for place in batch]
    assert sizes == sorted(sizes)


def test_nothing_to_train_on_is_said() -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        MicroBatches(lambda epoch, index: [], 0, batch_tokens=10, seed=1)


def test_a_pass_without_a_usable_example_ends_in_words() -> None:
    with pytest.raises(DataError, match="no usable example"):
        MicroBatches(lambda epoch, index: [], 5, batch_tokens=10, seed=1).next_batches(1)


def test_the_order_of_29_000_pairs_costs_little() -> None:
    pairs = [encoded(index)[0] for index in range(29_000)]
    batches = MicroBatches(
        lambda epoch, index: [pairs[index]], len(pairs), batch_tokens=4096, seed=1
    )
    before = time.process_time()
    batches.next_batches(1)
    assert time.process_time() - before < 1.0
