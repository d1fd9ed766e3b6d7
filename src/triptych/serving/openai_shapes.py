"""Write answers in the shapes that clients of OpenAI read."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..data.tokenizers.subwords import Tokenizer
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.scoring import TokenScores


@dataclass(slots=True)
class Answer:
    """Hold one answer to one prompt.

    Args:
        request: What was decoded.
        hidden: Tokens at the beginning of its prompt that the client did not send.
        echo: The text before the answer, if it is to be repeated.
        decoded: The answer; None: only the prompt is scored.
        scores: Of prompt and answer, if they are wanted.
        top: How many of the most probable tokens are named.
    """

    request: DecodingRequest
    hidden: int = 0
    echo: str = ""
    decoded: DecodedText | None = None
    scores: TokenScores | None = None
    top: int = 0
    echoes: bool = False
    prompt: Sequence[int] = field(default_factory=list)

    @property
    def finish_reason(self) -> str:
        """Return "stop" for an answer that ended by itself, else "length"."""
        return finish(self.decoded)

    @property
    def count(self) -> int:
        """Return how many tokens were written, the end included."""
        return 0 if self.decoded is None else len(self.decoded.token_log_probabilities)


def finish(decoded: DecodedText | None) -> str:
    """Return why an answer ended."""
    return "stop" if decoded is not None and decoded.finished else "length"


def written_ids(decoded: DecodedText | None, end_id: int) -> list[int]:
    """Return the tokens that were written, with the end if it was."""
    if decoded is None:
        return []
    ends = len(decoded.token_log_probabilities) > len(decoded.tokens)
    return [*decoded.tokens, *([end_id] if ends else [])]


def token_text(tokenizer: Tokenizer, number: int) -> str:
    """Return a token as text; one that no text can spell by its name."""
    return tokenizer.special_tokens.get(number) or tokenizer.decode([number])


def token_logprobs(answer: Answer, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the `logprobs` of a completion, of the prompt too where it is repeated."""
    assert answer.scores is not None, "scores were computed"
    ids = [*answer.prompt, *written_ids(answer.decoded, tokenizer.end_id)]
    first = answer.hidden if answer.echoes else len(answer.prompt) - 1
    known = answer.scores.log_probabilities[first:]  # of the tokens after the first one
    named = answer.scores.top[first:]
    # Of the first token of a text nothing is told.
    nats: list[float | None] = [None, *known] if answer.echoes else [*known]
    best: list[Any] = [None, *named] if answer.echoes else named
    shown = ids[first:] if answer.echoes else ids[first + 1 :]
    return named_logprobs(shown, nats, best, tokenizer, answer.top)


def named_logprobs(
    ids: Sequence[int],
    nats: Sequence[float | None],
    best: Sequence[Sequence[tuple[int, float]] | None],
    tokenizer: Tokenizer,
    top: int,
    place: int = 0,
) -> dict[str, Any]:
    """Return the `logprobs` of tokens of a completion, whose first is at a place of its text."""
    texts = [token_text(tokenizer, one) for one in ids]
    offsets = list[int]()
    for one in texts:
        offsets.append(place)
        place += len(one)
    named = [None if one is None else _by_text(one, tokenizer) for one in best]
    return {
        "tokens": texts,
        "token_logprobs": list(nats),
        "top_logprobs": named if top else None,
        "text_offset": offsets,
    }


def _by_text(top: Sequence[tuple[int, float]], tokenizer: Tokenizer) -> dict[str, float]:
    """Return the most probable tokens by their text; of several with one text the best."""
    found: dict[str, float] = {}
    for number, nats in top:
        found.setdefault(token_text(tokenizer, number), nats)
    return found


def chat_logprobs(answer: Answer, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the `logprobs` of a chat's answer."""
    ids = written_ids(answer.decoded, tokenizer.end_id)
    decoded, scores = answer.decoded, answer.scores
    assert decoded is not None, "a chat has an answer"
    nats = decoded.token_log_probabilities
    top: list[Any] = [[] for _ in ids]
    if scores is not None and answer.top:
        top = scores.top[-len(ids) :] if ids else []
    return chat_entries(ids, nats, top, tokenizer)


def chat_entries(
    ids: Sequence[int],
    nats: Sequence[float],
    top: Sequence[Sequence[tuple[int, float]]],
    tokenizer: Tokenizer,
) -> dict[str, Any]:
    """Return the `logprobs` of tokens of a chat's answer."""

    def entry(number: int, nats: float) -> dict[str, Any]:
        text = token_text(tokenizer, number)
        return {"token": text, "logprob": nats, "bytes": list(text.encode())}

    return {
        "content": [
            {**entry(number, own), "top_logprobs": [entry(*one) for one in best]}
            for number, own, best in zip(ids, nats, top, strict=True)
        ],
        "refusal": None,
    }


def usage(prompts: Sequence[Sequence[int]], answers: Sequence[Answer]) -> dict[str, int]:
    """Return how many tokens were read and written."""
    read, written = sum(map(len, prompts)), sum(one.count for one in answers)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


class Envelope:
    """Hold what all parts of one answer have in common."""

    def __init__(self, kind: str, model: str, prefix: str) -> None:
        self.values: dict[str, Any] = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }

    def of(self, choices: Sequence[Any], **more: Any) -> dict[str, Any]:
        """Return an answer, or a part of one."""
        return {**self.values, "choices": list(choices), **more}

    def part(self, choices: Sequence[Any], **more: Any) -> bytes:
        """Return a part as a server-sent event."""
        return event(self.of(choices, **more))


def event(value: Any) -> bytes:
    """Return a value as a server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
