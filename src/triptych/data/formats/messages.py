"""Check conversations: messages with a role and a content. Imports no torch.

Roles and contents are read as other tools write them, too: `from` and `value` (ShareGPT), other
names of the roles, and a content that is a list of parts (OpenAI), whose texts are joined.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ...errors import DataError, UsageError, unknown
from .json_lines import brief, is_list, is_record

ROLES = ("system", "user", "assistant")
# Other names of the roles -> role.
NAMED = {
    "developer": "system",
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("model", "gpt", "chatgpt", "bing", "bard"), "assistant"),
}
TOOLS = (
    "tool", "function", "function_call", "function_response", "tool_call", "tool_response",
    "observation", "ipython",
)  # fmt: skip
CALLS = ("tool_calls", "function_call")  # keys of a turn that calls a tool
TEXT_PARTS = ("text", "input_text", "output_text")  # types of a part of a content
TOOL = "tool"  # the role of a tool's result, by its usual name
# Keys of a turn that a template may read. Those that are not texts are kept as JSON.
OF_TOOLS = ("tool_calls", "tool_call_id", "name")
# The key and value of a turn of the assistant that is read but not learnt from.
WEIGHT, UNLEARNT = "weight", "0"
Messages = list[dict[str, str]]


class Unusable(DataError):
    """Say why a record cannot be used; a file is read without it.

    reason: the same clause for all records with this fault, "a turn has no text".
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class UnknownRole(UsageError):
    """Say which role is not known; as `Unusable`."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


def messages_of(given: object, where: str, weights: bool = False, tools: bool = False) -> Messages:
    """Return the messages of a conversation: one user turn from a text, or a list of them.

    A list holds {"role", "content"} objects. A system message may only come first. One role may
    have several messages in a row; each is a turn of its own. weights: a turn of the assistant of
    weight 0 keeps it. tools: calls of tools and their results are kept, for a published template.

    Raises Unusable, a DataError, naming `where` and the key; UnknownRole, a UsageError.
    """
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not is_list(given):
        raise Unusable(
            f"{where}: messages must be a list, got {brief(given)}. Write "
            '[{"role": "user", "content": "..."}].',
            "the messages are not a list",
        )
    if not given:
        raise Unusable(
            f'{where}: messages is empty; a conversation has at least one {{"role", "content"}}.',
            "there are no messages",
        )
    found: Messages = []
    for number, one in enumerate(given):
        at = f"{where}: messages[{number}]"
        if not is_record(one):
            raise Unusable(
                f"{at} must be an object, got {brief(one)}. Write "
                '{"role": "user", "content": "..."}.',
                "a message is not an object",
            )
        of_tool = tools and (role_of(one) in TOOLS or any(one.get(key) for key in CALLS))
        found.append(_tool_message(one, at) if of_tool else _message(one, at, weights))
        if found[-1]["role"] == "system" and number:
            raise Unusable(
                f"{at} is a system message; it may only come first, as messages[0].",
                "a system message does not come first",
            )
    return found


def _message(turn: Mapping[str, object], at: str, weights: bool) -> dict[str, str]:
    role = role_of(turn)
    if role in TOOLS or any(turn.get(key) for key in CALLS):
        raise Unusable(
            f"{at} is a tool call or its result, which a chat does not learn.",
            "a turn is a tool call or its result",
        )
    if role not in ROLES:
        error = unknown("role", str(role), ROLES, f"({at}.role)")
        raise UnknownRole(str(error), f"the role {brief(role)} is not known")
    key = next((key for key in ("content", "value", "text") if key in turn), "content")
    content = turn.get(key)
    text = text_of({key: joined(content, f"{at}.{key}")} if key in turn else turn, key, at)
    message = {"role": role, "content": text}
    if weights and role == "assistant" and not _weight(turn, at):
        message[WEIGHT] = UNLEARNT
    return message


def _tool_message(turn: Mapping[str, object], at: str) -> dict[str, str]:
    """Return a call of tools, or the result of one; what is not a text is written as JSON."""
    role = role_of(turn)
    content = joined(turn.get("content"), f"{at}.content")
    found = {
        "role": TOOL if role in TOOLS else str(role),
        "content": content
        if isinstance(content, str)
        else ""
        if content is None
        else _json(content),
    }
    for key in OF_TOOLS:
        value = turn.get(key)
        if value is not None:
            found[key] = (
                _json(value) if key == "tool_calls" or not isinstance(value, str) else value
            )
    return found


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def tools_of(given: object, where: str) -> str:
    """Return the schemas of tools as JSON. Raises Unusable unless they are a list of objects."""
    if not is_list(given) or not all(is_record(one) for one in given):
        raise Unusable(
            f"{where}: tools must be a list of JSON schemas, got {brief(given)}.",
            "the tools are not a list of objects",
        )
    return _json(given)


def role_of(turn: Mapping[str, object]) -> str | None:
    """Return the role of a turn by our name, the name itself if it is not known, None for none."""
    given = turn.get("role", turn.get("from"))
    if not isinstance(given, str):
        return None if given is None else brief(given)
    name = given.strip().casefold()
    return NAMED.get(name, name if name in (*ROLES, *TOOLS) else given)


def joined(content: object, at: str) -> object:
    """Join the texts of a content that is a list of parts; return any other content as it is.

    Raises Unusable for a part that is not a text, like an image.
    """
    if not is_list(content):
        return content
    texts: list[str] = []
    for number, part in enumerate(content):
        kind = part.get("type", "text") if is_record(part) else None
        text = part.get("text") if is_record(part) and kind in TEXT_PARTS else part
        if not isinstance(text, str):
            shown = f"of the type {brief(kind)}" if isinstance(kind, str) else brief(part)
            raise Unusable(
                f"{at}[{number}] is a part {shown}; only parts with a text can be read.",
                f"a part of a content, {shown}, is not a text",
            )
        texts.append(text)
    return "\n".join(texts)


def _weight(turn: Mapping[str, object], at: str) -> bool:
    """Tell whether a turn is learnt from. Raises Unusable unless its weight is 0 or 1."""
    given = turn.get(WEIGHT)
    if given is None or (isinstance(given, bool | int | float) and given in (0, 1)):
        return given is None or bool(given)
    raise Unusable(
        f"{at}.{WEIGHT} is {brief(given)}; it must be 0 (read, but not learnt from) or 1.",
        "a weight is neither 0 nor 1",
    )


def is_learnt(message: Mapping[str, str]) -> bool:
    """Tell whether a chat learns to write a message: the assistant's, unless its weight is 0."""
    return message["role"] == "assistant" and message.get(WEIGHT) != UNLEARNT


def own_messages(messages: Sequence[Mapping[str, str]]) -> list[dict[str, object]]:
    """Write messages as JSONL has them."""
    return [{**one, WEIGHT: int(one[WEIGHT])} if WEIGHT in one else dict(one) for one in messages]


def text_of(values: Mapping[str, object], key: str, where: str) -> str:
    """Return the stripped text under a key. Raises Unusable if it is missing or not valid text."""
    value = values.get(key)
    if not isinstance(value, str):
        there = f"there are {', '.join(values)}" if key not in values else f"it is {brief(value)}"
        raise Unusable(
            f"{where}: there is no text under the key '{key}'; {there}.",
            f"there is no text under the key '{key}'",
        )
    if not value.strip():
        raise Unusable(f"{where}.{key} is empty; every turn needs text.", f"'{key}' is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unusable(
            f"{where}.{key} holds half a character (a lone surrogate, \\ud800 to \\udfff), which "
            "UTF-8 text cannot hold.",
            "a text holds half a character",
        ) from None
    return value.strip()
