"""Test that texts have the ids that the libraries transformers and SentencePiece give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece_toys as spm
import tokenizers
from odd_texts import ODD, lines
from published_folders import byte_level, library, word_piece

from triptych.data.tokenizers.imported import ImportedTokenizer
from triptych.interchange import sentencepiece_file, sentencepiece_tokenizers, tokenizer_sources

LINES = 2000
# what the library tokenizers normalises otherwise than SentencePiece: letters with several marks,
# and half-width kana with one (it looks at a whole character first, only if that has < 6 bytes)
APART = ("e\u0301 ", "ﬁ ½ ")
TYPED = ODD[-1]  # special tokens as a text; the letters of one are read apart


def held(text: str) -> ImportedTokenizer:
    values = json.loads(text)
    some = values["added_tokens"][0]["content"]
    return ImportedTokenizer(values, some, some, None)


@pytest.mark.parametrize("kind", spm.KINDS)
def test_texts_have_the_ids_of_sentencepiece(kind: str) -> None:
    data = spm.model(kind)
    file, theirs = sentencepiece_file.parse(data), spm.reader(data)
    layout = sentencepiece_tokenizers.as_numbered(file)
    ours = held(json.dumps(sentencepiece_tokenizers.tokenizer_json(file, layout)))
    for text in ODD:
        if text == TYPED or (file.charsmap and text.startswith(APART)):
            continue
        assert ours.encode(text) == theirs.encode(text), text
    assert not set(ours.encode("<s> </s> <pad>")) & {theirs.bos_id(), theirs.eos_id()}
    for text in spm.WORDS:
        ids = theirs.encode(text)
        if theirs.unk_id() not in ids:
            assert ours.decode([ours.begin_id, *ids]) == theirs.decode(ids)


@pytest.mark.parametrize("kind", ["unigram", "bpe of bytes"])
def test_lines_of_real_text_have_the_ids_of_sentencepiece(kind: str) -> None:
    texts = lines(LINES)
    data = spm.model(kind)
    file, theirs = sentencepiece_file.parse(data), spm.reader(data)
    layout = sentencepiece_tokenizers.as_numbered(file)
    ours = held(json.dumps(sentencepiece_tokenizers.tokenizer_json(file, layout)))
    assert ours.encode_batch(texts) == theirs.encode(texts)


# Folders ------------------------------------------------------------------------------------------

Writer = Callable[[Path], dict[str, Any]]


def of_words(path: Path, **settings: Any) -> dict[str, Any]:
    vocabulary = word_piece().get_vocab()
    path.joinpath("vocab.txt").write_text(
        "".join(f"{one}\n" for one in sorted(vocabulary, key=vocabulary.__getitem__))
    )
    return settings


def of_bytes(path: Path, **settings: Any) -> dict[str, Any]:
    made = byte_level()
    if settings.pop("gpt2", False):
        made = byte_level(("<|endoftext|>",))
    made.model.save(str(path))
    if made.get_vocab_size() > made.get_vocab_size(False):
        spare = {one: n for one, n in made.get_vocab().items() if one.startswith("spare")}
        path.joinpath("added_tokens.json").write_text(json.dumps(spare))
    return settings


def of_pieces(path: Path, name: str, *more: tuple[str, Any], kind: str = "unigram",
              **settings: Any) -> dict[str, Any]:  # fmt: skip
    path.joinpath(name).write_bytes(spm.model(kind, *more))
    return settings


T5 = tuple(spm.OF_T5.items())
ALBERT = (("control_symbols", ("[CLS]", "[SEP]", "[MASK]")), ("pad_id", 0), ("unk_id", 1),
          ("bos_id", -1), ("eos_id", -1))  # fmt: skip
LLAMA = {"add_bos_token": True, "legacy": True}
BARE = "sentencepiece.bpe.model"
FOLDERS: dict[str, tuple[str, str, Callable[[Path], dict[str, Any]]]] = {
    # our model_type, their class, what writes its files
    "bert": ("bert", "BertTokenizer", of_words),
    "bert, cased": ("bert", "BertTokenizer", lambda p: of_words(p, do_lower_case=False)),
    "bert, accents": (
        "bert",
        "BertTokenizer",
        lambda p: of_words(p, strip_accents=False, tokenize_chinese_chars=False),
    ),
    "roberta": ("roberta", "RobertaTokenizer", of_bytes),
    "bart": ("bart", "BartTokenizer", of_bytes),
    "gpt2": ("gpt2", "GPT2Tokenizer", lambda p: of_bytes(p, gpt2=True)),
    "t5": ("t5", "T5Tokenizer", lambda p: of_pieces(p, "spiece.model", *T5)),
    "t5, 5 sentinels": (
        "t5",
        "T5Tokenizer",
        lambda p: of_pieces(p, "spiece.model", *T5, extra_ids=5),
    ),
    "albert": ("albert", "AlbertTokenizer", lambda p: of_pieces(p, "spiece.model", *ALBERT)),
    "albert, accents": (
        "albert",
        "AlbertTokenizer",
        lambda p: of_pieces(p, "spiece.model", *ALBERT, keep_accents=True, do_lower_case=False),
    ),
    "xlm-roberta": ("xlm-roberta", "XLMRobertaTokenizer", lambda p: of_pieces(p, BARE)),
    "camembert": ("camembert", "CamembertTokenizer", lambda p: of_pieces(p, BARE)),
    "mbart": ("mbart", "MBartTokenizer", lambda p: of_pieces(p, BARE, src_lang="de_DE")),
    "mbart-50": ("mbart", "MBart50Tokenizer", lambda p: of_pieces(p, BARE, src_lang="de_DE")),
    "nllb": (
        "m2m_100",
        "NllbTokenizer",
        lambda p: of_pieces(
            p,
            BARE,
            kind="bpe",
            src_lang="deu_Latn",
            additional_special_tokens=["deu_Latn", "eng_Latn"],
        ),
    ),
    "llama": (
        "llama",
        "LlamaTokenizer",
        lambda p: of_pieces(p, "tokenizer.model", kind="bpe of bytes", **LLAMA),
    ),
}
# Where the library transformers (5) leaves SentencePiece, which made the models: mBART without its
# normalisation, spaces at the ends of mBART-50, NLLB and Llama, the numbers of NLLB's languages.
AS_SENTENCEPIECE = ("mbart", "mbart-50", "nllb", "llama")


def folder_of(path: Path, name: str) -> tuple[Any, tokenizers.Tokenizer]:
    """Write a folder; return their tokenizer of it, and that of the file that is written here."""
    kind, their_class, write = FOLDERS[name]
    settings = {"tokenizer_class": their_class, **write(path)}
    path.joinpath("tokenizer_config.json").write_text(json.dumps(settings))
    source = tokenizer_sources.read_source(path, {"model_type": kind}, settings)
    there = getattr(library(), their_class).from_pretrained(path)
    return there, tokenizers.Tokenizer.from_str(source.text)


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_without_tokenizer_json(tmp_path: Path, name: str) -> None:
    there, ours = folder_of(tmp_path, name)
    assert len(there) == ours.get_vocab_size()
    if name not in AS_SENTENCEPIECE:
        for text in ODD[:-1]:
            assert ours.encode(text).ids == there(text)["input_ids"], text
        assert ours.encode("a cat", "the mat").ids == there("a cat", "the mat")["input_ids"]
        return
    file = next(path for path in tmp_path.iterdir() if path.suffix == ".model")
    pieces = spm.reader(file.read_bytes())
    for text in spm.WORDS if name != "nllb" else ():
        assert ours.encode(text).ids == there(text)["input_ids"], text
    for text in ODD[:-1]:
        ids = ours.encode(text, add_special_tokens=False).ids
        apart = name != "llama" and text.startswith(APART)
        wanted = [ours.token_to_id(pieces.id_to_piece(one)) for one in pieces.encode(text)]
        assert apart or ids == wanted, text


@pytest.mark.parametrize("name", ["bert", "roberta", "xlm-roberta", "t5"])
def test_lines_of_real_text(tmp_path: Path, name: str) -> None:
    texts = lines(LINES)
    there, ours = folder_of(tmp_path, name)
    theirs = there(texts)["input_ids"]
    assert [one.ids for one in ours.encode_batch(texts)] == theirs


def test_a_tokenizer_json_wins_over_pieces_that_disagree(tmp_path: Path) -> None:
    of_pieces(tmp_path, "spiece.model", *T5)
    text = tokenizer_sources.read_source(tmp_path, {"model_type": "t5"}, {}).text
    tmp_path.joinpath("tokenizer.json").write_text(text)
    assert not tokenizer_sources.read_source(tmp_path, {"model_type": "t5"}, {}).notes
    values = json.loads(text)
    values["model"]["vocab"][5:7] = values["model"]["vocab"][6:4:-1]
    tmp_path.joinpath("tokenizer.json").write_text(json.dumps(values))
    found = tokenizer_sources.read_source(tmp_path, {"model_type": "t5"}, {})
    assert found.notes == [
        "tokenizer.json is read, not spiece.model (they number tokens otherwise)."
    ]
    assert json.loads(found.text) == values
    tmp_path.joinpath("spiece.model").write_bytes(b"x" * 9)
    (note,) = tokenizer_sources.read_source(tmp_path, {"model_type": "t5"}, {}).notes
    assert "not spiece.model (" in note and "whole SentencePiece file" in note


def test_no_text_spells_a_special_token(tmp_path: Path) -> None:
    of_pieces(tmp_path, "spiece.model", *T5)
    ours = held(tokenizer_sources.read_source(tmp_path, {"model_type": "t5"}, {}).text)
    assert not {0, 1} & set(ours.encode("a </s> b <pad>"))
    sentinel = ours.encode("a <extra_id_0> b")
    assert any(ours.pieces([one]) == ["<extra_id_0>"] for one in sentinel)
