"""Compare the heads of a loaded model with the gold heads of a treebank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..data.batches.encoded import collate
from ..data.example import Example
from ..data.formats.conllu import examples_of
from ..data.formats.lines import lines_of
from ..data.load import evenly_spaced
from ..errors import UsageError
from ..messages import message

if TYPE_CHECKING:
    from ..inspection.gold_heads import GoldHeads
    from .predictor import Predictor

MOST_SENTENCES = 500
INPUTS = ("text", "source")  # of a task that reads one plain text


def arcs_of(path: str | Path, most: int = MOST_SENTENCES) -> list[Example]:
    """Return sentences of a CoNLL-U file with their trees, evenly spaced.

    Raises DataError naming file and line of the first error in the format.
    """
    found = examples_of(lines_of(path, None, None), str(path))
    return evenly_spaced([one for one in found if len(one.words or ()) > 1], most)


def gold_heads(
    predictor: Predictor,
    sentences: Sequence[Example],
    to: str | None = None,
    done: Callable[[float], object] | None = None,
) -> GoldHeads:
    """Return how often each head's most attended word is the gold head.

    Args:
        predictor: A loaded run with an encoder, or a decoder alone: its self-attention is read.
        sentences: With words, heads and relations.
        to: A target language, for a run with several.
        done: Called with 1 after each sentence.

    Raises:
        UsageError: The run reads no plain text, has no self-attention, or its tokens spell no
            sentence.
    """
    from ..inspection.attribution import exact
    from ..inspection.gold_heads import Counts, between_words
    from ..inspection.sites import sites

    model, task = predictor.model, predictor.task
    side = "decoder" if task.spec.architecture == "decoder" else "encoder"
    heads = [one for one in sites(model) if (one.stack, one.part) == (side, "self")]
    if not heads:
        raise UsageError(message("An RNN has no self-attention to compare with gold arcs."))
    if task.input not in INPUTS:
        raise UsageError(
            "--arcs reads sentences, and a run for {task} reads {input}.",
            task=task.name,
            input=task.input,
        )
    counts, most = Counts(heads), model.config.context("source" if side == "encoder" else "target")
    for one in sentences:
        found = _encoded(predictor, one, side, to, most)
        if found is None:
            counts.left_out += 1
        else:
            inputs, groups = found
            with exact(model), torch.no_grad():
                weights = model.attention_weights(kind=side, **inputs)[:, 0].float().cpu().numpy()
            assert one.heads is not None and one.relations is not None, "a tree has both"
            counts.add(between_words(weights, groups), list(one.heads), one.relations)
        if done is not None:
            done(1)
    if not counts.words:
        raise UsageError(
            message(
                "The tokens of this run spell none of these sentences as its file does, so their "
                "arcs cannot be compared. Does the file hold the language that the run reads?"
            )
        )
    return counts.result()


def _encoded(
    predictor: Predictor, one: Example, side: str, to: str | None, most: int | None
) -> tuple[dict[str, torch.Tensor], list[list[int]]] | None:
    """Return a sentence's inputs and the tokens of each word; None where they do not fit."""
    from ..inspection.cells import cells
    from ..inspection.gold_heads import words_of

    text = one.text or ""
    example = predictor.example({predictor.task.input: text}, one.place, to)
    encoded = predictor.task.encode(example, predictor.tokenizers, predictor.labels, "use", None)
    name = "source" if side == "encoder" else "target"
    if len(encoded) != 1 or encoded[0].unseen or name not in encoded[0].inputs:
        return None
    ids = encoded[0].inputs[name].tolist()
    if most is not None and len(ids) > most:
        return None
    groups = words_of(cells(getattr(predictor.tokenizers, name), ids), text, one.words or ())
    if groups is None:
        return None
    batch = collate([encoded[0]]).to(predictor.device).inputs
    return {key: batch[key] for key in (name, f"{name}_lengths")}, groups
