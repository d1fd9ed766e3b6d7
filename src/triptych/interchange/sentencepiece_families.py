"""Write the SentencePiece files of each published family as a tokenizer.json."""

from __future__ import annotations

from collections.abc import Mapping

from . import sentencepiece_file
from . import sentencepiece_tokenizers as layouts
from .sentencepiece_file import SentencePieceFile
from .sentencepiece_tokenizers import BERT, ENDED, PAIRED, Layout, tokenizer_json
from .tokenizer_given import NUMBERS, Given, Source, listed, source_of, vocabulary, written

TWO = ("source.spm", "target.spm")


def pieces(given: Given, name: str) -> Source:
    held = sentencepiece_file.read(given.path / name)
    if (given.path / NUMBERS).is_file() and given.kind == "m2m_100":
        numbers = vocabulary(given.path / NUMBERS)
        languages = [f"__{one}__" for one in layouts.M2M]
        numbers |= {one: len(numbers) + place for place, one in enumerate(languages)
                    if len(numbers) + place < given.rows}  # fmt: skip
        layout = layouts.numbered(held, numbers, [*layouts.FAIRSEQ, *languages], "<unk>")
        marked = f"__{given.settings.get('src_lang') or 'en'}__"
        layout.single, layout.pair = f"{marked} $A </s>", f"{marked} $A $B </s>"
        return source_of(tokenizer_json(held, _checked(layout)), name, _notes(held, numbers, name))
    return source_of(tokenizer_json(held, _checked(_layout(given, held))), name)


def _layout(given: Given, held: SentencePieceFile) -> Layout:
    """Return the numbers of pieces, and what stands around a text, by the kind of model."""
    kind, settings = given.kind, given.settings
    if kind in ("t5", "mt5", "switch_transformers", "umt5"):
        count = settings.get("extra_ids", 100)
        fits = type(count) is int and 0 <= count <= given.rows - len(held.pieces)
        sentinels = [f"<extra_id_{one}>" for one in range(count - 1, -1, -1)] if fits else []
        layout = layouts.as_numbered(held, sentinels)
        layout.single, layout.pair = "$A </s>", "$A </s> $B </s>"
    elif kind in ("xlm-roberta", "xlm-roberta-xl", "camembert"):
        layout = (
            layouts.camembert(held) if kind == "camembert" else layouts.fairseq(held, ["<mask>"])
        )
        layout.single, layout.pair = PAIRED
    elif kind in ("mbart", "m2m_100"):
        layout = _languages(given, held)
    elif kind == "pegasus":
        offset = settings.get("offset", layouts.OFFSET)
        small = type(offset) is int and 0 <= offset <= given.rows
        layout = layouts.pegasus(held, offset if small else layouts.OFFSET)
        layout.single, layout.pair = ENDED
    elif kind in ("albert", "big_bird", "deberta-v2"):
        layout = layouts.as_numbered(held, ["[MASK]"] if kind == "deberta-v2" else [])
        layout.single, layout.pair = BERT
        layout.lower = settings.get("do_lower_case", kind == "albert") is True
        if kind == "albert":
            layout.strip_accents = settings.get("keep_accents") is not True
            layout.plain_quotes = True
    else:
        layout = layouts.as_numbered(held)
        begin = given.name("bos", "<s>")
        if settings.get("add_bos_token", True) is not False:
            layout.single, layout.pair = f"{begin} $A", f"{begin} $A {begin} $B"
    return layout


def _languages(given: Given, held: SentencePieceFile) -> Layout:
    """Return the layout of a model with several languages, of which one marks a text."""
    rows, name = given.rows, given.tokenizer_class
    if given.kind == "m2m_100":  # NLLB
        codes = [one for one in listed(given) if one not in (*layouts.FAIRSEQ, "<mask>")]
        if not codes:
            raise ValueError("no file lists its languages as additional_special_tokens")
        is_first, usual = given.settings.get("legacy_behaviour") is not True, "eng_Latn"
    else:
        is_first = "50" in name or (
            not name and rows >= len(held.pieces) + len(layouts.MBART + layouts.MBART_50)
        )
        codes = layouts.MBART + (layouts.MBART_50 if is_first else [])
        usual = "en_XX"
    layout = layouts.fairseq(held, [*codes, "<mask>"])
    marked = given.settings.get("src_lang") or usual
    around = (f"{marked} $A </s>", f"{marked} $A $B </s>")
    layout.single, layout.pair = (
        around if is_first else (f"$A </s> {marked}", f"$A $B </s> {marked}")
    )
    return layout


def _checked(layout: Layout) -> Layout:
    """Raise ValueError if what stands around a text is no token."""
    names = {one.text for one in layout.pieces}
    parts = [part.partition("|")[0] for part in layout.single.split() if part[0] != "$"]
    lacking = [one for one in parts if one not in names]
    if lacking:
        raise ValueError(f"it has no token {', '.join(lacking)}")
    return layout


def two_sides(given: Given) -> Source:
    """Read a Marian's two SentencePiece files, whose pieces have the numbers of one vocab.json."""
    numbers = vocabulary(given.path / NUMBERS)
    if given.settings.get("separate_vocabs") is True:
        raise ValueError("two vocabularies (separate_vocabs) are not supported")
    roles = {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}
    names = {role: given.name(role, default) for role, default in roles.items()}
    lacking = [name for name in names.values() if name not in numbers]
    if lacking:
        raise ValueError(f"{NUMBERS} has no token {', '.join(lacking)}")
    specials = [*names.values(), *(one for one in numbers if one[:2] == ">>" and one[-2:] == "<<")]
    texts: list[str] = []
    notes: list[str] = []
    for name in TWO:
        held = sentencepiece_file.read(given.path / name)
        layout = layouts.numbered(held, numbers, specials, names["unk"])
        layout.single, layout.pair = (one.replace("</s>", names["eos"]) for one in ENDED)
        texts.append(written(tokenizer_json(held, layout)))
        notes += _notes(held, numbers, name)
    kept = (*TWO, NUMBERS)
    return Source(text=texts[0], file=TWO[0], target=texts[1], notes=notes, kept=kept)


def _notes(held: SentencePieceFile, numbers: Mapping[str, int], name: str) -> list[str]:
    count = layouts.without_numbers(held, numbers)
    if not count:
        return []
    return [f"{name}: {count:,} pieces have no number in {NUMBERS}; others spell their texts."]
