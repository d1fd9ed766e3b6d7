"""Use a finished run: predictions, scores, traces."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from ..data.example import Example
from ..decoding.settings import DecodingSettings
from ..decoding.streaming import stream
from ..errors import DataError, UsageError, unknown
from ..messages import message
from ..tasks.task import Prediction
from . import shown
from .answering import answered, with_words
from .evaluation import Evaluation, Sums, loss_sums, means, with_real_time
from .examples import example_of
from .loaded import Done, LoadedModel

if TYPE_CHECKING:
    from ..inspection.trace import Trace
    from .interventions import Interventions

PROMPT_SETTINGS = ("stop", "stop_at_dedent")  # only for the continuation of a prompt
CHUNK = 2000  # examples that are encoded and sorted by length together


class Predictor(LoadedModel):
    """Use a loaded run as a user does: texts in, predictions, scores and traces out."""

    def __repr__(self) -> str:
        return shown.text(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return shown.markup(self)

    def predict(
        self,
        texts: Sequence[str | Mapping[str, object]],
        to: str | None = None,
        truncate: int | None = None,
        **decoding: object,
    ) -> list[Prediction]:
        """Answer texts, in order.

        Args:
            texts: A task with several inputs takes mappings from their names:
                {"question": "...", "passage": "..."}.
            to: The target language, or one of the data's tasks.
            truncate: Read only the first N tokens of a longer text, and record how many were not
                read. Without it a text of more than LONGEST_SOURCE tokens raises DataError.
            decoding: `beams=5`, `temperature=0.7`, ...
        """
        if isinstance(texts, str | Mapping):  # A loop would go over its characters.
            raise UsageError(
                message(
                    "predict takes a list of texts and gives a list of answers: write "
                    "[text] for one text.",
                )
            )
        examples = [
            self.example(text, f"text {number}", to) for number, text in enumerate(texts, 1)
        ]
        return list(self.answer(examples, self.settings(**decoding), truncate))

    def example(
        self, given: str | Mapping[str, object], place: str = "", to: str | None = None
    ) -> Example:
        """Return the Example that the task answers; a text is its first input.

        Raises UsageError for a field that the task does not read.
        """
        return example_of(self.task, given, place, to)

    def settings(self, **changes: object) -> DecodingSettings:
        """Return the run's decoding defaults with `changes`.

        Raises UsageError for an unknown or impossible setting.
        """
        known = [field.name for field in dataclasses.fields(DecodingSettings)]
        for name in changes:
            if name not in known:
                raise unknown("decoding setting", name, known)
            if (
                name in PROMPT_SETTINGS
                and changes[name]
                and self.task.spec.architecture == "encoder-decoder"
            ):
                raise UsageError(
                    "decoding.{name} is for a run that continues a prompt; one for {name2} "
                    "does not use it. Leave it out.",
                    name=name,
                    name2=self.task.name,
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
        done: Done | None = None,
    ) -> Iterator[Prediction]:
        """Answer `examples`, in order; an empty one gets an empty answer.

        Args:
            examples: Only their inputs are read.
            settings: How answers are decoded; None: the run's defaults.
            truncate: Read only the first N tokens of a longer text.
            problems: If given, it receives by place the error of a text that cannot be read, which
                then gets an empty answer.
            first: Number of the first Example, for the seed of sampling.
            done: Receives how many were answered, a batch at a time, perhaps from other threads.
        """
        settings = settings or self.decoding
        for start in range(0, len(examples), CHUNK):
            chunk = with_words(self.segmenter, examples[start : start + CHUNK])
            yield from answered(self, chunk, settings, truncate, problems, start, first, done)

    def stream(
        self,
        text: str | Mapping[str, object],
        to: str | None = None,
        told: Callable[[int], object] | None = None,
        **decoding: object,
    ) -> Generator[str, None, bool]:
        """Generate one answer piece by piece; with beams, as soon as it can no longer change.

        The pieces together are what `predict` answers.

        Args:
            text: What the task reads; {"text": ..., "suffix": ...} to fill in the middle.
            to: The target language, or one of the data's tasks.
            told: Receives, before the first piece, how many tokens of the text are not read.
            decoding: `beams=5`, `temperature=0.7`, ...

        Returns:
            True if the answer ended by itself.
        """
        settings = self.settings(**decoding)
        example = self.example(text, "the prompt" if self.task.input == "text" else "the text", to)
        if self.task.request is None:
            raise UsageError(
                "A run for {name} does not continue a prompt. Use predict.", name=self.task.name
            )
        (one, *_), unseen = self.encode(example)
        request = self.request(one, settings)
        if told is not None:
            told(unseen + request.truncated)
        return (yield from stream(self.drafted or self.model, request, self.tokenizers.target))

    def evaluate(
        self,
        examples: Sequence[Example],
        settings: DecodingSettings | None = None,
        begin: Callable[[str], Done] | None = None,
    ) -> Evaluation:
        """Answer `examples` as in use and score the answers against their targets.

        Args:
            examples: With their targets.
            settings: How answers are decoded; None: the run's defaults.
            begin: Called with the name of each pass over the examples ("Answering", "Scoring");
                what it returns receives how many of them are done.

        Raises:
            DataError: A task that is scored by its losses alone has no term of them.
        """
        predictions = [Prediction(text="", index=index) for index in range(len(examples))]
        seconds: float | None = None
        if not self.task.spec.by_losses:
            began = time.monotonic()
            done = None if begin is None else begin(message("Answering"))
            predictions = list(self.answer(examples, settings, None, None, 0, done))
            seconds = time.monotonic() - began
        done = None if begin is None else begin(message("Scoring"))
        losses = self.losses(examples, done)
        if self.task.spec.by_losses and not losses["count"]:
            raise DataError(
                f"There is nothing to score: the {len(examples):,} examples hold no token that is "
                "learnt or predicted."
            )
        scores = self.task.score(predictions, examples, losses)
        if seconds is not None and self.task.input == "audio":
            scores = with_real_time(scores, examples, seconds)
        return Evaluation(predictions, scores, seconds, torch.get_num_threads())

    def losses(self, examples: Sequence[Example], done: Done | None = None) -> dict[str, float]:
        """Return the mean of every loss over `examples`, without dropout.

        "count" is the number of terms of the first loss. `done` receives how many examples are
        done, a batch at a time.
        """
        return means(loss_sums(self, examples, done))

    def losses_of_each(self, examples: Sequence[Example]) -> list[Sums]:
        """Return every loss of each example as sum and count; `means` turns them into losses."""
        return [loss_sums(self, [one]) for one in examples]

    def trace(
        self,
        text: str | Mapping[str, object],
        to: str | None = None,
        target: str | None = None,
        kinds: Sequence[str] = ("cross",),
        label: str = "",
        steps: int = 0,
        prefix: Sequence[int] = (),
        interventions: Interventions | None = None,
        development: Sequence[Example] = (),
        **decoding: object,
    ) -> Trace:
        """Answer `text` and trace the answer.

        An encoder-only model shows what its tokens attend to, a decoder-only model what it expected
        after each token, both in the first window of a text that is read in windows. A notebook
        shows the trace as a page.

        Args:
            text: A task with several inputs takes a mapping, as `predict` does.
            to: The target language, or one of the data's tasks.
            target: A text to trace as the answer or the continuation instead; for an encoder, the
                label asked about.
            kinds: Which attention is kept: "cross", "encoder", "decoder".
            label: What the page calls the model; its own name where empty.
            steps: Of an encoder-decoder: how many likely tokens are kept at each step of the
                answer, with the masks that were used.
            prefix: Of an encoder-decoder: ids that the answer begins with.
            interventions: What is changed in the pass, and measured; the result is the trace's
                `interventions`.
            development: Examples for what needs more than this text: means, losses, curves.
            decoding: `beams=5`, ...
        """
        from .traces import trace_answer, trace_writing, traced_settings

        if interventions is not None:
            from .interventions import traced

            def trace() -> Trace:
                return self.trace(
                    text, to, target, kinds, label, steps, prefix, None, (), **decoding
                )

            example, settings = self.example(text, "text", to), self.settings(**decoding)
            return traced(self, example, interventions, settings, trace, target, development)
        architecture, settings = self.task.spec.architecture, self.settings(**decoding)
        if architecture == "decoder" and isinstance(text, str) and self.task.input == "text":
            text += target or ""
        example = self.example(text, "text", to)
        self._refuse_prefix(prefix)
        if architecture == "decoder":
            settings = traced_settings(settings)
            return trace_writing(self, example, settings, target=target, label=label)[0][0]
        if architecture == "encoder":
            return self.traces(example, target, label, windows=[1])[0]
        return trace_answer(
            self, example, settings, target=target, kinds=kinds, label=label, steps=steps,
            prefix=prefix,
        )  # fmt: skip

    def _refuse_prefix(self, prefix: Sequence[int]) -> None:
        """Raise UsageError for ids that no answer of this run begins with."""
        if prefix and self.task.spec.architecture != "encoder-decoder":
            raise UsageError(
                "A prefix is for a run that turns one text into another; one for {name} is not.",
                name=self.task.name,
            )
        vocabulary = self.tokenizers.target.vocabulary_size
        if any(not 0 <= one < vocabulary for one in prefix):
            raise UsageError("The ids of a prefix lie between 0 and {most}.", most=vocabulary - 1)

    def traces(
        self,
        example: Example,
        target: str | None = None,
        label: str = "",
        answer: str | None = None,
        windows: Sequence[int] | None = None,
    ) -> list[Trace]:
        """Trace what the encoder attends to in each window of an Example.

        The traces also show what the answer depends on, if the task has a score for it.

        Args:
            example: Only its inputs are read.
            target: The label asked about instead of the likeliest one.
            label: What the page calls the model; its own name where empty.
            answer: The answer in words, if it is already known.
            windows: Numbers, from 1, of the windows wanted, in this order; numbers without a window
                are left out. None: all.
        """
        from .traces import refuse_without_encoder, trace_windows

        refuse_without_encoder(self, example)
        (example,) = with_words(self.segmenter, [example])
        return trace_windows(
            self,
            example,
            lambda: next(iter(self.answer([example]))).text if answer is None else answer,
            target=target,
            label=label,
            windows=windows,
        )
