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
from ..tasks.templates import template_of

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
    With `turns` each example is a question of the user and an answer of the assistant, in the
    run's own chat template.
    """

    def __init__(
        self,
        predictor: Predictor,
        examples: Sequence[Example],
        template: str = TEMPLATE,
        turns: bool = False,
    ) -> None:
        if predictor.task.spec.architecture != "decoder":
            raise UsageError(
                "Examples in a prompt are for a run that generates text; this one is for "
                f"{predictor.task.name}."
            )
        if turns and "template" not in predictor.labels:
            raise UsageError(
                "--turns needs a run that converses; this one is for {task}. Leave it out.",
                task=predictor.task.name,
            )
        self.template, self.examples, self.predictor = (
            PromptTemplate.parse(template),
            list(examples),
            predictor,
        )
        self.turns = template_of(predictor.labels) if turns else None
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

        It is the end of the line, or what the template has after an answer of several lines. A turn
        ends by itself.
        """
        after = self.template.after
        if self.turns is not None:
            return None
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
            ids = self.prompt(text, len(self.examples) - kept)
            if len(ids) <= room:
                return ids, len(self.examples) - kept
            if kept == 0:
                return ids[-room:], len(self.examples) + 1
            kept -= 1

    def prompt(self, text: str, dropped: int) -> list[int]:
        """Return the ids of the prompt for a text, without the first `dropped` examples."""
        shown = self.examples[dropped:]
        if self.turns is None:
            worked = "".join(map(self.template.shown, shown))
            return self.predictor.tokenizers.target.prompt(worked + self.template.question(text))
        messages = [
            {"role": role, "content": content}
            for one in shown
            for role, content in (
                ("user", self.template.question(one.text or "")),
                ("assistant", one.label or ""),
            )
        ]
        messages.append({"role": "user", "content": self.template.question(text)})
        # The room for a prompt is half of what is given here; what does not fit is dropped above.
        room = sum(len(one["content"].encode()) + 64 for one in messages)
        tokenizer = self.predictor.tokenizers.target
        return self.turns.conversation(messages, tokenizer, 2 * room + 4096).prompt()[0]

    def answer_ids(self, words: str) -> list[int]:
        """Return the ids of an answer as it follows a prompt."""
        tokenizer = self.predictor.tokenizers.target
        if self.turns is None:
            return tokenizer.encode_within(self.template.answer(words))
        asked = [{"role": "user", "content": self.template.question("")}]
        return self.turns.answer(asked, words, tokenizer).content

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


def drawn(
    examples: Sequence[Example], count: int, seed: int = 1, by_label: bool = True
) -> list[Example]:
    """Draw `count` examples at random, `by_label` the labels in turn, so that each has its share.

    Raises UsageError if there are too few examples.
    """
    if count > len(examples):
        raise UsageError(
            f"{count:,} examples were requested, but there are only {len(examples):,} to draw "
            "from. Request fewer."
        )
    generator = np.random.default_rng(seed)
    groups: dict[str, list[Example]] = {}
    for place in generator.permutation(len(examples)).tolist():
        label = examples[place].label or "" if by_label else ""
        groups.setdefault(label, []).append(examples[place])
    names = sorted(groups)
    chosen: list[Example] = []
    while len(chosen) < count:
        chosen += [groups[name].pop() for name in names if groups[name]]
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
    choices: Mapping[str, str] | Sequence[Mapping[str, str]],
    normalise: Normalise = "sum",
    batch_tokens: int = 4096,
) -> list[Judgement]:
    """Return the most probable choice for each text, by forced scoring in batches.

    Of equally probable labels the first wins.

    Args:
        shots: The worked examples in their template.
        texts: The texts to judge.
        choices: Label -> its words, the same for all texts or one mapping for each.
        normalise: What is compared: the log-probability of the whole answer ("sum"), its mean per
            token ("token") or UTF-8 byte ("byte"), or how much more probable the answer is than
            after the same prompt with an empty text ("prior": Brown et al. 2020, section 2.4; Zhao
            et al. 2021, section 5), for a model that prefers one answer whatever the text.
        batch_tokens: Tokens that are scored at once.
    """
    each = [choices] * len(texts) if isinstance(choices, Mapping) else list(choices)
    for own in each or ([choices] if isinstance(choices, Mapping) else []):
        _refuse_choices(own)
    known: dict[str, list[int]] = {}
    for words in (words for own in each for words in own.values()):
        if words not in known:
            known[words] = shots.answer_ids(words)
    prompts = [
        shots.ids(text, max(len(known[words]) for words in own.values()))
        for text, own in zip(texts, each, strict=True)
    ]
    answers = [{label: known[words] for label, words in own.items()} for own in each]
    nats = _nats(shots, [ids for ids, _ in prompts], answers, batch_tokens)
    if normalise == "prior":
        asked = list(
            {
                (min(dropped, len(shots.examples)), tuple(own.values())): own
                for own, (_, dropped) in zip(each, prompts, strict=True)
            }.items()
        )
        blank = [shots.prompt("", dropped) for (dropped, _), _ in asked]
        given = [{words: known[words] for words in own.values()} for _, own in asked]
        priors = dict(
            zip([key for key, _ in asked], _nats(shots, blank, given, batch_tokens), strict=True)
        )
        for found, own, (_, dropped) in zip(nats, each, prompts, strict=True):
            prior = priors[min(dropped, len(shots.examples)), tuple(own.values())]
            for label, words in own.items():
                found[label] -= prior[words]
    else:
        for found, own in zip(nats, each, strict=True):
            for label, words in own.items():
                size = {"sum": 1, "token": len(known[words]), "byte": len(words.encode())}
                found[label] /= size[normalise]
    return [
        Judgement(max(own, key=own.__getitem__), own, dropped)
        for own, (_, dropped) in zip(nats, prompts, strict=True)
    ]


def _refuse_choices(choices: Mapping[str, str]) -> None:
    """Raise UsageError for fewer than two labels, or one without words."""
    if len(choices) < 2:
        raise UsageError(
            "There must be at least two labels to choose from; there is "
            f"{', '.join(choices) or 'none'}. Give --choices a,b."
        )
    empty = [label for label, words in choices.items() if not words.strip()]
    if empty:
        raise UsageError(f"The choice '{empty[0]}' has no words. Write LABEL=WORDS.")


def _nats(
    shots: FewShot,
    prompts: Sequence[list[int]],
    answers: Sequence[Mapping[str, list[int]]],
    batch_tokens: int,
) -> list[dict[str, float]]:
    """Return for each prompt: label -> log-probability of its answer."""
    flat = [
        (ids, answer) for ids, own in zip(prompts, answers, strict=True) for answer in own.values()
    ]
    each = answer_log_probabilities(
        shots.predictor.model,
        [ids for ids, _ in flat],
        [answer for _, answer in flat],
        batch_tokens,
    )
    totals = iter([sum(tokens) for tokens in each])
    return [{label: next(totals) for label in own} for own in answers]
