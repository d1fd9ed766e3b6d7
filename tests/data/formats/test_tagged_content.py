"""Test that words with tags are known by their content, and other files are not taken for them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from triptych.data.formats.tagged_content import HEAD_BYTES, holds_tags, is_conll
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.data.validation.columns import check as check_columns
from triptych.data.validation.conll import check
from triptych.data.validation.texts import is_plain_text
from triptych.errors import DataError

TYPES = "Eva\tPER\nhums\tO\n.\tO\n\n" * 4
SPANS = "Eva B-PER\nRay I-PER\nhums O\n\nOslo B-LOC\n"
SPEECH = "the DT\ncat NN\nhums VBZ\n. .\n\nthe DT\ndog NN\nbarks VBZ\n. .\n\n" * 3
GERMAN = (
    "#\thttp://example.org/x\t[2011-02-03]\n1\tGern\tO\tO\n2\tEva\tB-PER\tO\n3\thört\tO\tO\n\n"
    "#\thttp://example.org/y\t[2011-02-04]\n1\tRay\tB-PER\tO\n2\tlacht\tO\tO\n"
)
NEWS = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\nEva NNP I-NP I-PER\n\n"
CHINESE = "我\tO\n在\tO\n台\tB-LOC\n北\tI-LOC\n\n他\tO\n也\tO\n在\tO\n\n"
YES = {
    "types.txt": TYPES,
    "types.tsv": TYPES.replace("\n", "\r\n"),
    "marks.txt": "\ufeff" + TYPES.replace("\n\n", "\n\n\ufeff"),
    "spans.txt": SPANS,
    "speech.txt": SPEECH,
    "german.tsv": GERMAN,
    "eng.train": NEWS,
    "chinese.txt": CHINESE,
    "bilou.txt": "Eva B-PER\nRay L-PER\nhums O\n\nOslo U-LOC\n",
    "under.tsv": SPANS.replace("-", "_").replace(" ", "\t"),
    "noname": SPANS,
    "piped.txt": "Eva|B-PER hums|O .|O\n",
    "brown.txt": "the/at dog/nn barks/vbz\nthe/at cat/nn hums/vbz\n",
    "nlp.txt": "<START:person> Eva <END> hums .\n",
    "one wrong row.txt": TYPES + "Ray\n",
    "words.jsonl": '{"words": ["Eva"], "tags": ["O"]}\n',
    "tokens.json": '[{"tokens": ["Eva"], "ner_tags": ["O"]}]',
    "numbers.jsonl": '{"tokens": ["Eva"], "ner_tags": [0]}\n',  # the check says what is missing
    "marked.jsonl": '{"text": "Eva", "spans": []}\n',
    "pairs.jsonl": '{"id": 1, "text": "Eva", "entities": [[0, 3, "PER"]]}\n',
}
NO = {
    "pairs.tsv": "A dog barks.\tEin Hund bellt.\nA cat.\tEine Katze.\n" * 5,
    "blank pairs.tsv": "A dog\tEin Hund\nA cat\tEine Katze\n\nNo\tNein\n" * 5,
    "dictionary.txt": "dog\tHund\ncat\tKatze\n\nbird\tVogel\nfish\tFisch\n",
    "labels.tsv": "text\tlabel\nfine thing\tgood\nbad thing\tbad\n" * 9,
    "one word.tsv": "text\tlabel\nfine\tgood\nawful\tbad\n\nnice\tgood\n",
    "capitals.tsv": "text\tlabel\n\nvery fine\tPOS\nquite bad\tNEG\n\nso so\tNEG\nok then\tPOS\n"
    * 3,
    "chinese labels.tsv": "這家店的服務真的很不錯\tPOS\n東西難吃而且又貴又慢\tNEG\n\n" * 5,
    "prose.txt": "It was late.\nThe harbour lay still.\n\nNobody saw the boat.\n",
    "verse.txt": "My heart\nis low\n\nmy head\nis too\n\n" * 4,
    "names.txt": "Eva Ray\nBob Lee\n\nCy Fox\nDee Day\n",
    "paths.txt": "a/b.txt\nc/d.txt\ne/f.txt\n",
    "snake.txt": "first_name\nlast_name\nbirth_date\n",
    "either.txt": "and/or this/that\n",
    "numbers.tsv": "1\t2\n3\t4\n\n5\t6\n7\t8\n",
    "empty.txt": "",
    "blank.txt": "\n\n \n",
    "text.jsonl": '{"text": "Eva hums"}\n',
    "label.jsonl": '{"text": "Eva hums", "label": "good", "spans": []}\n',
    "labels.jsonl": '{"text": "Eva hums", "labels": ["a"]}\n',
    "tweet.json": '[{"text": "Eva hums", "entities": {"urls": []}}]',
    "chat.jsonl": '{"messages": [{"role": "user", "content": "a"}]}\n',
    "squad.json": '{"data": [{"title": "t", "paragraphs": []}]}',
    "damaged.json": '[{"words": ["a"], ',
    "spans.csv": SPANS.replace(" ", ","),
    "spans.md": SPANS,
}


@pytest.mark.parametrize("name", YES)
def test_words_with_tags_are_known(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(YES[name], encoding="utf-8", newline="")
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(YES[name].encode()))
    assert is_conll(str(tmp_path / name)) and is_conll(str(tmp_path / f"{name}.gz"))
    assert not is_plain_text(str(tmp_path / name))


@pytest.mark.parametrize("name", NO)
def test_other_files_are_not_taken_for_them(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(NO[name], encoding="utf-8")
    assert not is_conll(str(tmp_path / name))


def test_what_cannot_be_read_is_not_guessed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(SPANS.encode("utf-16"))
    (tmp_path / "a.txt.gz").write_bytes(b"no gzip")
    (tmp_path / "b").mkdir()
    for name in ("a.txt", "a.txt.gz", "b", "missing.txt"):
        assert not holds_tags(str(tmp_path / name))
    assert is_conll("missing.conll") and is_conll("a.bilou.gz")


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    """A line that the limit cuts does not count, nor does what follows."""
    rows = SPANS * (HEAD_BYTES // len(SPANS) + 1)
    (tmp_path / "a.txt").write_bytes(rows.encode() + b"\n\xff\0 rest of it")
    assert holds_tags(str(tmp_path / "a.txt"))


def test_prose_of_one_object_is_not_tags(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"words": "Eva", "tags": ["O"]}), encoding="utf-8")
    assert not is_conll(str(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "text,label\nA fine day,good\nA bad day,bad\n", "a table with the columns text"),
        ("a.csv", "Subject;Queue\nA fine day;good\n", "a table with the columns Subject, Queue"),
        ("a.tsv", "text\tlabel\nA fine day\tgood\nA bad day\tbad\n", "whole texts, like 'A fine"),
        ("a.tsv", "A dog barks.\tEin Hund bellt.\n" * 9, "whole texts, like 'A dog barks.'"),
    ],
)
def test_a_table_of_texts_is_not_read_as_words_with_tags(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    report = check({"train": [str(path)]})
    assert [said in one.reason for one in report.problems] == [True]
    assert "not words with tags" in report.problems[0].reason
    table = DataTable(train=str(path))
    with pytest.raises(DataError, match="for the task classification"):
        load_split(table, "train", needs=("text", "words", "tags"))


def test_words_of_several_parts_are_words(tmp_path: Path) -> None:
    """Words of Vietnamese have spaces, if not most of them."""
    path = tmp_path / "a.tsv"
    path.write_text("Hà Nội\tB-LOC\nlà\tO\nthủ đô\tO\nđẹp\tO\n\n" * 3, encoding="utf-8")
    assert not check({"train": [str(path)]}).counts.get("left out")
    assert check({"train": [str(path)]}).pairs == {"train": 3}


@pytest.mark.parametrize("name", ["types.tsv", "spans.txt", "german.tsv", "piped.txt"])
@pytest.mark.parametrize("needs", [("text", "label"), ("text", "labels"), ("text", "value")])
def test_words_with_tags_are_not_read_as_texts_with_labels(
    tmp_path: Path, name: str, needs: tuple[str, str]
) -> None:
    for path in (tmp_path / name, tmp_path / "a.conll"):
        path.write_text(YES[name], encoding="utf-8")
        with pytest.raises(DataError, match=r"one word a line.*Take the task tagging"):
            load_split(DataTable(train=str(path)), "train", needs=needs)
        (problem,) = check_columns({"train": [str(path)]}, needs).problems
        assert "holds words with tags" in problem.reason


def test_named_columns_overrule_what_the_words_look_like(tmp_path: Path) -> None:
    path = tmp_path / "types.tsv"
    path.write_text(TYPES, encoding="utf-8")
    table = DataTable(train=str(path), columns={"text": 1, "label": 2, "header": "no"})
    assert {one.text for one in load_split(table, "train", needs=("text", "label"))} <= set(
        TYPES.split()
    )
