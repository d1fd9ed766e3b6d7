"""Say what stands around sources and answers of an imported encoder-decoder, and its task."""

from __future__ import annotations

import re

import tokenizers

from ..data.tokenizers.answer_sides import LANGUAGE, Sides
from ..data.tokenizers.tokenizer_file import encoded, read, token_of
from ..errors import RunError, brief, unknown
from ..interchange.huggingface import Folder
from ..model.config import ModelConfig
from ..tasks import summarization, text_to_text, translation
from ..tasks.specs import build_task
from .heads import Use

TASKS = (translation.SPEC.name, summarization.SPEC.name, text_to_text.SPEC.name)
# en_XX of mBART, __en__ of M2M-100, eng_Latn of NLLB
CODES = re.compile(r"([a-z]{2,3})_[A-Z]{2}|__([a-z]{2,8})__|([a-z]{3}_[A-Z][a-z]{3})")
TAGS = re.compile(r">>([A-Za-z][\w@-]*)<<")  # of Marian: the target's language, before the source
FEWEST_LANGUAGES = 2


def sides_of(folder: Folder) -> Sides:
    """Return the tokens around a source and at the beginning of an answer, from a folder's files.

    Raises RunError if no file says how an answer begins.
    """
    where = folder.tokenizer_path
    _, backend = read(folder.tokenizer, where, None)
    found = encoded(backend, "a", where)
    texts = [place for place, side in enumerate(found.sequence_ids) if side is not None]
    before, after = found.ids[: texts[0]], found.ids[texts[-1] + 1 :]
    tags = languages_of(backend, TAGS)
    languages = {} if tags else languages_of(backend)
    codes = {token: name for name, token in languages.items()}
    starts = _starts(folder, backend, bool(languages))
    marked = next((codes[one] for one in (*before, *after) if one in codes), None)
    return Sides(
        before=[LANGUAGE if one in codes else one for one in before],
        after=[LANGUAGE if one in codes else one for one in after],
        starts=[LANGUAGE if one in codes else one for one in starts],
        languages=tags or languages,
        language=marked,
    )


def languages_of(backend: tokenizers.Tokenizer, codes: re.Pattern[str] = CODES) -> dict[str, int]:
    """Return the languages whose names are special tokens: name -> token, sorted."""
    found: dict[str, int] = {}
    for number, added in backend.get_added_tokens_decoder().items():
        match = codes.fullmatch(added.content)
        if match is not None:
            found[next(one for one in match.groups() if one)] = number
    return dict(sorted(found.items())) if len(found) >= FEWEST_LANGUAGES else {}


def _starts(folder: Folder, backend: tokenizers.Tokenizer, has_languages: bool) -> list[int]:
    generation, values = folder.generation_config, folder.config
    keys = ("decoder_start_token_id", "forced_bos_token_id")
    first, forced = (generation.get(key, values.get(key)) for key in keys)
    if first is None and folder.kind in ("t5", "mt5", "switch_transformers"):
        first = values.get("pad_token_id", 0)
    if first is None and not has_languages:
        raise RunError(
            f"{folder.path / 'config.json'} has no decoder_start_token_id, so nobody knows how an "
            "answer begins. Add it to generation_config.json."
        )
    found = [
        number
        for one, key in zip((first, forced), keys, strict=True)
        if one is not None
        for number in numbers_of(folder, one, key)[:1]
    ]
    codes = set(languages_of(backend).values())
    return [*found, LANGUAGE] if has_languages and not codes & set(found) else found


def numbers_of(folder: Folder, given: object, key: str) -> list[int]:
    """Return token numbers that a config file names. Raises RunError if one is no token."""
    where = folder.tokenizer_path
    _, backend = read(folder.tokenizer, where, None)
    found: list[int] = []
    for one in given if isinstance(given, list) and given else [given]:
        token = token_of(backend, one)
        number = None if token is None else backend.token_to_id(token)
        if number is None:
            raise RunError(
                f"{folder.path / 'config.json'}: {key} is {brief(repr(one))}, which is no token of "
                "tokenizer.json. Name one that it has."
            )
        found.append(number)
    return found


def rewriting(task: str, sides: Sides, config: ModelConfig) -> Use:
    """Return the task, options and labels of an imported encoder-decoder."""
    if task not in TASKS:
        raise unknown("task", task, TASKS, "for an import")
    options: dict[str, object] = {}
    longest, room = build_task(task, {}).options.get("longest_source"), config.context("source")
    if isinstance(longest, int) and room is not None and longest > room:
        options["longest_source"] = room
    names = list(sides.languages) if task == translation.SPEC.name else []
    sources = names if LANGUAGE in (*sides.before, *sides.after) else []
    labels = {"languages": {"source": sources, "targets": names}, "tags": names}
    return Use(task=task, options=options, labels=labels)
