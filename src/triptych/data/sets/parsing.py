"""Load public sets of sentences with dependency trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from ..example import Example, Notify
from .entry import Entry, File, SplitName
from .files import file_lines

if TYPE_CHECKING:
    from ..table import DataTable

FIELDS = ("text", "words", "upos", "heads", "relations")
PARTS = {"train": "train.conllu", "validation": "dev.conllu", "test": "test.conllu"}
_UD = "https://raw.githubusercontent.com/UniversalDependencies/"
_EWT = f"{_UD}UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/en_ewt-ud-"
_GSD = f"{_UD}UD_Chinese-GSD/9eab5182234b0429e5dd738cfe2a5626fef96e58/zh-ud-"
_SIMPLIFIED = f"{_UD}UD_Chinese-GSDSimp/eb3aed31ebb170897405ee5cd1db83a1a0b11864/zh_gsdsimp-ud-"


def load(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one split of a treebank. Raises UsageError for a split that it does not have."""
    from ..formats.conllu import examples_of

    if split not in entry.splits:
        raise UsageError(
            f"The set {entry.name} has no split '{split}'; it has {', '.join(entry.splits)}."
        )
    file = PARTS[split]
    return examples_of(file_lines(entry, file, report), f"{entry.name}/{file}")


ENTRIES: dict[str, Entry] = {
    "ud-english-ewt": Entry(
        "ud-english-ewt",
        "16,622 English sentences of the web with parts of speech and dependency trees (Universal "
        "Dependencies 2)",
        "CC BY-SA 4.0",
        ("en",),
        (
            File(
                "train.conllu",
                "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b",
                f"{_EWT}train.conllu",
            ),
            File(
                "dev.conllu",
                "531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6",
                f"{_EWT}dev.conllu",
            ),
            File(
                "test.conllu",
                "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd",
                f"{_EWT}test.conllu",
            ),
        ),
        fields=FIELDS,
        loader=load,
    ),
    "ud-chinese-gsd-v1": Entry(
        "ud-chinese-gsd-v1",
        "4,997 Chinese sentences of Wikipedia, traditional characters, Universal Dependencies "
        "version 1",
        "CC BY-SA 4.0",
        ("zh-Hant",),
        (
            File(
                "train.conllu",
                "94c1ad7f8f7d545169bafbef367852b965ec5eada13d614d8e8b6b9297ee6d0d",
                f"{_GSD}train.conllu",
            ),
            File(
                "dev.conllu",
                "574a2c826fc4207530be65b9cd9d8d9611a9749716ab1e3349ec681b93c7a42f",
                f"{_GSD}dev.conllu",
            ),
            File(
                "test.conllu",
                "c5fe2733ca4a118725fc06d6a7dbce9952254a4a174f3bd75e13ab4d504e9970",
                f"{_GSD}test.conllu",
            ),
        ),
        (
            "relations of version 1 (dobj, nsubjpass, neg, ...); the file does not mark spaces: "
            "there are none between Chinese words",
        ),
        fields=FIELDS,
        loader=load,
    ),
    "ud-chinese-gsdsimp": Entry(
        "ud-chinese-gsdsimp",
        "1,000 Chinese sentences for testing, simplified characters (Universal Dependencies 2)",
        "CC BY-SA 4.0",
        ("zh-Hans",),
        (
            File(
                "dev.conllu",
                "342a2969df6d6d08bdc25dbc067c93c86ab3099bb054a9921ae7067cbc2c53ad",
                f"{_SIMPLIFIED}dev.conllu",
            ),
            File(
                "test.conllu",
                "573f59b799b499a920d2d5bdc0e3c1dbd7bcacf86bdece4334ecbd03e21b6150",
                f"{_SIMPLIFIED}test.conllu",
            ),
        ),
        fields=FIELDS,
        loader=load,
        splits=("validation", "test"),
    ),
}
