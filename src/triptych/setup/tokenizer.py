"""Run the third stage: find labels, get tokenizers, and encode the examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..data.batches.encoded_table import EncodedTable
from ..data.example import FIELDS, Example, Notify, texts_of
from ..data.pair_table import chosen, place_of, values_of
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..data.validation.columns import refuse_unseen
from ..errors import DataError, RunError, UsageError
from ..messages import message
from ..recipe.schema import Recipe
from ..runs.allocator import give_back_freed
from ..runs.run import Run
from ..tasks.task import Labels, Task
from ..training import streamed
from ..training.resuming import refuse_other_data
from .data import LoadedData
from .encoding import Encoder
from .resolve import Resolved


@dataclass(frozen=True, kw_only=True)
class TokenizedData:
    """Hold examples as the model reads them.

    Args:
        data: The result of the stage before.
        labels: What the task found in the data.
        tokenizers: Trained, or taken from the run of model.start.
        examples: The training examples; of a streamed set its shards, which hold only their places.
        encoded: What the examples were encoded to; empty for a streamed set.
    """

    data: LoadedData
    labels: Labels
    tokenizers: Tokenizers
    examples: Sequence[Example]
    encoded: EncodedTable = field(repr=False)

    @property
    def resolved(self) -> Resolved:
        return self.data.resolved


def tokenize(data: LoadedData) -> TokenizedData:
    """Find the labels, train or load the tokenizers, and encode the examples once."""
    resolved, recipe, task = data.resolved, data.resolved.recipe, data.resolved.task
    labels, tokenizers = find_tokenizers(data)
    examples: Sequence[Example]
    encoded: EncodedTable
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
            EncodedTable(),
        )
    return TokenizedData(
        data=data, labels=labels, tokenizers=tokenizers, examples=examples, encoded=encoded
    )


def find_tokenizers(data: LoadedData) -> tuple[Labels, Tokenizers]:
    """Find the labels, and train or load the tokenizers."""
    resolved, recipe, task = data.resolved, data.resolved.recipe, data.resolved.task
    labels = _labels(task, data.examples, resolved.origin, resolved.before)
    refuse_unseen(data.examples, data.validation)
    tokenizers = _tokenizers(recipe, labels, data.examples, resolved.origin, resolved.report)
    return labels, tokenizers


@dataclass(frozen=True, slots=True)
class Texts:
    """Give the texts in fields of many examples, each time that they are read, without a list."""

    examples: Sequence[Example]
    names: Sequence[str]

    def __iter__(self) -> Iterator[str]:
        for name in self.names:
            for value in values_of(self.examples, name):
                for text in [value] if isinstance(value, str) else texts_of(value):  # type: ignore[arg-type]
                    if text:
                        yield text


def _labels(
    task: Task, examples: Sequence[Example], origin: Run | None, before: Run | None
) -> Labels:
    """Return the labels in the data, with those inherited from the run of model.start.

    Those of a resumed run must be the same.
    """
    labels = task.prepare(examples)
    if task.inherit_labels is not None and origin is not None:
        labels = task.inherit_labels(labels, origin.read_labels(), Tokenizers.load(origin.path))
    if before is not None and before.read_labels() != labels:
        raise RunError(
            "The data of {path} has changed since it was trained: its labels "
            "differ. Train into a new folder.",
            path=before.path,
        )
    return labels


def _encode(
    task: Task,
    examples: Sequence[Example],
    tokenizers: Tokenizers,
    labels: Labels,
    longest: int,
    report: Notify,
) -> tuple[Sequence[Example], EncodedTable]:
    """Encode all examples once.

    Those with a side of more than `longest` tokens are left out and reported, and so are those that
    give nothing to learn from.
    """
    part = Encoder(task, tokenizers, labels, longest).encode(examples)
    give_back_freed()  # what reading, learning and encoding took: the model comes next
    encoded, left = part.table, chosen(examples, np.flatnonzero(part.kept))
    passed = [place_of(examples, row) for row in np.flatnonzero(~part.kept).tolist()]
    nothing = [place_of(left, row) for row in encoded.empty]
    if passed:
        report(
            message(
                "{some}: longer than data.longest = {longest:,} tokens, left out of training.",
                some=_some(passed),
                longest=longest,
            )
        )
    if nothing:
        reason = (
            f"do not fit task.window = {task.options['window']:,}, or are empty"
            if "window" in task.options
            else "are empty"
        )
        report(
            message(
                "{some}: nothing is learnt from {count:,} of {count2:,} training "
                "examples, which {reason}.",
                some=_some(nothing),
                count=len(nothing),
                count2=len(encoded),
                reason=reason,
            )
        )
    if not len(encoded):
        raise DataError(
            "There is no example left to train on: all {count:,} are longer than "
            "data.longest = {longest:,} tokens. Raise it.",
            count=len(passed),
            longest=longest,
        )
    return left, encoded


def _some(places: Sequence[str]) -> str:
    return ", ".join(places[:3]) + (f" and {len(places) - 3:,} more" if len(places) > 3 else "")


def _tokenizers(
    recipe: Recipe,
    labels: Labels,
    examples: Sequence[Example],
    origin: Run | None,
    report: Notify,
) -> Tokenizers:
    tags = tuple(labels.get("tags", ()))
    if origin is not None:
        # The error names the folder, of which a copy is read.
        found, named = Tokenizers.load(origin.path).with_begin(), recipe.model.start or origin.path
        unknown_tags = [tag for tag in tags if tag not in found.source.tags]
        if unknown_tags:
            raise UsageError(
                "The tokenizer of {named} has no tag for {names}; it has {value}. "
                "Start from a run that has them, or train from scratch.",
                named=named,
                names=", ".join(unknown_tags),
                value=", ".join(found.source.tags) or "none",
            )
        if labels.get("mask") and found.source.mask_id is None:
            raise UsageError(
                "The tokenizer of {named} has no mask token, which masked words need. "
                "Train from scratch.",
                named=named,
            )
        return found
    settings, mask = recipe.tokenizer, bool(labels.get("mask", False))
    sides = {
        role: [name for name, one in FIELDS.items() if one.text and one.role == role]
        for role in ("input", "target")
    }
    texts = {role: Texts(examples, names) for role, names in sides.items()}
    if settings.shared or not any(True for _ in texts["target"]):
        both = Texts(examples, [*sides["input"], *sides["target"]])
        one = Tokenizer.train(both, settings.kind, settings.vocabulary_size, tags, mask)
        return Tokenizers(one, one)
    source = Tokenizer.train(texts["input"], settings.kind, settings.vocabulary_size, tags)
    return Tokenizers(
        source, Tokenizer.train(texts["target"], settings.kind, settings.vocabulary_size)
    )
