"""Learn what an assistant says next in a conversation, with a decoder-only model.

The loss is that of language modelling on the assistant's tokens, its end of turn included, and
nothing elsewhere (Ouyang et al. 2022, section 3.5, without their other stages). `turns.py` writes
turns as tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..data.batches.encoded import Batch, Encoded
from ..data.example import Example
from ..data.formats.messages import ROLES, TOOL, is_learnt
from ..data.templates.published import TEXT
from ..data.tokenizers.sides import Tokenizers
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.settings import DecodingSettings
from ..errors import DataError, UsageError
from . import language_modelling as writing
from .options import ChatOptions, read_options
from .task import Labels, Losses, Prediction, Purpose, Read, Scores, Task, TaskSpec
from .templates import Talk, template_of
from .turns import NONE, TEMPLATES, ChatTemplate

if TYPE_CHECKING:
    from torch import nn

    from ..model.config import AnyConfig
    from ..model.heads.tokens import TokenOutput


TEMPLATE_LABELS = (*(f"template.{role}|template.{TEXT}" for role in ROLES), "tags")


def build(values: Mapping[str, object]) -> Task:
    """Build the task. Raise UsageError for an invalid value, or a template without an end."""
    options = read_options(ChatOptions, values)
    forms, explicit = forms_of(options)
    ChatTemplate(forms)
    plain = writing.build({"context": options.context, "label_smoothing": options.label_smoothing})
    return conversing(
        plain,
        replace(
            plain,
            spec=SPEC,
            options=asdict(options),
            needs=("messages",),
            prepare=partial(prepare, forms=forms),
            encode=partial(encode, context=options.context),
            loss=partial(loss, plain=plain.loss),
            inherit_labels=partial(inherit_labels, explicit=explicit),
            score=score,
        ),
        options.context,
    )


def conversing(plain: Task, task: Task, context: int) -> Task:
    """Return `task` with the slots that all tasks share that answer in a conversation."""
    return replace(
        task,
        head=partial(head, context=context),
        request=partial(request, context=context),
        read=partial(read, plain=plain.read),
        check=partial(check, context=context),
        draws=False,
        window=None,
        encode_ids=None,
    )


def forms_of(options: ChatOptions) -> tuple[dict[str, str], bool]:
    """Return the form of each role, and whether the options set any of them."""
    given = {role: getattr(options, f"{role}_form") for role in ROLES}
    own = {role: form for role, form in given.items() if form is not None}
    name = options.template or ("text" if own else "marks")
    return {**TEMPLATES[name], **own}, bool(own or options.template)


def prepare(examples: Sequence[Example], forms: Mapping[str, str]) -> Labels:
    """Return the labels of the run.

    They are {"template": role -> form, "tags": special tokens that the tokenizer must hold,
    "roles": those that occur}.
    """
    roles = {message["role"] for example in examples for message in example.messages or ()}
    if "assistant" not in roles:
        raise DataError(
            "There is nothing to train on: no conversation of the training data has a message of "
            "the assistant."
        )
    return {"template": dict(forms), "tags": ChatTemplate(forms).tags, "roles": sorted(roles)}


def inherit_labels(
    labels: Labels, started: Labels, tokenizers: Tokenizers, explicit: bool
) -> Labels:
    """Take over the template of the run that training starts from.

    A run without a template gets the one in plain text where its tokenizer lacks the special
    tokens.
    """
    lacking = [tag for tag in labels["tags"] if tag not in tokenizers.target.tags]
    if explicit and lacking:
        marks = ", ".join(f"<{tag}>" for tag in lacking)
        raise UsageError(
            f"The template needs the special tokens {marks}, which the tokenizer of the run that "
            'training starts from does not have. Use task.template = "text", whose marks are '
            "ordinary text, or leave it out."
        )
    if explicit or not (lacking or "template" in started):
        return labels
    found = {**labels, "template": started.get("template", TEMPLATES["text"])}
    return {**found, "tags": template_of(found).tags}


def turned(example: Example, tokenizers: Tokenizers, labels: Labels, context: int) -> Talk:
    """Return the Example's messages as turns. Raise DataError where there are none."""
    if not example.messages:
        raise DataError(f"{example.place or 'An example'} has no messages.")
    return template_of(labels).conversation(
        example.messages, tokenizers.target, context, example.tools
    )


