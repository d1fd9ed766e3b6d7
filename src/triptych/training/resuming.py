"""Compare the recipe and the data of a resumed run with those it began with (data.json)."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeGuard

from ..data.batches.shards import Shards
from ..data.example import Example, Notify
from ..data.formats.foreign.label_folders import files_of
from ..data.formats.texts import files_in
from ..data.hub.data_sets import located
from ..data.hub.repository import is_reference
from ..data.load import names_of
from ..data.table import DataTable
from ..errors import DataError, RunError, UsageError, shell_command
from ..runs.run import Run
from . import streamed

DATA = "data.json"
SETTLED = ("task", "data", "tokenizer", "model", "batches")  # tables of a recipe
PARTS = ("train", "validation")
HELD_OUT = "the texts held out of data.train"
CHUNK_BYTES = 1 << 20
CONTENT = tuple(field.name for field in dataclasses.fields(Example) if field.name != "place")

Recipe = Mapping[str, Mapping[str, object]]  # table -> key -> value
Fingerprint = dict[str, Any]  # identifies the content of a file or a set
Fingerprints = dict[str, dict[str, Fingerprint]]  # part -> name of the file or set


def refuse_other_recipe(run: Run, saved: Recipe, now: Recipe) -> None:
    """Raise UsageError if two recipes, as nested values, differ in a table of SETTLED."""
    for table in SETTLED:
        for key in sorted({*saved.get(table, {}), *now.get(table, {})}):
            old, new = saved.get(table, {}).get(key), now.get(table, {}).get(key)
            if old != new:
                raise UsageError(
                    "{path} was trained with {table}.{key} = {old!r}, and now it is "
                    "{new!r}. To go on with the run as it is: {command}. Or train into a new "
                    "folder with --out.",
                    path=run.path,
                    table=table,
                    key=key,
                    old=old,
                    new=new,
                    command=shell_command("triptych", "train", run.path, "--resume"),
                )


def fingerprints_of(data: DataTable, parts: Mapping[str, Sequence[Example]]) -> Fingerprints:
    """Return fingerprints of the training and validation data.

    That of a file is its size and the SHA-256 of its decompressed content; that of a set of the
    catalogue is the SHA-256 of its Examples. Streamed files may be too large to hash: their size
    and modification time only help to name the changed file once the shards differ.
    """
    return {part: dict(_fingerprints(data, part, parts[part])) for part in PARTS}


def _fingerprints(
    data: DataTable, part: str, examples: Sequence[Example]
) -> Iterator[tuple[str, Fingerprint]]:
    given = getattr(data, part)
    if data.set is not None:
        yield data.set, _fingerprint_of_examples(examples)
    elif given is not None:
        for name, path in _files(names_of(given), data.verbatim, part):
            try:
                yield name, _fingerprint_of_file(path, data.stream is True and part == "train")
            except (OSError, EOFError, zlib.error) as problem:
                reason = getattr(problem, "strerror", None) or problem
                raise DataError(
                    "{path} cannot be read: {reason}.", path=path, reason=reason
                ) from None
    elif data.stream:
        yield HELD_OUT, _fingerprint_of_examples(examples)


def _files(names: Sequence[str], verbatim: bool, part: str) -> Iterator[tuple[str, Path]]:
    """Yield files by name, and those in folders; of folders named after labels all texts."""
    for name in names:
        if is_reference(name):
            yield name, located(name, part)
            continue
        for path in files_of(Path(name)) or files_in([name], verbatim):
            yield str(path), path


def _fingerprint_of_file(path: Path, streamed: bool) -> Fingerprint:
    if streamed:
        status = path.stat()
        return {"bytes": status.st_size, "modified": status.st_mtime_ns}
    digest, size = hashlib.sha256(), 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _fingerprint_of_examples(examples: Sequence[Example]) -> Fingerprint:
    digest, values = hashlib.sha256(), attrgetter(*CONTENT)
    for one in examples:
        known = [pair for pair in zip(CONTENT, values(one), strict=True) if pair[1] is not None]
        digest.update(repr(known).encode("utf-8", "surrogatepass"))
    return {"examples": len(examples), "sha256": digest.hexdigest()}


def digests_of(marks: Fingerprints, examples: Sequence[Example]) -> dict[str, str]:
    """Return one digest for each part, which checkpoints store.

    Args:
        marks: The fingerprints of the data.
        examples: What is trained on; shards have their own digest.
    """
    train = examples.digest if isinstance(examples, Shards) else _digest(marks["train"])
    own = marks["validation"]  # empty if validation is a share of the training files
    return {"train": train, "validation": _digest(own) if own else train}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def remember(run: Run, marks: Fingerprints, examples: Sequence[Example]) -> None:
    """Record which data the run is trained on."""
    run.write_json(DATA, marks)
    if isinstance(examples, Shards):
        streamed.remember(run, examples)


def refuse_other_data(
    run: Run | None,
    now: Fingerprints,
    allowed: bool,
    tell: Notify,
    other_shards: bool = False,
) -> None:
    """Refuse to go on with a run on other data than it was trained on.

    A run that was begun before there was a data.json is not compared.

    Args:
        run: The run that is resumed, if any.
        now: The fingerprints of its data as it is now.
        allowed: Only report what has changed.
        tell: Receives a sentence.
        other_shards: The shards of a streamed set are known to differ.

    Raises:
        RunError: A file or set differs; it is named.
    """
    if run is None:
        return
    before = _read(run)
    if before is None and not other_shards:
        if allowed:
            tell(f"{run.path} does not record which data it was trained on: nothing is compared.")
        return
    surely: list[str] = []
    perhaps: list[str] = []
    for part in PARTS if before is not None else ():
        old, new = (before or {}).get(part, {}), now.get(part, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                only_hints = "modified" in (old.get(name) or new.get(name, {}))
                difference = _difference(name, old.get(name), new.get(name))
                (perhaps if only_hints else surely).append(difference)
    if not surely and not other_shards:
        return
    which = "; ".join(dict.fromkeys(perhaps + surely)) or "its texts"
    changed = f"The data of {run.path} has changed since it was trained: {which}."
    if not allowed:
        raise RunError(
            "{changed} Put it back, or train into a new folder with --out, or go "
            "on with the data as it is now: {command}",
            changed=changed,
            command=shell_command("triptych", "train", run.path, "--resume", "--data-changed"),
        )
    tell(changed)


def changes_since(run: Run, data: DataTable) -> list[str]:
    """Return in words what has changed in the training files since a run was trained on them.

    Nothing is known of a run without data.json, of a set of the catalogue and of streamed files.
    """
    before = _read(run)
    if before is None or data.train is None or data.stream:
        return []
    old, now = before.get("train", {}), dict(_fingerprints(data, "train", ()))
    return [
        _difference(name, old.get(name), now.get(name))
        for name in sorted({*old, *now})
        if old.get(name) != now.get(name)
    ]


def _read(run: Run) -> Fingerprints | None:
    if not (run.path / DATA).is_file():
        return None
    found: object = run.read_json(DATA)
    if not _are_fingerprints(found):
        raise RunError(
            "{path} is damaged: it is not a table of fingerprints. Delete it to go "
            "on without comparing the data.",
            path=run.path / DATA,
        )
    return found


def _are_fingerprints(value: object) -> TypeGuard[Fingerprints]:
    """Tell whether a JSON value is a table of tables of fingerprints."""
    return _is_table(value) and all(
        _is_table(part) and all(_is_table(mark) for mark in part.values())
        for part in value.values()
    )


def _is_table(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _difference(name: str, old: Fingerprint | None, new: Fingerprint | None) -> str:
    if old is None or new is None:
        return f"{name} is {'new' if old is None else 'no longer there'}"
    unit = "bytes" if "bytes" in new else "examples"
    if old.get(unit) == new[unit] or not isinstance(old.get(unit), int):
        return f"{name} (another content of the same length)"
    return f"{name} ({old[unit]:,} {unit}, now {new[unit]:,})"
