"""Translate a tokenizer.json to the metadata of a GGUF file, as llama.cpp reads it.

Byte-level pairs are its kind "gpt2"; pairs of characters, with bytes for those without a piece, are
its kind "llama", SentencePiece's pairs by score (Kudo & Richardson 2018).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tokenizers

from ..data.tokenizers.byte_pieces import BYTE_VALUE
from ..data.tokenizers.tokenizer_file import tokens_by_id
from ..errors import RunError
from .gguf_tokenizer import (  # fmt: skip
    BOTH_ENDS,
    BYTE,
    CONTROL,
    CUTS,
    NORMAL,
    PREFIX,
    SPACE,
    UNUSED,
    USER,
    cutter,
)


@dataclass(kw_only=True)
class WrittenTokenizer:
    """Hold the metadata that describe a tokenizer, and notes, one sentence each."""

    metadata: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def write_tokenizer(
    values: Mapping[str, Any], config: Mapping[str, Any], ids: Mapping[str, Any], rows: int
) -> WrittenTokenizer:
    """Return the metadata for a tokenizer.json.

    config: of the tokenizer, ids: config.json, rows: those of the embedding. Raises RunError for a
    tokenizer that llama.cpp does not compute.
    """
    model = values["model"]
    if model.get("type") != "BPE":
        raise RunError(
            "GGUF is written with tokenizers of byte pairs; this is a {kind}.",
            kind=model.get("type"),
        )  # fmt: skip
    tokens = tokens_by_id(values, rows)
    types = _types(values, tokens)
    before = tokenizers.Tokenizer.from_str(json.dumps(values)).encode("").ids
    found: dict[str, Any] = {"model": "llama" if model.get("byte_fallback") else "gpt2"}
    notes: list[str] = []
    if found["model"] == "gpt2":
        found["pre"] = _name_of_cut(values.get("pre_tokenizer"))
        found["merges"] = [pair if isinstance(pair, str) else " ".join(pair)
                           for pair in model["merges"]]  # fmt: skip
    else:
        pieces, notes = _as_sentence_piece(tokens, types)
        tokens = pieces
        found["scores"] = _scores(model["merges"], model["vocab"], len(tokens))
        found["add_space_prefix"] = _adds_space(values)
    found |= {
        "tokens": tokens,
        "token_type": np.array(types, np.int32),
        "add_bos_token": bool(before) and before[0] == _first(ids.get("bos_token_id")),
        "add_eos_token": False,
    }
    for key in BOTH_ENDS:
        number = _first(ids.get(f"{key}_token_id"))
        if number is not None:
            found[f"{key}_token_id"] = number
    ends = ids.get("eos_token_id")
    if isinstance(ends, list) and len(ends) > 1:
        found["eot_token_id"] = ends[1]
    metadata = {PREFIX + key: value for key, value in found.items()}
    template = config.get("chat_template")
    if isinstance(template, str):
        metadata["tokenizer.chat_template"] = template
    return WrittenTokenizer(metadata=metadata, notes=notes)


def _first(given: object) -> int | None:
    number = given[0] if isinstance(given, list) and given else given
    return number if type(number) is int else None


def _types(values: Mapping[str, Any], tokens: Sequence[str]) -> list[int]:
    """Return the type of each token."""
    added = values.get("added_tokens") or []
    special = {one["id"]: CONTROL if one.get("special") else USER for one in added}
    marks: list[dict[str, Any]] = [values.get("post_processor") or {}]
    marks += marks[0].get("processors") or []
    around = [token["ids"] for one in marks for token in (one.get("special_tokens") or {}).values()]
    special |= {number: CONTROL for ids in around for number in ids}
    known = values["model"]["vocab"]
    spelt = BYTE_VALUE if values["model"].get("byte_fallback") else {}
    found = [BYTE if token in spelt else NORMAL if token in known else UNUSED for token in tokens]
    return [special.get(number, kind) for number, kind in enumerate(found)]


def _name_of_cut(step: Mapping[str, Any] | None) -> str:
    """Return the name of the cut that a pre-tokenizer is. Raises RunError if it has none."""
    for name in CUTS:
        if _essence(step) == _essence(cutter(name)):
            return name
    raise RunError(
        "llama.cpp has no name for the way in which this tokenizer cuts a text into words; it has "
        "those of {known}.",
        known=", ".join(CUTS),
    )


def _essence(step: Mapping[str, Any] | None) -> object:
    """Return what decides how a pre-tokenizer cuts."""
    kind = (step or {}).get("type")
    if step is None or kind is None:
        return None
    if kind == "Sequence":
        return [_essence(one) for one in step["pretokenizers"]]
    if kind == "ByteLevel":
        return kind, step.get("use_regex", True), step.get("add_prefix_space", True)
    if kind == "Digits":
        return kind, step.get("individual_digits", False)
    pattern = step.get("pattern")
    return kind, json.dumps(pattern), step.get("behavior"), step.get("invert", False)


def _adds_space(values: Mapping[str, Any]) -> bool:
    step: Mapping[str, Any] = values.get("normalizer") or {}
    steps = step.get("normalizers") or [step]
    cut: Mapping[str, Any] = values.get("pre_tokenizer") or {}
    return any(one.get("type") == "Prepend" for one in steps) or (
        cut.get("type") == "Metaspace" and cut.get("prepend_scheme", "always") != "never"
    )


def _scores(merges: Sequence[Any], vocabulary: Mapping[str, int], count: int) -> np.ndarray:
    """Return a score for each token: pieces that are joined earlier have a higher one."""
    scores = np.zeros(count, np.float32)
    for rank, pair in enumerate(merges):
        first, second = pair.split(" ", 1) if isinstance(pair, str) else pair
        number = vocabulary[first + second]
        scores[number] = scores[number] or -1.0 - rank
    return scores


def _as_sentence_piece(tokens: Sequence[str], types: list[int]) -> tuple[list[str], list[str]]:
    """Return the pieces with SentencePiece's sign for a space, and notes.

    llama.cpp reads that sign in a text as a space too, so a piece with the sign itself that is then
    spelt like another is not used. `types` is changed for it.
    """
    pieces: list[str] = []
    taken: set[str] = set()
    for number, token in enumerate(tokens):
        piece = token.replace(" ", SPACE) if types[number] in (NORMAL, USER) else token
        if piece in taken:
            piece, types[number] = f"[PAD{number}]", UNUSED
        taken.add(piece)
        pieces.append(piece)
    return pieces, [
        "llama.cpp joins any two neighbours whose union is a piece, and triptych those that it "
        "learnt: a rare word may be cut otherwise there."
    ]
