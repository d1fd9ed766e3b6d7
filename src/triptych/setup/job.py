"""Run the last stage: collect everything that one training needs, and write the run folder."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import own_code
from ..data.batches.encoded import collate
from ..data.batches.encoded_table import EncodedTable
from ..data.batches.order import length_batches
from ..data.example import Example, Notify
from ..data.hub.repository import is_reference
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import written_settings
from ..errors import UsageError, shell_command
from ..inference.evaluation import encode_all
from ..inference.loaded import LONGEST_SOURCE
from ..inference.predictor import Predictor
from ..messages import message
from ..model.build import build
from ..model.lora import merge
from ..presets import parameter_count
from ..recipe.schema import Recipe
from ..runs.checkpoint import weights_of
from ..runs.model_card import model_card
from ..runs.run import START, WORDS_FOLDER, Run, RunConfig
from ..tasks.task import Labels
from ..training.job import Job, Progress
from ..training.launch import remember_launch
from ..training.parallel import has_shards
from ..training.refusals import refuse_unlike_processes, refuse_untrainable
from ..training.resuming import digests_of, remember
from ..training.trainer import train
from .batches import micro_batches
from .data import load_data
from .model import BuiltModel, build_model, refuse_too_long
from .resolve import resolve
from .summary import describe, facts, small_data_notes
from .tokenizer import tokenize

CALIBRATION_TOKENS = 4096  # tokens per batch


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Hold everything that a recipe describes, ready to train."""

    built: BuiltModel
    job: Job

    @property
    def recipe(self) -> Recipe:
        return self.built.resolved.recipe

    @property
    def tokenizers(self) -> Tokenizers:
        return self.built.tokenized.tokenizers

    @property
    def labels(self) -> Labels:
        return self.built.tokenized.labels

    @property
    def examples(self) -> Sequence[Example]:
        """Return the training examples; of a streamed set only their places."""
        return self.built.tokenized.examples

    @property
    def encoded(self) -> EncodedTable:
        """Return what each example was encoded to; nothing for a streamed set."""
        return self.built.tokenized.encoded

    @property
    def validation(self) -> Sequence[Example]:
        return self.built.tokenized.data.validation

    @property
    def is_main(self) -> bool:
        return self.built.resolved.processes.is_main

    def describe(self, shows_batch: bool = True) -> list[str]:
        """Return model size, memory, the first batch decoded and warnings, one line each."""
        position = self.job.batches.state()
        first = self.job.batches.next_batches(self.job.batches.world)[0][1]
        self.job.batches.restore(position)
        return [
            *describe(self, first, shows_batch),
            *(message("Note: {note}", note=note) for note in small_data_notes(self)),
        ]

    def train(self) -> Generator[Progress, None, None]:
        """Train, yielding progress; a finished run gets its MODEL_CARD.md."""
        resumed = self.built.resolved.before is not None
        recipe = self.recipe.to_toml() if resumed and self.is_main else None
        marks = self.built.tokenized.data.fingerprints
        # Closing saves the run, however this ends.
        with contextlib.closing(train(self.job)) as course:
            for progress in course:
                if recipe is not None:  # Only now is it certain that the checkpoint fits.
                    self.job.run.write_recipe(recipe)
                    remember(self.job.run, marks, self.examples)
                    recipe = None
                if progress.event == "finished" and self.is_main:
                    note = self._calibrate()
                    if note:
                        yield dataclasses.replace(progress, event="notice", message=note)
                    self.job.run.write_card(model_card(facts(self, progress, note)))
                yield progress

    def _calibrate(self) -> str | None:
        """Let the task set what it finds in the development data once the weights are final.

        The weights are written again with it.
        """
        task, job = self.job.task, self.job
        if task.calibrate is None or not self.validation:
            return None
        model, head = self._alone()
        job.run.load_into(model, head)
        model.eval()
        head.eval()
        encoded = encode_all(task, self.validation, self.tokenizers, self.labels)
        device = next(model.parameters()).device
        batches = [
            collate([encoded[place] for place in places]).to(device)
            for places in length_batches(encoded, CALIBRATION_TOKENS)
        ]
        with torch.no_grad():
            note = task.calibrate(model, head, batches)
        job.run.write_model(weights_of(model, head))
        return note

    def _alone(self) -> tuple[Any, Any]:
        """Return model and head as this process can compute with them by itself."""
        job, config = self.job, self.built.config
        if not has_shards(job.model):
            merge(job.model)
            return job.model, job.head
        model: Any = build(config, own_code.attention())
        head = job.task.head(config, self.labels)
        model.precision = job.model.precision
        device = next(job.head.parameters()).device
        return model.to(device), head.to(device)


