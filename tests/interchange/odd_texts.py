"""Texts on which tokenizers differ if they differ anywhere, and lines of real text."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

ODD = (
    "",
    " ",
    "a",
    "  two  spaces   and trailing  ",
    "tabs\tand\nnew\r\nlines\n\n",
    "a no-break\u00a0space, a thin\u2009one, an ideographic\u3000one",
    "zero\u200bwidth \u2060joiner \ufeffmark",
    "👩‍👩‍👧‍👦 👍🏽 🇹🇼 ❤️ #️⃣",
    "e\u0301 \u00e9 n\u0303 o\u0323\u0302 Z\u0351\u036b\u0343a\u0300lgo",
    "ﬁ ½ ² ① ＡＢＣ ｶﾞ Ⅷ ㎏ ℡",
    "今天天氣很好，我們去公園吧。（測試）「引號」",
    "今日は良い天気です。カタカナ、ひらがな。",
    "안녕하세요 세계",
    "مرحبا بالعالم، كيف حالُك؟ 123",
    "Здравствуй, мир! ЁЖ",
    "नमस्ते दुनिया กำลังทดสอบ",
    "control\x00\x01\x07\x1b\x7f\x85 characters",
    "\ufffd \ue000 \U0010ffff \U00020000𠮷",
    "İstanbul ıI ß ẞ Σας ǅ",
    "don't can't I'm we'll they've 1,234.56 $3.50 50% 9, a,b",
    "``quotes'' \"straight\" “curly” ‘single’ — – … ¿¡",
    "http://example.org/a?b=c&d=e#f user@example.org C:\\path",
    "x" * 400,
    "貓" * 120,
    "CamelCaseWORDS snake_case kebab-case 1a2b3c",
    "<s> </s> <pad> <unk> <mask> [CLS] [SEP] [MASK] [UNK] <0x41> ▁under ▁",
)


def lines(count: int) -> list[str]:
    """Return lines of real text, English, German and Chinese, of which a part is set aside."""
    folder = Path(os.environ.get("TRIPTYCH_DATA", "nowhere"))
    files = (folder / "multi30k" / "train.en.gz", folder / "multi30k" / "train.de.gz",
             folder / "tatoeba-en-zh" / "cmn.txt.gz")  # fmt: skip
    if not all(one.is_file() for one in files):
        pytest.skip("TRIPTYCH_DATA names no folder with multi30k and tatoeba-en-zh")
    found: list[str] = []
    for one in files:
        with gzip.open(one, "rt", encoding="utf-8") as text:
            rows = [row.rstrip("\n").replace("\t", " ") for row in text]
        found += rows[:: max(1, len(rows) // (count // len(files) + 1))][: count // len(files) + 1]
    return found[:count]
