"""Requests: a mixed batch answers each as alone, and a stream writes what a batch answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from triptych.decoding.requests import DecodingRequest, alike
from triptych.decoding.settings import DecodingSettings
from triptych.decoding.streaming import stream
from triptych.decoding.writing import decode
from triptych.model.config import ModelConfig, StackConfig
from triptych.model.transformer import Transformer

GREEDY = DecodingSettings(max_length=9)
SETTINGS = (
    GREEDY,
    DecodingSettings(max_length=9, beams=3, n_best=2),
    DecodingSettings(max_length=9, temperature=1.0, top_k=20),
    DecodingSettings(max_length=9, stop=["b"]),
    DecodingSettings(max_length=30),
)


class Bytes:
    """Ids 2... are bytes."""

    begin_id, end_id, end_ids = 0, 1, (1,)

    def decode(self, ids: object) -> str:
        return bytes(number - 2 for number in ids if number > 1).decode("utf-8", "replace")  # type: ignore[attr-defined]


def stack() -> StackConfig:
    return StackConfig(
        layers=2, width=32, heads=4, inner_width=64, norm_placement="pre", positions="rotary"
    )


@pytest.fixture(scope="module")
def writer() -> Transformer:
    torch.manual_seed(3)
    return Transformer(ModelConfig(decoder=stack(), vocabulary_size=258)).eval()


@pytest.fixture(scope="module")
def translator() -> Transformer:
    torch.manual_seed(4)
    config = ModelConfig(encoder=stack(), decoder=stack(), vocabulary_size=258)
    return Transformer(config).eval()


def prompts() -> list[DecodingRequest]:
    """Prompts with every kind of settings, of which some go past the context of 16."""
    return [
        DecodingRequest(
            settings=settings,
            prompt=[0, *range(70, 70 + length)],
            context=16,
            index=number,
        )
        for number, (settings, length) in enumerate(
            (settings, length) for length in (0, 3, 25) for settings in SETTINGS
        )
    ]


def sources() -> list[DecodingRequest]:
    return [
        DecodingRequest(settings=settings, source=np.array([*range(70, 70 + length), 1]), index=n)
        for n, (settings, length) in enumerate(
            (settings, length)
            for length in (2, 7)
            for settings in SETTINGS
            if settings.stop is None
        )
    ]


@pytest.mark.parametrize("kind", ["prompts", "sources"])
def test_a_mixed_batch_answers_each_as_alone(
    kind: str, writer: Transformer, translator: Transformer
) -> None:
    model, requests = (writer, prompts()) if kind == "prompts" else (translator, sources())
    assert len(alike(requests)) == len({str(one.settings) for one in requests}) > 3
    together = decode(model, requests, Bytes())
    for request, answers in zip(requests, together, strict=True):
        (alone,) = decode(model, [request], Bytes())
        assert [one.tokens for one in answers] == [one.tokens for one in alone]
        assert [one.text for one in answers] == [one.text for one in alone]
        assert len(answers) == request.settings.n_best
        assert answers[0].score == pytest.approx(alone[0].score, abs=1e-5)


@pytest.mark.parametrize("kind", ["prompts", "sources"])
def test_a_stream_writes_what_a_batch_answers(
    kind: str, writer: Transformer, translator: Transformer
) -> None:
    model, requests = (writer, prompts()) if kind == "prompts" else (translator, sources())
    for request in requests:
        one = replace(request, index=0)
        ((best, *_),) = decode(model, [one], Bytes())
        pieces, ended = stream(model, one, Bytes()), None
        text = ""
        while ended is None:
            try:
                text += next(pieces)
            except StopIteration as end:
                ended = end.value
        assert (text, ended) == (best.text, best.finished)


def test_a_prompt_says_what_is_not_read() -> None:
    request = DecodingRequest(settings=GREEDY, prompt=list(range(20)), context=16, unread=5)
    assert request.shown == list(range(12, 20)) and request.truncated == 5 + 12
    assert replace(request, prompt=[0, 1]).truncated == 5


def test_a_turn_begins_with_a_word(writer: Transformer) -> None:
    drawn = DecodingSettings(max_length=9, temperature=5.0)
    several = [
        DecodingRequest(settings=drawn, prompt=[0, 70], context=16, index=number)
        for number in range(200)
    ]
    texts = [one.text for (one,) in decode(writer, several, Bytes())]
    led = [number for number, text in enumerate(texts) if text != text.lstrip()]
    assert led, "some answers begin with white space: a check that cannot fail"
    for number in {*led, *range(8)}:
        plain, text = several[number], texts[number]
        assert "".join(stream(writer, plain, Bytes())) == text
        assert "".join(stream(writer, replace(plain, strip=True), Bytes())) == text.lstrip()
