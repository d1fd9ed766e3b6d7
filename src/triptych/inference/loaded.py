"""Hold a model with all that turns text into tensors and back: from Examples to raw results."""

from __future__ import annotations

import dataclasses
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..data.batches.encoded import Encoded, collate
from ..data.batches.order import length_batches
from ..data.example import Example, texts_of
from ..data.tokenizers.sides import Tokenizers
from ..decoding.drafts import Drafted
from ..decoding.requests import DecodingRequest
from ..decoding.settings import DecodingSettings
from ..decoding.workers import Workers
from ..decoding.writing import decode
from ..errors import DataError, TriptychWarning, UsageError
from ..messages import message
from ..runs.run import Run, RunConfig
from ..tasks.task import Labels, Task

if TYPE_CHECKING:
    from .predictor import Predictor
    from .runtimes.runtime import Runtime

Done = Callable[[float], object]  # receives how many examples were done, from any thread
LONGEST_SOURCE = 4096  # tokens read at once, because attention needs memory for their square


@dataclass(kw_only=True, repr=False)
class LoadedModel:
    """Hold a model with its task.

    Args:
        decoding: The run's default settings.
        segmenter: Finds the words of raw text, if the run was trained with such a run.
        drafted: `model` with what proposes tokens for it to check (see `inference.loading`).
        engine: Another runtime that answers in the model's place where it can.
    """

    model: Any
    head: Any
    task: Task
    tokenizers: Tokenizers
    labels: Labels
    decoding: DecodingSettings
    run: Run | None = None
    config: RunConfig | None = None
    segmenter: Predictor | None = None
    drafted: Drafted | None = None
    engine: Runtime | None = None

    @property
    def name(self) -> str:
        """Return what pages call the model."""
        return self.config.name if self.config and self.config.name else "model"

    @property
    def languages(self) -> dict[str, list[str]]:
        return self.labels.get("languages", {})

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def longest_source(self) -> int:
        """Return the most tokens of a source that the model can read."""
        return min(LONGEST_SOURCE, self.model.config.context("source") or LONGEST_SOURCE)

    def is_empty(self, example: Example) -> bool:
        """Tell whether there is nothing to answer."""
        given = getattr(example, self.task.input)
        return given is None or not (
            self.task.spec.empty or any(text.strip() for text in texts_of(given))
        )

    def encode(self, example: Example, truncate: int | None = None) -> tuple[list[Encoded], int]:
        """Return an Example in use as tensors, and how many of its tokens are not read.

        Args:
            example: Only its inputs are read.
            truncate: Read only the first N tokens of a longer source.

        Raises:
            DataError: The source is longer than can be read at once, and `truncate` is None.
        """
        pieces = self.task.encode(example, self.tokenizers, self.labels, "use", None)
        return pieces, sum(one.unseen + self._shorten(one, example, truncate) for one in pieces)

    def request(self, encoded: Encoded, settings: DecodingSettings) -> DecodingRequest:
        """Return what is to be decoded for an Encoded.

        Raises UsageError if the task decodes nothing.
        """
        if self.task.request is None:
            raise UsageError(f"A run for {self.task.name} does not continue a prompt. Use predict.")
        return self.task.request(encoded, settings, self.tokenizers)

    def raw(
        self,
        encoded: Sequence[Encoded],
        settings: DecodingSettings,
        start: int = 0,
        done: Done | None = None,
    ) -> list[Any]:
        """Return the task's raw result for each of `encoded`.

        On a CPU several batches are answered at once, one thread each
        (docs/decisions/007-decoding-threads.md).

        Args:
            encoded: With the place of its Example among those of this call.
            settings: How answers are decoded.
            start: Number of the first Example, for the seed of sampling.
            done: Receives after each batch how many examples it answered; an example in several
                pieces is counted in parts.
        """
        pieces = Counter(one.index for one in encoded)
        batches = length_batches(encoded, settings.batch_tokens)
        costs = [float(sum(encoded[place].length for place in places)) for places in batches]
        found: list[Any] = [None] * len(encoded)
        answered = self._able(settings)

        def answer(places: list[int]) -> list[Any]:
            answers = answered([encoded[place] for place in places], settings, start)
            if done is not None:
                done(sum(1 / pieces[encoded[place].index] for place in places))
            return answers

        with Workers(None if self.device.type == "cpu" else 1) as workers:
            for places, answers in zip(batches, workers.map(answer, batches, costs), strict=True):
                for place, one in zip(places, answers, strict=True):
                    found[place] = one
        return found

    def _able(
        self, settings: DecodingSettings
    ) -> Callable[[list[Encoded], DecodingSettings, int], list[Any]]:
        """Return what answers a batch: the engine, or the model if that cannot."""
        if self.engine is None:
            return self._answered
        reason = self.engine.refusal(settings)
        if reason is None:
            return self.engine.answer
        words = message("{reason}, so Triptych answers itself.", reason=reason)
        warnings.warn(words, TriptychWarning, stacklevel=2)
        return self._answered

    def _answered(
        self, encoded: list[Encoded], settings: DecodingSettings, start: int
    ) -> list[Any]:
        """Return the raw results of one batch."""
        model = self.drafted or self.model
        if self.task.answer is None:
            if self.task.writer is not None:
                model, settings = self.task.writer(model, self.head, settings, self.tokenizers)
            requests = [
                dataclasses.replace(self.request(one, settings), index=start + one.index)
                for one in encoded
            ]
            return list(decode(model, requests, self.tokenizers.target))
        batch = collate(encoded).to(self.device)
        batch.examples = [start + one.index for one in encoded]
        return self.task.answer(model, self.head, batch, settings, self.tokenizers)

    def _shorten(self, encoded: Encoded, example: Example, truncate: int | None) -> int:
        """Truncate a source that is too long, if allowed; return how many tokens are not read."""
        if self.task.spec.windows:
            if truncate is not None:
                raise UsageError(
                    f"A run for {self.task.name} reads long texts in windows, so nothing needs to "
                    "be truncated. Leave out --truncate."
                )
            return 0
        source = encoded.inputs["source"]
        most = truncate or self.longest_source()
        if len(source) <= most:
            return 0
        if truncate is None:
            raise DataError(
                f"{example.place} has {len(source):,} tokens, but at most {most:,} are read at "
                "once. Split it into sentences, or read only its beginning with --truncate "
                f"{most}."
            )
        # The last token marks the end of the source.
        encoded.inputs["source"] = np.concatenate((source[: most - 1], source[-1:]))
        return len(source) - most
