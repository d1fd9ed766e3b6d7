"""Read the words of the phrasebook from `lexicon.toml`: nouns, verbs, adjectives and others.

Chinese is held as *atoms*: words in Traditional characters. `Lexicon.simplified` gives the
Simplified form of each, as the lexicon states it; nothing is converted by rule, so an atom that the
lexicon does not hold is a KeyError.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TypedDict

Entries = dict[str, list[str]]  # English -> its forms, as one line of the file lists them
_FUNCTION_WORDS = """
i you he she it we they me him her us them my your his our their who whose what where when why
how a an the this that these those some many no one two three four five six seven eight nine ten
eleven twelve twenty am is are do does did have has not don't doesn't didn't will cannot can
please let's and than more very too there to of for at in on under behind next front up with
from o'clock years time
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())


@dataclass(frozen=True, slots=True)
class Noun:
    """Hold a thing or a person; a mass noun has no plural and is counted in containers."""

    english: str
    plural: str  # "" for a mass noun
    chinese: str
    measure: str
    classes: frozenset[str]
    containers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verb:
    """Hold a verb or a whole activity, with the objects, places and uses that it allows.

    objects: classes of nouns; places: groups of places; uses: letters.
    """

    english: str
    third: str
    past: str
    going: str
    chinese: str
    objects: frozenset[str] = frozenset()
    places: tuple[str, ...] = ()
    uses: str = ""


@dataclass(frozen=True, slots=True)
class Adjective:
    """Hold an adjective.

    `attributive` is the form before a noun, "" if the adjective occurs only in the predicate.
    """

    english: str
    comparative: str
    chinese: str
    attributive: str
    classes: frozenset[str]
    color: bool = False


@dataclass(frozen=True, slots=True)
class Location:
    """Hold a place: `english` as after "to"; `preposition` as in "He is ... "."""

    english: str
    preposition: str
    chinese: str
    groups: frozenset[str]


@dataclass(slots=True)
class Lexicon:
    """Hold all entries by kind, in the order of the file, and the forms of every word."""

    simplified: dict[str, str] = field(default_factory=dict)
    # Inflected form -> dictionary form, in lower case.
    lemmas: dict[str, str] = field(default_factory=dict)
    # Dictionary form -> "noun", "verb" or "adjective".
    kinds: dict[str, str] = field(default_factory=dict)
    together: set[frozenset[str]] = field(default_factory=set)  # pairs that stay in training
    numbers: dict[str, str] = field(default_factory=dict)
    hours: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    kin: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    people: list[Noun] = field(default_factory=list)
    nouns: list[Noun] = field(default_factory=list)
    containers: dict[str, tuple[str, str]] = field(default_factory=dict)
    special: dict[str, Verb] = field(default_factory=dict)
    verbs: list[Verb] = field(default_factory=list)
    activities: list[Verb] = field(default_factory=list)
    adjectives: list[Adjective] = field(default_factory=list)
    weather: dict[str, str] = field(default_factory=dict)
    places: list[Location] = field(default_factory=list)
    sides: dict[str, tuple[str, list[Noun]]] = field(default_factory=dict)
    times: dict[str, dict[str, str]] = field(default_factory=dict)

    def chinese(self, hant: str, hans: str) -> str:
        """Add a pair of forms and return its atom, the Traditional form."""
        if self.simplified.setdefault(hant, hans) != hans:
            raise ValueError(
                f"The lexicon gives {hant} two Simplified forms: {self.simplified[hant]} and "
                f"{hans}."
            )
        return hant

    def word(self, kind: str, english: str, *forms: str) -> str:
        """Add the forms of an entry word by word: "took care of" has "took", a form of "take"."""
        base = [
            self.lemmas.get(token, token)
            for token in english.lower().split()
            if token not in FUNCTION_WORDS
        ]
        for form in (english, *filter(None, forms)):
            tokens = [token for token in form.lower().split() if token not in FUNCTION_WORDS]
            for token, lemma in zip(tokens, base, strict=True):
                if self.lemmas.setdefault(token, lemma) != lemma:
                    raise ValueError(
                        f"{token!r} is a form of both {lemma!r} and {self.lemmas[token]!r}."
                    )
        self.kinds.setdefault(base[-1], kind)
        self.together.update(frozenset((a, b)) for a in base for b in base if a != b)
        return english


class Grammar(TypedDict):
    """Describe the table of words that sentences are built with, in pairs of forms."""

    words: list[list[str]]
    measures: list[list[str]]


class LexiconFile(TypedDict):
    """Describe lexicon.toml: a table for each kind of word."""

    grammar: Grammar
    numbers: Entries
    hours: Entries
    names: Entries
    kin: Entries
    people: Entries
    nouns: Entries
    mass: Entries
    containers: Entries
    special: Entries
    verbs: Entries
    activities: Entries
    adjectives: Entries
    colors: Entries
    weather: Entries
    places: Entries
    sides: Entries
    times: dict[str, Entries]


