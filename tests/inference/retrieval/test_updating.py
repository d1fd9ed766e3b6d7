"""Test indexes on the disk: brought up to date, written whole or not at all, refused if damaged."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_readers import embedder

from triptych.errors import DataError, RunError, UsageError
from triptych.inference.retrieval import embedding, sources, store, updating
from triptych.inference.retrieval.index import Index
from triptych.inference.retrieval.sources import Source
from triptych.inference.retrieval.updating import update

FILES = st.dictionaries(
    st.sampled_from(["a.txt", "b.md", "c.txt", "d.md"]),
    st.text(alphabet="ab 文\n。", min_size=1, max_size=60).filter(lambda text: text.strip()),
    min_size=1,
    max_size=4,
)


def write(folder: Path, files: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def arrays(path: Path) -> dict[str, Any]:
    held = store.read(path)
    found = {name: getattr(held, name) for name in ("passages", "digests", "texts", "vectors")}
    found |= {name: getattr(held.postings, name) for name in store.ARRAYS[2:]}
    return {**found, "files": [one.name for one in held.files]}


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5, deadline=None
)
@given(FILES, FILES)
def test_an_index_brought_up_to_date_equals_a_new_one(
    tmp_path: Path, before: dict[str, str], after: dict[str, str]
) -> None:
    folder, run = tmp_path / "notes", ("run", embedder())
    for name in ("old", "new"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    write(folder, before)
    update(Source(folder, longest=12), tmp_path / "old", run)
    write(folder, after)
    changes = update(Source(folder, longest=12), tmp_path / "old", run)
    update(Source(folder, longest=12), tmp_path / "new", run)
    one, other = arrays(tmp_path / "old"), arrays(tmp_path / "new")
    for name in one:
        assert np.array_equal(one[name], other[name]), name
    same = {name for name in after if before.get(name) == after[name]}
    assert changes.unchanged == len(same) and changes.removed == len(set(before) - set(after))


def aged(folder: Path) -> None:
    """Set the time of all files back, so that it tells whether they changed."""
    for one in folder.iterdir():
        os.utime(one, ns=(1, 1_000_000_000))


def test_only_what_changed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out, run = tmp_path / "notes", tmp_path / "index", embedder()
    write(folder, {"a.txt": "Ada met Babbage.", "b.txt": "Turing slept."})
    aged(folder)
    first = update(Source(folder), out, ("run", run))
    assert (first.added, first.passages, first.counted, first.embedded) == (2, 2, 2, 2)
    read: list[Any] = []
    monkeypatch.setattr(sources, "_sha256", lambda path: read.append(path))
    (folder / "a.txt").unlink()
    run.asked.clear()
    again = update(Source(folder), out, ("run", run))
    assert not read and (again.unchanged, again.removed, again.counted) == (1, 1, 0)
    assert again.embedded == 0 and run.asked == [embedding.PROBE] * 2
    assert store.texts_of(store.read(out), [0]) == ["Turing slept."]


def test_a_file_written_just_before_is_read_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "Ada met Babbage."})
    about = (folder / "a.txt").stat()
    update(Source(folder), out)
    (folder / "a.txt").write_text("Ada met Turing..")  # as long, and within the clock's tick
    os.utime(folder / "a.txt", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert update(Source(folder), out).changed == 1
    assert "Turing" in store.text_of(store.read(out), 0)


def test_other_settings_read_everything_again(tmp_path: Path) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "One here.\n\nTwo there."})
    assert update(Source(folder), out).passages == 1
    changes = update(Source(folder, longest=12), out)
    assert (changes.changed, changes.unchanged, changes.passages) == (1, 0, 2)


@pytest.mark.parametrize("is_new", [True, False])
def test_what_is_stopped_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "Ada met Babbage."})
    if not is_new:
        update(Source(folder), out)
        write(folder, {"a.txt": "Turing slept."})
    before = sorted(out.rglob("*"))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("write_file", "_write_data"):
        with monkeypatch.context() as within:
            within.setattr(store, name, stop)
            with pytest.raises(KeyboardInterrupt):
                update(Source(folder), out)
        assert sorted(out.rglob("*")) == before and out.exists() is not is_new
    # What a killed process leaves is removed by the next.
    out.mkdir(exist_ok=True)
    (out / ".data-9.writing").mkdir()
    (out / "data-7").mkdir()
    update(Source(folder), out)
    assert sorted(one.name for one in out.iterdir()) == ["data-8", "index.json"]


def test_a_reader_keeps_the_index_that_it_opened(tmp_path: Path) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "Ada met Babbage."})
    update(Source(folder), out)
    index = Index.open(out)
    write(folder, {"a.txt": "Turing slept for Ada."})
    update(Source(folder), out)
    assert index.search("Ada")[0].text == "Ada met Babbage."
    assert Index.open(out).search("Ada")[0].text == "Turing slept for Ada."


def test_an_index_replaced_while_it_is_opened_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "Ada met Babbage."})
    update(Source(folder), out)
    read = store._read_header

    def late(path: Path) -> store.Header:
        monkeypatch.setattr(store, "_read_header", read)
        header = read(path)
        write(folder, {"a.txt": "Turing slept."})
        update(Source(folder), out)
        return header

    monkeypatch.setattr(store, "_read_header", late)
    assert store.text_of(store.read(out), 0) == "Turing slept."


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "Ada met Babbage."})
    with store.locked(out), pytest.raises(UsageError, match="is being written now, by process"):
        update(Source(folder), out)
    assert not out.exists()


def test_an_index_that_was_moved_answers_without_its_source(tmp_path: Path) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "Ada met Babbage."})
    update(Source(folder), out)
    out.rename(tmp_path / "elsewhere")
    shutil.rmtree(folder)
    assert Index.open(tmp_path / "elsewhere").search("Babbage")[0].file == "a.txt"


def test_a_folder_with_other_files_is_not_written(tmp_path: Path) -> None:
    write(tmp_path / "notes", {"a.txt": "Ada met Babbage."})
    with pytest.raises(UsageError, match="holds files and is not an index"):
        update(Source(tmp_path / "notes"), tmp_path / "notes")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        update(Source(tmp_path / "notes"), tmp_path / "file")
    # An index within its own source is not read.
    update(Source(tmp_path / "notes"), tmp_path / "notes" / "index")
    told: list[str] = []
    update(Source(tmp_path / "notes"), tmp_path / "notes" / "index", report=told.append)
    assert told == []


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder, out, told = tmp_path / "notes", tmp_path / "index", list[str]()
    write(folder, {"a.txt": "Ada met Babbage.", "b.txt": "Turing slept.", "empty.txt": ""})
    update(Source(folder), out)
    (folder / "b.txt").write_bytes(b"one\n\xff\n")
    (folder / "c.pdf").write_text("x")
    changes = update(Source(folder), out, report=told.append)
    assert (changes.skipped, changes.removed, changes.unchanged) == (1, 1, 2)
    assert told[0].endswith("plain or .gz: c.pdf.")
    assert "b.txt:2: byte 0xFF" in told[1] and told[1].endswith("The file is skipped.")
    write(folder, {"empty.txt": " \n"})
    with pytest.raises(DataError, match="holds no text to index"):
        update(Source(folder), out)
    assert len(Index.open(out)) == 1  # as it was
    with pytest.raises(UsageError, match="There is no .* to index"):
        update(Source(tmp_path / "none"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.name != "posix", reason="names of files are bytes on POSIX alone")
def test_a_name_that_is_not_utf8_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.txt")).write_text("Ada met Babbage.")
    update(Source(folder), tmp_path / "index")
    assert os.fsencode(Index.open(tmp_path / "index").search("Ada")[0].file) == b"\xff.txt"


# Damage -------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Path:
    write(tmp_path / "notes", {"a.txt": "Ada met Babbage.\n\nTuring slept."})
    update(Source(tmp_path / "notes", longest=20), tmp_path / "index", ("run", embedder()))
    return tmp_path / "index"


def changed(path: Path, **values: object) -> None:
    header = json.loads((path / "index.json").read_text())
    (path / "index.json").write_text(json.dumps({**header, **values}))


def test_another_version_is_refused(made: Path) -> None:
    changed(made, version=99)
    with pytest.raises(RunError, match="format 99, and this triptych reads format 1"):
        Index.open(made)
    changed(made, version=1, format="other")
    with pytest.raises(RunError, match="does not describe an index"):
        Index.open(made)
    (made / "index.json").write_text("{")
    with pytest.raises(RunError, match=r"index.json:1 is not valid JSON"):
        Index.open(made)
    with pytest.raises(UsageError, match="is not an index. Make one with: triptych index"):
        Index.open(made / "none")


def test_a_damaged_index_is_refused(made: Path) -> None:
    (data,) = made.glob("data-*")
    for name in [*store.ARRAYS, "vectors"]:
        path = data / f"{name}.npy"
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        with pytest.raises(RunError, match="is cut off or damaged"):
            store.read(made)
        path.write_bytes(whole)
    for name in (store.TEXTS, store.FILES):
        whole = (data / name).read_bytes()
        (data / name).write_bytes(whole[:-3])
        with pytest.raises(RunError, match="is cut off or damaged"):
            store.read(made)
        (data / name).unlink()
        with pytest.raises(RunError, match="is missing"):
            store.read(made)
        (data / name).write_bytes(whole)
    changed(made, passages=5)
    with pytest.raises(RunError, match="5 passages expected"):
        store.read(made)
    header = json.loads((made / "index.json").read_text())
    del header["rows"]
    (made / "index.json").write_text(json.dumps(header))
    with pytest.raises(RunError, match="lacks a key"):
        store.read(made)


# Vectors ------------------------------------------------------------------------------------------


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`run` is a folder in which the embedder of `loading.run` lies."""
    (tmp_path / "run").mkdir()
    held = SimpleNamespace(run=embedder(), paths=[])

    def load(path: str) -> Any:
        held.paths.append(path)
        return held.run

    monkeypatch.setattr("triptych.inference.loading.load", load)
    monkeypatch.setattr(embedding, "as_embedder", lambda run: run)
    return held


