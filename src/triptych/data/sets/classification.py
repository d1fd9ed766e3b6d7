"""Load public sets of labelled texts and pairs of texts: read, split, and remove leaks.

A text that is in training and in test (or validation) is a leak. `data.leaks` decides where it is
removed: from training ("train"), from test and validation ("test"), or nowhere ("keep"). Texts are
equal if their `split.sentence_key` is. A file with repeated texts and without splits gives each
text once; "keep" keeps the repetitions and splits line by line.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import DataError
from ..example import Example, Notify
from ..split import sentence_key, split_of
from .entry import Entry, File, SplitName
from .files import file_lines
from .leaks import LEAKS_NOTE, leaking, without_leaks

if TYPE_CHECKING:
    from ..table import DataTable

_RAW = "https://raw.githubusercontent.com/"
_BERTORCH = f"{_RAW}zejunwang1/bertorch/cd2075223142ad3d21dc4221e8a12ed8c730b052/data/"
_STSB = f"{_RAW}aivilmo/textual-similarity/3fe0911a2e267b1cd7b2602c095c402ebadf4271/stsbenchmark/"
_ALPS = f"{_RAW}forest-snow/alps/3c7ef2c98249fc975a897b27f275695f97d5b7a9/data/agnews/"
_SST2 = (
    f"{_RAW}eyalbd2/Reproducing-AutoPrompt/6288fb5bec9c572f2492875ae0111df5b6daed11/"
    "glue_data/SST-2/"
)
_BANKING = (
    f"{_RAW}PolyAI-LDN/task-specific-datasets/57ec275d8078af65b7731c2a98be812d844a6d6b/"
    "banking_data/"
)
_SMS = (
    f"{_RAW}hamzaaacodes/sms-spam-collection/f3e73e1e74e6330b62d1ee1983bba2a063184c26/"
    "SMSSpamCollection"
)
_CARVED = "validation: 5 % of the training texts, by their hash"
_DEV_IS_TEST = "test: the published development split, because its test split has no labels"


@dataclass(frozen=True)
class SetLayout:
    """Describe the files of a set.

    parts: the file of each split; carved: shares taken out of the training file by hash.
    """

    parts: Mapping[SplitName, str]
    columns: Mapping[str, int]  # field -> place
    carved: Mapping[str, float] = field(default_factory=dict)
    header: bool = False
    quoted: bool = False  # CSV; else TSV without quoting
    # Names of labels that are numbers in the file.
    labels: Mapping[str, str] = field(default_factory=dict)
    distinct: bool = False  # repeated texts are read once
    symmetric: bool = False  # a pair is the same with its texts swapped


_PLAIN = {"text": 0, "label": 1}
LAYOUTS: dict[str, SetLayout] = {
    "ag-news": SetLayout(
        {"train": "train10k.tsv", "test": "test.tsv"}, _PLAIN, {"validation": 0.05}
    ),
    "sst2": SetLayout(
        {"train": "train.tsv", "validation": "dev.tsv", "test": "test-labeled.tsv"},
        _PLAIN,
        header=True,
        labels={"0": "negative", "1": "positive"},
    ),
    "sms-spam": SetLayout(
        {"train": "SMSSpamCollection.tsv"},
        {"text": 1, "label": 0},
        {"test": 0.2, "validation": 0.1},
        header=True,
        distinct=True,
    ),
    "banking77": SetLayout(
        {"train": "train.csv", "test": "test.csv"},
        _PLAIN,
        {"validation": 0.05},
        header=True,
        quoted=True,
    ),
    "chnsenticorp": SetLayout(
        {"train": "train.tsv", "test": "dev.tsv"}, _PLAIN, {"validation": 0.05}
    ),
    "tnews": SetLayout({"train": "train.tsv", "test": "dev.tsv"}, _PLAIN, {"validation": 0.05}),
    "stsb": SetLayout(
        {"train": "sts-train.csv", "validation": "sts-dev.csv", "test": "sts-test.csv"},
        {"text": 5, "text_pair": 6, "value": 4},
        symmetric=True,
    ),
}


def load(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one split without the leaks that `data.leaks` removes; `report` gets their number."""
    layout = LAYOUTS[entry.name]
    # A text in another split is not a leak for these splits.
    alone = data.leaks == "keep" or (data.leaks == "train" and split == "test")
    parts = published(entry, report, only=split if alone else None, repeated=data.leaks == "keep")
    others: set[str] = set()
    for name in leaking(split, data.leaks, "validation" in layout.carved):
        others |= {key for key, _ in parts[name]}
    return without_leaks(entry.name, split, data.leaks, parts[split], others, report)


