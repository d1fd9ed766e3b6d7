"""Test streamed sets: the same windows as in memory, bounded memory, exact resuming, errors."""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.data.batches import cutting, streaming
from triptych.data.batches.encoded import Encoded
from triptych.data.batches.order import MicroBatches
from triptych.data.batches.shards import INDEX, Shards
from triptych.data.batches.streaming import Corpus, ReservoirSample, resolved
from triptych.data.example import Example
from triptych.data.formats import texts
from triptych.data.load import load_split
from triptych.data.table import DataTable
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import DataError, UsageError
from triptych.tasks.language_modelling import build
from triptych.training.streamed import cutter

WORDS = [
    "貓坐在墊子上。",
    "the cat",
    "a dog",
    "sat",
    "on the mat",
    "and",
    "slept",
    "ünder it",
    "42",
]


def write(folder: Path, texts: int = 60) -> DataTable:
    """Write three files, one of them gzipped and one JSONL; their hashes hold nothing out."""
    draw = np.random.default_rng(1)
    found = [" ".join(draw.choice(WORDS, int(draw.integers(1, 30)))) for _ in range(texts)]
    third = texts // 3
    (folder / "a.txt").write_text("\n\n".join(found[:third]), "utf-8")
    (folder / "b.txt.gz").write_bytes(
        gzip.compress("\n \n".join(found[third : 2 * third]).encode())
    )
    (folder / "c.jsonl").write_text(
        "".join(f'{{"text": "{text}"}}\n' for text in found[2 * third :]), "utf-8"
    )
    held = folder.parent / "held.txt"
    held.write_text("the cat slept\n", "utf-8")
    return DataTable(
        train=[str(folder)], validation=[str(held)], test=[str(held)], stream=True, shard_tokens=400
    )


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataTable:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "texts").mkdir()
    return write(tmp_path / "texts")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([" ".join(WORDS)], "characters", 400)


NO_TOKENIZERS: Any = None  # plain text is cut by its ids alone


def order(
    found: Shards, documents: str = "apart", rank: int = 0, world: int = 1, buffer: int = 8
) -> MicroBatches:
    task = build({"context": 24, "documents": documents})
    return MicroBatches(
        cutter(found, task, NO_TOKENIZERS, 5),
        found.sizes,
        batch_tokens=100,
        seed=5,
        buffer=buffer,
        rank=rank,
        world=world,
        window=task.window,
    )


def in_memory(
    table: DataTable, tokenizer: Tokenizer, documents: str = "apart", buffer: int = 8
) -> MicroBatches:
    task, both = build({"context": 24, "documents": documents}), Tokenizers(tokenizer, tokenizer)
    examples = load_split(
        DataTable(train=table.train, validation=table.validation, test=table.test),
        "train",
        needs=("text",),
    )

    def encode(epoch: int, index: int) -> list[Encoded]:
        return task.encode(
            examples[index], both, {}, "train", np.random.default_rng((5, epoch, index))
        )

    return MicroBatches(
        encode, len(examples), batch_tokens=100, seed=5, buffer=buffer, window=task.window
    )


def contents(
    batches: list[tuple[int, list[Encoded]]],
) -> list[tuple[int, list[tuple[list[int], list[int]]]]]:
    return [
        (
            number,
            [(one.inputs["target"].tolist(), one.targets["tokens"].tolist()) for one in members],
        )
        for number, members in batches
    ]


def epoch(batches: MicroBatches, number: int = 0) -> list[tuple[list[int], list[int]]]:
    found = []
    while True:
        (one,) = batches.next_batches(1)
        found += contents([one])[0][1]
        if batches.epoch >= number + 1 - 1e-9:
            return found


def test_one_shard_is_the_list_itself(table: DataTable, tokenizer: Tokenizer) -> None:
    whole = DataTable(train=table.train, validation=table.validation, test=table.test, stream=True)
    found = Corpus(whole).shards(tokenizer)
    assert len(found.sizes) == 1 and len(found) == 60
    for documents in ("apart", "together"):
        streamed, listed = order(found, documents), in_memory(table, tokenizer, documents)
        # Several epochs are read.
        assert contents(streamed.next_batches(60)) == contents(listed.next_batches(60))
        assert streamed.state() == listed.state()


