"""From a Recipe to a Job: data, tokenizers, model, batches, run. For recipe and cli alone."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..convert import open_origin
from ..data.batches.encoded import Encoded, collate
from ..data.batches.order import MicroBatches, length_batches
from ..data.batches.shards import Shards
from ..data.batches.streaming import Corpus, resolved
from ..data.example import FIELDS, Example, Notify, texts_of
from ..data.load import evenly_spaced, load_split
from ..data.tokenizers.bpe_dropout import KINDS, BpeDropout
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..data.validation.columns import refuse_unseen
from ..errors import DataError, RunError, UsageError
from ..inference.evaluation import encode_all
from ..inference.loaded import LONGEST_SOURCE
from ..inference.predictor import Predictor
from ..model.build import build
from ..model.config import ModelConfig, RecurrentConfig
from ..model.lora import merge
from ..presets import parameter_count
from ..recipe.schema import Recipe
from ..runs.model_card import model_card
from ..runs.run import WORDS_FOLDER, Run, RunConfig, weights_of
from ..training import streamed
from ..training.distributed import world
from ..training.job import Job, Progress
from ..training.resuming import (
    Fingerprints,
    digests_of,
    fingerprints_of,
    refuse_other_data,
    refuse_other_recipe,
    remember,
)
from ..training.trainer import train
from ..training.transfer import (
    adapt_with,
    refuse_other_reference,
    shape_from,
    start_from,
    with_distillation,
    with_teacher,
)
from .summary import describe, facts, refuse_oversized

if TYPE_CHECKING:
    from ..tasks.task import Task

CALIBRATION_TOKENS = 4096  # a batch


@dataclass(kw_only=True)
class Prepared:
    """Everything that a recipe stands for, ready to train."""

    recipe: Recipe
    job: Job
    tokenizers: Tokenizers
    labels: dict[str, Any]
    examples: Sequence[Example]  # of a streamed set only their places
    validation: list[Example]
    encoded: list[list[Encoded]] = field(repr=False)  # none of a streamed set
    is_main: bool = True
    resumed: bool = False  # the run folder holds a recipe already
    fingerprints: Fingerprints = field(default_factory=dict)  # by what the data is known again

    def describe(self) -> list[str]:
        """Model size, estimated memory and the first batch decoded, a line each."""
        position = self.job.batches.state()
        first = self.job.batches.next_batches(self.job.batches.world)[0][1]
        self.job.batches.restore(position)
        return describe(self, first)

    def train(self) -> Generator[Progress, None, None]:
        """Train, yielding progress; a finished run gets its MODEL_CARD.md."""
        recipe = self.recipe.to_toml() if self.resumed and self.is_main else None
        with contextlib.closing(train(self.job)) as course:  # however this ends, it saves then
            for progress in course:
                if recipe is not None:  # only now is it known that the checkpoint goes on with it
                    self.job.run.write_recipe(recipe)
                    remember(self.job.run, self.fingerprints, self.examples)
                    recipe = None
                if progress.event == "finished" and self.is_main:
                    note = self._calibrate()
                    if note:
                        yield dataclasses.replace(progress, event="notice", message=note)
                    self.job.run.write_card(model_card(facts(self, progress)))
                yield progress

    def _calibrate(self) -> str | None:
        """What the task sets from the development data once the weights are final; they are written
        again with it.
        """
        task, job = self.job.task, self.job
        if task.calibrate is None or not self.validation:
            return None
        merge(job.model)
        job.run.load_into(job.model, job.head)
        job.model.eval()
        job.head.eval()
        encoded = encode_all(task, self.validation, self.tokenizers, self.labels)
        device = next(job.model.parameters()).device
        batches = [
            collate([encoded[place] for place in places]).to(device)
            for places in length_batches(encoded, CALIBRATION_TOKENS)
        ]
        with torch.no_grad():
            note = task.calibrate(job.model, job.head, batches)
        job.run.write_model(weights_of(job.model, job.head))
        return note


def prepare(
    recipe: Recipe,
    out: str | Path,
    resume: bool = False,
    dry: bool = False,
    report: Notify | None = None,
    data_changed: bool = False,
) -> Prepared:
    """Read the data, learn or take the tokenizers, build the model. Unless `dry`, the run folder
    `out` is written.

    data_changed: go on with a run whose data is not what it was.
    Raises UsageError, DataError or RunError for whatever a person can put right.
    """
    _check(recipe, resume, data_changed)
    processes, out = world(), Path(out)
    processes.refuse_fewer(recipe.batches.accumulate)
    tell = report if report is not None and processes.is_main else (lambda message: None)
    if not dry and processes.is_main and out.is_dir():
        _refuse_held(out, resume)
    recipe = dataclasses.replace(
        recipe, data=resolved(recipe.data, recipe.build_task().encode_ids is not None)
    )
    before = Run(out) if resume and (out / "config.json").is_file() else None
    if before is not None:
        recipe = _without_bpe_dropout(recipe, before, tell)
        refuse_other_recipe(before, Recipe.load(before.path).to_values(), recipe.to_values())
    elif resume:
        tell(f"There is nothing to resume in {out}; training starts anew.")
    task = recipe.build_task()
    if task.with_teacher is not None and recipe.model.start is None:
        raise UsageError(
            f"{task.name.capitalize()} tuning changes a run that can chat: name it with "
            "model.start (--model.start RUN)."
        )
    origin = before or (open_origin(recipe.model.start, task.name) if recipe.model.start else None)
    recipe = recipe if before is not None else _without_bpe_dropout(recipe, origin, tell)
    corpus = Corpus(recipe.data, tell) if recipe.data.stream else None
    if corpus is None:
        examples, validation = (
            load_split(recipe.data, part, tell, task.needs) for part in ("train", "validation")
        )
        examples = evenly_spaced(examples, recipe.data.examples)
    else:
        examples, validation = streamed.begin(
            recipe.data, corpus, None if dry else origin, task, tell
        )
    marks = fingerprints_of(recipe.data, {"train": examples, "validation": validation})
    refuse_other_data(before, marks, data_changed, tell)
    validation = evenly_spaced(validation, recipe.validation.examples)
    labels = _labels(task, examples, origin, before)
    refuse_unseen(examples, validation)
    tokenizers = _tokenizers(recipe, labels, examples, origin, tell)
    if corpus is None or dry:
        examples, encoded = _encode(task, examples, tokenizers, labels, recipe.data.longest, tell)
        if task.check is not None:
            task.check(encoded, tokenizers)
    else:
        refuse = partial(
            refuse_other_data, now=marks, allowed=data_changed, tell=tell, other_shards=True
        )
        examples, encoded = (
            streamed.shards(corpus, tokenizers, before, recipe.batches.bpe_dropout, refuse),
            [],
        )
    config, task, model, head = _model(recipe, task, labels, tokenizers, encoded, before, tell)
    _refuse_too_long(
        config,
        task,
        zip(examples, encoded, strict=False),
        "Leave such examples out with data.longest.",
    )
    batches = _batches(recipe, task, examples, encoded, tokenizers, labels)
    validate = (
        _validator(recipe, task, tokenizers, labels, model, head, validation)
        if validation
        else None
    )
    run = Run.create(out, resume) if not dry and processes.is_main else Run(out)
    if not dry and processes.is_main and before is None:
        remember(run, marks, examples)
        _write(run, recipe, task, labels, tokenizers, config)
    job = Job(
        model=model,
        head=head,
        task=task,
        batches=batches,
        run=run,
        settings=recipe.training,
        resume=resume,
        accumulate=recipe.batches.accumulate,
        validation=recipe.validation,
        places=lambda index: examples[index].place,
        validate=validate,
        command=f"triptych train {out} --resume",
        data=digests_of(marks, examples),
    )
    return Prepared(
        recipe=recipe,
        job=job,
        tokenizers=tokenizers,
        labels=labels,
        examples=examples,
        validation=validation,
        encoded=encoded,
        is_main=processes.is_main,
        resumed=before is not None,
        fingerprints=marks,
    )


# Data ---------------------------------------------------------------------------------------------


def _labels(
    task: Task, examples: Sequence[Example], origin: Run | None, before: Run | None
) -> dict[str, Any]:
    """What the task finds in the data, with what it takes over from the run that it starts from; a
    resumed run's must be the same.
    """
    labels = task.prepare(examples)
    if task.inherit_labels is not None and origin is not None:
        labels = task.inherit_labels(labels, origin.read_labels(), Tokenizers.load(origin.path))
    if before is not None and before.read_labels() != labels:
        raise RunError(
            f"The data of {before.path} has changed since it was trained: its labels differ. "
            "Train into a new folder."
        )
    return labels


def _encode(
    task: Task,
    examples: list[Example],
    tokenizers: Tokenizers,
    labels: dict[str, Any],
    longest: int,
    tell: Notify,
) -> tuple[list[Example], list[list[Encoded]]]:
    """All examples as ids, once; those with a side over `longest` tokens are left out and named,
    and those that give nothing.
    """
    kept, encoded, passed, nothing = [], [], [], []
    for example in examples:
        pieces = task.encode(example, tokenizers, labels, "train", None)
        if not task.spec.windows and any(
            len(values) > longest for one in pieces for values in one.inputs.values()
        ):
            passed.append(example.place)
            continue
        for one in pieces:
            one.index = len(kept)
        kept.append(example)
        encoded.append(pieces)
        nothing += [] if pieces else [example.place]
    if passed:
        tell(f"{_some(passed)}: over data.longest = {longest:,} tokens, left out of training.")
    if nothing:
        reason = (
            f"do not fit task.window = {task.options['window']:,}, or are empty"
            if "window" in task.options
            else "are empty"
        )
        tell(
            f"{_some(nothing)}: nothing is learnt from {len(nothing):,} of {len(kept):,} training "
            f"examples, which {reason}."
        )
    if not kept:
        raise DataError(
            f"No example is left to train on: all {len(passed):,} have over data.longest = "
            f"{longest:,} tokens."
        )
    return kept, encoded


def _refuse_too_long(
    config: ModelConfig | RecurrentConfig,
    task: Task,
    pairs: Iterable[tuple[Example, list[Encoded]]],
    way_out: str,
    most: float = math.inf,
) -> None:
    """Said before training, not in the midst of it: what has more tokens than the model has
    positions, or than are read at once.
    """
    for example, pieces in () if task.spec.windows else pairs:
        for one, (name, side) in itertools.product(
            pieces, (("source", "encoder"), ("target", "decoder"))
        ):
            stack, length = getattr(config, side, None), len(one.inputs.get(name, ()))
            room = (
                stack.max_positions
                if stack is not None and stack.positions == "learned"
                else math.inf
            )
            limit = min(room, most if name == "source" else math.inf)
            if length > limit:
                why = (
                    f"the model has {room:,} positions (model.{side}.max_positions)"
                    if limit == room
                    else f"{limit:,} are read at once"
                )
                raise UsageError(
                    f"{example.place} has {length:,} {name} tokens, and {why}. {way_out}"
                )


def _some(places: Sequence[str]) -> str:
    return ", ".join(places[:3]) + (f" and {len(places) - 3:,} more" if len(places) > 3 else "")


def _batches(
    recipe: Recipe,
    task: Task,
    examples: Sequence[Example],
    encoded: list[list[Encoded]],
    tokenizers: Tokenizers,
    labels: dict[str, Any],
) -> MicroBatches:
    """This process' share of the order of micro-batches."""
    if isinstance(examples, Shards):
        encode, size = (
            streamed.cutter(examples, task, tokenizers, recipe.training.seed),
            examples.sizes,
        )
    else:
        encode, size = _encoder(recipe, task, examples, encoded, tokenizers, labels), [len(encoded)]
    dials, processes = recipe.batches, world()
    return MicroBatches(
        encode,
        size,
        batch_tokens=dials.batch_tokens,
        seed=recipe.training.seed,
        buffer=dials.buffer,
        batch_examples=dials.batch_examples,
        rank=processes.rank,
        world=processes.size,
        window=task.window,
    )


