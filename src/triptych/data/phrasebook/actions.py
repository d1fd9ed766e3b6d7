"""Generate sentences about what people do, did, want and ask for.

The conventions are listed in `grammar`.
"""

from __future__ import annotations

from triptych.data.phrasebook.lexicon import Verb
from triptych.data.phrasebook.phrases import NounPhrases, Phrase, Subject, Where, ask, tell

WHO = Subject("who", ("誰",), "is")
WE = Subject("we", ("我們",), "are")
YOU = Subject("you", ("你",), "are")
MODALS = (("want", "想"), ("like", "喜歡"), ("will", "會"), ("can", "會"))


class Actions(NounPhrases):
    """Generate one sentence with each method."""

    # Parts of clauses.

    def action(
        self, use: str, subject: Subject, kinds: str, verbs: list[Verb] | None = None
    ) -> tuple[Verb, Phrase]:
        """Pick a verb and its object, with a leading space, or an activity and an empty object."""
        if verbs is None and use in "hpgmc" and self.maybe(0.3):
            return self.deal(f"do {use}", self.doable[use]), Phrase("", ())
        verb = verbs[0] if verbs else self.deal(f"use {use}", self.usable[use])
        thing = self.object(verb, subject, "gd" if "s" in verb.uses else kinds)
        return verb, Phrase(f" {thing.english}", thing.chinese)

    def around(
        self, subject: Subject, verb: Verb, times: str, place: float = 0.3, time: float = 0.5
    ) -> Where:
        if "s" in verb.uses:
            return Where("", (), ())
        return self.circumstances(subject, verb, times, place, time)

    # The present, past and progressive.

    def habit(self) -> Phrase:
        subject = self.subject()
        verb, thing = self.action("h", subject, "g")
        if "s" not in verb.uses and self.maybe(0.25):
            often, atom = self.pick(self.times["frequency"])
            around = self.around(subject, verb, "")
            english = (
                f"{subject.english} {often} {subject.verb(verb)}{thing.english}{around.english}"
            )
            return tell(english, subject.chinese, atom, around.around, verb.chinese, thing.chinese)
        around = self.around(subject, verb, "habit")
        if (
            around.time
            and verb.objects
            and not verb.objects & {"PEOPLE", "language"}
            and self.maybe(0.3)
        ):
            verb, thing = self.action("h", subject, "c", [verb])
        english = f"{subject.english} {subject.verb(verb)}{thing.english}{around.english}"
        return tell(
            english, subject.chinese, around.time, around.around, verb.chinese, thing.chinese
        )

    def habit_negative(self) -> Phrase:
        subject = self.subject()
        verb, thing = self.action("h", subject, "g")
        around = self.around(subject, verb, "", place=0.15)
        english = (
            f"{subject.english} {self.no(subject.do)} {verb.english}{thing.english}{around.english}"
        )
        return tell(english, subject.chinese, "不", around.around, verb.chinese, thing.chinese)

    def habit_question(self) -> Phrase:
        subject = self.subject(asked=True)
        verb, thing = self.action("h", subject, "g")
        around = self.around(subject, verb, "habit", time=0.3)
        english = f"{subject.do} {subject.english} {verb.english}{thing.english}{around.english}"
        return ask(
            english, subject.chinese, around.time, around.around, verb.chinese, thing.chinese, "嗎"
        )

    def past(self) -> Phrase:
        subject = self.subject()
        verb, thing = self.action("p", subject, "ccdg")
        # The past of "read" and "cut" shows only in the time beside them.
        around = self.around(subject, verb, "past", time=1.0 if verb.past == verb.english else 0.7)
        english = f"{subject.english} {verb.past}{thing.english}{around.english}"
        return tell(
            english, subject.chinese, around.time, around.around, verb.chinese, "了", thing.chinese
        )

    def past_negative(self) -> Phrase:
        subject = self.subject()
        verb, thing = self.action("p", subject, "gd")
        around = self.around(subject, verb, "past", place=0.15)
        english = (
            f"{subject.english} {self.no('did')} {verb.english}{thing.english}{around.english}"
        )
        return tell(
            english, subject.chinese, around.time, "沒", around.around, verb.chinese, thing.chinese
        )

    def past_question(self) -> Phrase:
        subject = self.subject(asked=True)
        verb, thing = self.action("p", subject, "gd")
        around = self.around(subject, verb, "past", place=0.2)
        english = f"did {subject.english} {verb.english}{thing.english}{around.english}"
        return ask(
            english,
            subject.chinese,
            around.time,
            around.around,
            verb.chinese,
            thing.chinese,
            "了",
            "嗎",
        )

    def going(self) -> Phrase:
        subject = self.subject()
        verb, thing = self.action("g", subject, "gdc")
        now, time = (" now", ("現在",)) if self.maybe(0.3) else ("", ())
        english = f"{subject.english} {subject.be} {verb.going}{thing.english}{now}"
        return tell(english, subject.chinese, time, "在", verb.chinese, thing.chinese)

    def going_negative(self) -> Phrase:
        subject = self.subject()
        verb, thing = self.action("g", subject, "gd")
        now, time = (" now", ("現在",)) if self.maybe(0.3) else ("", ())
        english = f"{subject.english} {subject.be} not {verb.going}{thing.english}{now}"
        return tell(english, subject.chinese, time, "沒", "在", verb.chinese, thing.chinese)

    def going_question(self) -> Phrase:
        subject = self.subject(asked=True)
        verb, thing = self.action("g", subject, "gd")
        now, time = (" now", ("現在",)) if self.maybe(0.3) else ("", ())
        english = f"{subject.be} {subject.english} {verb.going}{thing.english}{now}"
        return ask(english, subject.chinese, time, "在", verb.chinese, thing.chinese, "嗎")

    def liking(self) -> Phrase:
        """Make a sentence such as "I like dogs"."""
        kind = self.number(5)
        subject = self.subject(0.6, asked=kind == 0)
        verb = self.likes[0] if self.maybe(0.85) else self.likes[1]
        thing = self.object(verb, subject, "g")
        if kind == 0:
            return ask(f"{subject.do} {subject.english} {verb.english} {thing.english}",
                       subject.chinese, verb.chinese, thing.chinese, "嗎")  # fmt: skip
        if kind == 1:
            english = f"{subject.english} {self.no(subject.do)} {verb.english} {thing.english}"
            return tell(english, subject.chinese, "不", verb.chinese, thing.chinese)
        english = f"{subject.english} {subject.verb(verb)} {thing.english}"
        return tell(english, subject.chinese, verb.chinese, thing.chinese)

    # Modal verbs.

    def modal_clause(
        self, subject: Subject, kinds: str
    ) -> tuple[str, str, str, Where, Verb, Phrase]:
        """Pick a modal, its Chinese, verb and object in English, circumstances, verb, object."""
        modal, chinese = self.pick(MODALS)
        verb, thing = self.action(
            "c" if modal == "can" else "m", subject, "g" if modal in ("can", "like") else kinds
        )
        if modal in ("want", "will"):
            around = self.around(subject, verb, "future")
        else:
            around = self.around(subject, verb, "", place=0.2 if modal == "like" else 0.0)
        if modal == "can":
            around = Where("", (), ())
        return modal, chinese, f"{verb.english}{thing.english}{around.english}", around, verb, thing

    def modal(self) -> Phrase:
        subject = self.subject()
        modal, chinese, rest, around, verb, thing = self.modal_clause(subject, "gdc")
        if modal in ("want", "like"):
            modal = f"{modal}s to" if subject.third else f"{modal} to"
        english = f"{subject.english} {modal} {rest}"
        return tell(
            english,
            subject.chinese,
            around.time,
            chinese,
            around.around,
            verb.chinese,
            thing.chinese,
        )

    def modal_negative(self) -> Phrase:
        subject = self.subject()
        modal, chinese, rest, around, verb, thing = self.modal_clause(subject, "gd")
        negated = {"will": "will not", "can": "cannot"}.get(
            modal
        ) or f"{self.no(subject.do)} {modal} to"
        english = f"{subject.english} {negated} {rest}"
        return tell(
            english,
            subject.chinese,
            around.time,
            "不",
            chinese,
            around.around,
            verb.chinese,
            thing.chinese,
        )

    def modal_question(self) -> Phrase:
        subject = self.subject(asked=True)
        modal, chinese, rest, around, verb, thing = self.modal_clause(subject, "gd")
        if modal in ("want", "like"):
            english = f"{subject.do} {subject.english} {modal} to {rest}"
        else:
            english = f"{modal} {subject.english} {rest}"
        return ask(
            english,
            subject.chinese,
            around.time,
            chinese,
            around.around,
            verb.chinese,
            thing.chinese,
            "嗎",
        )

    def request(self) -> Phrase:
        verb, thing = self.action("r", YOU, "gd")
        if self.maybe(0.3):
            return tell(
                f"please {self.no('do')} {verb.english}{thing.english}",
                "請",
                "不要",
                verb.chinese,
                thing.chinese,
            )
        return tell(f"please {verb.english}{thing.english}", "請", verb.chinese, thing.chinese)

    def proposal(self) -> Phrase:
        verb, thing = self.action("m", WE, "gd")
        around = self.around(WE, verb, "future")
        english = f"let's {verb.english}{thing.english}{around.english}"
        return tell(english, "我們", around.time, around.around, verb.chinese, thing.chinese, "吧")

    def give(self) -> Phrase:
        subject = self.subject()
        receiver = self.other_person(subject)
        noun = self.deal("given", self.by_class["small"])
        when, time = self.pick(self.times["past"])
        if self.maybe(0.3):
            when, atoms = "", ()
        else:
            when, atoms = f" {when}", (time,)
        if self.maybe(0.25):
            thing = self.definite(noun)
            english = (
                f"{subject.english} {self.no('did')} give {receiver.english} {thing.english}{when}"
            )
            return tell(
                english, subject.chinese, atoms, "沒", "給", receiver.chinese, thing.chinese
            )
        thing = self.counted(noun)
        english = f"{subject.english} gave {receiver.english} {thing.english}{when}"
        return tell(english, subject.chinese, atoms, "給", "了", receiver.chinese, thing.chinese)
