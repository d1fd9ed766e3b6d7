"""Moses tokens, for one published scale of BLEU. Nothing else uses them.

The rules are those of the Moses tokenizer (Koehn et al. 2007): signs stand alone, a comma stays inside a number, apostrophes go by
language, a full stop stays with an abbreviation; with `split_hyphens` (its `-a`) a hyphen between letters becomes `@-@`.
"""

from __future__ import annotations

import re
import unicodedata

# Abbreviations that keep their full stop, beside single capitals; those of NUMBERS only before a digit.
ABBREVIATIONS = {
    "en": "Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl DR Dr Drs Ens Gen Gov Hon Hr Hosp Insp Lt MM MR MRS MS Maj "
          "Messrs Mlle Mme Mr Mrs Ms Msgr Op Ord Pfc Ph Prof Pvt Rep Reps Res Rev Rt Sen Sens Sfc Sgt Sr St Supt Surg v vs i.e rev e.g",
    "de": "Adj Adm Adv Asst Bart Bldg Brig Bros Capt Cmdr Col Comdr Con Corp Cpl DR Dr Ens Gen Gov Hon Hosp Insp Lt MM MR MRS MS Maj Messrs "
          "Mlle Mme Mr Mrs Ms Msgr Op Ord Pfc Ph Prof Pvt Rep Reps Res Rev Rt Sen Sens Sfc Sgt Sr St Supt Surg Mio Mrd bzw v vs usw d.h z.B "
          "u.a etc MwSt ggf dh Ca ca Nr nr Art art Bd bd Std std Str str Jh jh Abs abs Bsp bsp",
    "fr": "A.D Ab Adj adv al amp ann apr art auj av b bd biol bot bull c.-à-d ca cf ch chap chim cm coll dept dir Dr e.g ed env etc ex fig "
          "hab hist i.e id inf jr M Me Mgr Mlle Mlles MM Mme Mmes n.b op p.ex pp Pr réf St Ste suiv v vol vs",
    "cs": "Bc BcA Ing Ing.arch MUDr MVDr MgA Mgr JUDr PhDr RNDr PharmDr ThLic ThDr Ph.D Th.D prof doc CSc DrSc dr např tj tzv tzn str obr "
          "tab atd apod aj č čj p r s v vč mj",
}  # fmt: skip
ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX"
ABBREVIATIONS["de"] += " " + " ".join([*map(str, range(1, 100)), ROMAN, ROMAN.lower()])  # ordinals
ABBREVIATIONS["cs"] += " les zahr sport film horn telev rus slov arch hud stol var lid dat let náb geol hist bot kol aut s"  # words that are also abbreviations
NUMBERS = {"en": "No Nos Art Nr pp", "de": "No Nos Art Nr pp", "fr": "no nos", "cs": "str s č"}
_ALNUM_TABLE: dict[str, bool] = {}


def tokenize(text: str, language: str = "en", split_hyphens: bool = False) -> list[str]:
    """Moses tokens of one line."""
    code = language.lower().split("-")[0] or "en"
    text = " ".join(re.sub(r"[\x00-\x1f]", "", re.sub(r"\s+", " ", text)).split())
    text = "".join(c if _alnum(c) or c in " .'`,-" or c.isspace() else f" {c} " for c in text)
    if split_hyphens:
        text = re.sub(r"(\w)-(?=\w)", lambda match: f"{match[1]} @-@ " if _alnum(match[1]) else match[0], text)
    text = re.sub(r"\.{2,}", lambda match: f" DOT{'MULTI' * (len(match[0]) - 1)} ", text)
    text = re.sub(r"([^0-9]),", r"\1 , ", text)
    text = re.sub(r",([^0-9])", r" , \1", text)
    text = re.sub(r"([0-9]),$", r"\1 , ", text)
    text = _apostrophes(text, code)
    return [_dots(token) for token in _full_stops(text.split(), code)]


def _alnum(character: str) -> bool:
    """Letters, marks that letters carry, and digits, as Perl's IsAlnum has them."""
    if character not in _ALNUM_TABLE:
        _ALNUM_TABLE[character] = character.isalpha() or unicodedata.category(character) in ("Nd", "Nl", "Mn", "Mc")
    return _ALNUM_TABLE[character]


def _apostrophes(text: str, code: str) -> str:
    """English splits before ("it 's"), French and Italian after ("l' homme"), the others on both sides."""
    if code not in ("en", "fr", "it", "ga", "ca"):
        return text.replace("'", " ' ")
    out = []
    for place, character in enumerate(text):
        if character != "'":
            out.append(character)
            continue
        before = text[place - 1] if place else " "
        after = text[place + 1] if place + 1 < len(text) else " "
        left, right = before.isalpha(), after.isalpha()
        if left and right:
            out.append(" '" if code == "en" else "' ")
        elif code == "en" and before.isdigit() and after == "s":
            out.append(" '")
        else:
            out.append(" ' ")
    return "".join(out)


def _full_stops(tokens: list[str], code: str) -> list[str]:
    keep = set(ABBREVIATIONS.get(code, ABBREVIATIONS["en"]).split())
    numbers = set(NUMBERS.get(code, NUMBERS["en"]).split())
    out: list[str] = []
    for place, token in enumerate(tokens):
        match = re.fullmatch(r"(\S+)\.", token)
        if match is None:
            out.append(token)
            continue
        stem, following = match[1], tokens[place + 1] if place + 1 < len(tokens) else ""
        single = len(stem) == 1 and stem.isupper()
        dotted = "." in stem and any(character.isalpha() for character in stem)
        before_number = stem in numbers and following[:1].isdigit()
        if dotted or single or (stem in keep and stem not in numbers) or following[:1].islower() or before_number:
            out.append(token)
        else:
            out += [stem, "."]
    return out


def _dots(token: str) -> str:
    return re.sub(r"^DOT((?:MULTI)+)$", lambda match: "." * (len(match[1]) // 5 + 1), token)
