"""Choose the number of an answer that is attributed, by task.

It is read off the head's output, so its gradient shows what the answer depends on. A task without
such a number (text embedding) has attention alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..data.batches.encoded import Encoded
from ..data.example import Example
from ..data.formats.bio import OUTSIDE
from ..data.tokenizers.subwords import Tokenizer
from ..decoding.tree import best_tree
from ..errors import UsageError, unknown
from ..model.heads.span import best_spans, log_probabilities
from ..model.heads.tagger import TagOutput, chain_loss
from ..tasks.masked_words import CANDIDATES, fitting
from ..tasks.spans import PER_WINDOW, trimmed
from ..tasks.task import Labels, Task

LEAST = 1e-12  # lower bound of a probability whose logarithm is taken
OutputKind = Literal["label", "value", "answer", "tags", "entity_tags", "tree", "filling"]


class Scored(NamedTuple):
    """Hold a score.

    Args:
        value: A scalar with its gradient.
        kind: What it is a score of, for which the page has words.
        of: A name of its own, where it has one.
    """

    value: Tensor
    kind: OutputKind
    of: str = ""


# The output of a head for a single Encoded, and that Encoded.
Scorer = Callable[[Any, Encoded], Scored]


def score_of(
    task: Task, labels: Labels, tokenizer: Tokenizer, example: Example, wanted: str | None = None
) -> Scorer | None:
    """Return what computes the attributed score of the answer to `example`.

    Args:
        task: The run's task.
        labels: What the task found in the data.
        tokenizer: Of the source.
        example: What is answered.
        wanted: The label asked about; None: the likeliest one.

    Returns:
        The function, or None for a task without such a score.

    Raises:
        UsageError: A label is wanted of a task without labels.
    """
    if task.spec.head == "classifier":
        kind = task.options.get("learn", "label")
        return lambda output, _: label_score(
            output, labels.get("labels", []), wanted, kind, labels.get("value")
        )
    if wanted is not None:
        raise UsageError(
            f"--target names a label or a translation; a run for {task.name} has neither."
        )
    if task.spec.head == "span":
        return partial(
            span_score, passage=example.passage or "", longest=task.options["longest_answer"]
        )
    if task.spec.head == "tagger":
        return lambda output, _: tags_score(output, labels["names"])
    if task.spec.head == "biaffine":
        return lambda output, _: tree_score(output.arcs)
    if task.spec.head == "masked-tokens":
        return partial(filling_score, tokenizer=tokenizer)
    return None


def label_score(output: Any, names: Sequence[str], wanted: str | None = None, kind: str = "label",
                scale: Mapping[str, float] | None = None) -> Scored:  # fmt: skip
    """Score the first text's label.

    Args:
        output: Logits (B, C), or an output with `logits` and perhaps a `temperature`.
        names: The labels.
        wanted: The label to score instead of the likeliest.
        kind: "label" scores its log-probability (nats); "labels" the same for labels that do not
            exclude one another; "value" the number itself.
        scale: {"mean", "deviation"} of a number whose output is in deviations from the mean.
    """
    logits = getattr(output, "logits", output)[0].float()  # (C,)
    if kind == "value":
        if wanted is not None:
            raise UsageError("--target names a label; this run gives a number.")
        number = logits.sum()
        return Scored(
            number if scale is None else number * scale["deviation"] + scale["mean"], "value"
        )
    if wanted is not None and wanted not in names:
        raise unknown("label", wanted, list(names))
    temperature = getattr(output, "temperature", None)
    if temperature is not None:
        logits = logits / temperature.detach().float()
    place = int(logits.argmax()) if wanted is None else list(names).index(wanted)
    chances = logits.log_softmax(-1) if kind == "label" else functional.logsigmoid(logits)
    return Scored(chances[place], "label", names[place])


def span_score(logits: Tensor, encoded: Encoded, *, passage: str, longest: int) -> Scored:
    """Score the best span of one window: log-probability (nats) of its begin plus its end.

    Where no span is possible, the score is that of no answer.

    Args:
        logits: (S, 2).
        encoded: The window.
        passage: The text of the passage.
        longest: The most tokens of a span.
    """
    # (1, S, 2)
    chances = log_probabilities(logits.float(), torch.tensor([len(logits)], device=logits.device))
    scores, starts, ends = (
        found[0].tolist() for found in best_spans(chances.detach(), longest, PER_WINDOW)
    )
    for score, start, end in zip(scores, starts, ends, strict=True):
        if score == float("-inf"):
            break
        offsets, first = encoded.metadata.offsets, encoded.metadata.first
        low, high = trimmed(passage, int(offsets[start - first, 0]), int(offsets[end - first, 1]))
        if low < high:
            return Scored(chances[0, start, 0] + chances[0, end, 1], "answer", passage[low:high])
    return Scored(chances[0, 0].sum(), "answer")


def tags_score(output: TagOutput, names: Sequence[str]) -> Scored:
    """Add up the log-probabilities (nats) of each word's likeliest label.

    The probability is a softmax over the word's labels or, with a CRF, the label's marginal. Words
    whose likeliest label is O are left out, unless all are O.

    Args:
        output: Scores (W, L) of words.
        names: The labels.
    """
    chances = (
        output.scores.float().log_softmax(-1)
        if output.pairs is None
        else shares(output).clamp_min(LEAST).log()
    )
    best = chances.max(-1)  # (W,)
    inside = [
        place for place, number in enumerate(best.indices.tolist()) if names[number] != OUTSIDE
    ]
    if OUTSIDE not in names or not inside:
        return Scored(best.values.sum(), "tags")
    return Scored(best.values[inside].sum(), "entity_tags")


def shares(output: TagOutput) -> Tensor:
    """Return the marginal of each label at each word, (W, L), over all weighted paths.

    It is the gradient of the log of the sum over paths (Lafferty et al. 2001, section 3), and keeps
    its own gradient.
    """
    # Any path will do, because its own score has the gradient 1 at its labels.
    path = output.scores.detach().argmax(-1)
    total = chain_loss(output, path)
    (gradient,) = torch.autograd.grad(total, output.scores, create_graph=True)
    return gradient + functional.one_hot(path, output.scores.shape[1])


def tree_score(arcs: Tensor) -> Scored:
    """Add up the log-probabilities (nats) of the heads in the best tree.

    Args:
        arcs: Scores (W, W + 1) of each word's heads, the root first.
    """
    chances = arcs.float().log_softmax(-1)
    heads = torch.tensor(best_tree(chances.detach().cpu().numpy()), device=arcs.device)
    return Scored(chances.gather(1, heads[:, None]).sum(), "tree")


def filling_score(output: Any, encoded: Encoded, *, tokenizer: Tokenizer) -> Scored:
    """Add up the log-probabilities (nats) of the tokens that fill the marked places.

    The fillings are those of the answer; where no likely token fits a place, the likeliest counts.

    Args:
        output: An output with `logits` (K, V) of the marked places.
        encoded: The input.
        tokenizer: Decodes the candidates.
    """
    chances = output.logits.float().log_softmax(-1)  # (K, V)
    chosen, names = [], []
    for row, place in zip(chances.detach(), encoded.metadata, strict=True):
        likeliest = row.topk(min(CANDIDATES, len(row))).indices.tolist()
        rank, text = next(
            fitting(likeliest, place, tokenizer), (0, tokenizer.decode(likeliest[:1]))
        )
        chosen.append(likeliest[rank])
        names.append(text)
    picked = chances.gather(1, torch.tensor(chosen, device=chances.device)[:, None])
    return Scored(picked.sum(), "filling", ", ".join(names))
