"""Runs that need no weights: vectors by letters, spans by a word, texts by a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from triptych.tasks.specs import known
from triptych.tasks.task import Prediction

WIDTH = 8


def embedder(shift: int = 0) -> Any:
    """A run whose vectors count letters; another `shift` is another run. `asked` holds texts."""
    asked: list[str] = []

    def answer(examples: Sequence[Any], settings: Any = None, done: Any = None) -> Iterator[Any]:
        for one in examples:
            asked.append(one.text)
            vector = [1.0] + [0.0] * (WIDTH - 1)
            for letter in one.text:
                vector[(ord(letter) + shift) % WIDTH] += 1.0
            yield Prediction("", details={"vector": vector})

    config = SimpleNamespace(encoder=SimpleNamespace(width=WIDTH))
    return SimpleNamespace(answer=answer, model=SimpleNamespace(config=config), asked=asked)


def _run(task: str, needs: Sequence[str], answer: Callable[..., Any], **options: Any) -> Any:
    made = SimpleNamespace(spec=known()[task], name=task, needs=tuple(needs), options=options)
    encode = SimpleNamespace(encode=lambda text: text.split())
    return SimpleNamespace(
        task=made, answer=answer, labels={}, tokenizers=SimpleNamespace(target=encode)
    )


def reader(word: str, probability: float = 1.0) -> Any:
    """A run that finds `word`, and nothing where it does not stand."""

    def answer(examples: Sequence[Any], settings: Any = None) -> Iterator[Prediction]:
        for one in examples:
            start = one.passage.find(word)
            if start < 0:
                yield Prediction("", details={"candidates": []})
                continue
            span = {"text": word, "start": start, "end": start + len(word)}
            yield Prediction(word, details={"candidates": [{**span, "probability": probability}]})

    return _run("question-answering", ("question", "passage", "answers"), answer)


def writer(write: Callable[[str], str]) -> Any:
    """A run that writes an answer from one passage."""

    def answer(examples: Sequence[Any], settings: Any = None) -> Iterator[Prediction]:
        for one in examples:
            yield Prediction(write(one.passage), log_probability=-0.5, tokens=[1, 2])

    return _run("generative-answering", ("question", "passage", "target"), answer)


def chat(write: Callable[[str], str], context: int = 400) -> Any:
    """A run that answers a prompt."""

    def answer(examples: Sequence[Any], settings: Any = None) -> Iterator[Prediction]:
        for one in examples:
            yield Prediction(write(one.messages[-1]["content"]))

    return _run("chat", ("messages",), answer, context=context)


def pairs(score: Callable[[str], float], positive: str | None = "yes") -> Any:
    """A run that scores a passage."""

    def answer(examples: Sequence[Any]) -> Iterator[Prediction]:
        for one in examples:
            value = score(one.text_pair)
            yield Prediction("", details={"probabilities": {"yes": value, "no": 1 - value}})

    return _run("classification", ("text", "text_pair", "label"), answer, positive=positive)
