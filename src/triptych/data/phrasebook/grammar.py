"""Generate questions and journeys, and choose patterns by weight.

There is one convention for each choice, so that an English sentence has exactly one translation:
generic nouns are bare (cats -> 貓); "a" is 一 + measure word, but bare where having is denied or
asked and in "is a teacher"; "the" is bare; kin of my, your, his and her takes no 的, every other
possession does; past is V了, denied 沒V, asked V...了嗎; the order is subject, time, company,
place, verb, object.
"""

from __future__ import annotations

from triptych.data.phrasebook.actions import WHO, Actions
from triptych.data.phrasebook.lexicon import Lexicon
from triptych.data.phrasebook.phrases import Phrase, ask, tell
from triptych.data.phrasebook.states import States

WEIGHTS = {
    "habit": 14,
    "habit_negative": 7,
    "habit_question": 7,
    "past": 13,
    "past_negative": 6,
    "past_question": 6,
    "liking": 8,
    "going": 8,
    "going_negative": 3,
    "going_question": 4,
    "modal": 11,
    "modal_negative": 5,
    "modal_question": 5,
    "own": 8,
    "own_negative": 4,
    "own_question": 4,
    "pair": 5,
    "profession": 7,
    "feeling": 5,
    "quality": 12,
    "comparison": 8,
    "specimen": 5,
    "possession": 6,
    "whose": 1,
    "position": 5,
    "existence": 5,
    "whereabouts": 4,
    "motion": 7,
    "origin": 3,
    "who": 4,
    "what": 3,
    "where": 3,
    "when": 2,
    "why": 2,
    "how_many": 2,
    "give": 4,
    "age": 1,
    "clock": 4,
    "weather": 3,
    "request": 4,
    "proposal": 3,
}


