"""Test reading on a small run: answer, embed, inspect, evaluate and data check."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

PASSAGE = "Ada met Babbage in London. 日本の首都は東京です。"
Call = Callable[..., SimpleNamespace]


def test_answer_finds_a_span_of_a_passage(reader: Path, triptych: Call, tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text(PASSAGE, encoding="utf-8")
    said = triptych("answer", reader, "Whom did Ada meet?", "東京は?", "--passage", file, "--jsonl")
    assert said.code == 0
    for line in said.out.splitlines():
        one = json.loads(line)
        assert set(one) >= {
            "text",
            "start",
            "end",
            "no_answer_score",
            "candidates",
            "truncated_input_tokens",
        }
        assert one["text"] == (
            PASSAGE[one["start"] : one["end"]] if one["start"] is not None else ""
        )
    assert triptych("answer", reader, f"Who?\t{PASSAGE}").code == 0
    assert triptych("answer", reader, "Who?", "--passage", "").code == 0


def test_a_byte_order_mark_before_stdin_is_no_text(
    reader: Path, triptych: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = json.dumps({"question": "Whom did Ada meet?", "passage": PASSAGE})
    monkeypatch.setattr(
        sys,
        "stdin",
        io.TextIOWrapper(io.BytesIO(f"\ufeff{line}\r\n\ufeffWho?\t{PASSAGE}\r\n".encode())),
    )
    said = triptych("answer", reader, "--jsonl")
    assert said.code == 0, said.err
    assert [json.loads(one)["question"] for one in said.out.splitlines()] == [
        "Whom did Ada meet?",
        "Who?",
    ]


def test_answer_over_documents_names_the_place(
    reader: Path, triptych: Call, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("Nothing.\n\n" + PASSAGE, encoding="utf-8")
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    said = triptych("answer", reader, "Whom did Ada meet?", "", "--documents", tmp_path, "--jsonl")
    assert said.code == 0 and "bad.txt:1: byte 0xFF" in said.err
    one, empty = map(json.loads, said.out.splitlines())
    assert empty["text"] == ""
    if one["text"]:
        text = (tmp_path / one["file"]).read_text(encoding="utf-8")
        assert (
            text[one["start"] : one["end"]] == one["text"]
            and one["line"] == text.count("\n", 0, one["start"]) + 1
        )
    plain = triptych(
        "answer",
        reader,
        "Whom did Ada meet?",
        "--documents",
        tmp_path,
        "--retriever",
        reader,
        "--top",
        "1",
    )
    assert plain.code == 0 and plain.out.count("\t") == 2
    said = triptych(
        "answer",
        reader,
        "Who?",
        "Whom did Ada meet" + " and" * 40,
        "--documents",
        tmp_path,
        "--jsonl",
    )
    counts = [json.loads(line)["truncated_input_tokens"] for line in said.out.splitlines()]
    assert (
        counts[0] == 0 < counts[1]
        and f"Truncated: text 2 ({counts[1]} tokens not read)" in said.err
    )


def test_what_cannot_be_asked_is_said(reader: Path, triptych: Call, tmp_path: Path) -> None:
    assert (
        "not both"
        in triptych("answer", reader, "Who?", "--documents", tmp_path, "--passage", "x").err
    )
    assert (
        "not a folder" in triptych("answer", reader, "Who?", "--documents", tmp_path / "none").err
    )
    assert "--documents" in triptych("answer", reader, "Who?", "--retriever", reader).err
    for verb in ("predict", "inspect"):
        assert (
            "reads the text as it is"
            in triptych(verb, reader, "Who?", "--passage", "x", "--words").err
        )
    said = triptych("answer", reader, "Who?")
    assert said.code == 1 and "2 separated by tabs" in said.err


def test_evaluate_scores_answers(reader: Path, triptych: Call) -> None:
    said = triptych("evaluate", reader, "--json")
    values = json.loads(said.out.splitlines()[-1])
    assert (
        list(values["metrics"])[:2] == ["f1", "exact_match"]
        and "loss" in values["metrics"]
        and "SQuAD" in values["signature"]
    )
    assert values["task"] == "question-answering" and values["examples"] == 18


def test_the_threshold_was_fitted_and_is_saved(reader: Path) -> None:
    from triptych.inference.loading import load

    assert bool(load(reader).head.can_abstain) and np.isfinite(float(load(reader).head.threshold))


def test_embed_prints_vectors_or_writes_them(reader: Path, triptych: Call, tmp_path: Path) -> None:
    lines = [
        json.loads(line) for line in triptych("embed", reader, "Ada met", "東京").out.splitlines()
    ]
    assert [line["text"] for line in lines] == ["Ada met", "東京"]
    assert all(abs(sum(value**2 for value in line["vector"]) - 1) < 1e-3 for line in lines)
    said = triptych("embed", reader, "Ada met", "東京", "--npy", tmp_path / "v.npy")
    whole = np.load(tmp_path / "v.npy", allow_pickle=False)
    assert (
        said.out == ""
        and whole.shape == (2, 16)
        and np.allclose(whole[0], lines[0]["vector"], atol=1e-5)
    )
    assert (
        "cannot be written"
        in triptych("embed", reader, "x", "--npy", tmp_path / "no" / "v.npy").err
    )


def test_a_translator_neither_answers_nor_embeds(trained: Path, triptych: Call) -> None:
    assert "not for question-answering" in triptych("answer", trained, "Who?").err
    assert "not encoder-only" in triptych("embed", trained, "Who?").err


def test_inspect_draws_the_answer(reader: Path, triptych: Call, tmp_path: Path) -> None:
    said = triptych(
        "inspect", reader, "Whom did Ada meet?", "--passage", PASSAGE, "--html", tmp_path / "a.html"
    )
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert (
        said.code == 0
        and 'class="answer-bars"' in page
        and 'class="candidates"' in page
        and '"encoder"' in page
    )
    long = triptych(
        "inspect",
        reader,
        "Whom did Ada meet?",
        "--passage",
        PASSAGE * 20,
        "--html",
        tmp_path / "b.html",
        "--kinds",
        "encoder",
    )
    assert long.code == 0 and "windows; the page shows the attention of" in long.err
    assert (
        "probability" in triptych("inspect", reader, "Whom did Ada meet?", "--passage", PASSAGE).out
    )
    assert "--passage" in triptych("inspect", reader, "Whom did Ada meet?").err


def test_data_check_lists_wrong_offsets(reader: Path, triptych: Call, tmp_path: Path) -> None:
    asked = [{"id": "lost", "question": "Who?", "answers": [{"text": "Turing", "answer_start": 2}]}]
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": "Ada met.", "qas": asked}]}]}))
    said = triptych("data", "check", file)
    assert (
        said.code == 1 and "bad.json#lost: wrong offset" in said.out and "1 question;" in said.err
    )
    said = triptych("data", "check", reader.parent / "my.toml")
    assert said.code == 1 and "leak" in said.out
    file.write_text("{")
    assert "bad.json:1" in triptych("data", "check", file).out


def test_an_empty_answer_says_why(reader: Path, triptych: Call, tmp_path: Path) -> None:
    done = triptych("answer", reader, "Who?", "", "--passage", "")
    assert done.code == 0 and "Empty answer: text 2 (the input is empty)" in done.err
    assert (
        "Empty answer: text 1 (the model holds that the answer is not in the passage)" in done.err
    )
    (tmp_path / "letter.txt").write_text(PASSAGE, encoding="utf-8")
    done = triptych("answer", reader, " ", "Whom?", "--documents", tmp_path)
    assert "Empty answer: text 1 (the input is empty)" in done.err
    is_empty = not done.out.splitlines()[1].strip()
    assert ("Empty answer: text 2 (none of the documents" in done.err) == is_empty
