"""Write SentencePiece's byte-pair encoding, given by pieces and scores, as a tokenizer.json.

A text begins with a space, characters without a piece are spelt in bytes (`<0xE8>`), and of all
neighbours whose union is a piece those with the highest score join first (Kudo & Richardson 2018).
The library `tokenizers` ranks pairs instead: every cut of a piece in two others is a pair with that
piece's rank.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .byte_pieces import BYTE_VALUE
from .tokenizer_file import TokenizerJson


def tokenizer_json(
    pieces: Sequence[str], scores: Sequence[float], specials: Sequence[str]
) -> TokenizerJson:
    """Return the content of a tokenizer.json.

    pieces: by id, each once; specials: pieces that are not text, first the unknown token, then the
    one before a text.
    """
    unknown, begin, *_ = specials
    numbers = {piece: number for number, piece in enumerate(pieces)}
    before = {"SpecialToken": {"id": begin, "type_id": 0}}
    first, second = ({"Sequence": {"id": side, "type_id": 0}} for side in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": numbers[piece],
                "content": piece,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for piece in specials
        ],
        "normalizer": {"type": "Prepend", "prepend": " "},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [before, first],
            "pair": [before, first, second],
            "special_tokens": {begin: {"id": begin, "ids": [numbers[begin]], "tokens": [begin]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": numbers,
            "merges": merges(pieces, scores, {*specials, *BYTE_VALUE}),
        },
    }


def merges(
    pieces: Sequence[str], scores: Sequence[float], left_out: Collection[str]
) -> list[list[str]]:
    """List every cut of a piece in two others, by score. left_out: pieces that are not text."""
    texts = {piece for piece in pieces if piece not in left_out}
    merges: list[tuple[float, int, tuple[str, str]]] = []
    for piece, score in zip(pieces, scores, strict=True):
        if piece in texts:
            cuts = ((piece[:place], piece[place:]) for place in range(1, len(piece)))
            merges += [
                (-score, len(first), (first, rest))
                for first, rest in cuts
                if first in texts and rest in texts
            ]
    return [list(pair) for _, _, pair in sorted(merges, key=lambda one: one[:2])]
