"""Read what a recipe's table `data` names: Examples for training, validation and test.

Imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, overload

import numpy as np

from ..errors import DataError, UsageError, unknown
from ..messages import message
from .example import Example, Notify
from .formats import chats, clips, columns, conll, conllu, references, squad, texts
from .formats.flag_columns import flags_of
from .formats.foreign.own_lines import own_lines
from .formats.pairs import Files, read
from .formats.references import to_score
from .formats.table_format import FIELDS, Format, sniff
from .formats.texts import finer
from .hub.data_sets import as_files
from .pair_table import PairTable
from .sets import catalog
from .sets.entry import SPLITS
from .split import by_input, by_source, division_of
from .table import DataTable, Names

Reader = Callable[[list[str], DataTable, Sequence[str], Notify | None], list[Example]]
Item = TypeVar("Item")
LONGEST_NAME_BYTES = 255
# Field that is learnt from -> reader of files(names, data table, needs, report). First match wins.
READERS: dict[str, Reader] = {
    "audio": clips.read,
    "references": references.read,
    "answers": squad.read,
    "relations": conllu.read,
    "tags": conll.read,
    "label": columns.read,
    "labels": columns.read,
    "value": columns.read,
    "chosen": chats.read_preferences,
    "messages": chats.read,
    "text": texts.read,
}


def load_split(
    data: DataTable,
    split: str,
    report: Notify | None = None,
    needs: Sequence[str] = ("source", "target"),
) -> Sequence[Example]:
    """Return the Examples of one split. See `load_splits`."""
    return load_splits(data, (split,), report, needs)[split]


def load_splits(
    data: DataTable,
    splits: Sequence[str],
    report: Notify | None = None,
    needs: Sequence[str] = ("source", "target"),
) -> dict[str, Sequence[Example]]:
    """Return the Examples of the "train", "validation" or "test" splits of a recipe.

    A file of which several splits are taken is read once.

    needs: the fields that the task reads.

    Raises DataError or UsageError.
    """
    data = as_files(data, report)
    refuse_idle_columns(data, needs)
    if data.set is not None and data.encoding is not None:
        raise UsageError(
            "data.encoding (--encoding) is that of your own files, but the data is "
            "the set {set}. Leave it out.",
            set=data.set,
        )
    refuse_idle_split(data)
    entry = catalog.entry(data.set) if data.set is not None else None
    if not aligned(needs) or (
        entry is not None and entry.loader is not None and "source" in entry.fields
    ):
        return _other_splits(data, splits, needs, report)
    if data.set is not None:
        return {
            split: catalog.load(
                data.set,
                split,
                source=data.source,
                target=data.target,
                script=data.script,
                report=report,
            )
            for split in splits
        }
    if data.train is None:
        raise UsageError(
            "The recipe names no data. Give data.set (one of {names}), or "
            'data.train with your own files, for example ["a.en", "a.de"]; '
            "triptych init writes such a recipe.",
            names=", ".join(catalog.entries()),
        )
    return _divided(
        data,
        splits,
        report,
        lambda names, notify: _files(data, names, notify),
        lambda whole: by_source(whole, division_of(data)),
    )


def training_part(data: DataTable, whole: Sequence[Example]) -> Sequence[Example]:
    """Return the training part of the pairs of own files that were read already."""
    shares = division_of(data)
    return _divided(data, ("train",), None, lambda *_: whole, lambda all_: by_source(all_, shares))[
        "train"
    ]


def _divided(
    data: DataTable,
    splits: Sequence[str],
    report: Notify | None,
    read: Callable[[Names, Notify | None], Sequence[Example]],
    divide: Callable[[Sequence[Example]], dict[str, Sequence[Example]]],
) -> dict[str, Sequence[Example]]:
    """Return splits of own files: those with files of their own, and those held out of training.

    Only the reading for training reports on the training files.
    """
    missing = [name for name in ("validation", "test") if getattr(data, name) is None]
    parts: dict[str, Sequence[Example]] | None = None
    found: dict[str, Sequence[Example]] = {}
    for split in splits:
        given = getattr(data, split)
        if given is not None and not (split == "train" and missing):
            found[split] = read(given, report)
            continue
        if parts is None:
            parts = divide(read(data.train or [], report if "train" in splits else None))
        found[split] = parts[split]
        if split == "train":
            for name in ("validation", "test"):
                found[split] = _both(found[split], parts[name] if name not in missing else [])
    return found


def _both(one: Sequence[Example], other: Sequence[Example]) -> Sequence[Example]:
    """Return the Examples of two sequences."""
    if not len(other):
        return one
    return one + other if isinstance(one, PairTable) else [*one, *other]


def aligned(needs: Sequence[str]) -> bool:
    """Tell whether a task learns from pairs of lines, which two files can hold."""
    return tuple(needs) == ("source", "target")


def _other_splits(
    data: DataTable, splits: Sequence[str], needs: Sequence[str], report: Notify | None
) -> dict[str, Sequence[Example]]:
    """Return splits for a task that does not read pairs: of a public set, or files in its format.

    Raises DataError or UsageError.
    """
    if data.set is not None:
        return {split: catalog.load_other(data.set, split, data, needs, report) for split in splits}
    if data.train is None:
        raise UsageError(
            message(
                "The recipe names no data. Give data.set (see triptych data list), or "
                "data.train with your own file; triptych init writes such a recipe.",
            )
        )

    def divide(whole: Sequence[Example]) -> dict[str, Sequence[Example]]:
        parts = by_input(whole, division_of(data))
        if tuple(needs) == ("text",) and not (parts["validation"] and parts["test"]):
            parts = by_input(finer(list(whole)), division_of(data))
        return {**parts}

    held = [split for split in splits if split != "train" and getattr(data, split) is None]
    streamed = held if data.stream else []
    found = _divided(
        data,
        [split for split in splits if split not in streamed],
        report,
        lambda names, notify: reader_of(needs)(names_of(names), data, needs, notify),
        divide,
    )
    if streamed:
        from .batches.streaming import Corpus

        corpus = Corpus(data, report)
        found |= {split: corpus.held(split) for split in streamed}
    return {
        split: found[split]
        if split == "train" or split in streamed
        else to_score(list(found[split]), needs)
        for split in splits
    }


def learnt_field(needs: Sequence[str]) -> str:
    """Return the field that is learnt from, which decides how files are read."""
    return next((name for name in READERS if name in needs), "text")


def reader_of(needs: Sequence[str]) -> Reader:
    """Return the reader for Examples with the fields `needs`, by the field that is learnt from."""
    return READERS[learnt_field(needs)]


def refuse_idle_columns(data: DataTable, needs: Sequence[str]) -> None:
    """Raise UsageError if `data.columns` is given where nothing is read by columns."""
    if not data.columns:
        return
    learnt = learnt_field(needs)
    held = {
        "audio": ["audio", "target", "text", "start", "end"],
        "references": [need for need in needs if need != "references"],
        "tags": ["words", "tags"],
        "answers": ["question", "passage", "answer", "start"],
        "text": ["text"],
        "messages": ["messages", "instruction", "input", "output"],
        "chosen": ["prompt", "messages", "chosen", "rejected"],
    }
    known = (
        list(needs)
        if aligned(needs) or learnt in ("label", "labels", "value")
        else held.get(learnt, [])
    )
    if data.set is not None and learnt != "tags":
        raise UsageError(
            "data.columns (--columns) names columns of your own files, but the "
            "data is the set {set}. Leave it out.",
            set=data.set,
        )
    if not known:
        raise UsageError(
            "data.columns (--columns) has no effect here: {names} are read by the "
            "keys of their format. Leave it out.",
            names=", ".join(needs),
        )
    idle = [name for name in data.columns if name not in (*known, "header")]
    if idle:
        raise unknown("field", idle[0], (*known, "header"), "in data.columns (--columns)")


def refuse_idle_split(data: DataTable) -> None:
    """Raise UsageError if `data.split` or `data.held_out` is given where nothing is divided."""
    given = [name for name in ("split", "held_out") if getattr(data, name) is not None]
    if given and data.set is not None:
        raise UsageError(
            f"data.{given[0]} divides your own files, but the data is the set {data.set}, which "
            "has its own parts. Leave it out."
        )
    if data.stream and data.split == "stratified":
        raise UsageError(
            "data.split = 'stratified' reads all texts into memory, and data.stream does not. "
            "Leave one of them out."
        )


def names_of(given: Names) -> list[str]:
    """Return one file name or several as a list. Raises DataError for one that no file can have."""
    names = [given] if isinstance(given, str) else list(given)
    for name in names:
        part = max(Path(name).parts, key=len, default="")
        if len(os.fsencode(part)) > LONGEST_NAME_BYTES:
            raise DataError(
                "{name}… cannot be the name of a file: a part of it has {size:,} bytes, and file "
                "systems allow {most}.",
                name=name[:60],
                size=len(os.fsencode(part)),
                most=LONGEST_NAME_BYTES,
            )
    return names


def split_files(data: DataTable) -> dict[str, list[str]]:
    """Return the files of each split that has any, those of the hub by their path in the cache."""
    return split_names(as_files(data))


def split_names(data: DataTable) -> dict[str, list[str]]:
    """Return the names of each split that has any, as the recipe has them."""
    given = {split: names for split in SPLITS if (names := getattr(data, split)) is not None}
    return {split: names_of(names) for split, names in given.items()}


def fitting(data: DataTable, names: Sequence[str], report: Notify | None = None) -> DataTable:
    """Return the data table for files that may be laid out differently from the training files.

    `columns` is dropped where the files have none of them, and `encoding` where they are UTF-8.
    """
    if data.encoding and all(_is_utf8(name) for name in names):
        data = replace(data, encoding=None)
    if not data.columns:
        return data
    wanted = {need: str(name) for need, name in data.columns.items() if need != "header"}
    flags = flags_of(data.columns, ())
    if flags is not None:
        wanted = {**wanted, "labels": flags[0], **dict(zip(flags, flags, strict=True))}
    forms = [sniff(name, encoding=data.encoding) for name in names if Path(name).is_file()]
    kinds = [form for form in forms if form.kind != "text"]
    if (
        len(names) == len(forms)
        and kinds
        and all(_has(form, [*wanted.values()]) and form.chosen is None for form in kinds)
    ):
        return data
    if report is not None:
        listed = ", ".join(f"{need}={name}" for need, name in wanted.items())
        report(
            f"{', '.join(names)}: the columns of the run ({listed}) are not in this file; its "
            "columns are detected as for any file."
        )
    return replace(data, columns=None)


def _is_utf8(name: str) -> bool:
    try:
        own_lines(name)
    except DataError:
        return False
    return True


def _has(form: Format, wanted: Sequence[str]) -> bool:
    """Tell whether all wanted columns or keys are in the file."""
    known = {name.casefold() for name in form.first}
    numbers = () if form.kind == "jsonl" else map(str, range(1, len(form.first) + 1))
    return {name.casefold() for name in wanted} <= known | set(numbers)


def files_of(names: str | Sequence[str], data: DataTable | None = None) -> Files:
    """Describe one file with two columns, or two aligned files.

    data: gives the names of the columns, and the languages.
    """
    paths, data = [names] if isinstance(names, str) else list(names), data or DataTable()
    if len(paths) not in (1, 2):
        raise UsageError(
            "{count} files are given ({names}). Name one file with two columns, or "
            "two aligned files.",
            count=len(paths),
            names=", ".join(paths),
        )
    if len(paths) == 2 and data.columns:
        raise UsageError(
            message(
                "data.columns (--columns) has no effect on two aligned files: each has "
                "one text a line. Leave it out.",
            )
        )
    fields = data.fields or list(FIELDS)
    if len(fields) != 2:
        raise UsageError(
            "data.fields names {count} columns; it must name two, those of source and target.",
            count=len(fields),
        )
    target = data.target[0] if isinstance(data.target, list) and data.target else data.target
    return Files(
        paths[0], paths[1] if len(paths) == 2 else None, (fields[0], fields[1]), data.columns,
        (data.source, target if isinstance(target, str) else None), data.encoding,
    )  # fmt: skip


def _files(data: DataTable, names: str | Sequence[str], report: Notify | None) -> PairTable:
    if isinstance(data.target, list) and len(data.target) > 1:
        raise UsageError(
            message(
                "Own files have one target language: give data.target as one text, for "
                "example 'de'.",
            )
        )
    target = data.target[0] if isinstance(data.target, list) and data.target else data.target
    return read(files_of(names, data), data.source, target, report)  # type: ignore[arg-type]


@overload
def evenly_spaced(examples: list[Item], count: int | None) -> list[Item]: ...
@overload
def evenly_spaced(examples: Sequence[Item], count: int | None) -> Sequence[Item]: ...
def evenly_spaced(examples: Sequence[Item], count: int | None) -> Sequence[Item]:
    """Choose `count` examples spaced evenly over all, so that every language has its share."""
    if count is None or count >= len(examples):
        return examples
    rows = [place * len(examples) // count for place in range(count)]
    if isinstance(examples, PairTable):
        return examples.take(np.array(rows, dtype=np.int64))  # type: ignore[return-value]
    return [examples[row] for row in rows]
