"""Load public sets of passages with questions and answers in them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import UsageError, unknown
from ..example import Example, Notify
from ..formats.question_records import LocatedQuestion
from ..formats.squad import members, parse, usable
from .entry import Entry, File
from .files import file_bytes

if TYPE_CHECKING:
    from ..table import DataTable

FOLDS = 5  # of XQuAD's cross-validation
XQUAD_HELD = 10  # every tenth of the training paragraphs is for validation
# Shares of the training paragraphs and articles for validation.
CMRC_HELD, JAQUAD_HELD = 0.06, 0.03

_XQUAD = "https://raw.githubusercontent.com/deepmind/xquad/60cac41164/"
_XQUAD_FILES = {
    "xquad.en.json": "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29",
    "xquad.de.json": "990b5d746746ed65ed4702ea5f35f99ffa4e2f1c390c07d003642acd937916f9",
    "xquad.zh.json": "691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835",
}
_CMRC = "https://raw.githubusercontent.com/ymcui/cmrc2018/c0eb1b6ba2/squad-style-data/"
_JAQUAD = "https://github.com/SkelterLabsInc/JaQuAD/tree/23f5d72cc2/data/"
_FIELDS = ("question", "passage", "answers")


def load_xquad(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one language, data.source.

    Paragraphs are assigned to the folds in the order of a hash, the same in every language.
    """
    language = data.source or "en"
    if language not in entry.languages:
        raise unknown("language", language, entry.languages, "in the set xquad (data.source)")
    file = f"xquad.{language}.json"
    found = list(parse(file_bytes(entry, file, report), file, language))
    if data.fold is None:
        if split != "test":
            raise UsageError(
                f"The set xquad has no {split} split of its own: give data.fold, 1 to {FOLDS}. "
                "That fold is then the test, and the model is trained on the others."
            )
        return usable(found, report, file)
    if not 1 <= data.fold <= FOLDS:
        raise UsageError(
            f"data.fold is {data.fold}; the set xquad has {FOLDS} folds, 1 to {FOLDS}."
        )
    parts: dict[str, list[LocatedQuestion]] = {"train": [], "validation": [], "test": []}
    first = _first_questions(found)
    ranks = {name: rank for rank, name in enumerate(sorted(set(first.values()), key=_point))}
    for one in found:
        rank = ranks[first[one.example.passage or ""]]
        in_fold = rank % FOLDS == data.fold - 1
        held = rank // FOLDS % XQUAD_HELD == 0
        parts["test" if in_fold else "validation" if held else "train"].append(one)
    return usable(parts[split], report, file)


def _first_questions(found: Sequence[LocatedQuestion]) -> dict[str, str]:
    """Map each passage to the id of its first question, which is the same in every language."""
    first: dict[str, str] = {}
    for one in found:
        first.setdefault(one.example.passage or "", one.example.place.rsplit("#", 1)[-1])
    return first


def load_cmrc2018(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    _one_language(entry, data)
    file = "trial.json" if split == "test" else "dev.json"
    found = list(parse(file_bytes(entry, file, report), file, "zh"))
    if split != "test":
        found = [
            one
            for one in found
            if (_point(one.example.passage or "") < CMRC_HELD) == (split == "validation")
        ]
    return usable(found, report, file)


def load_jaquad(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    _one_language(entry, data)
    file = "dev.tar" if split == "test" else "train.tar"
    found = [
        one
        for name, raw in members(file_bytes(entry, file, report), file)
        for one in parse(raw, name.split(":")[-1], "ja")
    ]
    if split != "test":
        found = [
            one for one in found if (_point(one.article) < JAQUAD_HELD) == (split == "validation")
        ]
    return usable(found, report, file)


def _one_language(entry: Entry, data: DataTable) -> None:
    if data.source not in (None, *entry.languages):
        raise unknown(
            "language", data.source, entry.languages, f"in the set {entry.name} (data.source)"
        )


def _point(key: str) -> float:
    """Return a number from 0 to 1 by the key's hash alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


ENTRIES: dict[str, Entry] = {
    "xquad": Entry(
        "xquad",
        "1,190 questions on 240 paragraphs of Wikipedia, the same in three languages (Artetxe et "
        "al. 2020)",
        "CC BY-SA 4.0",
        ("en", "de", "zh"),
        tuple(File(name, digest, f"{_XQUAD}{name}") for name, digest in _XQUAD_FILES.items()),
        (
            "data.source chooses the language (en)",
            "data.fold = 1 to 5: that fold of 48 paragraphs is the test, the others train and "
            "validate; no fold: all is the test",
        ),
        _FIELDS,
        load_xquad,
        folds=FOLDS,
    ),
    "cmrc2018": Entry(
        "cmrc2018",
        "Chinese questions on Wikipedia (Cui et al. 2019): 3,219 of its dev.json for training, "
        "1,002 of trial.json as the test",
        "CC BY-SA 4.0",
        ("zh",),
        (
            File(
                "dev.json",
                "e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f",
                f"{_CMRC}cmrc2018_dev.json",
            ),
            File(
                "trial.json",
                "f3fae95b57da8e03afb2b57467dd221417060ef4d82db13bf22fc88589f3a6f3",
                f"{_CMRC}cmrc2018_trial.json",
            ),
        ),
        (
            "the set's own train.json was not available: dev.json trains, so scores are not those "
            "of the papers",
            "two questions of trial.json are empty and left out: 1,000 are scored",
            f"validation: {CMRC_HELD:.0%} of the paragraphs of dev.json, by hash",
        ),
        _FIELDS,
        load_cmrc2018,
    ),
    "jaquad": Entry(
        "jaquad",
        "Japanese questions on Wikipedia (So et al. 2022): 31,748 for training, 3,939 of its "
        "development split as the test",
        "CC BY-SA 3.0",
        ("ja",),
        (
            File(
                "train.tar",
                "50ec2703a62d920f0d3b2f5206ef01a44674324cd352bdd47b2705c74285e31e",
                f"{_JAQUAD}train/",
            ),
            File(
                "dev.tar",
                "abf18f0091fbaee5ea3c3cb07be8caacdcf71aab2b341d90ad9cbf237ddbb53c",
                f"{_JAQUAD}dev/",
            ),
        ),
        (
            "each split is a tar of the JSON shards in the folder at its address; it cannot be "
            "fetched as one file",
            f"validation: {JAQUAD_HELD:.0%} of the training articles, by hash",
        ),
        _FIELDS,
        load_jaquad,
    ),
}
