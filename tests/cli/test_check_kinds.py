"""Find what a file holds by its content, and let a task say it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., SimpleNamespace]
WORDS = "Kim\tPER\nreads\tO\n!\tO\n\nOslo\tLOC\nsleeps\tO\n.\tO\n\n" + "".join(
    f"Name{number}\tPER\nwaits\tO\n\n" for number in range(12)
)
FILES = {
    "words.txt": (WORDS, "14 sentences", "words with tags", "tagging"),
    "germ.tsv": (
        "#\tsource\n1\tKim\tB-PER\tO\n2\tliest\tO\tO\n\n#\tsource\n1\tOslo\tB-LOC\tO\n2\truht\tO\tO\n",
        "2 sentences",
        "words with tags",
        "tagging",
    ),
    "trees.txt": (
        "1\tDogs\tdog\tNOUN\t_\t_\t2\tnsubj\t_\t_\n2\tbark\tbark\tVERB\t_\t_\t0\troot\t_\t_\n",
        "sentences 1 tree",
        "sentences with trees",
        "parsing",
    ),
    "list.json": (
        json.dumps([{"text": f"Tea {number}.", "label": "ab"[number % 2]} for number in range(4)]),
        "train 4 texts",
        "texts with a label",
        "classification",
    ),
    "odd.json": (
        json.dumps([{"left": "The dog.", "right": "Der Hund."}]),
        "",
        "pairs of sentences",
        "translation",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_the_content_decides_and_the_guess_is_told(
    triptych: Command, tmp_path: Path, name: str
) -> None:
    text, count, words, task = FILES[name]
    (tmp_path / name).write_text(text)
    found = triptych("data", "check", tmp_path / name)
    assert f"{name}: taken for {words}. If it is something else" in found.err
    assert "SQuAD" not in found.out + found.err
    assert count in " ".join(found.err.split())
    named = triptych("data", "check", tmp_path / name, "--task", task)
    assert named.out == found.out
    assert "taken for" not in named.err
    stats = triptych("data", "stats", tmp_path / name, "--task", task)
    assert stats.code == (1 if name == "odd.json" else 0), stats.err


def test_a_task_overrules_the_guess(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("good\tFine tea.\nbad\tCold tea.\n" * 3)
    guessed = triptych("data", "check", path)
    assert "taken for" in guessed.err
    plain = triptych("data", "check", path, "--task", "language-modelling")
    assert "plain text" in plain.err
    flags = ("--task", "classification", "--columns", "text=2,label=1,header=no")
    labelled = triptych("data", "check", path, *flags)
    assert "train 6 texts" in labelled.err
    assert triptych("data", "check", path, "--task", "clasification").code == 2
    recipe = triptych("data", "check", "phrasebook", "--task", "translation")
    assert recipe.code == 2
    assert "--task is for files" in recipe.err


def test_records_that_are_left_out_are_listed(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    records = [
        {"text": f"Tea {number}.", "answer": "accept", "accept": ["ab"[number % 2]], "options": []}
        for number in range(6)
    ]
    records[3]["answer"] = "reject"
    path.write_text("".join(json.dumps(one) + "\n" for one in records))
    done = triptych("data", "check", path)
    assert f"warning: {path}: line 4: left out: rejected" in done.out
    assert "train 5 texts" in done.err


def test_a_folder_named_after_labels_is_checked(triptych: Command, tmp_path: Path) -> None:
    for label in ("good", "bad"):
        (tmp_path / "mail" / label).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "mail" / label / f"{number}.txt").write_text(f"Mail {number}, {label}.")
    done = triptych("data", "check", tmp_path / "mail")
    assert done.code == 0, done.out
    assert "train 6 texts" in done.err
    assert "bad 3, good 3" in triptych("data", "stats", tmp_path / "mail").out
    plain = triptych("data", "check", tmp_path / "mail", "--task", "masked-words")
    assert "train 6 plain texts" in plain.err
