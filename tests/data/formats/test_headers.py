"""Test headers, and the choice of columns by name, by number and by language."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.formats.columns import needs_of
from triptych.data.formats.columns import read as read_columns
from triptych.data.formats.headers import header_verdict, meaning, sides_of
from triptych.data.formats.pairs import Files, read
from triptych.data.load import files_of, fitting, load_split
from triptych.data.table import DataTable
from triptych.data.validation.columns import check as check_labels
from triptych.data.validation.pairs import check
from triptych.errors import DataError, UsageError

SINGLE = ("text", "label")
TEXTS = [
    [f"This film, number {n}, was {'good' if n % 2 else 'bad'}.", "pos" if n % 2 else "neg"]
    for n in range(40)
]
WORDS = [[f"word{n}", f"Wort{n}"] for n in range(40)]


def write(folder: Path, name: str, rows: list[list[str]]) -> Path:
    sign = "," if name.endswith("csv") else "\t"
    (folder / name).write_text("".join(f"{sign.join(row)}\n" for row in rows), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("first", "below", "verdict"),
    [
        (["comment", "kind"], TEXTS, "yes"),
        (["bemerkung", "art"], TEXTS, "yes"),  # one word above sentences
        (["x", "n"], [["a text", "3"], ["b", "4.5"]], "yes"),  # numbers below a word
        (["src_text", "trg_text"], WORDS, "yes"),
        (["english", "german"], WORDS, "yes"),
        # the index that pandas writes
        (["", "body", "kind"], [[str(n), *row] for n, row in enumerate(TEXTS)], "yes"),
        (["the note", "its kind"], TEXTS, "perhaps"),
        (["Good film", "pos"], TEXTS, "no"),  # a label that is there below
        (["Good film.", "other"], TEXTS, "no"),  # a sentence
        (["Resumption of the session", "Wiederaufnahme der Sitzungsperiode"], TEXTS, "no"),
        (["7", "a"], TEXTS, "no"),
        (["dog", "Hund"], WORDS, "no"),  # as all rows are
        (["same", "same"], TEXTS, "no"),
        (["dog", "Hund"], [["cat", "Katze"]], "no"),  # too few to tell
    ],
)
def test_a_first_row_is_a_header_or_not(
    first: list[str], below: list[list[str]], verdict: str
) -> None:
    assert header_verdict(first, below) == verdict


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Source (English)", ("source", "en")),
        ("src", ("source", None)),
        ("中文", (None, "zh")),
        ("zh-TW", (None, "zh")),
        ("German translation", ("target", "de")),
        ("sentence_fr", (None, "fr")),
        ("ID", (None, None)),
        ("src_prompt", (None, None)),
        ("English French", (None, None)),
        ("comment", (None, None)),
        ("", (None, None)),
    ],
)
def test_names_of_languages_and_sides(name: str, expected: tuple[str | None, str | None]) -> None:
    assert meaning(name) == expected


def test_languages_say_which_columns_are_the_sides() -> None:
    two, three = ["ID", "English", "Deutsch", "Notes"], ["en", "de", "fr"]
    assert (
        sides_of(two) == (1, 2)
        and sides_of(two, "de") == (2, 1)
        and sides_of(two, "de", "en") == (2, 1)
    )
    assert (
        sides_of(three) is None
        and sides_of(three, "en") is None
        and sides_of(three, "fr", "en") == (2, 0)
    )
    assert (
        sides_of(two, "en", "fr") is None
        and sides_of(two, "fr") is None
        and sides_of(["Deutsch", "German"]) is None
    )
    assert sides_of(["src", "src_prompt", "trg", "trg_prompt"]) == (0, 2)


@pytest.mark.parametrize(
    ("name", "head"),
    [("a.tsv", ["src", "trg"]), ("b.csv", ["english", "german"]), ("c.tsv", ["Frage", "Antwort"])],
)
def test_an_unknown_header_is_no_pair(name: str, head: list[str], tmp_path: Path) -> None:
    notices: list[str] = []
    rows = [[f"The dog number {n} sleeps.", f"Der Hund {n} schläft."] for n in range(20)]
    found = read(Files(write(tmp_path, name, [head, *rows])), report=notices.append)
    assert [(one.source, one.target) for one in found] == [tuple(row) for row in rows]
    assert any(f"{name}:1" in one and head[0] in one for one in notices)


def test_an_unknown_header_is_no_class(tmp_path: Path) -> None:
    path, notices = write(tmp_path, "a.tsv", [["comment", "kind"], *TEXTS]), []
    assert needs_of(path) == SINGLE
    assert {
        one.label for one in read_columns([str(path)], DataTable(), SINGLE, notices.append)
    } == {
        "pos",
        "neg",
    }
    assert any(
        "a.tsv:1: header: this line (comment, kind) is taken for a header" in one for one in notices
    )
    assert (
        len(read_columns([str(path)], DataTable(columns={"header": "no"}), SINGLE))
        == len(TEXTS) + 1
    )


def test_what_may_be_a_header_is_read_and_named(tmp_path: Path) -> None:
    path, notices = write(tmp_path, "a.tsv", [["the note", "its kind"], *TEXTS]), []
    assert len(read_columns([str(path)], DataTable(), SINGLE, notices.append)) == len(TEXTS) + 1
    assert any(
        "a.tsv:1: header: this line (the note, its kind) may be a header" in one for one in notices
    )
    assert len(read_columns([str(path)], DataTable(columns={"header": "yes"}), SINGLE)) == len(
        TEXTS
    )


def test_a_header_among_the_data_again_is_left_out_and_named(tmp_path: Path) -> None:
    head = ["text", "label"]
    path = write(tmp_path, "a.tsv", [head, *TEXTS, head, ["A last one.", "pos"]])
    assert len(read_columns([str(path)], DataTable(), SINGLE)) == len(TEXTS) + 1
    found = check_labels({"train": [str(path)]}, SINGLE).problems
    assert [one.place for one in found if "occurs again here" in one.reason] == [
        f"{path}:{len(TEXTS) + 2}"
    ]


def test_columns_by_name_and_number(tmp_path: Path) -> None:
    rows = [[str(n), f"Der Hund {n} schläft.", f"The dog {n} sleeps.", "x"] for n in range(12)]
    path = str(write(tmp_path, "a.csv", [["ID", "Deutsch", "English", "Notes"], *rows]))
    wanted = [(row[2], row[1]) for row in rows]

    def pairs(**table: object) -> list[tuple[str | None, str | None]]:
        data = DataTable(train=path, **table)  # type: ignore[arg-type]
        return [(one.source, one.target) for one in read(files_of(path, data), data.source, None)]

    for columns in (
        {"source": "english", "target": "Deutsch"},
        {"source": "3", "target": "2"},
        {"source": 3, "target": 2},
        {"source": "English", "target": "2"},
        {"source": "3", "target": "2", "header": "yes"},
    ):
        assert pairs(columns=columns) == wanted
    assert pairs(source="en") == wanted and pairs() == [
        (target, source) for source, target in wanted
    ]
    assert pairs(columns={"source": "3", "target": "2", "header": "no"}) == [
        ("English", "Deutsch"),
        *wanted,
    ]
    # The older key keeps its meaning.
    assert pairs(fields=["3", "2"]) == [("English", "Deutsch"), *wanted]
    for columns, message in (
        ({"source": "Nix"}, r"a\.csv has no column 'Nix'. Its first line has: ID, Deutsch"),
        ({"source": "9"}, "'9'"),
    ):
        with pytest.raises(DataError, match=message):
            pairs(columns=columns)
    for columns, message in (
        ({"surce": "2"}, "Unknown field 'surce'"),
        ({"source": "Deutsch", "header": "no"}, "Give the column's number"),
        ({"source": "2", "header": "maybe"}, "header=yes or header=no"),
    ):
        with pytest.raises(UsageError, match=message):
            pairs(columns=columns)


def test_keys_of_jsonl_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"English": "dog", "Deutsch": "Hund", "body": "b", "kind": "k"}\n' * 2, encoding="utf-8"
    )
    path = str(tmp_path / "a.jsonl")
    assert (
        read(files_of(path))[0].target == "Hund"
        and read(files_of(path, DataTable(source="de")))[0].target == "dog"
    )
    assert (
        read_columns([path], DataTable(columns={"text": "body", "label": "kind"}), SINGLE)[0].label
        == "k"
    )
    with pytest.raises(DataError, match=r"has no key 'Body'. Its first object has: English"):
        read_columns([path], DataTable(columns={"text": "Body", "label": "kind"}), SINGLE)


def test_a_side_of_numbers_alone_is_an_error_unless_it_is_named(tmp_path: Path) -> None:
    rows = [[str(n), f"The dog {n} sleeps.", f"Der Hund {n} schläft."] for n in range(9)]
    path = str(write(tmp_path, "a.tsv", rows))
    found = {
        one.reason.split(":")[0]: one.severity for one in check({"train": Files(path)}).problems
    }
    assert found["numbers alone"] == "error" and found["columns"] == "warning"
    named = check({"train": files_of(path, DataTable(columns={"source": 1, "target": 2}))}).problems
    assert [
        (one.reason.split(":")[0], one.severity) for one in named if "number" in one.reason
    ] == [("numbers alone", "warning")]
    assert not check(
        {"train": files_of(path, DataTable(columns={"source": 2, "target": 3}))}
    ).problems
    two = str(write(tmp_path, "b.tsv", [[str(n), "ab"[n % 2]] for n in range(9)]))
    assert any(
        one.severity == "error" and "the text (column 1)" in one.reason
        for one in check_labels({"train": [two]}, SINGLE).problems
    )


def test_columns_where_they_mean_nothing_are_refused(tmp_path: Path) -> None:
    pair = DataTable(train=["a.en", "a.de"], columns={"source": "1"})
    for data, needs, message in (
        (pair, ("source", "target"), "two aligned files"),
        (
            DataTable(set="sst2", columns={"text": "1"}),
            SINGLE,
            "columns of your own files, but the data is the set sst2",
        ),
        (
            DataTable(train="a.jsonl", columns={"text": "1"}),
            ("messages",),
            "Unknown field 'text'.*Allowed: header, input, instruction, messages, output",
        ),
        (
            DataTable(train="a.conllu", columns={"text": "1"}),
            ("text", "words", "relations"),
            "has no effect here",
        ),
        (
            DataTable(train="a.conll", columns={"word": "1"}),
            ("text", "words", "tags"),
            "Unknown field 'word'.*Did you mean 'words'",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            load_split(data, "train", None, needs)
    (tmp_path / "a.conll").write_text("x\tNN\tA\tO\ny\tVB\tB\tO\n\n" * 30)
    data = DataTable(train=str(tmp_path / "a.conll"), columns={"words": "1", "tags": "3"})
    assert load_split(data, "train", None, ("text", "words", "tags"))[0].tags == ["A", "B"]


def test_the_columns_of_a_run_apply_to_files_that_have_them(tmp_path: Path) -> None:
    data, notices = DataTable(columns={"text": "comment", "label": "kind"}), []
    same = str(write(tmp_path, "a.tsv", [["kind", "comment"], ["pos", "Fine."]]))
    other = str(write(tmp_path, "b.tsv", [["text", "label"], ["Fine.", "pos"]]))
    assert fitting(data, [same]) is data and fitting(data, [other], notices.append).columns is None
    assert "the columns of the run (text=comment, label=kind) are not in this file" in notices[0]
