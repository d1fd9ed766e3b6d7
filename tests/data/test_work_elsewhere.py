"""Blocks that other processes work on give what this one would make of them, in their order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from triptych.data import split, workers
from triptych.data.batches.encoded import Encoded
from triptych.data.batches.encoded_table import EncodedTable
from triptych.data.example import Example
from triptych.data.pair_table import PairTable
from triptych.data.tokenizers import ahead
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.data.workers import Parts, Workers, spare_processes
from triptych.errors import DataError
from triptych.setup import encoding
from triptych.tasks.specs import SPECS

SIDES = ("source", "target")
OWN_WORK = """
import os
def begin(setup):
    def work(parts):
        if os.getpid() != int(setup) and parts[0] == b"end":
            os._exit(9)
        if parts[0] == b"raise":
            raise ValueError("not this one")
        return [b"<" + part + b">" for part in parts]
    return work
"""


@pytest.fixture
def own_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_work_of_a_test.py").write_text(OWN_WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{workers.ROOT}")
    return "own_work_of_a_test:begin"


def blocks(count: int) -> Iterator[tuple[int, Parts]]:
    return ((number, [b"%d" % number, b""]) for number in range(count))


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_results_come_in_the_order_of_the_blocks(own_work: str, processes: int) -> None:
    found = Workers(own_work, b"0", processes).map(blocks(50))
    assert [*found] == [(number, [b"<%d>" % number, b"<>"]) for number in range(50)]


def test_a_process_that_dies_takes_no_block_with_it(own_work: str) -> None:
    given = [(number, [b"end" if number in (0, 7) else b"%d" % number]) for number in range(12)]
    found = Workers(own_work, str(os.getpid()).encode(), 2).map(given)
    assert [*found] == [(number, [b"<" + one + b">"]) for number, (one,) in given]


def test_an_error_is_raised_here(own_work: str) -> None:
    with pytest.raises(ValueError, match="not this one"):
        list(Workers(own_work, b"0", 1).map([(0, [b"raise"])]))


def test_all_processes_end_with_the_one_that_is_left_early(
    own_work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[subprocess.Popen[bytes]] = []
    begin = Workers._begin

    def kept(self: Workers) -> subprocess.Popen[bytes]:
        begun.append(begin(self))
        return begun[-1]

    monkeypatch.setattr(Workers, "_begin", kept)
    results = Workers(own_work, b"0", 2).map(blocks(100))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert begun and all(one.returncode is not None for one in begun)


def test_processes_end_when_the_one_that_began_them_is_killed(own_work: str) -> None:
    program = (
        "import itertools, sys\nfrom triptych.data.workers import Workers\n"
        f"workers = Workers({own_work!r}, b'0', 1)\n"
        "found = workers.map((0, [b'x']) for _ in itertools.count())\n"
        "next(found); process = workers._idle.get(); print(process.pid, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        number = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        state = Path(f"/proc/{number}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        signal.sigtimedwait([], 0.1)
    pytest.fail("the process still runs")


def test_no_process_helps_where_one_thread_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    many = workers.FEWEST_TEXTS
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    for name in ("OMP_NUM_THREADS", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (spare_processes(many), spare_processes(many - 1)) == (3, 0)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert spare_processes(many) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert spare_processes(many) == 0


def table(count: int) -> PairTable:
    found = PairTable("a.en", ("en", "de"))
    for number in range(count):
        source = f"The {number % 301}th house!" + " house" * (number % 7)
        found.append(source, f"Das {number} 漢字 Häuschen", number + 1)
    return found


@pytest.mark.parametrize("processes", [0, 2])
def test_digests_do_not_depend_on_processes(
    monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr("triptych.data.text_blocks.TOGETHER", 100)
    monkeypatch.setattr(split, "spare_processes", lambda _: processes)
    whole = table(1000)
    some = whole.take(np.arange(3, 990, 2))
    for examples in (whole, some, [*some], []):
        sides = ([str(getattr(one, side)) for one in examples] for side in SIDES)
        expected = [split.digests(split.sentence_keys(texts)) for texts in sides]
        assert all(map(np.array_equal, split.key_digests(examples, SIDES), expected))


@pytest.mark.parametrize("processes", [0, 2])
def test_only_equal_pairs_have_equal_digests(
    monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.setattr("triptych.data.text_blocks.TOGETHER", 3)
    monkeypatch.setattr(split, "spare_processes", lambda _: processes)
    pairs = [
        ("a", "bc"),
        ("ab", "c"),
        ("a", "bc"),
        ("", "abc"),
        ("1", " a"),
        ("1 ", "a"),
        ("ab", "c"),
    ]
    found = split.pair_digests([Example(*one) for one in pairs])
    assert split.first_of(found).tolist() == [0, 1, 0, 3, 4, 5, 1]


@pytest.mark.parametrize("shared", [True, False])
def test_ids_do_not_depend_on_processes(monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    monkeypatch.setattr(ahead, "TOGETHER", 100)
    monkeypatch.setattr(ahead, "spare_processes", lambda _: 2)
    examples = table(1000)
    one = Tokenizer.train((text for text in examples.texts("source")), "bpe", 400)
    other = one if shared else Tokenizer.train([*examples.texts("target")], "unigram", 400)
    read = 0
    for row, example in enumerate(ahead.read_ahead(examples, Tokenizers(one, other))):
        assert example == examples[row]
        assert one.encode(example.source or "") == one._encoding(example.source or "").ids
        assert other.encode(example.target or "") == other._encoding(example.target or "").ids
        read = row + 1
    assert read == 1000


def test_a_text_that_cannot_be_encoded_fails_where_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ahead, "TOGETHER", 100)
    monkeypatch.setattr(ahead, "spare_processes", lambda _: 2)
    good = [Example(f"house {number}", "Haus") for number in range(400)]
    bad = [*good, Example("half \ud800", "Haus"), *good]
    tokenizer = Tokenizer.train((one.source or "" for one in good), "bpe", 400)
    passed = 0
    with pytest.raises(Exception, match="half a character"):
        for example in ahead.read_ahead(bad, Tokenizers(tokenizer, tokenizer)):
            tokenizer.encode(example.source or "")
            tokenizer.encode(example.target or "")
            passed += 1
    assert passed == len(good)


def same_pieces(one: EncodedTable, other: EncodedTable) -> bool:
    def plain(table: EncodedTable) -> list[object]:
        return [
            (
                piece.index,
                piece.unseen,
                [
                    (name, str(ids.dtype), ids.tolist())
                    for name, ids in [*piece.inputs.items(), *piece.targets.items()]
                ],
            )
            for pieces in (table[row] for row in range(len(table)))
            for piece in pieces
        ]

    return plain(one) == plain(other)


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("targets", [["de"], ["de", "fr"]])
def test_pairs_encoded_at_once_are_those_encoded_one_by_one(
    monkeypatch: pytest.MonkeyPatch, processes: int, targets: list[str]
) -> None:
    monkeypatch.setattr(encoding, "TOGETHER", 150)
    monkeypatch.setattr(encoding, "spare_processes", lambda _: processes)
    examples = table(1000)
    tags = targets if len(targets) > 1 else ()
    one = Tokenizer.train(examples.texts("source"), "bpe", 330, tags)
    other = Tokenizer.train(examples.texts("target"), "unigram", 330)
    labels = {"languages": {"source": ["en"], "targets": targets}, "tags": [*tags]}
    task = SPECS["translation"].build({})
    sides = zip(examples.texts("source"), examples.texts("target"), strict=True)
    sizes = [max(len(one.encode(a)) + len(tags), len(other.encode(b))) for a, b in sides]
    longest = 1 + int(np.quantile(sizes, 0.4))
    encoder = encoding.Encoder(task, Tokenizers(one, other), labels, longest)
    found, expected = encoder.encode(examples), encoder.encode_here(examples)
    assert 0 < expected.kept.sum() < 1000
    assert np.array_equal(found.kept, expected.kept)
    assert same_pieces(found.table, expected.table)
    assert np.array_equal(found.table.lengths, expected.table.lengths)


def test_a_pair_that_cannot_be_encoded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "TOGETHER", 150)
    monkeypatch.setattr(encoding, "spare_processes", lambda _: 2)
    examples = table(1000)
    tokenizer = Tokenizer.train(examples.texts("source"), "bpe", 330)
    examples.append("half \ud800", "Haus", 1001)
    labels = {"languages": {"source": ["en"], "targets": ["de"]}, "tags": []}
    task = SPECS["translation"].build({})
    encoder = encoding.Encoder(task, Tokenizers(tokenizer, tokenizer), labels, 99)
    with pytest.raises(DataError, match="half a character"):
        encoder.encode(examples)


def test_tables_are_joined_whatever_their_pieces_hold() -> None:
    def piece(*ids: int, unseen: int = 0, metadata: object = None) -> Encoded:
        return Encoded({"source": np.array(ids)}, index=0, unseen=unseen, metadata=metadata)

    rows = [[piece(1, 2)], [], [piece(3, unseen=2), piece(4, 70_000)], [piece(5, metadata="kept")]]
    for middle in range(len(rows) + 1):
        whole, parts = EncodedTable(), (EncodedTable(), EncodedTable())
        for number, row in enumerate(rows):
            for into in (whole, parts[number >= middle]):
                for one in row:
                    one.index = len(into)
                into.append([replace(one) for one in row])
        joined = EncodedTable()
        for part in parts:
            joined.extend(part)
        assert same_pieces(joined, whole)
        assert (joined.unseen, joined.empty) == (whole.unseen, [1])
