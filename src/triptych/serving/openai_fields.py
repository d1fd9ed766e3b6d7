"""Define what clients of OpenAI send, with a limit on every field, as decoding settings.

Fields that would change the answer and are not supported are refused; any other field is ignored,
because clients add new ones.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import Field

from ..decoding.settings import DecodingSettings
from .fields import Body, Name, Tokens
from .limits import (
    LONGEST_STOP,
    MOST_ANSWERS,
    MOST_BEAMS,
    MOST_INPUTS,
    MOST_MESSAGES,
    MOST_PROMPTS,
    MOST_STOPS,
    MOST_TOKENS,
    MOST_TOP,
)
from .problems import ApiError
from .served import ServedRun

StopText = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Stops = Annotated[list[StopText], Field(fail_fast=True, max_length=MOST_STOPS)]
Count = Annotated[int, Ge(1), Le(MOST_TOKENS)]
# A list of texts, or of lists of ids; a text or a list of ids is one prompt.
Prompts = (
    str
    | Tokens
    | Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=MOST_PROMPTS)]
    | Annotated[list[Tokens], Field(fail_fast=True, min_length=1, max_length=MOST_PROMPTS)]
)
Inputs = (
    str
    | Tokens
    | Annotated[list[str], Field(fail_fast=True, min_length=1, max_length=MOST_INPUTS)]
    | Annotated[list[Tokens], Field(fail_fast=True, min_length=1, max_length=MOST_INPUTS)]
)


class StreamOptions(Body):
    """Hold the options of a stream."""

    include_usage: bool | None = False


class Writing(Body):
    """Hold the fields that completions and chats share."""

    model: Name
    n: Annotated[int, Ge(1), Le(MOST_ANSWERS)] | None = None
    temperature: Annotated[float, Ge(0), Le(100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Ge(-(2**63)), Le(2**63 - 1)] | None = None
    stop: StopText | Stops | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    presence_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    frequency_penalty: Annotated[float, Ge(-2), Le(2)] | None = None
    logit_bias: Any = None
    # beyond OpenAI's, by the names that other servers have for them
    top_k: Annotated[int, Ge(-1), Le(2**31 - 1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    num_beams: Annotated[int, Ge(1), Le(MOST_BEAMS)] | None = None
    length_penalty: Annotated[float, Ge(-10), Le(10)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    no_repeat_ngram_size: Annotated[int, Ge(0), Le(MOST_TOKENS)] | None = None
    min_tokens: Annotated[int, Ge(0), Le(MOST_TOKENS)] | None = None

    @property
    def stops(self) -> list[str]:
        """Return the stop strings."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    def settings(self, run: ServedRun, most: int | None) -> DecodingSettings:
        """Return the run's decoding settings with what the client asks for.

        Args:
            run: What answers.
            most: The most tokens of an answer; None: by the run's settings.

        Raises:
            ApiError: A field is not supported.
            UsageError: Two settings contradict each other.
        """
        for name in ("presence_penalty", "frequency_penalty", "logit_bias"):
            if getattr(self, name):
                raise ApiError("{name} is not supported. Leave it out.", name=name).at(400, name)
        sampled = (
            self.temperature if self.temperature is not None else run.predictor.decoding.temperature
        )
        given: dict[str, Any] = {
            "temperature": self.temperature,
            "top_p": self.top_p or None,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "min_p": self.min_p,
            "seed": None if self.seed is None else self.seed % 2**63,
            "beams": self.num_beams or (1 if sampled else None),
            "length_penalty": self.length_penalty,
            "repetition_penalty": self.repetition_penalty,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "min_length": self.min_tokens,
            "max_length": most,
            "scores": True,
            "n_best": 1,
            "samples": 1,
            "compile": False,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        if most is not None:
            least = changes.get("min_length", run.predictor.decoding.min_length)
            changes["min_length"] = min(least, most)
        if self.stops:
            if run.spec.architecture != "decoder":
                raise ApiError(
                    "stop is for a run that continues a prompt; '{name}' does not use it.",
                    name=run.name,
                ).at(400, "stop")
            changes["stop"] = self.stops
        return run.predictor.settings(**changes)


class Completion(Writing):
    """Hold the body of /v1/completions."""

    prompt: Prompts = ""
    suffix: str | None = None
    max_tokens: Annotated[int, Ge(0), Le(MOST_TOKENS)] | None = None
    echo: bool | None = False
    logprobs: Annotated[int, Ge(0), Le(MOST_TOP)] | None = None
    best_of: Annotated[int, Ge(1), Le(MOST_ANSWERS)] | None = None


class ResponseFormat(Body):
    """Hold the form that an answer must have."""

    type: str = "text"


class Chat(Writing):
    """Hold the body of /v1/chat/completions."""

    messages: Annotated[
        list[dict[str, Any]], Field(fail_fast=True, min_length=1, max_length=MOST_MESSAGES)
    ]
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = False
    top_logprobs: Annotated[int, Ge(0), Le(MOST_TOP)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: ResponseFormat | None = None
    sources: bool | None = None  # beyond OpenAI's: false answers without the index


class Embedding(Body):
    """Hold the body of /v1/embeddings."""

    model: Name
    input: Inputs
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Annotated[int, Ge(1), Le(2**20)] | None = None


def several(given: str | list[int] | list[str] | list[list[int]]) -> list[str | list[int]]:
    """Return one or several texts, or lists of ids, as a list of them."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return [given]  # type: ignore[list-item]
    return list(given)  # type: ignore[arg-type]
