"""Test files of words and tags: columns, comments, spacing, named errors, and the data check."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from triptych.data.example import Example
from triptych.data.formats.conll import examples_of, read
from triptych.data.load import load_split, reader_of
from triptych.data.sets import catalog
from triptych.data.sets.entry import SPLITS, Entry, File
from triptych.data.sets.files import find
from triptych.data.table import DataTable
from triptych.data.validation.conll import check
from triptych.errors import DataError, UsageError

DATA = Path(os.environ.get("TRIPTYCH_DATA", "missing"))
NEEDS = ("text", "tags")
CONLL = (
    "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\t \nPeter NNP B-NP B-PER\n\n"
)
CONLLU = (
    "# sent_id = 1\n# text = Don't go.\n1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_\n2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_\n"
    "3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\tSpaceAfter=No\n3.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\t_\n\n"
)


def lines(text: str) -> list[str]:
    return text.split("\n")


def shown(example: Example) -> list[str]:
    return [(example.text or "")[start:end] for start, end in example.words or ()]


def test_columns_are_sniffed_and_documents_passed_over() -> None:
    first, second = examples_of(lines(CONLL), "a.conll")
    assert (first.text, first.tags, first.place) == ("EU rejects", ["B-ORG", "O"], "a.conll:3")
    assert shown(first) == ["EU", "rejects"] and second.tags == ["B-PER"]
    assert examples_of(lines(CONLL), "a.conll", ["1", "2"])[0].tags == ["NNP", "VBZ"]


def test_conllu_has_its_text_and_parts_of_speech() -> None:
    (one,) = examples_of(lines(CONLLU), "a.conllu")
    assert (
        one.text == "Don't go."
        and shown(one) == ["Do", "n't", "go", "."]
        and one.tags == ["AUX", "PART", "VERB", "PUNCT"]
    )
    assert examples_of(lines(CONLLU), "a", ["form", "xpos"])[0].tags == ["VB", "RB", "VB", "."]
    bare = CONLLU.replace("# text = Don't go.\n", "")
    assert examples_of(lines(bare), "a")[0].text == "Don't go."  # by SpaceAfter=No
    other = CONLLU.replace("# text = Don't go.", "# text = Something else")
    assert examples_of(lines(other), "a")[0].text == "Don't go."


def test_only_spaces_and_tabs_part_columns() -> None:
    (found,) = examples_of(lines("10\u00a0000  B-NUM \nfrancs O\n1\u202f000 B-NUM"), "a.conll")
    assert shown(found) == ["10\u00a0000", "francs", "1\u202f000"] and found.tags == [
        "B-NUM",
        "O",
        "B-NUM",
    ]


def test_hash_signs_are_words_where_no_column_counts() -> None:
    (one,) = examples_of(["# id 7 domain=x", "#\tO", "#tag\tB-X", "a b\tI-X"], "tweets")
    assert shown(one) == ["#", "#tag", "a b"] and one.tags == ["O", "B-X", "I-X"]


def test_chinese_words_stand_side_by_side() -> None:
    (one,) = examples_of(
        ["我們\tPRON", "用\tVERB", "Python\tX", "3\tNUM", "。\tPUNCT"], "zh", spaceless=True
    )
    assert one.text == "我們用Python 3。" and shown(one) == ["我們", "用", "Python", "3", "。"]


def test_what_cannot_be_read_is_named_with_its_line() -> None:
    for text, fields, message in (
        ("a X O\nb O\n", None, r"f:2.*wrong columns: 2, but 3 are needed"),
        ("a B-X\nb I-X\nc BX\n", None, r"f:3.*impossible tag: 'BX'"),
        ("a\n", None, "has one column"),
        ("\n\n", None, "holds no sentence"),
        ("1\ta\tO\nx\tb\tO\n", ["2", "3"], None),
    ):
        if message is not None:
            with pytest.raises(DataError, match=message):
                examples_of(lines(text), "f", fields)
    with pytest.raises(UsageError, match=r"Unknown column '7' of f in data\.columns"):
        examples_of(["a O"], "f", ["1", "7"])
    with pytest.raises(UsageError, match="names 1 column"):
        examples_of(["a O"], "f", ["1"])


def test_broken_spans_are_read_as_conlleval_does_and_told() -> None:
    notices: list[str] = []
    (one,) = examples_of(["a O", "b I-X", "c I-X", "d B-Y", "e I-X"], "f", report=notices.append)
    assert one.tags == ["O", "B-X", "I-X", "B-Y", "B-X"]
    assert "2 tags continue no span (f:2, f:5); they" in notices[1] and "data check f" in notices[1]
    examples_of(["a I-X", "b O", ""] * 4, "folder/f", report=notices.append)
    assert "4 tags continue no span (f:1, f:4, f:7, ...); they" in notices[-1]
    examples_of(["a O", "b B-X", "c I-X", "", "d E-X", "e B-X"], "g", report=notices.append)
    assert (
        "BIOES" in notices[-2] and "(g:3, g:5, g:6)" in notices[-1]
    )  # the last leaves a span open


def test_own_files_gzipped_or_not_are_split(tmp_path: Path) -> None:
    text = "".join(f"word{number} B-X\nend O\n\n" for number in range(400))
    (tmp_path / "a.conll.gz").write_bytes(gzip.compress(text.encode()))
    table = DataTable(train=str(tmp_path / "a.conll.gz"))
    parts = {part: load_split(table, part, None, NEEDS) for part in SPLITS}
    assert sum(map(len, parts.values())) == 400 and all(parts.values())
    assert reader_of(NEEDS) is read


def test_check_names_every_problem(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(
        "a B-X\nb I-X\nc O\nd O\n\nq I-X\nr I-Y\n\nbad\n\na B-X\nb I-X\nc O\nd O\n\nz BQ\n",
        encoding="utf-8",
    )
    (tmp_path / "b.conll").write_text("a B-X\nb I-X\nc O\nd O\n\nnew B-NEW\n", encoding="utf-8")
    report = check({"train": [str(tmp_path / "a.conll")], "test": [str(tmp_path / "b.conll")]})
    found = {f"{Path(one.place).name} {one.reason.split(':')[0]}" for one in report.problems}
    assert found == {
        "a.conll:6 broken BIO",
        "a.conll:7 broken BIO",
        "a.conll:9 wrong columns",
        "a.conll:11 duplicate",
        "a.conll:16 impossible tag",
        "b.conll:1 leak",
        "b.conll:6 unseen label",
    }
    assert report.pairs == {"train": 4, "test": 2}


def test_check_stops_at_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.iob2").write_bytes(b"1\ta\tO\n2\t\xff\tO\n")
    (tmp_path / "b.iob2").write_text(
        "# only = comments\n\n1\ta\tO\n2\tb\tO\n\n# sent = 2\n\n", encoding="utf-8"
    )
    report = check(
        {
            "train": [
                str(tmp_path / "a.iob2"),
                str(tmp_path / "b.iob2"),
                str(tmp_path / "missing.iob2"),
            ]
        }
    )
    reasons = " ".join(map(str, report.problems))
    assert "bad UTF-8" in reasons and "empty sentence" in reasons and "There is no file" in reasons


@pytest.mark.skipif(
    not (DATA / "wnut17").is_dir(), reason="TRIPTYCH_DATA names no folder with the public sets"
)
@pytest.mark.parametrize(
    ("name", "part", "sentences", "kinds"),
    [
        ("conll2003", "validation", 3250, 9),
        ("wnut17", "test", 1287, 13),
        ("uner-english-ewt", "validation", 2001, 7),
        ("ud-chinese-gsd", "validation", 500, 15),
    ],
)
def test_public_sets_have_their_sizes(name: str, part: str, sentences: int, kinds: int) -> None:
    notices: list[str] = []
    found = load_split(DataTable(set=name), part, notices.append, NEEDS)
    assert (
        len(found) == sentences and len({tag for one in found for tag in one.tags or ()}) == kinds
    )
    assert all(len(one.words or ()) == len(one.tags or ()) for one in found) and not any(
        "continue no span" in one for one in notices
    )


@pytest.mark.skipif(
    not (DATA / "uner-en-ewt").is_dir(), reason="TRIPTYCH_DATA names no folder with the public sets"
)
def test_stray_tags_of_universal_ner_are_outside() -> None:
    tags = [
        tag
        for one in load_split(DataTable(set="uner-english-ewt"), "train", None, NEEDS)
        for tag in one.tags or ()
    ]
    assert {tag[2:] for tag in tags} == {"", "PER", "LOC", "ORG"} and tags.count("B-PER") == 2873


def test_parts_of_speech_of_a_treebank_are_its_tags(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def load(*_: object) -> list[Example]:
        return [Example(text="a", words=[(0, 1)], upos=["DET"])]

    file = File("train.conllu", "", "")
    entry = Entry(
        "trees",
        "",
        "",
        (),
        (file,),
        fields=("text", "words", "upos"),
        loader=load,
        folder="trees-v1",
    )
    monkeypatch.setitem(catalog.ENTRIES, "trees", entry)
    assert load_split(DataTable(set="trees"), "train", None, NEEDS)[0].tags == ["DET"]
    with pytest.raises(UsageError, match="has no heads"):
        load_split(DataTable(set="trees"), "train", None, ("text", "heads"))
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    assert find(entry, file) is None
    (tmp_path / "trees-v1").mkdir()
    (tmp_path / "trees-v1" / "train.conllu").touch()
    assert find(entry, file) == tmp_path / "trees-v1" / "train.conllu"


COUNTED = (
    ("{n1}", 1),
    ("{n0}", 1),
    ("1.{n1}", 1),
    ("{s}.{n1}", 1),
    ("w{n1}", 1),
    ("{s}-{n1}", 1),
    ("{n1}.", 1),
    ("{all}", 1),
    ("s{s} {n1}", 2),
    ("{s} {n0}", 2),
    ("news/a 0 {n0}", 3),
)


@pytest.mark.parametrize("sign", [" ", "\t"])
@pytest.mark.parametrize(
    "comment", ["", "# id 1\n", "#begin\n", "#\thttp://a.example\t[2010-07-04]\n"]
)
@pytest.mark.parametrize(("form", "ids"), COUNTED)
def test_numbers_of_words_are_no_words(form: str, ids: int, comment: str, sign: str) -> None:
    text, every = "", 0
    for number, words in enumerate((("Ann", "sings"), ("Bob", "runs", "fast")), 1):
        text += comment
        for place, word in enumerate(words):
            numbers = form.format(
                s=number, n0=place, n1=place + 1, all=(every := every + 1)
            ).split()
            text += sign.join([*numbers, word, "B-X" if word in ("Ann", "Bob") else "O"]) + "\n"
        text += "\n"
    notices: list[str] = []
    found = examples_of(lines(text), "f", report=notices.append)
    assert [(one.text, one.tags) for one in found] == [
        ("Ann sings", ["B-X", "O"]),
        ("Bob runs fast", ["B-X", "O", "O"]),
    ]
    assert (
        f"numbers in column {ids}, word in column {ids + 1}, tag in column {ids + 2}" in notices[0]
    )


def test_words_that_look_like_numbers_stay_words() -> None:
    for text in (
        "1 O\n2 O\n\n1 O\n",
        "w1 NN O\nw2 NN O\nw3 NN B-X\n",
        "7 CD O\napples NNS O\n8 CD O\n",
    ):
        assert examples_of(lines(text), "f")[0].text == " ".join(
            line.split()[0] for line in text.split("\n\n")[0].split("\n") if line
        )
    numbers = ["3 CD O", "5 CD O", "8 CD O"]
    with pytest.raises(
        DataError, match=r"f: the first column holds numbers alone \(3, 5, 8\).*data\.fields"
    ):
        examples_of(numbers, "f")
    assert examples_of(numbers, "f", ["1", "3"])[0].text == "3 5 8"
    assert examples_of(["1 1 O", "2 2 O", "3 3 O"], "f", ["1", "3"])[0].text == "1 2 3"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1 a", "2-1 x", "2 b"], r"f:2: wrong range: '2-1'"),
        (["1 a", "100000000000000000000-2 x", "2 b"], r"f:2: wrong number: '1000"),
        (["1 a", f"2-{'9' * 5000} x", "2 b"], r"f:2: wrong number"),
        (["1 a", "2-999999999 x", "2 b"], r"f:2: wrong range: the token 'x' reaches beyond"),
        (["1 a", "3-4 x", "2 b", "3 c"], r"f:2: wrong range: '3-4'"),
        (["1 a", "2-4 x", "2 b", "3-4 y", "3 c", "4 d"], r"f:4: wrong range: '3-4'"),
        (["1 a", "2-3 x", "2 b", "", "1 a"], r"f:2: wrong range"),
        (["1 a", f"{'9' * 5000} x", "2 b"], r"f:2: wrong number: '9{40}'"),
        (["1 a", "x y", "2 b"], None),
    ],
)
def test_a_range_that_cannot_be_is_named_and_ends(rows: list[str], message: str | None) -> None:
    text = [f"{row} O" if row else "" for row in rows]
    if message is None:  # of rows that do not all count, the first column is a word
        assert examples_of(text, "f")[0].text == "1 x 2"
        return
    with pytest.raises(DataError, match=message):
        examples_of(text, "f")


def test_empty_last_columns_are_none_and_white_space_is_no_word() -> None:
    found = examples_of(["Ann\tB-PER ", "sings \tO", "", "Bob\t B-PER", "runs\tO\t", ""], "f")
    assert [one.tags for one in found] == [["B-PER", "O"], ["B-PER", "O"]]
    assert examples_of(["Ann\tB-PER\t", "sings\tO"], "f")[0].tags == ["B-PER", "O"]
    with pytest.raises(
        DataError,
        match=r"f:2: wrong columns: 1.* begins with white space where its word should be",
    ):
        examples_of(["Ann B-PER", "\t O"], "f")


def test_comments_with_as_many_columns_as_words_are_comments() -> None:
    (one,) = examples_of(["# id 7\tdomain=en", "Ann _ _ B-PER", "sings _ _ O"], "f")
    assert one.text == "Ann sings"


GERMEVAL = (
    "#\thttp://example.org/x\t[2011-02-03]\n1\tGern\tO\tO\n2\tEva\tB-PER\tB-LOC\n3\thört\tO\tO\n\n"
    "#\thttp://example.org/y\t[2011-02-04]\n1\tRay\tB-PER\tO\n2\tlacht\tO\tO\n"
)


@pytest.mark.parametrize("fields", [None, ["2", "3"], ["2", "4"]])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_of_germeval(fields: list[str] | None, end: str, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(GERMEVAL.replace("\n", end), encoding="utf-8", newline="")
    table = DataTable(train=str(tmp_path / "a.tsv"), fields=fields)
    first, second = read([str(tmp_path / "a.tsv")], table, NEEDS)
    assert [first.text, second.text] == ["Gern Eva hört", "Ray lacht"]
    inner = fields == ["2", "4"]
    assert first.tags == ["O", "B-LOC" if inner else "B-PER", "O"]
    report = check({"train": [str(tmp_path / "a.tsv")]}, fields)
    assert not report.problems and report.pairs == {"train": 2}


@pytest.mark.parametrize("fields", [None, ["1", "4"]])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_of_multiconer(fields: list[str] | None, end: str, tmp_path: Path) -> None:
    text = (
        "# id 5a-b\tdomain=en\nEva _ _ B-Artist\nhums _ _ O\n\n\n"
        "# id 6c-d\tdomain=en\nRay _ _ B-Artist\nLee _ _ I-Artist\nruns _ _ O\n"
    )
    (tmp_path / "a.conll").write_text(text.replace("\n", end), encoding="utf-8", newline="")
    table = DataTable(train=str(tmp_path / "a.conll"), fields=fields)
    found = read([str(tmp_path / "a.conll")], table, NEEDS)
    assert [(one.text, one.tags) for one in found] == [
        ("Eva hums", ["B-Artist", "O"]),
        ("Ray Lee runs", ["B-Artist", "I-Artist", "O"]),
    ]


def test_a_document_mark_inside_a_block_ends_the_sentence() -> None:
    rows = ["-DOCSTART- O", "Eva B-PER", "hums O", "-DOCSTART- O", "Ray B-PER", "", "Cy O"]
    found = examples_of(rows, "f")
    assert [(one.text, one.place) for one in found] == [
        ("Eva hums", "f:2"),
        ("Ray", "f:5"),
        ("Cy", "f:7"),
    ]
    counted = ["1\tEva\tO", "2\thums\tO", "-DOCSTART-\t-X-\tO", "# next", "-DOCSTART-", "1\tRay\tO"]
    assert [one.text for one in examples_of(counted, "f")] == ["Eva hums", "Ray"]


def test_sentences_with_an_empty_tag_are_left_out_and_told(tmp_path: Path) -> None:
    text = "Eva\tB-PER\nhums\t\nlow\t \n\nRay\tB-PER\nruns\tO\n\nCy\t\n"
    (tmp_path / "a.conll").write_text(text, encoding="utf-8")
    notices: list[str] = []
    path = str(tmp_path / "a.conll")
    (one,) = read([path], DataTable(train=path), NEEDS, notices.append)
    assert one.text == "Ray runs"
    told = "2 sentences left out, because a word has no tag (a.conll:2, a.conll:8)."
    assert notices[-1] == f"{path}: {told}"
    report = check({"train": [path]})
    assert [(one.place[-9:], one.severity) for one in report.problems] == [
        ("a.conll:2", "warning"),
        ("a.conll:8", "warning"),
    ]
    assert "no tag: its column is empty; the sentence is left out" in str(report.problems[0])
    assert report.pairs == {"train": 1}


def test_a_word_of_white_space_is_the_reason() -> None:
    for rows in (["Eva\tB-PER", " \tO"], ["Eva\tB-PER", "\tO"], ["Eva\tB-PER", "\u3000\tO"]):
        with pytest.raises(DataError, match="f:2: no word: its column is empty or white space al"):
            examples_of(rows, "f")


def test_check_reads_spans_as_training_does(tmp_path: Path) -> None:
    """Other spellings are no faults, and labels of two spellings are the same labels."""
    (tmp_path / "a.conll").write_text(
        "Eva B-PER\nRay L-PER\nhums O\n\nOslo U-LOC\n", encoding="utf-8"
    )
    (tmp_path / "b.conll").write_text(
        "Cy b_PER\nFox e_PER\nruns o\n\nRome s_LOC\n", encoding="utf-8"
    )
    parts = {"train": [str(tmp_path / "a.conll")], "test": [str(tmp_path / "b.conll")]}
    assert check(parts).problems == []
    (tmp_path / "c.conll").write_text("Eva B.PER\nRay I.PER\nhums O\n", encoding="utf-8")
    (problem,) = check({"train": [str(tmp_path / "c.conll")]}).problems
    assert problem.severity == "warning" and "B.PER and I.PER look like spans" in str(problem)


def test_check_lists_what_happens_to_spans_of_jsonl(tmp_path: Path) -> None:
    path = str(tmp_path / "a.jsonl")
    Path(path).write_text(
        '{"text": "Oslo-based Eva", "spans": [[0, 4, "LOC"], [0, 14, "X"], [30, 34, "X"]]}\n'
        '{"text": "Eva", "spans": [[0, "3", "PER"]]}\n{"text": " ", "spans": []}\n'
        '{"text": "in Oslo-Ost", "spans": [[3, 7, "LOC"]]}\n',
        encoding="utf-8",
    )
    found = [(one.place.rpartition(":")[2], one.severity, one.reason) for one in check(
        {"train": [path]}).problems]  # fmt: skip
    assert sorted(found) == [
        ("1", "warning", "empty span: X [30, 34) holds more than the text (14 characters); it is "
         "left out"),
        ("1", "warning", "overlapping span: LOC [0, 4) overlaps a longer one; it is left out"),
        ("2", "error", "'spans': span 1 needs start and end as numbers of characters and a "
         'label: {"start": 0, "end": 5, "label": "PER"} or [0, 5, "PER"].'),
        ("3", "warning", "empty text: 'text' holds no word; the record is left out"),
        ("4", "warning", "span inside a word: LOC [3, 7) 'Oslo' is read as 'Oslo-Ost'"),
    ]  # fmt: skip
