"""Learn several tasks in one model: each source begins with the task's name.

See Raffel et al. 2020, section 2.4. A line of the data has a `task` beside source and target; in
use it is given as `--to TASK`. The name is written before the source in words, "summarize: ...", as
in the paper; or as a tag, one token that no text can spell, like the languages in translation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..errors import DataError, RunError, UsageError, unknown
from . import sequence_to_sequence as shared
from .options import TextToTextOptions, read_options
from .task import Labels, Prediction, Scores, Task, TaskSpec


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(TextToTextOptions, values)
    return Task(
        spec=SPEC,
        options=asdict(options),
        needs=("source", "target", "target_language", "references"),
        prepare=partial(prepare, options=options),
        encode=partial(shared.encode, source=partial(source, options=options)),
        score=score,
        **shared.slots(options.label_smoothing, options.r_drop, options.longest_source),
    )


def prepare(examples: Sequence[Example], *, options: TextToTextOptions) -> Labels:
    """Return {"languages": {"source", "targets": the tasks}, "tags": the tasks or none}."""
    labels = shared.prepare(examples)
    tasks = sorted({one.target_language for one in examples if one.target_language})
    if options.default_task is not None and options.default_task not in tasks:
        raise unknown("task of the data", options.default_task, tasks, "in task.default_task")
    return {
        "languages": {**labels["languages"], "targets": tasks},
        "tags": tasks if options.prefix == "tag" else [],
    }


def source(
    example: Example, tokenizers: Tokenizers, labels: Labels, *, options: TextToTextOptions
) -> tuple[list[int], int]:
    """Return prefix pieces end, and how many pieces were left out.

    Raises UsageError for an unknown task, or where none is named and there are several.
    """
    tasks = labels["languages"]["targets"]
    wanted = (
        example.target_language or options.default_task or (tasks[0] if len(tasks) == 1 else None)
    )
    if wanted is None and not tasks:  # an imported model, whose users write the prefix
        return shared.one_text(example, "source", tokenizers, options.longest_source)
    if wanted is None:
        raise UsageError(
            f"This model does several tasks; choose one with --to: {', '.join(tasks)}."
        )
    if tasks and wanted not in tasks:
        raise unknown("task", wanted, tasks, f"({example.place})" if example.place else "")
    if options.prefix == "text":
        before = tokenizers.source.encode(f"{wanted}: ")
    elif wanted in tokenizers.source.tags:
        before = [tokenizers.source.tags[wanted]]
    else:
        raise RunError(
            f"The tokenizer has no tag for '{wanted}', which labels.json names: these files are "
            "not of one run. Copy the whole run folder again."
        )
    if len(before) + 2 > options.longest_source:
        raise DataError(
            f"The prefix '{wanted}' alone has {len(before)} tokens; raise task.longest_source or "
            "give the task a shorter name."
        )
    return shared.one_text(example, "source", tokenizers, options.longest_source, before)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return rougeL, bleu and exact_match, then loss and perplexity.

    Each metric is the mean over the tasks, with `<metric>_<task>` beside it.
    """
    from ..metrics import bleu as metrics
    from ..metrics.rouge import RougeScore, rouge

    by_task: dict[str, list[tuple[Prediction, Example]]] = {}
    for both in zip(predictions, examples, strict=True):
        by_task.setdefault(both[1].target_language or "", []).append(both)
    found: dict[str, dict[str, metrics.Score | RougeScore]] = {
        "rougeL": {},
        "bleu": {},
        "exact_match": {},
    }
    for name, several in sorted(by_task.items()):
        texts, references = (
            [one.text for one, _ in several],
            [shared.references_of(one) for _, one in several],
        )
        found["rougeL"][name] = rouge(texts, references)["rougeL"]
        found["bleu"][name] = metrics.bleu_of_several(
            texts, references, shared.language_of([one for _, one in several])
        )
        found["exact_match"][name] = metrics.exact_match_of_several(texts, references)
    values = {
        metric: sum(one.value for one in by.values()) / len(by)
        for metric, by in found.items()
        if by
    }
    signatures = {
        metric: ", ".join(dict.fromkeys(one.signature for one in by.values()))
        for metric, by in found.items()
        if by
    }
    if len(by_task) > 1:
        signatures = {
            metric: f"mean over {' '.join(sorted(by_task))} of {text}"
            for metric, text in signatures.items()
        }
        values |= {
            f"{metric}_{name}": one.value
            for metric, by in found.items()
            for name, one in by.items()
        }
    return Scores(values | shared.with_loss(losses), signatures)


SPEC = TaskSpec(
    name="text-to-text",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    verbs=("summarize",),
    view="cross-attention",
    labels=("languages.targets",),
    targets="tasks",
)
