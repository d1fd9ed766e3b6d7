"""Test that advised columns are those of the texts and labels, by name, and read the file."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from triptych.cli.columns import parsed
from triptych.data.formats.foreign.own_lines import own_lines
from triptych.data.formats.likely import is_headed, labelled_sample, sample_of
from triptych.data.formats.table_format import sniffed
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.data.validation.kinds import needs_of
from triptych.errors import DataError, UsageError

HEAD = "Nr,Titel,Schreiben,Abteilung,Stand"
ROWS = [
    f"{n},Brief {n},Der Drucker {n} im Flur druckt wieder nicht,{'ABC'[n % 3]},{n % 2}"
    for n in range(30)
]


def write(folder: Path, lines: list[str], name: str = "a.csv") -> Path:
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("lines", "header", "advised"),
    [
        ([HEAD, *ROWS], True, "text=Schreiben,label=Abteilung"),
        (ROWS, False, "text=3,label=4"),
        ([HEAD.replace("Schreiben", "Das Schreiben"), *ROWS], True,
         "'text=Das Schreiben,label=Abteilung'"),
        (["id,score,note", *(f"{n},{n % 2},Nummer {n} ist da" for n in range(9))], True,
         "text=note,label=score"),
    ],
)  # fmt: skip
def test_the_longest_texts_and_the_fewest_values(
    tmp_path: Path, lines: list[str], header: bool, advised: str
) -> None:
    path = write(tmp_path, lines)
    read = own_lines(path)
    form = sniffed(path, read, [])
    assert is_headed(form, read) == header
    assert sample_of(("text", "label"), form, header, read) == advised
    columns = parsed(shlex.split(f"--columns {advised}")[1])
    columns = columns if header or columns is None else {**columns, "header": "no"}
    found = load_split(
        DataTable(train=str(path), columns=columns), "train", needs=("text", "label")
    )
    assert all(len((one.text or "").split()) > 3 and len(one.label or "") == 1 for one in found)


@pytest.mark.parametrize(
    "lines",
    [
        ["en,de", *(f"One dog {n},Ein Hund {n}" for n in range(9))],  # no column with few values
        ["a,b", *(f"{n},{n % 2}" for n in range(9))],  # no text
        ["text,kind", *("same,x" for _ in range(9))],  # one value
        ["a,b"],
    ],
)
def test_no_advice_where_nothing_looks_like_a_label(tmp_path: Path, lines: list[str]) -> None:
    path = write(tmp_path, lines)
    form = sniffed(path, own_lines(path), [])
    assert labelled_sample(form, own_lines(path), True) is None


def test_a_mistyped_field_or_column_is_named(tmp_path: Path) -> None:
    path = str(write(tmp_path, [HEAD, *ROWS]))
    with pytest.raises(UsageError, match="Unknown field 'lable'.* Did you mean 'label'"):
        needs_of([path], columns={"text": "Schreiben", "lable": "Abteilung"})
    with pytest.raises(UsageError, match="the text and nothing to learn"):
        needs_of([path], columns={"text": "Schreiben"})
    table = DataTable(train=path, columns={"text": "Schreibn", "label": "Abteilung"})
    with pytest.raises(DataError, match="no column 'Schreibn'. .*Did you mean 'Schreiben'"):
        load_split(table, "train", needs=("text", "label"))
