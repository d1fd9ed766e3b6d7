"""Tokenize English, German, French and Czech as lower-cased Moses tokens.

They serve one published scale of BLEU and nothing else. `published_tokens` reproduces Multi30k's
own `lc.norm.tok` files: lower-case, normalise punctuation, tokenise. Hyphens stay. So the German
reference of test_2016_flickr has 12,103 tokens, the number beside the published 41.02. Rules:
punctuation is separate, a comma stays inside a number, apostrophes go by language, a full stop
stays with an abbreviation (Koehn et al. 2007).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from string import ascii_letters, ascii_uppercase

from ..errors import unknown

ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX"
# Words that keep a full stop: those of the Moses lists that occur in Multi30k. Some are ordinary
# words (Czech "les", a forest).
WORDS = {
    "en": ["Corp Dr Mr Mrs St v vs", *ascii_uppercase],
    "de": [
        "Art Bart Corp Dr Mr No Nr St bzw ca evtl usw vs",
        *ascii_letters,
        ROMAN,
        ROMAN.lower(),
        *map(str, range(1, 100)),
    ],
    "fr": ["art sec vol vs", *ascii_letters[1:]],
    "cs": [
        (
            "f m n p r s č ř Dr ak aut bot cca dl film hod hor ind kol les lék metr no než něm "
            "odd pas port práv red sport st tab"
        ),
        "tech čas vs",
    ],
}
ABBREVIATIONS = {language: frozenset(" ".join(words).split()) for language, words in WORDS.items()}
ABBREVIATIONS_OF_NUMBERS = {"en": frozenset({"No"})}  # keep it before a digit only
_QUOTES = str.maketrans(
    {**dict.fromkeys("„“”‚’‘", '"'), "´": "'", "`": "'", "–": "-", "—": " - ", "…": "..."}
)


def require(language: str) -> str:
    """Return the code of a supported language. Raises UsageError that lists them for another."""
    code = language.lower().split("-")[0]
    if code not in ABBREVIATIONS:
        raise unknown("language", language, ABBREVIATIONS, "for bleu_tokenized_lowercased")
    return code


def published_tokens(text: str, language: str) -> list[str]:
    """Tokenize one line on the scale of Multi30k's published figures."""
    return tokenize(normalize(text.lower(), language), language)


def normalize(text: str, language: str) -> str:
    """Unify quotation marks, apostrophes, dashes and ellipses.

    Stops and commas go to the side of a quotation mark that the language uses.
    """
    code = require(language)
    text = re.sub(r"(?<=[a-z])[‘’](?=[a-z])", "'", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)\u00a0(?=\d)", "." if code == "en" else ",", text)
    text = (
        re.sub(r"« ?| ?»", '"', text.replace("\u00a0", " ")).translate(_QUOTES).replace("''", '"')
    )
    if code == "en":
        return re.sub(r'"([,.]+)', r'\1"', text)
    if code == "cs":
        return text
    return re.sub(r'(\.+)"(?!\s*<)', r'"\1', text.replace(',"', '",'))


def tokenize(text: str, language: str, split_hyphens: bool = False) -> list[str]:
    """Split one line into Moses tokens, keeping its case.

    With `split_hyphens` (Moses' `-a`) a hyphen inside a word becomes ` @-@ `.
    """
    code = require(language)
    text = re.sub(r"[\x00-\x1f]", "", re.sub(r"\s+", " ", text)).strip()
    text = re.sub(
        r"[^\s.'`,-]", lambda match: match[0] if _in_words(match[0]) else f" {match[0]} ", text
    )
    if split_hyphens:
        text = re.sub(r"(?<=\w)-(?=\w)", " @-@ ", text)
    text = re.sub(r"\.{2,}", r" \g<0> ", text)
    text = re.sub(r"(?<=\D),|,(?=\D)|(?<=\d),$", " , ", text)
    tokens = _full_stops(_apostrophes(text, code).split(), code)
    if tokens and len(tokens[-1]) > 1 and tokens[-1].endswith(".'"):
        tokens[-1:] = [*filter(None, [tokens[-1][:-2]]), ".", "'"]
    return tokens


@cache
def _in_words(character: str) -> bool:
    """Tell whether a character belongs to words: letters, decimal digits, numerals like Roman ones.

    Signs, marks and superscripts are separate tokens.
    """
    return unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl")


def _apostrophes(text: str, code: str) -> str:
    """Split at apostrophes: before in English ("it 's"), after in French ("l' homme"), or both."""
    if code not in ("en", "fr"):
        return text.replace("'", " ' ")
    letter, other, before = r"[^\W\d]", r"[\W\d]", r"[\W\d]" if code == "fr" else r"\W"
    text = re.sub(f"({other})'({other})", r"\1 ' \2", text)
    text = re.sub(f"({before})'({letter})", r"\1 ' \2", text)
    text = re.sub(f"({letter})'({other})", r"\1 ' \2", text)
    text = re.sub(f"({letter})'({letter})", r"\1 '\2" if code == "en" else r"\1' \2", text)
    return re.sub(r"(\d)'(s)", r"\1 '\2", text) if code == "en" else text


def _full_stops(tokens: list[str], code: str) -> list[str]:
    """Split a full stop off a word, except abbreviations, dotted words and before a small letter.

    Runs of dots stay whole.
    """
    keeps, before_numbers = ABBREVIATIONS[code], ABBREVIATIONS_OF_NUMBERS.get(code, frozenset())
    out: list[str] = []
    for token, following in zip(tokens, [*tokens, ""][1:], strict=True):
        stem = token[:-1]
        if (
            not token.endswith(".")
            or not stem.strip(".")
            or stem in keeps
            or following[:1].islower()
            or ("." in stem and any(character.isalpha() for character in stem))
            or (stem in before_numbers and following[:1] in set("0123456789"))
        ):
            out.append(token)
        else:
            out += [stem, "."]
    return out
