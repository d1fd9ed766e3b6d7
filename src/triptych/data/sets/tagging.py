"""Load public sets of words with tags: entities and parts of speech.

Of the sets in LEAKS, a sentence that is in training and in test or validation is removed where
`data.leaks` says, as `sets.classification` removes texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..example import Example, Notify
from ..split import sentence_key
from .entry import Entry, File, SplitName
from .files import file_lines
from .leaks import LEAKS_NOTE, leaking, without_leaks

if TYPE_CHECKING:
    from ..table import DataTable

_GITHUB = "https://raw.githubusercontent.com/"
_CONLL = f"{_GITHUB}Franck-Dernoncourt/NeuroNER/3817feaf29/neuroner/data/conll2003/en/"
_WNUT = f"{_GITHUB}leondz/emerging_entities_17/e52a2d2a71ac1a051ca2d532eef28653c5c02603/"
_UNER = f"{_GITHUB}UniversalNER/UNER_English-EWT/"
_UNER_TRAIN, _UNER_REST = (
    "0c7ce0debb13a7d304da656f16309397e8ff36ef",
    "8ed072de2fd24022cc62458997fe96a8fe191ea4",
)
_GSD = f"{_GITHUB}UniversalDependencies/UD_Chinese-GSD/9eab518223/zh-ud-"
_MTL = f"{_GITHUB}cambridgeltl/MTL-Bioinformatics-2016/df0df02fae/data/"
FIELDS = ("text", "words", "tags")
SPLIT_FILES: dict[str, dict[str, str]] = {
    "conll2003": {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"},
    "wnut17": {"train": "train.conll", "validation": "dev.conll", "test": "test.conll"},
    "uner-english-ewt": {
        "train": "train-preliminary.iob2",
        "validation": "dev.iob2",
        "test": "test.iob2",
    },
    "ud-chinese-gsd": {"train": "train.conllu", "validation": "dev.conllu", "test": "test.conllu"},
    "bc5cdr": {"train": "train.tsv", "validation": "devel.tsv", "test": "test.tsv"},
    "ncbi-disease": {"train": "train.tsv", "validation": "devel.tsv", "test": "test.tsv"},
}
LEAKS = ("bc5cdr", "ncbi-disease")  # older sets keep their sentences, and so their scores

CHANGED = {"uner-english-ewt": {"B-OTH": "O", "I-OTH": "O", "B-O": "O"}}


def load(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one split. data.fields chooses other columns, in CoNLL-U by name: ["form", "xpos"]."""
    found = _read(entry, split, data, report)
    if entry.name not in LEAKS:
        return found
    others = {
        key
        for name in leaking(split, data.leaks)
        for key, _ in _keyed(_read(entry, name, data, None))
    }
    return without_leaks(entry.name, split, data.leaks, _keyed(found), others, report)


def _keyed(examples: list[Example]) -> list[tuple[str, Example]]:
    return [(sentence_key(one.text or ""), one) for one in examples]


def _read(entry: Entry, split: SplitName, data: DataTable, report: Notify | None) -> list[Example]:
    from ..formats.conll import examples_of

    file = SPLIT_FILES[entry.name][split]
    found = examples_of(
        file_lines(entry, file, report),
        file,
        data.listed(("words", "tags")),
        changed=CHANGED.get(entry.name),
        spaceless="zh-Hant" in entry.languages,
    )
    for one in found:
        one.place = f"{entry.name}/{one.place}"
    return found


