"""Translate the tokenizer of a GGUF file to tokenizer.json.

Two kinds are read: "gpt2", byte-level pairs (Radford et al. 2019, section 2.2) with one of some
named ways to cut a text into words first, and "llama", SentencePiece's pairs by score (Kudo &
Richardson 2018).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.tokenizers.scored_pieces import tokenizer_json
from ..data.tokenizers.tokenizer_file import AddedToken, Step, TokenizerJson
from ..errors import RunError, brief

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # types of tokens
SPACE = "▁"  # SentencePiece's sign for a space
BOTH_ENDS = ("bos", "eos")
PREFIX = "tokenizer.ggml."
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*" + _SPACES
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
)
# How a text is cut before its pairs, by the name in GGUF; None: as GPT-2 does.
CUTS: dict[str, str | None] = {
    "gpt-2": None,
    "llama-bpe": rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_SIGNS}",
    "qwen2": rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_SIGNS}",
    "tekken": _CASED + r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*" + _SPACES,
    "smollm": r"\p{N}",  # each digit alone, then as GPT-2
}
SAME_CUT = {  # other names of the same cut
    "default": "gpt-2", "phi-2": "gpt-2", "mpt": "gpt-2", "olmo": "gpt-2", "exaone4": "gpt-2",
    "llama3": "llama-bpe", "llama-v3": "llama-bpe", "falcon3": "llama-bpe", "lfm2": "llama-bpe",
    "pixtral": "llama-bpe", "smaug-bpe": "llama-bpe", "dbrx": "llama-bpe",
    "deepseek-r1-qwen": "qwen2", "stablelm2": "qwen2", "megrez": "qwen2", "hunyuan": "qwen2",
    "starcoder": "smollm", "refact": "smollm", "command-r": "smollm", "codeshell": "smollm",
    "exaone": "smollm", "minerva-7b": "smollm",
}  # fmt: skip
BEGINS = ("llama-bpe", "tekken")  # cuts whose models begin a text with a token unless told not to
WHOLE_FIRST = ("llama-bpe", "tekken")  # a word that is a piece is taken whole, whatever its pairs
COMPOSED = ("qwen2",)  # texts are composed (NFC) first


@dataclass(kw_only=True)
class ReadTokenizer:
    """Hold the content of the files about a tokenizer.

    ids: the keys of config.json that name its special tokens.
    """

    tokenizer: str
    config: dict[str, object]
    ids: dict[str, object]
    generation: dict[str, object] = field(default_factory=dict)


def read_tokenizer(metadata: Mapping[str, Any], where: str) -> ReadTokenizer:
    """Return the files of the library transformers for the tokenizer in the metadata.

    Raises RunError for a kind that is not read, naming it, and for numbers that do not fit.
    """
    kind = metadata.get(PREFIX + "model")
    tokens = metadata.get(PREFIX + "tokens")
    if not isinstance(tokens, list) or not tokens:
        raise RunError("{where} holds no tokenizer ({key}).", where=where, key=PREFIX + "tokens")
    types = _types(metadata, len(tokens), where)
    ids = _special_ids(metadata, len(tokens), where)
    if kind == "gpt2":
        values = _byte_level(metadata, tokens, types, where)
    elif kind == "llama":
        values = _sentence_piece(metadata, tokens, types, ids, where)
    else:
        raise RunError(
            "{where} has a tokenizer of the kind {kind}; triptych reads gpt2 and llama.",
            where=where, kind=brief(repr(kind), 60),
        )  # fmt: skip
    begins = metadata.get(PREFIX + "add_bos_token")
    if begins is None:
        begins = kind == "llama" or _cut(metadata, where) in BEGINS
    values = _with_ends(values, tokens, ids.get("bos") if begins else None,
                        ids.get("eos") if metadata.get(PREFIX + "add_eos_token") is True else None)  # fmt: skip # noqa: E501
    names = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}
    config: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config |= {name: tokens[ids[key]] for key, name in names.items() if key in ids}
    template = metadata.get("tokenizer.chat_template")
    if isinstance(template, str):
        config["chat_template"] = template
    ends = [ids[key] for key in ("eos", "eot") if key in ids]
    return ReadTokenizer(
        tokenizer=json.dumps(values, ensure_ascii=False),
        config={**config, "clean_up_tokenization_spaces": False},
        ids={f"{key}_token_id": ids[key] for key in BOTH_ENDS if key in ids},
        generation={"eos_token_id": ends} if len(set(ends)) > 1 else {},
    )


def _types(metadata: Mapping[str, Any], count: int, where: str) -> list[int]:
    found = metadata.get(PREFIX + "token_type")
    if found is None:
        return [NORMAL] * count
    if not isinstance(found, np.ndarray) or len(found) != count:
        raise RunError(
            "{where}: {key} does not have a number for each of {count:,} tokens.",
            where=where, key=PREFIX + "token_type", count=count,
        )  # fmt: skip
    return [int(one) for one in found]


def _special_ids(metadata: Mapping[str, Any], count: int, where: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for key in (*BOTH_ENDS, "eot", "unknown", "padding"):
        number = metadata.get(f"{PREFIX}{key}_token_id")
        if number is None:
            continue
        if type(number) is not int or not 0 <= number < count:
            raise RunError(
                "{where}: {key} is {number}, but the tokenizer has {count:,} tokens.",
                where=where, key=f"{PREFIX}{key}_token_id", number=brief(repr(number), 60),
                count=count,
            )  # fmt: skip
        found[key] = number
    return found


def _cut(metadata: Mapping[str, Any], where: str) -> str:
    """Return the name of the cut, that of `CUTS`."""
    name = metadata.get(PREFIX + "pre", "default")
    name = SAME_CUT.get(name, name) if isinstance(name, str) else name
    if metadata.get(PREFIX + "model") == "gpt2" and name not in CUTS:
        raise RunError(
            "{where} cuts texts in the way {name}; triptych reads {known}.",
            where=where, name=brief(repr(name), 60), known=", ".join((*CUTS, *SAME_CUT)),
        )  # fmt: skip
    return name


def _added(tokens: Sequence[str], types: Sequence[int]) -> list[AddedToken]:
    """List the tokens that are recognised in a text as a whole."""
    return [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": kind != USER}
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (UNKNOWN, CONTROL, USER)
    ]  # fmt: skip


def _vocabulary(tokens: Sequence[str], types: Sequence[int], where: str) -> dict[str, int]:
    """Return the number of each token, without those that only fill rows of the embedding."""
    found = {
        token: number
        for number, token in enumerate(tokens)
        if types[number] != UNUSED or token != f"[PAD{number}]"
    }
    if len(found) + sum(
        types[number] == UNUSED and token == f"[PAD{number}]" for number, token in enumerate(tokens)
    ) != len(tokens):
        raise RunError("{where} holds a token twice, so ids are not unique.", where=where)
    return found


def cutter(name: str) -> Step:
    """Return the pre-tokenizer of a cut."""
    level: Step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                   "use_regex": True}  # type: ignore[typeddict-unknown-key] # fmt: skip
    pattern = CUTS[name]
    if pattern is None:
        return level
    if name == "smollm":
        digits: Step = {"type": "Digits", "individual_digits": True}  # type: ignore[typeddict-unknown-key] # fmt: skip
        return {"type": "Sequence", "pretokenizers": [digits, level]}
    split: Step = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
                   "invert": False}  # fmt: skip
    return {"type": "Sequence", "pretokenizers": [split, {**level, "use_regex": False}]}  # type: ignore[typeddict-unknown-key] # fmt: skip


def _byte_level(
    metadata: Mapping[str, Any], tokens: Sequence[str], types: Sequence[int], where: str
) -> TokenizerJson:
    merges = metadata.get(PREFIX + "merges")
    if not isinstance(merges, list):
        raise RunError("{where} has no {key}.", where=where, key=PREFIX + "merges")
    vocabulary, name = _vocabulary(tokens, types, where), _cut(metadata, where)
    pairs = [pair.split(" ", 1) for pair in merges]
    wrong = [pair for pair in pairs if len(pair) != 2 or "".join(pair) not in vocabulary]
    if wrong:
        raise RunError(
            "{where}: {key} holds {pair}, whose union is not a token.",
            where=where, key=PREFIX + "merges", pair=brief(repr(" ".join(wrong[0])), 60),
        )  # fmt: skip
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(tokens, types),
        "normalizer": {"type": "NFC"} if name in COMPOSED else None,
        "pre_tokenizer": cutter(name),
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},  # type: ignore[typeddict-unknown-key]
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": name in WHOLE_FIRST, "vocab": vocabulary, "merges": pairs,
        },
    }  # fmt: skip


def _sentence_piece(
    metadata: Mapping[str, Any], tokens: Sequence[str], types: Sequence[int],
    ids: Mapping[str, int], where: str,
) -> TokenizerJson:  # fmt: skip
    scores = metadata.get(PREFIX + "scores")
    if not isinstance(scores, np.ndarray) or len(scores) != len(tokens):
        raise RunError(
            "{where}: {key} does not have a number for each of {count:,} tokens.",
            where=where, key=PREFIX + "scores", count=len(tokens),
        )  # fmt: skip
    vocabulary = _vocabulary(tokens, types, where)
    text = [kind in (NORMAL, USER, BYTE, UNUSED) for kind in types]
    specials = [token for token, is_text in zip(tokens, text, strict=True) if not is_text]
    unknown = tokens[ids.get("unknown", 0)]
    values = tokenizer_json(tokens, [float(one) for one in scores], [unknown, unknown, *specials])
    model: Any = values.get("model")
    adds_space = metadata.get(PREFIX + "add_space_prefix", True) is not False
    steps: list[dict[str, object]] = [{"type": "Prepend", "prepend": SPACE}] if adds_space else []
    steps.append({"type": "Replace", "pattern": {"String": " "}, "content": SPACE})
    strip: list[Step] = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    replace: Step = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}  # type: ignore[typeddict-item] # fmt: skip
    return {
        **values,
        "added_tokens": _added(tokens, types),
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            replace, {"type": "ByteFallback"}, {"type": "Fuse"}, *(strip if adds_space else []),
        ]},
        "model": {**model, "vocab": vocabulary, "fuse_unk": True},
    }  # fmt: skip


def _with_ends(
    values: TokenizerJson, tokens: Sequence[str], begin: int | None, end: int | None
) -> TokenizerJson:
    """Put the begin token before a text and the end token after it, where the model wants them."""
    around = [None if one is None else tokens[one] for one in (begin, end)]
    names = [one for one in around if one is not None]
    if not names:
        return values
    marks = [[] if one is None else [{"SpecialToken": {"id": one, "type_id": 0}}] for one in around]
    first, second = ({"Sequence": {"id": side, "type_id": 0}} for side in "AB")
    template: Step = {
        "type": "TemplateProcessing",
        "single": [*marks[0], first, *marks[1]],
        "pair": [*marks[0], first, *marks[1], *marks[0], second, *marks[1]],
        "special_tokens": {
            name: {"id": name, "ids": [tokens.index(name)], "tokens": [name]} for name in names
        },
    }
    return {**values, "post_processor": template}
