"""What is going to be built and what was built, said in words: sizes, memory, the first batch, the model card."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .data.batching import Encoded
from .data.example import Example
from .model.config import ModelConfig, RecurrentConfig
from .presets import parameter_count

if TYPE_CHECKING:
    from .data.tokenizer import Tokenizers
    from .recipe import Recipe
    from .training.job import Job, Progress

PROCESS_BYTES = 450e6  # Python, torch and what they hold before the first step
SHOWN_EXAMPLES = 2
SHOWN_TOKENS = 40


def describe(recipe: Recipe, job: Job, tokenizers: Tokenizers, examples: Sequence[Example],
             encoded: Sequence[Sequence[Encoded]], first: Sequence[Encoded]) -> list[str]:  # fmt: skip
    """Model size, estimated memory, and the first batch decoded."""
    lengths = [one.length for pieces in encoded for one in pieces]
    tokens = sum(lengths)
    batch = sum(one.length for one in first)
    config: Any = job.model.config
    memory = estimated_memory(config, max(batch, recipe.batches.batch_tokens), max(len(examples), 1), recipe)
    sizes = f"{tokenizers.source.vocabulary_size:,}"
    if not tokenizers.shared:
        sizes += f" source and {tokenizers.target.vocabulary_size:,} target"
    lines = [
        f"Data: {len(examples):,} examples, {tokens:,} tokens, {tokens / len(lengths):.1f} an example, longest {max(lengths)}.",
        f"Model: {parameter_count(config):,} parameters ({size_of(config)}), vocabulary {sizes}.",
        f"Memory: about {memory / 1e9:.1f} GB while training with {recipe.batches.batch_tokens:,} tokens a micro-batch.",
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
    return lines


def size_of(config: ModelConfig | RecurrentConfig) -> str:
    """The shape of a model in a few words."""
    if isinstance(config, RecurrentConfig):
        attention = "additive attention" if config.attention else "no attention"
        return f"GRU encoder-decoder, width {config.width}, {attention}"
    sides = {"encoder": config.encoder, "decoder": config.decoder}
    parts = [
        f"{side} {stack.layers} layers, width {stack.width}, {stack.heads} heads, inner {stack.inner_width}"
        for side, stack in sides.items()
        if stack is not None
    ]
    return "; ".join(parts)


def estimated_memory(config: ModelConfig | RecurrentConfig, batch_tokens: int, examples: int, recipe: Recipe) -> float:
    """Bytes, roughly: weights, gradients, optimizer and averages; what backward needs of a micro-batch; the data."""
    a_weight = 16 + 4 * bool(recipe.training.average)
    return PROCESS_BYTES + a_weight * parameter_count(config) + batch_tokens * _bytes_a_token(config) + 1500.0 * examples


def _bytes_a_token(config: ModelConfig | RecurrentConfig) -> float:
    """Activations kept for backward, bf16, and the loss's logits in fp32; a token is in one of the two stacks."""
    vocabulary = 8.0 * config.vocabulary_size
    if isinstance(config, RecurrentConfig):
        return 60.0 * config.width + 8.0 * config.embedding_width + vocabulary / 2
    each = [stack.layers * (26.0 * stack.width + 7.0 * stack.inner_width * (1 + stack.gated) + 200.0 * stack.heads)
            for stack in (config.encoder, config.decoder) if stack is not None]  # fmt: skip
    return sum(each) / max(1, len(each)) * 1.2 + vocabulary / 2


def versions() -> dict[str, str]:
    """Of Triptych, Python and the libraries that decide results."""
    found = {"triptych": _version("triptych"), "python": platform.python_version()}
    return found | {name: _version(name) for name in ("torch", "numpy", "tokenizers", "safetensors", "sacrebleu")}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        from . import __version__

        return __version__ if name == "triptych" else "absent"


def hardware() -> str:
    """The processor and how many of its cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def model_card(recipe: Recipe, job: Job, labels: dict[str, Any], examples: Sequence[Example], progress: Progress) -> str:
    """MODEL_CARD.md from recorded facts: data, sizes, scores, hardware, how to use it, limits."""
    languages = labels.get("languages", {})
    header = ["---", "library_name: triptych", f"task: {job.task.name}"]
    header += [f"{side}_languages: [{', '.join(languages.get(key, []))}]" for side, key in (("source", "source"), ("target", "targets"))]
    best = [line for line in job.run.read_metrics() if line.get("split") == "validation"]
    best = [line for line in best if line.get("best")][-1:] or best[-1:]
    scores = [f"| {name} | {value:.2f} |" for name, value in (best[0].items() if best else ()) if isinstance(value, float)
              and name not in ("epoch", "seconds")]  # fmt: skip
    source = recipe.data.set or recipe.data.train
    versions_text = ", ".join(f"{name} {version}" for name, version in versions().items())
    body = [
        "---", "", f"# {recipe.name}", "",
        f"A model for {job.task.name}, trained with Triptych. {size_of(job.model.config)}, "  # type: ignore[arg-type]
        f"{parameter_count(job.model.config):,} parameters.",  # type: ignore[arg-type]
        "", "## Data", "", f"{len(examples):,} training examples from {source}.", "", "## Training", "",
        f"{progress.step:,} steps, {progress.epoch:.1f} epochs, {progress.seconds / 60:.1f} minutes on {hardware()}; "
        f"seed {recipe.training.seed}, {recipe.training.optimizer}, peak rate {recipe.training.learning_rate:g}.",
        f"Versions: {versions_text}.", "", "The whole recipe is in recipe.toml, every measured step in metrics.jsonl.",
        "", "## Scores on the validation data (greedy)", "", "| metric | value |", "| --- | --- |", *scores,
        "", "Scores with their signatures on other data: `triptych evaluate RUN --split test --json`.",
        "", "## Use", "", "```", f'triptych {"translate" if job.task.name == "translation" else "predict"} RUN "..."', "```",
        "", "## Limits", "",
        "It knows what its training data shows: other subjects and styles come out worse; an answer can be fluent and wrong.",
    ]  # fmt: skip
    return "\n".join([*header, *body]) + "\n"