def test_many_shards_give_the_same_windows_in_every_epoch(
    table: DataTable, tokenizer: Tokenizer
) -> None:
    found = Corpus(table).shards(tokenizer)
    assert len(found.sizes) > 5 and len(found) == 60
    streamed, listed = order(found), in_memory(table, tokenizer)
    first = epoch(streamed), epoch(listed)
    assert first[0] != first[1] and sorted(first[0]) == sorted(first[1])
    second = epoch(streamed, 1), epoch(listed, 1)
    assert sorted(second[0]) == sorted(second[1]) and second[0] != first[0]


def test_together_tells_every_token_once(table: DataTable, tokenizer: Tokenizer) -> None:
    found = Corpus(table).shards(tokenizer)
    learnt = sorted(
        pair
        for given, wanted in epoch(order(found, "together"))
        for pair in zip(given, wanted, strict=True)
    )
    ids = [found.ids(index).tolist() for index in range(len(found))]
    assert learnt == sorted(pair for one in ids for pair in itertools.pairwise(one))


@pytest.mark.parametrize("cut", [1, 17, 40])
def test_a_position_restores_exactly_and_processes_share_one_order(
    table: DataTable, tokenizer: Tokenizer, cut: int
) -> None:
    found = Corpus(table).shards(tokenizer)
    batches = order(found)
    before = contents(batches.next_batches(cut))
    state = batches.state()
    following = contents(batches.next_batches(50))
    again = order(Shards.open(found.folder))
    again.restore(state)
    assert contents(again.next_batches(50)) == following
    parts = [contents(order(found, rank=rank, world=3).next_batches(cut + 50)) for rank in range(3)]
    assert sorted(sum(parts, []), key=lambda one: one[0]) == before + following


def test_places_and_texts_come_back(table: DataTable, tokenizer: Tokenizer) -> None:
    found = Corpus(table).shards(tokenizer)
    examples = load_split(
        DataTable(train=table.train, validation=table.validation, test=table.test),
        "train",
        needs=("text",),
    )
    assert [one.place for one in found] == [one.place for one in examples]
    assert [tokenizer.decode(found.ids(index).tolist()) for index in range(len(found))] == [
        one.text for one in examples
    ]


