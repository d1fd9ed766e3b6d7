"""Write the tokenizer of a SentencePiece file as a tokenizer.json: which number each piece has.

T5 numbers pieces as its file does and adds sentinels; XLM-R, mBART and NLLB follow fairseq, whose
dictionary begins with four tokens of its own; Marian and M2M-100 have a vocab.json. A piece that
must not be found in a text has a name that begins with a space, which no normalised text has.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data.tokenizers.scored_pieces import merges
from ..data.tokenizers.tokenizer_file import AddedToken, Step, TokenizerJson
from .sentencepiece_file import Kind, Piece, SentencePieceFile

SPACE = "▁"
FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")


def _codes(text: str) -> list[str]:
    return text.split()


# as fairseq lists them: Liu et al. 2020, Tang et al. 2020, Fan et al. 2021
MBART = _codes(
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT "
    "lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN"
)
MBART_50 = _codes(
    "af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF "
    "pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"
)
M2M = _codes(
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu "
    "ha he hi hr ht hu hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr "
    "ms my ne nl no ns oc or pa pl ps pt ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk "
    "ur uz vi wo xh yi yo zh zu"
)
# what stands around a text: RoBERTa, BERT, Marian
PAIRED = ("<s> $A </s>", "<s> $A </s> </s> $B </s>")
BERT = ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B|1 [SEP]|1")
ENDED = ("$A </s>", "$A $B </s>")
FIRST_UNKNOWN, OFFSET = 2, 103  # of Pegasus: tokens of its pre-training come first


@dataclass(kw_only=True)
class Layout:
    """Hold the pieces of a tokenizer by number, and what stands around a text.

    lower, accents: as ALBERT, texts are put in lower case and lose accents before all else.
    """

    pieces: list[Piece] = field(repr=False)
    unknown: int
    single: str = "$A"
    pair: str = "$A $B"
    lower: bool = False
    strip_accents: bool = False
    plain_quotes: bool = False


def special(text: str) -> Piece:
    return Piece(text, 0.0, Kind.CONTROL)


def as_numbered(held: SentencePieceFile, after: Sequence[str] = ()) -> Layout:
    """Number the pieces as the file does; `after` are further tokens."""
    names = {one.text for one in held.pieces}
    more = [special(one) for one in after if one not in names]
    return Layout(pieces=[*held.pieces, *more], unknown=held.unknown)


def fairseq(held: SentencePieceFile, after: Sequence[str]) -> Layout:
    """Number the pieces as fairseq does: four tokens, the pieces from the fourth on, `after`."""
    first = [special(one) for one in FAIRSEQ]
    rest = [one for one in held.pieces[3:] if one.text not in FAIRSEQ]
    return Layout(pieces=[*first, *rest, *map(special, after)], unknown=FAIRSEQ.index("<unk>"))


def camembert(held: SentencePieceFile) -> Layout:
    """Number the pieces as CamemBERT: fairseq's four tokens, of which two are used, come first."""
    first = ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED")
    pieces = [*map(special, first), *held.pieces[1:], special("<mask>")]
    return Layout(pieces=pieces, unknown=3)


def pegasus(held: SentencePieceFile, offset: int) -> Layout:
    """Number the pieces as Pegasus: the tokens of its pre-training, then the third piece."""
    names = ["<pad>", "</s>", "<mask_1>", "<mask_2>"]
    names += [f"<unk_{number}>" for number in range(FIRST_UNKNOWN, offset)]
    first = [special(one) for one in names[: offset + 2]]
    return Layout(pieces=[*first, *held.pieces[2:]], unknown=held.unknown + offset)


def numbered(
    held: SentencePieceFile, numbers: Mapping[str, int], names: Sequence[str], unknown: str
) -> Layout:
    """Number the pieces as a vocab.json does, which has other pieces too.

    names: the tokens of it that are special.
    """
    own = {one.text: one for one in held.pieces if one.kind in (Kind.NORMAL, Kind.USER_DEFINED)}
    size = max(numbers.values()) + 1
    pieces = [Piece(f"unused {number}", 0.0, Kind.UNUSED) for number in range(size)]
    for text, number in numbers.items():
        found = own.get(text, Piece(text, 0.0, Kind.UNUSED))
        pieces[number] = special(text) if text in names else found
    return Layout(pieces=pieces, unknown=numbers[unknown])


def without_numbers(held: SentencePieceFile, numbers: Mapping[str, int]) -> int:
    """Count the pieces that a vocab.json has no number for."""
    return sum(one.kind == Kind.NORMAL and one.text not in numbers for one in held.pieces)


# The file -----------------------------------------------------------------------------------------


def tokenizer_json(held: SentencePieceFile, layout: Layout) -> TokenizerJson:
    """Return the content of a tokenizer.json. Raises ValueError for a piece with two numbers."""
    pieces = layout.pieces
    numbers = {_name(one): number for number, one in enumerate(pieces)}
    if len(numbers) < len(pieces):
        names = [_name(one) for one in pieces]
        twice = next(name for number, name in enumerate(names) if numbers[name] != number)
        raise ValueError(f"the piece {twice[:40]!r} has two numbers")
    begins, has_bytes = held.begins_with_space, held.byte_fallback
    decoder: Any = {"type": "Sequence", "decoders": _decoders(begins, has_bytes)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(pieces, numbers, held.is_bpe),
        "normalizer": {"type": "Sequence", "normalizers": _normalizers(held, layout)},
        "pre_tokenizer": _splitter(pieces),
        "post_processor": template(layout.single, layout.pair, numbers),
        "decoder": decoder,
        "model": _model(held, layout, numbers),
    }


