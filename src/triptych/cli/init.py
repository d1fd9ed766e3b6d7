"""Run `triptych init`: from a user's files to a fitting recipe, with a forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..data.hub.data_sets import Reference, pinned
from ..data.hub.repository import is_reference
from ..errors import UsageError
from ..messages import message
from ..runs.named import find
from . import columns as chooser
from .columns import AS_FOUND, ReadingFlags
from .console import field, put, talk


def init(
    task: str,
    /,
    *,
    source: Path | None = None,
    target: Path | None = None,
    train: Path | None = None,
    validation: list[Path] | None = None,
    test: list[Path] | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
    out: Path | None = None,
    minutes: float | None = None,
    start: Path | None = None,
    exportable: bool = False,
    reading: Annotated[ReadingFlags, Parameter(name="*")] = AS_FOUND,
) -> int:
    """Check your files, choose a model size, forecast training time and memory, and write a recipe.

    Prints the path of the recipe; `triptych train` takes it.

    Parameters
    ----------
    task
        What to learn: translation from --source; classification, tagging, parsing,
        question-answering, masked-words, language-modelling, chat or summarization from --train.
    source
        Text file with one sentence per line; or one TSV, CSV or JSONL file with both sides.
    target
        File of the target side: line N is the translation of line N of --source.
    train
        For all other tasks: TSV, CSV or JSONL with columns or keys like text and label; words and
        tags (CoNLL); trees (CoNLL-U); questions with passages (SQuAD's JSON); plain text;
        conversations (JSONL with messages of role and content); texts with summaries (JSONL with
        source and target); or a set that `triptych data list` names. Or a data set of the Hugging
        Face hub, as a file with the same records: hf:org/name,
        hf:org/name@REVISION:CONFIG#SPLIT.
    validation
        One or two files for validation; by default a part of the training data is held out.
    test
        One or two files for the test; by default a part of the training data is held out.
    source_language
        Code of the source language, like en; by default taken from a file name like a.en.
    target_language
        Code of the target language; by default taken from its file's name.
    out
        The recipe to write; by default NAME.toml, where NAME is that of the data file. An existing
        file is never overwritten.
    minutes
        How many minutes training may take; by default as many as the forecast says.
    start
        A run, a folder of the transformers library, or a model of the hub (hf:org/name), to
        fine-tune that model.
    exportable
        Use only what the transformers library can compute, so that `triptych export` can write the
        run. Without it init takes what is more accurate, and says if it cannot be exported.
    """
    from ..setup.draft.draft import draft, is_of_pairs, refuse_unknown
    from ..setup.draft.request import DraftRequest

    reading.begin()
    refuse_unknown(task)
    of_pairs = is_of_pairs(task)
    languages = {"source-language": source_language, "target-language": target_language}
    sides = {"source": source, "target": target, **languages}
    _refuse_idle(task, of_pairs, {"train": train} if of_pairs else sides)
    _refuse_minutes(minutes)
    given = _given(source if of_pairs else train, of_pairs)
    out = out or Path(f"{_stem(given)}.toml")
    _refuse_place(out)
    path, reference = _located(given)
    request = DraftRequest(
        task=task,
        train=path,
        reference=reference,
        target=target,
        languages=(source_language, target_language),
        others=_named(validation=validation, test=test),
        columns=chooser.parsed(reading.columns),
        encoding=reading.encoding,
        minutes=minutes,
        start=_start(start),
        exportable=exportable,
        out=out,
        chooser=chooser,
        report=talk,
    )
    return _write(draft(request, reading.columns), out)


def _given(given: Path | None, of_pairs: bool) -> Path:
    """Return the file to learn from. Raises UsageError if there is none."""
    if given is None:
        pairs = "--source a.en --target a.de, or --source and one file with both sides"
        words = pairs if of_pairs else "--train my.tsv"
        raise UsageError("Name the files to learn from: {flags}", flags=words)
    return given


def _refuse_minutes(minutes: float | None) -> None:
    if minutes is not None and not minutes > 0:
        raise UsageError("--minutes is {minutes}; it must be greater than 0.", minutes=minutes)


def _located(given: Path) -> tuple[Path, str | None]:
    """Return the file to learn from, and what the recipe names if it is of the hub."""
    if not is_reference(given):
        return given, None
    from ..data.hub.data_sets import find, located

    found = find(str(given))
    reference = str(found.reference)
    if found.others:
        others = [f"#{one}" for one in found.others]
        talk(
            message(
                "{reference} is learnt from. Its other splits can be named with --validation and "
                "--test: {others}.",
                reference=reference,
                others=", ".join(others),
            )
        )
    return located(reference, report=talk), reference


def _start(start: Path | None) -> Path | str | None:
    """Return the run, folder or model of the hub to start from, the latter pinned and fetched."""
    if start is None or not is_reference(start):
        return start and (find(start) or start)
    from ..convert import fetch

    return fetch(str(start), talk).source


def _named(**parts: list[Path] | None) -> dict[str, list[str]]:
    """Return the files of each part that has any; names of the hub are pinned."""
    return {
        part: [
            pinned(str(path), part) if is_reference(path) else str(path.resolve()) for path in paths
        ]
        for part, paths in parts.items()
        if paths
    }


def _refuse_idle(task: str, of_pairs: bool, flags: dict[str, object]) -> None:
    """Raise UsageError for flags of another task."""
    idle = [name for name, one in flags.items() if one is not None]
    if idle:
        raise UsageError(
            "--{idle} has no effect on {task}, which reads {more}.",
            idle=idle[0],
            task=task,
            more="--source" if of_pairs else "--train",
        )


def _refuse_place(out: Path) -> None:
    """Raise UsageError before time is spent if the recipe cannot be written to `out`."""
    if out.exists():
        raise UsageError(
            "{out} already exists and is not overwritten. Name another file with --out.", out=out
        )
    if not out.parent.is_dir():
        raise UsageError(
            "There is no folder {parent} for {name}. Create it, or name another file with --out.",
            parent=out.parent,
            name=out.name,
        )


def _write(text: str, out: Path) -> int:
    """Write the recipe to a new file and print its path."""
    from ..recipe.schema import Recipe

    Recipe.parse(text, place=str(out)).model.config()  # Check that the recipe can be read again.
    try:
        with open(out, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            "{out} already exists and is not overwritten. Name another file with --out.", out=out
        ) from None
    put(field(out))
    return 0


def _stem(path: Path) -> str:
    if is_reference(path):
        return Reference.parse(str(path)).name.split("/")[1]
    name = path.name.removesuffix(".gz")
    return name.rsplit(".", 1)[0] or name
