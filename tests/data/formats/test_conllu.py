"""Test CoNLL-U: words with their places, trees, and every error with its line."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from triptych.data.formats import conllu
from triptych.data.load import load_split
from triptych.data.sets import catalog
from triptych.data.table import DataTable
from triptych.data.validation import conllu as check_conllu
from triptych.errors import DataError, UsageError

NEEDS = ("text", "words", "upos", "heads", "relations")


def row(
    number: object,
    form: str,
    upos: str = "X",
    head: object = 0,
    relation: str = "root",
    misc: str = "_",
) -> str:
    return "\t".join([str(number), form, "_", upos, "_", "_", str(head), relation, "_", misc])


GOOD = "\n".join(
    [
        "# sent_id = 1",
        "# text = I don't go.",
        row(1, "I", "PRON", 4, "nsubj"),
        "2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_",
        row(2, "do", "AUX", 4, "aux"),
        row(3, "n't", "PART", 4, "advmod"),
        row(4, "go", "VERB", 0, "root", "SpaceAfter=No"),
        "4.1\tgo\t_\t_\t_\t_\t_\t_\t_\t_",
        row(5, ".", "PUNCT", 4, "punct"),
        "",
        "",
    ]
)


def shown(example: conllu.Example) -> list[str]:
    assert example.text is not None and example.words is not None
    return [example.text[start:end] for start, end in example.words]


def test_ranges_empty_nodes_and_the_given_text() -> None:
    (one,) = conllu.examples_of(GOOD.split("\n"), "a.conllu")
    assert one.text == "I don't go." and shown(one) == ["I", "do", "n't", "go", "."]
    assert one.upos == ["PRON", "AUX", "PART", "VERB", "PUNCT"] and one.heads == [4, 4, 4, 0, 4]
    assert (
        one.relations == ["nsubj", "aux", "advmod", "root", "punct"] and one.place == "a.conllu:3"
    )


def test_words_of_a_range_whose_forms_are_not_in_it_share_its_characters() -> None:
    lines = [
        "# text = Vámonos al mar",
        row(1, "Vámonos", head=0),
        "2-3\tal\t_\t_\t_\t_\t_\t_\t_\t_",
        row(2, "a", head=4, relation="case"),
        row(3, "el", head=4, relation="det"),
        row(4, "mar", head=1, relation="obl"),
    ]
    (one,) = conllu.examples_of(lines, "a")
    assert shown(one) == ["Vámonos", "al", "al", "mar"]


def test_a_text_that_does_not_hold_the_words_is_put_together_from_them() -> None:
    lines = [
        "# text = quite other",
        row(1, "Hello", head=0, misc="SpaceAfter=No"),
        row(2, ",", head=1, relation="punct"),
        row(3, "you", head=1, relation="vocative", misc="Gloss=a|SpaceAfter=No"),
    ]
    (one,) = conllu.examples_of(lines, "a")
    assert one.text == "Hello, you" and shown(one) == ["Hello", ",", "you"]


def test_chinese_without_any_word_on_spaces_has_none() -> None:
    lines = [
        row(1, "看似", head=2, relation="advmod"),
        row(2, "簡單", head=0),
        row(3, "PS", head=2, relation="dep"),
        row(4, "2", head=3, relation="dep"),
        row(5, ".", head=2, relation="punct"),
    ]
    (one,) = conllu.examples_of(lines, "a")
    assert one.text == "看似簡單PS 2 ." and shown(one) == ["看似", "簡單", "PS", "2", "."]
    (one,) = conllu.examples_of(["# text = 看似 簡單PS 2 .", *lines], "a")
    assert one.text == "看似 簡單PS 2 ."


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([row(1, "a"), "2\tb\t_"], "a:2: wrong column count: 3 instead of 10"),
        (
            ["1 a _ X _ _ 0 root _ _"],
            "a:1: wrong column count: 1 instead of 10; columns are separated by tabs",
        ),
        ([row(1, "a"), row(3, "b", head=1)], "a:2: bad id: '3' where word 2 is next"),
        ([row("x", "a")], "a:1: bad id: 'x'"),
        ([row("2-1", "ab"), row(1, "a")], "a:1: bad id: the range 2-1"),
        (
            [row("1-3", "ab"), row(1, "a"), row(2, "b", head=1, relation="dep")],
            "a:1: bad id: the range 1-3 ends after the last word, 2",
        ),
        ([row("1.1", "a")], "a:1: no words"),
        (
            [row(1, "a"), row(2, "b", head=3, relation="dep")],
            "a:2: head out of range: '3' of word 2; it must be a number from 0 to 2",
        ),
        ([row(1, "a", head="_")], "a:1: head out of range: '_'"),
        ([row(1, "a", head="-1")], "a:1: head out of range"),
        ([row(1, "a"), row(2, "b", head=1, relation="_")], "a:2: no relation"),
        ([row(1, " ")], "a:1: empty form"),
        (["# x", row(1, "a"), row(2, "b")], "a:3: several roots: words 1, 2 have head 0"),
        (
            [row(1, "a"), row(2, "b", head=3), row(3, "c", head=2)],
            r"a:2: cyclic tree: 2 -> 3 -> 2 never reaches the root",
        ),
        ([row(1, "a"), row(2, "b", head=2)], "a:2: cyclic tree: 2 -> 2"),
        ([row(1, "a", head=2), row(2, "b", head=1)], "a:1: rootless and cyclic tree"),
    ],
)
def test_every_fault_is_named_with_its_line(lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        conllu.examples_of(lines, "a")
    assert "triptych data check a" in str(caught.value)


def test_parts_of_speech_alone_do_not_ask_for_trees() -> None:
    (one,) = conllu.examples_of([row(1, "a", "DET", "_", "_")], "a", trees=False)
    assert one.upos == ["DET"] and one.heads is None and one.relations is None


def test_own_files_gzipped_too_and_a_part_kept_out(tmp_path: Path) -> None:
    block = GOOD.replace("go", "{}")
    with gzip.open(tmp_path / "a.conllu.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(block.replace("{}", f"word{number}") for number in range(200)))
    notices: list[str] = []
    data = DataTable(train=str(tmp_path / "a.conllu.gz"))
    parts = {
        part: load_split(data, part, notices.append, NEEDS)
        for part in ("train", "validation", "test")
    }
    assert (
        sum(map(len, parts.values())) == 200
        and all(parts.values())
        and "200 sentences, 1,000 words" in notices[0]
    )


def test_check_lists_all_faults_and_stops_at_none(tmp_path: Path) -> None:
    path = tmp_path / "bad.conllu"
    blocks = [
        "1\ta",
        row(1, "a") + "\n" + row(2, "b"),
        row(1, "a", "NOUNN"),
        row(1, "x", head=1, relation="dep"),
        "# text = no\n" + row(1, "yes", "X", 0, "dep"),
    ]
    path.write_text("\n\n".join(blocks) + "\n\n" + GOOD + "\n" + GOOD, encoding="utf-8")
    report = check_conllu.check(str(path))
    found = [
        (int(one.place.rsplit(":", 1)[1]), one.reason.split(":")[0], one.severity)
        for one in report.problems
    ]
    assert found == [
        (1, "wrong column count", "error"),
        (4, "several roots", "error"),
        (6, "unknown part of speech", "warning"),
        (8, "rootless and cyclic tree", "error"),
        (11, "root relation", "warning"),
        (11, "text mismatch", "warning"),
        (26, "duplicate", "warning"),
    ]
    assert report.pairs == {"sentences": 4}
    path.write_bytes(b"# x\n1\t\xff\n")
    assert "bad UTF-8" in check_conllu.check(str(path)).problems[0].reason


def test_written_blocks_are_read_back_as_they_were() -> None:
    (one,) = conllu.examples_of(GOOD.split("\n"), "a.conllu")
    assert one.text and one.words and one.upos and one.heads and one.relations
    rows = [
        {
            "id": place,
            "text": one.text[a:b],
            "start": a,
            "end": b,
            "upos": one.upos[place - 1],
            "head": one.heads[place - 1],
            "relation": one.relations[place - 1],
            "glued": one.text[b : b + 1] not in ("", " "),
        }
        for place, (a, b) in enumerate(one.words, 1)
    ]
    (again,) = conllu.examples_of(conllu.as_text(rows, one.text).split("\n"), "b")
    for name in NEEDS:
        assert getattr(again, name) == getattr(one, name)


@pytest.mark.parametrize(
    ("name", "split", "sentences", "words"),
    [
        ("ud-english-ewt", "validation", 2001, 25147),
        ("ud-chinese-gsd-v1", "test", 500, 12012),
        ("ud-chinese-gsdsimp", "test", 500, 12012),
    ],
)
def test_public_treebanks(name: str, split: str, sentences: int, words: int) -> None:
    if not os.environ.get("TRIPTYCH_DATA"):
        pytest.skip("TRIPTYCH_DATA is not set: the public sets are not at hand")
    examples = catalog.load_other(name, split, DataTable(set=name), NEEDS)
    assert len(examples) == sentences and sum(len(one.words or ()) for one in examples) == words
    assert all(start < end for one in examples for start, end in one.words or ())


def test_a_part_that_a_set_does_not_have() -> None:
    with pytest.raises(
        UsageError, match="ud-chinese-gsdsimp has no split 'train'; it has validation, test"
    ):
        catalog.load_other(
            "ud-chinese-gsdsimp", "train", DataTable(set="ud-chinese-gsdsimp"), NEEDS
        )


@pytest.mark.parametrize(
    "given", ["9" * 5000, f"1-{'9' * 5000}", f"{'9' * 5000}-2", "1-" + "9" * 20, "2-1", "1-1"]
)
def test_huge_and_backward_ids_are_named_and_end(given: str) -> None:
    lines = [f"{given}\tab\t_\t_\t_\t_\t_\t_\t_\t_", *row(1, "a").split("\n")]
    with pytest.raises(DataError, match=r"f:1: bad id"):
        conllu.examples_of(lines, "f")
    with pytest.raises(DataError, match=r"f:1: head out of range: '9{40}'"):
        conllu.examples_of(row(1, "a").replace("\t0\t", f"\t{'9' * 5000}\t").split("\n"), "f")