def test_the_run_of_the_vectors_is_found_and_compared(
    made: Path, loading: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index.open(made)  # beside the index
    assert loading.paths == [str(made.parent / "run")] and index.embedder is loading.run
    assert Index.open(made, str(made.parent / "run")).embedder is loading.run
    assert Index.open(made, words_only=True).embedder is None
    with pytest.raises(UsageError, match="run none, which is not there. Name the run"):
        Index.open(made, "none")
    loading.run = embedder(shift=3)
    with pytest.raises(RunError, match="has changed since"):
        Index.open(made)
    notes = Source(made.parent / "notes", longest=20)
    with pytest.raises(RunError, match="has changed since"):
        update(notes, made)
    # Given again, it computes all vectors anew.
    assert update(notes, made, ("run", loading.run)).embedded == 2
    assert Index.open(made).embedder is loading.run
    # Without it, the index is kept up to date with the run that it has.
    (made.parent / "notes" / "b.txt").write_text("Hopper wrote.")
    assert update(notes, made).embedded == 1
    assert update(notes, made, words_only=True).embedded == 0
    assert Index.open(made).contents.vectors is None
    with pytest.raises(UsageError, match="holds no vectors. Add them"):
        Index.open(made, "run")


def test_an_unreadable_header_of_vectors_is_refused(made: Path) -> None:
    changed(made, vectors={"run": "x"})
    with pytest.raises(RunError, match="lacks a key"):
        Index.open(made)


def test_old_and_new_passages_with_one_text_are_both_kept(tmp_path: Path) -> None:
    folder, out = tmp_path / "notes", tmp_path / "index"
    write(folder, {"a.txt": "Ada met Babbage."})
    update(Source(folder), out)
    (folder / "b.txt").write_text("Ada met Babbage.")
    (folder / "c.txt").write_text("Ada met Babbage.")
    changes = update(Source(folder), out)
    assert (changes.added, changes.passages) == (2, 3)
    assert [one.file for one in Index.open(out).search("Babbage")] == ["a.txt", "b.txt", "c.txt"]


def test_a_source_is_described_by_all_that_decides_what_is_read() -> None:
    one = Source(Path("x"))
    others = [
        replace(one, columns={"text": "a"}),
        replace(one, encoding="cp1252"),
        replace(one, query="SELECT 1"),
        replace(one, longest=5),
    ]
    assert all(other.reading() != one.reading() for other in others)
    assert updating.RECENT_NS > 0
