"""Nothing is lost between text and ids, a text never becomes a special, and training is the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.tokenizer import BYTES, Tokenizer, Tokenizers
from triptych.errors import RunError, UsageError

CORPUS = ["A man rides a bicycle.", "Two dogs, one cat!", "我喜歡貓。", "你喜歡狗嗎？", "Ein Mann fährt 12 Räder."] * 20
KINDS = ["bpe", "unigram"]


@cache
def trained(kind: str) -> Tokenizer:
    return Tokenizer.train(CORPUS, kind, 420, tags=["zh-Hans", "zh-Hant"])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back(kind: str, text: str) -> None:
    tokenizer = trained(kind)
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert tokenizer.decode(ids) == text
    assert "".join(tokenizer.pieces(ids)).replace("\ufffd", "") == text.replace("\ufffd", "")
    assert all(0 <= start <= end <= len(text) for start, end in offsets)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["<end>", "<0x41>", "<to:zh-Hans> x", "<begin><begin>", "a\u2581b", "e\u0301", "\0\t\r\n \u2028", "👨‍👩‍👧 翻譯"]
)
def test_text_that_looks_like_a_special_stays_text(kind: str, text: str) -> None:
    for tokenizer in (trained(kind), Tokenizer.from_json(trained(kind).to_json())):
        ids = tokenizer.encode(text)
        assert min(ids) > max(tokenizer.tags.values())
        assert tokenizer.decode(ids) == text


def test_specials_are_left_out_of_text() -> None:
    tokenizer = trained("bpe")
    ids = tokenizer.encode("A man")
    assert tokenizer.decode([tokenizer.begin_id, *tokenizer.tags.values(), *ids, tokenizer.end_id]) == "A man"
    assert tokenizer.pieces([0, 1, 2])[:2] == ["<begin>", "<end>"]


def test_bytes_of_one_character_show_once() -> None:
    tokenizer = trained("bpe")
    pieces = tokenizer.pieces(tokenizer.encode("翻"))
    assert pieces == ["翻", "", ""]
    broken = [tokenizer._tokens.index(BYTES[0xE7]), tokenizer._tokens.index(BYTES[0x41])]
    assert tokenizer.pieces(broken) == ["<0xE7>", "A"]


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_the_same_in_every_process(kind: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_tokenizer import CORPUS; from triptych.data.tokenizer import Tokenizer; "
        "print(Tokenizer.train(CORPUS, sys.argv[1], 420, tags=['zh-Hans', 'zh-Hant']).fingerprint)"
    )
    command = [sys.executable, "-c", code, kind, str(Path(__file__).parent)]
    prints = {
        subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout.strip()
        for seed in "12"
    }
    assert prints == {trained(kind).fingerprint}


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_tokenizer_gives_the_same_ids(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(kind)
    Tokenizers(tokenizer, tokenizer).save(tmp_path)
    loaded = Tokenizers.load(tmp_path)
    assert loaded.shared and loaded.source.fingerprint == tokenizer.fingerprint
    assert all(loaded.source.encode(text) == tokenizer.encode(text) for text in CORPUS)
    assert loaded.source.tags == {"zh-Hans": 2, "zh-Hant": 3}
    (tmp_path / "two").mkdir()
    Tokenizers(tokenizer, Tokenizer.from_json(tokenizer.to_json())).save(tmp_path / "two")
    assert not Tokenizers.load(tmp_path / "two").shared


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(RunError, match=r"tokenizer\.json is missing"):
        Tokenizer.load(path)
    path.write_text(trained("bpe").to_json()[:500], encoding="utf-8")
    with pytest.raises(RunError, match=r"tokenizer\.json is not a whole tokenizer"):
        Tokenizer.load(path)


def test_sizes() -> None:
    assert trained("bpe").vocabulary_size <= 420
    assert Tokenizer.train(["a b"], "bpe", 8000).vocabulary_size < 300
    with pytest.raises(UsageError, match="at least"):
        Tokenizer.train(CORPUS, "bpe", 100)
