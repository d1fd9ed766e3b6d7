"""Turn errors into HTTP: the status, what is wrong, and the body that a dialect's clients read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from ..errors import TriptychError
from ..inference.engine.tickets import Busy, Cancelled, EngineError, Late
from ..messages import in_language, language_of


class ApiError(TriptychError):
    """Report an HTTP request that cannot be answered, with a status other than that of its class.

    `status` and `param`, the field that is wrong, are attributes, so that the text stays a message.
    """

    status = 400
    param: str | None = None

    def at(self, status: int, param: str | None = None) -> ApiError:
        """Return this error with its status, and with the field that is wrong."""
        self.status, self.param = status, param
        return self


@dataclass(frozen=True, slots=True)
class Problem:
    """Describe an error to a dialect.

    Args:
        status: Of the answer.
        text: A sentence.
        kind: A name for programs, as the clients of OpenAI know them.
        param: The field that is wrong.
        headers: Of the answer.
    """

    status: int
    text: str
    kind: str = "invalid_request_error"
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


FLAG = re.compile(r"(?<![\w-])--([a-z][\w.-]*)")
SENTENCES = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
ErrorBody = Callable[[Problem], Any]
KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    499: "request_cancelled",
    500: "server_error",
    503: "server_error",
}


def problem_of(error: BaseException, language: str = "en") -> Problem:
    """Return what a client is told of an error; of one of our own bugs only that there is one.

    language: as `messages.language_of` returns it; what has no translation stays English.
    """
    headers: dict[str, str] = {}
    param = None
    if isinstance(error, ApiError):
        status, param = error.status, error.param
    elif isinstance(error, Busy):
        status, headers = 429, {"Retry-After": str(error.retry_after)}
    elif isinstance(error, Cancelled):
        status = 499  # the client has left, so nobody reads this
    elif isinstance(error, EngineError):
        status, headers = 503, {"Retry-After": "1" if isinstance(error, Late) else "5"}
    elif isinstance(error, TriptychError):
        status = 400
    else:
        return Problem(503, "The server could not answer this request.", "server_error")
    is_ours = isinstance(error, ApiError | EngineError)
    said = str(error) if language == "en" else in_language(error, language)
    text = said if is_ours else without_flags(said)
    text = text.encode("utf-8", "backslashreplace").decode()  # a client's half a character
    return Problem(status, text, KINDS.get(status, "invalid_request_error"), param, headers)


def asked_language(request: Request) -> str:
    """Return the language of errors that a client asks for first: "en", "zh_TW" or "zh_CN"."""
    first = request.headers.get("accept-language", "")[:100].split(",")[0]
    return language_of(first.partition(";")[0].strip())


def without_flags(text: str) -> str:
    """Return an error of the command line for a client, which has no options to give.

    The first sentence says what is wrong, and stays; a later one that names an option is left out.
    """
    text = text.replace("choose one with --to", "choose a target")
    first, *others = SENTENCES.split(text)
    kept = [FLAG.sub(r"\1", first), *(one for one in others if FLAG.search(one) is None)]
    return " ".join(kept)


def plain_body(problem: Problem) -> dict[str, Any]:
    """Return the body of OpenAI's errors, which is also that of unknown paths."""
    return {
        "error": {
            "message": problem.text,
            "type": problem.kind,
            "param": problem.param,
            "code": problem.status,
        }
    }
