"""Generate questions about a sentence or a passage (Du et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from .sequence_to_sequence import language_of, one_text, references_of, with_loss, written_task
from .task import Labels, Prediction, Scores, Task, TaskSpec


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    return written_task(SPEC, ("passage", "target", "references"), values, source, score)


def source(
    example: Example, tokenizers: Tokenizers, labels: Labels, longest: int
) -> tuple[list[int], int]:
    """Return pieces end, with the beginning of a passage that is too long."""
    return one_text(example, "passage", tokenizers, longest)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return bleu and rougeL, then loss (nats per target token) and perplexity.

    Every question on the sentence is a reference.
    """
    from ..metrics.bleu import bleu_of_several
    from ..metrics.rouge import rouge

    texts, references = [one.text for one in predictions], [references_of(one) for one in examples]
    bleu, longest = (
        bleu_of_several(texts, references, language_of(examples)),
        rouge(texts, references)["rougeL"],
    )
    values = {"bleu": bleu.value, "rougeL": longest.value}
    return Scores(values | with_loss(losses), {"bleu": bleu.signature, "rougeL": longest.signature})


SPEC = TaskSpec(
    name="question-generation",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    view="cross-attention",
)
