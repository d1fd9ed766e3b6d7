"""Test `triptych index`, and `triptych answer --index` with runs that find and runs that write."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_run import TINY
from test_talking import DIALS, SHAPE

from triptych.cli.main import run as run_command

Call = Callable[..., SimpleNamespace]
NOTE = "Nothing.\n\nAda met Babbage in London.\n"
QUESTION = "Whom did Ada meet in London?"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "my notes"
    folder.mkdir()
    (folder / "a.txt").write_text(NOTE, encoding="utf-8")
    (folder / "中文.md").write_text("東京是日本的首都。\n", encoding="utf-8")
    return folder


@pytest.fixture
def index(notes: Path, triptych: Call, tmp_path: Path) -> Path:
    assert triptych("index", notes, "--out", tmp_path / "index").code == 0
    return tmp_path / "index"


def test_index_says_what_it_read(notes: Path, triptych: Call, tmp_path: Path) -> None:
    (notes / "bad.txt").write_bytes(b"\xff")
    (notes / "empty.txt").touch()
    (notes / "picture.png").touch()
    said = triptych("index", notes, "--out", tmp_path / "index")
    assert said.code == 0 and said.out == ""
    assert "1 file of" in said.err and "picture.png." in said.err
    assert "bad.txt:1: byte 0xFF is not UTF-8" in said.err and "is skipped" in said.err
    counts = "Files: 3 new, 0 changed, 0 unchanged, 0 gone, 1 skipped."
    assert f"2 passages, 2 of them new. {counts}" in said.err
    (notes / "a.txt").unlink()
    said = triptych("index", notes, "--out", tmp_path / "index")
    assert "1 passage, 0 of them new. Files: 0 new, 0 changed, 2 unchanged, 1 gone" in said.err
    said = triptych("index", tmp_path / "none", "--out", tmp_path / "index")
    assert said.code == 2 and "There is no" in said.err


def test_index_reads_the_columns_that_are_named(triptych: Call, tmp_path: Path) -> None:
    table = tmp_path / "faq.csv"
    table.write_text("Nr,Question,Answer\n1,Who?,Ada wrote.\n2,When?,In 1843.\n")
    said = triptych("index", table, "--out", tmp_path / "index")
    assert said.code == 2 and "--columns" in said.err and not (tmp_path / "index").exists()
    said = triptych("index", table, "--columns", "text=Answer", "--out", tmp_path / "index")
    assert said.code == 0 and "2 passages" in said.err
    said = triptych("index", table, "--columns", "text=None", "--out", tmp_path / "other")
    assert said.code == 1 and "no column 'None'" in said.err


def test_an_answer_cites_its_place(
    reader: Path, index: Path, notes: Path, triptych: Call, tmp_path: Path
) -> None:
    said = triptych(
        "answer", reader, QUESTION, "日本的首都是?", "", "--index", index, "--jsonl", "--least", 0
    )
    assert said.code == 0, said.err
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [one["question"] for one in lines] == [QUESTION, "日本的首都是?", ""]
    for one in lines:
        for each in one["citations"]:
            text = (notes / each["file"]).read_text(encoding="utf-8")
            assert text[each["start"] : each["end"]] == each["text"] == one["answer"]
            assert each["line"] == text.count("\n", 0, each["start"]) + 1
    assert lines[2]["answer"] == "" and lines[2]["citations"] == []
    assert "the input is empty" in said.err
    plain = triptych("answer", reader, QUESTION, "--index", index, "--least", 0)
    assert plain.code == 0 and plain.out.count("\t") == 2
    told = triptych("answer", reader, "Who ruled Mars?", "--index", index)
    assert told.out == "\t\t\n" and "the passages hold no answer" in told.err


def test_a_file_that_changed_since_is_named(
    reader: Path, index: Path, notes: Path, triptych: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triptych.inference.retrieval import answers

    def found(*_: object) -> answers.CitedAnswer:
        place = answers.Citation("a.txt", 3, 18, 25, "Babbage")
        here = opened.search(QUESTION)
        return answers.CitedAnswer("Babbage", 0.9, None, [place], here)

    from triptych.inference.retrieval.index import Index

    opened = Index.open(index)
    monkeypatch.setattr(answers, "_copied", found)
    asked = ("answer", reader, QUESTION, QUESTION, "--index", index)
    said = triptych(*asked)
    assert f"Babbage\t{notes / 'a.txt'}:3 (characters 18 to 25)\t" in said.out
    assert "has changed" not in said.err
    os.utime(notes / "a.txt", ns=(1, 1))
    assert triptych(*asked).err.count("a.txt has changed since it was indexed. To bring") == 1
    (notes / "a.txt").unlink()
    assert triptych(*asked).err.count("a.txt is gone since it was indexed.") == 1
    notes.rename(notes.parent / "elsewhere")
    said = triptych(*asked)
    assert said.out.startswith("Babbage\ta.txt:3 (") and "indexed" not in said.err


@pytest.fixture(scope="session")
def writers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Train a run for generative-answering and one for chat, for a step or three."""
    folder = tmp_path_factory.mktemp("writers")
    asked = [
        {"question": f"Who is {n}?", "passage": f"{n} is Ada.", "target": "Ada"} for n in "abcd"
    ]
    talks = [
        {
            "messages": [
                {"role": "user", "content": one["question"]},
                {"role": "assistant", "content": one["target"]},
            ]
        }
        for one in asked
    ]
    found: dict[str, Path] = {}
    for task, rows, dials in (
        ("generative-answering", asked, [*TINY, "--training.steps", "1"]),
        ("chat", talks, [*SHAPE, *DIALS, "--tokenizer.vocabulary_size", "330"]),
    ):
        name = f"{task}.jsonl"
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        recipe = folder / f"{task}.toml"
        recipe.write_text(
            f'[task]\nname = "{task}"\n[data]\ntrain = "{name}"\nvalidation = "{name}"\n'
        )
        found[task] = folder / task
        assert run_command(["train", str(recipe), "--out", str(found[task]), *dials]) == 0
    return found


