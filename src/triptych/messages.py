"""Say something to a user in English, in a form that the command line can say in another language.

A `Message` is an ordinary English text that remembers its template and values, so that logs, tests
and JSON stay English, and only what is printed for a person is translated (cli/language.py). Text
that was put together from a Message and something else is an ordinary text, and stays English.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce


class Message(str):
    """Hold an English sentence with the template and the values that it was made of.

    template: the text with fields like {count:,}, which translations repeat. values: may be
    Messages themselves.
    """

    __slots__ = ("template", "values")

    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> Message:
        """Fill `template` with `values`; without values it is taken as it is."""
        made = super().__new__(cls, template.format(**values) if values else template)
        made.template, made.values = template, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        return (self.template,), self.values

    def __add__(self, other: str) -> Message:
        """Join two sentences; each is translated by itself."""
        return Message("{first}{second}", first=self, second=other)


message = Message  # marks a text for translation: docs/make_translations.py collects its calls


def listed(names: Iterable[str]) -> Message:
    """Join names as a list, with the commas of the user's language."""
    return _joined(names, message("{one}, {other}"))


def in_brief(text: str, most: int = 48) -> str:
    """Return a label of the data for a sentence: on one line, and cut if it is very long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def clauses(several: Iterable[str]) -> Message:
    """Join parts of a sentence with semicolons."""
    return _joined(several, message("{one}; {other}"))


def sentences(several: Iterable[str]) -> Message:
    """Join sentences, with a space between them where the user's language has one."""
    return _joined(several, message("{one} {other}"))


def _joined(parts: Iterable[str], template: Message) -> Message:
    found = [one if isinstance(one, Message) else Message("{text}", text=one) for one in parts]
    return reduce(
        lambda one, other: Message(template, one=one, other=other), found or [Message("")]
    )