def test_shards_serve_again_until_something_changes(
    table: DataTable, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    first = Corpus(table).shards(tokenizer)
    notices: list[str] = []
    again = Corpus(table, notices.append).shards(tokenizer, writes=False)
    assert again.folder == first.folder and "Token shards" in notices[0]
    assert Corpus(table).find(Tokenizer.train(["other"], "characters", 400)) is None
    with (tmp_path / "texts" / "a.txt").open("a") as file:
        file.write("\n\nmore\n")
    grown = Corpus(table)
    assert grown.find(tokenizer) is None
    assert grown.shards(tokenizer).digest != first.digest


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("cut", "is truncated: it has"),
        ("flip", "is damaged"),
        ("lose", "is missing"),
        ("index", "not a whole index"),
    ],
)
def test_a_torn_shard_is_named(
    table: DataTable, tokenizer: Tokenizer, harm: str, message: str
) -> None:
    folder = Corpus(table).shards(tokenizer).folder
    path = folder / (INDEX if harm == "index" else "00002.ids.npy")
    raw = path.read_bytes()
    if harm == "lose":
        path.unlink()
    else:
        path.write_bytes(raw[:-10] if harm in ("cut", "index") else raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(DataError, match=message) as error:
        found = Corpus(table).shards(tokenizer)
        epoch(order(found))
    assert path.name in str(error.value) and f"Delete the folder {folder}" in str(error.value)


def test_an_interrupted_writing_leaves_nothing_that_is_taken_for_whole(
    table: DataTable, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = Corpus(table)
    name = corpus.folder(tokenizer).name

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("triptych.data.batches.shards.Writer.finish", stop)
        with pytest.raises(KeyboardInterrupt):
            corpus.shards(tokenizer)
    left = {f"{name}.lock", f"{name}.writing"}  # from which the next writing goes on
    assert corpus.find(tokenizer) is None
    assert set(os.listdir(corpus.folder(tokenizer).parent)) == left
    assert len(corpus.shards(tokenizer))
    assert set(os.listdir(corpus.folder(tokenizer).parent)) == {f"{name}.lock", name}


def test_memory_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    """Check that writing and reading 800 kB in small shards holds a small part of them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module, name, most in (
        (streaming, "SAMPLE_CHARACTERS", 50_000),
        (streaming, "HELD_CHARACTERS", 10_000),
        (cutting, "TOGETHER", 5_000),
    ):
        monkeypatch.setattr(module, name, most)
    line = "the cat sat on the mat and slept " * 4
    (tmp_path / "a.txt").write_text(
        "".join(f"{number} {line}\n" + "\n" * (number % 9 == 0) for number in range(6_000))
    )
    corpus = Corpus(DataTable(train=str(tmp_path / "a.txt"), stream=True, shard_tokens=5_000))
    assert sum(len(one.text or "") for one in corpus.samples["train"].kept) <= 50_000
    tracemalloc.start()
    try:
        found = corpus.shards(tokenizer)
        batches = order(found, buffer=100_000)
        while batches.epoch < 0.1:
            batches.next_batches(1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.tokens > 750_000 and max(found.sizes) <= 6  # of about 1,200 tokens
    assert peak < 700_000, f"{peak:,} bytes at once, for {found.tokens * 2:,} bytes of ids"


def test_a_large_file_as_it_is_written_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    """Check that few pieces of an 800 kB document are held, and its ids are those of one text."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module, name, most in (
        (streaming, "SAMPLE_CHARACTERS", 50_000),
        (cutting, "TOGETHER", 5_000),
        (texts, "WHOLE", 20_000),
    ):
        monkeypatch.setattr(module, name, most)
    content = "".join(
        f"  {number}\tthe cat sat on the mat and slept\n" + "\n" * (number % 9 == 0)
        for number in range(20_000)
    )
    (tmp_path / "a.py").write_text(content)
    held = str(tmp_path / "held.txt")
    (tmp_path / "held.txt").write_text("the cat\n")
    corpus = Corpus(
        DataTable(
            train=str(tmp_path / "a.py"),
            validation=held,
            test=held,
            stream=True,
            shard_tokens=5_000,
            verbatim=True,
        )
    )
    tracemalloc.start()
    try:
        longest = max(len(one.text or "") for _, one in corpus.texts())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert longest <= 20_000 and len(content) > 800_000 and peak < 250_000, (
        f"{peak:,} bytes at once"
    )
    found = corpus.shards(tokenizer)
    ids = [number for index in range(len(found)) for number in found.ids(index).tolist()]
    assert len(found) > 40 and ids == [
        tokenizer.begin_id,
        *tokenizer.encode(content),
        tokenizer.end_id,
    ]


def test_what_is_held_out_says_where_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text(
        "\n".join(f"the cat {number} sat on the mat and slept" for number in range(20_000))
    )
    corpus = Corpus(DataTable(train=str(tmp_path / "a.txt"), stream=True))
    found = corpus.shards(tokenizer).held()
    assert (
        found == corpus.held("validation")
        and found
        and not any(one.begins or one.ends for one in found)
    )


def test_thinned_is_even_and_bounded() -> None:
    sample = ReservoirSample(100)
    for number in range(1000):
        sample.add(Example(text="0123456789", place=str(number)))
    places = [int(one.place) for one in sample.kept]
    assert (
        5 <= len(places) <= 10
        and places == list(range(0, 1000, sample.step))
        and sample.seen == 1000
    )


def test_held_out_by_hash_as_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text("\n\n".join(f"text number {number}" for number in range(800)))
    table = DataTable(train=[str(tmp_path / "a.txt")], stream=True)
    whole = DataTable(train=table.train)
    for part in ("validation", "test"):
        assert [one.text for one in load_split(table, part, needs=("text",))] == [
            one.text for one in load_split(whole, part, needs=("text",))
        ]
    found = Corpus(table).shards(tokenizer)
    assert [tokenizer.decode(found.ids(index).tolist()) for index in range(len(found))] == [
        one.text for one in load_split(whole, "train", needs=("text",))
    ]
    assert [one.text for one in found.held()] == [
        one.text for one in load_split(whole, "validation", needs=("text",))
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\n\xff\n", "a.txt:2: byte 0xFF is not UTF-8"),
        (b"", "nothing to train on"),
        (b"\n\n \n", "nothing to train on"),
        (b"x" * 3000, "the line has over 2,000 bytes"),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokenizer: Tokenizer,
    content: bytes,
    message: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(streaming, "LINE_BYTES", 2000)
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        Corpus(DataTable(train=str(tmp_path / "a.txt"), stream=True)).shards(tokenizer)


def test_a_broken_gzip_and_a_missing_file(tmp_path: Path, tokenizer: Tokenizer) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"some text\n" * 500)[:-20])
    with pytest.raises(DataError, match="not a whole gzip file"):
        list(Corpus(DataTable(train=str(tmp_path / "a.txt.gz"), stream=True)).texts())
    with pytest.raises(DataError, match="There is no file"):
        Corpus(DataTable(train=str(tmp_path / "no.txt"), stream=True)).find(tokenizer)


