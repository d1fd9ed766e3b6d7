"""Decide if the first row of a table names its columns, or is data like the rows below.

No row counts as a header because of one cell alone. An undecided row is `perhaps` a header, and the
caller decides: `init` asks, training reads the row as data and reports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from .quoting import is_number

Verdict = Literal["yes", "perhaps", "no"]
# Names in headers and keys besides the field's own.
NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "sentence1", "text1", "sms", "message", "review", "title"),
    "text_pair": ("text_pair", "sentence2", "text2"),
    "label": ("label", "category", "class", "intent", "sentiment"),
    "labels": ("labels", "categories", "classes"),
    "value": ("value", "score", "similarity", "rating"),
    "source": ("source", "document", "dialogue", "article", "text", "input"),
    "target": ("target", "summary", "highlights", "question", "answer", "answers", "output"),
    "question": ("question",),
    "passage": ("passage", "context", "sentence", "paragraph"),
    "target_language": ("task", "prefix", "target_language"),
}
# Names of columns that are not read, and of columns whose role is uncertain.
OTHERS = {
    "id",
    "ids",
    "idx",
    "index",
    "nr",
    "no",
    "number",
    "key",
    "uid",
    "guid",
    "name",
    "url",
    "date",
    "time",
    "author",
    "user",
    "split",
    "lang",
    "language",
    "type",
    "kind",
    "topic",
    "tag",
    "tags",
    "word",
    "words",
    "token",
    "tokens",
    "comment",
    "comments",
    "tweet",
    "body",
    "content",
    "utterance",
    "query",
    "prompt",
    "response",
    "premise",
    "hypothesis",
    "subject",
    "notes",
    "note",
    "remark",
    "remarks",
    "translator",
    "license",
    "licence",
    "domain",
    "star",
    "stars",
    "polarity",
    "emotion",
    "target text",
    "source text",
    "編號",
    "编号",
    "類別",
    "类别",
    "標籤",
    "标签",
    "文字",
    "文本",
    "內容",
    "内容",
    "備註",
    "备注",
    "序號",
    "序号",
}
# Code -> other codes and names of a language: in the language itself, in English, German, French
# and Chinese where a header may use them.
LANGUAGES: dict[str, str] = {
    "en": "eng english englisch anglais inglés inglese 英文 英語 英语",
    "de": "deu ger german deutsch allemand alemán tedesco 德文 德語 德语",
    "fr": "fra fre french französisch français francais francés francese 法文 法語 法语",
    "es": "spa spanish spanisch espagnol español espanol spagnolo 西班牙文 西班牙語 西班牙语",
    "it": "ita italian italienisch italien italiano 義大利文 意大利语",
    "pt": "por portuguese portugiesisch portugais português portugues 葡萄牙文 葡萄牙语",
    "nl": "nld dut dutch niederländisch néerlandais nederlands 荷蘭文 荷兰语",
    "zh": (
        "zho chi cmn chinese mandarin chinesisch chinois 中文 漢語 汉语 華語 國語 普通话 简体中文 "
        "繁體中文"
    ),
    "yue": "cantonese 粵語 粤语 廣東話",
    "ja": "jpn japanese japanisch japonais 日本語 日文 日語 日语",
    "ko": "kor korean koreanisch coréen 한국어 韓文 韓語 韩语",
    "ru": "rus russian russisch russe русский 俄文 俄語 俄语",
    "uk": "ukr ukrainian ukrainisch українська 烏克蘭文",
    "pl": "pol polish polnisch polonais polski",
    "cs": "ces cze czech tschechisch tchèque čeština cesky česky",
    "sk": "slk slo slovak slovenčina",
    "hu": "hun hungarian ungarisch magyar",
    "ro": "ron rum romanian rumänisch română romana",
    "bg": "bul bulgarian български",
    "el": "ell gre greek griechisch ελληνικά",
    "tr": "tur turkish türkisch türkçe turkce",
    "ar": "ara arabic arabisch arabe العربية",
    "he": "heb hebrew עברית",
    "fa": "fas per persian farsi فارسی",
    "hi": "hin hindi हिन्दी",
    "bn": "ben bengali বাংলা",
    "ta": "tam tamil தமிழ்",
    "th": "tha thai ไทย 泰文",
    "vi": "vie vietnamese tiếng việt 越南文",
    "id": "ind indonesian bahasa",
    "ms": "msa may malay melayu",
    "sv": "swe swedish schwedisch svenska",
    "da": "dan danish dänisch dansk",
    "no": "nor norwegian norwegisch norsk nb nn",
    "fi": "fin finnish finnisch suomi",
    "et": "est estonian eesti",
    "lv": "lav latvian latviešu",
    "lt": "lit lithuanian lietuvių",
    "ca": "cat catalan català",
    "la": "lat latin latein",
    "eo": "epo esperanto",
    "sw": "swa swahili kiswahili",
}
SIDES = {
    **dict.fromkeys(("source", "src", "original", "原文", "來源", "来源"), "source"),
    **dict.fromkeys(
        ("target", "tgt", "trg", "translation", "translated", "譯文", "译文", "翻譯", "翻译"),
        "target",
    ),
}
_CODES = {name: code for code, names in LANGUAGES.items() for name in (code, *names.split())}
_FILLERS = {
    "text",
    "texts",
    "sentence",
    "sentences",
    "segment",
    "string",
    "phrase",
    "in",
    "lang",
    "language",
}
# In a table these are more often numbers of rows than Indonesian or Norwegian.
_NOT_ALONE = {"id", "no"}
KNOWN = {name for names in NAMES.values() for name in names} | OTHERS
# Most characters, words and Chinese characters in a column's name.
WIDEST, MOST_WORDS, MOST_WIDE_LETTERS = 40, 3, 8
ROWS = 10_000  # rows below the first that are examined
ENOUGH = 10  # rows below which shares of them mean little


def language_of(code: str | None) -> str | None:
    """Return the code's first part if the language is known (zh-TW gives zh), else None."""
    return None if code is None else _CODES.get(re.split(r"[-_]", code.strip().casefold())[0])


