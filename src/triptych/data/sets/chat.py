"""Load public conversations and instructions: read, split, and remove leaks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..example import Example, Notify, texts_of
from ..formats.chats import conversation, records
from ..formats.foreign.own_lines import foreign
from ..formats.messages import messages_of
from ..split import by_input, sentence_key
from .entry import SPLITS, Entry, File
from .files import file_bytes, file_lines

if TYPE_CHECKING:
    from ..table import DataTable

_ENGRAM = "https://raw.githubusercontent.com/kent-ai-dev/engram/9874fe15199f13692201faa5b530a78786192b5f/dailydialog_raw/EMNLP_dataset/"
_DIALOGUES = {
    "train": "71633bd5fdb0b09dd82215b131b56432cf7329a0fe50bc8adec168713d350d1a",
    "validation": "2ad64701fe3a4449e7a6ee7cdc6c2a71c80f77b8a34f708ac0532395f499081c",
    "test": "3c323651cdfb09f7b529f850eddf96a638fc6cc9b43330b77956ab248484a1a8",
}
_ALPACA = File(
    "alpaca_data.json",
    "2eddafc6b977608d778aaab8dfc7e50e547b3af9826dfb9e909d9fc362e4a419",
    "https://raw.githubusercontent.com/tatsu-lab/stanford_alpaca/761dc5bfbdeeffa89b8bff5d038781a4055f796a/alpaca_data.json",
)
_INSTRUCT = File(
    "instruction-data.json",
    "7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
    "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/28c65cdfbc3338e2e040016eea4b7fdf556e4d57/"
    "ch07/01_main-chapter-code/instruction-data.json",
)
_FIELDS = ("messages",)
TURN = "__eou__"  # ends every turn of DailyDialog
# Shares of instruct-1100 in its order: training, test; the rest is for validation.
SHARES_1100 = (0.85, 0.10)


def dailydialog(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load one split of dialogues, one a line."""

    def part(name: str) -> list[Example]:
        file = f"{name}/dialogues_{name}.txt"
        lines = enumerate(file_lines(entry, file, report), 1)
        return [
            _dialogue(line, f"{file.split('/')[-1]}:{number}")
            for number, line in lines
            if line.strip()
        ]

    return _without_leaks(
        entry, split, {name: part(name) for name in _compared(split, data)}, words_key, report
    )


def _dialogue(line: str, place: str) -> Example:
    turns = [text for one in line.split(TURN) if (text := tidied(one))]
    given = [
        {"role": "assistant" if number % 2 else "user", "content": text}
        for number, text in enumerate(turns)
    ]
    return Example(messages=messages_of(given, place), place=place)


def tidied(text: str) -> str:
    """Put the separated punctuation of a text back where people type it."""
    text = text.replace("’", "'").replace("。", ".")
    text = re.sub(r" ' (s|t|m|ll|ve|re|d|clock|am)\b", r"'\1", text)
    text = re.sub(r"(?<=[a-z][.?!])(?=[A-Z])", " ", text)
    return " ".join(re.sub(r" +([.,?!;:%])", r"\1", text).split())


