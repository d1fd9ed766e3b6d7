"""Generate phrases in English and Chinese: who, what, when and where.

The conventions are listed in `grammar`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from triptych.data.phrasebook.lexicon import Adjective, Lexicon, Noun, Verb

T = TypeVar("T")
Atoms = tuple[str, ...]

VOWELS = tuple("aeiou")
A_IN_SPITE_OF_VOWEL = ("useful", "university")
PRONOUNS = {"I": "我", "you": "你", "he": "他", "she": "她", "we": "我們", "they": "他們"}
OBJECT_PRONOUNS = {"me": "我", "you": "你", "him": "他", "her": "她", "us": "我們", "them": "他們"}
POSSESSORS = {"my": "我", "your": "你", "his": "他", "her": "她", "our": "我們", "their": "他們"}


class Phrase(NamedTuple):
    """Hold English words and their Chinese atoms.

    plural: the phrase as an object takes "are" and "these".
    """

    english: str
    chinese: Atoms
    plural: bool = False


class Where(NamedTuple):
    """Hold circumstances: after the verb in English (with a leading space), before it in Chinese.

    In Chinese the time comes first.
    """

    english: str
    time: Atoms
    around: Atoms


class Subject(NamedTuple):
    """Hold a subject and its agreement in English: be is "am", "are" or "is"."""

    english: str
    chinese: Atoms
    be: str

    @property
    def third(self) -> bool:
        return self.be == "is"

    @property
    def do(self) -> str:
        return "does" if self.third else "do"

    @property
    def have(self) -> str:
        return "has" if self.third else "have"

    def verb(self, verb: Verb) -> str:
        return verb.third if self.third else verb.english


def article(following: str) -> str:
    """Return "a" or "an" and the words after it."""
    vowel = following.startswith(VOWELS) and not following.startswith(A_IN_SPITE_OF_VOWEL)
    return f"{'an' if vowel else 'a'} {following}"


def sentence(end: str, english: str, *chinese: str | Atoms) -> Phrase:
    """Build a sentence with a capital letter and a final mark; `end` is "." or "?"."""
    atoms: list[str] = []
    for part in chinese:
        if isinstance(part, str):
            atoms.append(part)
        else:
            atoms.extend(part)
    atoms.append("。" if end == "." else "？")
    return Phrase(english[0].upper() + english[1:] + end, tuple(atoms))


def tell(english: str, *chinese: str | Atoms) -> Phrase:
    return sentence(".", english, *chinese)


def ask(english: str, *chinese: str | Atoms) -> Phrase:
    return sentence("?", english, *chinese)


class StableRandom:
    """Sample the same values on every Python, which promises it of `Random.random` only."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random
        self._decks: dict[str, list[int]] = {}

    def pick(self, values: Sequence[T]) -> T:
        return values[int(self._random() * len(values))]

    def deal(self, key: str, values: Sequence[T]) -> T:
        """Pick from a shuffled deck, so that all values occur equally often.

        Each key must always come with the same values.
        """
        deck = self._decks.setdefault(key, [])
        if not deck:
            deck.extend(range(len(values)))
            for last in range(len(deck) - 1, 0, -1):
                other = self.number(last + 1)
                deck[last], deck[other] = deck[other], deck[last]
        return values[deck.pop()]

    def maybe(self, probability: float) -> bool:
        return self._random() < probability

    def number(self, below: int) -> int:
        return int(self._random() * below)