ENTRIES: dict[str, Entry] = {
    "conll2003": Entry(
        "conll2003",
        "20,744 sentences of Reuters news with persons, places, organisations and others (BIO), "
        "parts of speech and chunks",
        "MIT (repository); the text is Reuters RCV1 and not openly licensed",
        ("en",),
        (
            File(
                "train.txt",
                "213953b5522fb7924802d883e50f027b2c6ffb5d4d0e63368ed82909f9b60423",
                f"{_CONLL}train.txt",
            ),
            File(
                "valid.txt",
                "c02eb19809eafb83998326a0481942eb37d96f31826ae387cfe8773699969f5b",
                f"{_CONLL}valid.txt",
            ),
            File(
                "test.txt",
                "dc4ac7f3d6d01a6bec59261814561da3b287b6b493b97d1f69c580b52ec1831b",
                f"{_CONLL}test.txt",
            ),
        ),
        (
            "other columns by number: data.fields = ['1', '2'] tags parts of speech, ['1', '3'] "
            "chunks",
        ),
        fields=FIELDS,
        loader=load,
        folder="conll2003-en",
    ),
    "wnut17": Entry(
        "wnut17",
        "5,690 short messages with new and rare entities of six types (BIO)",
        "CC-BY 4.0",
        ("en",),
        (
            File(
                "train.conll",
                "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
                f"{_WNUT}wnut17train.conll",
            ),
            File(
                "dev.conll",
                "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
                f"{_WNUT}emerging.dev.conll",
            ),
            File(
                "test.conll",
                "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
                f"{_WNUT}emerging.test.annotated",
            ),
        ),
        fields=FIELDS,
        loader=load,
    ),
    "uner-english-ewt": Entry(
        "uner-english-ewt",
        "16,621 English sentences of the web with persons, places and organisations (Universal "
        "NER, BIO)",
        "CC BY-SA 4.0",
        ("en",),
        (
            File(
                "train-preliminary.iob2",
                "2d986b063bb92df99540e37de34b1415eb2a22958b86de3e4698ec3be05e339f",
                f"{_UNER}{_UNER_TRAIN}/en_ewt-ud-train.iob2",
            ),
            File(
                "dev.iob2",
                "0cafd881cf31d39897b6d588420fab8fbbe4423d271725c59921ac9dd49c0713",
                f"{_UNER}{_UNER_REST}/en_ewt-ud-dev.iob2",
            ),
            File(
                "test.iob2",
                "821ad826d5f503ac03b4edc3fbc2174f21fbb005ec25863caf2051c434616d6e",
                f"{_UNER}{_UNER_REST}/en_ewt-ud-test.iob2",
            ),
        ),
        (
            "the training split is the authors' first, unfinished one: its tags B-OTH, I-OTH and "
            "B-O are read as O; entity counts then differ from the final release by under 1 %",
        ),
        fields=FIELDS,
        loader=load,
        folder="uner-en-ewt",
    ),
    "ud-chinese-gsd": Entry(
        "ud-chinese-gsd",
        "4,997 Chinese sentences of Wikipedia, traditional characters, in words with parts of "
        "speech (UD version 1)",
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
            "the files do not mark spaces: there are none between words, except between two of "
            "Latin letters or digits",
        ),
        fields=FIELDS,
        loader=load,
        folder="ud-chinese-gsd-v1",
    ),
    "bc5cdr": Entry(
        "bc5cdr",
        "13,938 sentences of PubMed abstracts with chemicals and diseases (BioCreative V, Li et "
        "al. 2016; IOB2)",
        "CC BY 4.0 (repository)",
        ("en",),
        (
            File(
                "train.tsv",
                "b731361c0ed73afd04cc5fdad39afcdfd8f325d6e46c282339185a91d1af4c14",
                f"{_MTL}BC5CDR-IOB/train.tsv",
            ),
            File(
                "devel.tsv",
                "b909de65c4f7e3c23bb09ad52d654cdc92e96db941abe1a5dcf6f6010c03cff5",
                f"{_MTL}BC5CDR-IOB/devel.tsv",
            ),
            File(
                "test.tsv",
                "e41a2843a5fff0cd8d1a88cb147968d61ae29336ca70cddc3d7fb8ff21dfa1e8",
                f"{_MTL}BC5CDR-IOB/test.tsv",
            ),
        ),
        (f"training sentences that are also in validation or test are left out; {LEAKS_NOTE}",),
        fields=FIELDS,
        loader=load,
    ),
    "ncbi-disease": Entry(
        "ncbi-disease",
        "7,287 sentences of PubMed abstracts with diseases (Dogan et al. 2014; IOB2)",
        "CC BY 4.0 (repository)",
        ("en",),
        (
            File(
                "train.tsv",
                "58379baf4614b8d757d93dd7a21b202849ca99f9b9d71b49185523ff5443300c",
                f"{_MTL}NCBI-disease-IOB/train.tsv",
            ),
            File(
                "devel.tsv",
                "b4e1e7efcc2a35047bf2f3d281648357470e674f555d4a26a0049ac37d59cc61",
                f"{_MTL}NCBI-disease-IOB/devel.tsv",
            ),
            File(
                "test.tsv",
                "8f088ce45dc4746592188f9e69de3d89d87f3bb8f0ed8c4a287d018123fa148d",
                f"{_MTL}NCBI-disease-IOB/test.tsv",
            ),
        ),
        (f"training sentences that are also in validation or test are left out; {LEAKS_NOTE}",),
        fields=FIELDS,
        loader=load,
    ),
}
