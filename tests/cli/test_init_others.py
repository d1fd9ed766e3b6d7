"""Test init and data stats for tags, trees, questions and plain text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.recipe.schema import Recipe
from triptych.setup.draft.others import PLANS

Command = Callable[..., SimpleNamespace]
SMALL = [
    "--training.steps",
    "2",
    "--model.layers",
    "1",
    "--model.width",
    "16",
    "--model.heads",
    "2",
    "--model.inner_width",
    "32",
    "--tokenizer.vocabulary_size",
    "330",
    "--training.precision",
    "float32",
    "--batches.batch_tokens",
    "400",
]


def _files(folder: Path) -> dict[str, Path]:
    """One file for each task."""
    names = ["Ann", "Bob", "Cy", "Dee", "Eve", "Flo"]
    pairs = [(one, other) for one in names for other in names]
    rows = {
        "tagging": (
            "mine.conll",
            "".join(f"{one} B-PER\n{other} I-PER\nsaw O\nRome B-LOC\n\n" for one, other in pairs),
        ),
        "parsing": (
            "mine.conllu",
            "".join(
                f"# text = {one} saw {other}\n1\t{one}\t_\tPROPN\t_\t_\t2\tnsubj\t_\t_\n"
                "2\tsaw\t_\tVERB\t_\t_\t0\troot\t_\t_\n"
                f"3\t{other}\t_\tPROPN\t_\t_\t2\tobj\t_\t_\n\n"
                for one, other in pairs
            ),
        ),
        "question-answering": (
            "mine.json",
            json.dumps(
                {
                    "data": [
                        {
                            "title": "t",
                            "paragraphs": [
                                {
                                    "context": f"{one}看見了{other}。",
                                    "qas": [
                                        {
                                            "id": f"{one}{other}",
                                            "question": f"誰看見了{other}？",
                                            "answers": [{"text": one, "answer_start": 0}],
                                        }
                                    ],
                                }
                                for one, other in pairs
                            ],
                        }
                    ]
                },
                ensure_ascii=False,
            ),
        ),
        "masked-words": (
            "mine.txt",
            "\n".join(f"{one} saw {other} in Rome and said so." for one, other in pairs),
        ),
        "chat": (
            "talks.jsonl",
            "".join(
                json.dumps(
                    {
                        "messages": [
                            {"role": "user", "content": f"Did {one} see {other}?"},
                            {"role": "assistant", "content": f"Yes, {one} saw {other}."},
                        ]
                    }
                )
                + "\n"
                for one, other in pairs
            ),
        ),
        "summarization": (
            "texts.jsonl",
            "".join(
                json.dumps(
                    {
                        "source": f"{one} went out. {one} saw {other} in Rome.",
                        "target": f"{one} saw {other}.",
                    }
                )
                + "\n"
                for one, other in pairs
            ),
        ),
        "language-modelling": (
            "story.txt",
            "\n\n".join(f"{one} saw {other} in Rome and said so." for one, other in pairs),
        ),
    }
    for name, text in rows.values():
        (folder / name).write_text(text, encoding="utf-8")
    return {task: folder / name for task, (name, _) in rows.items()}


@pytest.mark.parametrize("task", list(PLANS))
def test_a_file_becomes_a_recipe_that_trains(
    task: str, triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    file, recipe = _files(tmp_path)[task], tmp_path / "mine.toml"
    # one document cannot be divided by its hash
    given = ["--validation", file, "--test", file] if "masked" in task else []
    done = triptych("init", task, "--train", file, *given, "--out", recipe)
    assert done.code == 0 and done.out.strip() == str(recipe) and "measured just now" in done.err, (
        done.err
    )
    table = Recipe.load(recipe)
    assert table.task["name"] == task and table.model.config()
    if task == "tagging":
        assert table.task["scheme"] == "bioes"
    if task == "question-answering":
        assert table.task["characters"] is True
    trained = triptych("train", recipe, "--out", tmp_path / "run", *SMALL)
    assert trained.code == 0 and (tmp_path / "run" / "model.safetensors").is_file(), trained.err


def test_stats_of_every_kind_of_file(triptych: Command, tmp_path: Path) -> None:
    files = _files(tmp_path)
    wanted = {
        "tagging": {"tags": {"O": 36, "B-PER": 36, "I-PER": 36, "B-LOC": 36}},
        "parsing": {
            "upos": {"PROPN": 72, "VERB": 36},
            "relations": {"nsubj": 36, "root": 36, "obj": 36},
        },
        "question-answering": {"questions": {"answered": 36}},
        "masked-words": {},
    }
    for task, counts in wanted.items():
        done = triptych("data", "stats", files[task], "--json")
        assert done.code == 0, done.err
        row = json.loads(done.out)
        sides = (
            {"part", "text"} if task != "question-answering" else {"part", "question", "passage"}
        )
        assert {kind: found for kind, found in row.items() if kind not in sides} == counts
    assert "relations  nsubj 36, root 36, obj 36" in triptych("data", "stats", files["parsing"]).out


def test_what_cannot_be_learnt_is_refused_with_its_line(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.conllu").write_text(
        "1\ta\t_\tNOUN\t_\t_\t2\tdep\t_\t_\n2\tb\t_\tNOUN\t_\t_\t1\tdep\t_\t_\n\n" * 30
    )
    done = triptych(
        "init", "parsing", "--train", tmp_path / "bad.conllu", "--out", tmp_path / "a.toml"
    )
    assert done.code == 1 and "bad.conllu:1" in done.err and not (tmp_path / "a.toml").exists()
    (tmp_path / "few.conll").write_text("Ann B-PER\n\n")
    done = triptych(
        "init", "tagging", "--train", tmp_path / "few.conll", "--out", tmp_path / "a.toml"
    )
    assert done.code == 1 and "too few" in done.err
    done = triptych(
        "init", "embedding", "--train", tmp_path / "few.conll", "--out", tmp_path / "a.toml"
    )
    assert done.code == 2 and "tagging" in done.err


def test_init_goes_on_after_what_training_goes_on_after(
    triptych: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read I- spans as conlleval does, and leave out a question without its answer; report both."""
    monkeypatch.setattr("triptych.setup.draft.measured.MEASURED_SECONDS", 0.05)
    (tmp_path / "a.conll").write_text(
        "".join(f"Ann I-PER\nsings O\nOslo{n} I-LOC\n\n" for n in range(60)), encoding="utf-8"
    )
    asked = [
        {
            "question": f"Who {n}?",
            "passage": f"Ann sang {n}.",
            "answers": [{"text": "Ann", "start": "0"}],
        }
        for n in range(60)
    ]
    asked += [
        {"question": "Who?", "passage": "Ann.", "answers": ["Bob"]},
        {"question": " ", "passage": "Ann.", "answers": ["Ann"]},
    ]
    (tmp_path / "a.jsonl").write_text(
        "".join(f"{json.dumps(one)}\n" for one in asked), encoding="utf-8"
    )
    for task, name, said in (
        ("tagging", "a.conll", "120 x broken BIO"),
        ("question-answering", "a.jsonl", "1 x wrong offset"),
    ):
        done = triptych(
            "init", task, "--train", tmp_path / name, "--out", tmp_path / f"{task}.toml"
        )
        assert done.code == 0 and said in done.err and (tmp_path / f"{task}.toml").exists(), (
            done.err
        )
