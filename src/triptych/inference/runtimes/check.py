"""Compare the answers of an engine with those of the model itself, on development examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...data.example import Example
from ...messages import Message, message

if TYPE_CHECKING:
    from ...tasks.task import Prediction
    from ..predictor import Predictor
    from .runtime import Runtime

MOST = 200  # examples
PROMPT = 200  # characters of a text that is continued
CONTINUED = 16  # tokens written after each


@dataclass(frozen=True, kw_only=True)
class RuntimeCheck:
    """Hold how many of `examples` have the `same` answer, and the first scores of both sides.

    name: of the score; empty where answers are compared alone.
    """

    examples: int
    same: int
    name: str = ""
    native: float = 0.0
    engine: float = 0.0
    version: str = field(default="")  # of the runtime

    def sentence(self, kind: str) -> Message:
        """Say what was found."""
        given: dict[str, Any] = dataclasses.asdict(self) | {"kind": kind}
        if not self.name:
            return message(
                "{kind}: checked on {examples:,} development examples, of which {same:,} are "
                "answered as Triptych answers them.",
                **given,
            )
        return message(
            "{kind}: checked on {examples:,} development examples, of which {same:,} are answered "
            "as Triptych answers them; {name} {engine:.2f} (Triptych {native:.2f}).",
            **given,
        )


def checked(
    predictor: Predictor, engine: Runtime, examples: Sequence[Example], version: str
) -> RuntimeCheck:
    """Answer `examples`, those of development, with the engine and with the model itself."""
    task, settings = predictor.task, predictor.settings()
    if task.request is not None and task.spec.architecture == "decoder":
        settings = dataclasses.replace(settings, max_length=CONTINUED, min_length=0)
        examples = [_asked(one) for one in examples]
    both: list[list[Prediction]] = []
    for one in (None, engine):
        predictor.engine = one
        both.append(list(predictor.answer(examples, settings, problems={})))
    native, others = both
    found = RuntimeCheck(
        examples=len(examples),
        same=sum(_alike(*pair) for pair in zip(native, others, strict=True)),
        version=version,
    )
    if task.spec.by_losses:
        return found
    scores = [task.score(each, examples, {}).values for each in both]
    name = next(iter(scores[0]), "")
    if not name:
        return found
    return dataclasses.replace(
        found, name=name, native=float(scores[0][name]), engine=float(scores[1][name])
    )


def _alike(one: Prediction, other: Prediction) -> bool:
    return one.text == other.text and one.cut == other.cut


def _asked(example: Example) -> Example:
    """Return what an example of a language model or of a chat asks, without its answer."""
    if example.messages is not None:
        turns = list(example.messages)
        while turns and turns[-1]["role"] != "user":
            turns.pop()
        return dataclasses.replace(example, messages=turns)
    if example.text is None:
        return example
    return dataclasses.replace(example, text=example.text[:PROMPT])