def published(entry: Entry, report: Notify | None = None, only: SplitName | None = None,
              repeated: bool = False) -> dict[SplitName, list[tuple[str, Example]]]:  # fmt: skip
    """Return (`key_of`, Example) of all splits as published, including leaks.

    Splits that a set lacks are carved out of training by hash.

    only: the one split that is needed; other files are then not read. repeated: every line of a
        `distinct` set is kept.
    """
    layout = LAYOUTS[entry.name]
    by_line = repeated and layout.distinct
    parts: dict[SplitName, list[tuple[str, Example]]] = {"train": [], "validation": [], "test": []}
    for name, file in layout.parts.items():
        if only in (None, name) or (name == "train" and only in layout.carved):
            for key, example in _read(
                entry, file, layout, report, layout.distinct and not repeated
            ):
                part = (
                    split_of(example.place if by_line else key, layout.carved)
                    if name == "train"
                    else name
                )
                parts[part].append((key, example))  # type: ignore[index]
    return parts


def key_of(example: Example, symmetric: bool = False) -> str:
    """Return what identifies a text or a pair; symmetric: in either order."""
    keys = [
        sentence_key(text) for text in (example.text or "", example.text_pair) if text is not None
    ]
    return "\t".join(sorted(keys) if symmetric else keys)


def _read(
    entry: Entry, file: str, layout: SetLayout, report: Notify | None, distinct: bool
) -> list[tuple[str, Example]]:
    lines, found, seen = file_lines(entry, file, report), [], set()
    numbered = (
        _csv(lines)
        if layout.quoted
        else ((number, line.split("\t")) for number, line in enumerate(lines, 1))
    )
    for number, row in numbered:
        if number == 1 and layout.header:
            continue
        try:
            cells = {name: row[place].strip() for name, place in layout.columns.items()}
        except IndexError:
            raise DataError(
                f"{file}:{number}: the line has {len(row)} columns, but "
                f"{max(layout.columns.values()) + 1} are needed."
            ) from None
        value = float(cells.pop("value")) if "value" in cells else None
        if "label" in cells:
            cells["label"] = layout.labels.get(cells["label"], cells["label"])
        example = Example(**cells, value=value, place=f"{file}:{number}")  # type: ignore[arg-type]
        key = key_of(example, layout.symmetric)
        if not (distinct and key in seen):
            found.append((key, example))
        seen.add(key)
    return found


def _csv(lines: list[str]) -> list[tuple[int, list[str]]]:
    """Return (line of its end, cells) of each row; a quoted cell may hold line ends."""
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""))
    return [(reader.line_num, row) for row in reader if row]


def _entry(
    name: str,
    description: str,
    licence: str,
    languages: tuple[str, ...],
    files: tuple[File, ...],
    *notes: str,
) -> Entry:
    return Entry(
        name,
        description,
        licence,
        languages,
        files,
        notes,
        tuple(LAYOUTS[name].columns),
        load,
    )