def _encoder(
    recipe: Recipe,
    task: Task,
    examples: Sequence[Example],
    encoded: list[list[Encoded]],
    tokenizers: Tokenizers,
    labels: dict[str, Any],
) -> Callable[[int, int], list[Encoded]]:
    """(epoch, index) -> an example's ids: those at hand, or drawn anew each epoch."""
    dropout, seed = recipe.batches.bpe_dropout, recipe.training.seed
    if not 0 <= dropout < 1:
        raise UsageError(f"batches.bpe_dropout is {dropout}; it must be from 0 (off) to below 1.")
    if not dropout and not task.draws:
        return lambda epoch, index: encoded[index]
    bpe_dropout = BpeDropout(tokenizers, dropout, seed) if dropout else None

    def encode(epoch: int, index: int) -> list[Encoded]:
        generator = np.random.default_rng((seed, epoch, index))
        if bpe_dropout is None and task.remask is not None:
            return task.remask(encoded[index], tokenizers, generator)
        drawn = tokenizers if bpe_dropout is None else bpe_dropout.tokenizers(generator)
        pieces = task.encode(examples[index], drawn, labels, "train", generator)
        for one in pieces:
            one.index = index
        return pieces

    return encode


# Tokenizers and model -----------------------------------------------------------------------------


def _without_bpe_dropout(recipe: Recipe, origin: Run | None, tell: Notify) -> Recipe:
    """Without `batches.bpe_dropout` where the tokenizer comes from a model of another library,
    whose merges are its own affair.
    """
    if (
        origin is None
        or not recipe.batches.bpe_dropout
        or Tokenizers.load(origin.path).source.kind in KINDS
    ):
        return recipe
    tell(
        f"batches.bpe_dropout is set aside: the tokenizer of {recipe.model.start or origin.path} "
        "cuts a word in one way."
    )
    return dataclasses.replace(recipe, batches=dataclasses.replace(recipe.batches, bpe_dropout=0.0))


