"""Estimate the number of tokens of a text before its tokenizer is trained."""

from __future__ import annotations

# characters per subword at the vocabulary sizes chosen here
CHARACTERS_A_TOKEN = {"latin": 3.6, "cjk": 1.5}


def estimated_tokens(text: str) -> float:
    """Return the estimated number of subwords of a text, by its characters."""
    wide = sum("\u3040" <= character <= "\u9fff" for character in text)
    return 1 + wide / CHARACTERS_A_TOKEN["cjk"] + (len(text) - wide) / CHARACTERS_A_TOKEN["latin"]
