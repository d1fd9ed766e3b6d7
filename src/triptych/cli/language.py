"""Say messages, errors and help in the user's language: English, 繁體中文 or 简体中文.

TRIPTYCH_LANG, else LC_ALL, LC_MESSAGES and LANG decide. What has no translation stays English. Keys
of JSON, logs and files are never translated.
"""

from __future__ import annotations

import functools
import gettext
import os
from pathlib import Path
from typing import Literal

from ..messages import Message, filled

FOLDER = Path(__file__).parent.parent / "locale"
VARIABLES = ("TRIPTYCH_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
TRADITIONAL = ("hant", "tw", "hk", "mo")  # scripts and regions of a Chinese locale


def language() -> str:
    """Return "en", "zh_TW" or "zh_CN"."""
    given = next((value for name in VARIABLES if (value := os.environ.get(name))), "en")
    first, *others = given.lower().partition(".")[0].replace("-", "_").split("_")
    if first != "zh":
        return "en"
    is_traditional = set(others) & set(TRADITIONAL) and "hans" not in others
    return "zh_TW" if is_traditional else "zh_CN"


def page_language() -> Literal["en", "zh-Hant"]:
    """Return the language in which pages and pictures open: Chinese where messages are."""
    return "en" if language() == "en" else "zh-Hant"


@functools.cache
def catalog(name: str) -> gettext.NullTranslations:
    """Return the translations into a language; none for English."""
    if name == "en":
        return gettext.NullTranslations()
    return gettext.translation("triptych", FOLDER, [name], fallback=True)


def translated(text: object) -> str:
    """Return a text in the user's language, or as it is where there is no translation."""
    found = catalog(language())
    if not isinstance(text, Message):
        plain = str(text)
        return found.gettext(plain) if plain else plain
    template = found.gettext(text.template)
    if not text.values:
        return template
    return filled(template, {name: _value(value) for name, value in text.values.items()})


def help_text(text: str) -> str:
    """Return the help of an option in the user's language, with which the process began."""
    return translated(Message(text))


def _value(value: object) -> object:
    """Return a value of a template: sentences inside it, and errors, are translated too."""
    if isinstance(value, BaseException) and value.args and isinstance(value.args[0], Message):
        value = value.args[0]
    return translated(value) if isinstance(value, Message) else value
