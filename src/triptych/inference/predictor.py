"""A finished run, loaded and put to use: predictions, scores, traces."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ..data.batches.encoded import Encoded, collate
from ..data.batches.order import length_batches
from ..data.example import FIELDS, Example, not_texts, texts_of
from ..data.formats.messages import messages_of
from ..data.tokenizers.sides import Tokenizers
from ..decoding.drafts import Drafted
from ..decoding.settings import DecodingSettings
from ..decoding.workers import Workers
from ..errors import DataError, UsageError, unknown
from ..model.heads.tokens import output_of
from ..runs.run import Run, RunConfig
from ..tasks import fill_in
from ..tasks.task import Prediction, Scores, Task

if TYPE_CHECKING:
    from ..inspection.trace import Trace

OPTIONAL_INPUTS = ("source_language", "target_language", "words", "suffix")
LONGEST_SOURCE = 4096  # tokens read at once: attention needs memory for their square
Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
Sums = dict[str, tuple[float, int]]  # of a loss its sum, and over how many it is one
OF_PROMPTS = ("stop", "stop_at_dedent")  # dials that only what writes on from a prompt heeds
CHUNK = 2000  # examples that are encoded and sorted by length together


@dataclass(kw_only=True)
class Predictor:
    """A model with all that turns text into tensors and back. `decoding`: the run's defaults."""

    model: Any
    head: Any
    task: Task
    tokenizers: Tokenizers
    labels: dict[str, Any]
    decoding: DecodingSettings
    run: Run | None = None
    config: RunConfig | None = None
    # finds the words of raw text, where the run was trained with one
    segmenter: Predictor | None = None
    # `model` with what proposes tokens for it to check (see `inference.loading`)
    drafted: Drafted | None = None

    @property
    def languages(self) -> dict[str, list[str]]:
        return self.labels.get("languages", {})

    def predict(
        self,
        texts: Sequence[str | Mapping[str, Any]],
        to: str | None = None,
        truncate: int | None = None,
        **decoding: Any,
    ) -> list[Prediction]:
        """One Prediction a text, in order. to: the target language; decoding: `beams=5`,
        `temperature=0.7`, ...

        A task with several inputs takes mappings from their names: {"question": "...", "passage":
            "..."}.

        truncate: read only the first so many tokens of a longer text and say how many were not
        seen; without it a text of more than LONGEST_SOURCE tokens raises DataError.
        """
        # of which a loop would make its characters, or its names
        if isinstance(texts, str | Mapping):
            raise UsageError(
                "predict takes a list of texts and gives a list of answers: write [text] for one "
                "text."
            )
        examples = [
            self.example(text, f"text {number}", to) for number, text in enumerate(texts, 1)
        ]
        return list(self.answer(examples, self.settings(**decoding), truncate))

    def example(
        self, given: str | Mapping[str, Any], place: str = "", to: str | None = None
    ) -> Example:
        """What the task answers: a text stands for its first input. Raises UsageError for a field
        that the task does not read.
        """
        wanted = [name for name in self.task.needs if FIELDS[name].role == "input"]
        values: dict[str, Any] = (
            dict(given) if isinstance(given, Mapping) else {self.task.input: given}
        )
        if "messages" in values and "messages" in wanted:
            values["messages"] = messages_of(values["messages"], place or "An example")
        for name in values:
            if name not in (*wanted, *OPTIONAL_INPUTS) or (
                name == "suffix" and self.task.name != "language-modelling"
            ):
                raise unknown(
                    "input",
                    name,
                    wanted,
                    f"of a run for {self.task.name}" + (f", in {place}" if place else ""),
                )
        missing = [name for name in wanted if name not in values and name not in OPTIONAL_INPUTS]
        if missing:
            raise UsageError(
                f"{place or 'An example'} has no {' and no '.join(missing)}; a run for "
                f"{self.task.name} needs it."
            )
        for name in not_texts(values):
            raise UsageError(
                f"{place or 'An example'}: '{name}' must be a text and is "
                f"{type(values[name]).__name__}."
            )
        if to is not None:
            self.refuse_to()
            values["target_language"] = to
        return Example(**values, place=place)

    def refuse_to(self) -> None:
        """Raise UsageError where `to` would mean nothing."""
        if self.task.name != "translation" and "target_language" not in self.task.needs:
            raise UsageError(
                "--to names a target language, or one of several tasks; a run for "
                f"{self.task.name} has none."
            )

    def settings(self, **changes: Any) -> DecodingSettings:
        """The run's decoding defaults with `changes`. Raises UsageError for an unknown or
        impossible dial.
        """
        known = [field.name for field in dataclasses.fields(DecodingSettings)]
        for name in changes:
            if name not in known:
                raise unknown("decoding dial", name, known)
            if (
                name in OF_PROMPTS
                and changes[name]
                and self.writes
                and "context" not in self.task.options
            ):
                raise UsageError(
                    f"decoding.{name} is for a run that writes on from a prompt; one for "
                    f"{self.task.name} does not heed it."
                )
        settings = dataclasses.replace(self.decoding, **changes)
        settings.check()
        return settings

    def answer(
        self,
        examples: Sequence[Example],
        settings: DecodingSettings | None = None,
        truncate: int | None = None,
        problems: dict[int, str] | None = None,
        first: int = 0,
    ) -> Iterator[Prediction]:
        """Predictions of `examples`, in order; only their inputs are read. An empty source gets an
        empty answer.

        problems: where given, a text that cannot be read is noted there by its place and gets an
        empty answer too. first: number of the first Example, for what a draw depends on.
        """
        settings = settings or self.decoding
        for start in range(0, len(examples), CHUNK):
            yield from self._answer(
                examples[start : start + CHUNK], settings, truncate, start, problems, first
            )

    def _answer(
        self,
        examples: Sequence[Example],
        settings: DecodingSettings,
        truncate: int | None,
        start: int,
        problems: dict[int, str] | None,
        first: int,
    ) -> list[Prediction]:
        found = [Prediction(text="", index=start + place) for place in range(len(examples))]
        examples = self._in_words(examples) if self.segmenter is not None else examples
        encoded: list[Encoded] = []
        for place, example in enumerate(examples):
            given = getattr(example, self.task.input)
            if given is None or not (
                self.task.empty or any(text.strip() for text in texts_of(given))
            ):
                continue
            try:
                pieces = self.task.encode(example, self.tokenizers, self.labels, "use", None)
                found[place].truncated_input_tokens = sum(
                    one.unseen + self._shorten(one, example, truncate) for one in pieces
                )
            except DataError as error:
                if problems is None:
                    raise
                problems[start + place] = str(error)
                continue
            for one in pieces:
                one.index = place
            encoded += pieces
        raw: dict[int, list[Any]] = {}
        for one, answer in zip(encoded, self.raw(encoded, settings, first + start), strict=True):
            raw.setdefault(one.index, []).append(answer)
        for place, answers in raw.items():
            prediction = self.task.read(answers, examples[place], self.tokenizers)
            prediction.index = start + place
            prediction.truncated_input_tokens += found[place].truncated_input_tokens
            found[place] = prediction
        return found

    def _in_words(self, examples: Sequence[Example]) -> list[Example]:
        """The examples with the words of their text, found where they are not given."""
        assert self.segmenter is not None, "a run of its own finds the words"
        places = [
            place
            for place, one in enumerate(examples)
            if one.words is None and (one.text or "").strip()
        ]
        found = self.segmenter.answer(
            [Example(text=examples[place].text, place=examples[place].place) for place in places]
        )
        words = {
            place: [(first, last) for first, last in one.details["offsets"]]
            for place, one in zip(places, found, strict=True)
        }
        return [
            dataclasses.replace(one, words=words.get(place, one.words))
            for place, one in enumerate(examples)
        ]

    def stream(
        self,
        text: str | Mapping[str, Any],
        to: str | None = None,
        told: Callable[[int], object] | None = None,
        **decoding: Any,
    ) -> Generator[str, None, bool]:
        """One answer, piece by piece as it is written; of beams, as soon as it can no longer
        change. For a run that writes text.

        text: what the task reads; {"text": ..., "suffix": ...} for what stands between. The pieces
        together are what `predict` answers. told: is given, before the first piece, how many tokens
        of the prompt are not seen. Returns whether the answer ended by itself.
        """
        from ..decoding.writing import NEW_TOKENS, fitting, from_first_word, stream, stream_answer

        model, settings, target = (
            self.drafted or self.model,
            self.settings(**decoding),
            self.tokenizers.target,
        )
        example = self.example(text, "the prompt" if self.task.input == "text" else "the text", to)
        (one, *_) = (
            self.task.encode(example, self.tokenizers, self.labels, "use", None)
            if self.writes
            else [None]
        )
        if one is not None and "source" in one.inputs:
            self._shorten(one, example, None)
            inputs = collate([one]).to(self.device).inputs
            return (
                yield from stream_answer(model, inputs, settings, target, begin=target.begin_id)
            )
        if one is None or "context" not in self.task.options:
            raise UsageError(
                f"A run for {self.task.name} does not write on from a prompt. Use predict."
            )
        prompt, context = one.inputs["target"].tolist(), self.task.options["context"]
        if isinstance(one.metadata, fill_in.Sides):
            prompt, settings, unread = fill_in.ready(one, settings, context)
        else:
            unread = len(prompt) - len(fitting(prompt, settings.max_length or NEW_TOKENS, context))
        if told is not None:
            told(unread)
        pieces = stream(model, prompt, settings, target, context=context)
        return (yield from (pieces if self.task.input == "text" else from_first_word(pieces)))

    @property
    def writes(self) -> bool:
        """Whether answers are written token by token."""
        return self.model.config.architecture != "encoder"

    def raw(
        self, encoded: Sequence[Encoded], settings: DecodingSettings, start: int = 0
    ) -> list[Any]:
        """The task's raw result for each of `encoded`. start: number of the first Example, for what
        a draw depends on.

        On a CPU batches are answered side by side, a thread each
        (docs/decisions/007-decoding-threads.md).
        """
        batches = length_batches(encoded, settings.batch_tokens)
        costs = [float(sum(encoded[place].length for place in places)) for places in batches]
        found: list[Any] = [None] * len(encoded)

        def answer(places: list[int]) -> list[Any]:
            whole = collate([encoded[place] for place in places]).to(self.device)
            whole.examples = [start + encoded[place].index for place in places]
            return self.task.answer(
                self.drafted or self.model, self.head, whole, settings, self.tokenizers
            )

        with Workers(None if self.device.type == "cpu" else 1) as workers:
            for places, answers in zip(batches, workers.map(answer, batches, costs), strict=True):
                for place, one in zip(places, answers, strict=True):
                    found[place] = one
        return found

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _shorten(self, encoded: Encoded, example: Example, truncate: int | None) -> int:
        """Cut a source that is too long, where that was asked for; how many tokens are not seen."""
        if self.task.windows:
            if truncate is not None:
                raise UsageError(
                    f"A run for {self.task.name} reads long texts in windows, so nothing need be "
                    "cut: leave out --truncate."
                )
            return 0
        source = encoded.inputs["source"]
        most = truncate or self.longest_source()
        if len(source) <= most:
            return 0
        if truncate is None:
            raise DataError(
                f"{example.place} has {len(source):,} tokens; at most {most:,} are read at once. "
                f"Cut it into sentences, or read only its start with --truncate {most}."
            )
        # the last one says that it ends
        encoded.inputs["source"] = np.concatenate((source[: most - 1], source[-1:]))
        return len(source) - most

    def longest_source(self) -> int:
        """The most tokens of a source that the model can be given."""
        return min(LONGEST_SOURCE, self.model.config.context("source") or LONGEST_SOURCE)

    def evaluate(
        self, examples: Sequence[Example], settings: DecodingSettings | None = None
    ) -> Evaluation:
        """Answer `examples` as in use and score the answers against their targets."""
        predictions = [Prediction(text="", index=index) for index in range(len(examples))]
        seconds: float | None = None
        if not self.task.by_losses:
            began = time.monotonic()
            predictions = list(self.answer(examples, settings))
            seconds = time.monotonic() - began
        scores = self.task.score(predictions, examples, self.losses(examples))
        return Evaluation(predictions, scores, seconds, torch.get_num_threads())

    def losses(self, examples: Sequence[Example]) -> dict[str, float]:
        """Mean of every loss of the task over `examples`, without dropout; "count": what the first
        is a mean over.
        """
        return means(self._sums(encode_all(self.task, examples, self.tokenizers, self.labels)))

    def losses_of_each(self, examples: Sequence[Example]) -> list[Sums]:
        """Of each example every loss's sum, and over how many it is one; `means` makes the losses
        of several out of them.
        """
        return [
            self._sums(encode_all(self.task, [one], self.tokenizers, self.labels))
            for one in examples
        ]

    @torch.no_grad()
    def _sums(self, encoded: list[Encoded]) -> Sums:
        sums: Sums = {}
        for places in length_batches(encoded, 4096):
            batch = collate([encoded[place] for place in places]).to(self.device)
            output = output_of(self.model, self.head, batch.inputs)
            for name, (value, count, _) in self.task.loss(output, batch).items():
                total, whole = sums.get(name, (0.0, 0))
                sums[name] = total + float(value), whole + count
        return sums

    def trace(
        self,
        text: str | Mapping[str, Any],
        to: str | None = None,
        target: str | None = None,
        kinds: Sequence[str] = ("cross",),
        label: str = "",
        **decoding: Any,
    ) -> Trace:
        """Answer `text` and look at how the answer came about; with `target`, look at that text as
        the answer instead.

        Of a run without a decoder: what its tokens look at; `target` is the label asked about. Of a
        text read in windows, the first. A task with several inputs takes a mapping, as `predict`
        does.
        """
        from ..inspection.trace import trace

        example = self.example(text, "text", to)
        if self.model.config.architecture != "encoder-decoder":
            return self.traces(example, target, label, windows=[1])[0]
        if not (getattr(example, self.task.input) or "").strip():
            raise UsageError(f"There is nothing to look at: the {self.task.input} is empty.")
        return trace(
            self.model,
            self.task,
            self.tokenizers,
            dataclasses.replace(example, target=target),
            labels=self.labels,
            settings=self.settings(**decoding),
            label=label or self._name(),
            kinds=kinds,
        )

    def traces(
        self,
        example: Example,
        target: str | None = None,
        label: str = "",
        answer: str | None = None,
        windows: Sequence[int] | None = None,
    ) -> list[Trace]:
        """What the encoder attends to in each window of an Example, and what its answer depends on
        where the task says so.

        target: the label asked about instead of the likeliest one; answer: in words, where it is
        known already; windows: numbers from 1 of those wanted, in this order, where not all are;
        those that are not there are left out.
        """
        from ..inspection.encoder import trace_encoder
        from ..inspection.scores import score_of

        if "encoder" not in self.model.config.stacks or self.task.input == "source":
            raise UsageError(
                f"A run for {self.task.name} has no encoder of its own to look into. Use `trace`."
            )
        if not (getattr(example, self.task.input) or "").strip():
            raise UsageError(f"There is nothing to look at: the {self.task.input} is empty.")
        if self.segmenter is not None:
            (example,) = self._in_words([example])
        tokenizer = self.tokenizers.source
        score = score_of(self.task, self.labels, tokenizer, example, target)
        pieces = self.task.encode(example, self.tokenizers, self.labels, "use", None)
        if not pieces:
            raise UsageError(
                f"There is nothing to look at: no word was found in the {self.task.input}."
            )
        answer = next(iter(self.answer([example]))).text if answer is None else answer
        numbers = (
            range(1, len(pieces) + 1)
            if windows is None
            else [one for one in windows if 1 <= one <= len(pieces)]
        )
        return [
            trace_encoder(
                self.model,
                self.head,
                tokenizer,
                pieces[number - 1],
                answer=answer,
                label=label or self._name(),
                score=score,
                window=(number, len(pieces)),
            )
            for number in numbers
        ]

    def _name(self) -> str:
        return self.config.name if self.config and self.config.name else "model"


def means(*sums: Sums) -> dict[str, float]:
    """The mean of every loss over all of `sums`; "count": what the first is a mean over."""
    names = list(dict.fromkeys(name for one in sums for name in one))
    parts = {name: [one[name] for one in sums if name in one] for name in names}
    counts = {name: sum(count for _, count in each) for name, each in parts.items()}
    found = {
        name: sum(total for total, _ in each) / max(1, counts[name]) for name, each in parts.items()
    }
    return {**found, "count": float(next(iter(counts.values()), 0))}


def encode_all(
    task: Task, examples: Sequence[Example], tokenizers: Tokenizers, labels: dict[str, Any]
) -> list[Encoded]:
    """All examples with their targets, nothing drawn, each Encoded with its Example's number."""
    encoded = []
    for index, example in enumerate(examples):
        for one in task.encode(example, tokenizers, labels, "train", None):
            one.index = index
            encoded.append(one)
    return encoded


@dataclass(frozen=True)
class Evaluation:
    """Answers and their scores."""

    predictions: list[Prediction]
    scores: Scores
    # of answering, without losses and scores; None where the task answers nothing
    seconds: float | None
    threads: int  # that were at its disposal
