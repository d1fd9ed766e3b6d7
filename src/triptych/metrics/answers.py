"""Compute exact match and F1 of answers that are spans, as SQuAD and CMRC 2018 do.

SQuAD (Rajpurkar et al. 2016, section 6.1; 2018 for no answer): texts in lower case without ASCII
punctuation, articles and double spaces; F1 over the words that two texts share. CMRC 2018 (Cui et
al. 2019, section 4), for Chinese and Japanese: no punctuation; one unit for each Chinese character,
words elsewhere; F1 over the longest run of units that two texts share. Of several references the
best counts. 0-100.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CHARACTER_LANGUAGES = ("zh", "ja")
NO_ANSWER = ""  # the text of a reference or a prediction that there is no answer
SIGNATURES = {
    "squad": "SQuAD 2.0 normalisation, words",
    "zh": "CMRC 2018, characters and longest common run",
    "ja": "CMRC 2018 with kana as characters too, longest common run",
}
Similarity = Callable[[str, str], float]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
# The punctuation of CMRC 2018.
_SIGNS = "-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』"
_NO_SIGNS = str.maketrans("", "", _SIGNS)
_HAN = "\u4e00-\u9fa5"  # CMRC 2018's range
_JAPANESE = (
    "\u3005-\u3007\u303b\u3041-\u309f\u30a1-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U000323af"
)
_UNITS = {
    language: re.compile(f"[{block}]|[^{block}]+")
    for language, block in (("zh", _HAN), ("ja", _HAN + _JAPANESE))
}
_CHARACTER = {
    language: re.compile(f"[{block}]")
    for language, block in (("zh", _HAN), ("ja", _HAN + _JAPANESE))
}
_EAST_ASIAN, _KANA = re.compile(f"[{_JAPANESE}]"), re.compile("[\u3041-\u309f\u30a1-\u30fa]")
# Words of other scripts as the Penn Treebank cuts them: single signs, commas and colons unless a
# digit follows, clitics.
_ALONE = ';@#$%&?!*()\\[\\]{}<>«»“”‘’„‒–—―"'
_WORDS = re.compile(
    rf"\.\.+|`+|''|--|(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)|[{_ALONE}]|[:,](?!\d)|(?:(?!--|''|\.\.|[:,](?!\d))[^\s`{_ALONE}])+"
)
_OPENS = " ([{<«“‘„`"  # a quotation mark after one of these is an opening one
_CLITIC = re.compile(r"(?<=[^'\s])(?:'(?:s|m|d|ll|re|ve)|n't|')$", re.IGNORECASE)
_LAST_PERIOD = re.compile(r"(?<=[^.\s])\.(?=[\])}>\"'»”’ ]*$)")


@dataclass(frozen=True, slots=True)
class Counted:
    """Hold a mean over questions, and how it was counted."""

    value: float
    signature: str


def exact_match(
    predictions: Sequence[str], references: Sequence[Sequence[str]], languages: Sequence[str | None]
) -> Counted:
    """Compute the share of predictions that equal one of their references.

    references: the texts for each prediction; an empty list means that there is no answer.
    """
    return _mean(predictions, references, languages, _exact)


def f1(
    predictions: Sequence[str], references: Sequence[Sequence[str]], languages: Sequence[str | None]
) -> Counted:
    """Compute the mean over questions of the best F1 with one of the references."""
    return _mean(predictions, references, languages, _f1)


def _mean(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    languages: Sequence[str | None],
    score: Callable[[str, str, str], float],
) -> Counted:
    total, kinds = 0.0, set()
    for prediction, texts, language in zip(predictions, references, languages, strict=True):
        kind = counting(language, [*texts, prediction])
        kinds.add(kind)
        total += best(prediction, texts, kind, score)
    return Counted(
        100.0 * total / max(1, len(predictions)),
        ", ".join(SIGNATURES[kind] for kind in sorted(kinds, reverse=True)),
    )


def best(
    prediction: str, references: Sequence[str], kind: str, score: Callable[[str, str, str], float]
) -> float:
    """Return the best score with a reference.

    A reference that normalisation leaves empty counts as no answer (SQuAD 2.0).
    """
    kept = [
        text for text in references if (normalized(text) if kind == "squad" else text.strip())
    ] or [NO_ANSWER]
    return max(score(prediction, text, kind) for text in kept)


def counting(language: str | None, texts: Sequence[str] = ()) -> str:
    """Return "squad", "zh" or "ja": by the language's code, else by the script of the texts."""
    if language is not None:
        base = language.lower().split("-")[0]
        return base if base in CHARACTER_LANGUAGES else "squad"
    whole = "".join(texts)
    if len(_EAST_ASIAN.findall(whole)) * 2 <= len("".join(whole.split())):
        return "squad"
    return "ja" if _KANA.search(whole) else "zh"


def _exact(prediction: str, reference: str, kind: str) -> float:
    if kind == "squad":
        return float(normalized(prediction) == normalized(reference))
    return float(without_signs(prediction) == without_signs(reference))


def _f1(prediction: str, reference: str, kind: str) -> float:
    if kind == "squad":
        return word_f1(prediction, reference)
    if not prediction.strip() or not reference.strip():
        return float(prediction.strip() == reference.strip())
    return run_f1(prediction, reference, kind)


# SQuAD --------------------------------------------------------------------------------------------


def normalized(text: str) -> str:
    """Normalise a text: lower case, no ASCII punctuation, no English article, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def word_f1(prediction: str, reference: str) -> float:
    """Compute F1 of the words of two normalised texts, with repetitions.

    If one of them has no words, the score is 1 if neither has, else 0.
    """
    given, wanted = normalized(prediction).split(), normalized(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))


# CMRC 2018 ----------------------------------------------------------------------------------------


def without_signs(text: str) -> str:
    return text.lower().strip().translate(_NO_SIGNS)


def units(text: str, language: str = "zh") -> list[str]:
    """Return the units that F1 counts: Chinese characters and the words between, no punctuation.

    In Japanese kana are units too.
    """
    found: list[str] = []
    for piece in _UNITS[language].findall(without_signs(text)):
        found += [piece] if _CHARACTER[language].match(piece) else words(piece)
    return found


def words(text: str) -> list[str]:
    """Split a text in an alphabet into words by the Penn Treebank's rules.

    A period is a word only at the end.
    """
    found: list[str] = []
    text = _LAST_PERIOD.sub(" . ", text)
    for match in _WORDS.finditer(text):
        word = match[0]
        if word == '"':  # opening and closing marks are different words
            before = text[: match.start()]
            word = (
                "``"
                if not before or (before[-1] in _OPENS and not before.endswith(" . "))
                else "''"
            )
        clitic = _CLITIC.search(word)
        found += [word[: clitic.start()], clitic[0]] if clitic and clitic.start() else [word]
    return found


def run_f1(prediction: str, reference: str, language: str = "zh") -> float:
    """Compute F1 where two texts share their longest common run of units."""
    given, wanted = units(prediction, language), units(reference, language)
    shared = longest_run(given, wanted)
    return 2 * shared / (len(given) + len(wanted)) if shared else 0.0


def longest_run(one: Sequence[str], other: Sequence[str]) -> int:
    """Return the length of the longest run of units that both sequences contain."""
    longest, before = 0, [0] * (len(other) + 1)
    for unit in one:
        row = [0] * (len(other) + 1)
        for place, its in enumerate(other):
            if unit == its:
                row[place + 1] = before[place] + 1
        longest, before = max(longest, max(row)), row
    return longest
