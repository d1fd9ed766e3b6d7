"""Say something to a user in English, in a form that the command line can say in another language.

A `Message` is an ordinary English text that remembers its template and values, so that logs, tests
and JSON stay English, and only what is printed for a person is translated (cli/language.py). Text
that was put together from a Message and something else is an ordinary text, and stays English.
"""

from __future__ import annotations

import functools
import gettext
import re
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path

FOLDER = Path(__file__).parent / "locale"
TRADITIONAL = ("hant", "tw", "hk", "mo")  # scripts and regions of a Chinese locale


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
        made = super().__new__(cls, filled(template, values) if values else template)
        made.template, made.values = template, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, object]]:
        return (self.template,), self.values

    def __add__(self, other: str) -> Message:
        """Join two sentences; each is translated by itself."""
        return Message("{first}{second}", first=self, second=other)


# What is counted in our sentences, in the plural, and what may describe it.
# fmt: off
COUNTED = frozenset({
    "texts", "lines", "words", "tokens", "characters", "sentences", "pairs", "examples",
    "records", "questions", "conversations", "cues", "files", "folders", "trees", "columns",
    "keys", "rows", "labels", "classes", "entities", "threads", "cores", "steps", "epochs",
    "minutes", "hours", "seconds", "panels", "runs", "seeds", "models", "errors", "warnings",
    "problems", "places", "windows", "layers", "heads", "parameters", "updates", "prompts",
    "passages", "documents", "thresholds", "articles", "pieces",
    "parts", "blocks", "shards", "processes", "micro-batches", "actors"
})
# fmt: on
ADJECTIVES = "usable|validation|test|training|source|target|more|attention"
SINGULARS = {
    "classes": "class",
    "entities": "entity",
    "processes": "process",
    "micro-batches": "micro-batch",
}
_COUNT = re.compile(
    rf"\{{(\w+)(?::[^{{}}]*)?\}} (?:(?:{ADJECTIVES}) )?"
    rf"(?P<what>(?:{'|'.join(sorted(COUNTED))})\b|\{{(?P<field>\w+)\}})"
)
_CLAUSE = re.compile(r"(?:[^.,;:(){}]|\{[^{}]*\})*")
_PLURAL_VERB = re.compile(r"\b(are|have|were)\b")
_VERBS = {"are": "is", "have": "has", "were": "was"}


def filled(template: str, values: Mapping[str, object]) -> str:
    """Fill a template; what is counted in English is singular where there is one of it."""
    if any(type(value) is int and value == 1 for value in values.values()):
        counts = [*_COUNT.finditer(template)]
        for place in reversed(range(len(counts))):
            before = template[counts[place - 1].end() : counts[place].start()] if place else "."
            template = _in_number(template, counts[place], values, not _CLAUSE.fullmatch(before))
    return template.format(**values)


def _in_number(
    template: str, found: re.Match[str], values: Mapping[str, object], is_first: bool
) -> str:
    """Return the template with what is counted in the singular if the count is one.

    is_first: the count is the first of its clause, so that a verb belongs to it: "2 texts with 1
    token are left out".
    """
    field, count = found["field"], values.get(found[1])
    what = found["what"] if field is None else str(values.get(field, ""))
    word = what.split(" ")[0]
    if type(count) is not int or count != 1 or word not in COUNTED:
        return template
    one = SINGULARS.get(word, word.removesuffix("s")) + what[len(word) :]
    one = one if field is None else one.replace("{", "{{").replace("}", "}}")
    begin, end = found.span("what")
    clause = _CLAUSE.match(template, end)
    rest = "" if clause is None else clause[0]
    later = template[end + len(rest) :]
    if is_first:
        rest = _PLURAL_VERB.sub(lambda verb: _VERBS[verb[0]], rest, count=1)
    return f"{template[:begin]}{one}{rest}{later}"


message = Message  # marks a text for translation: docs/make_translations.py collects its calls


def listed(names: Iterable[str]) -> Message:
    """Join names as a list, with the commas of the user's language."""
    return _joined(names, message("{one}, {other}"))


def in_brief(text: str, most: int = 48) -> str:
    """Return a label of the data for a sentence: on one line, and cut if it is very long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def conjoined(names: Iterable[str]) -> Message:
    """Join names as a list with "and" between them."""
    return _joined(names, message("{one} and {other}"))


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


def language_of(locale: str) -> str:
    """Return "en", "zh_TW" or "zh_CN" for a locale like zh_TW.UTF-8 or a tag like zh-Hant."""
    first, *others = locale.lower().partition(".")[0].replace("-", "_").split("_")
    if first != "zh":
        return "en"
    is_traditional = set(others) & set(TRADITIONAL) and "hans" not in others
    return "zh_TW" if is_traditional else "zh_CN"


@functools.cache
def catalog(name: str) -> gettext.NullTranslations:
    """Return the translations into a language; none for English."""
    if name == "en":
        return gettext.NullTranslations()
    return gettext.translation("triptych", FOLDER, [name], fallback=True)


def in_language(text: object, name: str) -> str:
    """Return a text in a language, or as it is where there is no translation.

    Args:
        text: A Message, a plain text, or an error that holds one of them.
        name: As `language_of` returns it.
    """
    if isinstance(text, BaseException) and text.args:
        text = text.args[0]
    found = catalog(name)
    if not isinstance(text, Message):
        plain = str(text)
        return found.gettext(plain) if plain else plain
    template = found.gettext(text.template)
    if not text.values:
        return template
    return filled(template, {key: _value(value, name) for key, value in text.values.items()})


def _value(value: object, name: str) -> object:
    """Return a value of a template: sentences inside it, and errors, are translated too."""
    if isinstance(value, BaseException) and value.args and isinstance(value.args[0], Message):
        value = value.args[0]
    return in_language(value, name) if isinstance(value, Message) else value
