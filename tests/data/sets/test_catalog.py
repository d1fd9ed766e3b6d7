"""Test public sets: splits without leaks, checked files, and one clear line when offline."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from triptych.data.example import Example
from triptych.data.segmentation.chinese import HANS, HANT, in_script, script_of, to_script
from triptych.data.sets import catalog
from triptych.data.sets.entry import SPLITS, Entry, File
from triptych.data.sets.files import fetch
from triptych.data.split import by_source, sentence_key
from triptych.errors import DataError, UsageError

DATA = Path(os.environ.get("TRIPTYCH_DATA", "missing"))
needs_data = pytest.mark.skipif(
    not (DATA / "multi30k").is_dir(), reason="TRIPTYCH_DATA names no folder with the public sets"
)


@needs_data
def test_multi30k_has_its_published_sizes_and_digests() -> None:
    for split, size in (("train", 29_000), ("validation", 1_014), ("test", 1_000)):
        assert len(catalog.load("multi30k", split, target=["de", "fr"])) == 2 * size
    assert len(fetch(catalog.entry("multi30k"))) == 12


def keys_of(part: list[Example], side: str) -> set[str]:
    return {sentence_key(getattr(one, side) or "") for one in part}


@needs_data
@pytest.mark.parametrize(
    "name", ["tatoeba-en-zh", pytest.param("tatoeba-en-de", marks=pytest.mark.slow)]
)
def test_tatoeba_splits_share_no_sentence(name: str) -> None:
    if name.endswith("zh"):
        pytest.importorskip("opencc")
    parts = {split: catalog.load(name, split) for split in SPLITS}
    for side in ("source", "target"):
        keys = {split: keys_of(part, side) for split, part in parts.items()}
        assert not keys["test"] & keys["train"]
        assert not keys["validation"] & keys["train"]
        assert not keys["test"] & keys["validation"]
    total = sum(map(len, parts.values()))
    for split in ("validation", "test"):
        assert 0.02 < len(parts[split]) / total < 0.03
    assert total > 0.95 * {"tatoeba-en-zh": 29_155, "tatoeba-en-de": 169_813}[name]
    pairs = [(one.source, one.target) for part in parts.values() for one in part]
    assert len(set(pairs)) == len(pairs)


@needs_data
@pytest.mark.parametrize("splits", [("test",), pytest.param(SPLITS, marks=pytest.mark.slow)])
def test_tatoeba_mixes_no_scripts(splits: tuple[str, ...]) -> None:
    pytest.importorskip("opencc")
    simplified, traditional, tagged = (
        [one for split in splits for one in catalog.load("tatoeba-en-zh", split, script=script)]
        for script in (None, HANT, "tagged")
    )
    assert {one.target_language for one in simplified} == {HANS} and {
        one.target_language for one in traditional
    } == {HANT}
    assert all(to_script(one.target or "", HANS) == one.target for one in simplified)
    assert not any(script_of(one.target or "") == HANS for one in traditional)
    assert tagged and all(script_of(one.target or "") == one.target_language for one in tagged)


@needs_data
def test_a_set_goes_in_both_directions() -> None:
    pytest.importorskip("opencc")
    there, back = (
        catalog.load("tatoeba-en-zh", "test"),
        catalog.load("tatoeba-en-zh", "test", source="zh", target="en"),
    )
    assert [(one.source, one.target, one.target_language) for one in there] == [
        (one.target, one.source, one.source_language) for one in back
    ]
    assert {(one.source_language, one.target_language) for one in back} == {(HANS, "en")}
    german = catalog.load("multi30k", "test", source="de")
    assert {(one.source_language, one.target_language) for one in german} == {("de", "en")}


def test_tagging_tells_the_scripts_apart() -> None:
    pytest.importorskip("opencc")
    texts = ["我喜歡貓。", "我喜欢猫。", "你好。", "歡欢"]
    examples = [Example(text, text, "en", "zh", text) for text in texts]
    assert [(one.target, one.target_language) for one in in_script(examples, "tagged")] == [
        (texts[0], HANT),
        (texts[1], HANS),
    ]
    assert [one.target for one in in_script(examples, None)] == [
        "我喜欢猫。",
        "我喜欢猫。",
        "你好。",
        "欢欢",
    ]
    with pytest.raises(UsageError, match="Unknown script 'zh-Hanz'.*zh-Hans"):
        in_script(examples, "zh-Hanz")


def test_scripts_are_told_apart() -> None:
    pytest.importorskip("opencc")
    assert [script_of(text) for text in ("我喜歡貓。", "我喜欢猫。", "你好。", "歡欢")] == [
        HANT,
        HANS,
        None,
        None,
    ]
    assert to_script("我喜歡貓。", HANS) == "我喜欢猫。"


def test_one_source_goes_to_one_part_and_test_targets_are_nowhere_else() -> None:
    examples = [Example(f"Sentence {n}.", f"Satz {n % 150}.", place=f"a:{n}") for n in range(400)]
    examples += [Example(f"sentence  {n}", f"Anders {n}.", place=f"b:{n}") for n in range(400)]
    parts = by_source(examples)
    sources = {
        name: {sentence_key(one.source or "") for one in part} for name, part in parts.items()
    }
    assert not sources["train"] & sources["test"] and not sources["train"] & sources["validation"]
    held = {
        sentence_key(one.target or "") for name in ("test", "validation") for one in parts[name]
    }
    assert not held & {sentence_key(one.target or "") for one in parts["train"]}


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="Did you mean 'multi30k'"):
        catalog.load("multi30", "train")
    with pytest.raises(UsageError, match="Allowed: test, train, validation"):
        catalog.load("multi30k", "dev")
    with pytest.raises(UsageError, match="Unknown language 'es'"):
        catalog.load("multi30k", "test", target="es")
    with pytest.raises(UsageError, match="Source and target are both 'en'"):
        catalog.load("tatoeba-en-de", "test", source="en", target="en")
    with pytest.raises(UsageError, match="has no Chinese"):
        catalog.load("multi30k", "test", script="zh-Hans")
    with pytest.raises(UsageError, match="goes from 'en'"):
        catalog.load("phrasebook", "test", source="zh-Hans", target="en")


def test_offline_and_absent_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(
        DataError, match=r"multi30k/.* is not on this machine and could not be fetched .*no network"
    ):
        catalog.load("multi30k", "test", target="de")


def test_a_wrong_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tatoeba-en-de").mkdir()
    (tmp_path / "tatoeba-en-de" / "deu.txt").write_text("Hi.\tHallo.\n", encoding="utf-8")
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"deu\.txt is not the expected file: its SHA-256"):
        fetch(catalog.entry("tatoeba-en-de"))
    with pytest.raises(DataError, match=r"deu\.txt is not the expected file"):
        catalog.load("tatoeba-en-de", "train")


class Answer(io.BytesIO):
    """Hold what a server sends."""


def serve(monkeypatch: pytest.MonkeyPatch, folder: Path, content: bytes, file: File) -> None:
    monkeypatch.delenv("TRIPTYCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr(urllib.request, "urlopen", lambda address, timeout: Answer(content))
    monkeypatch.setitem(catalog.ENTRIES, "toy", Entry("toy", "", "", ("en",), (file,)))


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", content)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["txt", "txt.gz", "zip"])
def test_a_fetched_file_is_unpacked_checked_and_kept(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"Hi.\tHallo.\n"
    sent = {"txt": content, "txt.gz": gzip.compress(content), "zip": zipped(content)}[kind]
    member = "a.txt" if kind == "zip" else None
    file = File(
        "a.txt", hashlib.sha256(content).hexdigest(), f"https://example.org/a.{kind}", member
    )
    serve(monkeypatch, tmp_path, sent, file)
    (path,) = fetch(catalog.entry("toy"))
    assert path.read_bytes() == content and [one.name for one in path.parent.iterdir()] == ["a.txt"]
    monkeypatch.setattr(urllib.request, "urlopen", None)  # the second time nothing is fetched
    assert fetch(catalog.entry("toy")) == [path]


@pytest.mark.parametrize(
    ("kind", "member"), [("txt.gz", None), ("zip", "a.txt"), ("zip", "other.txt"), ("txt", None)]
)
def test_what_a_wrong_server_sends_is_not_kept(
    kind: str, member: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = zipped(b"x") if member == "other.txt" else b"<html>Please log in.</html>"
    serve(
        monkeypatch,
        tmp_path,
        sent,
        File("a.txt", "0" * 64, f"https://example.org/a.{kind}", member),
    )
    with pytest.raises(DataError, match=r"is not the expected (archive|file)"):
        fetch(catalog.entry("toy"))
    assert not list(tmp_path.rglob("*.*"))


def test_a_full_disk_leaves_nothing_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    serve(
        monkeypatch,
        tmp_path,
        b"x",
        File("a.txt", hashlib.sha256(b"x").hexdigest(), "https://example.org/a.txt"),
    )
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"a\.txt cannot be written: No space left"):
        fetch(catalog.entry("toy"))
    assert not list((tmp_path / "triptych" / "toy").iterdir())
