"""What is attributed of an answer, by task: one number of the head's output, so that its gradient
says what the answer depends on.

A task without such a number (vectors of texts) has attention alone.
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

LEAST = 1e-12  # of a probability whose logarithm is taken
OutputKind = Literal["label", "value", "answer", "tags", "entity_tags", "tree", "filling"]


class Scored(NamedTuple):
    """value: a scalar with its gradient; kind: what it is of, for which the page has words; of: a
    name of its own, where it has one.
    """

    value: Tensor
    kind: OutputKind
    of: str = ""


# output of a head for one Encoded alone, and that Encoded
Scorer = Callable[[Any, Encoded], Scored]


def score_of(
    task: Task, labels: Labels, tokenizer: Tokenizer, example: Example, wanted: str | None = None
) -> Scorer | None:
    """What is attributed of the answer to `example`. wanted: the label asked about; None of a
    Scorer: nothing is defined for the task.
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
    """Of logits (B, C), or an output with `logits` and perhaps a `temperature`: the first text's.

    kind "label": log-probability (nats) of the likeliest label, or of `wanted`; "labels": the same
    of labels that do not exclude one another; "value": the number itself. scale: {"mean",
    "deviation"} of a number whose output counts deviations from a mean.
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
    """Logits (S, 2) of one window: log-probability (nats) that the best span of at most `longest`
    tokens begins where it does, plus that it ends where it does. Of a window in which no span can
    stand, that of no answer.
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
    """Scores (W, L) of words: the sum of the log-probabilities (nats) of each word's likeliest
    label: softmax over its labels, or where a chain is learnt (CRF) its share of all paths. Words
    whose likeliest label is O are left out, unless all are.
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
    """(W, L) of all paths, weighted by their probability, the share that gives a word a label
    (Lafferty et al. 2001, section 3): the gradient of the log of the sum over paths. What it was
    made of keeps its gradient.
    """
    # any path: its own score has the gradient 1 at its labels
    path = output.scores.detach().argmax(-1)
    total = chain_loss(output, path)
    (gradient,) = torch.autograd.grad(total, output.scores, create_graph=True)
    return gradient + functional.one_hot(path, output.scores.shape[1])


def tree_score(arcs: Tensor) -> Scored:
    """Scores (W, W + 1) of each word's heads, the root first: the sum of the log-probabilities
    (nats) of the heads in the best tree.
    """
    chances = arcs.float().log_softmax(-1)
    heads = torch.tensor(best_tree(chances.detach().cpu().numpy()), device=arcs.device)
    return Scored(chances.gather(1, heads[:, None]).sum(), "tree")


def filling_score(output: Any, encoded: Encoded, *, tokenizer: Tokenizer) -> Scored:
    """An output with `logits` (K, V) of the marked places: the sum of the log-probabilities (nats)
    of their fillings, as the answer has them; where no likely token fits a place, of the
    likeliest.
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