def template(single: str, pair: str, numbers: Mapping[str, int]) -> Step | None:
    """Return the step that puts special tokens around a text, from "<s> $A </s>"."""
    if single == "$A":
        return None

    def parts(text: str) -> list[dict[str, dict[str, object]]]:
        found: list[dict[str, dict[str, object]]] = []
        for part in text.split():
            name, _, side = part.partition("|")
            kind = "Sequence" if name[0] == "$" else "SpecialToken"
            found.append({kind: {"id": name.removeprefix("$"), "type_id": int(side or 0)}})
        return found

    names = {part.partition("|")[0] for part in f"{single} {pair}".split() if part[0] != "$"}
    return {
        "type": "TemplateProcessing",
        "single": parts(single),
        "pair": parts(pair),
        "special_tokens": {
            name: {"id": name, "ids": [numbers[name]], "tokens": [name]} for name in sorted(names)
        },
    }


def added(text: str, number: int, is_special: bool = True, lstrip: bool = False) -> AddedToken:
    """Return a token that is listed beside a model."""
    return {
        "id": number,
        "content": text,
        "single_word": False,
        "lstrip": lstrip,
        "rstrip": False,
        "normalized": False,
        "special": is_special,
    }


def _name(piece: Piece) -> str:
    return f" {piece.text}" if piece.kind == Kind.UNUSED else piece.text


def _added(pieces: list[Piece], numbers: Mapping[str, int], is_bpe: bool) -> list[AddedToken]:
    found = [
        added(one.text, numbers[one.text], lstrip=one.text == "<mask>")
        for one in pieces
        if one.kind in (Kind.CONTROL, Kind.UNKNOWN)
    ]
    # SentencePiece joins what users defined with nothing
    return found + [
        added(one.text, numbers[one.text], False)
        for one in pieces
        if is_bpe and one.kind == Kind.USER_DEFINED
    ]


def _normalizers(held: SentencePieceFile, layout: Layout) -> list[Any]:
    def put(pattern: str, content: str, kind: str = "Regex") -> dict[str, object]:
        return {"type": "Replace", "pattern": {kind: pattern}, "content": content}

    found: list[Any] = []
    if layout.plain_quotes:
        found += [put("``", '"', "String"), put("''", '"', "String")]
    if layout.strip_accents:
        found += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if layout.lower:
        found.append({"type": "Lowercase"})
    if held.charsmap:
        encoded = base64.b64encode(held.charsmap).decode()
        found.append({"type": "Precompiled", "precompiled_charsmap": encoded})
    if held.trims:
        found += [put(r"\A +| +\z", ""), put(" {2,}", " ")]
    if held.begins_with_space:
        found.append({"type": "Prepend", "prepend": SPACE})
    return [*found, put(" ", SPACE, "String")]


def _splitter(pieces: list[Piece]) -> Step | None:
    """Return the step that cuts a text at its spaces, unless a piece holds a space within."""
    if any(SPACE in one.text[1:] for one in pieces if one.kind != Kind.UNUSED):
        return None
    step: Any = {
        "type": "Metaspace",
        "replacement": SPACE,
        "prepend_scheme": "never",
        "split": True,
    }
    return step


def _decoders(begins_with_space: bool, has_bytes: bool) -> list[Any]:
    found: list[Any] = [
        {"type": "Replace", "pattern": {"Regex": r"\A (?=.)"}, "content": ""},
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
    ]
    if has_bytes:
        found.append({"type": "ByteFallback"})
    found.append({"type": "Fuse"})
    if begins_with_space:
        found.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return found


def _model(
    held: SentencePieceFile, layout: Layout, numbers: Mapping[str, int]
) -> dict[str, object]:
    if held.is_bpe:
        plain = [one for one in layout.pieces if one.kind == Kind.NORMAL]
        return {
            "type": "BPE",
            "dropout": None,
            "unk_token": _name(layout.pieces[layout.unknown]),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": held.byte_fallback,
            "ignore_merges": False,
            "vocab": dict(numbers),
            "merges": merges([one.text for one in plain], [one.score for one in plain], ()),
        }
    scores = [one.score for one in layout.pieces if one.kind == Kind.NORMAL]
    least, most = min(scores, default=0.0), max(scores, default=0.0)
    pieces = [
        replace(one, score=max(least, len(one.text) * most - 0.1))  # before any other way
        if one.kind == Kind.USER_DEFINED
        else one
        for one in layout.pieces
    ]
    return {
        "type": "Unigram",
        "unk_id": layout.unknown,
        "vocab": [
            [_name(one), one.score if one.kind in (Kind.NORMAL, Kind.USER_DEFINED) else 0.0]
            for one in pieces
        ],
        "byte_fallback": held.byte_fallback,
    }
