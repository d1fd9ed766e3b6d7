"""The third stage: labels and tokenizers, and the examples as ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..data.batches.encoded import Encoded
from ..data.example import FIELDS, Example, Notify, texts_of
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..data.validation.columns import refuse_unseen
from ..errors import DataError, RunError, UsageError
from ..recipe.schema import Recipe
from ..runs.run import Run
from ..tasks.task import Task
from ..training import streamed
from ..training.resuming import refuse_other_data
from .data import LoadedData
from .resolve import Resolved


@dataclass(frozen=True, kw_only=True)
class TokenizedData:
    """Examples as the model reads them.

    Args:
        data: The stage before.
        labels: What the task finds in the data.
        tokenizers: Learnt, or taken from the run that is started from.
        examples: Those that are learnt from; of a streamed set shards, which hold only their
            places.
        encoded: Their pieces; none of a streamed set.
    """

    data: LoadedData
    labels: dict[str, Any]
    tokenizers: Tokenizers
    examples: Sequence[Example]
    encoded: list[list[Encoded]] = field(repr=False)

    @property
    def resolved(self) -> Resolved:
        return self.data.resolved


def tokenize(data: LoadedData) -> TokenizedData:
    """Find the labels, learn or take the tokenizers, and encode the examples once."""
    resolved, recipe, task = data.resolved, data.resolved.recipe, data.resolved.task
    labels = _labels(task, data.examples, resolved.origin, resolved.before)
    refuse_unseen(data.examples, data.validation)
    tokenizers = _tokenizers(recipe, labels, data.examples, resolved.origin, resolved.report)
    examples: Sequence[Example]
    encoded: list[list[Encoded]]
    if data.corpus is None or resolved.dry:
        examples, encoded = _encode(
            task, data.examples, tokenizers, labels, recipe.data.longest, resolved.report
        )
        if task.check is not None:
            task.check(encoded, tokenizers)
    else:
        refuse = partial(
            refuse_other_data,
            now=data.fingerprints,
            allowed=resolved.data_changed,
            tell=resolved.report,
            other_shards=True,
        )
        examples, encoded = (
            streamed.shards(
                data.corpus, tokenizers, resolved.before, recipe.batches.bpe_dropout, refuse
            ),
            [],
        )
    return TokenizedData(
        data=data, labels=labels, tokenizers=tokenizers, examples=examples, encoded=encoded
    )


def _labels(
    task: Task, examples: Sequence[Example], origin: Run | None, before: Run | None
) -> dict[str, Any]:
    """What the task finds in the data, with what it takes over from the run that it starts from; a
    resumed run's must be the same.
    """
    labels = task.prepare(examples)
    if task.inherit_labels is not None and origin is not None:
        labels = task.inherit_labels(labels, origin.read_labels(), Tokenizers.load(origin.path))
    if before is not None and before.read_labels() != labels:
        raise RunError(
            f"The data of {before.path} has changed since it was trained: its labels differ. "
            "Train into a new folder."
        )
    return labels


def _encode(
    task: Task,
    examples: Sequence[Example],
    tokenizers: Tokenizers,
    labels: dict[str, Any],
    longest: int,
    tell: Notify,
) -> tuple[list[Example], list[list[Encoded]]]:
    """All examples as ids, once; those with a side over `longest` tokens are left out and named,
    and those that give nothing.
    """
    kept, encoded, passed, nothing = [], [], [], []
    for example in examples:
        pieces = task.encode(example, tokenizers, labels, "train", None)
        if not task.spec.windows and any(
            len(values) > longest for one in pieces for values in one.inputs.values()
        ):
            passed.append(example.place)
            continue
        for one in pieces:
            one.index = len(kept)
        kept.append(example)
        encoded.append(pieces)
        nothing += [] if pieces else [example.place]
    if passed:
        tell(f"{_some(passed)}: over data.longest = {longest:,} tokens, left out of training.")
    if nothing:
        reason = (
            f"do not fit task.window = {task.options['window']:,}, or are empty"
            if "window" in task.options
            else "are empty"
        )
        tell(
            f"{_some(nothing)}: nothing is learnt from {len(nothing):,} of {len(kept):,} training "
            f"examples, which {reason}."
        )
    if not kept:
        raise DataError(
            f"No example is left to train on: all {len(passed):,} have over data.longest = "
            f"{longest:,} tokens."
        )
    return kept, encoded


def _some(places: Sequence[str]) -> str:
    return ", ".join(places[:3]) + (f" and {len(places) - 3:,} more" if len(places) > 3 else "")


def _tokenizers(
    recipe: Recipe,
    labels: dict[str, Any],
    examples: Sequence[Example],
    origin: Run | None,
    tell: Notify,
) -> Tokenizers:
    tags = tuple(labels.get("tags", ()))
    if origin is not None:
        # of a folder, a copy is read
        found, named = Tokenizers.load(origin.path).with_begin(), recipe.model.start or origin.path
        unknown_tags = [tag for tag in tags if tag not in found.source.tags]
        if unknown_tags:
            raise UsageError(
                f"The tokenizer of {named} has no tag for {', '.join(unknown_tags)}; it has "
                f"{', '.join(found.source.tags) or 'none'}. Start from a run that has them, or "
                "train anew."
            )
        if labels.get("mask") and found.source.mask_id is None:
            raise UsageError(
                f"The tokenizer of {named} has no mask, which masked words need. Train anew."
            )
        return found
    dials, mask = recipe.tokenizer, bool(labels.get("mask", False))
    sides = {
        role: [name for name, one in FIELDS.items() if one.text and one.role == role]
        for role in ("input", "target")
    }
    texts = {
        role: [
            text
            for name in names
            for one in examples
            for text in texts_of(getattr(one, name))
            if text
        ]
        for role, names in sides.items()
    }
    if dials.shared or not texts["target"]:
        one = Tokenizer.train(
            texts["input"] + texts["target"], dials.kind, dials.vocabulary_size, tags, mask
        )
        return Tokenizers(one, one)
    source = Tokenizer.train(texts["input"], dials.kind, dials.vocabulary_size, tags)
    return Tokenizers(source, Tokenizer.train(texts["target"], dials.kind, dials.vocabulary_size))