@pytest.mark.parametrize("task", ["generative-answering", "chat"])
def test_runs_that_write_answer_too(
    writers: dict[str, Path], index: Path, triptych: Call, task: str
) -> None:
    said = triptych("answer", writers[task], QUESTION, "", "--index", index, "--jsonl")
    assert said.code == 0, said.err
    one, empty = map(json.loads, said.out.splitlines())
    # After so few steps it writes what no passage supports.
    assert one["answer"] == empty["answer"] == "" and one["citations"] == []
    assert "no answer: text 1" in said.err or "the passages hold no answer" in said.err


def test_what_does_not_fit_is_said(
    reader: Path, trained: Path, index: Path, triptych: Call, tmp_path: Path
) -> None:
    def error(*arguments: object) -> str:
        said = triptych("answer", *arguments)
        assert said.code in (1, 2) and said.out == ""
        return said.err

    assert "takes no --passage" in error(reader, "x", "--index", index, "--passage", "y")
    assert "--least is 2.0" in error(reader, "x", "--index", index, "--least", 2)
    assert "name it with --index" in error(reader, "x", "--passage", "y", "--embedder", reader)
    assert "is not an index" in error(reader, "x", "--index", tmp_path)
    assert "holds no vectors" in error(reader, "x", "--index", index, "--embedder", reader)
    assert "does not score pairs" in error(reader, "x", "--index", index, "--reranker", reader)
    assert "not for question-answering, generative" in error(trained, "x", "--index", index)


def test_vectors_of_a_run_are_kept_beside_the_words(
    reader: Path, notes: Path, triptych: Call, tmp_path: Path
) -> None:
    out = tmp_path / "index"
    assert triptych("index", notes, "--out", out, "--embedder", reader).code == 0
    said = triptych("answer", reader, QUESTION, "--index", out, "--jsonl", "--least", 0)
    assert said.code == 0, said.err
    said = triptych("answer", reader, QUESTION, "--index", out, "--embedder", "none")
    assert said.code == 0, said.err
    assert triptych("index", notes, "--out", out, "--embedder", "none").code == 0
    assert json.loads((out / "index.json").read_text(encoding="utf-8"))["vectors"] is None
