"""Read questions on passages from the values of JSON, in any container that is usual.

SQuAD nests {"data": [{"paragraphs": [{"context", "qas": [...]}]}]}. A list of paragraphs with
"qas", and questions that carry their own "passage" or "context", are read under "data", in a list,
or alone. Answers are objects with text and offset, texts alone, an object of lists as `datasets`
writes it, or an `answer` beside its `answer_start`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..example import Example, OnProblem
from .answers import located
from .json_lines import brief, is_list, is_record, is_text

PASSAGES = ("passage", "context")
ANSWERS = ("answers", "answer", "answer_text")
STARTS = ("answer_start", "start")
# Fields that columns can name -> the key that is looked for first.
FIELDS = {
    "question": "question", "passage": "passage", "answer": "answers", "start": "answer_start",
}  # fmt: skip
Record = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class LocatedQuestion:
    """Hold one question, the article of its passage, and the answers with a wrong offset."""

    example: Example
    article: str = ""
    moved: tuple[str, ...] = ()  # a sentence for each answer that was found elsewhere
    recounted: tuple[str, ...] = ()  # for each whose offset does not count characters
    lost: tuple[str, ...] = ()  # for each that was not found


@dataclass(frozen=True, slots=True)
class QuestionReader:
    """Read the questions of one file.

    where: its name in messages. language: `source_language` of the Examples. unusable: gets the
    place and reason of each record without a question. columns: field (question, passage, answer,
    start) -> its key, where it is not one of the usual keys.
    """

    where: str
    language: str | None
    unusable: OnProblem
    columns: Mapping[str, str | int] = field(default_factory=dict[str, str | int])

    def questions(
        self, value: object, at: str, title: str = "", place: str | None = None
    ) -> Iterator[LocatedQuestion]:
        """Yield the questions in an article, a paragraph or a question with its own passage.

        at: the place in the file, "data[3]". place: the whole place in messages, if it is known.
        """
        if not is_record(value):
            self.unusable(
                place or f"{self.where}: {at}",
                f"there is no list under 'paragraphs': expected an object, got {brief(value)}.",
            )
            return
        values = self.named(value)
        passage = passage_of(values)
        if "paragraphs" in values:
            for number, one in enumerate(self._list(values, "paragraphs", at)):
                within = f"{at}.paragraphs[{number}]"
                yield from self._paragraph(one, within, str(values.get("title") or at))
        elif "qas" in values:
            yield from self._paragraph(values, at, title or at)
        elif is_text(passage):
            yield from self._question(values, passage, at, str(values.get("title") or title), place)
        elif passage is not None or "question" in values:
            self.unusable(
                place or self._place(values, at),
                "the passage (key 'passage' or 'context') is missing or is not a text.",
            )
        else:
            self.unusable(
                place or f"{self.where}: {at}",
                "there is no list under 'paragraphs', and no 'question' with a 'passage'; the "
                f"keys are {', '.join(values) or 'none'}.",
            )

    def named(self, value: Record) -> Record:
        """Return a record under the usual keys, which come before other usual ones.

        A usual key is not read in place of one that the user named and the record lacks.
        """
        keys = {name: str(key) for name, key in self.columns.items() if name in FIELDS}
        named = {FIELDS[name]: value[key] for name, key in keys.items() if key in value}
        lacking = {FIELDS[name] for name, key in keys.items() if key not in value}
        left = {key: one for key, one in value.items() if not named or key not in lacking}
        return {**left, **named}

    def _paragraph(self, value: object, at: str, title: str) -> Iterator[LocatedQuestion]:
        passage = passage_of(value) if is_record(value) else None
        if not is_text(passage):
            self.unusable(
                f"{self.where}: {at}",
                "the passage (key 'context') is missing or is not a text.",
            )
            return
        for number, one in enumerate(self._list(value, "qas", at)):
            within = f"{at}.qas[{number}]"
            if is_record(one):
                yield from self._question(one, passage, within, title, None)
            else:
                self.unusable(
                    f"{self.where}: {within}", "expected an object with question and answers."
                )

    def _question(
        self, values: Record, passage: str, at: str, title: str, place: str | None
    ) -> Iterator[LocatedQuestion]:
        """Read one question. An empty list, or one marked as impossible, has no answer."""
        place = place or self._place(values, at)
        question, impossible = values.get("question"), _truth(values.get("is_impossible"))
        if not is_text(question):
            self.unusable(place, "the question is missing or is not a text.")
            return
        if impossible is None:
            self.unusable(
                place,
                f"is_impossible is {brief(values['is_impossible'])}; it must be true or false.",
            )
            return
        try:
            answers: Sequence[object] = [] if impossible else answers_of(values)
        except ValueError as problem:
            self.unusable(place, str(problem))
            return
        found = located(answers, passage)
        example = Example(
            question=question,
            passage=passage,
            answers=found.answers,
            source_language=self.language,
            place=place,
        )
        yield LocatedQuestion(
            example, title, tuple(found.moved), tuple(found.recounted), tuple(found.lost)
        )

    def _place(self, values: Record, at: str) -> str:
        name = values.get("id")
        return f"{self.where}#{name}" if name not in (None, "") else f"{self.where}: {at}"

    def _list(self, values: object, key: str, at: str) -> list[object]:
        found = values.get(key) if is_record(values) else None
        if not is_list(found):
            self.unusable(f"{self.where}: {at}", f"there is no list under '{key}'.")
            return []
        return found


def passage_of(values: Record) -> object:
    """Return what is under the key of a passage, None if there is none."""
    return next((values[key] for key in PASSAGES if key in values), None)


def is_question(values: Record) -> bool:
    """Tell whether a record has the keys of a question with answers."""
    return "question" in values and any(key in values for key in (*ANSWERS, "is_impossible"))


def answers_of(values: Record) -> Sequence[object]:
    """Return the answers of a question, each an object with text and offset or its text alone.

    Raises ValueError with the reason if they cannot be read.
    """
    key = next((key for key in ANSWERS if key in values), "answers")
    answers = values.get(key)
    if is_record(answers):
        texts, starts = answers.get("text"), _start(answers)
        if is_list(texts):
            return _each(texts, starts)
        answers = [answers] if "text" in answers else None
    elif is_list(answers):
        starts = _start(values)
        return _each(answers, starts) if starts is not None and _texts(answers) else answers
    elif isinstance(answers, str):
        answers = [{"text": answers, "start": _start(values)}]
    if not is_list(answers):
        raise ValueError(
            'the answers are not a list of {"text", "answer_start"}; a question without an answer '
            "has an empty list."
        )
    return answers


def _texts(answers: Sequence[object]) -> bool:
    return all(isinstance(one, str) for one in answers)


def _start(values: Record) -> object:
    """Return the offset, or offsets, beside an answer; None if there are none."""
    return next((values[key] for key in STARTS if values.get(key) not in (None, "")), None)


def _each(texts: Sequence[object], starts: object) -> list[object]:
    """Join texts and their offsets. Raises ValueError if they are not as many."""
    if starts is None:
        return [{"text": text, "start": None} for text in texts]
    if not is_list(starts) or len(starts) != len(texts):
        has = f"{len(starts):,} offsets" if is_list(starts) else "offsets that are not a list"
        raise ValueError(f"the answers have {len(texts):,} texts and {has}; every text needs one.")
    return [{"text": text, "start": start} for text, start in zip(texts, starts, strict=True)]


def _truth(given: object) -> bool | None:
    """Read a JSON value as True (true, 1, "true"), False (false, 0, "false", missing) or None."""
    if isinstance(given, str):
        return {"true": True, "1": True, "false": False, "0": False, "": False}.get(
            given.strip().lower()
        )
    if given is None or (isinstance(given, bool | int | float) and given in (0, 1)):
        return bool(given)
    return None