def encode(
    example: Example,
    tokenizers: Tokenizers,
    labels: Labels,
    purpose: Purpose,
    generator: np.random.Generator | None = None,
    *,
    context: int,
) -> list[Encoded]:
    """Encode windows of whole turns to learn from, or in use the turns to answer.

    In training the targets are the assistant's tokens and ends; `unseen` of the last window counts
    those for which no window has room. In use `metadata` is the number of tokens that were left out
    of the prompt. Nothing is drawn.
    """
    conversation = turned(example, tokenizers, labels, context)
    if purpose == "train":
        windows = [encode_window(*window) for window in conversation.windows()]
        for last in windows[-1:]:
            last.unseen = conversation.learnable - sum(one.weight for one in windows)
        return windows
    if (example.messages or [])[-1]["role"] not in ("user", TOOL):
        raise DataError(
            f"{example.place or 'A conversation'}: the last message is not the user's, so there "
            "is nothing to answer."
        )
    ids, unread = conversation.prompt()
    return [Encoded({"target": np.array(ids, dtype=np.int64)}, metadata=unread)]


def encode_window(ids: Sequence[int], words: Sequence[int]) -> Encoded:
    """Encode a window. words: the target at each position, or NONE."""
    wanted = np.array(words, dtype=np.int64)
    learnt = wanted != NONE
    return Encoded(
        {"target": np.array(ids, dtype=np.int64), "learnt": learnt.astype(np.int64)},
        {"tokens": wanted[learnt]},
    )


def check(encoded: Sequence[list[Encoded]], tokenizers: Tokenizers, *, context: int) -> None:
    """Raise DataError unless the end of some turn carries loss.

    A model that never learnt to stop would go on writing.
    """
    ends = tokenizers.target.end_ids
    if not any(np.isin(one.targets["tokens"], ends).any() for pieces in encoded for one in pieces):
        raise DataError(
            f"No end of a turn carries loss: every answer is longer than task.context = {context} "
            "tokens leaves room for, so the model would never learn to stop. Give a larger "
            "task.context, or shorter answers."
        )


def head(config: AnyConfig, labels: Labels, *, context: int) -> nn.Module:
    """Build the head. Raise UsageError as language modelling does."""
    from ..model.heads.tokens import LearntTokens

    writing.refuse_others(config, context, "Chat")
    return LearntTokens()


def loss(
    output: TokenOutput, batch: Batch, *, plain: Callable[[TokenOutput, Batch], Losses]
) -> Losses:
    """Return the losses of language modelling, and `untold`.

    untold: how many target tokens did not fit into the context, for each one that was learnt.
    """
    import torch

    found = plain(output, batch)
    lost = torch.tensor(
        float(sum(one.unseen for one in batch.encoded)), device=output.states.device
    )
    return {**found, "untold": (lost, batch.counts["tokens"], 0.0)}


def request(
    encoded: Encoded, settings: DecodingSettings, tokenizers: Tokenizers, *, context: int
) -> DecodingRequest:
    """Return the request for the assistant's next message."""
    prompt = encoded.inputs["target"].tolist()
    return DecodingRequest(
        settings=settings,
        prompt=prompt,
        context=context,
        unread=encoded.metadata or 0,
        strip=True,
    )


def read(
    raw: Sequence[Sequence[DecodedText]],
    example: Example,
    tokenizers: Tokenizers,
    *,
    plain: Read,
) -> Prediction:
    """Return the n best answers without white space around them."""
    best = plain(raw, example, tokenizers)
    for one in (best, *best.alternatives):
        one.text = one.text.strip()
    return best


def score(
    predictions: Sequence[Prediction], examples: Sequence[Example], losses: Mapping[str, float]
) -> Scores:
    """Return loss, perplexity and bits_per_byte of the assistant's UTF-8 text.

    The loss is in nats a token of the assistant's, ends of turns included. Tokens of an answer that
    does not fit into the context have no loss; among the bits they count as the others do on
    average.
    """
    losses = {**losses, "count": losses["count"] * (1 + losses.get("untold", 0.0))}
    spoken = (
        "".join(one["content"] for one in example.messages or () if is_learnt(one))
        for example in examples
    )
    found = writing.score(predictions, [Example(text=text) for text in spoken], losses)
    return Scores(found.values, {"loss": "nats a token of the assistant's words and ends of turns"})


SPEC = TaskSpec(
    name="chat",
    build=build,
    architecture="decoder",
    head="tokens",
    verbs=("chat",),
    view="next-tokens",
    labels=TEMPLATE_LABELS,
    windows=True,
    by_losses=True,
    starts=("language-modelling",),
)
