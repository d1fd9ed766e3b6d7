"""Load public sets of summaries and of questions to be generated.

A source that is in two splits is a leak; `data.leaks` decides where it is removed: from training
("train"), from validation and test ("test"), or nowhere ("keep"). Sources are equal if their
`split.sentence_key` is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..example import Example, Notify
from ..formats.references import grouped
from ..split import sentence_key, split_of
from .entry import Entry, File
from .files import file_bytes, file_lines

if TYPE_CHECKING:
    from ..table import DataTable

_RAW = "https://raw.githubusercontent.com/"
_SAMSUM = f"{_RAW}vishnusharma-lab/datasets/6279d61d4c881efde9a1dde4cdd44f477023b818/samsum.zip"
_SCITLDR = f"{_RAW}allenai/scitldr/5ccad9c00a/SciTLDR-Data/SciTLDR-A/"
_NQG = f"{_RAW}xinyadu/nqg/8211129a3e/data/processed/"
_LEAKS = "data.leaks = 'keep' keeps them, 'test' removes them from validation and test instead"
_SUMMARIES = ("source", "target", "references")
QUESTIONS_HELD = {"validation": 0.04}  # share of the training sentences of squad-qg
FILES = {
    "samsum": {"train": "train.json", "validation": "val.json", "test": "test.json"},
    "scitldr": {"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"},
}


def summaries(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one split of samsum or scitldr without the leaks that `data.leaks` removes."""
    found = _published(entry, split, report)
    others = {"train": ("validation", "test"), "validation": ("test",), "test": ()}
    if data.leaks == "test":
        others = {"train": (), "validation": ("train",), "test": ("train", "validation")}
    elif data.leaks == "keep":
        return found
    held = {
        sentence_key(one.source or "")
        for name in others[split]
        for one in _published(entry, name, None)
    }
    kept = [one for one in found if sentence_key(one.source or "") not in held]
    if report is not None and len(kept) < len(found):
        where = " or ".join(others[split])
        report(
            f"{entry.name}: {len(found) - len(kept):,} sources of {split} that are also in {where} "
            "are left out (data.leaks)."
        )
    return kept


def _published(entry: Entry, split: str, report: Notify | None) -> list[Example]:
    """Load a split as published, without empty records."""
    file = FILES[entry.name][split]
    read = _conversations if entry.name == "samsum" else _abstracts
    return [one for one in read(entry, file, report) if one.source and one.target]


def _conversations(entry: Entry, file: str, report: Notify | None) -> list[Example]:
    values = json.loads(file_bytes(entry, file, report))
    return [
        Example(
            source="\n".join(one["dialogue"].split("\r\n")).strip(),
            target=one["summary"].strip(),
            source_language="en",
            place=f"{file}#{one['id']}",
        )
        for one in values
    ]


def _abstracts(entry: Entry, file: str, report: Notify | None) -> list[Example]:
    found = []
    for number, line in enumerate(file_lines(entry, file, report), 1):
        values = json.loads(line)
        texts = [text.strip() for text in values["target"] if text.strip()]
        source = " ".join(sentence.strip() for sentence in values["source"])
        found.append(
            Example(
                source=source,
                target=texts[0],
                references=texts,
                source_language="en",
                place=f"{file}:{number}",
            )
        )
    return found


