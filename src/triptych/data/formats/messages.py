"""A conversation as data: messages with a role and a content, checked in one place. Imports no
torch.
"""

from __future__ import annotations

from typing import Any

from ...errors import DataError, unknown

ROLES = ("system", "user", "assistant")
Messages = list[dict[str, str]]


def messages_of(given: Any, where: str) -> Messages:
    """The messages of a conversation: a text alone is one turn of the user, else a list of {"role",
    "content"}.

    A system message may only stand first. One role may speak several times in a row; each message
    is a turn of its own. Raises DataError naming `where` and the key, UsageError for an unknown
    role.
    """
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise DataError(
            f'{where}: messages is no list but {type(given).__name__}. Write [{{"role": "user", '
            '"content": "..."}].'
        )
    if not given:
        raise DataError(
            f'{where}: messages is empty; a conversation has at least one {{"role", "content"}}.'
        )
    found = []
    for number, one in enumerate(given):
        at = f"{where}: messages[{number}]"
        if not isinstance(one, dict):
            raise DataError(
                f'{at} is no object but {type(one).__name__}. Write {{"role": "user", "content": '
                '"..."}.'
            )
        role = one.get("role")
        if role not in ROLES:
            raise unknown("role", str(role), ROLES, f"({at}.role)")
        if role == "system" and number:
            raise DataError(f"{at} is a system message; it may only stand first, as messages[0].")
        found.append({"role": role, "content": text_of(one, "content", at)})
    return found


def text_of(values: dict[str, Any], key: str, where: str) -> str:
    """The text under a key, without white space around it. Raises DataError where there is none, or
    half a character in it.
    """
    value = values.get(key)
    if not isinstance(value, str):
        there = (
            f"there are {', '.join(values)}"
            if key not in values
            else f"it is {type(value).__name__}"
        )
        raise DataError(f"{where}: there is no text under the key '{key}'; {there}.")
    if not value.strip():
        raise DataError(f"{where}.{key} is empty; a turn has words.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{where}.{key} holds half a character (a lone surrogate, \\ud800 to \\udfff), which "
            "no UTF-8 text can."
        ) from None
    return value.strip()
