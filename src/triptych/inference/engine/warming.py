"""Answer a short request before clients come, so that none of them waits for what is done once.

The first conversation compiles its template, hashes the vocabulary and cuts the tokenizer's file
once more; the first step lays out weights and loads what computes it.
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import TriptychError
from .counters import Counters
from .engine import Engine
from .jobs import sample
from .tickets import Done, Lost, Ticket
from .writer import Writer

WRITTEN = 2  # tokens: one after what was read, and one after what was written


def warm(engine: Engine) -> None:
    """Compute a step as `Engine.check` does, then answer an input as a client's, which is dropped.

    No count changes and no prefix is kept. Call it before the engine works. It raises what the
    model raises.
    """
    engine.check()
    predictor = engine.predictor
    if engine.writer is None:
        return  # `check` has encoded an input, and read it
    example = sample(predictor.task)
    if predictor.is_empty(example):  # it reads sound
        return
    settings = replace(predictor.decoding, max_length=WRITTEN, min_length=0)
    try:
        (encoded, *_), _ = predictor.encode(example)
        request = predictor.request(encoded, settings)
    except TriptychError:  # a template that wants more than a turn of the user
        return
    ticket = Ticket()
    writer = Writer(predictor.model, predictor.tokenizers.target, engine.limits, Counters())
    writer.add(request, ticket)
    while not ticket.is_over and writer.turn():
        pass
    if isinstance(ticket.event, Lost):
        raise ticket.event.error.__cause__ or ticket.event.error
    assert isinstance(ticket.event, Done), "a request ends with a result or an error"
