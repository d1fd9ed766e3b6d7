"""Test search: passages cover the text, BM25 follows its formula, answers have their place."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.errors import DataError, UsageError
from triptych.inference.search_index import (
    BM25,
    SearchIndex,
    best,
    passages_of,
    read_documents,
    recall,
    shares,
    terms,
)
from triptych.tasks.task import Prediction


@given(st.text(alphabet="ab .。！\n文", max_size=300), st.integers(5, 60))
def test_passages_hold_all_text_in_order_and_are_not_too_long(text: str, longest: int) -> None:
    passages = passages_of("a.txt", text, longest)
    assert all(
        text[one.start : one.start + len(one.text)] == one.text and 0 < len(one.text) <= longest
        for one in passages
    )
    covered = set()
    for one in passages:
        places = set(range(one.start, one.start + len(one.text)))
        assert not covered & places
        covered |= places
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)


def test_passages_end_where_sentences_do() -> None:
    text = "One sentence here. " * 4 + "\n\n" + "一句話在這裡。" * 6
    found = [one.text for one in passages_of("a.txt", text, 40)]
    assert all(one.strip()[-1] in ".。" for one in found) and len(found) > 3


def test_terms_are_words_and_chinese_characters_with_their_neighbours() -> None:
    assert terms("The ÉCOLE, 3 日本語x") == [
        "the",
        "école",
        "3",
        "日",
        "本",
        "日本",
        "語",
        "本語",
        "x",
    ]
    assert terms("") == [] and terms("!? 🦊") == []


def test_bm25_is_its_formula() -> None:
    passages = ["ada met babbage", "ada ada wrote", "london"]
    k1, b, mean = 1.2, 0.75, (3 + 3 + 1) / 3

    def one(times: int, length: int, holding: int) -> float:
        idf = math.log(1 + (3 - holding + 0.5) / (holding + 0.5))
        return idf * times * (k1 + 1) / (times + k1 * (1 - b + b * length / mean))

    wanted = [one(1, 3, 2) + one(1, 3, 1), one(2, 3, 2), 0.0]
    assert BM25(passages).scores("Ada met whom") == pytest.approx(wanted)
    assert BM25(["", ""]).scores("x").tolist() == [0, 0]


def test_chinese_is_found_by_its_words() -> None:
    passages = ["东京是日本的首都。", "北京是中国的首都。", "伦敦在英国。"]
    assert best(BM25(passages).scores("中国的首都在哪里？"), 1) == [1]


def test_best_and_recall() -> None:
    assert best(np.array([1.0, 3.0, 3.0, 0.0]), 3) == [1, 2, 0]
    assert recall([[1, 2], [0, 1], [2, 0]], [1, 1, 1], 1) == pytest.approx(100 / 3)
    assert recall([[1, 2], [0, 1], [2, 0]], [1, 1, 1], 2) == pytest.approx(200 / 3)


def test_compressed_documents_are_read(tmp_path: Path) -> None:
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress("Ann läuft.\n".encode()))
    (tmp_path / "wide.md").write_text("Bob rows.", encoding="utf-16")
    (tmp_path / "torn.md.gz").write_bytes(gzip.compress(b"text" * 50)[:20])
    wrong: list[str] = []
    found = read_documents(tmp_path, wrong.append)
    assert found == {"d.txt.gz": "Ann läuft.\n", "wide.md": "Bob rows."}
    assert len(wrong) == 1 and "torn.md.gz is not a whole gzip file" in wrong[0]


def test_documents_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.md").write_text("text one")
    (tmp_path / "a.txt").write_text("text a")
    (tmp_path / "c.pdf").write_text("not read")
    (tmp_path / "bad.txt").write_bytes(b"line\n\xff\n")
    wrong: list[str] = []
    assert read_documents(tmp_path, wrong.append) == {
        "a.txt": "text a",
        str(Path("b") / "one.md"): "text one",
    }
    assert len(wrong) == 2 and "bad.txt:2: byte 0xFF" in wrong[0]
    assert "iconv -f cp1252" in wrong[0] and "The file is skipped." in wrong[0]
    assert "1 files of" in wrong[1] and wrong[1].endswith(".gz: c.pdf.")
    for folder in (tmp_path / "none", tmp_path / "a.txt"):
        with pytest.raises(UsageError, match="not a folder"):
            read_documents(folder, wrong.append)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no UTF-8 text"):
        read_documents(tmp_path / "empty", wrong.append)
    with pytest.raises(DataError, match="no passage"):
        SearchIndex({"a.txt": "  \n"})


def reader_of(word: str) -> Any:
    """Finds `word`, with certainty; nothing where it does not stand."""

    def answer(examples: Any, settings: Any = None) -> Any:
        for one in examples:
            start = one.passage.find(word)
            if start < 0:
                yield Prediction("", details={"start": None, "end": None, "candidates": []})
                continue
            found = {"text": word, "start": start, "end": start + len(word), "probability": 1.0}
            yield Prediction(
                word, details={"start": start, "end": start + len(word), "candidates": [found]}
            )

    return SimpleNamespace(answer=answer)


def test_an_answer_has_its_file_line_and_characters() -> None:
    documents = {
        "a.txt": "Nothing.\n\n" + "x " * 700 + "\n\nAda met\nBabbage here.",
        "b.txt": "中文在這裡。\n他見到了 Babbage。",
    }
    hits = SearchIndex(documents).answer(reader_of("Babbage"), "Whom did Ada meet here?")
    first = hits[0]
    assert (first.file, first.line) == ("a.txt", 6)
    assert documents["a.txt"][first.start : first.end] == "Babbage"
    for hit in hits:
        assert documents[hit.file][hit.start : hit.end] == hit.text
    assert sum(hit.score for hit in hits) <= 1 + 1e-9
    assert SearchIndex(documents).answer(reader_of("Turing"), "Who?") == []
    assert set(first.to_json()) == {"text", "score", "file", "line", "start", "end", "passage"}


def test_a_passage_that_shares_nothing_with_the_question_is_not_read() -> None:
    documents = {"a.txt": "Ada met Babbage in London.", "b.txt": "The cat of Turing slept."}
    unseen: list[int] = []
    assert SearchIndex(documents).answer(
        reader_of("Turing"), "Whom did Ada meet?", on_truncated=unseen.append
    ) == [] and unseen == [0]
    # no word anywhere: all are read
    assert SearchIndex(documents).answer(reader_of("Turing"), "Qui?")[0].score == 0.5


def test_a_better_passage_outweighs_a_reader_that_is_surer_of_another() -> None:
    assert (
        shares([2.0, 1.0, 0.0])
        == pytest.approx([16 / 17, 1 / 17, 0.0])
        == shares([0.02, 0.01, -0.5])
    )
    assert shares([0.0, 0.0]) == [0.5, 0.5] and shares([]) == []
