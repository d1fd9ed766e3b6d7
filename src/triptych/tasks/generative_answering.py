"""Answer a question about a passage in the model's own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..errors import DataError
from .sequence_to_sequence import references_of, with_loss, written_task
from .task import Labels, Prediction, Scores, Task, TaskSpec


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    return written_task(
        SPEC,
        ("question", "passage", "target", "references"),
        values,
        source,
        score,
    )


def source(
    example: Example, tokenizers: Tokenizers, labels: Labels, longest: int
) -> tuple[list[int], int]:
    """Return question end passage end, and how many tokens were left out.

    The passage is shortened first; a question takes at most half of the room.
    """
    for field in ("question", "passage"):
        if getattr(example, field) is None:
            raise DataError(f"{example.place or 'An example'} has no {field}.")
    tokenizer = tokenizers.source
    question, passage = (
        tokenizer.encode(text or "") for text in ((example.question or "").strip(), example.passage)
    )
    asked = question[: max(1, (longest - 2) // 2)]
    inside = passage[: longest - 2 - len(asked)]
    return [*asked, tokenizer.end_id, *inside, tokenizer.end_id], len(question) - len(asked) + len(
        passage
    ) - len(inside)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return f1 and exact_match by the language of each question, then loss and perplexity."""
    from ..metrics import answers as metrics

    texts, references = [one.text for one in predictions], [references_of(one) for one in examples]
    languages = [
        one.source_language or metrics.counting(None, [one.passage or ""]) for one in examples
    ]
    f1, exact = (
        metrics.f1(texts, references, languages),
        metrics.exact_match(texts, references, languages),
    )
    values = {"f1": f1.value, "exact_match": exact.value}
    return Scores(values | with_loss(losses), {"f1": f1.signature, "exact_match": exact.signature})


SPEC = TaskSpec(
    name="generative-answering",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    verbs=("answer",),
    view="passage",
)
