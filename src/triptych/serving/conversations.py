"""Turn a conversation into what a run reads, for every dialect that chats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..data.formats.messages import messages_of
from ..decoding.requests import DecodedText, DecodingRequest
from .problems import ApiError
from .served import ServedRun


def conversation(
    run: ServedRun, messages: Sequence[dict[str, Any]], tools: Sequence[Any] | None = None
) -> Any:
    """Return the messages for a run that chats, the user's last text for one that answers texts.

    Raises ApiError for a run that has no form for a conversation.
    """
    if run.predictor.task.input == "messages":
        return {"messages": messages, **({"tools": tools} if tools else {})}
    if run.spec.architecture == "decoder":
        raise ApiError(
            "'{name}' is a run for {task}, which has no form for a conversation. Ask it to "
            "continue a text.",
            name=run.name,
            task=run.spec.name,
        ).at(400, "model")
    return last_text(messages)


def last_text(messages: Sequence[dict[str, Any]]) -> str:
    """Return the last text of the user. Raises ApiError where there is none."""
    told = messages_of(messages, "The request")
    texts = [one["content"] for one in told if one["role"] == "user"]
    if not texts:
        raise ApiError("The conversation has no message of the user.").at(400, "messages")
    return texts[-1]


def said(request: DecodingRequest, decoded: DecodedText) -> str:
    """Return the text of an answer as the task reads it: a turn without space around it."""
    return decoded.text.strip() if request.strip else decoded.text
