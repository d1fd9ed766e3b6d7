"""Decode one request and yield its text piece by piece."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

from ..model.interface import AnyModel
from .drafts import Drafted
from .generate import decoding_of
from .hypothesis import Hypothesis
from .requests import DecodingRequest, TokenDecoder, remaining
from .steps import AdmitArguments
from .text import answer_reader, cut_at, delta, last_line, reader, stable, trimmed
from .writing import REPREFILL_SEED_STRIDE, Continuing, begun, source_inputs


def stream(
    model: AnyModel | Drafted, request: DecodingRequest, tokenizer: TokenDecoder
) -> Generator[str, None, bool]:
    """Yield one answer in pieces: whole characters only, and nothing of a stop string.

    With beams, a piece is what all beams that can still win have in common. The pieces together are
    the best answer that `decode` gives.

    Returns:
        True if the answer ended by itself.
    """
    write = _continuation if request.source is None else _answer
    pieces = write(model, request, tokenizer)
    return (yield from _from_first_word(pieces) if request.strip else pieces)


def _answer(
    model: AnyModel | Drafted, request: DecodingRequest, tokenizer: TokenDecoder
) -> Generator[str, None, bool]:
    """Yield the answer to a source."""
    sent, answer, reads = "", None, answer_reader(tokenizer, request.prompt)
    arguments: AdmitArguments = {
        "inputs": source_inputs(model, [request]),
        "settings": replace(request.settings, n_best=1),
        "indices": [request.index],
        **begun([request]),
    }
    given = max(0, len(request.prompt) - 1)
    for answer in _steps(model, tokenizer.begin_id, tokenizer, arguments):
        if isinstance(answer, Hypothesis):
            text = trimmed(reads.decode(answer.tokens[given:]), answer.finished)
        else:
            text = reads.decode(answer[given:])
        yield from delta(text, sent, None, None, final=isinstance(answer, Hypothesis))
        sent = stable(text, sent, None, None)
    assert isinstance(answer, Hypothesis), "the last of the steps"
    return answer.finished


def _continuation(
    model: AnyModel | Drafted, request: DecodingRequest, tokenizer: TokenDecoder
) -> Generator[str, None, bool]:
    """Yield the continuation of a prompt."""
    tokenizer = reader(tokenizer, request.prompt)
    settings, context, new = request.settings, request.context, request.new_tokens
    sent, tokens, shown = "", list[int](), request.shown
    head = last_line(settings, shown, tokenizer)
    while True:
        left = remaining(settings, new, len(tokens))
        given = Continuing(
            shown=[shown],
            settings=replace(left, n_best=1, samples=1 if tokens else settings.samples),
            tokenizer=tokenizer,
            context=context,
            indices=[request.index + REPREFILL_SEED_STRIDE * len(tokens)],
            heads=[head],
            before=tokens,
        )
        prefix, answer = len(given.prefixes[0]), None
        for answer in _steps(model, shown[0], tokenizer, given.arguments()):
            if isinstance(answer, Hypothesis):
                break
            text = tokenizer.decode(tokens + answer[prefix:])
            yield from delta(text, sent, settings.stop, head, final=False)
            sent = stable(text, sent, settings.stop, head)
        assert isinstance(answer, Hypothesis), "the last of the steps"
        written = answer.tokens[prefix:]
        tokens = tokens + written
        if answer.finished or len(tokens) >= new:
            break
        shown = [*shown, *written][-(context // 2) :]
    text = tokenizer.decode(tokens)
    # Beam search does not apply the stop strings in its last step.
    finished = answer.finished or cut_at(text, settings.stop, head) != text
    yield from delta(trimmed(text, finished), sent, settings.stop, head, final=True)
    return finished


def _steps(
    model: AnyModel | Drafted, begin: int, tokenizer: TokenDecoder, arguments: AdmitArguments
) -> Iterator[list[int] | Hypothesis]:
    """Yield the settled tokens of one answer after each step, and at last the answer.

    With several draws the best is known only at the end.
    """
    decoding = decoding_of(model, begin=begin, end=tokenizer.end_ids)
    (number,) = decoding.admit(**arguments)
    while decoding.live:
        if arguments["settings"].samples == 1:
            yield decoding.groups[0].settled(0)
        decoding.step()
    yield decoding.answers.pop(number)[0]


def _from_first_word(pieces: Generator[str, None, bool]) -> Generator[str, None, bool]:
    """Yield the pieces of a turn without the white space before it."""
    begun = False
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            return bool(end.value)
        piece = piece if begun else piece.lstrip()
        begun = begun or bool(piece)
        if piece:
            yield piece
