"""Read a data set of the hub as one file of a user: `hf:org/name@REVISION:CONFIG#SPLIT`.

Only Parquet, JSON, CSV, TSV and text files are read, and the README that says which of them make a
config and its splits; a loading script is code, so it is never fetched. A split in several files or
in Parquet is written as one file of our own formats into the user cache, where every reader, check
and message works as for a file of the user (docs/decisions/031).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from ...errors import DataError, UsageError, brief
from ..example import Notify
from ..formats.foreign import parquet
from ..formats.foreign.own_lines import own_lines
from ..formats.json_lines import is_object
from ..sets.download import aside, rename, write_pieces
from ..table import DataTable
from .layout import KEYWORDS, Config, configs_of, ending_of, is_data
from .repository import (
    PREFIX,
    Listing,
    Report,
    Repository,
    fetched,
    in_cache,
    is_reference,
    library,
    listed,
    sizes_in_words,
)

FORM = "hf:org/name, hf:org/name@REVISION, hf:org/name:CONFIG#SPLIT or hf:org/name:FILE"
REFERENCE = re.compile(
    r"hf:(?P<name>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?"
    r"(?::(?P<part>[^#]+))?(?:#(?P<split>[^#]+))?",
    re.ASCII,
)
PARTS = ("train", "validation", "test")
CARD, LARGEST_CARD = "README.md", 1 << 22


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Name a split of a data set. part: its config, or one of its files."""

    name: str
    revision: str = "main"
    part: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read what a user wrote. Raises UsageError for another form."""
        found = REFERENCE.fullmatch(text)
        if found is None or ".." in text:
            raise UsageError(
                "{text} is not a data set of the hub. Write {form}.", text=text, form=FORM
            )
        return cls(
            name=found["name"],
            revision=found["revision"] or "main",
            part=found["part"],
            split=found["split"],
        )

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        part = f":{self.part}" if self.part else ""
        split = f"#{self.split}" if self.split else ""
        return f"{PREFIX}{self.name}{revision}{part}{split}"


@dataclass(frozen=True, kw_only=True)
class Found:
    """Hold a split that was found: with its commit, its files, and the names of other splits."""

    reference: Reference
    repository: Repository
    listing: Listing
    files: Sequence[str]
    others: Sequence[str] = ()


def find(text: str, wanted: str = "train") -> Found:
    """Find the split that a name stands for, and fetch nothing but the README.

    Args:
        text: The name, as `FORM` says.
        wanted: The part of a recipe that it is for, if the name has no split.

    Raises:
        UsageError: The name has another form, or a config or split is missing, or a package is.
        DataError: There is no such data set, or it holds nothing that is read.
    """
    given = Reference.parse(text)
    repository = Repository(given.name, "dataset")
    library(repository.kind)
    listing = listed(repository, given.revision)
    given = replace(given, revision=listing.commit)
    if given.part is not None and ending_of(given.part):
        return _file(given, repository, listing)
    configs = configs_of(listing.sizes, _card(repository, listing), given.name)
    if not configs:
        raise _nothing(given, listing)
    config = _config(given, configs)
    split = _split(given, config, wanted)
    return Found(
        reference=replace(given, part=config.name, split=split),
        repository=repository,
        listing=listing,
        files=config.splits[split],
        others=[one for one in config.splits if one != split],
    )


def pinned(text: str, wanted: str = "train") -> str:
    """Return a name with the commit, config and split that it stands for now. Raises as `find`."""
    return str(find(text, wanted).reference)


def located(text: str, wanted: str = "train", report: Report | None = None) -> Path:
    """Return the file of a split, after fetching what is not in the cache.

    Args:
        text: The name.
        wanted: As `find` takes it.
        report: Receives how much is fetched.

    Raises:
        UsageError: As `find`.
        DataError: As `find`, or a file is damaged.
    """
    found = find(text, wanted)
    is_one = len(found.files) == 1 and ending_of(found.files[0]) not in parquet.ENDINGS
    given = found.reference
    parts = [quote(one, safe="") for one in (given.part or "", given.split or "file")]
    ending = ".jsonl" if ending_of(found.files[0]) not in (".csv", ".tsv", ".txt") else None
    folder = found.repository.folder / found.listing.commit / parts[0]
    path = folder / (parts[1] + (ending or ending_of(found.files[0])))
    if not is_one and path.is_file():
        return path
    missing = [
        one for one in found.files if not in_cache(found.repository, found.listing.commit, one)
    ]
    if missing and report is not None:
        report(sizes_in_words(found.repository, found.listing, missing))
    paths = fetched(found.repository, found.listing, found.files)
    if is_one:
        return paths[found.files[0]]
    with aside(path, "part") as beside:
        write_pieces(beside, _lines(found, paths), path)
        rename(beside, path)
    return path


def as_files(data: DataTable, report: Notify | None = None) -> DataTable:
    """Return a recipe's table `data` with files in place of names of the hub. Raises as `located`.

    report: receives how much is fetched.
    """
    return _changed(data, lambda name, part: str(located(name, part, report)))


def pin(data: DataTable, before: DataTable | None = None) -> DataTable:
    """Return a recipe's table `data` whose names of the hub have commit, config and split.

    before: the table of the run that is resumed: its commit holds for a name without one.

    Raises:
        UsageError, DataError: As `find`.
    """

    def kept(name: str, part: str) -> str:
        given = Reference.parse(name)
        for one in _names(before, part) if before is not None and given.revision == "main" else ():
            old = Reference.parse(one) if is_reference(one) else None
            if old is not None and replace(old, revision="main") in (
                given,
                replace(given, part=given.part or old.part, split=given.split or old.split),
            ):
                return one
        return pinned(name, part)

    return _changed(data, kept)


def located_name(name: str, wanted: str, report: Notify | None = None) -> str:
    """Return a file's name as it is, and one of the hub as its path. Raises as `located`."""
    return str(located(name, wanted, report)) if is_reference(name) else name


