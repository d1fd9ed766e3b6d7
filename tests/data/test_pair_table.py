"""Pairs and encoded examples kept as arrays give what objects gave; words are encoded alike."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from triptych.data.batches.encoded import Encoded
from triptych.data.batches.encoded_table import TOGETHER, EncodedTable
from triptych.data.example import Example
from triptych.data.formats.lazy_lines import LazyLines
from triptych.data.formats.lines import decode_lines
from triptych.data.load import load_split, load_splits
from triptych.data.pair_table import PairTable
from triptych.data.split import by_source, sentence_key, sentence_keys
from triptych.data.table import DataTable
from triptych.data.tokenizers import known_words
from triptych.data.tokenizers.ahead import read_ahead
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import KINDS, Tokenizer

# Letters with marks, digits, signs, scripts without spaces, spaces of all kinds.
POOL = [*map(chr, [*range(9, 14), *range(28, 0x180), *range(0x300, 0x330), *range(0x900, 0x930)])]
POOL += [*"<<<  漢字ー、。①ﬁＡ한\u0085\u2028\ufeff\U0001f600\U00031350"] * 6


def texts(count: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices(POOL, k=draw.randint(0, 20))) for _ in range(count)]


def test_keys_of_many_are_those_of_each() -> None:
    several = texts(5000)
    lines = [text for text in several if "\n" not in text]
    assert [*sentence_keys(several)] == [*map(sentence_key, several)]
    assert [*sentence_keys(lines)] == [*map(sentence_key, lines)]


@pytest.mark.parametrize("kind", KINDS)
def test_remembered_words_have_the_ids_of_the_library(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_words, "FEWEST_KNOWN", 2.0)
    monkeypatch.setattr(known_words, "MOST_WORDS", 500)  # forgets on the way
    tokenizer = Tokenizer.train(["the cat sat <on> the mat 42 ()", "漢字 ünder"], kind, 400)  # type: ignore[arg-type]
    for seed in range(4):
        given = texts(300, seed)
        assert tokenizer.encode_batch(given) == [tokenizer.encode(one) for one in given]
    assert tokenizer._known is not None, "the words were remembered"


def test_texts_that_are_read_ahead_have_their_ids() -> None:
    tokenizer = Tokenizer.train(["the cat sat on the mat"], "bpe", 300)
    other = Tokenizer.train(["die Katze"], "bpe", 300)
    examples = [Example(f"the cat {n}", f"Katze {n}", place=str(n)) for n in range(200)]
    found, used = [], 0
    for one in read_ahead(examples, Tokenizers(tokenizer, other)):
        found.append((tokenizer.encode(one.source or ""), other.encode(one.target or "")))
        used = max(used, tokenizer.ahead_used)
    assert found == [(tokenizer.encode(f"the cat {n}"), other.encode(f"Katze {n}"))
                     for n in range(200)]  # fmt: skip
    assert used > 64 and not tokenizer._ahead, "they were known, and are forgotten"


def test_a_table_reads_as_a_list_of_examples() -> None:
    table, plain = PairTable("a.en", ("en", "de")), list[Example]()
    for number, text in enumerate(texts(300), 1):
        table.append(text, text[::-1], number)
        plain.append(Example(text, text[::-1], "en", "de", f"a.en:{number}"))
    assert table == plain and [*table] == plain and len(table) == 300
    assert table[-1] == plain[-1] and table[7:90:3] == plain[7:90:3]
    assert table[10:20] + table[5:7] == plain[10:20] + plain[5:7]
    one, other = by_source(table), by_source(plain)
    assert {part: [*found] for part, found in one.items()} == other and len(other["train"]) < 300
    with pytest.raises(IndexError):
        table[300]


def test_a_file_is_read_once_for_all_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"this is line {n}" for n in range(400)]
    for name in ("a.en", "a.de"):
        (tmp_path / name).write_text("\n".join(lines) + "\n", "utf-8")
    data = DataTable(train=[str(tmp_path / "a.en"), str(tmp_path / "a.de")])
    each = {part: load_split(data, part) for part in ("train", "validation", "test")}
    opened: list[Path] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path) or read(path))
    assert load_splits(data, ("train", "validation", "test")) == each
    assert sorted(path.name for path in opened) == ["a.de", "a.en"]
    assert all(len(part) for part in each.values())


@pytest.mark.parametrize("raw", [b"a\nb", b"a\nb\n", b"\n", b"\n\n", "ä\r\n漢\r\n\r\nx".encode()])
def test_lazy_lines_are_the_lines(raw: bytes) -> None:
    lines, lazy = decode_lines(raw, "a.txt"), LazyLines(raw)
    assert [*lazy] == lines and lazy[:] == lines and len(lazy) == len(lines)
    assert [lazy[number] for number in range(-len(lines), len(lines))] == lines * 2
    assert lazy[0:1] == lines[0:1] and lazy[::2] == lines[::2]


def test_an_encoded_table_gives_back_what_was_encoded() -> None:
    def piece(number: int, **more: object) -> Encoded:
        source, target = np.arange(number % 7), np.arange(number % 5) + 70_000 * (number % 2)
        return Encoded({"source": source, "target": target}, {"tokens": target + 1}, number, **more)  # type: ignore[arg-type]

    count = TOGETHER + 100
    pieces = [[piece(n, unseen=n % 3 == 1)] * (n % 4 != 2) for n in range(count)]
    pieces[0] = [Encoded({"source": np.ones((2, 3), np.float32)}, index=0)]  # before the others
    pieces[5] = [piece(5, metadata="window"), piece(5)]
    table = EncodedTable()
    for one in pieces:
        table.append(one)
    assert len(table) == count
    for number in [*range(12), 4097, TOGETHER - 1, TOGETHER, count - 1]:
        for one, two in zip(table[number], pieces[number], strict=True):
            for arrays, own in ((one.inputs, two.inputs), (one.targets, two.targets)):
                assert [*arrays] == [*own]
                for name in own:
                    np.testing.assert_array_equal(arrays[name], own[name], strict=True)
            rest = [(a.index, a.unseen, a.metadata, a.length) for a in (one, two)]
            assert rest[0] == rest[1]
    every = [one for found in pieces for one in found]
    assert table.lengths.tolist() == [one.length for one in every]
    assert table.longest("source") == 6 and table.longest("target") == 4
    assert len(table.unseen) == sum(any(one.unseen for one in found) for found in pieces)
