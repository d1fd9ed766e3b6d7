"""Tune a chat model to prefer the chosen of two answers, without a reward model.

Direct preference optimisation (Rafailov et al. 2023, equation 7): -log sigmoid(beta (log p(chosen)
/ q(chosen) - log p(rejected) / q(rejected))), where q is the run that the training started from,
frozen. In use it is a chat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..errors import DataError, UsageError
from . import chat
from . import language_modelling as writing
from .options import PreferenceOptions, read_options
from .task import Labels, Losses, Prediction, Purpose, Scores, Task, TaskSpec, Teacher
from .templates import template_of
from .turns import NONE, put

if TYPE_CHECKING:
    from torch import Tensor

    from ..model.heads.tokens import TokenOutput


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an unknown key or an invalid value."""
    options = read_options(PreferenceOptions, values)
    beta, context = options.beta, options.context
    plain = writing.build({"context": context})
    return chat.conversing(
        plain,
        replace(
            plain,
            spec=SPEC,
            options=asdict(options),
            needs=("messages", "chosen", "rejected"),
            prepare=prepare,
            encode=partial(encode, context=context),
            inherit_labels=inherit_labels,
            loss=partial(loss, beta=beta, reference=None),
            score=score,
            with_teacher=partial(_with_reference, values=values, beta=beta),
        ),
        context,
    )


def _with_reference(reference: Teacher, values: Mapping[str, object], beta: float) -> Task:
    """Return the task with a frozen model to compare the answers' log-probabilities with."""
    return replace(build(values), loss=partial(loss, beta=beta, reference=reference))


def prepare(examples: Sequence[Example]) -> Labels:
    if not examples:
        raise DataError("There is nothing to train on: the training data holds no preference.")
    return {
        "tags": [],
        "roles": sorted(
            {"assistant", *(one["role"] for example in examples for one in example.messages or ())}
        ),
    }


def inherit_labels(labels: Labels, started: Labels, tokenizers: Tokenizers) -> Labels:
    """Take over the template of the run that training starts from. Raise UsageError for none."""
    if "template" not in started:
        raise UsageError(
            "Preference tuning starts from a run that can chat, but this one has no template: "
            "train it with the task chat first."
        )
    return {**labels, "template": started["template"], "tags": started["tags"]}


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    context: int,
) -> list[Encoded]:
    """Encode both answers after the same turns in one Encoded, or in use the turns as chat does.

    targets: {"chosen_tokens": (1,), "rejected_tokens": (1,), "tokens": (both,)}, so a loss is a
    mean over preferences. unseen: tokens of the turns and of the answers, ends included, for which
    there is no room. Nothing is drawn.
    """
    if purpose == "use":
        return chat.encode(example, tokenizers, labels, purpose, context=context)
    if not example.chosen or not example.rejected:
        raise DataError(
            f"{example.place or 'An example'} has no chosen and no rejected answer to learn from."
        )
    (asked,) = chat.encode(example, tokenizers, labels, "use", context=context)
    prompt = asked.inputs["target"].tolist()
    sides = [
        _answered(prompt, text, example, tokenizers, labels, context)
        for text in (example.chosen, example.rejected)
    ]
    inputs = {
        name: np.concatenate([one.inputs[name] for one in sides]) for name in ("target", "learnt")
    }
    sizes = [np.array([one.weight], dtype=np.int64) for one in sides]
    unseen = (asked.metadata or 0) + sum(one.unseen for one in sides)
    return [
        Encoded(
            {**inputs, "target_lengths": np.array([one.length for one in sides], dtype=np.int64)},
            {
                "chosen_tokens": sizes[0],
                "rejected_tokens": sizes[1],
                "tokens": np.concatenate([one.targets["tokens"] for one in sides]),
            },
            unseen=unseen,
        )
    ]


def _answered(
    prompt: Sequence[int],
    text: str,
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    context: int,
) -> Encoded:
    """Encode an answer after its prompt, which already ends with the assistant's mark."""
    turn = template_of(labels).answer(example.messages or [], text, tokenizers.target)
    ids, words = list(prompt), [NONE] * len(prompt)
    put(ids, words, turn)
    found = chat.encode_window(ids[:context], words[:context])
    found.unseen = len(turn.content) + 1 - found.weight
    return found


def loss(output: TokenOutput, batch: Batch, *, beta: float, reference: Teacher | None) -> Losses:
    """Return equation 7, and what is reported, as sums over preferences in nats.

    accuracy: pairs whose chosen answer gained more on the reference than the rejected one; margin:
    by how much, times beta.
    """
    from torch.nn import functional

    assert reference is not None, "a task with a frozen run is made by training/transfer.py"
    device = output.states.device
    _, frozen = reference({name: one.to(device) for name, one in batch.inputs.items()})
    # (2P,)
    gained = beta * (
        answer_log_probabilities(output.logits, batch) - answer_log_probabilities(frozen, batch)
    )
    margin = gained[0::2] - gained[1::2]  # (P,)
    count, seen = batch.counts["tokens"], margin.detach()
    return {
        "loss": (-functional.logsigmoid(margin).sum(), count, 1.0),
        "accuracy": ((seen > 0).sum(), count, 0.0),
        "margin": (seen.sum(), count, 0.0),
    }


def answer_log_probabilities(logits: Tensor, batch: Batch) -> Tensor:
    """Map logits (K, V) of the target tokens to (2P,) nats of each answer.

    The order is chosen, rejected, chosen, ...
    """
    import torch

    targets = {name: one.to(logits.device) for name, one in batch.targets.items()}
    each = logits.float().log_softmax(-1).gather(1, targets["tokens"][:, None])[:, 0]  # (K,)
    # (2P,)
    sizes = torch.stack((targets["chosen_tokens"], targets["rejected_tokens"]), 1).flatten()
    owners = torch.repeat_interleave(torch.arange(len(sizes), device=logits.device), sizes)
    return each.new_zeros(len(sizes)).index_add(0, owners, each)


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return loss (nats a preference; log 2 if nothing is learnt), accuracy (%) and margin."""
    values = {
        "loss": losses["loss"],
        "accuracy": 100 * losses["accuracy"],
        "margin": losses["margin"],
    }
    return Scores(
        values,
        {
            "loss": (
                "nats a preference against the run it started from (Rafailov et al. 2023, "
                "equation 7)"
            )
        },
    )


SPEC = TaskSpec(
    name="preference",
    build=build,
    architecture="decoder",
    head="tokens",
    verbs=("chat",),
    view="next-tokens",
    labels=chat.SPEC.labels,
    windows=True,
    by_losses=True,
)
