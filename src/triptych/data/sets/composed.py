"""Compose texts for pretraining from other sets: their texts, passages and sources."""

from __future__ import annotations

from ..example import Example, Notify
from ..formats.texts import joined
from ..split import sentence_key
from ..table import DataTable
from . import classification, parsing, reading, tagging, text_to_text
from . import text as running_text
from .entry import Entry, SplitName

# The sets that make up `pretraining-en`: running text first, then the texts of labelled sets.
PRETRAINING_EN = (
    "war-and-peace",
    "ag-news",
    "sst2",
    "banking77",
    "sms-spam",
    "stsb",
    "conll2003",
    "wnut17",
    "uner-english-ewt",
    "ud-english-ewt",
)
# The sets whose training sources are in `pretraining-en-sources`.
SOURCES = ("samsum", "scitldr", "squad-qg")
# The sets that the sets of this module are made of.
PARTS: dict[str, Entry] = {
    **classification.ENTRIES,
    **tagging.ENTRIES,
    **parsing.ENTRIES,
    **reading.ENTRIES,
    **running_text.ENTRIES,
    **text_to_text.ENTRIES,
}


def _read(
    name: str, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    entry = PARTS[name]
    assert entry.loader is not None, f"{name} holds pairs, which cannot be composed"
    return entry.loader(entry, split, data, report)


def pretraining_en(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load the union of the training texts of PRETRAINING_EN, without repetitions.

    A text that a held-out split of any of them holds, up to case and punctuation, is left out.
    """
    if split != "train":
        return _read("war-and-peace", split, DataTable(), report)
    held = {
        sentence_key(text)
        for name in PRETRAINING_EN
        for part in PARTS[name].splits
        if part != "train"
        for example in _read(name, part, DataTable(set=name))
        for text in _texts(example)
    }
    found: list[Example] = []
    seen: set[str] = set()
    for name in PRETRAINING_EN:
        kept = dropped = 0
        for example in _read(name, "train", DataTable(set=name)):
            for text in _texts(example):
                key = sentence_key(text)
                if key in held:
                    dropped += 1
                elif key not in seen:
                    seen.add(key)
                    kept += 1
                    found.append(
                        Example(
                            text=text,
                            place=f"{name}/{example.place}",
                            begins=example.begins,
                            ends=example.ends,
                        )
                    )
        if report is not None:
            left = f"; {dropped:,} are in a held-out split and are left out" if dropped else ""
            report(f"{name}: {kept:,} distinct training texts{left}")
    return found


def _texts(example: Example) -> list[str]:
    return [
        text for given in (example.text, example.text_pair) if given and (text := joined([given]))
    ]


def passages(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load the distinct passages of one split of a set of questions."""
    name = entry.name.removesuffix("-passages")
    # Notices about the answers are not reported, since only the passages are read.
    asked = _read(name, split, DataTable(set=name))
    first: dict[str, Example] = {}
    for example in asked:
        first.setdefault(
            example.passage or "", Example(text=example.passage, place=f"{name}/{example.place}")
        )
    return list(first.values())


def pretraining_en_sources(
    entry: Entry, split: SplitName, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load the texts of pretraining-en and the distinct sources of SOURCES for training.

    Those in a held-out split of SOURCES are left out.
    """
    found = pretraining_en(TEXTS["pretraining-en"], split, DataTable(), report)
    held = {
        sentence_key(text)
        for part in ("validation", "test")
        for name in SOURCES
        for text, _ in _sources(name, part)
    }
    if split == "train":
        found = [one for one in found if sentence_key(one.text or "") not in held]
    seen: set[str] = set()
    for name in SOURCES:
        before = len(found)
        for text, place in _sources(name, split):
            key = sentence_key(text)
            if key not in seen and not (split == "train" and key in held):
                seen.add(key)
                found.append(Example(text=text, place=f"{name}/{place}"))
        if report is not None:
            report(f"{name}: {len(found) - before:,} distinct sources")
    return found


def _sources(name: str, split: SplitName) -> list[tuple[str, str]]:
    """Return (text, place) of the sources of a set, not of its targets."""
    return [(one.source or one.passage or "", one.place) for one in _read(name, split, DataTable())]


TEXTS: dict[str, Entry] = {
    "pretraining-en": Entry(
        "pretraining-en",
        "War and Peace and the training texts, without labels, of the English sets for "
        "classification and tagging",
        "those of its parts",
        ("en",),
        (),
        (
            f"made of {', '.join(PRETRAINING_EN)}: training splits only, without texts that are in "
            "a validation or test split of any",
            "validation and test: those of war-and-peace",
        ),
        fields=("text",),
        loader=pretraining_en,
    ),
    "jaquad-passages": Entry(
        "jaquad-passages",
        "The Wikipedia passages of JaQuAD as plain text, without the questions",
        "CC BY-SA 3.0",
        ("ja",),
        (),
        ("made of jaquad, with its splits",),
        fields=("text",),
        loader=passages,
    ),
    "cmrc2018-passages": Entry(
        "cmrc2018-passages",
        "The Wikipedia passages of CMRC 2018 as plain text, without the questions",
        "CC BY-SA 4.0",
        ("zh",),
        (),
        ("made of cmrc2018, with its splits",),
        fields=("text",),
        loader=passages,
    ),
}
SOURCE_TEXTS: dict[str, Entry] = {
    "pretraining-en-sources": Entry(
        "pretraining-en-sources",
        f"pretraining-en and the training sources, without targets, of {', '.join(SOURCES)}",
        "those of its parts",
        ("en",),
        (),
        (
            "without texts that are in a validation or test split of any; validation and test: "
            "those of pretraining-en and of the sources",
        ),
        fields=("text",),
        loader=pretraining_en_sources,
    ),
}