def questions(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load pairs of sentence and question for training, one Example a sentence for scoring."""
    part = "dev" if split == "test" else "test"
    sides = [file_lines(entry, f"{part}.{side}.txt", report) for side in ("sentence", "question")]
    found = [
        Example(
            passage=sentence.strip(),
            target=question.strip(),
            source_language="en",
            place=f"{part}.question.txt:{number}",
        )
        for number, (sentence, question) in enumerate(zip(*sides, strict=True), 1)
    ]
    if split == "test":
        return grouped(found)
    kept = [
        one for one in found if split_of(sentence_key(one.passage or ""), QUESTIONS_HELD) == split
    ]
    return grouped(kept) if split == "validation" else kept


ENTRIES: dict[str, Entry] = {
    "samsum": Entry(
        "samsum",
        "messenger conversations with their summaries: 14,732, 818 and 819 (Gliwa et al. 2019)",
        "CC BY-NC-ND 4.0",
        ("en",),
        (
            File(
                "train.json",
                "c0df0898ad4322462cb73959f0ca820b31c4dc27e44b1ef64fbc34f7e12f1cb5",
                _SAMSUM,
                "samsum/train.json",
            ),
            File(
                "val.json",
                "f291b34ea2a851c4fd67bc9e1c05003f0dde2c2ae1a501ba733b9d97b6166349",
                _SAMSUM,
                "samsum/val.json",
            ),
            File(
                "test.json",
                "eb5ac232d04982fdf70766b10bd07223732d8de0b817a0ab2a30a79ea99a693a",
                _SAMSUM,
                "samsum/test.json",
            ),
        ),
        (
            "one conversation of the training split is empty; some are also in validation or test, "
            f"and are left out there; {_LEAKS}",
        ),
        _SUMMARIES,
        summaries,
    ),
    "scitldr": Entry(
        "scitldr",
        "abstracts of papers with summaries of one sentence: 1,992, 619 and 618 (SciTLDR-A, "
        "Cachola et al. 2020)",
        "Apache-2.0",
        ("en",),
        (
            File(
                "train.jsonl",
                "b222771d387be585cfdf5ae957b36757138415a352e0a3e3b23f73f87c3b1119",
                f"{_SCITLDR}train.jsonl",
            ),
            File(
                "dev.jsonl",
                "3191fa98ccc09521332b7a1cd63b1930be4e8df125a235ccd31e40329709525e",
                f"{_SCITLDR}dev.jsonl",
            ),
            File(
                "test.jsonl",
                "fb42dd6cd4f4a1928ae8a01a189456fbfe994a07e938bd49f68653933f6503c9",
                f"{_SCITLDR}test.jsonl",
            ),
        ),
        (
            "up to four summaries in validation and test: the best counts",
            f"three training abstracts are also in another split, and are left out; {_LEAKS}",
        ),
        _SUMMARIES,
        summaries,
        folder="scitldr-a",
    ),
    "squad-qg": Entry(
        "squad-qg",
        "sentences of Wikipedia and questions on them, in lower case, tokenized: 11,877 and "
        "10,570 (Du et al. 2017)",
        "MIT (code); the text is SQuAD's, CC BY-SA 4.0",
        ("en",),
        (
            File(
                "test.sentence.txt",
                "5714e36b9f3ef884f4e109e876f4e507d61f58a1241b4fb0403866dfdeef315d",
                f"{_NQG}src-test.txt",
            ),
            File(
                "test.question.txt",
                "e75710df557c2432925c8f2ca17e9b490235ce3c647c857fceaea6c401203a76",
                f"{_NQG}tgt-test.txt",
            ),
            File(
                "dev.sentence.txt",
                "d540a569619c0bd68b46f9eb3d59351206bcdd1d15eeed8dc5a4fd4815a0d872",
                f"{_NQG}src-dev.txt",
            ),
            File(
                "dev.question.txt",
                "68e293bd31cd223ac95ed3090726c8b83041f99984961bbc4164250dac304782",
                f"{_NQG}tgt-dev.txt",
            ),
        ),
        (
            "train: their test split without the validation share; test: their dev split, which "
            "holds all questions of XQuAD in English: a model that is trained here may be scored "
            "on XQuAD; their training split was not available",
            f"validation: {QUESTIONS_HELD['validation']:.0%} of the sentences, by hash",
            "validation and test have one example a sentence, with every question on it as a "
            "reference, as Du et al. score",
        ),
        ("passage", "target", "references"),
        questions,
    ),
}
