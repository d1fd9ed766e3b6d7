"""Write BERT's vocab.txt, and GPT-2's vocab.json with merges.txt, as a tokenizer.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.tokenizers.tokenizer_file import TokenizerJson
from ..errors import brief
from .sentencepiece_tokenizers import BERT, ENDED, FAIRSEQ, PAIRED, template
from .tokenizer_given import (
    NUMBERS,
    Given,
    Source,
    empty,
    listed,
    more_tokens,
    read_text,
    source_of,
    specials,
    vocabulary,
)

WORDS, MERGES = "vocab.txt", "merges.txt"
# what cuts a text into words for a Qwen2, whose texts are in the normal form NFC
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL: dict[str, str] = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "mask": "[MASK]",
                           "pad": "[PAD]"}  # fmt: skip
OF_MPNET = {**SPECIAL, "cls": "<s>", "sep": "</s>", "mask": "<mask>", "pad": "<pad>"}


def word_piece(given: Given) -> Source:
    """Read vocab.txt, a token a line, with BERT's cuts (Devlin et al. 2018)."""
    lines = read_text(given.path / WORDS).split("\n")
    numbers = {line.rstrip("\r"): number for number, line in enumerate(lines[: -1 or None])}
    if lines[-1]:
        numbers[lines[-1].rstrip("\r")] = len(lines) - 1
    usual = OF_MPNET if given.kind == "mpnet" else SPECIAL
    names = {role: given.name(role, default) for role, default in usual.items()}
    numbers |= more_tokens(given, numbers)
    lacking = [names[role] for role in ("cls", "sep", "unk") if names[role] not in numbers]
    if lacking:
        raise ValueError(f"it has no token {', '.join(lacking)}")
    single, pair = (
        text.replace("[CLS]", names["cls"]).replace("[SEP]", names["sep"])
        for text in (
            BERT if usual is SPECIAL else ("[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] $B [SEP]")
        )
    )
    settings = given.settings
    decoder: Any = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    values: TokenizerJson = {
        **empty(),
        "added_tokens": specials(numbers, names.values()),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": settings.get("tokenize_chinese_chars") is not False,
            "strip_accents": settings.get("strip_accents"),
            "lowercase": settings.get("do_lower_case") is not False,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(single, pair, numbers),
        "decoder": decoder,
        "model": {
            "type": "WordPiece",
            "unk_token": names["unk"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": numbers,
        },
    }
    return source_of(values, WORDS)


def byte_level(given: Given) -> Source:
    """Read vocab.json and merges.txt: byte-pair encoding of bytes (Radford et al. 2019)."""
    numbers = vocabulary(given.path / NUMBERS)
    numbers |= more_tokens(given, numbers)
    lines = read_text(given.path / MERGES).split("\n")
    pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    bad = next((place for place, pair in enumerate(pairs) if len(pair) != 2), None)
    if bad is not None:
        raise ValueError(f"{MERGES}: {brief(repr(' '.join(pairs[bad])))} is not a pair")
    prefix = given.settings.get("add_prefix_space") is True or given.kind == "blenderbot"
    settings = {"add_prefix_space": prefix, "trim_offsets": True}
    cut: Any = {"type": "ByteLevel", **settings, "use_regex": True}
    is_qwen = given.kind.startswith("qwen")
    if is_qwen:
        split = {"type": "Split", "pattern": {"Regex": QWEN}, "behavior": "Isolated"}
        steps = [{**split, "invert": False}, {**cut, "use_regex": False}]
        cut = {"type": "Sequence", "pretokenizers": steps}
    decoder: Any = {"type": "ByteLevel", **settings}
    single, pair = _around(given, numbers)
    names = [*given.names.values(), *listed(given), "<|endoftext|>"]
    names += [] if single == "$A" else [*FAIRSEQ, "<mask>"]
    values: TokenizerJson = {
        **empty(),
        "added_tokens": specials(numbers, names),
        "normalizer": {"type": "NFC"} if is_qwen else None,
        "pre_tokenizer": cut,
        "post_processor": template(single, pair, numbers),
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": numbers,
            "merges": pairs,
        },
    }
    return source_of(values, NUMBERS)


def _around(given: Given, numbers: Mapping[str, int]) -> tuple[str, str]:
    """Return what stands around a text in a model of bytes, by its kind."""
    begin, end = given.name("bos", "<s>"), given.name("eos", "</s>")
    if given.kind in ("roberta", "longformer", "bart", "led", "mvp"):
        first, last = given.name("cls", begin), given.name("sep", end)
        found = tuple(one.replace("</s>", last).replace("<s>", first) for one in PAIRED)
    elif given.kind in ("blenderbot", "blenderbot-small"):
        found = tuple(one.replace("</s>", end) for one in ENDED)
    elif given.settings.get("add_bos_token", given.kind == "opt") is True:
        begin = given.name("bos", "</s>" if given.kind == "opt" else "<|endoftext|>")
        found = (f"{begin} $A", f"{begin} $A {begin} $B")
    else:
        return "$A", "$A $B"
    lacking = {part for part in found[0].split() if part[0] != "$"} - set(numbers)
    if lacking:
        raise ValueError(f"it has no token {', '.join(sorted(lacking))}")
    return found[0], found[1]
