"""The engine: an answer is the same alone and among a hundred others, whatever joins and leaves."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from toy_runs import TEXTS, classifier, translator, writer

from triptych.decoding.requests import DecodingRequest
from triptych.decoding.scoring import token_scores
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.writing import decode
from triptych.errors import DataError, UsageError
from triptych.inference.engine.engine import Engine
from triptych.inference.engine.limits import EngineLimits
from triptych.inference.engine.scheduler import Scheduler
from triptych.inference.engine.tickets import (
    Busy,
    Cancelled,
    Event,
    Failed,
    Late,
    Piece,
    Stopped,
    Ticket,
)
from triptych.inference.predictor import Predictor

GREEDY = DecodingSettings(max_length=12)
SETTINGS = (
    GREEDY,
    replace(GREEDY, max_length=20),
    replace(GREEDY, beams=3, n_best=2),
    replace(GREEDY, temperature=1.0, seed=5),
    replace(GREEDY, temperature=0.8, top_k=9, seed=6, samples=3),
    replace(GREEDY, repetition_penalty=1.3),
    replace(GREEDY, stop=["a", "o"]),
)
MODELS: dict[str, Callable[[], Predictor]] = {
    "decoder": writer,
    "learned": lambda: writer(positions="learned", max_positions=64),
    "window": lambda: writer(attention_window=8),
    "encoder-decoder": translator,
    "rnn": lambda: translator(recurrent=True),
}


def requests_of(predictor: Predictor, count: int, settings: Sequence[Any] = SETTINGS) -> list[Any]:
    """Requests of all lengths, some with the same beginning."""
    draw = random.Random(3)
    found = []
    for number in range(count):
        text = "".join(draw.choices("".join(TEXTS), k=draw.choice((1, 5, 18, 40))))
        if number % 3 == 0:
            text = f"one two three, how are you there? {text}"
        example = predictor.example(text)
        own = settings[number % len(settings)]
        if predictor.task.spec.architecture != "decoder":
            own = replace(own, stop=None)
        (encoded, *_), _ = predictor.encode(example)
        found.append(replace(predictor.request(encoded, own), index=number))
    return found


def run(engine: Engine, tickets: Sequence[Ticket], turns: int = 3000) -> None:
    for _ in range(turns):
        if all(one.is_over for one in tickets):
            return
        engine.turn()
    raise AssertionError("the requests do not end")


def alone(predictor: Predictor, request: DecodingRequest) -> list[Any]:
    (found,) = decode(predictor.model, [request], predictor.tokenizers.target)
    return found


def same(found: Sequence[Any], wanted: Sequence[Any]) -> None:
    assert [one.text for one in found] == [one.text for one in wanted]
    assert [one.tokens for one in found] == [one.tokens for one in wanted]
    assert [one.finished for one in found] == [one.finished for one in wanted]
    assert [one.score for one in found] == pytest.approx([one.score for one in wanted], abs=1e-4)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("prefixes", [0, 4096])
def test_an_answer_is_the_same_alone_and_among_others(kind: str, prefixes: int) -> None:
    """In parts and whole, with and without the cache of prefixes, joining at any step."""
    predictor = MODELS[kind]()
    limits = EngineLimits(rows=24, read_tokens=16 if prefixes else 512, prefix_tokens=prefixes)
    engine, draw = Engine(predictor, limits), random.Random(4)
    requests, tickets = requests_of(predictor, 21), []
    for request in requests:
        tickets.append(engine.write(request))
        for _ in range(draw.choice((0, 1, 4))):
            engine.turn()
    run(engine, tickets)
    assert engine.counters.rows.counts[0] < engine.counters.steps / 2, "steps are shared"
    for request, ticket in zip(requests, tickets, strict=True):
        same(ticket.wait(0), alone(predictor, request))
    if kind in ("decoder", "learned") and prefixes:
        assert engine.counters.tokens_reused > 50
    assert engine.writer is not None and engine.writer.held == 0 and engine.live == 0


@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
@pytest.mark.parametrize("beams", [1, 4])
def test_an_answer_is_the_same_alone_and_among_a_hundred(kind: str, beams: int) -> None:
    """All wait at once and share their steps; some of all lengths are asked again, alone."""
    predictor = MODELS[kind]()
    engine = Engine(predictor)
    settings = [replace(GREEDY, beams=beams, max_length=length) for length in (3, 6, 10)]
    requests = requests_of(predictor, 101, settings)
    tickets = [engine.write(one) for one in requests]
    run(engine, tickets)
    assert engine.counters.rows.total / engine.counters.steps > 30, "steps are shared"
    for request, ticket in [*zip(requests, tickets, strict=True)][::4]:
        same(ticket.wait(0), alone(predictor, request))


def collected(events: Sequence[Event]) -> str:
    return "".join(one.text for one in events if isinstance(one, Piece))


@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_the_pieces_of_a_stream_are_the_answer(kind: str) -> None:
    predictor = MODELS[kind]()
    engine = Engine(predictor)
    requests = [replace(one, strip=number % 2 == 0) for number, one in
                enumerate(requests_of(predictor, 14))]  # fmt: skip
    heard: list[list[Event]] = [[] for _ in requests]
    tickets = [
        engine.write(request, listener=events.append, pieces=True)
        for request, events in zip(requests, heard, strict=True)
    ]
    run(engine, tickets)
    for request, ticket, events in zip(requests, tickets, heard, strict=True):
        text = ticket.wait(0)[0].text
        assert collected(events) == (text.lstrip() if request.strip else text)
        assert sum(not isinstance(one, Piece) for one in events) == 1
        if request.settings.samples == 1 and len(text) > 4:
            assert len(events) > 2, "it was not sent at once"


def test_an_answer_goes_on_past_the_context() -> None:
    predictor = writer(context=16)
    engine = Engine(predictor, EngineLimits(read_tokens=5))
    requests = requests_of(predictor, 8, [replace(GREEDY, max_length=40)])
    tickets = [engine.write(one) for one in requests]
    run(engine, tickets)
    for request, ticket in zip(requests, tickets, strict=True):
        same(ticket.wait(0), alone(predictor, request))
    assert any(len(ticket.wait(0)[0].tokens) > 16 for ticket in tickets)


def test_the_cache_stays_as_long_as_its_longest_row() -> None:
    """Rows that come and go for ever leave nothing behind."""
    predictor = writer()
    engine = Engine(predictor, EngineLimits(rows=4))
    requests = requests_of(predictor, 48, [GREEDY, replace(GREEDY, max_length=5)])
    tickets = [engine.write(one) for one in requests]
    used = 0
    for _ in range(2000):
        engine.turn()
        assert engine.writer is not None
        for batch in engine.writer.batches.values():
            state: Any = batch.decoding.state
            if state is not None:
                used = max(used, state.used)
                assert len(batch.decoding.numbers[0]) <= 8
        if all(one.is_over for one in tickets):
            break
    assert engine.counters.steps > 100 and used < 64 * 2 + 100


def test_encoders_read_batches_of_what_waits() -> None:
    predictor = classifier()
    engine = Engine(predictor, EngineLimits(batch_tokens=60))
    texts = [text * (1 + number % 3) for number, text in enumerate(TEXTS * 3)]
    encoded = [predictor.encode(predictor.example(text))[0] for text in texts]
    tickets = [engine.read(one, predictor.decoding) for one in encoded]
    turns = 0
    while not all(one.is_over for one in tickets):
        engine.turn()
        turns += 1
    assert 2 < turns < len(texts)
    for text, one in zip(texts, tickets, strict=True):
        example = predictor.example(text)
        found = predictor.task.read(one.wait(0), example, predictor.tokenizers)
        (wanted,) = predictor.predict([text])
        assert found.text == wanted.text
        assert found.score == pytest.approx(wanted.score, abs=1e-5)


def test_texts_are_scored_together_as_alone() -> None:
    predictor = writer(positions="learned", max_positions=64)
    engine = Engine(predictor)
    texts = [predictor.tokenizers.target.prompt(text) for text in (*TEXTS, "", "a")]
    tickets = [engine.score(ids, 3) for ids in texts]
    engine.turn()
    for ids, ticket in zip(texts, tickets, strict=True):
        found = ticket.wait(0)
        (wanted,) = token_scores(predictor.model, [ids], 3)
        assert found.log_probabilities == pytest.approx(wanted.log_probabilities, abs=1e-5)
        assert [[token for token, _ in top] for top in found.top] == [
            [token for token, _ in top] for top in wanted.top
        ]
        assert len(found.log_probabilities) == len(ids) - 1
    with pytest.raises(DataError, match="64"):
        engine.score([0] * 66)
    with pytest.raises(UsageError):
        Engine(translator()).score([0])


def test_a_full_queue_refuses() -> None:
    predictor = writer()
    engine = Engine(predictor, EngineLimits(queue=2, rows=1))
    requests = requests_of(predictor, 4)
    tickets = [engine.write(one) for one in requests[:2]]
    with pytest.raises(Busy):
        engine.write(requests[2])
    assert engine.call(lambda: 5, urgent=True) is not None
    run(engine, tickets)
    assert engine.counters.refused == 1
    run(engine, [engine.write(requests[3])])


@pytest.mark.parametrize("kind", MODELS)
def test_taking_back_and_deadlines_leave_others_unharmed(kind: str) -> None:
    predictor = MODELS[kind]()
    engine = Engine(predictor, EngineLimits(rows=30, read_tokens=12))
    requests = requests_of(predictor, 20)
    tickets = [
        engine.write(one, deadline=-1 if number % 4 == 3 else 60)
        for number, one in enumerate(requests)
    ]
    for _ in range(3):
        engine.turn()
    for ticket in tickets[::4]:
        ticket.cancel()
    engine.turn()
    assert all(one.is_over for one in [*tickets[::4], *tickets[3::4]]), "within one step"
    run(engine, tickets)
    taken = [ticket for ticket in tickets[::4] if engine.counters.cancelled]
    lost = 0
    for ticket in taken:
        try:
            ticket.wait(0)
        except Cancelled:
            lost += 1
    assert lost == engine.counters.cancelled > 2
    for ticket in tickets[3::4]:
        with pytest.raises(Late):
            ticket.wait(0)
    for number in (1, 2, 5, 6, 9, 10, 13, 14, 17, 18):
        same(tickets[number].wait(0), alone(predictor, requests[number]))
    assert engine.writer is not None and engine.writer.held == 0


def test_a_request_that_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = translator()
    engine = Engine(predictor)
    requests = requests_of(predictor, 6)
    encode = predictor.model.encode

    def poisoned(inputs: dict[str, torch.Tensor]) -> Any:
        if inputs["source_lengths"].eq(len(poison)).any():
            raise RuntimeError("poison")
        return encode(inputs)

    source = requests[0].source
    assert source is not None
    poison = [*source.tolist(), *source.tolist(), 1]
    wrong = replace(requests[0], source=torch.tensor(poison).numpy())
    monkeypatch.setattr(predictor.model, "encode", poisoned)
    tickets = [engine.write(one) for one in [*requests[:3], wrong, *requests[3:]]]
    run(engine, tickets)
    with pytest.raises(Failed, match="RuntimeError"):
        tickets[3].wait(0)
    assert all(one.wait(0) for one in tickets[:3] + tickets[4:])
    assert engine.death is None


def test_a_step_that_fails_ends_its_batch_and_a_dead_model_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = writer()
    engine = Engine(predictor)
    requests = requests_of(predictor, 3)
    step, fails = predictor.model.step, [True]

    def failing(*given: Any) -> Any:
        if fails and given[0].shape[0] == 3:
            raise RuntimeError("once")
        return step(*given)

    monkeypatch.setattr(predictor.model, "step", failing)
    tickets = [engine.write(replace(one, settings=GREEDY)) for one in requests]
    run(engine, tickets)
    for ticket in tickets:
        with pytest.raises(Failed):
            ticket.wait(0)
    fails.clear()
    again = engine.write(requests[0])
    run(engine, [again])
    assert again.wait(0) and engine.death is None

    def dead(*_: Any) -> Any:
        raise RuntimeError("always")

    monkeypatch.setattr(predictor.model, "step", dead)
    last = [engine.write(requests[0]), engine.call(lambda: 3)]
    run(engine, last)
    assert isinstance(engine.death, RuntimeError)
    with pytest.raises(Stopped):
        engine.write(requests[0])


def test_one_thread_serves_several_runs_and_ends_in_peace() -> None:
    engines = [Engine(writer()), Engine(translator()), Engine(classifier())]
    scheduler = Scheduler(engines, threads=1).start()
    first, second = requests_of(engines[0].predictor, 9), requests_of(engines[1].predictor, 9)
    tickets = [engines[0].write(one) for one in first] + [engines[1].write(one) for one in second]
    assert engines[2].call(lambda: torch.get_num_threads()).wait(60) == 1
    for request, ticket in zip(first, tickets, strict=False):
        same(ticket.wait(60), alone(engines[0].predictor, request))
    late = engines[1].write(second[0])
    scheduler.close(drain_seconds=30)
    assert late.wait(0), "what was there is finished"
    with pytest.raises(Stopped):
        engines[0].write(first[0])
    assert not scheduler.is_alive


def test_what_is_cut_off_at_the_end_is_told() -> None:
    engine = Engine(writer())
    scheduler = Scheduler([engine], threads=1)  # it was never started
    ticket = engine.write(requests_of(engine.predictor, 1)[0])
    scheduler.close()
    with pytest.raises(Stopped):
        ticket.wait(0)
