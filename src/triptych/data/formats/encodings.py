"""Find the encoding of a user's file that is not UTF-8, and check the name of a given one.

UTF-16 and UTF-32 are recognised by their byte order mark and read without being named. Any other
encoding is a guess, so it is advised and shown with a line that the user can judge, never applied.
Encodings of Chinese, Japanese and Korean are told apart by their most frequent characters, because
a statistic over a few short lines confuses them; the others are left to charset-normalizer.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import UsageError, unknown
from ...messages import message

# Longer marks first: that of UTF-32 begins with that of UTF-16.
WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
NAMES = {  # what a user calls an encoding, beside the name that --encoding takes
    "cp1252": "Windows-1252 (Western)",
    "iso8859-15": "ISO-8859-15 (Western)",
    "cp1250": "Windows-1250 (Central European)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1255": "Windows-1255 (Hebrew)",
    "cp1256": "Windows-1256 (Arabic)",
    "cp1257": "Windows-1257 (Baltic)",
    "koi8-r": "KOI8-R (Cyrillic)",
    "mac-roman": "Mac Roman",
    "gb18030": "GBK or GB18030 (simplified Chinese)",
    "big5": "Big5 (traditional Chinese)",
    "cp932": "Shift-JIS (Japanese)",
    "euc-jp": "EUC-JP (Japanese)",
    "cp949": "EUC-KR (Korean)",
    "utf-16-le": "UTF-16 without a byte order mark",
    "utf-16-be": "UTF-16 without a byte order mark",
    "utf-32-le": "UTF-32 without a byte order mark",
    "utf-32-be": "UTF-32 without a byte order mark",
}
# Encodings of single bytes in which people have files. ISO-8859-1 is read as cp1252, which has its
# letters and gives the bytes 0x80 to 0x9F as quotation marks and dashes, not as control characters.
SINGLE = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r",
    "mac_roman",
]  # fmt: skip
# Letters with accents by language, in the order in which equally good encodings are taken: English
# with loanwords, French, German and Dutch, Spanish, Portuguese, Italian, the Nordic languages; then
# Czech and Slovak, Polish, Hungarian, South Slavic, Romanian; Turkish; the Baltic languages.
WESTERN = (
    "àâäáçéèêëïîíñóôöüùûœæø", "àâæçéèêëîïôœùûüÿ", "äöüßéèëïóö", "áéíóúüñºª", "áâãàçéêíóôõúüºª",
    "àèéìíîòóù", "åäöæøéü",
)  # fmt: skip
ALPHABETS = (
    ("cp1252", WESTERN),
    ("iso8859-15", WESTERN),
    ("cp1250", (
        "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "ąćęłńóśźż", "áéíóöőúüű", "čćđšž", "ăâîşţ",
    )),
    ("cp1254", ("çğıöşüâîi̇",)),
    ("cp1257", ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž")),
    ("mac-roman", WESTERN),
    ("cp1252", ("áæéíðóöþúý",)),  # Icelandic, whose letters are those of Turkish
)  # fmt: skip
CLEAR_SHARE = 0.7  # of the characters of a guess that must be frequent ones
KANA_SHARE = 0.15  # of Japanese that is hiragana or katakana, at least
FEWEST_HANGUL = 5  # fewer may be Chinese as well
HANGUL_SHARE = 0.97  # of Korean; Chinese read as Korean has many Chinese characters left
TYPOGRAPHIC = "“”‘’„‚…–—•€™«»\u00a0§°©®£¿¡·"  # signs in texts of any language
SAMPLE_BYTES = 1 << 16
# Chinese in UTF-16 has zero bytes only in its line ends and ASCII characters.
FEWEST_ZEROS = 1000
SHOWN = 40  # characters of a line that a message shows
_HIGH = re.compile(rb"[\x80-\xff]+")
_KANA = re.compile(r"[\u3041-\u30ff]")
_HANGUL = re.compile(r"[\uac00-\ud7a3\u3000-\u3002\uff01-\uff5e]")
_NOT_TEXTS = {"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "utf-7"}


@dataclass(frozen=True, slots=True)
class EncodingGuess:
    """Hold the encoding that fits the bytes of a file best."""

    name: str  # as --encoding takes it
    line: int  # the first line that is not UTF-8
    text: str  # that line, read so

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= SHOWN else f"{self.text[:SHOWN]}..."
        return message(
            "It looks like {names}. Read it with --encoding {name} (line {line:,} "
            "is then {shown!r})",
            names=NAMES[self.name],
            name=self.name,
            line=self.line,
            shown=shown,
        )


def known(name: str) -> str:
    """Return an encoding's name for `bytes.decode`. Raises UsageError if there is no such one."""
    try:
        found = codecs.lookup(name.strip()).name
    except (LookupError, ValueError):
        raise unknown("encoding", name, [*NAMES, "utf-8", "utf-16", "utf-32"]) from None
    try:
        "".encode(found)
    except (LookupError, UnicodeError, TypeError):
        found = "undefined"
    if found.replace("_", "-") in _NOT_TEXTS:
        raise UsageError(
            "--encoding {name} is not an encoding of text files. Examples: "
            "{names}, gb18030, utf-16.",
            name=name,
            names=", ".join([*NAMES][:3]),
        )
    return "utf-8-sig" if found == "utf-8" else found


def wide_mark(raw: bytes) -> str | None:
    """Return "utf-16" or "utf-32" if a file begins with its byte order mark, else None."""
    return next((name for mark, name in WIDE_MARKS if raw.startswith(mark)), None)