def _tokenizers(
    recipe: Recipe,
    labels: dict[str, Any],
    examples: list[Example],
    origin: Run | None,
    tell: Notify,
) -> Tokenizers:
    tags = tuple(labels.get("tags", ()))
    if origin is not None:
        # of a folder, a copy is read
        found, named = Tokenizers.load(origin.path).with_begin(), recipe.model.start or origin.path
        unknown_tags = [tag for tag in tags if tag not in found.source.tags]
        if unknown_tags:
            raise UsageError(
                f"The tokenizer of {named} has no tag for {', '.join(unknown_tags)}; it has "
                f"{', '.join(found.source.tags) or 'none'}. Start from a run that has them, or "
                "train anew."
            )
        if labels.get("mask") and found.source.mask_id is None:
            raise UsageError(
                f"The tokenizer of {named} has no mask, which masked words need. Train anew."
            )
        return found
    dials, mask = recipe.tokenizer, bool(labels.get("mask", False))
    sides = {
        role: [name for name, one in FIELDS.items() if one.text and one.role == role]
        for role in ("input", "target")
    }
    texts = {
        role: [
            text
            for name in names
            for one in examples
            for text in texts_of(getattr(one, name))
            if text
        ]
        for role, names in sides.items()
    }
    if dials.shared or not texts["target"]:
        one = Tokenizer.train(
            texts["input"] + texts["target"], dials.kind, dials.vocabulary_size, tags, mask
        )
        return Tokenizers(one, one)
    source = Tokenizer.train(texts["input"], dials.kind, dials.vocabulary_size, tags)
    return Tokenizers(source, Tokenizer.train(texts["target"], dials.kind, dials.vocabulary_size))


