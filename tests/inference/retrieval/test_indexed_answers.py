"""Test search and answers from an index: what is ranked first, what is cited, what is not given."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from toy_readers import chat, embedder, pairs, reader, writer

from triptych.errors import UsageError
from triptych.inference.retrieval import store
from triptych.inference.retrieval.answers import ABSENT, prompt_of
from triptych.inference.retrieval.index import Index, _best, fused
from triptych.inference.retrieval.sources import Source
from triptych.inference.retrieval.support import place_of
from triptych.inference.retrieval.updating import update
from triptych.tasks.specs import known

NOTES = {
    "a.txt": "Nothing here.\n\n" + "Ada Lovelace met\nCharles Babbage in 1833. They spoke long.",
    "b.txt": "The library opens at nine. It closes on Mondays.",
    "c.md": "東京是日本的首都。\n\n台北市位於台灣北部。",
}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    for name, text in NOTES.items():
        (tmp_path / "notes" / name).write_text(text, encoding="utf-8")
    update(Source(tmp_path / "notes", longest=60), tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def index(made: Path) -> Index:
    return Index.open(made)


# Search -------------------------------------------------------------------------------------------


def test_the_passage_with_the_words_is_first(index: Index) -> None:
    assert index.search("When does the library open?")[0].file == "b.txt"
    one = index.search("台北在哪裡？")[0]
    assert (one.file, one.line) == ("c.md", 3) or one.text.startswith("東京")
    assert NOTES["c.md"][one.start : one.end] == one.text
    assert 0 < one.coverage <= 1 and one.score == 1.0
    assert index.search("xyz") == [] == index.search("  ") == index.search("library", 0)
    assert set(one.to_json()) == {"file", "line", "start", "end", "text", "score"}


def test_vectors_find_what_words_do_not(tmp_path: Path, made: Path) -> None:
    run = embedder()
    update(Source(tmp_path / "notes", longest=60), made, ("run", run))
    index = Index(store.read(made), made, run)
    found = index.search("xyz", 3)
    assert len(found) == 3 and all(one.similarity is not None for one in found)
    best = max(found, key=lambda one: one.similarity or 0)
    assert found[0] == best  # no word counts here
    assert index.search("library")[0].file == "b.txt"


def test_words_and_vectors_are_added() -> None:
    import numpy as np

    words, cosines = np.array([1.0, 0.2, 0.0]), np.array([0.0, 0.9, 0.5])
    assert fused(words, cosines).tolist() == pytest.approx([0.5, 0.55, 0.25])


def test_of_equal_scores_the_earlier_is_first() -> None:
    import numpy as np

    scores = np.array([0.5, 1.0, 1.0, 0.0, 1.0], dtype=np.float32)
    assert _best(scores, 2) == [1, 2] and _best(scores, 9) == [1, 2, 4, 0]


def test_a_run_for_pairs_ranks_again(made: Path) -> None:
    run = pairs(lambda text: 0.99 if "1833" in text else 0.01)
    plain = Index.open(made).search("Ada the library")
    again = Index.open(made, reranker=run).search("Ada the library")
    assert plain[0].file == "b.txt" and again[0].file == "a.txt"
    assert again[0].relevance == pytest.approx(0.99)
    with pytest.raises(UsageError, match="not clear which of the labels no, yes"):
        Index.open(made, reranker=pairs(lambda text: 0.5, positive="maybe")).search("library")
    with pytest.raises(UsageError, match="does not score pairs of texts"):
        Index.open(made, reranker=reader("Ada"))


def test_threads_search_at_once(index: Index) -> None:
    asked = ["library", "Ada met", "東京", "1833"] * 20
    alone = [index.search(one) for one in asked]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(index.search, asked)) == alone


# Answers ------------------------------------------------------------------------------------------


def test_a_span_is_cited_with_its_file_line_and_characters(index: Index) -> None:
    found = index.answer(reader("Babbage"), "Whom did Ada Lovelace meet?")
    (one,) = found.citations
    text = NOTES["a.txt"]
    assert found.answer == one.text == text[one.start : one.end] == "Babbage"
    assert (one.file, one.line) == ("a.txt", 4) and 0 < found.score <= 1
    values = found.to_json()
    assert list(values) == [
        "answer",
        "score",
        "probability",
        "citations",
        "truncated_input_tokens",
    ]
    assert values["probability"] == 1.0
    assert json.loads(json.dumps(values))["citations"] == [
        {"file": "a.txt", "line": 4, "start": one.start, "end": one.end, "text": "Babbage"}
    ]


def test_lines_of_a_row_are_not_counted(tmp_path: Path) -> None:
    table = tmp_path / "a.jsonl"
    table.write_text(json.dumps({"text": "x"}) + "\n" + json.dumps({"text": "Ada\nwrote."}) + "\n")
    update(Source(table), tmp_path / "index")
    found = Index.open(tmp_path / "index").answer(reader("wrote"), "Ada?")
    assert [(one.line, one.start) for one in found.citations] == [(2, 4)]


def test_an_answer_from_a_passage_about_something_else_is_not_given(index: Index) -> None:
    question = "Whom did the queen of Mars marry in Babbage's house?"
    found = index.answer(reader("Babbage"), question)
    assert (found.answer, found.citations) == ("", []) and 0 < found.score < 0.4
    assert found.passages  # what was read
    assert index.answer(reader("Babbage"), question, least=0).answer == "Babbage"
    assert index.answer(reader("Turing"), "Whom did Ada Lovelace meet?").answer == ""
    for empty in ("", " \n", "xyz"):
        assert index.answer(reader("Babbage"), empty).to_json()["answer"] == ""


def test_what_a_run_for_pairs_says_decides(made: Path) -> None:
    question = "Whom did Ada Lovelace meet?"
    for sure, answer in ((0.3, ""), (0.9, "Babbage")):
        index = Index.open(made, reranker=pairs(lambda text, sure=sure: sure))
        assert index.answer(reader("Babbage"), question).answer == answer


def test_a_written_answer_must_be_supported(index: Index) -> None:
    question = "Whom did Ada Lovelace meet?"
    found = index.answer(writer(lambda passage: "charles babbage"), question)
    (one,) = found.citations
    assert found.answer == "charles babbage" and one.file == "a.txt"
    assert NOTES["a.txt"][one.start : one.end] == one.text
    assert "Babbage" in one.text
    for other in ("Alan Turing", "Babbage in 1843", "  "):
        assert index.answer(writer(lambda passage, text=other: text), question).answer == ""


def test_a_chat_reads_passages_and_is_held_to_them(index: Index) -> None:
    prompts: list[str] = []

    def write(text: str) -> Callable[[str], str]:
        return lambda prompt: (prompts.append(prompt), text)[1]

    question = "Whom did Ada Lovelace meet?"
    found = index.answer(chat(write("She met Charles Babbage.")), question)
    assert found.answer == "She met Charles Babbage."
    (one,) = found.citations
    assert one.text == "Charles Babbage in 1833." or "Charles Babbage" in one.text
    assert NOTES["a.txt"][one.start : one.end] == one.text
    assert question in prompts[0] and "[1] " in prompts[0] and ABSENT["en"] in prompts[0]
    for other in (ABSENT["en"], "not in the passages", "Alan Turing, of Bletchley", ""):
        assert index.answer(chat(write(other)), question).answer == ""
    index.answer(chat(write("東京")), "日本的首都在哪裡？")
    assert ABSENT["zh"] in prompts[-1]


def test_a_prompt_has_at_most_half_of_the_context(index: Index) -> None:
    found = index.search("Ada library 東京 台北", 5)
    assert len(found) == 3
    wide, all_ = prompt_of(chat(str), "Ada?", found)
    assert all_ == found and wide.index(found[0].text.strip()) < wide.index(found[1].text.strip())
    for context in (84, 90):
        text, shown = prompt_of(chat(str, context), "Ada?", found)
        assert shown == found[: len(shown)] and 0 < len(shown) < len(found)
        assert len(text.split()) + 16 <= context // 2 or len(shown) == 1


def test_the_place_of_a_written_answer_is_a_sentence_if_it_is_not_copied() -> None:
    passage = "The library opens at nine. It closes on Mondays, and rests."
    assert passage[slice(*place_of("At Nine.", "When?", passage))] == "at nine"
    start, end = place_of("On Mondays it closes.", "When does it close?", passage)
    assert passage[start:end] == "It closes on Mondays, and rests."
    assert place_of("", "", "abc") == (0, 3)


def test_a_run_that_cannot_answer_is_refused(index: Index) -> None:
    run = reader("x")
    run.task.spec = known()["translation"]
    with pytest.raises(UsageError, match="cannot answer from passages"):
        index.answer(run, "Who?")
