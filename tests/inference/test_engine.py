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
    requests, tickets = requests_of(predictor, 35), []
    for request in requests:
        tickets.append(engine.write(request))
        for _ in range(draw.choice((0, 1, 4))):
            engine.turn()
    run(engine, tickets)
    assert engine.counters.rows.counts[0] < engine.counters.steps / 2, "steps are shared"
    for request, ticket in zip(requests, tickets, strict=True):
        same(ticket.wait(0), alone(predictor, request))
    if kind in ("decoder", "learned") and prefixes:
        assert engine.counters.tokens_reused > 100
    assert engine.writer is not None and engine.writer.held == 0 and engine.live == 0
