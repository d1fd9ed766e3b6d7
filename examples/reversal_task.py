"""A task of one's own: write the words of a text in reverse order.

triptych train examples/reversal.toml --code examples/reversal_task.py --out runs/reversal
triptych predict runs/reversal --code examples/reversal_task.py "red green blue"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from triptych.data.example import Example
from triptych.data.tokenizers.sides import Tokenizers
from triptych.tasks.options import LongSourceOptions
from triptych.tasks.sequence_to_sequence import one_text, with_loss, written_task
from triptych.tasks.task import Labels, Prediction, Scores, Task, TaskSpec


def build(options: Mapping[str, object]) -> Task:
    return written_task(SPEC, ("source", "target"), options, source, score)


def source(
    example: Example, tokenizers: Tokenizers, labels: Labels, longest: int
) -> tuple[list[int], int]:
    """Return the ids of the source with its end, and how many tokens were left out."""
    return one_text(example, "source", tokenizers, longest)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return exact_match in percent, then loss and perplexity."""
    right = sum(one.text == two.target for one, two in zip(predictions, examples, strict=True))
    return Scores({"exact_match": 100 * right / max(1, len(predictions))} | with_loss(losses))


SPEC = TaskSpec(
    name="reversal",
    build=build,
    architecture="encoder-decoder",
    head="tokens",
    view="cross-attention",
    own_options=LongSourceOptions,
)
TASKS = [SPEC]
