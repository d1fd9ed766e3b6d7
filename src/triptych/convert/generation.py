"""Take the settings of answers from the generation_config.json of a published model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ..data.tokenizers.answer_sides import Sides
from ..decoding.settings import DecodingSettings
from ..errors import brief
from ..interchange.huggingface import Folder

# key -> setting, least value, and the value that it has where no file says it
KEYS: dict[str, tuple[str, float, float]] = {
    "num_beams": ("beams", 1, 1),
    "length_penalty": ("length_penalty", -math.inf, 1.0),
    "no_repeat_ngram_size": ("no_repeat_ngram_size", 2, 0),
    "repetition_penalty": ("repetition_penalty", 1e-3, 1.0),
}
LENGTHS = ("max_length", "max_new_tokens", "min_length", "min_new_tokens")
USUAL_LENGTH = 20  # max_length where no file says it
MOST = 1 << 20
# what changes answers there and has no setting here, with the value that changes nothing
OTHERS: dict[str, object] = {
    "do_sample": False,
    "encoder_no_repeat_ngram_size": 0,
    "diversity_penalty": 0.0,
    "exponential_decay_length_penalty": None,
    "encoder_repetition_penalty": 1.0,
    "begin_suppress_tokens": None,
}


def decoding_of(folder: Folder, sides: Sides) -> tuple[DecodingSettings, list[str]]:
    """Return the settings by which an encoder-decoder writes, and notes on what is not read.

    They are from generation_config.json, else config.json. What neither says keeps our default.
    """
    values = folder.generation_config or folder.config
    found: dict[str, Any] = {}
    notes: list[str] = []
    for key, (setting, least, usual) in KEYS.items():
        value = values.get(key)
        if value is None or value == usual:
            continue
        if _is_number(value, least) and (isinstance(usual, float) or type(value) is int):
            found[setting] = value
        else:
            notes.append(_unread(key, value))
    found |= _lengths(values, len(sides.starts), notes)
    beams = found.get("beams", 1)
    if beams > 1 and values.get("early_stopping") is not True:
        found["early_stopping"] = False
        if values.get("early_stopping") not in (None, False):
            notes.append(_unread("early_stopping", values["early_stopping"]))
    if beams > 1 and found.pop("repetition_penalty", None) is not None:
        notes.append(_unread("repetition_penalty", values["repetition_penalty"]))
    tokens = _suppressed(values, notes)
    if tokens:
        found["suppress_tokens"] = tokens
    notes += [
        _unread(key, values[key])
        for key, usual in OTHERS.items()
        if values.get(key, usual) not in (usual, None)
    ]
    settings = DecodingSettings(**found)
    if any(settings.contradictions("decoding")):
        return dataclasses.replace(DecodingSettings(), suppress_tokens=tokens or None), [
            *notes,
            "Its settings of answers contradict each other, so ours stay.",
        ]
    return settings, notes


def _lengths(values: Mapping[str, Any], given: int, notes: list[str]) -> dict[str, int]:
    """Return max_length and min_length without the `given` tokens that an answer begins with.

    The last token of those that may be written is the end, if it is forced.
    """
    found: dict[str, int] = {}
    for key in LENGTHS:
        value = values.get(key)
        if value is None or (key == "max_length" and value == USUAL_LENGTH) or value == 0:
            continue
        if type(value) is not int or not 0 < value <= MOST:
            notes.append(_unread(key, value))
            continue
        forced = values.get("forced_eos_token_id") is not None and key.startswith("max")
        inside = given if key.endswith("_length") else given - 1
        setting = "max_length" if key.startswith("max") else "min_length"
        found[setting] = max(1 if setting == "max_length" else 0, value - inside - forced)
    return {key: value for key, value in found.items() if value}


def _suppressed(values: Mapping[str, Any], notes: list[str]) -> list[int]:
    """Return the tokens that are never written: single bad words, and suppressed ones."""
    found: list[int] = []
    for key in ("bad_words_ids", "suppress_tokens"):
        given = values.get(key)
        for one in given if isinstance(given, list) else []:
            token = one[0] if isinstance(one, list) and len(one) == 1 else one
            if type(token) is int and token >= 0:
                found.append(token)
            else:
                notes.append(_unread(key, one))
    return sorted(set(found))


def _is_number(value: object, least: float) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and least <= value <= MOST  # type: ignore[operator, arg-type]


def _unread(key: str, value: object) -> str:
    return f"Not read: {key} {brief(repr(value))} of its settings of answers."
