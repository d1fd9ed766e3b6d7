"""Estimate the number of tokens of a text before its tokenizer is trained."""

from __future__ import annotations

import re

WIDE = re.compile("[\u3040-\u9fff]+")
# characters per subword at the vocabulary sizes chosen here
CHARACTERS_A_TOKEN = {"latin": 3.6, "cjk": 1.5}


def estimated_tokens(text: str) -> float:
    """Return the estimated number of subwords of a text, by its characters."""
    wide = 0 if text.isascii() else sum(map(len, WIDE.findall(text)))
    return 1 + wide / CHARACTERS_A_TOKEN["cjk"] + (len(text) - wide) / CHARACTERS_A_TOKEN["latin"]
