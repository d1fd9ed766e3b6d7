"""Test that data check of a recipe finds what data check of its file finds, as often."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., SimpleNamespace]
MARK = "\ufeff"
TREE = "1\tAnn\t_\tPROPN\t_\t_\t2\tnsubj\t_\t_\n2\tsings\t_\tVERB\t_\t_\t0\troot\t_\t_\n"
TREE += "3\tof\t_\tADP\t_\t_\t2\tx\t_\t_\n4\tit\t_\tY\t_\t_\t2\tx\t_\t_\n\n"
TALK = (
    json.dumps(
        {
            "messages": [
                {"role": "user", "content": "Hi."},
                {"role": "assistant", "content": "Hello."},
            ]
        }
    )
    + "\n"
)
BEST = '{"prompt": "a", "chosen": "b", "rejected": "c"}\n'
ASKED = (
    '{"question": "Who?", "passage": "Ann met Ann.", "answers": [{"text": "Ann", "start": "%s"}]}\n'
)
DEEP = "[" * 100_000 + "\n"
DIGITS = f'{{"text": {"9" * 5000}}}\n'
# task; file; its text; how often each kind of problem is found
KINDS: list[tuple[str, str, str, dict[str, int]]] = [
    (
        'name = "language-modelling"',
        "a.jsonl",
        '{"text": "One."}\n{"text": "one"}\n{"body": 1}\n{no\n'
        + DEEP
        + DIGITS
        + f'{MARK}{{"text": "x"}}\n',
        {"duplicate": 1, "unreadable": 4, "byte order mark": 1},
    ),
    (
        'name = "masked-words"',
        "a.txt",
        f"One.\n\none\n\n{MARK}lost \ufffd\n\na\x00b\n",
        {"duplicate": 1, "byte order mark": 1, "lost character": 1, "zero byte": 1, "few texts": 1},
    ),
    (
        'name = "chat"',
        "a.jsonl",
        "{no\n"
        + TALK
        + TALK
        + MARK
        + TALK
        + DEEP
        + DIGITS
        + '{"messages": [{"role": "x", "content": "y"}]}\n',
        {"duplicate": 2, "unreadable": 4, "byte order mark": 1},
    ),
    (
        'name = "chat"',
        "a.json",
        "[" + TALK + ", {}, " + TALK + "]",
        {"duplicate": 1, "unreadable": 1},
    ),
    (
        'name = "preference"',
        "a.jsonl",
        BEST + BEST + '{"prompt": "a", "chosen": "b", "rejected": "b"}\n' + DEEP,
        {"duplicate": 1, "unreadable": 2},
    ),
    (
        'name = "parsing"',
        "a.conllu",
        TREE + MARK + TREE + "1\ta\n\n2-1\tb" + "\t_" * 8 + "\n\n" + TREE.replace("nsubj", "_"),
        {
            "duplicate": 2,
            "byte order mark": 1,
            "wrong column count": 1,
            "bad id": 1,
            "no relation": 1,
            "unknown part of speech": 3,
        },
    ),
    (
        'name = "question-answering"',
        "a.jsonl",
        "{no\n" + ASKED % 4 + ASKED % 9 + ASKED % "x" + '{"question": 1}\n' + DEEP + DIGITS,
        {"unreadable": 3, "unusable question": 1, "moved answer": 1, "wrong offset": 2},
    ),
    ('name = "question-answering"', "a.json", "[" * 100_000, {"unreadable": 1}),
    (
        'name = "tagging"',
        "a.conll",
        f"a B-X\nb I-X\n\na B-X\nb I-X\n\n{MARK}c I-Y\nd Q\n\nbad\n",
        {
            "duplicate": 1,
            "broken BIO": 1,
            "byte order mark": 1,
            "impossible tag": 1,
            "wrong columns": 1,
        },
    ),
    (
        'name = "tagging"',
        "b.conll",
        "1 a O\n2-1 x O\n2 b O\n\n1 a O\n2 b O\n",
        {"wrong range": 1, "duplicate": 1},
    ),
    (
        'name = "classification"',
        "a.jsonl",
        '{no\n{"text": "One.", "label": "x"}\n{"text": "one", "label": "y"}\n{"text": 1, "label": '
        '"x"}\n{"text": " ", "label": "x"}\n{"text": "z", "label": [1]}\n' + DEEP + DIGITS,
        {"unreadable": 4, "two labels": 1, "empty text": 1, "bad label": 1},
    ),
    (
        'name = "classification"\nlearn = "value"',
        "a.jsonl",
        f'{{"text": "a", "value": 1{"0" * 400}}}\n{{"text": "b", "value": 1}}\n',
        {"bad value": 1},
    ),
    (
        'name = "summarization"',
        "a.jsonl",
        '{"source": "a", "target": ["b"]}\n{"source": "a", "target": ["b"]}\n{"source": "a"}\n{no\n'
        '{"source": " ", "target": ["b"]}\n' + DEEP,
        {"duplicate": 1, "unreadable": 3, "empty text": 1},
    ),
    (
        'name = "translation"',
        "a.tsv",
        f"a\tb\na\tb\nc\n{MARK}d\t \n",
        {
            "duplicate": 1,
            "1 column(s), at least 2 are needed, with a tab between them.": 1,
            "byte order mark": 1,
            "empty side": 1,
        },
    ),
]


def problems(done: SimpleNamespace) -> list[tuple[str, str, str]]:
    found = [json.loads(line) for line in done.out.splitlines()]
    return sorted(
        (
            Path(one["place"]).name,
            one["reason"].replace("\\", "/").split("/tmp", 1)[0],
            one["severity"],
        )
        for one in found
    )


@pytest.mark.parametrize(
    ("task", "name", "text", "counts"),
    KINDS,
    ids=[f"{task.split(chr(34))[1]}-{name}" for task, name, *_ in KINDS],
)
def test_a_recipe_is_checked_as_its_file(
    triptych: Command, tmp_path: Path, task: str, name: str, text: str, counts: dict[str, int]
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    data = '[data]\nsource = "en"\ntarget = "de"\n' if "translation" in task else "[data]\n"
    (tmp_path / "my.toml").write_text(f'[task]\n{task}\n{data}train = "{name}"\n', encoding="utf-8")
    alone, recipe = (
        triptych("data", "check", tmp_path / one, "--json") for one in (name, "my.toml")
    )
    found = problems(alone)
    kinds = [
        reason.split(":")[0]
        for _, reason, _ in found
        if not reason.startswith(("rare label", "unseen label", "one label"))
    ]
    few = {"few texts": 1} if "few texts" in kinds else {}
    assert {kind: kinds.count(kind) for kind in kinds} == {**counts, **few}
    assert problems(recipe) == found
    assert alone.code == recipe.code == 1
    count = [
        one.err.strip().split("\n")[-1].replace("sentences ", "train ", 1)
        for one in (alone, recipe)
    ]
    assert count[0] == count[1]


def test_parts_of_a_recipe_are_checked_against_each_other(
    triptych: Command, tmp_path: Path
) -> None:
    kinds = {
        "chat": ("jsonl", TALK),
        "parsing": ("conllu", TREE),
        "language-modelling": ("txt", "One of them.\n"),
        "summarization": ("jsonl", '{"source": "a b", "target": ["b"]}\n'),
        "tagging": ("conll", "a O\nb O\nc O\nd B-X\n"),
    }
    for task, (ending, text) in kinds.items():
        for part in ("train", "test"):
            (tmp_path / f"{part}.{ending}").write_text(text, encoding="utf-8")
        (tmp_path / "my.toml").write_text(
            f'[task]\nname = "{task}"\n[data]\ntrain = "train.{ending}"\nvalidation = '
            f'"none.{ending}"\ntest = "test.{ending}"\n',
            "utf-8",
        )
        done = triptych("data", "check", tmp_path / "my.toml")
        assert done.code == 1 and f"There is no file {tmp_path / f'none.{ending}'}" in done.out, (
            task
        )
        assert (
            "leak: this" in done.out
            and f"is also in train ({'' if ending == 'txt' else f'{tmp_path}/'}train." in done.out
        ), task
        assert "train 1, validation 0, test 1" in done.err, task