def _names(data: DataTable, part: str) -> list[str]:
    given: str | list[str] | None = getattr(data, part)
    return [given] if isinstance(given, str) else list(given or ())


def _changed(data: DataTable, act: Callable[[str, str], str]) -> DataTable:
    """Return a table with each name of the hub changed by `act`, which gets its part as well."""
    changed: dict[str, str | list[str]] = {}
    for part in PARTS:
        names = _names(data, part)
        if any(map(is_reference, names)):
            new = [act(one, part) if is_reference(one) else one for one in names]
            changed[part] = new[0] if isinstance(getattr(data, part), str) else new
    return replace(data, **changed) if changed else data


def _card(repository: Repository, listing: Listing) -> Path | None:
    """Return the README of a data set, which may say which files make a split."""
    if not 0 < listing.sizes.get(CARD, 0) <= LARGEST_CARD:
        return None
    return fetched(repository, listing, [CARD])[CARD]


def _file(given: Reference, repository: Repository, listing: Listing) -> Found:
    """Find one file that a name has in place of a config."""
    assert given.part is not None, "a file is named"
    if given.part not in listing.sizes:
        held = [one for one in listing.sizes if is_data(one)]
        raise UsageError(
            "{name} has no file {file}. It has {held}.",
            name=given.name,
            file=given.part,
            held=brief(", ".join(held)) or "no file that is read",
        )
    if given.split is not None:
        raise UsageError(
            "{given} names a file and a split; a file is read whole. Leave out #{split}.",
            given=given,
            split=given.split,
        )
    return Found(reference=given, repository=repository, listing=listing, files=[given.part])


def _config(given: Reference, configs: Sequence[Config]) -> Config:
    """Return the config that is named, or the only or default one."""
    for one in configs:
        if one.name == given.part or (given.part is None and (one.is_default or len(configs) == 1)):
            return one
    names = brief(", ".join(one.name for one in configs), 400)
    if given.part is not None:
        raise UsageError(
            "{name} has no config {config}. It has {names}.",
            name=given.name,
            config=given.part,
            names=names,
        )
    raise UsageError(
        "{name} has several configs: {names}. Name one, like {example}.",
        name=given.name,
        names=names,
        example=Reference(name=given.name, part=configs[0].name),
    )


def _split(given: Reference, config: Config, wanted: str) -> str:
    """Return the split that is named, or the one for a part of a recipe."""
    usual = (given.split,) if given.split else KEYWORDS.get(wanted, (wanted,))
    found = next((one for one in usual if one in config.splits), None)
    if found is not None:
        return found
    if given.split is None and wanted == "train" and len(config.splits) == 1:
        return next(iter(config.splits))
    raise UsageError(
        "{name} has no split {split} in its config {config}. It has {names}; name one, like "
        "{example}.",
        name=given.name,
        split=given.split or wanted,
        config=config.name,
        names=", ".join(config.splits),
        example=Reference(name=given.name, part=config.name, split=next(iter(config.splits))),
    )


def _nothing(given: Reference, listing: Listing) -> DataError:
    """Return the error for a data set without a file that is read."""
    if any(name.endswith(".py") for name in listing.sizes):
        return DataError(
            "{name} is loaded by a script, which is code and is never run. Try the copy that the "
            "hub converts: {converted}. Or name one of its files: hf:{name}:FILE.",
            name=given.name,
            converted=f"{PREFIX}{given.name}@refs/convert/parquet",
        )
    return DataError(
        "{name} holds no Parquet, JSON, CSV, TSV or text file. It has {held}.",
        name=given.name,
        held=brief(", ".join(listing.sizes)) or "nothing",
    )


def _lines(found: Found, paths: dict[str, Path]) -> Iterator[bytes]:
    """Yield the lines of several files as those of one."""
    header: str | None = None
    for name, path in paths.items():
        kind = ending_of(name)
        if kind in parquet.ENDINGS:
            yield from parquet.lines(path)
            continue
        lines = own_lines(path)
        if kind == ".json" and not all(is_object(one) for one in lines if one.strip()):
            raise DataError(
                "{name} has several JSON files, and {file} is not a list of records. Name one of "
                "them: {example}.",
                name=found.reference.name,
                file=name,
                example=replace(found.reference, part=name, split=None),
            )
        if kind in (".csv", ".tsv") and lines:
            first, header = lines[0], lines[0] if header is None else header
            if name != found.files[0] and first == header:
                lines = lines[1:]
        yield from (f"{line}\n".encode("utf-8", "replace") for line in lines)
