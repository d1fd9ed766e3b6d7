"""What a prepared run says of itself: before it starts, and for its model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .data import catalog
from .data.batching import Encoded
from .data.shards import Shards
from .presets import parameter_count
from .presets.depth import describe as depth_says
from .presets.estimate import estimated_memory, size_of
from .training.model_card import CardFacts, hardware

if TYPE_CHECKING:
    from .prepare import Prepared
    from .training.job import Progress

SHOWN_EXAMPLES, SHOWN_TOKENS = 2, 40  # of the first batch


def describe(prepared: Prepared, first: Sequence[Encoded]) -> list[str]:
    """Model size, estimated memory, and the first batch decoded."""
    recipe, tokenizers, examples = prepared.recipe, prepared.tokenizers, prepared.examples
    if isinstance(examples, Shards):
        tokens, longest, held = examples.tokens - len(examples), examples.longest, max(examples.sizes)
        count = len(examples)
    else:
        lengths = [one.length for pieces in prepared.encoded for one in pieces]
        tokens, longest, held, count = sum(lengths), max(lengths), len(examples), len(lengths)
    left = [sum(one.unseen for one in pieces) for pieces in prepared.encoded]
    batch, unit = sum(one.length for one in first), "an example" if count == len(examples) else "a window"
    depth, step = recipe.model.depth, recipe.batches.batch_tokens * recipe.batches.accumulate
    config: Any = prepared.job.model.config
    budget = max(batch, recipe.batches.batch_tokens) * prepared.job.task.passes
    memory = estimated_memory(config, budget, held, recipe.training.average > 0)
    sizes = f"{tokenizers.source.vocabulary_size:,}"
    if not tokenizers.shared:
        sizes += f" source and {tokenizers.target.vocabulary_size:,} target"
    sized = depth_says(depth, recipe.model.preset, recipe.to_values(), parameter_count(config), step) if depth else []
    lines = [
        *sized,
        f"Data: {len(examples):,} examples, {tokens:,} tokens, {tokens / count:.1f} {unit}, "
        f"longest {longest:,}; {len(prepared.validation):,} for validation.",
        *([f"Longer than the task reads: {sum(map(bool, left)):,} examples, of which {sum(left):,} tokens are left out."] * any(left)),
        f"Model: {parameter_count(config):,} parameters ({size_of(config)}), vocabulary {sizes}.",
        f"Memory: about {memory / 1e9:.1f} GB while training with {budget:,} tokens a micro-batch.",
        f"First batch: {len(first)} examples, {batch:,} tokens. It reads:",
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
            lines += [f"    {name} {' '.join(map(str, values[:SHOWN_TOKENS].tolist()))}" for name, values in one.targets.items()]
    return lines


def facts(prepared: Prepared, progress: Progress) -> CardFacts:
    """For the model card: what was recorded, nothing else."""
    recipe, job, languages = prepared.recipe, prepared.job, prepared.labels.get("languages", {})
    lines = job.run.read_metrics()
    validations = [line for line in lines if line.get("split") == "validation"]
    best = next((line for line in reversed(validations) if line.get("best")), {})
    if recipe.data.set is not None:
        about = catalog.entry(recipe.data.set)
        data = [f"{about.name}: {about.description}", f"Licence of the data: {about.licence}"]
    else:
        files = recipe.data.train
        data = [f"Own files: {files if isinstance(files, str) else ', '.join(files or ())}"]
    config: Any = job.model.config
    writes = not job.task.by_losses and getattr(config, "decoder", config) is not None  # else nothing is decoded
    return CardFacts(
        name=recipe.name, task=job.task.name, languages=[*languages.get("source", []), *languages.get("targets", [])],
        parameters=parameter_count(config), sizes=f"{size_of(config)}, vocabulary {config.vocabulary_size:,}", data=data,
        examples={"train": len(prepared.examples), "validation": len(prepared.validation)},
        tokens=progress.tokens, epochs=progress.epoch, steps=progress.step, minutes=progress.seconds / 60, hardware=hardware(),
        command="triptych train recipe.toml", recipe=recipe.to_toml(), split="validation (greedy)" if writes else "validation",
        metrics={key: value for key, value in best.items() if isinstance(value, float) and key not in ("epoch", "seconds")},
    )  # fmt: skip
