"""Public sets: their splits do not leak, their files are checked, and being offline gives one clear line."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from triptych.data import catalog
from triptych.data.chinese import HANS, HANT, script_of, to_script
from triptych.data.example import Example
from triptych.data.split import by_source, sentence_key
from triptych.errors import DataError, UsageError

DATA = Path(os.environ.get("TRIPTYCH_DATA", "missing"))
needs_data = pytest.mark.skipif(not (DATA / "multi30k").is_dir(), reason="TRIPTYCH_DATA names no folder with the public sets")


@needs_data
def test_multi30k_has_its_published_sizes_and_digests() -> None:
    for split, size in (("train", 29_000), ("validation", 1_014), ("test", 1_000)):
        assert len(catalog.load("multi30k", split, target=["de", "fr"])) == 2 * size
    assert len(catalog.fetch("multi30k")) == 12


@needs_data
def test_tatoeba_splits_share_no_sentence_and_mix_no_script() -> None:
    pytest.importorskip("opencc")
    parts = {split: catalog.load("tatoeba-en-zh", split) for split in catalog.SPLITS}
    keys = {
        split: [{sentence_key(getattr(one, side) or "") for one in part} for side in ("source", "target")] for split, part in parts.items()
    }
    for side in (0, 1):
        assert not keys["test"][side] & keys["train"][side]
        assert not keys["validation"][side] & keys["train"][side]
        assert not keys["test"][side] & keys["validation"][side]
    assert 600 < len(parts["test"]) < 900 and len(parts["train"]) > 26_000
    assert all(to_script(one.target or "", HANS) == one.target for one in parts["test"])


def test_scripts_are_told_apart() -> None:
    pytest.importorskip("opencc")
    assert [script_of(text) for text in ("我喜歡貓。", "我喜欢猫。", "你好。", "歡欢")] == [HANT, HANS, None, None]
    assert to_script("我喜歡貓。", HANS) == "我喜欢猫。"


def test_one_source_goes_to_one_part_and_test_targets_are_nowhere_else() -> None:
    examples = [Example(f"Sentence {n}.", f"Satz {n % 150}.", place=f"a:{n}") for n in range(400)]
    examples += [Example(f"sentence  {n}", f"Anders {n}.", place=f"b:{n}") for n in range(400)]
    parts = by_source(examples)
    sources = {name: {sentence_key(one.source or "") for one in part} for name, part in parts.items()}
    assert not sources["train"] & sources["test"] and not sources["train"] & sources["validation"]
    held = {sentence_key(one.target or "") for name in ("test", "validation") for one in parts[name]}
    assert not held & {sentence_key(one.target or "") for one in parts["train"]}


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="Did you mean 'multi30k'"):
        catalog.load("multi30", "train")
    with pytest.raises(UsageError, match="Allowed: test, train, validation"):
        catalog.load("multi30k", "dev")
    with pytest.raises(UsageError, match="Unknown language 'es'"):
        catalog.load("multi30k", "test", target="es")


def test_offline_and_absent_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(DataError, match=r"multi30k/.* is not at hand and could not be fetched .*no network"):
        catalog.load("multi30k", "test", target="de")


def test_a_wrong_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tatoeba-en-de").mkdir()
    (tmp_path / "tatoeba-en-de" / "deu.txt").write_text("Hi.\tHallo.\n", encoding="utf-8")
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"deu\.txt is not the expected file: its SHA-256"):
        catalog.fetch("tatoeba-en-de")
