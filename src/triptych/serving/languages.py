"""Know which languages the served translation runs read and write, and detect that of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..data.formats.headers import LANGUAGES
from .problems import ApiError
from .served import Served, ServedRun

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

UNDETERMINED = "und"  # ISO 639: the language of a run whose data names none
DETECTED_CHARACTERS = 2000  # of a text, by which its language is told
LEAST_SHOWN = 0.01  # probability of a language that is named


@dataclass(frozen=True, slots=True)
class Translator:
    """Hold a run that translates and its languages, as the run spells them."""

    run: ServedRun
    sources: tuple[str, ...]
    targets: tuple[str, ...]


def translators(served: Served) -> list[Translator]:
    """Return the runs that translate."""
    return [translator(one) for one in served if one.spec.targets == "languages"]


def translator(run: ServedRun) -> Translator:
    """Return the languages of a run that translates."""
    named: dict[str, Sequence[str]] = run.predictor.labels.get("languages", {})
    sources, targets = named.get("source") or (), named.get("targets") or ()
    return Translator(run, tuple(sources) or (UNDETERMINED,), tuple(targets) or (UNDETERMINED,))


def spelt(wanted: str, known: Sequence[str]) -> str | None:
    """Return the one of `known` that is meant by a code: "zh" may be held as "zh-TW" or "zh_CN"."""
    if wanted in known:
        return wanted
    return next((one for one in known if plain(one) == plain(wanted)), None)


def plain(code: str) -> str:
    """Return the code of a language alone: "pt" of "pt-BR", "en" of "en_XX" and "eng_Latn"."""
    first = code.replace("_", "-").split("-")[0].lower()
    return next((two for two, names in LANGUAGES.items() if first in names.split()[:3]), first)


def name_of(code: str) -> str:
    """Return the English name of a language, or its code where no name is known."""
    names = LANGUAGES.get(plain(code), "").split()
    english = next((one for one in names if one.isascii() and len(one) > 3), None)
    return "Undetermined" if code == UNDETERMINED else english.title() if english else code


def listed(found: Sequence[Translator]) -> Iterator[dict[str, object]]:
    """Yield every source language with its name and the languages it is translated to."""
    for source in dict.fromkeys(code for one in found for code in one.sources):
        targets = {
            code: None
            for one in found
            if source in one.sources
            for code in one.targets
            if code != source
        }
        yield {"code": source, "name": name_of(source), "targets": sorted(targets)}


# Detecting ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise ApiError(
            "The language of a text is detected by py3langid, which is not installed. Name the "
            "source language, or install the extra: pip install 'triptych[serve]'"
        ).at(400, "source") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def detect(text: str) -> list[tuple[str, float]]:
    """Return the languages (ISO 639-1) that a text may be in with their probabilities.

    The most probable stands first; a text without a letter is in none. The model is that of
    py3langid (Lui & Baldwin 2012, https://aclanthology.org/P12-3005).
    """
    if not any(map(str.isalpha, text)):
        return []
    return [
        (code, chance)
        for code, chance in _identifier().rank(text[:DETECTED_CHARACTERS])
        if chance >= LEAST_SHOWN
    ]


def detected(text: str, among: Sequence[str]) -> tuple[str, float]:
    """Return which of some languages a text is most probably in, and the probability.

    A text in none of them counts as the first of them, with the probability 0.
    """
    by_code = {plain(code): code for code in reversed(among)}
    for code, chance in detect(text) if len(by_code) > 1 or UNDETERMINED not in by_code else []:
        if code in by_code:
            return by_code[code], chance
    return among[0], 0.0
