"""A recipe's table `data`: what to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

from ..checking import TOKENS, Count
from ..errors import UsageError

Names = str | list[str]


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """What to learn from: a public set by name, or files."""

    set: str | None = None  # see `triptych data list`
    source: str | None = None  # language, "en"
    target: Names | None = None  # language, or several: one model for all, chosen by a tag
    # of a set that mixes both; tagged: chosen with --to
    script: Literal["zh-Hans", "zh-Hant", "tagged"] | None = None
    # files beside the recipe: two aligned texts ["a.en", "a.de"], TSV, JSONL, what the task reads;
    # or a data set of the hub: hf:org/name@REVISION:CONFIG#SPLIT
    train: Names | None = None
    # unset: 2.5 % of `train`, kept out by a hash of the source sentence; test likewise
    validation: Names | None = None
    test: Names | None = None  # read by triptych evaluate and compare, never by training
    # how they are kept out: "hash" (unset: the same) decides by each text alone, so none moves when
    # the file grows; "stratified" takes the share of every class (docs/decisions/022)
    split: Literal["hash", "stratified"] | None = None
    # the share of `train` that is kept out for each of them; unset: 0.025
    held_out: Annotated[float, Gt(0), Lt(0.5)] | None = None
    # field -> column or key, by name or number: {source = "English", target = "Deutsch"}
    columns: dict[str, str | int] | None = None
    # the same as a list, in the order in which the task reads them; columns counts before it
    fields: list[str] | None = None
    # of a folder of sound: how names of files hold texts, "{text}_{speaker}_{number}"; unset: the
    # text stands in a file clip.txt beside clip.wav, else the name is it
    pattern: str | None = None
    # of your own files, like "cp1252"; unset: UTF-8, or UTF-16 or UTF-32 with a byte order mark
    encoding: str | None = None
    examples: Count | None = None  # train on so many of them, spread evenly
    # from where texts are taken that stand in training and in test or validation
    leaks: Literal["train", "test", "keep"] = "train"
    # of a set that is scored by cross-validation: the fold that is the test, from 1
    fold: Count | None = None
    # plain text: a file is one document, its lines and spaces as they are (code, verse); code
    # always is
    verbatim: bool = False
    # plain text: read one by one and kept as token shards; unset: what has more than about 1 GB
    stream: bool | None = None
    # of a streamed set: what is shuffled at a time, and what memory holds
    shard_tokens: Count = 1 << 24
    # tokens; a longer side keeps its example out of training, and is named
    longest: Annotated[int, Ge(1), TOKENS] = 1000

    def named(self, needs: Sequence[str]) -> dict[str, str | int] | None:
        """Field -> column or key, as `columns` or `fields` say. Raises DataError where `fields` has
        not one for each of `needs`.
        """
        from .formats.choosing import of_fields

        return self.columns or (
            None if self.fields is None else dict(of_fields(self.fields, needs))
        )

    def listed(self, needs: Sequence[str]) -> list[str] | None:
        """The columns of all `needs` in their order, for readers without a header. Raises
        UsageError where `columns` lacks one.
        """
        if not self.columns:
            return self.fields
        missing = [need for need in needs if need not in self.columns]
        if missing:
            raise UsageError(
                f"data.columns (--columns) names no column for {' and '.join(missing)}."
            )
        return [str(self.columns[need]) for need in needs]
