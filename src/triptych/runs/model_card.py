"""Write MODEL_CARD.md: a trained model, its data, scores and limits (Mitchell et al. 2019)."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BASELINE = "Baseline"  # heading of the section that an evaluation adds
# A limit of every model, where nothing else is known.
UNKNOWN_TEXTS = (
    "It has seen only its training data; its answers to other kinds of text are worse, without a "
    "warning."
)


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """Collect the facts of a card. Empty fields are left out of it."""

    name: str
    task: str
    languages: Sequence[str] = ()  # source first
    parameters: int = 0
    sizes: str = ""  # "3 + 3 layers, width 256, 4 heads, vocabulary 6,000"
    data: Sequence[str] = ()  # a line each: set, licence, address, or the user's files
    examples: Mapping[str, int] = field(default_factory=dict)  # split -> number of examples
    tokens: int = 0  # read in training, source and target, every epoch counted
    epochs: float = 0.0
    steps: int = 0
    minutes: float = 0.0
    hardware: str = ""
    command: str = ""  # trains it again, in the folder of the run
    recipe: str = ""  # TOML
    split: str = ""  # the split of the metrics
    metrics: Mapping[str, float] = field(default_factory=dict)
    signature: str = ""
    licence: str = ""  # of the weights, if the user gives one
    limits: Sequence[str] = ()
    notes: Sequence[str] = ()  # on its training: parts of the record that could not be read


def model_card(facts: CardFacts) -> str:
    """Return Markdown under a YAML header, as model hubs read it."""
    sections = [_header(facts), f"# {facts.name}\n", _summary(facts)]
    if facts.data or facts.examples:
        lines = [f"- {line}" for line in facts.data]
        lines += [f"- {split}: {count:,} examples" for split, count in facts.examples.items()]
        sections.append(_section("Data", lines))
    sections.append(_section("Training", _training(facts)))
    if facts.metrics:
        rows = [f"| {name} | {value:.2f} |" for name, value in facts.metrics.items()]
        table = [
            f"On the {facts.split or 'validation'} split:",
            "",
            "| metric | value |",
            "|---|---|",
            *rows,
        ]
        sections.append(
            _section(
                "Scores",
                [*table, *(["", f"Signature: {facts.signature}"] if facts.signature else [])],
            )
        )
    limits = list(facts.limits) or [UNKNOWN_TEXTS]
    sections.append(_section("Limits", [f"- {limit}" for limit in limits]))
    if facts.recipe:
        sections.append(_section("Recipe", ["```toml", facts.recipe.strip(), "```"]))
    return "\n".join(sections)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Hold the scores of a run beside those of a simple model on the same examples."""

    split: str
    examples: int
    model: str  # what the simple model is
    rows: Sequence[tuple[str, str, str]]  # metric, value of the run, value of the simple model
    verdict: str = ""  # a sentence, where the run is worse


def with_baseline(card: str, compared: Compared) -> str:
    """Return a card with the section "Baseline", in place of an earlier one.

    It stands before the limits, or at the end.
    """
    lines = [
        *([f"**{compared.verdict}**", ""] if compared.verdict else []),
        f"On {compared.examples:,} examples of the {compared.split} split, beside a simple model "
        f"that learnt from the same training examples ({compared.model}):",
        "",
        "| metric | this run | baseline |",
        "|---|---|---|",
        *(f"| {name} | {mine} | {theirs} |" for name, mine, theirs in compared.rows),
    ]
    parts = re.split(r"(?m)^(?=## )", card)
    kept = [part for part in parts if not part.startswith(f"## {BASELINE}\n")]
    place = next((n for n, part in enumerate(kept) if part.startswith("## Limits\n")), len(kept))
    kept.insert(place, _section(BASELINE, lines) + "\n" * (place < len(kept)))
    if place and not kept[place - 1].endswith("\n\n"):
        kept[place - 1] = kept[place - 1].rstrip("\n") + "\n\n"
    return "".join(kept)


def hardware() -> str:
    """Return the machine in a few words: processor, usable cores, memory, accelerator."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    words = [f"{_processor()}, {cores} core{'s' if cores > 1 else ''}"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        words.append(
            f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB memory"
        )
    import torch

    if torch.cuda.is_available():
        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().split("\n"):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _header(facts: CardFacts) -> str:
    """Return the YAML header. JSON strings are YAML strings, so nothing needs quoting rules."""
    values: dict[str, object] = {
        "library_name": "triptych",
        "pipeline_tag": facts.task,
        "tags": ["triptych", facts.task],
    }
    if facts.languages:
        values["language"] = list(
            dict.fromkeys(language.split("-")[0] for language in facts.languages)
        )
    if facts.licence:
        values["license"] = facts.licence
    if facts.metrics:
        values["metrics"] = list(facts.metrics)
    return "\n".join(
        [
            "---",
            *(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()),
            "---",
            "",
        ]
    )


def _summary(facts: CardFacts) -> str:
    of = (
        f" from {facts.languages[0]} to {', '.join(facts.languages[1:])}"
        if len(facts.languages) > 1
        else ""
    )
    sizes = f" ({facts.sizes})" if facts.sizes else ""
    return (
        f"A model for {facts.task}{of} with {facts.parameters:,} parameters{sizes}, trained with "
        "Triptych.\n"
    )


def _training(facts: CardFacts) -> list[str]:
    lines = [f"- {facts.steps:,} steps, {facts.epochs:.1f} epochs, {facts.tokens:,} tokens read"]
    if facts.minutes:
        lines.append(
            f"- {facts.minutes:.1f} minutes" + (f" on {facts.hardware}" if facts.hardware else "")
        )
    if facts.command:
        lines.append(f"- Command, with the recipe below: `{facts.command}`")
    return lines + [f"- {note}" for note in facts.notes]


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}\n", *lines, ""])