class NounPhrases(StableRandom):
    """Generate subjects, objects and circumstances."""

    def __init__(self, lexicon: Lexicon, seed: int) -> None:
        super().__init__(seed)
        self.lexicon = lexicon
        self.names = list(lexicon.names.items())
        self.kin = list(lexicon.kin.items())
        self.numbers = list(lexicon.numbers.items())
        self.pronouns = [
            Subject(word, (atom,), {"I": "am", "he": "is", "she": "is"}.get(word, "are"))
            for word, atom in PRONOUNS.items()
        ]
        self.others = [subject for subject in self.pronouns if subject.chinese[0][0] != "我"]
        nouns = lexicon.nouns
        self.by_class: dict[str, list[Noun]] = {}
        for noun in (*nouns, *lexicon.people):
            for name in sorted(noun.classes):
                self.by_class.setdefault(name, []).append(noun)
        self.objects = {
            verb.english: [noun for noun in nouns if noun.classes & verb.objects]
            for verb in lexicon.verbs
        }
        self.human = [adjective for adjective in lexicon.adjectives if "HUMAN" in adjective.classes]
        self.suited = {
            noun.english: [
                adjective for adjective in lexicon.adjectives if adjective.classes & noun.classes
            ]
            for noun in (*nouns, *lexicon.people)
        }
        self.by_group = {
            group: [place for place in lexicon.places if group in place.groups]
            for place in lexicon.places
            for group in place.groups
        }
        self.times = {group: list(entries.items()) for group, entries in lexicon.times.items()}
        whole = (
            "every day",
            "every Monday",
            "every Friday",
            "every Sunday",
            "yesterday",
            "tomorrow",
            "now",
            "today",
        )
        self.days = {
            group: [pair for pair in pairs if pair[0] in whole]
            for group, pairs in self.times.items()
        }
        self.workers = [noun for noun in lexicon.people if "work" in noun.classes]
        self.likes = [
            next(verb for verb in lexicon.verbs if verb.english == name)
            for name in ("like", "love")
        ]
        self.usable = {
            use: [verb for verb in lexicon.verbs if use in verb.uses] for use in "hpgmcr"
        }
        self.doable = {
            use: [verb for verb in lexicon.activities if use in verb.uses] for use in "hpgmc"
        }

    # Words that several sentences share.

    def no(self, word: str) -> str:
        """Return, for example, "do not" or "don't"."""
        return f"{word}n't" if self.maybe(0.25) else f"{word} not"

    # Persons.

    def relative(self) -> Phrase:
        english, (chinese, owners) = self.pick(self.kin)
        owner = self.pick(owners)
        return Phrase(f"{owner} {english}", (POSSESSORS[owner], chinese))

    def person(self) -> Phrase:
        """Pick one person who is not a pronoun: a name, kin, "the doctor", "my friend"."""
        kind = self.number(10)
        if kind < 4:
            name, chinese = self.pick(self.names)
            return Phrase(name, (chinese,))
        if kind < 6:
            return self.relative()
        noun = self.deal("people", self.lexicon.people)
        if "close" in noun.classes:
            return self.owned(noun, self.pick(list(POSSESSORS)))
        if self.maybe(0.3):
            return self.pointed(noun)
        return Phrase(f"the {noun.english}", (noun.chinese,))

    def subject(self, pronouns: float = 0.5, asked: bool = False) -> Subject:
        """Pick a subject; if it is `asked`, not "I" or "we": nobody is asked about himself."""
        if self.maybe(pronouns):
            return self.pick(self.others if asked else self.pronouns)
        if self.maybe(0.12):
            return self.couple() if self.maybe(0.6) else self.group()
        person = self.person()
        return Subject(person.english, person.chinese, "is")

    def group(self) -> Subject:
        people = self.pointed_many(self.deal("group", self.lexicon.people))
        return Subject(people.english, people.chinese, "are")

    def couple(self) -> Subject:
        first, second = self.pick(self.names), self.pick(self.names)
        while second == first:
            second = self.pick(self.names)
        return Subject(f"{first[0]} and {second[0]}", (first[1], "和", second[1]), "are")

    def other_person(self, subject: Subject) -> Phrase:
        """Pick a person as an object, other than the subject."""
        while True:
            if self.maybe(0.4):
                english, chinese = self.pick(list(OBJECT_PRONOUNS.items()))
                if chinese == subject.chinese[0] or {chinese, subject.chinese[0]} == {"我", "我們"}:
                    continue
                return Phrase(english, (chinese,))
            person = self.person()
            if person.chinese[-1] not in subject.chinese:
                return person

    # Objects.

    def generic(self, noun: Noun) -> Phrase:
        return Phrase(noun.plural or noun.english, (noun.chinese,), bool(noun.plural))

    def pointed(self, noun: Noun) -> Phrase:
        word, chinese = self.pick((("this", "這"), ("that", "那")))
        return Phrase(f"{word} {noun.english}", (chinese, noun.measure, noun.chinese))

    def pointed_many(self, noun: Noun) -> Phrase:
        word, chinese = self.pick((("these", "這些"), ("those", "那些")))
        return Phrase(f"{word} {noun.plural}", (chinese, noun.chinese), True)

    def owned(self, noun: Noun, owner: str = "") -> Phrase:
        if not owner and self.maybe(0.35):
            name, chinese = self.pick(self.names)
            return Phrase(f"{name}'s {noun.english}", (chinese, "的", noun.chinese))
        if not owner and self.maybe(0.2):
            relative = self.relative()
            return Phrase(
                f"{relative.english}'s {noun.english}", (*relative.chinese, "的", noun.chinese)
            )
        owner = owner or self.pick(list(POSSESSORS))
        return Phrase(f"{owner} {noun.english}", (POSSESSORS[owner], "的", noun.chinese))

    def adjective(self, noun: Noun) -> Adjective | None:
        """Pick an adjective that can come before this noun, if there is one."""
        suited = [adjective for adjective in self.suited[noun.english] if adjective.attributive]
        return self.deal(f"before {noun.english}", suited) if suited else None

    def described(self, noun: Noun, probability: float) -> tuple[str, str, Atoms]:
        """Return, for example, "red car", "red cars", (紅色, 的, 車)."""
        adjective = self.adjective(noun) if self.maybe(probability) else None
        if adjective is None:
            return noun.english, noun.plural, (noun.chinese,)
        chinese = (adjective.attributive, "的") if adjective.color else (adjective.attributive,)
        return (
            f"{adjective.english} {noun.english}",
            f"{adjective.english} {noun.plural}",
            (*chinese, noun.chinese),
        )

    def counted(self, noun: Noun, described: float = 0.25) -> Phrase:
        """Make a phrase such as "a cat", "two red cars", "some apples" or "a cup of tea"."""
        if noun.containers:
            container = self.deal(f"container of {noun.english}", noun.containers)
            plural, measure = self.lexicon.containers[container]
            one, many, atoms = (
                f"{container} of {noun.english}",
                f"{plural} of {noun.english}",
                (noun.chinese,),
            )
        elif noun.plural:
            one, many, atoms = self.described(noun, described)
            measure = noun.measure
        else:
            return Phrase(f"some {noun.english}", ("一些", noun.chinese))
        kind = self.number(10)
        if kind < 5:
            return Phrase(article(one), ("一", measure, *atoms))
        if kind < 9 or noun.containers:
            number, chinese = self.pick(self.numbers)
            return Phrase(f"{number} {many}", (chinese, measure, *atoms), True)
        word, chinese = self.pick((("some", "一些"), ("many", "很多")))
        return Phrase(f"{word} {noun.plural}", (chinese, noun.chinese), True)

    def definite(self, noun: Noun) -> Phrase:
        """Make a phrase such as "this book" or "my book"; a mass noun is bare."""
        if not noun.plural:
            return self.generic(noun)
        return self.pointed(noun) if self.maybe(0.5) else self.owned(noun)

    def object(self, verb: Verb, subject: Subject, kinds: str) -> Phrase:
        """Pick an object that suits the verb, of one kind: g generic, d definite, c counted."""
        nouns = self.objects[verb.english]
        if "PEOPLE" in verb.objects and (not nouns or self.maybe(0.4)):
            return self.other_person(subject)
        noun = self.deal(f"object of {verb.english}", nouns)
        if not noun.plural and not noun.containers:
            return self.generic(noun)
        kind = self.pick(kinds)
        return {"g": self.generic, "d": self.definite, "c": self.counted}[kind](noun)

    # Circumstances.

    def circumstances(
        self, subject: Subject, verb: Verb, times: str, place: float, time: float
    ) -> Where:
        """Pick place, time and company by their probabilities; a `times` of "" gives no time."""
        english, around = "", ()
        if "PEOPLE" not in verb.objects and "和" not in subject.chinese and self.maybe(0.08):
            name, atom = self.pick(self.names)
            if atom not in subject.chinese:
                english, around = f" with {name}", ("和", atom)
        if verb.places and self.maybe(place):
            where = self.pick(self.by_group[self.pick(verb.places)])
            english, around = (
                f"{english} {where.preposition} {where.english}",
                (*around, "在", where.chinese),
            )
        if times and self.maybe(time):
            when, atom = self.pick((self.days if "d" in verb.uses else self.times)[times])
            return Where(f"{english} {when}", (atom,), around)
        return Where(english, (), around)
