"""Search for answers with any `Model` by greedy search, beam search or sampling, or score answers.

`Decoding` writes one token at a time for all admitted sources; `search` loops over it for a whole
batch. Rows of one source are neighbours, so that they share its cross-attention keys. A finished
source leaves the batch. Every decision concerns one row or one source alone: an answer never
depends on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..model.interface import AnyModel, AnyNetwork
from ..model.typed import split, to_floats, to_ints
from .drafts import Drafted
from .hypothesis import Hypothesis, SearchStep
from .policies.choose import Ends, log_norms
from .policies.joining import Stop
from .settings import DecodingSettings
from .speculative import Speculation
from .steps import Decoding

FORCED_ROWS = 1024  # rows of logits that `force` holds at a time


@torch.inference_mode()
def search(
    model: AnyModel | Drafted,
    inputs: dict[str, Tensor],
    settings: DecodingSettings,
    *,
    begin: int,
    end: int | Ends,
    max_lengths: Sequence[int] | None = None,
    prefixes: Sequence[Sequence[int]] | None = None,
    stop: Stop | None = None,
    indices: Sequence[int] | None = None,
    on_event: Callable[[SearchStep], None] | None = None,
    counted: bool = True,
    before: Sequence[int] = (),
    begins: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Return the n best answers of every source, best first.

    Args:
        model: What writes; a `Drafted` for speculative decoding.
        inputs: Packed "source" (M,) and "source_lengths" (B,); {} for a decoder-only model, which
            needs `prefixes`.
        settings: The policy and the limits.
        begin: The token that the decoder begins with.
        end: The token or tokens that end an answer.
        max_lengths: The most tokens of each answer, end included; None: by `settings`.
        prefixes: Tokens that each answer must begin with.
        stop: Ends an answer early.
        indices: Identify each source for sampling; None: its place in the batch.
        on_event: Receives every step.
        counted: Tell whether a prefix counts as part of the answer in ranking, scores and
            min_length; a prompt does not.
        before: For a single source whose answer is continued, the tokens that it already has, for
            no_repeat_ngram_size.
        begins: The first token of each source's text; None: `begin`.
    """
    decoding = decoding_of(model, begin=begin, end=end)
    admitted = decoding.admit(
        inputs,
        settings,
        max_lengths=max_lengths,
        prefixes=prefixes,
        stop=stop,
        indices=indices,
        on_event=on_event,
        counted=counted,
        before=before,
        begins=begins,
    )
    while decoding.live:
        decoding.step()
    return [decoding.answers.pop(source) for source in admitted]


def decoding_of(
    model: AnyModel | Drafted, *, begin: int, end: int | Ends
) -> Decoding | Speculation:
    """Return what decodes with `model`: plainly, or speculatively if it has a draft."""
    return (
        Speculation(model, begin=begin, end=end)
        if isinstance(model, Drafted)
        else Decoding(model, begin=begin, end=end)
    )


@torch.inference_mode()
def force(model: AnyNetwork, inputs: dict[str, Tensor], targets: Tensor) -> list[list[float]]:
    """Return the log-probabilities of given answers, in nats, token by token.

    Args:
        model: A model with weights.
        inputs: Those of `model(**inputs)`, with packed "target" (begin and tokens).
        targets: Packed (N,), tokens and end.
    """
    each: list[Tensor] = []
    for states, wanted in zip(
        split(model(**inputs), FORCED_ROWS), split(targets, FORCED_ROWS), strict=True
    ):
        logits = model.project(states)
        each.append(logits.gather(1, wanted[:, None])[:, 0].float() - log_norms(logits))
    lengths = to_ints(inputs["target_lengths"])
    return [to_floats(part) for part in split(torch.cat(each), lengths)]
