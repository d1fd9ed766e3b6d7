"""What a recipe's table `data` means: the Examples for training, validation and test. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from ..errors import UsageError
from . import catalog
from .example import Example
from .references import to_score
from .sources import Files, read
from .split import by_input, by_source
from .texts import finer

Names = str | list[str]
Report = Callable[[str], None]
# What is learnt from -> module:function(file names, data table, needs, report) -> Examples. Asked in this order.
READERS: dict[str, str] = {
    "references": "references:read",
    "answers": "squad:read",
    "relations": "conllu:read",
    "tags": "conll:read",
    "label": "columns:read",
    "labels": "columns:read",
    "value": "columns:read",
    "chosen": "chats:read_preferences",
    "messages": "chats:read",
    "text": "texts:read",
}


@dataclass(frozen=True, kw_only=True)
class DataTable:
    """What to learn from: a public set by name, or files."""

    set: str | None = None  # see `triptych data list`
    source: str | None = None  # language, "en"
    target: Names | None = None  # language, or several: one model for all, chosen by a tag
    script: Literal["zh-Hans", "zh-Hant", "tagged"] | None = None  # of a set that mixes both; tagged: chosen with --to
    train: Names | None = None  # files beside the recipe: two aligned texts ["a.en", "a.de"], TSV, JSONL, what the task reads
    validation: Names | None = None  # unset: 2.5 % of `train`, kept out by a hash of the source sentence; test likewise
    test: Names | None = None  # read by triptych evaluate and compare, never by training
    fields: list[str] | None = None  # columns or keys of what the task reads, where they have other names
    examples: int | None = None  # train on so many of them, spread evenly
    leaks: Literal["train", "test", "keep"] = "train"  # from where texts are taken that stand in training and in test or validation
    fold: int | None = None  # of a set that is scored by cross-validation: the fold that is the test, from 1
    verbatim: bool = False  # plain text: a file is one document, its lines and spaces as they are (code, verse); code always is
    stream: bool | None = None  # plain text: read one by one and kept as token shards; unset: what has more than about 1 GB
    shard_tokens: int = 1 << 24  # of a streamed set: what is shuffled at a time, and what memory holds
    longest: int = 1000  # tokens; a longer side keeps its example out of training, and is named


def read_part(data: DataTable, part: str, report: Report | None = None, needs: Sequence[str] = ("source", "target")) -> list[Example]:
    """The Examples of "train", "validation" or "test" that a recipe means. needs: the fields that its task reads.

    Raises DataError or UsageError.
    """
    about = catalog.entry(data.set) if data.set is not None else None
    if not aligned(needs) or (about is not None and about.loader is not None and "source" in about.fields):
        return other_part(data, part, needs, report)
    if data.set is not None:
        return catalog.load(data.set, part, source=data.source, target=data.target, script=data.script, report=report)
    if data.train is None:
        raise UsageError(
            f"The recipe names no data. Give data.set (one of {', '.join(catalog.entries())}), or data.train with your own files, "
            'for example ["a.en", "a.de"]; triptych init writes such a recipe.'
        )
    given = getattr(data, part)
    missing = [name for name in ("validation", "test") if getattr(data, name) is None]
    if given is not None and not (part == "train" and missing):
        return _files(data, given, report)
    parts = by_source(_files(data, data.train, report if part == "train" else None))
    if part != "train":
        return parts[part]
    return parts["train"] + [example for name in ("validation", "test") if name not in missing for example in parts[name]]


def aligned(needs: Sequence[str]) -> bool:
    """Whether a task learns from pairs of lines, which two files can hold."""
    return tuple(needs) == ("source", "target")


def other_part(data: DataTable, part: str, needs: Sequence[str], report: Report | None) -> list[Example]:
    """The same for tasks that do not read pairs: a set of the catalogue, or files in the form that the fields ask for."""
    if data.set is not None:
        return catalog.load_other(data.set, part, data, needs, report)
    if data.train is None:
        raise UsageError(
            "The recipe names no data. Give data.set (see triptych data list), or data.train with your own file; "
            "triptych init writes such a recipe."
        )
    given = getattr(data, part)
    missing = [name for name in ("validation", "test") if getattr(data, name) is None]
    if given is not None and not (part == "train" and missing):
        found = reader_of(needs)(names_of(given), data, needs, report)
        return found if part == "train" else to_score(found, needs)
    if data.stream and part != "train":
        from .streaming import Corpus

        return Corpus(data, report).held(part)
    found = reader_of(needs)(names_of(data.train), data, needs, report if part == "train" else None)
    parts = by_input(found)
    if tuple(needs) == ("text",) and not (parts["validation"] and parts["test"]):
        parts = by_input(finer(found))
    if part != "train":
        return to_score(parts[part], needs)
    return parts["train"] + [example for name in ("validation", "test") if name not in missing for example in parts[name]]


def learnt_field(needs: Sequence[str]) -> str:
    """The field that is learnt from, which says how files are read."""
    return next((name for name in READERS if name in needs), "text")


def reader_of(needs: Sequence[str]) -> Callable[[list[str], DataTable, Sequence[str], Report | None], list[Example]]:
    """The reader of files whose Examples have the fields `needs`, by the field that is learnt from."""
    module, name = READERS[learnt_field(needs)].split(":")
    return getattr(import_module(f".{module}", __package__), name)


def names_of(given: Names) -> list[str]:
    """One file name or several, as a list."""
    return [given] if isinstance(given, str) else list(given)


def files_of(names: str | Sequence[str], fields: Sequence[str] | None = None) -> Files:
    """One file with two columns, or two aligned files."""
    paths = [names] if isinstance(names, str) else list(names)
    if len(paths) not in (1, 2):
        raise UsageError(f"{len(paths)} files are given ({', '.join(paths)}); name one with two columns, or two aligned ones.")
    if fields is not None and len(fields) != 2:
        raise UsageError(f"data.fields names {len(fields)} columns; it must name two, those of source and target.")
    return Files(paths[0], paths[1] if len(paths) == 2 else None, **({"fields": (fields[0], fields[1])} if fields else {}))


def _files(data: DataTable, names: str | Sequence[str], report: Report | None) -> list[Example]:
    if isinstance(data.target, list) and len(data.target) > 1:
        raise UsageError("Own files have one target language: give data.target as one text, for example 'de'.")
    target = data.target[0] if isinstance(data.target, list) and data.target else data.target
    return read(files_of(names, data.fields), data.source, target, report)  # type: ignore[arg-type]


def spread(examples: list[Example], count: int | None) -> list[Example]:
    """`count` of the examples, evenly over all of them, so that every language has its share."""
    if count is None or count >= len(examples):
        return examples
    return [examples[place * len(examples) // count] for place in range(count)]