ENTRIES: dict[str, Entry] = {
    "ag-news": _entry(
        "ag-news",
        "English news in four topics: 10,001 of the 120,000 training texts, all 7,600 for test "
        "(descriptions without titles)",
        "research, non-commercial",
        ("en",),
        (
            File(
                "train10k.tsv",
                "7a0811e0006080bf4de17752c5466450ff3db778be71bc5bcf3c4e99b5f0803d",
                f"{_ALPS}dev.tsv",
            ),
            File(
                "test.tsv",
                "e4217edd939f618f24a42b0988c56ec3cddf656d8dc279b9afa443dd1ab6a1c1",
                f"{_ALPS}test.tsv",
            ),
        ),
        _CARVED,
        f"10 training texts are also in test and are left out; {LEAKS_NOTE}",
    ),
    "sst2": _entry(
        "sst2",
        "sentiment of English film reviews: 67,349 phrases, 872 and 1,821 sentences (Socher et "
        "al. 2013, GLUE form, labelled test)",
        "Apache-2.0 (repository); the treebank's own unstated",
        ("en",),
        (
            File(
                "train.tsv",
                "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1",
                f"{_SST2}train_full.tsv",
            ),
            File(
                "dev.tsv",
                "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
                f"{_SST2}dev.tsv",
            ),
            File(
                "test-labeled.tsv",
                "c0efc56ade6e0598d0f8daca1976e232aee0bcabca8e599341cad290d9d10b3c",
                f"{_SST2}test-labeled.tsv",
            ),
        ),
        "2 test sentences are in training word for word, 6 up to punctuation and case; left out of "
        f"training; {LEAKS_NOTE}",
    ),
    "sms-spam": _entry(
        "sms-spam",
        "5,574 English text messages, ham or spam, 403 of them repeated (Almeida et al. 2011)",
        "unstated",
        ("en",),
        (
            File(
                "SMSSpamCollection.tsv",
                "fae7ea7d915ef73903e5c2f46ffa2f4a39909a574e20fda4f2b81f7cb1e15e1f",
                _SMS,
            ),
        ),
        "no split of its own: 70 % training, 10 % validation, 20 % test, by the hash of the text; "
        "repeated texts are read once; data.leaks = 'keep' keeps them and splits by line",
    ),
    "banking77": _entry(
        "banking77",
        "questions to a bank in 77 intents: 10,003 and 3,080 for test (Casanueva et al. 2020)",
        "CC-BY 4.0",
        ("en",),
        (
            File(
                "train.csv",
                "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b",
                f"{_BANKING}train.csv",
            ),
            File(
                "test.csv",
                "d12d6e3bc4c3103966ae786dc435913c0c563dfa328f5a3646d0e62cfeeb474d",
                f"{_BANKING}test.csv",
            ),
        ),
        _CARVED,
        f"25 training texts are also in test (6 word for word) and are left out; {LEAKS_NOTE}",
    ),
    "chnsenticorp": _entry(
        "chnsenticorp",
        "Chinese reviews of hotels, computers and books, positive or negative: 9,600 and 1,200",
        "Apache-2.0 (repository)",
        ("zh",),
        (
            File(
                "train.tsv",
                "2d055b163db91611d08039f7b8d7fec453fb9de45e3d892f1dbc162fb0486da4",
                f"{_BERTORCH}ChnSentiCorp/train.tsv",
            ),
            File(
                "dev.tsv",
                "7f55d58efd9783720ff9247de3513bb11a09521e77a6c73a7c7767b5d6d8279a",
                f"{_BERTORCH}ChnSentiCorp/dev.tsv",
            ),
        ),
        _DEV_IS_TEST,
        _CARVED,
        f"338 of its 1,200 texts are also in training, and are left out there; {LEAKS_NOTE}",
    ),
    "tnews": _entry(
        "tnews",
        "Chinese headlines in 15 topics: 53,360 and 10,000 (Xu et al. 2020)",
        "Apache-2.0 (repository)",
        ("zh",),
        (
            File(
                "train.tsv",
                "568044502f315abb4da0c36f06255d07932de7a7d4f8a488e267a5bb2f6aa8e4",
                f"{_BERTORCH}tnews/train.tsv",
            ),
            File(
                "dev.tsv",
                "dd51816b956838a5bfaf67310dc3bb511d310eec316a9571947f468dd36efd04",
                f"{_BERTORCH}tnews/dev.tsv",
            ),
        ),
        _DEV_IS_TEST,
        _CARVED,
        f"1,099 of its 10,000 headlines are also in training, and are left out there; {LEAKS_NOTE}",
    ),
    "stsb": _entry(
        "stsb",
        "similarity of two English sentences, 0 to 5: 5,749, 1,500 and 1,379 pairs (STS "
        "benchmark, Cer et al. 2017)",
        "several sources, share-alike and others (LICENSE.txt)",
        ("en",),
        (
            File(
                "sts-train.csv",
                "d52e1db23c2483099f2ff4d9cd80a0f98be6438748b65e21f2f2244da0164ab1",
                f"{_STSB}sts-train.csv",
            ),
            File(
                "sts-dev.csv",
                "5d7e944d8b02734b07bfdb5df67db3420c64bed153fcaa1ba47ad03480cf4234",
                f"{_STSB}sts-dev.csv",
            ),
            File(
                "sts-test.csv",
                "affe45928a66ee5a708531233c95b7dacbbdc57f974f002a3d32ea0180cf816a",
                f"{_STSB}sts-test.csv",
            ),
        ),
        "8 validation and 12 test pairs are also in training, in either order, and are left out "
        f"there; {LEAKS_NOTE}",
    ),
}
