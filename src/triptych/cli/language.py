"""Say messages, errors and help in the user's language: English, 繁體中文 or 简体中文.

TRIPTYCH_LANG, else LC_ALL, LC_MESSAGES and LANG decide. What has no translation stays English. Keys
of JSON, logs and files are never translated.
"""

from __future__ import annotations

import os
from typing import Literal

from ..messages import FOLDER, Message, catalog, in_language, language_of

__all__ = ["FOLDER", "catalog", "help_text", "language", "page_language", "translated"]
VARIABLES = ("TRIPTYCH_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def language() -> str:
    """Return "en", "zh_TW" or "zh_CN"."""
    return language_of(next((value for name in VARIABLES if (value := os.environ.get(name))), "en"))


def page_language() -> Literal["en", "zh-Hant"]:
    """Return the language in which pages and pictures open: Chinese where messages are."""
    return "en" if language() == "en" else "zh-Hant"


def translated(text: object) -> str:
    """Return a text in the user's language, or as it is where there is no translation."""
    return in_language(text, language())


def help_text(text: str) -> str:
    """Return the help of an option in the user's language, with which the process began."""
    return translated(Message(text))