def with_vocabulary(
    config: ModelConfig | RecurrentConfig, tokenizers: Tokenizers
) -> ModelConfig | RecurrentConfig:
    """The configuration with the sizes that the tokenizers decide."""
    source = None if tokenizers.shared else tokenizers.source.vocabulary_size
    return dataclasses.replace(
        config, vocabulary_size=tokenizers.target.vocabulary_size, source_vocabulary_size=source
    )


def _model(
    recipe: Recipe,
    task: Task,
    labels: dict[str, Any],
    tokenizers: Tokenizers,
    encoded: Sequence[list[Encoded]],
    before: Run | None,
    tell: Notify,
) -> tuple[Any, Task, Any, Any]:
    """(configuration, the task with its teacher, model, head): new, or with what is taken from
    another run.
    """
    table = recipe.model
    if before is not None:
        config = before.read_config().model
    else:
        config = table.config(
            shape_from(open_origin(table.start, task.name), table.start, table.start_layers)
            if table.start
            else None
        )
    config = with_vocabulary(config, tokenizers)
    refuse_oversized(recipe, config)
    if recipe.training.teacher is not None:
        task = with_distillation(task, recipe.training, tokenizers, labels, config)
        tell(f"The teacher is {recipe.training.teacher}.")
    if task.with_teacher is not None:
        path = task.options.get("reference") or table.start or ""
        refuse_other_reference(path, tokenizers)
        task = with_teacher(task, path, recipe.training)
    torch.manual_seed(recipe.training.seed)
    model, head = build(config), task.head(config, labels)
    # else a checkpoint holds the weights
    if table.start and (before is None or before.latest_checkpoint() is None):
        tell(
            start_from(
                open_origin(table.start, task.name),
                table.start,
                table.start_layers,
                task,
                labels,
                model,
                head,
            )
        )
    if table.lora_rank is not None:
        tell(adapt_with(model, table.lora_rank, table.lora_alpha, table.lora_targets))
    if task.fit_head is not None:
        task.fit_head(head, encoded)
    return config, task, model, head


