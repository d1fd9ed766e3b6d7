"""Generate sentences about what people and things are, have, and where they are.

The conventions are listed in `grammar`.
"""

from __future__ import annotations

from triptych.data.phrasebook.lexicon import Adjective, Lexicon, Noun
from triptych.data.phrasebook.phrases import (
    Atoms,
    NounPhrases,
    Phrase,
    Subject,
    article,
    ask,
    tell,
)


class States(NounPhrases):
    """Generate one sentence with each method."""

    def __init__(self, lexicon: Lexicon, seed: int) -> None:
        super().__init__(lexicon, seed)
        self.suiting = {
            adjective.english: [noun for noun in lexicon.nouns if noun.classes & adjective.classes]
            for adjective in lexicon.adjectives
        }
        self.applied = [
            adjective for adjective in lexicon.adjectives if self.suiting[adjective.english]
        ]
        self.attributive = [adjective for adjective in lexicon.adjectives if adjective.attributive]
        self.compared = [adjective for adjective in self.applied if adjective.comparative]

    # Belongings.

    def belongings(self) -> tuple[str, str, Noun]:
        """Pick a verb of having in English and Chinese, and a noun that suits it."""
        verb, chinese = self.pick(
            (("have", "有"), ("have", "有"), ("want", "想要"), ("need", "需要"))
        )
        classes = {
            "have": ("goods", "pet", "small", "close", "made"),
            "want": ("goods", "food", "drink", "meal", "pet"),
            "need": ("goods", "tool", "clothing", "device"),
        }
        name = self.pick(classes[verb])
        return verb, chinese, self.deal(f"own {name}", self.by_class[name])

    def own(self) -> Phrase:
        subject = self.subject()
        verb, chinese, noun = self.belongings()
        thing = self.counted(noun)
        form = subject.have if verb == "have" else verb + "s" * subject.third
        return tell(
            f"{subject.english} {form} {thing.english}", subject.chinese, chinese, thing.chinese
        )

    def one(self, verb: str, noun: Noun) -> Phrase:
        """Make the object of "own" that is denied or asked: a bare noun after 有."""
        if verb == "have" and noun.plural:
            return Phrase(article(noun.english), (noun.chinese,))
        return self.generic(noun) if verb == "have" or self.maybe(0.5) else self.definite(noun)

    def own_negative(self) -> Phrase:
        subject = self.subject()
        verb, chinese, noun = self.belongings()
        thing = self.one(verb, noun)
        english = f"{subject.english} {self.no(subject.do)} {verb} {thing.english}"
        return tell(
            english, subject.chinese, "沒有" if verb == "have" else ("不", chinese), thing.chinese
        )

    def own_question(self) -> Phrase:
        subject = self.subject(asked=True)
        verb, chinese, noun = self.belongings()
        thing = self.one(verb, noun)
        return ask(
            f"{subject.do} {subject.english} {verb} {thing.english}",
            subject.chinese,
            chinese,
            thing.chinese,
            "嗎",
        )

    def how_many(self) -> Phrase:
        subject = self.subject(asked=True)
        noun = self.pick(self.by_class[self.pick(("goods", "pet"))])
        if not noun.plural:
            return self.own_question()
        do, verb, chinese = self.pick(((subject.do, "have", ("有",)), ("did", "buy", ("買", "了"))))
        english = f"how many {noun.plural} {do} {subject.english} {verb}"
        return ask(english, subject.chinese, chinese, "幾", noun.measure, noun.chinese)

    def possession(self) -> Phrase:
        """Make "This is my book", "Those are not Tom's cats" or "Is that your father?"."""
        if self.maybe(0.12):
            thing, many = self.relative(), False
        else:
            noun = self.pick(self.by_class[self.pick(("goods", "small", "pet"))])
            many = not noun.plural or self.maybe(0.3)
            thing = self.owned(noun if not many else self.many(noun))
            many = many and thing.english.endswith(("s", "sheep"))
        word, pointer = self.pick(
            (("these", "這些"), ("those", "那些")) if many else (("this", "這"), ("that", "那"))
        )
        be = "are" if many else "is"
        kind = self.number(4)
        if kind == 0:
            return ask(f"{be} {word} {thing.english}", pointer, "是", thing.chinese, "嗎")
        if kind == 1:
            return tell(f"{word} {be} not {thing.english}", pointer, "不", "是", thing.chinese)
        return tell(f"{word} {be} {thing.english}", pointer, "是", thing.chinese)

    def many(self, noun: Noun) -> Noun:
        """Return the noun with its plural as English form."""
        return Noun(noun.plural or noun.english, "", noun.chinese, "", noun.classes)

    def whose(self) -> Phrase:
        noun = self.pick(self.by_class[self.pick(("goods", "small", "pet"))])
        if not noun.plural or self.maybe(0.3):
            word, pointer = self.pick((("these", "這些"), ("those", "那些")))
            return ask(
                f"whose {noun.plural or noun.english} are {word}",
                pointer,
                "是",
                "誰",
                "的",
                noun.chinese,
            )
        word, pointer = self.pick((("this", "這"), ("that", "那")))
        return ask(f"whose {noun.english} is {word}", pointer, "是", "誰", "的", noun.chinese)

    # Professions and qualities.

    def profession(self) -> Phrase:
        subject = self.subject(0.45)
        noun = self.deal("workers", self.workers)
        if subject.be == "are" and subject.english != "you":
            what, chinese = noun.plural, (noun.chinese,)
        elif self.maybe(0.25):
            one, _, atoms = self.described(noun, 1.0)
            what, chinese = article(one), ("一", noun.measure, *atoms)
        else:
            what, chinese = article(noun.english), (noun.chinese,)
        return self.being(subject, what, ("是", *chinese), ("不", "是", *chinese))

    def being(self, subject: Subject, what: str, chinese: Atoms, denied: Atoms) -> Phrase:
        """State, deny or ask what the subject is."""
        kind = self.number(5)
        if kind == 0 and subject.chinese not in (("我",), ("我們",)):
            return ask(f"{subject.be} {subject.english} {what}", subject.chinese, chinese, "嗎")
        if kind == 1:
            return tell(f"{subject.english} {subject.be} not {what}", subject.chinese, denied)
        return tell(f"{subject.english} {subject.be} {what}", subject.chinese, chinese)

    def feeling(self) -> Phrase:
        return self.quality_of(self.subject(0.45), self.deal("feeling", self.human))

    def quality_of(self, subject: Subject, adjective: Adjective) -> Phrase:
        """Say that it "is red", "is (very, too) big", "is not big", or ask "is ... big?"."""
        if adjective.color:
            chinese = (adjective.chinese, "的")
            return self.being(subject, adjective.english, ("是", *chinese), ("不", "是", *chinese))
        kind = self.number(10)
        english, atom = adjective.english, adjective.chinese
        if kind < 2 and subject.chinese not in (("我",), ("我們",)):
            return ask(f"{subject.be} {subject.english} {english}", subject.chinese, atom, "嗎")
        if kind < 4:
            return tell(
                f"{subject.english} {subject.be} not {english}", subject.chinese, "不", atom
            )
        if kind == 4:
            return tell(
                f"{subject.english} {subject.be} very {english}", subject.chinese, "非常", atom
            )
        if kind == 5:
            return tell(
                f"{subject.english} {subject.be} too {english}", subject.chinese, "太", atom, "了"
            )
        return tell(f"{subject.english} {subject.be} {english}", subject.chinese, "很", atom)

    def quality(self) -> Phrase:
        if self.maybe(0.12):
            place = self.pick(self.by_group[self.pick(("place", "city"))])
            wanted = "place" if "place" in place.groups else "city"
            suited = [
                adjective for adjective in self.lexicon.adjectives if wanted in adjective.classes
            ]
            return self.quality_of(
                Subject(place.english, (place.chinese,), "is"), self.pick(suited)
            )
        adjective = self.deal("quality", self.applied)
        return self.quality_of(
            self.topic(self.deal(f"{adjective.english} ones", self.suiting[adjective.english])),
            adjective,
        )

    def topic(self, noun: Noun) -> Subject:
        """Make a noun the subject of a quality: "this car", "those cars", "my tea", "Chinese"."""
        if noun.plural:
            phrase = self.pointed_many(noun) if self.maybe(0.2) else self.definite(noun)
            return Subject(phrase.english, phrase.chinese, "are" if phrase.plural else "is")
        phrase = self.generic(noun) if noun.classes & {"language", "study"} else self.owned(noun)
        return Subject(
            phrase.english,
            phrase.chinese,
            "are" if noun.english in ("shoes", "socks", "noodles") else "is",
        )

    def specimen(self) -> Phrase:
        """Make a sentence such as "This is a dangerous river"."""
        adjective = self.deal("specimen", self.attributive)
        described = (*self.lexicon.nouns, *self.lexicon.people)
        suiting = [noun for noun in described if noun.classes & adjective.classes and noun.plural]
        noun = self.deal(f"{adjective.english} specimens", suiting)
        word, pointer = self.pick((("this", "這"), ("that", "那")))
        chinese = (adjective.attributive, "的") if adjective.color else (adjective.attributive,)
        thing = article(f"{adjective.english} {noun.english}")
        return tell(f"{word} is {thing}", pointer, "是", "一", noun.measure, chinese, noun.chinese)

    def comparison(self) -> Phrase:
        """Make a sentence such as "Tom is taller than Mary"."""
        if self.maybe(0.4):
            first = self.subject(0.3)
            second = self.person()
            while second.chinese[-1] in first.chinese:
                second = self.person()
            adjective = self.deal(
                "surpassed", [adjective for adjective in self.human if adjective.comparative]
            )
        else:
            adjective = self.deal("compared", self.compared)
            noun = self.deal(f"{adjective.english} ones", self.suiting[adjective.english])
            first = other = self.topic(noun)
            while other.chinese == first.chinese or other.be != first.be:
                if noun.classes & {"language", "study"}:
                    noun = self.pick(self.by_class[self.pick(("language", "study"))])
                other = self.topic(noun)
            second = Phrase(other.english, other.chinese)
        english = f"{first.english} {first.be} {adjective.comparative} than {second.english}"
        return tell(english, first.chinese, "比", second.chinese, adjective.chinese)

    def age(self) -> Phrase:
        subject = self.subject(0.5, asked=True)
        # Only pronouns and short names: a mother is not three years old.
        while subject.be == "is" and len(subject.english) > 7:
            subject = self.subject(0.5, asked=True)
        if self.maybe(0.3):
            return ask(f"how old {subject.be} {subject.english}", subject.chinese, "幾歲")
        number, atom = self.pick(self.numbers)
        return tell(
            f"{subject.english} {subject.be} {number} years old", subject.chinese, atom, "歲"
        )

    # Places of people and things.

    def side(self) -> tuple[str, Atoms, Noun]:
        """Return, for example, "under the table", (桌子, 下面), the table."""
        preposition, (atom, landmarks) = self.pick(list(self.lexicon.sides.items()))
        landmark = self.pick(landmarks)
        return f"{preposition} the {landmark.english}", (landmark.chinese, atom), landmark

    def placed(self, landmark: Noun) -> Noun:
        """Pick a small thing or an animal that can be there."""
        while True:
            noun = self.pick(self.by_class[self.pick(("small", "small", "tame", "fruit"))])
            if noun != landmark:
                return noun

    def position(self) -> Phrase:
        where, atoms, landmark = self.side()
        noun = self.placed(landmark)
        thing = (
            Phrase(f"the {noun.english}", (noun.chinese,)) if self.maybe(0.5) else self.owned(noun)
        )
        subject = Subject(thing.english, thing.chinese, "is")
        if self.maybe(0.15):
            return ask(f"where is {thing.english}", thing.chinese, "在", "哪裡")
        return self.being(subject, where, ("在", *atoms), ("不", "在", *atoms))

    def existence(self) -> Phrase:
        where, atoms, landmark = self.side()
        noun = self.placed(landmark)
        kind = self.number(4)
        if kind == 0:
            return ask(f"is there {article(noun.english)} {where}", atoms, "有", noun.chinese, "嗎")
        if kind == 1:
            return tell(f"there are no {noun.plural} {where}", atoms, "沒有", noun.chinese)
        thing = self.counted(noun, described=0.15)
        return tell(
            f"there {'are' if thing.plural else 'is'} {thing.english} {where}",
            atoms,
            "有",
            thing.chinese,
        )

    def whereabouts(self) -> Phrase:
        """Make a sentence such as "Tom is at school"."""
        subject = self.subject()
        place = self.pick(self.lexicon.places)
        if self.maybe(0.1) and subject.chinese not in (("我",), ("我們",)):
            return ask(f"where {subject.be} {subject.english}", subject.chinese, "在", "哪裡")
        now, time = (" now", ("現在",)) if self.maybe(0.3) else ("", ())
        where, atoms = f"{place.preposition} {place.english}{now}", ("在", place.chinese)
        return self.being(subject, where, (*time, *atoms), (*time, "不", *atoms))

    def weather(self) -> Phrase:
        place = self.pick(self.by_group["city"])
        where, atom = (f" in {place.english}", (place.chinese,)) if self.maybe(0.7) else ("", ())
        if self.maybe(0.5):
            adjective, chinese = self.pick(list(self.lexicon.weather.items()))
            kind = self.number(4)
            if kind == 0:
                return ask(f"is it {adjective}{where} today", atom, "今天", chinese, "嗎")
            if kind == 1:
                return tell(f"it is not {adjective}{where} today", atom, "今天", "不", chinese)
            word, very = self.pick((("", "很"), ("very ", "非常")))
            return tell(f"it is {word}{adjective}{where} today", atom, "今天", very, chinese)
        verb = self.lexicon.special[self.pick(("rain", "snow"))]
        kind = self.number(4)
        tense = ("past", "future", "future", "frequency")[kind]
        when, time = self.pick(self.times[tense])
        if kind == 0:
            return tell(f"it {verb.past}{where} {when}", atom, time, verb.chinese, "了")
        if kind == 1:
            return tell(f"it will {verb.english}{where} {when}", atom, time, "會", verb.chinese)
        if kind == 2:
            return ask(
                f"will it {verb.english}{where} {when}", atom, time, "會", verb.chinese, "嗎"
            )
        if not where:
            return self.weather()
        return tell(f"it {when} {verb.third}{where}", atom, time, verb.chinese)