def alpaca(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load instructions, split by the hash of the instruction with its input."""
    return by_input(_instructions(entry, _ALPACA, report))[split]


def instruct_1100(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load instructions in the author's split."""
    found = _instructions(entry, _INSTRUCT, report)
    train, test = (int(len(found) * share) for share in SHARES_1100)
    parts = {
        "train": found[:train],
        "test": found[train : train + test],
        "validation": found[train + test :],
    }
    return _without_leaks(
        entry,
        split,
        {name: parts[name] for name in _compared(split, data)},
        instruction_key,
        report,
    )


def alpaca_instruct_1100(
    entry: Entry, split: str, data: DataTable, report: Notify | None = None
) -> list[Example]:
    """Load Alpaca for training, and the test split of another set."""
    test = instruct_1100(ENTRIES["instruct-1100"], "test", data, report)
    if split == "test":
        return test
    return _without_leaks(
        entry,
        split,
        {split: alpaca(ENTRIES["alpaca"], split, data, report), "test": test},
        instruction_key,
        report,
    )


def _instructions(entry: Entry, file: File, report: Notify | None) -> list[Example]:
    listed = foreign(file.name, file_bytes(entry, file.name, report))
    assert listed is not None, f"{file.name} is a JSON list"
    return [
        one
        for place, values in records(listed.lines, file.name)
        if (one := conversation(values, place)) is not None
    ]


def _compared(split: str, data: DataTable) -> list[str]:
    """Return the split, and those whose records it must not contain."""
    if data.leaks == "keep":
        return [split]
    if data.leaks == "test":
        return ["train"] if split == "train" else [split, "train"]
    return list(SPLITS[SPLITS.index(split) :])  # type: ignore[arg-type]


def _without_leaks(
    entry: Entry,
    split: str,
    parts: dict[str, list[Example]],
    key: Callable[[Example], str],
    report: Notify | None,
) -> list[Example]:
    held = {key(one) for name, part in parts.items() if name != split for one in part}
    kept = [one for one in parts[split] if key(one) not in held]
    if report is not None and len(kept) < len(parts[split]):
        others = " or ".join(name for name in parts if name != split)
        report(
            f"{entry.name}: {len(parts[split]) - len(kept):,} conversations of {split} that are "
            f"also in {others} are left out."
        )
    return kept


def words_key(example: Example) -> str:
    """Return the words that identify a dialogue, without case and punctuation."""
    return sentence_key(" ".join(texts_of(example.messages)))


def instruction_key(example: Example) -> str:
    """Return the request that identifies an instruction."""
    return sentence_key(next(texts_of(example.messages), ""))


ENTRIES: dict[str, Entry] = {
    "dailydialog": Entry(
        "dailydialog",
        "13,118 everyday English dialogues of 7.9 turns, in its own three splits (Li et al. 2017)",
        "CC BY-NC-SA 4.0 (authors' release)",
        ("en",),
        tuple(
            File(
                f"{part}/dialogues_{part}.txt",
                digest,
                f"{_ENGRAM}{part}.zip",
                f"{part}/dialogues_{part}.txt",
            )
            for part, digest in _DIALOGUES.items()
        ),
        (
            "turns alternate: the first is the user's, the second the assistant's",
            "punctuation is set as people type it: no space before a comma, don't for don ’ t, one "
            "after a full stop",
            "training dialogues that are also in validation or test (without case and "
            "punctuation), and validation's that are in test, are left out; data.leaks = 'keep' "
            "keeps them",
        ),
        _FIELDS,
        dailydialog,
    ),
    "alpaca": Entry(
        "alpaca",
        "52,002 English instructions with answers written by a language model (Taori et al. 2023)",
        "CC BY-NC 4.0",
        ("en",),
        (_ALPACA,),
        (
            "no split of its own: 2.5 % test, 2.5 % validation, by the hash of the instruction "
            "with its input",
            "28 records have no answer and are left out",
        ),
        _FIELDS,
        alpaca,
    ),
    "instruct-1100": Entry(
        "instruct-1100",
        "1,100 short English instructions with answers (Raschka, Build a Large Language Model, "
        "chapter 7)",
        "Apache-2.0",
        ("en",),
        (_INSTRUCT,),
        (
            "split as its author does, in its order: 935 training, 110 test, 55 validation",
            "training records that are also in validation or test are left out; data.leaks = "
            "'keep' keeps them",
        ),
        _FIELDS,
        instruct_1100,
    ),
    "alpaca-instruct-1100": Entry(
        "alpaca-instruct-1100",
        "alpaca for training and validation, and the test split of instruct-1100",
        "those of its parts",
        ("en",),
        (),
        ("training instructions that are also in that test split are left out",),
        _FIELDS,
        alpaca_instruct_1100,
    ),
}