def _validator(
    recipe: Recipe,
    task: Task,
    tokenizers: Tokenizers,
    labels: dict[str, Any],
    model: Any,
    head: Any,
    examples: list[Example],
) -> Callable[[Any], dict[str, float]]:
    """Real decoding, greedy for the sake of time, of the development data. Raises UsageError for
    what cannot be read or is not scored.
    """
    encoded = ((one, task.encode(one, tokenizers, labels, "train", None)) for one in examples)
    _refuse_too_long(
        model.config, task, encoded, "Take it out of the validation data.", LONGEST_SOURCE
    )
    settings = dataclasses.replace(recipe.decoding, beams=1, n_best=1, samples=1, temperature=0.0)
    predictor = Predictor(
        model=model, head=head, task=task, tokenizers=tokenizers, labels=labels, decoding=settings
    )
    metric = recipe.validation.metric
    if metric is not None and metric not in (
        known := predictor.evaluate(examples[:4]).scores.values
    ):
        raise UsageError(
            f"validation.metric '{metric}' is not among the scores of this task: "
            f"{', '.join(known)}."
        )
    return lambda _: predictor.evaluate(examples).scores.values


# The run folder -----------------------------------------------------------------------------------


def _check(recipe: Recipe, resume: bool, data_changed: bool) -> None:
    if data_changed and not resume:
        raise UsageError("--data-changed is for a run that is resumed. Give --resume as well.")
    recipe.training.check()
    recipe.validation.check()
    recipe.decoding.check()
    refuse_oversized(recipe)
    widths = {
        side: stack.width
        for side in ("encoder", "decoder")
        if (stack := getattr(recipe.model.config(), side, None)) is not None
    }
    if recipe.model.start is None and recipe.tokenizer.shared and len(set(widths.values())) > 1:
        listed = " and ".join(f"model.{side}.width {width}" for side, width in widths.items())
        raise UsageError(
            f"{listed} need a vocabulary each: give tokenizer.shared = false, or both one width."
        )
    for name in ("batch_tokens", "batch_examples", "accumulate", "buffer"):
        value = getattr(recipe.batches, name)
        if value is not None and value < 1:
            raise UsageError(f"batches.{name} is {value}; it must be 1 or more.")
    for name in ("longest", "examples"):
        value = getattr(recipe.data, name)
        if value is not None and value < 1:
            raise UsageError(f"data.{name} is {value}; it must be 1 or more.")


def _refuse_held(out: Path, resume: bool) -> None:
    """Before time is spent on the data: is the folder free?"""
    with Run(out).alone():
        pass
    held = [
        name
        for name in ("model.safetensors", "checkpoints", "config.json")
        if (out / name).exists()
    ]
    if held and not resume:
        raise UsageError(
            f"{out} already holds a run ({', '.join(held)}). Go on with it by --resume, or name "
            "another folder with --out."
        )


def _write(run: Run, recipe: Recipe, task: Task, labels: dict[str, Any], tokenizers: Tokenizers,
           config: ModelConfig | RecurrentConfig) -> None:  # fmt: skip
    """What loading needs; config.json last, so that where it stands the rest does too."""
    for side, name in tokenizers.files().items():
        run.write_text(
            name, (tokenizers.target if side == "target" else tokenizers.source).to_json()
        )
    run.write_labels(labels)
    # the run stays whole without the one that finds its words
    if labels.get("words", {}).get("rules") == "learned":
        Run.open(task.options["words"]).copy_to(run.path / WORDS_FOLDER)
    run.write_recipe(recipe.to_toml())
    run.write_config(
        RunConfig(
            task=task.name,
            model=config,
            options=dict(task.options),
            languages=labels.get("languages", {}),
            tokenizers=tokenizers.files(),
            decoding=dataclasses.asdict(recipe.decoding),
            parameters=parameter_count(config),
            name=recipe.name,
        )
    )
