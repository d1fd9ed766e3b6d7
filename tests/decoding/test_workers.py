"""Several batches at once: in order, with the errors, and leaving nothing behind."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from toy_model import BEGIN, END, Toy, inputs

from triptych.decoding.generate import search
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.workers import Workers
from triptych.errors import DataError, TriptychError, UsageError


def test_results_come_in_order_from_single_threads() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    def work(item: int) -> tuple[int, int, str]:
        seen.append(item)
        time.sleep(0.002 * (item % 3))
        return item, torch.get_num_threads(), threading.current_thread().name

    with Workers(2) as workers:
        found = list(workers.map(work, range(12), costs=range(12)))
        again = list(workers.map(work, range(3)))
    assert [item for item, _, _ in found] == list(range(12)) and [item for item, _, _ in again] == [
        0,
        1,
        2,
    ]
    assert {threads for _, threads, _ in found} == {1}
    assert all(name.startswith("decoding") for _, _, name in found)
    assert set(seen[:2]) == {11, 10}
    assert torch.get_num_threads() == before
    assert not any(thread.name.startswith("decoding") for thread in threading.enumerate())


def test_one_item_or_one_worker_stays_here() -> None:
    here = threading.get_ident()
    with Workers(2) as workers:
        assert list(workers.map(lambda item: threading.get_ident(), ["only"])) == [here]
        assert list(workers.map(lambda item: item, [])) == []
    assert set(Workers(1).map(lambda item: threading.get_ident(), range(3))) == {here}
    with pytest.raises(UsageError, match="0 workers"):
        Workers(0)


def test_an_error_ends_the_work_and_keeps_its_words() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.01)
        if item == 1:
            raise DataError("a.txt:3 cannot be read.")
        return item

    with pytest.raises(DataError, match=r"a\.txt:3"), Workers(2) as workers:
        list(workers.map(work, range(100)))
    assert len(begun) < 20

    def no_room(item: int) -> int:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )

    with pytest.raises(TriptychError, match="batch_tokens"), Workers(2) as workers:
        list(workers.map(no_room, range(3)))

    def other(item: int) -> int:
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes"), Workers(2) as workers:
        list(workers.map(other, range(3)))


def test_leaving_early_gives_up_the_rest() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.005)
        return item

    with Workers(2) as workers:
        for item in workers.map(work, range(200)):
            if item == 3:
                break
    assert len(begun) < 30


def test_answers_are_those_of_one_thread() -> None:
    model, settings = Toy(seed=3), DecodingSettings(max_length=6, beams=2)

    def work(sources: list[int]) -> list[list[int]]:
        return [
            part[0].tokens
            for part in search(model, inputs(sources), settings, begin=BEGIN, end=END)
        ]

    batches = [[place % 6, (place + 1) % 6] for place in range(12)]
    with Workers(3) as workers:
        assert list(workers.map(work, batches)) == [work(batch) for batch in batches]