def prepare(
    recipe: Recipe,
    out: str | Path,
    resume: bool = False,
    dry: bool = False,
    report: Notify | None = None,
    data_changed: bool = False,
) -> Prepared:
    """Go through the stages from a recipe to a job. Unless `dry`, the run folder is written.

    Args:
        recipe: What is to be trained.
        out: The run folder.
        resume: Continue from the newest checkpoint there.
        dry: Only prepare; write nothing.
        report: Receives messages for the user.
        data_changed: Continue a run although its data has changed.

    Raises:
        UsageError: The recipe or the request cannot work.
        DataError: The data cannot be read or used.
        RunError: A run folder cannot be read or continued.
    """
    resolved = resolve(
        recipe, Path(out), resume=resume, dry=dry, report=report, data_changed=data_changed
    )
    built = build_model(tokenize(load_data(resolved)))
    return Prepared(built=built, job=job_of(built))


def job_of(built: BuiltModel) -> Job:
    """Return the job for the training loop, and begin the run folder."""
    resolved, tokenized = built.resolved, built.tokenized
    recipe, marks, examples = resolved.recipe, tokenized.data.fingerprints, tokenized.examples
    batches, validate = micro_batches(built), _validator(built)
    refuse_untrainable(built.model, built.head, recipe.training)  # before anything is written
    refuse_unlike_processes(
        resolved.processes, recipe.to_values(), data := digests_of(marks, examples)
    )
    run = Run.create(resolved.out, resolved.resume) if resolved.writes else Run(resolved.out)
    if resolved.writes:
        remember_launch(run)
    if resolved.writes and resolved.before is None:
        remember(run, marks, examples)
        _write(run, built)
    return Job(
        model=built.model,
        head=built.head,
        task=built.task,
        batches=batches,
        run=run,
        settings=recipe.training,
        resume=resolved.resume,
        accumulate=recipe.batches.accumulate,
        validation=recipe.validation,
        places=lambda index: examples[index].place,
        validate=validate,
        command=shell_command("triptych", "train", resolved.out, "--resume"),
        data=data,
    )


def _validator(built: BuiltModel) -> Callable[[Any], dict[str, float]] | None:
    """Return what decodes and scores the development data, greedily to save time.

    Raises UsageError if the data cannot be read or the task is not scored.
    """
    tokenized, recipe, task = built.tokenized, built.resolved.recipe, built.task
    examples = tokenized.data.validation
    if not examples:
        return None
    encoded = (
        (one, task.encode(one, tokenized.tokenizers, tokenized.labels, "train", None))
        for one in examples
    )
    refuse_too_long(
        built.config, task, encoded, "Remove it from the validation data.", LONGEST_SOURCE
    )
    predictor = Predictor(
        model=built.model,
        head=built.head,
        task=task,
        tokenizers=tokenized.tokenizers,
        labels=tokenized.labels,
        decoding=dataclasses.replace(
            recipe.decoding, beams=1, n_best=1, samples=1, temperature=0.0
        ),
    )
    metric = recipe.validation.metric
    if metric is not None and metric not in (
        known := predictor.evaluate(examples[:4]).scores.values
    ):
        raise UsageError(
            f"validation.metric '{metric}' is not a score of this task. Its scores: "
            f"{', '.join(known)}."
        )
    return lambda _: predictor.evaluate(examples).scores.values


def _write(run: Run, built: BuiltModel) -> None:
    """Write what loading needs; config.json last, so its presence means that the rest is there."""
    tokenized, recipe, task = built.tokenized, built.resolved.recipe, built.task
    tokenizers, labels = tokenized.tokenizers, tokenized.labels
    for side, name in tokenizers.files().items():
        run.write_text(
            name, (tokenizers.target if side == "target" else tokenizers.source).to_json()
        )
    run.write_labels(labels)
    # A copy of the segmenter keeps the run whole if the original is removed.
    if labels.get("words", {}).get("rules") == "learned":
        Run.open(task.options["words"]).copy_to(run.path / WORDS_FOLDER)
    run.write_recipe(recipe.to_toml())
    start = built.resolved.start
    if start is not None and is_reference(recipe.model.start):
        run.write_json(START, start.read_import())  # the certificate of its import
    run.write_config(
        RunConfig(
            task=task.name,
            model=built.config,
            options=dict(task.options),
            languages=labels.get("languages", {}),
            tokenizers=tokenizers.files(),
            decoding=written_settings(recipe.decoding),
            parameters=parameter_count(built.config),
            name=recipe.name,
            code=own_code.record(),
        )
    )
