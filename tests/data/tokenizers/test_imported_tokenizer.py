"""Test imported tokenizers: the same ids, offsets in the user's text, and ignored settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toy_folder import WORDS, word_piece
from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.data.tokenizers.sides import Tokenizers
from triptych.data.tokenizers.subwords import Tokenizer
from triptych.errors import DataError, RunError

TEXT = "The  Unhappy CAFÉ, 貓坐! xyz cats"


@pytest.fixture(scope="module")
def imported() -> ImportedTokenizer:
    return ImportedTokenizer.take(word_piece().to_str(), "tokenizer.json")


def test_ids_and_places_in_the_text_as_it_was_given(imported: ImportedTokenizer) -> None:
    ids, offsets = imported.encode_with_offsets(TEXT)
    assert ids == imported.encode(TEXT) == imported.encode_batch(["", TEXT])[1]
    assert imported.pieces(ids) == [
        "the",
        "un",
        "##happ",
        "##y",
        "cafe",
        ",",
        "貓",
        "坐",
        "!",
        "[UNK]",
        "cats",
    ]
    shown = [TEXT[start:end] for start, end in offsets]
    assert shown == ["The", "Un", "happ", "y", "CAFÉ", ",", "貓", "坐", "!", "xyz", "cats"]
    assert imported.words(TEXT) == ["The", "Unhappy", "CAFÉ", ",", "貓", "坐", "!", "xyz", "cats"]


def test_its_truncation_and_padding_are_off_and_its_specials_are_text(
    imported: ImportedTokenizer,
) -> None:
    assert (imported.begin_id, imported.end_id, imported.mask_id) == (2, 3, 4)
    assert len(imported.encode("the cat sat " * 50)) == 150
    assert imported.encode("") == []
    assert imported.pieces(imported.encode("the [SEP] cat")) == ["the", "[", "sep", "]", "cat"]
    assert imported.decode([2, *imported.encode("the unhappy cat"), 3]) == "the unhappy cat"


def test_a_word_alone_is_the_word_in_its_sentence(imported: ImportedTokenizer) -> None:
    assert not imported.keeps_spaces and Tokenizer.keeps_spaces
    assert imported.encode("the unhappy cat") == [
        number for word in ("the", "unhappy", "cat") for number in imported.encode(word)
    ]


def test_a_word_of_ten_thousand_characters_is_one_unknown(imported: ImportedTokenizer) -> None:
    ids, offsets = imported.encode_with_offsets("the " + "x" * 10_000 + " cat")
    assert imported.pieces(ids) == ["the", "[UNK]", "cat"] and offsets[1] == (4, 10_004)
    with pytest.raises(DataError, match="half a character"):
        imported.encode_with_offsets("the \ud800 cat")


@pytest.mark.parametrize("rows", [None, 64])
def test_saved_and_found_again(tmp_path: Path, rows: int | None) -> None:
    one = ImportedTokenizer.take(word_piece().to_str(), "tokenizer.json", rows)
    Tokenizers(one, one).save(tmp_path)
    found = Tokenizers.load(tmp_path).source
    assert (
        isinstance(found, ImportedTokenizer)
        and found.fingerprint == one.fingerprint
        and found.vocabulary_size == (rows or len(WORDS))
    )
    assert found.encode(TEXT) == one.encode(TEXT) and found.to_huggingface() == json.loads(
        word_piece().to_str()
    )
    assert (found.begin_id, found.end_id, found.mask_id, found.tags, found.kind) == (
        2,
        3,
        4,
        {},
        "imported",
    )


def test_what_is_no_tokenizer_of_an_encoder_is_refused() -> None:
    with pytest.raises(RunError, match=r"a.json is not a tokenizer.json"):
        ImportedTokenizer.take("{", "a.json")
    bare = json.loads(word_piece().to_str()) | {"post_processor": None}
    with pytest.raises(RunError, match="puts 0 special tokens around a text"):
        ImportedTokenizer.take(json.dumps(bare), "a.json")
    with pytest.raises(RunError, match="21 tokens but the model's embedding has 20 rows"):
        ImportedTokenizer.take(word_piece().to_str(), "a.json", 20)


def test_our_own_as_a_file_of_the_library() -> None:
    import tokenizers

    own = Tokenizer.train(["the cat sat on the mat"] * 3, "bpe", 300, mask=True)
    there = tokenizers.Tokenizer.from_str(json.dumps(own.to_huggingface()))
    text = "the cat, 貓 sat"
    assert there.encode(text).ids == [own.begin_id, *own.encode(text), own.end_id]
    pair = there.encode("the", "cat")
    assert pair.ids == [
        own.begin_id,
        *own.encode("the"),
        own.end_id,
        *own.encode("cat"),
        own.end_id,
    ]
    assert pair.type_ids == [0] * (len(own.encode("the")) + 2) + [1] * (len(own.encode("cat")) + 1)
