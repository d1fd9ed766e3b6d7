"""Load terms of service whose lines have the types of unfair clauses as labels."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import DataError, UsageError, unknown
from ..example import Example, Notify
from ..split import sentence_key
from .entry import SPLITS, Entry, File, SplitName
from .files import file_bytes
from .leaks import LEAKS_NOTE, leaking, without_leaks

if TYPE_CHECKING:
    from ..table import DataTable

FOLDS = 5
HELD = 8  # every eighth of the 40 training companies, in the order of a hash, is for validation
_FILE = "corpus.tar"
_ADDRESS = (
    "https://github.com/nlp-unibo/Multilingual-Unfair-Clause-Detection/tree/04d9878bfc/corpus/"
)


def load(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one language, data.source, of one fold, data.fold, without the leaks."""
    language = data.source or "en"
    if language not in entry.languages:
        raise unknown(
            "language", language, entry.languages, f"in the set {entry.name} (data.source)"
        )
    files = _members(file_bytes(entry, _FILE, report))
    companies = _companies(files, entry.name, split, data.fold)
    parts = {name: _read(files, companies[name], language) for name in companies}
    others = {
        key for name in leaking(split, data.leaks, carved=True) for key, _ in parts.get(name, [])
    }
    return without_leaks(entry.name, split, data.leaks, parts[split], others, report)


def _companies(
    files: Mapping[str, list[str]], name: str, split: SplitName, fold: int | None
) -> dict[SplitName, list[str]]:
    """Return the files of each split; without a fold all of them are the test."""
    if fold is None:
        if split != "test":
            raise UsageError(
                f"The set {name} has no {split} split of its own: give data.fold, 1 to {FOLDS}. "
                "That fold is then the test, and the model is trained on the others."
            )
        return {"test": _listed(files, "ALL")}
    if not 1 <= fold <= FOLDS:
        raise UsageError(f"data.fold is {fold}; the set {name} has {FOLDS} folds, 1 to {FOLDS}.")
    others = sorted(
        _listed(files, f"TRAIN_{fold - 1}"), key=lambda one: hashlib.sha256(one.encode()).digest()
    )
    held = set(others[::HELD])
    found = (
        [one for one in others if one not in held],
        sorted(held),
        _listed(files, f"TEST_{fold - 1}"),
    )
    return dict(zip(SPLITS, found, strict=True))


def _listed(files: Mapping[str, list[str]], name: str) -> list[str]:
    return sorted(one for one in files[f"corpus/lists/LIST_{name}.txt"] if one)


def _read(
    files: Mapping[str, list[str]], names: list[str], language: str
) -> list[tuple[str, Example]]:
    """Read (key, Example) of each line with text; a tag that is not in list_tags.txt is none."""
    tags, found = set(files["corpus/list_tags.txt"]), list[tuple[str, Example]]()
    for name in names:
        texts = files[f"corpus/sentences/{language}/original/{name}"]
        given = files[f"corpus/tags/{language}/original/{name}"]
        if len(texts) != len(given):
            raise DataError(
                f"{_FILE}: {language}/{name} has {len(texts):,} lines of text and {len(given):,} "
                "of tags. Delete the file and fetch it again."
            )
        for number, (text, line) in enumerate(zip(texts, given, strict=True), 1):
            if text := text.strip():
                labels = sorted({one for one in line.split() if one in tags})
                place = f"{language}/{name}:{number}"
                found.append((sentence_key(text), Example(text=text, labels=labels, place=place)))
    return found


def _members(raw: bytes) -> dict[str, list[str]]:
    """Return the lines of each text file of the tar, by its name."""
    found: dict[str, list[str]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
            for one in tar:
                stream = tar.extractfile(one) if one.isfile() and one.size <= len(raw) else None
                if stream is not None:
                    text = stream.read().decode("utf-8-sig")
                    found[one.name] = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    except (tarfile.TarError, EOFError, OSError, UnicodeDecodeError) as problem:
        raise DataError(f"{_FILE} is not a whole tar file ({problem}). Copy it again.") from None
    return found


ENTRIES: dict[str, Entry] = {
    "unfair-clauses": Entry(
        "unfair-clauses",
        "33,271 lines of the terms of service of 50 companies in two languages; 9 types of unfair "
        "clauses in two levels, several or none a line (Galassi et al. 2020)",
        "CC BY 4.0",
        ("en", "de"),
        (
            File(
                _FILE,
                "cf27e87f4ca756b889d1ddbdbfe64512eda7b9f825d2e452e5517fb1c56bf081",
                _ADDRESS,
            ),
        ),
        (
            "the set is a tar of the folder at its address; it cannot be fetched as one file",
            "data.source chooses the language (en)",
            f"data.fold = 1 to {FOLDS}: the 10 companies of that fold are the test, 5 of the "
            "others validate; no fold: all is the test",
            "tags that the set does not ask for (ltd1 law1 j1 a1 countrym) are read as no tag",
            f"training lines that are also in validation or test are left out; {LEAKS_NOTE}",
        ),
        ("text", "labels"),
        load,
        folds=FOLDS,
    ),
}
