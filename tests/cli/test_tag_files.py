"""Test that data check, init, train, evaluate and tag agree on every form of words with tags."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from triptych.setup.draft.measured import Measured

Command = Callable[..., SimpleNamespace]
NAMES = ["Eva", "Ray", "Cy", "Dee", "Flo"]
ROWS = [(one, other) for one in NAMES for other in NAMES]  # 25 sentences
DIALS = ["--model.width", "16", "--model.heads", "2", "--model.inner_width", "32"]
DIALS += ["--model.layers", "1", "--tokenizer.vocabulary_size", "300", "--training.steps", "2"]


def _spans(first: str, second: str) -> str:
    both = f"{first} {second}"
    spans = [{"start": 0, "end": len(both), "label": "PER"}]
    return json.dumps({"text": f"{both} hums.", "spans": spans}) + "\n"


def _words(first: str, second: str) -> str:
    record = {"tokens": [first, second, "hums", "."], "ner_tags": ["B-PER", "I-PER", "O", "O"]}
    return json.dumps(record) + "\n"


FILES: dict[str, Callable[[str, str], str]] = {
    "bilou.txt": lambda one, other: f"{one}\tB-PER\n{other}\tL-PER\nhums\tO\n.\tO\n\n",
    "under.tsv": lambda one, other: f"{one}\tB_PER\n{other}\tI_PER\nhums\tO\n.\tO\n\n",
    "piped.txt": lambda one, other: f"{one}|B-PER {other}|I-PER hums|O .|O\n",
    "opennlp.txt": lambda one, other: f"<START:PER> {one} {other} <END> hums .\n",
    "words.jsonl": _words,
    "spans.jsonl": _spans,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `init` measure nothing."""
    measured = Measured(10_000.0, 1.0)
    monkeypatch.setattr("triptych.setup.draft.measured.measured_speed", lambda *_: measured)


@pytest.mark.parametrize("name", FILES)
def test_check_stats_and_init_read_the_same(name: str, triptych: Command, tmp_path: Path) -> None:
    path, out = tmp_path / name, tmp_path / "a.toml"
    path.write_text("".join(FILES[name](*row) for row in ROWS), encoding="utf-8")
    checked = triptych("data", "check", path)
    assert checked.code == 0 and "25 sentences; 0 errors, 0 warnings" in checked.err, checked
    done = triptych("init", "tagging", "--train", path, "--out", out)
    assert done.code == 0 and "25 sentences, 100 words" in done.err, done.err
    # Spans are known as spans: they are decoded as whole ones.
    assert 'scheme = "bioes"' in out.read_text("utf-8")
    assert "25" in triptych("data", "stats", path).out


@pytest.mark.parametrize("name", ["bilou.txt", "spans.jsonl"])
def test_a_run_has_whole_spans(name: str, triptych: Command, tmp_path: Path) -> None:
    path, out = tmp_path / name, tmp_path / "a.toml"
    path.write_text("".join(FILES[name](*row) for row in ROWS), encoding="utf-8")
    assert triptych("init", "tagging", "--train", path, "--out", out, "--minutes", 1).code == 0
    done = triptych("train", out, "--out", tmp_path / "run", *DIALS)
    assert done.code == 0, done.err
    labels = json.loads((tmp_path / "run" / "labels.json").read_text("utf-8"))
    assert labels["names"] == ["O", "B-PER", "E-PER"] and labels["scheme"] == "bioes"
    scores = triptych("evaluate", tmp_path / "run", "--json", "--data", path)
    metrics = json.loads(scores.out.strip().split("\n")[-1])["metrics"]
    assert {"f1", "precision", "recall", "f1_PER"} <= set(metrics)
    found = json.loads(triptych("tag", tmp_path / "run", "--jsonl", "Eva Ray hums.").out)
    assert found["words"] == ["Eva", "Ray", "hums", "."]
    assert {one["label"] for one in found["entities"]} <= {"PER"}


def test_init_takes_iob1_and_counts_the_sentences_kept_out(
    triptych: Command, tmp_path: Path
) -> None:
    """Twenty sentences are enough, also where the hash keeps some of them out of training."""
    sentences = [f"Eva{n} I-PER\nRay I-PER\nmet O\nCy I-PER\nFox B-PER\n\n" for n in range(20)]
    (tmp_path / "a.conll").write_text("".join(sentences), encoding="utf-8")
    out = tmp_path / "a.toml"
    done = triptych("init", "tagging", "--train", tmp_path / "a.conll", "--out", out)
    assert done.code == 0 and out.exists(), done.err
    assert "40 x broken BIO" in done.err
    assert "they are read as conlleval reads them (I- begins one)" in done.err
    (tmp_path / "b.conll").write_text("".join(sentences[:19]), encoding="utf-8")
    few = triptych("init", "tagging", "--train", tmp_path / "b.conll", "--out", tmp_path / "b.toml")
    assert few.code == 1 and "has 19 sentences, too few" in few.err


def test_words_of_raw_text_are_those_of_the_data(triptych: Command, tmp_path: Path) -> None:
    """Chinese with spans keeps Latin words whole in use, as in training."""
    text = "".join(
        json.dumps({"text": f"{one}在台北{n}路", "spans": [[0, len(one), "人"]]}) + "\n"
        for n, one in enumerate(NAMES * 5)
    )
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    rows = "".join(f"我 O\n在 O\n台 B-LOC\n北 I-LOC\n{one} O\n\n" for one in "一二三四五" * 5)
    (tmp_path / "a.conll").write_text(rows, encoding="utf-8")
    for name, expected in (("a.jsonl", False), ("a.conll", True)):
        out = tmp_path / f"{name}.toml"
        assert triptych("init", "tagging", "--train", tmp_path / name, "--out", out).code == 0
        assert ('words = "characters"' in out.read_text("utf-8")) == expected


def test_integer_tags_are_refused_with_the_way_out(triptych: Command, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"tokens": ["Eva"], "ner_tags": [3]}\n', encoding="utf-8")
    done = triptych(
        "init", "tagging", "--train", tmp_path / "a.jsonl", "--out", tmp_path / "a.toml"
    )
    assert done.code == 1 and "a.jsonl:1: 'ner_tags' holds numbers (3)" in done.err
    assert "a.jsonl:1" in triptych("data", "check", tmp_path / "a.jsonl").out
