"""Test that words with tags are known by their content, and other files are not taken for them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from triptych.data.formats.tagged_content import HEAD_BYTES, holds_tags
from triptych.data.validation.conll import is_conll
from triptych.data.validation.texts import is_plain_text

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