def _things(lexicon: Lexicon, table: LexiconFile) -> None:
    for english, (hant, hans) in table["names"].items():
        lexicon.names[lexicon.word("noun", english)] = lexicon.chinese(hant, hans)
    for english, (hant, hans, owners) in table["kin"].items():
        lexicon.kin[lexicon.word("noun", english)] = (
            lexicon.chinese(hant, hans),
            tuple(owners.split()),
        )
    for section, entries in (("people", lexicon.people), ("nouns", lexicon.nouns)):
        for english, (plural, hant, hans, measure, classes) in table[section].items():
            lexicon.word("noun", english, plural)
            entries.append(
                Noun(
                    english,
                    plural,
                    lexicon.chinese(hant, hans),
                    measure,
                    frozenset(classes.split()),
                )
            )
    for english, (hant, hans, containers, classes) in table["mass"].items():
        lexicon.word("noun", english)
        noun = Noun(
            english,
            "",
            lexicon.chinese(hant, hans),
            "",
            frozenset(classes.split()),
            tuple(containers.split()),
        )
        lexicon.nouns.append(noun)
    for english, (plural, measure) in table["containers"].items():
        lexicon.containers[lexicon.word("container", english, plural)] = plural, measure


def _actions(lexicon: Lexicon, table: LexiconFile) -> None:
    for english, (third, past, hant, hans) in table["special"].items():
        lexicon.word("verb", english, third, past)
        lexicon.special[english] = Verb(english, third, past, "", lexicon.chinese(hant, hans))
    for english, (third, past, going, hant, hans, objects, places, uses) in table["verbs"].items():
        lexicon.word("verb", english, third, past, going)
        chinese = lexicon.chinese(hant, hans)
        taken = frozenset(objects.split())
        lexicon.verbs.append(
            Verb(english, third, past, going, chinese, taken, tuple(places.split()), uses)
        )
    for english, (third, past, going, hant, hans, places, uses) in table["activities"].items():
        kind = "noun" if len(english.split()) > 1 and english != "get up" else "verb"
        lexicon.word(kind, english, third, past, going)
        chinese = lexicon.chinese(hant, hans)
        lexicon.activities.append(
            Verb(english, third, past, going, chinese, frozenset(), tuple(places.split()), uses)
        )


def _circumstances(lexicon: Lexicon, table: LexiconFile) -> None:
    for english, (comparative, hant, hans, before_hant, before_hans, classes) in table[
        "adjectives"
    ].items():
        lexicon.word("adjective", english, comparative)
        before = lexicon.chinese(before_hant, before_hans) if before_hant else ""
        chinese = lexicon.chinese(hant, hans)
        lexicon.adjectives.append(
            Adjective(english, comparative, chinese, before, frozenset(classes.split()))
        )
    for english, (hant, hans, classes) in table["colors"].items():
        lexicon.word("adjective", english)
        chinese = lexicon.chinese(hant, hans)
        lexicon.adjectives.append(
            Adjective(english, "", chinese, chinese, frozenset(classes.split()), color=True)
        )
    for english, (hant, hans) in table["weather"].items():
        lexicon.weather[lexicon.word("adjective", english)] = lexicon.chinese(hant, hans)
    for english, (preposition, hant, hans, groups) in table["places"].items():
        lexicon.word("noun", english)
        lexicon.places.append(
            Location(english, preposition, lexicon.chinese(hant, hans), frozenset(groups.split()))
        )
    by_name = {noun.english: noun for noun in lexicon.nouns}
    for english, (hant, hans, landmarks) in table["sides"].items():
        lexicon.sides[english] = (
            lexicon.chinese(hant, hans),
            [by_name[name] for name in landmarks.split()],
        )
    for group, entries in table["times"].items():
        for english in entries:
            lexicon.word("time", english)
        lexicon.times[group] = {
            english: lexicon.chinese(*pair) for english, pair in entries.items()
        }


def _tie_narrow_words(lexicon: Lexicon, few: int = 5) -> None:
    """Keep pairs of words with few nouns in training, where they would otherwise hardly occur."""
    for word, classes in (
        *((verb.english, verb.objects) for verb in lexicon.verbs if "PEOPLE" not in verb.objects),
        *((adjective.english, adjective.classes) for adjective in lexicon.adjectives),
    ):
        nouns = [noun for noun in lexicon.nouns if noun.classes & classes]
        if len(nouns) <= few:
            lexicon.together.update(
                frozenset((lexicon.lemmas[word.split()[0]], noun.english.lower())) for noun in nouns
            )


@cache
def lexicon() -> Lexicon:
    """Return the packaged lexicon, read once."""
    text = (
        resources.files("triptych.data.phrasebook")
        .joinpath("lexicon.toml")
        .read_text(encoding="utf-8")
    )
    table = LexiconFile(**tomllib.loads(text))
    result = Lexicon()
    for hant, hans in (*table["grammar"]["words"], *table["grammar"]["measures"]):
        result.chinese(hant, hans)
    result.numbers = {english: result.chinese(*pair) for english, pair in table["numbers"].items()}
    result.hours = result.numbers | {
        english: result.chinese(*pair) for english, pair in table["hours"].items()
    }
    del result.hours["twenty"]
    _things(result, table)
    _actions(result, table)
    _circumstances(result, table)
    _tie_narrow_words(result)
    return result
