"""Search over any model with the face `encode`, `start`, `step`: greedy, beam, sampling; and the
score of a given answer.

`Decoding` moves one token at a time for all that was admitted; `search` is a loop over it for a
whole batch. The rows of one source stand together, so the model lets them share what it knows of
the source. A source that has ended leaves the batch, and what remains shrinks. Every decision is a
row's or a source's own: an answer never depends on its neighbours.
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
from .policies.sampling_policy import Stop
from .settings import DecodingSettings
from .speculative import Speculation
from .steps import Decoding

FORCED_ROWS = 1024  # vocabularies' worth of logits that `force` holds at a time


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
    """The n best answers of every source, best first.

    end: the token that ends an answer, or all that do. inputs: packed "source" (M,) with
    "source_lengths" (B,); for a model that only writes, {} and prefixes. max_lengths: tokens with
    the end, None: by `settings`. prefixes: tokens every answer must begin with. stop: ends an
    answer early. indices: what identifies a source for sampling, None: its place. on_event: is told
    every step. counted: whether a prefix is part of the answer where that is ranked, scored and
    measured against min_length; a prompt is not. before: of one source alone whose answer is
    written on, the tokens that it has already, which are not to be repeated either. begins: what
    stands first in each source's text, None: `begin`.
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
    """What steps `model`: one token at a time, or several at once where it comes with a draft."""
    return (
        Speculation(model, begin=begin, end=end)
        if isinstance(model, Drafted)
        else Decoding(model, begin=begin, end=end)
    )


@torch.inference_mode()
def force(model: AnyNetwork, inputs: dict[str, Tensor], targets: Tensor) -> list[list[float]]:
    """Log-probabilities (nats) of given answers, token by token.

    inputs: as for `model(**inputs)`, with packed "target" (begin and tokens); targets: packed (N,)
        tokens and end.
    """
    each: list[Tensor] = []
    for states, wanted in zip(
        split(model(**inputs), FORCED_ROWS), split(targets, FORCED_ROWS), strict=True
    ):
        logits = model.project(states)
        each.append(logits.gather(1, wanted[:, None])[:, 0].float() - log_norms(logits))
    lengths = to_ints(inputs["target_lengths"])
    return [to_floats(part) for part in split(torch.cat(each), lengths)]