def without_mark(raw: bytes, fewest: int = 8) -> str | None:
    """Return the UTF-16 or UTF-32 that a file's zero bytes show, if it has no byte order mark.

    fewest: one byte in so many must be zero.
    """
    sample = raw[: SAMPLE_BYTES // 4 * 4]
    zeros = sample.count(0)
    if not zeros or fewest * zeros < len(sample):
        return None
    counts = [sample[place::4].count(0) for place in range(4)]
    most = len(sample) // 4
    if len(raw) % 4 == 0 and (min(counts[2:]) == most or min(counts[:2]) == most):
        return "utf-32-le" if min(counts[2:]) == most else "utf-32-be"
    odd = counts[1] + counts[3]
    if max(odd, zeros - odd) < 0.9 * zeros or len(raw) % 2:
        return None
    return "utf-16-le" if 2 * odd > zeros else "utf-16-be"


def guessed(raw: bytes) -> EncodingGuess | None:
    """Return the encoding that fits a file that is not UTF-8, or None if none does.

    None also if most lines with other than ASCII characters are UTF-8: such a file is damaged in
    some lines, and another encoding would damage the others.
    """
    name = without_mark(raw, FEWEST_ZEROS)
    if name is not None:
        lines = raw.decode(name, "replace").splitlines()
        return EncodingGuess(name, 1, lines[0] if lines else "")
    wrong = {number for number, _, _ in not_utf8_bytes(raw)}
    odd = [(number, line) for number, line in _high_lines(raw) if number in wrong]
    if not odd or 2 * len(odd) < sum(1 for _ in _high_lines(raw)):
        return None
    sample = b"\n".join(line for _, line in odd)[:SAMPLE_BYTES]
    sample = sample[: sample.rfind(b"\n")] if len(sample) == SAMPLE_BYTES else sample
    best = _east_asian(sample) or _single(sample)
    if best is None:
        return None
    number, line = odd[0]
    return EncodingGuess(best, number, line.decode(best, "replace").strip())


def not_utf8_bytes(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (line, byte, column) of the first byte of each line that is not UTF-8."""
    for number, line in _high_lines(raw):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as problem:
            yield number, line[problem.start], problem.start + 1


def _high_lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(raw.split(b"\n"), 1) if not line.isascii())


def _decoded(raw: bytes, name: str) -> str:
    """Return the characters beyond ASCII of a text, nothing if it is not in this encoding."""
    try:
        return "".join(one for one in raw.decode(name) if not one.isascii())
    except UnicodeDecodeError:
        return ""


def _east_asian(raw: bytes) -> str | None:
    """Return the encoding of Chinese, Japanese or Korean whose frequent characters the text has."""
    for name in ("cp932", "euc-jp"):
        text = _decoded(raw, name)
        if text and len(_KANA.findall(text)) >= KANA_SHARE * len(text):
            narrow = sum("\uff61" <= one <= "\uff9f" for one in text)
            if narrow < KANA_SHARE * len(text):
                return name
    runs = [len(run[0]) for run in _HIGH.finditer(raw)]
    if 2 * runs.count(1) > len(runs):  # single letters with accents, between those of ASCII
        return None
    text = _decoded(raw, "euc_kr")
    hangul = len(_HANGUL.findall(text))
    if hangul >= FEWEST_HANGUL and hangul >= HANGUL_SHARE * len(text):
        return "cp949"
    shares = {
        name: _share(_decoded(raw, name), codec, leads)
        for name, codec, leads in (
            ("gb18030", "gb2312", range(0xB0, 0xD8)),
            ("big5", "big5", range(0xA4, 0xC7)),
        )
    }
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= CLEAR_SHARE else None


def _share(text: str, codec: str, leads: range) -> float:
    """Return how many characters are frequent ones, those of the first level of a standard.

    codec: the standard; leads: first bytes of that level's characters. Full-width signs count.
    """
    if not text:
        return 0.0
    good = 0
    for one in text:
        code = one.encode(codec, "ignore")
        good += "\u4e00" <= one <= "\u9fff" and bool(code) and code[0] in leads
        good += "\u3000" <= one <= "\u3017" or "\uff01" <= one <= "\uff5e" or one in "“”‘’…—"
    return good / len(text)


def _single(raw: bytes) -> str | None:
    """Return the encoding of single bytes that fits a text.

    Latin letters with accents are judged by the alphabets of languages: to a statistic the same
    bytes are as good in every encoding. Other scripts are left to charset-normalizer.
    """
    from charset_normalizer import from_bytes

    runs = [len(run[0]) for run in _HIGH.finditer(raw)]
    if 2 * sum(one <= 2 for one in runs) > len(runs):
        return _latin(raw)
    best = from_bytes(raw, cp_isolation=SINGLE, threshold=0.5).best()
    return None if best is None else best.encoding.replace("_", "-")


def _latin(raw: bytes) -> str | None:
    """Return the encoding in which most letters belong to one language; the first of several."""
    shares: dict[str, float] = {}
    for name, alphabets in ALPHABETS:
        text = _decoded(raw, name).lower()
        letters = [one for one in text if one not in TYPOGRAPHIC]
        counts = [sum(one in alphabet for one in letters) for alphabet in alphabets]
        share = max(counts) / len(letters) if letters else float(bool(text))
        if share > shares.get(name, 0.0):
            shares[name] = share
    return max(shares, key=shares.__getitem__, default=None)
