"""A draft for a Predictor: n-grams, or a smaller run whose proposals it checks
(decoding/speculative.py).
"""

from __future__ import annotations

from pathlib import Path

from ..decoding.drafts import Drafted, ModelDraft, NgramDraft
from ..errors import RunError, UsageError
from .predictor import Device, Precision, Predictor, load

NGRAM = "ngram"


def with_draft(
    predictor: Predictor,
    draft: str | Path,
    precision: Precision = "float32",
    device: Device = "auto",
) -> None:
    """From now on `draft`, a run folder or "ngram", proposes tokens for this predictor's model to
    check.

    Raises UsageError where one of the two does not write or they are not built alike, RunError
    where their tokens differ.
    """
    if not predictor.writes:
        raise UsageError(
            f"A run for {predictor.task.name} writes nothing, so there is nothing to draft: leave "
            "out --draft."
        )
    if str(draft) == NGRAM:
        predictor.drafted = Drafted(
            predictor.model, NgramDraft(sources=predictor.tokenizers.shared)
        )
        return
    other = load(draft, precision, device=device)
    if not other.writes:
        raise UsageError(
            f"{draft} is a run for {other.task.name}, which writes nothing. Name a run that "
            "writes, or ngram."
        )
    if not hasattr(other.model.config, "decoder"):
        raise UsageError(
            f"{draft} is an RNN, which cannot take back what it has read, as a draft must. Name a "
            "Transformer, or ngram."
        )
    reads, drafts_from = ("source" if _has_encoder(one) else "prompt" for one in (predictor, other))
    if reads != drafts_from:
        raise UsageError(
            f"{draft} writes from a {drafts_from} and this run from a {reads}; a draft must read "
            "what the run reads."
        )
    for side in ("source", "target"):
        if (
            getattr(predictor.tokenizers, side).fingerprint
            != getattr(other.tokenizers, side).fingerprint
        ):
            raise RunError(
                f"The tokenizer of {draft} is not that of "
                f"{predictor.run.path if predictor.run else 'this run'}, so its tokens mean other "
                "texts. Train the draft on the same data with the same table [tokenizer], or take "
                "--draft ngram."
            )
    predictor.drafted = Drafted(predictor.model, ModelDraft(other.model))


def _has_encoder(predictor: Predictor) -> bool:
    return getattr(predictor.model.config, "encoder", predictor) is not None
