"""Change the steps of a published tokenizer so that its ids alone are used."""

from __future__ import annotations

import re

from .tokenizer_file import Step, TokenizerJson

SENTINEL = re.compile(r"<extra_id_[0-9]+>")


def cutting_marks(values: TokenizerJson) -> dict[str, Step]:
    """Return a pre-tokenizer that cuts each special token that a text spells, by its first letter.

    A unigram model would find it, because special tokens are among its pieces. T5's sentinels stay,
    which are how its texts name what is left out.
    """
    model = values.get("model")
    if not isinstance(model, dict) or model.get("type") != "Unigram":
        return {}
    added = values.get("added_tokens") or ()
    names = [one["content"] for one in added if one.get("special") and len(one["content"]) > 1]
    after: dict[str, list[str]] = {}
    for name in names:
        if not SENTINEL.fullmatch(name):
            after.setdefault(name[0], []).append(re.escape(name[1:]))
    if model.get("byte_fallback"):
        after.setdefault("<", []).append("0x[0-9A-F]{2}>")
    if not after:
        return {}
    found = "|".join(f"{re.escape(one)}(?={'|'.join(rest)})" for one, rest in after.items())
    cut: Step = {
        "type": "Split",
        "pattern": {"Regex": found},
        "behavior": "MergedWithPrevious",
        "invert": False,
    }
    before = values.get("pre_tokenizer")
    steps = [cut] if before is None else [cut, before]
    return {"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}


def cutter(values: TokenizerJson) -> str | None:
    """Return the kind of the pre-tokenizer, the first if there are several."""
    found = values.get("pre_tokenizer") or {}
    inner = found.get("pretokenizers") or [found]
    return inner[0].get("type") if inner else None


def keeping_spaces(decoder: Step | None) -> tuple[Step | None, bool]:
    """Return the decoder without the step that strips a text's first space, and if it had one."""
    if decoder is None:
        return None, False
    if decoder.get("type") == "Sequence" and "decoders" in decoder:
        inner = [keeping_spaces(one) for one in decoder["decoders"]]
        return {**decoder, "decoders": [one for one, _ in inner if one is not None]}, any(
            strips for _, strips in inner
        )
    if decoder.get("type") == "Strip" and decoder.get("start"):
        return (None if not decoder.get("stop") else {**decoder, "start": 0}), True
    if decoder.get("type") == "Metaspace" and decoder.get("prepend_scheme", "always") != "never":
        kept = decoder.copy()
        kept.pop("add_prefix_space", None)
        kept["prepend_scheme"] = "never"
        return kept, True
    return decoder.copy(), False
