"""Describe a prepared run, before it starts and for its model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..data.batches.encoded import Encoded
from ..data.batches.shards import Shards
from ..data.hub.repository import is_reference
from ..data.load import load_split
from ..data.sets import catalog
from ..data.small import FEW_TEXTS, few_of_a_class, too_few
from ..data.split import SHARES
from ..messages import message
from ..presets import parameter_count
from ..presets.depth import describe as depth_says
from ..presets.estimate import estimated_memory, size_of
from ..runs.model_card import UNKNOWN_TEXTS, CardFacts, hardware
from ..runs.sizes import FLOAT_BYTES, refuse_too_large
from ..training.distributed import world
from ..training.parallel import bytes_of_a_weight
from ..training.precision import choose_device

if TYPE_CHECKING:
    from ..data.example import Example
    from ..model.config import ModelConfig, RecurrentConfig
    from ..recipe.schema import Recipe
    from ..training.job import Progress
    from .job import Prepared

SHOWN_EXAMPLES, SHOWN_TOKENS = 2, 40  # shown of the first batch


def describe(prepared: Prepared, first: Sequence[Encoded], shows_batch: bool = True) -> list[str]:
    """Return model size, estimated memory, and the first batch decoded, one line each."""
    recipe, tokenizers, examples = prepared.recipe, prepared.tokenizers, prepared.examples
    if isinstance(examples, Shards):
        tokens, longest, held = (
            examples.tokens - len(examples),
            examples.longest,
            max(examples.sizes),
        )
        count = len(examples)
    else:
        lengths = prepared.encoded.lengths
        tokens, longest = int(lengths.sum()), int(lengths.max())
        held, count = len(examples), len(lengths)
    batch, unit = (
        sum(one.length for one in first),
        message("per example") if count == len(examples) else message("per window"),
    )
    depth, step = recipe.model.depth, recipe.batches.batch_tokens * recipe.batches.accumulate
    config: Any = prepared.job.model.config
    budget = max(batch, recipe.batches.batch_tokens) * prepared.job.task.passes
    memory = estimated_memory(config, budget, held, recipe.training.average > 0)
    sizes = f"{tokenizers.source.vocabulary_size:,}"
    if not tokenizers.shared:
        target = tokenizers.target.vocabulary_size
        sizes = message("{source} source and {target:,} target", source=sizes, target=target)
    sized = (
        depth_says(depth, recipe.model.preset, recipe.to_values(), parameter_count(config), step)
        if depth
        else []
    )
    lines = [
        *sized,
        message(
            "Data: {examples:,} examples, {tokens:,} tokens, {mean:.1f} {unit}, longest "
            "{longest:,}; {validation:,} for validation.",
            examples=len(examples),
            tokens=tokens,
            mean=tokens / count,
            unit=unit,
            longest=longest,
            validation=len(prepared.validation),
        ),
        *_cut_off(prepared.encoded.unseen),
        *_of_model(config, sizes, memory, budget),
    ]
    return lines + _first_examples(prepared, first) if shows_batch else lines


def _cut_off(left: Sequence[int]) -> list[str]:
    """Say how many examples are longer than the task reads, if any are."""
    if not left:
        return []
    words = message(
        "Longer than the task reads: {examples:,} examples; {tokens:,} of their tokens are left "
        "out.",
        examples=sum(map(bool, left)),
        tokens=sum(left),
    )
    return [words]


def _of_model(config: Any, sizes: str, memory: float, budget: int) -> list[str]:
    """Say how large the model is, and how much memory its training takes."""
    return [
        message(
            "Model: {parameters:,} parameters ({shape}), vocabulary {vocabulary}.",
            parameters=parameter_count(config),
            shape=size_of(config),
            vocabulary=sizes,
        ),
        message(
            "Memory: about {memory:.1f} GB to train {tokens:,} tokens per micro-batch.",
            memory=memory / 1e9,
            tokens=budget,
        ),
    ]


def _first_examples(prepared: Prepared, first: Sequence[Encoded]) -> list[str]:
    """Return how large a batch is, and its first examples decoded."""
    examples, tokenizers = prepared.examples, prepared.tokenizers
    lines: list[str] = [
        message(
            "First batch: {examples} examples, {tokens:,} tokens. It contains:",
            examples=len(first),
            tokens=sum(one.length for one in first),
        )
    ]
    for one in first[:SHOWN_EXAMPLES]:
        lines.append(f"  {examples[one.index].place}")
        for name, side in (("source", tokenizers.source), ("target", tokenizers.target)):
            if name in one.inputs:
                ids = one.inputs[name].tolist()
                dots = " ..." if len(ids) > SHOWN_TOKENS else ""
                lines.append(f"    {name} ids  {' '.join(map(str, ids[:SHOWN_TOKENS]))}{dots}")
                lines.append(f"    {name} text {'|'.join(side.pieces(ids[:SHOWN_TOKENS]))}{dots}")
        if "target" not in one.inputs:
            lines += [
                f"    {name} {' '.join(map(str, values[:SHOWN_TOKENS].tolist()))}"
                for name, values in one.targets.items()
            ]
    return lines


def small_data_notes(prepared: Prepared) -> list[str]:
    """Return warnings on what is too small to learn from, or to measure on.

    Of the test part only its size is looked at, and only where it is held out of a small set.
    """
    examples, data, task = prepared.examples, prepared.recipe.data, prepared.job.task
    if isinstance(examples, Shards):
        return []
    rare = few_of_a_class(examples)
    notes: list[str] = [rare] if rare else []
    parts: dict[str, Sequence[Example]] = {"validation": prepared.validation}
    is_held_out = data.train is not None and data.test is None
    if is_held_out and len(examples) < FEW_TEXTS / SHARES["test"]:
        parts["test"] = load_split(data, "test", None, task.needs)
    is_share = task.break_down is not None and task.needs[-1] != "tags"
    records = message("texts") if is_share else message("examples")
    for part, held in parts.items():
        few = too_few(held, part, task.needs, records, is_share)
        notes += [few] if few else []
    return notes


def refuse_oversized(recipe: Recipe, config: ModelConfig | RecurrentConfig | None = None) -> None:
    """Raise UsageError if the training of the model does not fit into memory.

    Args:
        recipe: Decides what each weight takes (itself, its gradient, the optimizer's state, the
            average) and how large a micro-batch is.
        config: The model; None: that of the recipe, without its vocabulary, unless it starts from a
            run.
    """
    import torch

    if config is None and recipe.model.start is not None:
        return
    settings = recipe.training
    is_frozen = bool(recipe.model.lora_rank or settings.freeze)
    a_weight = FLOAT_BYTES if is_frozen else bytes_of_a_weight(settings)
    if settings.parallel != "ddp":  # each process may hold a share alone
        a_weight = max(1, a_weight // world().size)
    device = choose_device(settings.device)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    refuse_too_large(
        recipe.model.config() if config is None else config,
        a_weight,
        recipe.batches.batch_tokens,
        free,
    )


def facts(prepared: Prepared, progress: Progress, calibration: str | None = None) -> CardFacts:
    """Return what was recorded, and nothing else, for the model card.

    calibration: what was said when the scores were calibrated.
    """
    recipe, job, languages = prepared.recipe, prepared.job, prepared.labels.get("languages", {})
    damaged: list[str] = []
    lines = job.run.read_metrics(damaged.append)
    validations = [line for line in lines if line.get("split") == "validation"]
    best = next((line for line in reversed(validations) if line.get("best")), {})
    if recipe.data.set is not None:
        entry = catalog.entry(recipe.data.set)
        data = [f"{entry.name}: {entry.description}", f"Licence of the data: {entry.licence}"]
    else:
        files = recipe.data.train
        names = [files] if isinstance(files, str) else list(files or ())
        called = "Data sets of the hub" if any(map(is_reference, names)) else "Own files"
        data = [f"{called}: {', '.join(names)}"]
    config: Any = job.model.config
    # A run scored by its losses, or without a decoder, decodes nothing.
    writes = not job.task.spec.by_losses and config.architecture != "encoder"
    limits = small_data_notes(prepared)
    return CardFacts(
        name=recipe.name,
        task=job.task.name,
        languages=[*languages.get("source", []), *languages.get("targets", [])],
        parameters=parameter_count(config),
        sizes=f"{size_of(config)}, vocabulary {config.vocabulary_size:,}",
        data=data,
        examples={"train": len(prepared.examples), "validation": len(prepared.validation)},
        tokens=progress.tokens,
        epochs=progress.epoch,
        steps=progress.step,
        minutes=progress.seconds / 60,
        hardware=hardware(),
        command="triptych train recipe.toml",
        recipe=recipe.to_toml(),
        split="validation (greedy)" if writes else "validation",
        metrics={
            key: value
            for key, value in best.items()
            if isinstance(value, float) and key not in ("epoch", "seconds")
        },
        limits=[*limits, UNKNOWN_TEXTS] if limits else [],
        notes=[*damaged, *([calibration] if calibration else [])],
    )
