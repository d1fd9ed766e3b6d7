"""What a training will take: tokens of a text before its tokenizer is there."""

from __future__ import annotations

CHARACTERS_A_TOKEN = {"latin": 3.6, "cjk": 1.5}  # of subwords at the sizes chosen here


def estimated_tokens(text: str) -> float:
    """Subwords of a text, by its characters."""
    wide = sum("\u3040" <= character <= "\u9fff" for character in text)
    return 1 + wide / CHARACTERS_A_TOKEN["cjk"] + (len(text) - wide) / CHARACTERS_A_TOKEN["latin"]
