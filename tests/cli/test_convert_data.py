"""Convert files to Triptych's own formats, and read the same from both."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from openpyxl import Workbook

from triptych.data.example import Example
from triptych.setup.named_data import examples_of, named_data

Command = Callable[..., SimpleNamespace]


def read(*files: Path, task: str | None = None) -> list[Example]:
    found = named_data([str(one) for one in files], task)
    return [replace(one, place="") for one in examples_of(found, None)["train"]]


def jsonl(*records: object) -> str:
    return "".join(f"{json.dumps(one, ensure_ascii=False)}\n" for one in records)


SPAN = {"start": 0, "end": 3, "label": "PER"}
TOOLS = {
    "doccano.jsonl": (None, jsonl({"id": 1, "text": "Tea?", "label": ["order"]})),
    "spans.jsonl": ("tagging", jsonl({"id": 1, "text": "Ada sings.", "label": [[0, 3, "PER"]]})),
    "prodigy.jsonl": ("tagging", jsonl({"text": "Ada, too.", "spans": [SPAN], "answer": "accept"})),
    "studio.json": (
        None,
        json.dumps(
            [
                {
                    "id": 1,
                    "data": {"text": "Fine tea."},
                    "annotations": [
                        {"result": [{"from_name": "a", "to_name": "text", "type": "choices",
                                     "value": {"choices": ["good"]}}]}
                    ],
                }
            ]
        ),
    ),
    "hf.jsonl": (None, jsonl({"translation": {"en": "The dog.", "de": "Der Hund."}})),
    "list.json": (None, json.dumps([{"text": "Tea\nand cake.", "label": "x"}])),
    "spacy.json": ("tagging", json.dumps([["Ada sings.", {"entities": [[0, 3, "PER"]]}]])),
}  # fmt: skip


@pytest.mark.parametrize("name", TOOLS)
def test_a_converted_file_is_read_as_the_file_itself(
    triptych: Command, tmp_path: Path, name: str
) -> None:
    task, text = TOOLS[name]
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    flags = [] if task is None else ["--task", task]
    done = triptych("data", "convert", path, *flags)
    assert done.code == 0, done.err
    out = Path(done.out.strip())
    assert out == path.with_name(f"{path.stem}{'.converted' * name.endswith('l')}.jsonl")
    assert "1 records as JSONL" in done.err
    before, after = read(path, task=task), read(out, task=task)
    assert before == after
    assert len(before) == 1


def test_folders_become_one_file(triptych: Command, tmp_path: Path) -> None:
    for label in ("good", "bad"):
        (tmp_path / "mail" / label).mkdir(parents=True)
        (tmp_path / "mail" / label / "1.txt").write_text(f"Two lines,\n{label}.\n")
    done = triptych("data", "convert", tmp_path / "mail")
    assert done.code == 0, done.err
    assert done.out == f"{tmp_path / 'mail.jsonl'}\n"
    assert read(tmp_path / "mail.jsonl") == read(tmp_path / "mail")
    assert [one.label for one in read(tmp_path / "mail.jsonl")] == ["bad", "good"]


OWN = {
    "pairs.tsv": "source\ttarget\nThe dog.\tDer Hund.\nA \"big\" cat, here\tEine 'große' Katze\n",
    "labels.tsv": 'text\tlabel\nFine tea.\tgood\nCold, "old" tea.\tbad\n',
    "several.jsonl": jsonl({"text": "Cold and late.", "labels": ["cold", "late|very"]}),
    "lines.jsonl": jsonl({"text": "Two\nlines\tand a tab.", "label": "x"}),
    "returns.jsonl": jsonl(
        {"text": "One\rtwo", "label": "x"},
        {"text": 'A "b"', "label": "y"},
        {"text": "c", "label": "x"},
    ),
    "values.tsv": "text\ttext_pair\tvalue\nA dog.\tA cat.\t0.25\nTea.\tCake.\t4\n",
    "asked.jsonl": jsonl({"question": "Who?", "passage": "Ann did.", "target": "Ann"}),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("to", ["jsonl", "tsv", "csv"])
def test_tables_and_jsonl_hold_the_same(
    triptych: Command, tmp_path: Path, name: str, to: str
) -> None:
    path, out = tmp_path / name, tmp_path / f"out.{to}"
    path.write_text(OWN[name], encoding="utf-8")
    done = triptych("data", "convert", path, "--to", to, "--out", out)
    assert done.code == 0, done.err
    assert read(out) == read(path)
    assert "not the same" not in done.err


def test_words_with_tags_keep_their_text(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text(jsonl({"text": "(Ada) sings.", "spans": [{**SPAN, "start": 1, "end": 4}]}))
    done = triptych("data", "convert", path, "--to", "conll")
    assert done.code == 0, done.err
    assert (tmp_path / "spans.conll").read_text().split("\n")[:3] == [
        "# text = (Ada) sings.",
        "1\t(\tO",
        "2\tAda\tB-PER",
    ]
    again = triptych("data", "convert", tmp_path / "spans.conll", "--to", tmp_path / "b.jsonl")
    assert again.code == 0, again.err
    assert (
        read(tmp_path / "b.jsonl") == read(tmp_path / "spans.conll") == read(path, task="tagging")
    )
    plain = tmp_path / "plain.conll"
    plain.write_text("Ada\tB-PER\nsings\tO\n\nBo\tB-PER\nruns\tO\n\n")
    assert triptych("data", "convert", plain, "--to", tmp_path / "c.jsonl").code == 0
    assert triptych("data", "convert", tmp_path / "c.jsonl", "--to", "conll").code == 0
    assert (tmp_path / "c.conll").read_text() == plain.read_text()


def test_parts_of_speech_become_conllu(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "pos.conll"
    path.write_text("Dogs\tNOUN\nbark\tVERB\n\n")
    done = triptych("data", "convert", path, "--to", "conllu")
    assert done.code == 0, done.err
    assert "no heads and relations" in done.err
    assert "1\tDogs\t_\tNOUN\t_\t_\t_\t_\t_\t_" in (tmp_path / "pos.conllu").read_text()
    path.write_text("Ann\tB-PER\nruns\tO\n\n")
    refused = triptych("data", "convert", path, "--to", tmp_path / "b.conllu")
    assert refused.code == 2
    assert "B-PER" in refused.err and "--to conll" in refused.err


def test_pairs_become_two_files_and_back(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "my.tsv"
    path.write_text("source\ttarget\nThe dog.\tDer Hund.\nThe cat.\tDie Katze.\n")
    done = triptych("data", "convert", path, "--to", "text")
    assert done.out.split() == [
        str(tmp_path / "my.source.txt"),
        str(tmp_path / "my.target.txt"),
    ]
    back = triptych("data", "convert", *done.out.split(), "--to", tmp_path / "b.jsonl")
    assert back.code == 0, back.err
    assert read(tmp_path / "b.jsonl") == read(path)


def test_what_a_format_cannot_hold_is_said(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(jsonl({"source": "A long text.", "target": ["Short.", "Brief."]}))
    done = triptych("data", "convert", path, "--to", "tsv")
    assert "1 records have several targets, of which TSV holds the first." in done.err
    talk = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    path = tmp_path / "b.jsonl"
    path.write_text(jsonl({"messages": talk}))
    done = triptych("data", "convert", path, "--to", "csv")
    assert done.code == 2
    assert "CSV cannot hold conversations" in done.err
    assert not (tmp_path / "b.csv").exists()
    again = triptych("data", "convert", path, "--to", tmp_path / "c.jsonl")
    assert read(tmp_path / "c.jsonl") == read(path), again.err


def test_it_never_writes_over_a_file(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\nTea.\tgood\n")
    (tmp_path / "a.jsonl").write_text("mine")
    done = triptych("data", "convert", path, "--to", "jsonl", "--task", "classification")
    assert done.code == 2
    assert "a.jsonl already exists and is not overwritten" in done.err
    assert (tmp_path / "a.jsonl").read_text() == "mine"
    done = triptych("data", "convert", path, "--to", "docx")
    assert done.code == 2
    assert "neither a format (jsonl, tsv, csv" in done.err
    done = triptych("data", "convert", path, "--to", "b.tsv", "--out", "c.tsv")
    assert "both name a file" in done.err


def test_columns_and_tasks_decide_what_is_read(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("Kind\tComment\ngood\tFine tea.\nbad\tCold tea.\n")
    flags = ("--task", "classification", "--columns", "text=Comment,label=Kind")
    done = triptych("data", "convert", path, *flags)
    assert done.code == 0, done.err
    assert (tmp_path / "a.jsonl").read_text().split("\n")[
        0
    ] == '{"text": "Fine tea.", "label": "good"}'
    texts = tmp_path / "b.txt"
    texts.write_text("One line\nand more.\n\nA second text.\n")
    done = triptych("data", "convert", texts, "--to", "jsonl")
    assert read(tmp_path / "b.jsonl") == read(texts), done.err
    back = triptych("data", "convert", tmp_path / "b.jsonl", "--to", tmp_path / "c.txt")
    assert read(tmp_path / "c.txt") == read(texts), back.err


def test_subtitles_change_their_kind(triptych: Command, tmp_path: Path) -> None:
    path = tmp_path / "film.srt"
    path.write_text(
        "1\n00:00:01,000 --> 00:00:02,500\nA dog.\n\n2\n00:00:03,000 --> 00:00:04,000\nA cat.\n\n"
    )
    done = triptych("data", "convert", path, "--to", "vtt")
    assert done.code == 0, done.err
    text = (tmp_path / "film.vtt").read_text()
    assert text.startswith("WEBVTT\n")
    assert "00:00:01.000 --> 00:00:02.500\nA dog.\n" in text
    back = triptych("data", "convert", tmp_path / "film.vtt", "--to", tmp_path / "b.srt")
    assert back.code == 0, back.err
    assert (tmp_path / "b.srt").read_text() == path.read_text()
    other = path.with_name("film.de.srt")
    other.write_text(path.read_text().replace("A dog", "Ein Hund").replace("A cat", "Eine Katze"))
    pairs = triptych("data", "convert", path, other, "--to", tmp_path / "c.tsv")
    assert pairs.code == 0, pairs.err
    assert (tmp_path / "c.tsv").read_text().split("\n")[1] == "A dog.\tEin Hund."
    refused = triptych("data", "convert", path, other, "--to", "vtt")
    assert refused.code == 2


def test_a_workbook_becomes_objects_and_not_its_rows(
    tmp_path: Path, triptych: Callable[..., SimpleNamespace]
) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None, "a new workbook has a sheet"
    for row in (["English", "Deutsch"], ["The cat.", "Die Katze."], ["A dog.", "Ein Hund."]):
        sheet.append(row)
    book.save(tmp_path / "book.xlsx")
    assert triptych("data", "convert", tmp_path / "book.xlsx", "--to", "jsonl").code == 0
    lines = (tmp_path / "book.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["target"] for line in lines] == ["Die Katze.", "Ein Hund."]


TABLE = "text,label\nFine tea.,good\nCold tea.,bad\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("b.tsv", "The dog.\tDer Hund.\nThe cat.\tDie Katze.\n", "a table with 2 columns"),
        ("b.jsonl", jsonl({"source": "A", "target": "B"}, {"source": "C", "target": "D"}), "JSONL"),
        ("b.csv", TABLE, "a table with 2 columns"),
    ],
)
def test_lines_of_two_tables_are_never_paired(
    triptych: Command, tmp_path: Path, name: str, content: str, said: str
) -> None:
    path, other = tmp_path / name, tmp_path / "other.txt"
    path.write_text(content)
    other.write_text("one\ntwo\nthree\n")
    for files in ((path, other), (other, path)):
        done = triptych("data", "convert", *files, "--out", tmp_path / "out.jsonl")
        assert done.code == 1 and f"{name} is {said}, but each line of two aligned" in done.err
        assert not (tmp_path / "out.jsonl").exists()
        told = triptych("data", "check", *files)
        assert told.code == 1 and f"{name}: it is {said}, but" in told.out


def test_two_tables_of_labelled_texts_are_read_as_such(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TABLE)
    (tmp_path / "b.csv").write_text("text,label\nGood cake.,good\n")
    files = tmp_path / "a.csv", tmp_path / "b.csv"
    done = triptych("data", "convert", *files, "--to", "jsonl")
    assert done.code == 0, done.err
    assert [one.label for one in read(Path(done.out.strip()))] == ["good", "bad", "good"]
    (tmp_path / "b.csv").write_text("text,value\nGood cake.,2\n")  # not the same fields
    assert triptych("data", "convert", *files, "--out", tmp_path / "c.jsonl").code == 1


def test_tables_of_one_column_are_lines(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("The dog.\nThe cat.\n")
    (tmp_path / "b.tsv").write_text("Der Hund.\nDie Katze.\n")
    done = triptych("data", "convert", tmp_path / "a.tsv", tmp_path / "b.tsv")
    assert done.code == 0, done.err
    assert read(Path(done.out.strip()))[1].target == "Die Katze."
