"""Summarise a text, a conversation or an abstract; ROUGE scores any script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from .sequence_to_sequence import one_text, references_of, with_loss, written_task
from .task import Labels, Prediction, Scores, Task, TaskSpec


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    return written_task(SPEC, ("source", "target", "references"), values, source, score)


def source(
    example: Example, tokenizers: Tokenizers, labels: Labels, longest: int
) -> tuple[list[int], int]:
    """Return pieces end, with the beginning of a text that is too long."""
    return one_text(example, "source", tokenizers, longest)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return rouge1, rouge2, rougeL, then loss (nats per target token) and perplexity.

    With several references the best one counts. The loss is not smoothed.
    """
    from ..metrics.rouge import rouge

    found = rouge([one.text for one in predictions], [references_of(one) for one in examples])
    values = {name: one.value for name, one in found.items()}
    return Scores(values | with_loss(losses), {name: one.signature for name, one in found.items()})


SPEC = TaskSpec(
    name="summarization",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    verbs=("summarize",),
    view="cross-attention",
    starts=("span-corruption",),
)
