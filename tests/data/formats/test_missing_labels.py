"""Test the warning on labels that stand for a missing value."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.formats.columns import read
from triptych.data.formats.missing_labels import missing_labels, warning_of
from triptych.data.table import DataTable
from triptych.data.validation.columns import check

SINGLE = ("text", "label")


@pytest.mark.parametrize("label", ["NULL", "null", "N/A", "nan", "NaN", "None", "-", "''", "<NA>"])
def test_a_label_for_nothing_is_named(label: str) -> None:
    counts = {"refund": 40, label: 3, "delivery": 1}
    assert missing_labels(counts) == {label: 3}
    warning = warning_of(counts)
    assert warning is not None and f"'{label}' (3 texts): such a label" in warning
    assert f"'{label}' (1 text)" in (warning_of({label: 1}) or "")


@pytest.mark.parametrize("labels", [["+", "-"], ["有", "無"], ["nullable", "nanny", "nature", "0"]])
def test_a_label_with_a_meaning_is_not(labels: list[str]) -> None:
    assert warning_of(dict.fromkeys(labels, 5)) is None


def test_reading_and_checking_say_it_once_for_each_label(tmp_path: Path) -> None:
    path = tmp_path / "mail.tsv"
    labels = ["refund", "NULL", "delivery", "n/a", "NULL"]
    lines = [f"Letter number {place} came\t{one}" for place, one in enumerate(labels)]
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    said: list[str] = []
    found = read([str(path)], DataTable(), SINGLE, said.append)
    assert [one.label for one in found] == labels  # named, but not left out
    assert said[-1].startswith("Note: mail.tsv: 'NULL' (2 texts), 'n/a' (1 text): such a label")
    assert "empty their label" in said[-1]
    problems = [str(one) for one in check({"train": [str(path)]}, SINGLE).problems]
    kinds = [one for one in problems if "missing label: " in one]
    assert len(kinds) == 2 and "mail.tsv:3: missing label: 2 texts have 'NULL'" in kinds[0]


def test_nan_in_json_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "frame.jsonl"
    path.write_text(
        '{"text": "one", "label": "a"}\n{"text": "two", "label": NaN}\n'
        '{"text": "three", "label": "b"}\n'
    )
    said: list[str] = []
    found = read([str(path)], DataTable(), SINGLE, said.append)
    assert [one.label for one in found] == ["a", "b"]
    assert any("without label" in one for one in said)
    values = tmp_path / "numbers.jsonl"
    values.write_text('{"text": "one", "value": 1.5}\n{"text": "two", "value": NaN}\n')
    assert [one.value for one in read([str(values)], DataTable(), ("text", "value"))] == [1.5]
