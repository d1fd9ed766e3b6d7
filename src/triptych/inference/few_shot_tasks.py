"""Try a language model, without training, on sets whose answers are texts or choices of their own.

The model continues a prompt of worked examples, and the task that reads such sets scores what it
writes (Brown et al. 2020, sections 2.4, 3.2 and 3.3). Beside each score stands that of chance: the
same answers, dealt at random to other texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..data.batches.encoded import Encoded
from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..errors import DataError
from ..tasks.specs import SPECS
from ..tasks.task import Prediction, Scores, Task
from .few_shot import FewShot

if TYPE_CHECKING:
    from .loaded import Done

LANGUAGES = {
    "cs": "Czech",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "zh": "Chinese",
    "zh-Hans": "Simplified Chinese",
    "zh-Hant": "Traditional Chinese",
}
CHOICES_TEMPLATE = "{text}\nAnswer: {label}\n\n"
CHANCE_SEED = 1
ROWS = 32  # prompts that are continued together
MOST_TOKENS = 49152  # of their prompts


@dataclass(frozen=True)
class WrittenKind:
    """Describe how a set of one task is shown to a language model.

    Args:
        task: Name of the task that reads and scores the set.
        template: How an example is written by default; of a translation, with {source_language}
            and {target_language}.
        shown: Maps an example to its text and its answer.
        longest: The most tokens of an answer by default.
    """

    task: str
    template: str
    shown: Callable[[Example], tuple[str, str]]
    longest: int

    def build(self) -> Task:
        """Return the task that scores answers."""
        return SPECS[self.task].build({})

    def written(self, examples: Sequence[Example]) -> list[Example]:
        """Return examples as text and label, without those that have no answer."""
        found = [(one, *self.shown(one)) for one in examples]
        return [
            Example(text=text, label=answer, place=one.place)
            for one, text, answer in found
            if answer.strip()
        ]

    def template_of(self, examples: Sequence[Example]) -> str:
        """Return the default template, which names the languages of the examples."""
        template = self.template
        for name in ("source_language", "target_language"):
            code = str(next((getattr(one, name) for one in examples), None) or name.split("_")[0])
            template = template.replace(f"{{{name}}}", LANGUAGES.get(code, code))
        return template


KINDS: dict[str, WrittenKind] = {
    "translation": WrittenKind(
        "translation",
        "{source_language}: {text}\n{target_language}: {label}\n\n",
        lambda one: (one.source or "", one.target or ""),
        96,
    ),
    "answering": WrittenKind(
        "question-answering",
        "Passage: {text}\nAnswer: {label}\n\n",
        lambda one: (
            f"{one.passage}\nQuestion: {one.question}",
            one.answers[0][0] if one.answers else "",
        ),
        32,
    ),
    "summarization": WrittenKind(
        "summarization",
        "{text}\nSummary: {label}\n\n",
        lambda one: (
            one.source or "",
            one.target if one.target is not None else (one.references or [""])[0],
        ),
        64,
    ),
}


@dataclass(frozen=True)
class Trial:
    """Hold the answers to a set, their scores and what chance scores.

    dropped: how many worked examples each prompt lacks; cut: answers that reached the longest
    length.
    """

    answers: list[Prediction]
    scores: Scores
    chance: dict[str, float]
    dropped: list[int]
    cut: int


def continued(
    shots: FewShot,
    texts: Sequence[str],
    settings: DecodingSettings,
    longest: int,
    done: Done | None = None,
) -> tuple[list[Prediction], list[int]]:
    """Continue the prompt of each text.

    Args:
        shots: The worked examples in their template.
        texts: What is asked.
        settings: How answers are decoded; a length or a stop string of theirs is kept.
        longest: The most tokens of an answer unless `settings` say it.
        done: Receives how many texts were answered, a batch at a time.

    Returns:
        The answers, and how many worked examples each prompt lacks.
    """
    new = settings.max_length or longest
    prompts = [shots.ids(text, min(new, shots.context // 2)) for text in texts]
    most = max((len(ids) for ids, _ in prompts), default=1)
    settings = replace(
        settings,
        max_length=new,
        stop=settings.stop or shots.stop,
        batch_tokens=max(settings.batch_tokens, min(ROWS * most, MOST_TOKENS)),
    )
    encoded = [
        Encoded({"target": np.array(ids, dtype=np.int64)}, metadata=0, index=place)
        for place, (ids, _) in enumerate(prompts)
    ]
    raw = shots.predictor.raw(encoded, settings, 0, done)
    answers = [
        Prediction(text=best.text.strip(), index=place, cut=not best.finished)
        for place, (best, *_) in enumerate(raw)
    ]
    return answers, [dropped for _, dropped in prompts]


def try_writing(
    shots: FewShot,
    kind: WrittenKind,
    examples: Sequence[Example],
    settings: DecodingSettings,
    done: Done | None = None,
) -> Trial:
    """Answer the examples, and score the answers and those of chance."""
    texts = [kind.shown(one)[0] for one in examples]
    answers, dropped = continued(shots, texts, settings, kind.longest, done)
    score = kind.build().score
    order = np.random.default_rng(CHANCE_SEED).permutation(len(examples)).tolist()
    others = [Prediction(text="") for _ in examples]
    for place, other in zip(order, [*order[1:], *order[:1]], strict=True):
        others[place].text = kind.shown(examples[other])[1]
    return Trial(
        answers,
        score(answers, examples, {}),
        score(others, examples, {}).values,
        dropped,
        sum(one.cut for one in answers),
    )


# Choices ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChoiceQuestion:
    """Hold a question with its own choices; `answer` is the right one."""

    text: str
    choices: list[str]
    answer: str
    place: str

    def example(self) -> Example:
        """Return the question and its answer as a worked example."""
        return Example(text=self.text, label=self.answer, place=self.place)


def read_choices(path: str | Path) -> list[ChoiceQuestion]:
    """Read questions with choices from JSON lines.

    Each object has `text`, or `question` and perhaps `passage`; `choices`, a list of texts; and
    `answer`, the right choice or its number from 0.

    Raises:
        DataError: The file cannot be read; the text names file and line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "{path} cannot be read: {why}. Give a file of JSON lines in UTF-8.",
            path=path,
            why=getattr(error, "strerror", None) or "it is not UTF-8",
        ) from None
    found = [
        _choice_question(line, f"{path}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not found:
        raise DataError("{path} has no question.", path=path)
    return found


def _choice_question(line: str, place: str) -> ChoiceQuestion:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise DataError(
            "{place}: expected a JSON object with text, choices and answer.", place=place
        )
    values = cast("dict[str, Any]", record)
    text, choices, answer = (values.get(name) for name in ("text", "choices", "answer"))
    if text is None and isinstance(values.get("question"), str):
        passage = values.get("passage")
        asked = f"Question: {values['question']}"
        text = f"{passage}\n{asked}" if isinstance(passage, str) else asked
    if not isinstance(text, str) or not text.strip():
        raise DataError("{place}: there is no text, nor a question with its passage.", place=place)
    if not isinstance(choices, list) or not all(
        isinstance(one, str) and one.strip() for one in cast("list[object]", choices)
    ):
        raise DataError("{place}: choices must be a list of texts.", place=place)
    own = cast("list[str]", choices)
    if len(set(own)) < max(2, len(own)):
        raise DataError("{place}: choices must be two or more different texts.", place=place)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(own):
        answer = own[answer]
    if answer not in own:
        raise DataError(
            "{place}: answer must be one of the choices, or its number from 0.", place=place
        )
    return ChoiceQuestion(text, own, str(answer), place)


def chance_of(questions: Sequence[ChoiceQuestion]) -> float:
    """Return the accuracy of a guess, as 0 to 100."""
    return 100.0 * sum(1 / len(one.choices) for one in questions) / max(1, len(questions))


def choices_of(questions: Sequence[ChoiceQuestion]) -> list[Mapping[str, str]]:
    """Return each question's choices as labels and their words."""
    return [{choice: choice for choice in one.choices} for one in questions]
