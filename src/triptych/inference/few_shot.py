"""Use a language model zero- and few-shot, to try it on a classification set without training.

A prompt holds worked examples, and labels are judged by their likelihood (Brown et al. 2020,
section 2.4).
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
    """Hold how an example is written.

    Args:
        before: Precedes the text.
        between: Separates text and label.
        after: Follows the label.
    """

    before: str
    between: str
    after: str

    @classmethod
    def parse(cls, given: str) -> PromptTemplate:
        """Read a template from a text with {text} and then {label}, each once.

        Raises UsageError for any other text.
        """
        parts = re.split(r"\{(text|label)\}", given)
        if parts[1::2] != ["text", "label"]:
            raise UsageError(
                f"The template {given!r} must contain {{text}} and after it {{label}}, each once, "
                f"for example {TEMPLATE!r}."
            )
        if not parts[2]:
            raise UsageError(
                f"The template {given!r} has nothing between {{text}} and {{label}} to separate "
                "them."
            )
        return cls(parts[0], parts[2], parts[4])

    def shown(self, example: Example) -> str:
        """Return a worked example."""
        return f"{self.before}{example.text}{self.between}{example.label}{self.after}"

    def question(self, text: str) -> str:
        """Return what precedes the label.

        A space before the label belongs to the label's first word, as in running text.
        """
        return f"{self.before}{text}{self.between.rstrip(' ')}"

    def answer(self, label: str) -> str:
        """Return the label as it follows the question."""
        return " " * (len(self.between) - len(self.between.rstrip(" "))) + label


class FewShot:
    """Put worked examples in a template before every text, as far as the context has room.

    `context` is the number of tokens that the model reads at once; `encode` returns a text's ids.
    """

    def __init__(
        self, predictor: Predictor, examples: Sequence[Example], template: str = TEMPLATE
    ) -> None:
        if not predictor.task.spec.continues:
            raise UsageError(
                "Examples in a prompt are for a run that generates text; this one is for "
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
        """Return the tokens of the longest answer among the examples."""
        return max(
            (len(self.encode(self.template.answer(one.label or ""))) for one in self.examples),
            default=0,
        )

    @property
    def stop(self) -> list[str] | None:
        """Return what ends an answer.

        It is the end of the line, or what the template has after an answer of several lines.
        """
        after = self.template.after
        if after.startswith("\n") and not any("\n" in (one.label or "") for one in self.examples):
            return ["\n"]
        return [after] if after else None

    def ids(self, text: str, new: int) -> tuple[list[int], int]:
        """Return the begin token with the prompt for `text`, and how many examples it lacks.

        The prompt has room for `new` more tokens; the first examples are left out. If even the text
        alone is too long, its beginning is dropped, and the number is that of all examples plus
        one.
        """
        room, question = max(1, self.context - new), self.template.question(text)
        kept, held = 0, len(self.encode(question)) + 1
        while kept < len(self.examples) and held + self.lengths[-kept - 1] <= room + len(
            self.examples
        ):
            # Each length was counted separately. Words that join at a border need fewer tokens, so
            # the loop below checks the exact length.
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
        """Return the ids of a prompt without its first `dropped` examples, for an empty text."""
        shown = "".join(map(self.template.shown, self.examples[dropped:]))
        return self.predictor.tokenizers.target.prompt(shown + self.template.question(""))

    def asked(self, example: Example, new: int) -> tuple[Example, int]:
        """Return the Example whose text is the prompt, and how many examples it lacks."""
        ids, dropped = self.ids(example.text or "", new)
        kept = self.examples[min(dropped, len(self.examples)) :]
        assert ids, "a prompt holds at least one token"
        text = "".join(map(self.template.shown, kept)) + self.template.question(example.text or "")
        return Example(text=text, place=example.place), min(dropped, len(self.examples))


def read_examples(path: str | Path) -> list[Example]:
    """Read worked examples from TSV, CSV or JSONL.

    The columns are `text` and `label`, `input` and `answer`, or else the first two.

    Raises:
        DataError: The file cannot be read; the text names file and line.
    """
    form = sniff(path, KEYS)
    fields = list(form.chosen) if form.chosen else None
    found = reader_of(("text", "label"))(
        [str(path)], DataTable(fields=fields), ("text", "label"), None
    )
    if not found:
        raise DataError(
            f"{path} has no example. Write a text and its answer on each line, separated by a "
            "tab, or use JSONL."
        )
    return found


def drawn(examples: Sequence[Example], count: int, seed: int = 1) -> list[Example]:
    """Draw `count` examples at random, the labels in turn, so that each has its share.

    Raises UsageError if there are too few examples.
    """
    if count > len(examples):
        raise UsageError(
            f"{count:,} examples were requested, but there are only {len(examples):,} to draw "
            "from. Request fewer."
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
    """Hold the label of a text, and the score of every label.

    `dropped` counts the examples that had no room in the prompt.
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
    """Return the most probable choice for each text, by forced scoring in batches.

    Of equally probable labels the first wins.

    Args:
        shots: The worked examples in their template.
        texts: The texts to judge.
        choices: Label -> its words.
        normalise: What is compared: the log-probability of the whole answer ("sum"), its mean per
            token ("token") or UTF-8 byte ("byte"), or how much more probable the answer is than
            after the same prompt with an empty text ("prior": Brown et al. 2020, section 2.4; Zhao
            et al. 2021, section 5), for a model that prefers one answer whatever the text.
        batch_tokens: Tokens that are scored at once.
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
    """Return for each prompt: label -> log-probability of its answer."""
    flat = [(ids, answer) for ids in prompts for answer in answers.values()]
    each = answer_log_probabilities(
        shots.predictor.model,
        [ids for ids, _ in flat],
        [answer for _, answer in flat],
        batch_tokens,
    )
    totals = iter([sum(tokens) for tokens in each])
    return [{label: next(totals) for label in answers} for _ in prompts]