class Grammar(Actions, States):
    """Generate sentences; `draw()` chooses a pattern by weight."""

    def __init__(self, lexicon: Lexicon, seed: int) -> None:
        super().__init__(lexicon, seed)
        self.patterns = [
            getattr(self, name) for name, weight in WEIGHTS.items() for _ in range(weight)
        ]
        self.goals = [place for place in lexicon.places if place.groups - {"home", "place"}]
        self.things_done = [verb for verb in lexicon.verbs if "PEOPLE" not in verb.objects]

    def draw(self) -> Phrase:
        return self.pick(self.patterns)()

    def motion(self) -> Phrase:
        """Make a sentence such as "Tom goes to the park every day"."""
        subject = self.subject()
        place = self.pick(self.goals)
        kind = self.number(5 if subject.chinese[0][0] == "我" else 7)
        group = ("habit", "past", "past", "future", "future", "habit", "future")[kind]
        when, atom = self.pick(self.times[group])
        time: tuple[str, ...] = (atom,)
        goal, there = f"to {place.english} {when}", place.chinese
        if kind == 0:
            return tell(
                f"{subject.english} {'goes' if subject.third else 'go'} {goal}",
                subject.chinese,
                time,
                "去",
                there,
            )
        if kind == 1:
            return tell(f"{subject.english} went {goal}", subject.chinese, time, "去", "了", there)
        if kind == 2:
            return tell(
                f"{subject.english} {self.no('did')} go {goal}",
                subject.chinese,
                time,
                "沒",
                "去",
                there,
            )
        if kind == 3:
            return tell(
                f"{subject.english} will go {goal}", subject.chinese, time, "會", "去", there
            )
        if kind == 4:
            want = "wants" if subject.third else "want"
            return tell(
                f"{subject.english} {want} to go {goal}", subject.chinese, time, "想", "去", there
            )
        if kind == 5:
            return ask(
                f"{subject.do} {subject.english} go {goal}",
                subject.chinese,
                time,
                "去",
                there,
                "嗎",
            )
        return ask(
            f"will {subject.english} go {goal}", subject.chinese, time, "會", "去", there, "嗎"
        )

    def origin(self) -> Phrase:
        """Make a sentence such as "He lives in Beijing" or "She comes from China"."""
        subject = self.subject()
        verb = self.lexicon.special[self.pick(("live", "come"))]
        preposition = "in" if verb.english == "live" else "from"
        city = self.pick(self.by_group["city"])
        place = f"{preposition} {city.english}"
        kind = self.number(6 if subject.chinese[0][0] != "我" else 4)
        if kind == 0:
            return tell(f"{subject.english} {self.no(subject.do)} {verb.english} {place}",
                        subject.chinese, "不", verb.chinese, city.chinese)  # fmt: skip
        if kind == 4:
            return ask(f"{subject.do} {subject.english} {verb.english} {place}",
                       subject.chinese, verb.chinese, city.chinese, "嗎")  # fmt: skip
        if kind == 5:
            end = "" if verb.english == "live" else " from"
            return ask(
                f"where {subject.do} {subject.english} {verb.english}{end}",
                subject.chinese,
                verb.chinese,
                "哪裡",
            )
        return tell(
            f"{subject.english} {subject.verb(verb)} {place}",
            subject.chinese,
            verb.chinese,
            city.chinese,
        )

    def pair(self) -> Phrase:
        """Make a sentence such as "I like cats and dogs"."""
        subject = self.subject()
        verb = self.pick([verb for verb in self.usable["h"] if len(self.objects[verb.english]) > 3])
        nouns = self.objects[verb.english]
        first = self.pick(nouns)
        alike = [noun for noun in nouns if noun.classes & first.classes and noun != first]
        if not alike:
            return self.habit()
        one, two = self.generic(first), self.generic(self.pick(alike))
        if self.maybe(0.25):
            english = f"{subject.english} {self.no(subject.do)} {verb.english} {one.english}"
            return tell(english, subject.chinese, "不", verb.chinese, one.chinese)
        english = f"{subject.english} {subject.verb(verb)} {one.english} and {two.english}"
        return tell(english, subject.chinese, verb.chinese, one.chinese, "和", two.chinese)

    # Questions with question words.

    def who(self) -> Phrase:
        kind = self.number(6)
        if kind == 0:
            name, atom = self.pick(self.names)
            return ask(f"who is {name}", atom, "是", "誰")
        if kind == 1:
            place = self.pick(self.lexicon.places)
            return ask(f"who is {place.preposition} {place.english}", "誰", "在", place.chinese)
        if kind == 2:
            verb, thing = self.action("p", WHO, "cd")
            return ask(f"who {verb.past}{thing.english}", "誰", verb.chinese, "了", thing.chinese)
        if kind == 3:
            verb, thing = self.action("g", WHO, "gd")
            return ask(
                f"who is {verb.going}{thing.english}", "誰", "在", verb.chinese, thing.chinese
            )
        if kind == 4:
            verb, thing = self.action("c", WHO, "g")
            return ask(
                f"who can {verb.english}{thing.english}", "誰", "會", verb.chinese, thing.chinese
            )
        verb, thing = self.action("h", WHO, "g")
        return ask(f"who {verb.third}{thing.english}", "誰", verb.chinese, thing.chinese)

    def what(self) -> Phrase:
        subject = self.subject(asked=True)
        kind = self.number(4)
        use = "hgpm"[kind]
        verb = self.pick([verb for verb in self.things_done if use in verb.uses])
        if kind == 0:
            around = self.around(subject, verb, "habit")
            english = f"what {subject.do} {subject.english} {verb.english}{around.english}"
            return ask(english, subject.chinese, around.time, around.around, verb.chinese, "什麼")
        if kind == 1:
            return ask(
                f"what {subject.be} {subject.english} {verb.going}",
                subject.chinese,
                "在",
                verb.chinese,
                "什麼",
            )
        if kind == 2:
            around = self.around(subject, verb, "past")
            english = f"what did {subject.english} {verb.english}{around.english}"
            return ask(
                english, subject.chinese, around.time, around.around, verb.chinese, "了", "什麼"
            )
        around = self.around(subject, verb, "future")
        english = f"what {subject.do} {subject.english} want to {verb.english}{around.english}"
        return ask(english, subject.chinese, around.time, "想", around.around, verb.chinese, "什麼")

    def where(self) -> Phrase:
        subject = self.subject(asked=True)
        kind = self.number(4)
        if kind == 0:
            when, time = self.pick(self.times["past"])
            return ask(
                f"where did {subject.english} go {when}", subject.chinese, time, "去", "了", "哪裡"
            )
        if kind == 1:
            when, time = self.pick(self.times["future"])
            return ask(
                f"where {subject.do} {subject.english} want to go {when}",
                subject.chinese,
                time,
                "想",
                "去",
                "哪裡",
            )
        verb, thing = self.action("h" if kind == 2 else "m", subject, "g")
        if not verb.places or "s" in verb.uses:
            return self.where()
        want, chinese = ("", ()) if kind == 2 else ("want to ", ("想",))
        english = f"where {subject.do} {subject.english} {want}{verb.english}{thing.english}"
        return ask(english, subject.chinese, chinese, "在", "哪裡", verb.chinese, thing.chinese)

    def when(self) -> Phrase:
        subject = self.subject(asked=True)
        verb = self.pick(self.doable["h"])
        around = self.around(subject, verb, "", place=0.4)
        english = f"when {subject.do} {subject.english} {verb.english}{around.english}"
        return ask(english, subject.chinese, "什麼時候", around.around, verb.chinese)

    def why(self) -> Phrase:
        subject = self.subject(asked=True)
        kind = self.number(3)
        if kind == 0:
            adjective = self.pick(
                [adjective for adjective in self.human if not adjective.attributive]
            )
            return ask(
                f"why {subject.be} {subject.english} {adjective.english}",
                subject.chinese,
                "為什麼",
                adjective.chinese,
            )
        if kind == 1:
            place = self.pick(self.goals)
            want = f"why {subject.do} {subject.english} want to go to {place.english}"
            return ask(want, subject.chinese, "為什麼", "想", "去", place.chinese)
        verb, thing = self.action("h", subject, "g")
        no, denied = (" not", ("不",)) if self.maybe(0.3) else ("", ())
        english = f"why {subject.do} {subject.english}{no} {verb.english}{thing.english}"
        return ask(english, subject.chinese, "為什麼", denied, verb.chinese, thing.chinese)

    def clock(self) -> Phrase:
        """Make "It is three o'clock" or "Tom gets up at seven o'clock every day"."""
        hours = list(self.lexicon.hours.items())
        hour, atom = self.pick(hours)
        if self.maybe(0.1):
            return tell(f"it is {hour} o'clock now", "現在", atom, "點")
        subject = self.subject()
        verb = self.pick(self.doable["h"])
        if self.maybe(0.25) and subject.chinese[0][0] != "我":
            english = f"what time {subject.do} {subject.english} {verb.english}"
            return ask(english, subject.chinese, "幾點", verb.chinese)
        when, day = self.pick(self.days["habit"])
        english = f"{subject.english} {subject.verb(verb)} at {hour} o'clock {when}"
        return tell(english, subject.chinese, day, atom, "點", verb.chinese)