def meaning(cell: str) -> tuple[str | None, str | None]:
    """Return the side and the language that a column's name states: `Source (English)` has both.

    (None, None) if the name states anything else.
    """
    name = cell.strip().casefold()
    code = re.fullmatch(r"([a-z]{2,3})[-_][a-z]{2,4}", name)
    if code is not None and code[1] in _CODES:
        return None, _CODES[code[1]]
    words = [word for word in re.split(r"[\W_]+", name) if word]
    words = [word for word in words if word not in _FILLERS] if len(words) > 1 else words
    sides = {SIDES[word] for word in words if word in SIDES}
    languages = {
        _CODES[word]
        for word in words
        if word in _CODES and word not in (_NOT_ALONE if len(words) == 1 else ())
    }
    if len(words) > len(sides) + len(languages) or len(sides) > 1 or len(languages) > 1:
        return None, None
    return next(iter(sides), None), next(iter(languages), None)


def sides_of(
    names: Sequence[str], source: str | None = None, target: str | None = None
) -> tuple[int, int] | None:
    """Return the places of source and target among columns' names: by side, or by two languages.

    source, target: the languages wanted; without them two columns that name one language each are
        taken in their order. None if the names do not decide it.
    """
    found = [meaning(name) for name in names]
    sides = [
        [place for place, one in enumerate(found) if one[0] == side]
        for side in ("source", "target")
    ]
    if [len(places) for places in sides] == [1, 1]:
        return sides[0][0], sides[1][0]
    spoken = {
        place: one[1] for place, one in enumerate(found) if one[1] is not None and one[0] is None
    }
    wanted = language_of(source), language_of(target)
    if len(set(spoken.values())) < len(spoken):
        spoken = {
            place: code
            for place, code in spoken.items()
            if code in wanted and [*spoken.values()].count(code) == 1
        }
    if wanted[0] and wanted[1] and set(wanted) <= set(spoken.values()):
        places = {code: place for place, code in spoken.items()}
        return places[wanted[0]], places[wanted[1]]
    if len(spoken) != 2 or (wanted[0] and wanted[1]):
        return None
    first, second = spoken
    if (source and wanted[0] is None) or (target and wanted[1] is None):
        return None  # no name here is known for a language that is wanted
    if wanted[0] not in (None, *spoken.values()) or wanted[1] not in (None, *spoken.values()):
        return None
    return (
        (second, first)
        if wanted[0] == spoken[second] or wanted[1] == spoken[first]
        else (first, second)
    )


def is_known(name: str) -> bool:
    """Tell whether a cell is a usual name of a column."""
    return name.strip().casefold() in KNOWN or meaning(name) != (None, None)


def header_verdict(first: Sequence[str], below: Sequence[Sequence[str]]) -> Verdict:
    """Decide if the first row names the columns, by its cells and how the rows below differ."""
    below = [row for row in below[:ROWS] if list(row) != list(first)]
    if not _is_short(first):
        return "no"
    columns = [
        [row[place].strip() for row in below if place < len(row) and row[place].strip()]
        for place in range(len(first))
    ]
    names = [cell.strip().casefold() for cell in first]
    if any(
        name and name in map(str.casefold, column)
        for name, column in zip(names, columns, strict=True)
    ):
        return "no"
    pairs = [(name, column) for name, column in zip(names, columns, strict=True) if name]
    if any(len(column) > 1 and all(map(is_number, column)) for _, column in pairs):
        return "yes"
    known = sum(map(is_known, first))
    if known > 1 or any(
        re.fullmatch(r"[^\W\d_]+(_\w+)+", name) and not any("_" in cell for cell in column)
        for name, column in pairs
    ):
        return "yes"
    if len(below) < ENOUGH:
        return "perhaps" if known else "no"
    alike = sum(map(_is_short, below)) / len(below)
    words = max(len(name.split()) for name in names)
    if alike <= 0.01 and words == 1:
        return "yes"
    labels = any(len(set(column)) <= len(column) / 4 for _, column in pairs)
    longer = any(
        2 * sum(len(cell.split()) > 1 for cell in column) > len(column) for _, column in pairs
    )
    if labels and longer and words == 1:
        return "yes"
    return "perhaps" if labels or alike <= 0.01 or (known and alike < 0.5) else "no"


def _is_short(row: Sequence[str]) -> bool:
    """Tell whether all cells could be names of columns: short, not sentences or numbers, distinct.

    The first may be empty (an index).
    """
    cells = [cell.strip() for cell in row]
    named = cells[1:] if cells and not cells[0] else cells
    return (
        len(cells) > 1
        and all(named)
        and len({cell.casefold() for cell in named}) == len(named)
        and not any(
            _is_long(cell) or is_number(cell) or cell[-1] in ".!?。！？…,;" for cell in named
        )
    )


def _is_long(cell: str) -> bool:
    wide = sum("\u3040" <= character <= "\u9fff" for character in cell)
    return len(cell) > WIDEST or len(cell.split()) > MOST_WORDS or wide > MOST_WIDE_LETTERS


def numbers_alone(cells: Iterable[str]) -> bool:
    """Tell whether the cells are several and hold numbers only."""
    found = [cell for cell in cells if cell.strip()]
    return len(found) > 1 and all(map(is_number, found))
