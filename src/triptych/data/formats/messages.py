"""Check conversations: messages with a role and a content. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import DataError, unknown
from .json_lines import brief

ROLES = ("system", "user", "assistant")
Messages = list[dict[str, str]]


def messages_of(given: object, where: str) -> Messages:
    """Return the messages of a conversation: one user turn from a text, or a list of them.

    A list holds {"role", "content"} objects. A system message may only come first. One role may
    have several messages in a row; each is a turn of its own. Raises DataError naming `where` and
    the key, UsageError for an unknown role.
    """
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise DataError(
            f"{where}: messages must be a list, got {brief(given)}. Write "
            '[{"role": "user", "content": "..."}].'
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
                f"{at} must be an object, got {brief(one)}. Write "
                '{"role": "user", "content": "..."}.'
            )
        role = one.get("role")
        if role not in ROLES:
            raise unknown("role", str(role), ROLES, f"({at}.role)")
        if role == "system" and number:
            raise DataError(f"{at} is a system message; it may only come first, as messages[0].")
        found.append({"role": role, "content": text_of(one, "content", at)})
    return found


def text_of(values: Mapping[str, object], key: str, where: str) -> str:
    """Return the stripped text under a key. Raises DataError if it is missing or not valid text."""
    value = values.get(key)
    if not isinstance(value, str):
        there = f"there are {', '.join(values)}" if key not in values else f"it is {brief(value)}"
        raise DataError(f"{where}: there is no text under the key '{key}'; {there}.")
    if not value.strip():
        raise DataError(f"{where}.{key} is empty; every turn needs text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{where}.{key} holds half a character (a lone surrogate, \\ud800 to \\udfff), which "
            "UTF-8 text cannot hold."
        ) from None
    return value.strip()
