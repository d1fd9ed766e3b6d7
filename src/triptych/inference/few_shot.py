"""Zero- and few-shot use of a language model: a prompt of worked examples, and labels judged by
their likelihood (Brown et al. 2020, section 2.4), so that a model can be tried on a classification
set without training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..data.example import Example
from ..data.formats.table_format import sniff
from ..data.load import reader_of
from ..data.table import DataTable
from ..decoding.scoring import answer_log_probabilities
from ..errors import DataError, UsageError

if TYPE_CHECKING:
    from .predictor import Predictor

TEMPLATE = "{text}\nLabel: {label}\n\n"
KEYS = (("text", "label"), ("input", "answer"))  # columns or keys of a file of examples
Normalise = Literal["sum", "token", "byte", "prior"]


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """How an example is written: what stands before the text, between it and the label, after the
    label.
    """

    before: str
    between: str
    after: str

    @classmethod
    def parse(cls, given: str) -> PromptTemplate:
        """From a text with {text} and then {label}, each once. Raises UsageError for others."""
        parts = re.split(r"\{(text|label)\}", given)
        if parts[1::2] != ["text", "label"]:
            raise UsageError(
                f"The template {given!r} must hold {{text}} and after it {{label}}, each once, "
                f"for example {TEMPLATE!r}."
            )
        if not parts[2]:
            raise UsageError(
                f"The template {given!r} has nothing between {{text}} and {{label}} that would "
                "tell them apart."
            )
        return cls(parts[0], parts[2], parts[4])

    def shown(self, example: Example) -> str:
        """A worked example."""
        return f"{self.before}{example.text}{self.between}{example.label}{self.after}"

    def question(self, text: str) -> str:
        """What stands before the label; a space before that belongs to the label's first word, as
        in running text.
        """
        return f"{self.before}{text}{self.between.rstrip(' ')}"

    def answer(self, label: str) -> str:
        """The label as it follows the question."""
        return " " * (len(self.between) - len(self.between.rstrip(" "))) + label


class FewShot:
    """Worked examples in a template, put before every text as far as the context has room for them.

    context: tokens that the model sees at once; encode: a text's ids.
    """

    def __init__(
        self, predictor: Predictor, examples: Sequence[Example], template: str = TEMPLATE
    ) -> None:
        if not predictor.task.spec.continues:
            raise UsageError(
                "Examples in a prompt are for a run that writes text; this one is for "
                f"{predictor.task.name}."
            )
        self.template, self.examples, self.predictor = (
            PromptTemplate.parse(template),
            list(examples),
            predictor,
        )
        self.encode, self.context = (
            predictor.tokenizers.target.encode,
            int(predictor.task.options["context"]),
        )
        self.lengths = [len(self.encode(self.template.shown(one))) for one in self.examples]

    @property
    def longest_answer(self) -> int:
        """Tokens of the longest answer among the examples."""
        return max(
            (len(self.encode(self.template.answer(one.label or ""))) for one in self.examples),
            default=0,
        )

    @property
    def stop(self) -> list[str] | None:
        """What ends an answer: the line, or what the template has after it where answers are of
        several lines.
        """
        after = self.template.after
        if after.startswith("\n") and not any("\n" in (one.label or "") for one in self.examples):
            return ["\n"]
        return [after] if after else None

    def ids(self, text: str, new: int) -> tuple[list[int], int]:
        """(begin and the prompt for `text`, how many examples it lacks, the first ones) with room
        for `new` more tokens.

        Where even the text alone is too long, its beginning is dropped and the number is that of
        all examples and one more.
        """
        room, question = max(1, self.context - new), self.template.question(text)
        kept, held = 0, len(self.encode(question)) + 1
        while kept < len(self.examples) and held + self.lengths[-kept - 1] <= room + len(
            self.examples
        ):
            # as if cut by itself: words that join at a border make it less, so look closely below
            held += self.lengths[-kept - 1]
            kept += 1
        while True:
            shown = self.examples[len(self.examples) - kept :]
            ids = self.predictor.tokenizers.target.prompt(
                "".join(map(self.template.shown, shown)) + question
            )
            if len(ids) <= room:
                return ids, len(self.examples) - kept
            if kept == 0:
                return ids[-room:], len(self.examples) + 1
            kept -= 1

    def blank(self, dropped: int) -> list[int]:
        """The ids of a prompt that lacks the first `dropped` examples, and asks about an empty
        text.
        """
        shown = "".join(map(self.template.shown, self.examples[dropped:]))
        return self.predictor.tokenizers.target.prompt(shown + self.template.question(""))

    def asked(self, example: Example, new: int) -> tuple[Example, int]:
        """The Example whose text is the prompt, and how many examples it lacks."""
        ids, dropped = self.ids(example.text or "", new)
        kept = self.examples[min(dropped, len(self.examples)) :]
        assert ids, "a prompt holds at least one token"
        text = "".join(map(self.template.shown, kept)) + self.template.question(example.text or "")
        return Example(text=text, place=example.place), min(dropped, len(self.examples))


def read_examples(path: str | Path) -> list[Example]:
    """Worked examples from TSV, CSV or JSONL: `text` and `label`, or `input` and `answer`, or the
    first two columns.

    Raises DataError naming file and line.
    """
    form = sniff(path, KEYS)
    fields = list(form.chosen) if form.chosen else None
    found = reader_of(("text", "label"))(
        [str(path)], DataTable(fields=fields), ("text", "label"), None
    )
    if not found:
        raise DataError(
            f"{path} holds no example. Write a text and its answer on a line, with a tab between "
            "them, or JSONL."
        )
    return found


def drawn(examples: Sequence[Example], count: int, seed: int = 1) -> list[Example]:
    """`count` examples by chance, the labels in turn, so that each has its share. Raises UsageError
    where there are too few.
    """
    if count > len(examples):
        raise UsageError(
            f"{count:,} examples are asked for, and there are {len(examples):,} to draw from. Ask "
            "for fewer."
        )
    generator = np.random.default_rng(seed)
    by_label: dict[str, list[Example]] = {}
    for place in generator.permutation(len(examples)).tolist():
        by_label.setdefault(examples[place].label or "", []).append(examples[place])
    names = sorted(by_label)
    chosen: list[Example] = []
    while len(chosen) < count:
        chosen += [by_label[name].pop() for name in names if by_label[name]]
    return [chosen[place] for place in generator.permutation(count).tolist()]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A text's label, and of every label the log-probability by which it was chosen. dropped:
    examples that had no room.
    """

    label: str
    scores: dict[str, float]
    dropped: int