def test_when_it_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("some text\n" * 100)
    table = DataTable(train=str(path))
    assert resolved(table, True) == table
    monkeypatch.setattr(streaming, "AUTOMATIC_BYTES", 500)
    assert resolved(table, True).stream is True and resolved(table, False) == table
    assert resolved(DataTable(train=str(path), stream=False), True).stream is False
    wrong: list[tuple[dict[str, Any], bool]] = [
        ({"set": "war-and-peace"}, True),
        ({"train": str(path)}, False),
        ({"train": str(path), "examples": 3}, True),
    ]
    for values, can in wrong:
        with pytest.raises(UsageError, match="data"):
            resolved(DataTable(stream=True, **values), can)


def test_several_processes_write_the_shards_of_one(
    table: DataTable, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cutting, "TOGETHER", 300)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    parted = replace(table, validation=None, test=None, held_out=0.2)  # some are held out
    two = Corpus(parted).shards(tokenizer, crew=cutting.Crew(2))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    one = Corpus(parted).shards(tokenizer)
    assert one.folder != two.folder and one.digest == two.digest and len(one.sizes) > 2
    assert (one.folder / INDEX).read_bytes() == (two.folder / INDEX).read_bytes()


@pytest.mark.parametrize("damaged", [None, "cut", "changed"])
def test_cutting_goes_on_after_the_last_whole_shard(
    table: DataTable, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    damaged: str | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(cutting, "TOGETHER", 300)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "whole"))
    whole, cut, seen = Corpus(table).shards(tokenizer), cutting.Cutter.cut, list[int]()

    def interrupted(cutter: cutting.Cutter, texts: Any) -> Any:
        seen.append(len(texts))
        if len(seen) == 5:
            raise KeyboardInterrupt
        return cut(cutter, texts)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "killed"))
    monkeypatch.setattr(cutting.Cutter, "cut", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Corpus(table).shards(tokenizer)
    (aside,) = (tmp_path / "killed").rglob("*.writing")
    before = {path.name: path.stat().st_mtime_ns for path in aside.glob("*.ids.npy")}
    assert before
    ids = aside / "00000.ids.npy"
    ids.with_name("00009.ids.npy.1.part").write_bytes(b"of a killed process")
    if damaged:
        ids.write_bytes(b"short" if damaged == "cut" else ids.read_bytes()[:-1] + b"!")
    said = list[str]()
    found = Corpus(table, said.append).shards(tokenizer)
    again = sum(seen[5:])
    assert found.digest == whole.digest and found.longest == whole.longest
    assert not (found.folder / cutting.PROGRESS).exists()
    assert not list(found.folder.glob("*.part"))
    if damaged:
        assert again == len(whole)
        return
    assert again < len(whole) and any("goes on after" in one for one in said)
    first = found.folder / "00000.ids.npy"
    assert first.stat().st_mtime_ns == before[first.name], "a whole shard was written again"


def test_workers_end_with_a_killed_first_process(table: DataTable, tokenizer: Tokenizer) -> None:
    """Its queue stays open in the workers themselves, so they would wait for texts for ever."""
    code = (
        "import os, signal, sys\n"
        "from triptych.data.batches.cutting import Crew, Cutter, in_order\n"
        "from triptych.data.example import Example\n"
        "from triptych.data.tokenizers.loading import from_json\n"
        "if __name__ == '__main__':\n"
        "    texts = ((0, Example(text='the cat' * 200_000, place='a:1')) for _ in range(9))\n"
        "    for _ in in_order(texts, Cutter(from_json(sys.argv[1]), {}, []), Crew(2)):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, tokenizer.to_json()]
    # The workers hold the other end of this pipe until they end.
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_any_number_of_processes_goes_on_in_the_order(
    table: DataTable, tokenizer: Tokenizer
) -> None:
    """Each process maps one shard at a time and takes its own micro-batches of one order."""
    found = Corpus(table).shards(tokenizer)
    whole = order(found).next_batches(30)
    for before, after in ((1, 3), (2, 1), (3, 2)):
        ranks = [order(found, rank=rank, world=before) for rank in range(before)]
        own = [batch for one in ranks for batch in one.next_batches(12)]
        state = ranks[0].state()
        for rank in range(after):
            one = order(Shards.open(found.folder), rank=rank, world=after)
            one.restore(state)
            own += one.next_batches(18)
        for (number, one), (other, two) in zip(sorted(own, key=lambda b: b[0]), whole, strict=True):
            assert number == other and [piece.index for piece in one] == [p.index for p in two]
