"""Run the fourth stage: build the model and its head, new or with weights of another run."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from .. import own_code
from ..data.batches.encoded import Encoded
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..errors import UsageError
from ..messages import message
from ..model.build import build
from ..model.config import ModelConfig, RecurrentConfig, Side
from ..tasks.task import Task
from ..training.transfer import (
    adapt_with,
    refuse_other_reference,
    shape_from,
    start_from,
    with_distillation,
    with_teacher,
)
from .resolve import Resolved
from .summary import refuse_oversized
from .tokenizer import TokenizedData

SIDES: tuple[tuple[Side, str], ...] = (("source", "encoder"), ("target", "decoder"))


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """Hold a model that can be trained on tokenized data.

    Args:
        tokenized: The result of the stage before.
        config: The model's configuration, with the sizes that the tokenizers decide.
        task: The task, with its teacher if it has one.
        model: The model, with weights drawn or taken from the run of model.start.
        head: Computes the task's output from the states.
    """

    tokenized: TokenizedData
    config: ModelConfig | RecurrentConfig
    task: Task
    model: Any
    head: Any

    @property
    def resolved(self) -> Resolved:
        return self.tokenized.resolved


def build_model(tokenized: TokenizedData) -> BuiltModel:
    """Build the model and its head.

    Raises:
        UsageError: The model does not fit into memory, or has no positions for an example.
    """
    resolved, tokenizers, labels = tokenized.resolved, tokenized.tokenizers, tokenized.labels
    recipe, table = resolved.recipe, resolved.recipe.model
    config = with_vocabulary(_shape(resolved), tokenizers)
    refuse_oversized(recipe, config)
    task = _with_teachers(tokenized, config)
    torch.manual_seed(recipe.training.seed)
    model, head = build(config, own_code.attention()), task.head(config, labels)
    if table.start and resolved.start is not None:
        layers = table.start_layers
        resolved.report(start_from(resolved.start, table.start, layers, task, labels, model, head))
    if table.lora_rank is not None:
        resolved.report(adapt_with(model, table.lora_rank, table.lora_alpha, table.lora_targets))
    if task.fit_head is not None:
        task.fit_head(head, tokenized.encoded)
    if any(
        tokenized.encoded.longest(side) > (config.context(side) or math.inf) for side, _ in SIDES
    ):
        refuse_too_long(
            config,
            task,
            zip(tokenized.examples, tokenized.encoded, strict=False),
            message("Leave such examples out with data.longest."),
        )
    return BuiltModel(tokenized=tokenized, config=config, task=task, model=model, head=head)


def with_vocabulary(
    config: ModelConfig | RecurrentConfig, tokenizers: Tokenizers
) -> ModelConfig | RecurrentConfig:
    """Return the configuration with the sizes that the tokenizers decide."""
    source = None if tokenizers.shared else tokenizers.source.vocabulary_size
    return dataclasses.replace(
        config, vocabulary_size=tokenizers.target.vocabulary_size, source_vocabulary_size=source
    )


def _shape(resolved: Resolved) -> ModelConfig | RecurrentConfig:
    """Return the configuration that the recipe names, without its vocabulary."""
    table = resolved.recipe.model
    if resolved.before is not None:
        return resolved.before.read_config().model
    if table.start is None or resolved.start is None:
        return table.config()
    return table.config(shape_from(resolved.start, table.start, table.start_layers))


def _with_teachers(tokenized: TokenizedData, config: ModelConfig | RecurrentConfig) -> Task:
    """Return the task with the frozen runs that it learns from."""
    resolved, task = tokenized.resolved, tokenized.resolved.task
    training, start = resolved.recipe.training, resolved.recipe.model.start
    if training.teacher is not None:
        task = with_distillation(task, training, tokenized.tokenizers, tokenized.labels, config)
        resolved.report(message("The teacher is {teacher}.", teacher=training.teacher))
    if task.with_teacher is not None:
        path = task.options.get("reference") or start or ""
        refuse_other_reference(path, tokenized.tokenizers)
        task = with_teacher(task, path, training)
    return task


def refuse_too_long(
    config: ModelConfig | RecurrentConfig,
    task: Task,
    pairs: Iterable[tuple[Example, list[Encoded]]],
    way_out: str,
    most: float = math.inf,
) -> None:
    """Raise UsageError before training if an example is longer than the model can read.

    Args:
        config: Its stacks give the number of positions.
        task: A task that reads windows has no such example.
        pairs: Examples with what they were encoded to.
        way_out: The last sentence of the error.
        most: The most tokens of a source that are read at once.
    """
    for example, pieces in () if task.spec.windows else pairs:
        for one, (name, side) in itertools.product(pieces, SIDES):
            length, room = len(one.inputs.get(name, ())), config.context(name) or math.inf
            limit = min(room, most if name == "source" else math.inf)
            if length > limit:
                why = (
                    f"the model has {room:,} positions (model.{side}.max_positions)"
                    if limit == room
                    else f"at most {limit:,} are read at once"
                )
                raise UsageError(
                    "{place} has {length:,} {name} tokens, but {why}. {way_out}",
                    place=example.place,
                    length=length,
                    name=name,
                    why=why,
                    way_out=way_out,
                )