def judge(
    shots: FewShot,
    texts: Sequence[str],
    choices: Mapping[str, str],
    normalise: Normalise = "sum",
    batch_tokens: int = 4096,
) -> list[Judgement]:
    """The most probable of `choices` (label -> the words that stand for it) for each text, by
    forced scoring in batches.

    normalise: log-probability of the whole answer ("sum"), its mean a token ("token") or a UTF-8
    byte ("byte"); or how much more probable the text makes the whole answer than the same prompt
    with an empty text does ("prior": Brown et al. 2020, section 2.4; Zhao et al. 2021, section 5),
    for a model that likes one answer whatever the text. Of equally probable labels the first wins.
    """
    if len(choices) < 2:
        raise UsageError(
            "There must be at least two labels to choose from; there is "
            f"{', '.join(choices) or 'none'}. Give --choices a,b."
        )
    empty = [label for label, words in choices.items() if not words.strip()]
    if empty:
        raise UsageError(f"The choice '{empty[0]}' has no words. Write LABEL=WORDS.")
    within = shots.predictor.tokenizers.target.encode_within
    answers = {label: within(shots.template.answer(words)) for label, words in choices.items()}
    longest = max(map(len, answers.values()))
    prompts = [shots.ids(text, longest) for text in texts]
    nats = _nats(shots, [ids for ids, _ in prompts], answers, batch_tokens)
    if normalise == "prior":
        blank = {dropped: shots.blank(dropped) for _, dropped in prompts}
        priors = dict(
            zip(blank, _nats(shots, list(blank.values()), answers, batch_tokens), strict=True)
        )
        nats = [
            {label: own[label] - priors[dropped][label] for label in own}
            for own, (_, dropped) in zip(nats, prompts, strict=True)
        ]
    else:
        sizes = {
            label: {"sum": 1, "token": len(answers[label]), "byte": len(words.encode())}[normalise]
            for label, words in choices.items()
        }
        nats = [{label: own[label] / sizes[label] for label in own} for own in nats]
    return [
        Judgement(max(own, key=own.__getitem__), own, dropped)
        for own, (_, dropped) in zip(nats, prompts, strict=True)
    ]


def _nats(
    shots: FewShot,
    prompts: Sequence[list[int]],
    answers: Mapping[str, list[int]],
    batch_tokens: int,
) -> list[dict[str, float]]:
    """For each prompt: label -> log-probability of its answer."""
    flat = [(ids, answer) for ids in prompts for answer in answers.values()]
    each = answer_log_probabilities(
        shots.predictor.model,
        [ids for ids, _ in flat],
        [answer for _, answer in flat],
        batch_tokens,
    )
    totals = iter([sum(tokens) for tokens in each])
    return [{label: next(totals) for label in answers} for _ in prompts]
