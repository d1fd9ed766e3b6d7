"""Test inspect and complete for a decoder-only run, and the beam tree of a translator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import toy_llama

Call = Callable[..., SimpleNamespace]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from triptych.convert import import_folder

    folder = tmp_path_factory.mktemp("writer")
    import_folder(toy_llama.write(folder / "toy"), folder / "run")
    return folder / "run"


def test_import_and_complete(triptych: Call, tmp_path: Path) -> None:
    done = triptych("import", toy_llama.write(tmp_path / "toy"), tmp_path / "run")
    assert done.code == 0 and "20 tensors of" in done.err and "freq_cis_real" in done.err
    assert triptych("complete", tmp_path / "run", "", "--decoding.max_length", "3").code == 0
    assert triptych("import", tmp_path / "toy", tmp_path / "other", "--task", "embedding").code == 2
    content = (tmp_path / "toy" / "toy.bin").read_bytes()
    (tmp_path / "toy" / "toy.bin").write_bytes(content[:200])
    broken = triptych("import", tmp_path / "toy", tmp_path / "other")
    assert broken.code == 1 and "is cut off within token_embedding_table" in broken.err


def test_a_table_and_a_page(triptych: Call, writer: Path, tmp_path: Path) -> None:
    told = triptych(
        "inspect", writer, "the cat", "--decoding.max_length", "3", "--decoding.beams", "2"
    )
    assert (
        told.code == 0
        and "expected there" in told.out
        and "bits per byte, perplexity" in told.err
        and "beam tree" in told.err
    )
    done = triptych(
        "inspect",
        writer,
        "the cat",
        "--decoding.max_length",
        "3",
        "--decoding.beams",
        "2",
        "--html",
        tmp_path / "a.html",
        "--language",
        "zh-Hant",
    )
    page = (tmp_path / "a.html").read_text("utf-8")
    assert (
        done.code == 0 and 'class="tree"' in page and "束搜尋：2 條" in page and '"causal"' in page
    )
    forced = triptych(
        "inspect", writer, "the cat", "--target", " and", "--html", tmp_path / "b.html"
    )
    assert (
        forced.code == 0
        and forced.out == " and\n"
        and 'class="tree"' not in (tmp_path / "b.html").read_text("utf-8")
    )
    long = triptych(
        "inspect",
        writer,
        "the cat and " * 9,
        "--decoding.max_length",
        "3",
        "--html",
        tmp_path / "c.html",
    )
    assert (
        long.code == 0 and triptych("inspect", writer, "", "--decoding.max_length", "3").code == 0
    )
    assert triptych("inspect", writer, "", "--target", "").code == 2
    other = triptych("inspect", writer, "the cat", "--kinds", "encoder")
    assert other.code == 2 and "only its decoder's attention" in other.err
    assert (
        triptych(
            "inspect", writer, "the cat", "--decoding.max_length", "3", "--kinds", "decoder"
        ).code
        == 0
    )


def test_a_translation_has_its_tree(triptych: Call, trained: Path, tmp_path: Path) -> None:
    done = triptych(
        "inspect", trained, "one red dogs", "--decoding.beams", "3", "--html", tmp_path / "a.html"
    )
    assert done.code == 0 and 'class="tree"' in (tmp_path / "a.html").read_text("utf-8")
    done = triptych(
        "inspect", trained, "one red dogs", "--decoding.beams", "1", "--html", tmp_path / "b.html"
    )
    assert done.code == 0 and 'class="tree"' not in (tmp_path / "b.html").read_text("utf-8")
