"""Read the tokenizer of a published folder, from whichever of its usual files there is.

Newer folders hold a tokenizer.json. Older ones hold vocab.txt (WordPiece), vocab.json with
merges.txt (byte-pair encoding of bytes) or a SentencePiece file, from which one is written here; a
Marian has two SentencePiece files and one vocab.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import RunError, brief
from .sentencepiece_families import TWO, pieces, two_sides
from .tokenizer_given import NUMBERS, Given, Source, given_of, read_text
from .word_tokenizers import MERGES, WORDS, byte_level, word_piece

JSON = "tokenizer.json"
PIECES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "spm.model")


def is_there(path: Path) -> bool:
    """Tell whether a folder holds a tokenizer that can be read."""
    return _found(path) is not None


def _found(path: Path) -> str | None:
    def has(*names: str) -> bool:
        return all((path / name).is_file() for name in names)

    one = next((name for name in PIECES if has(name)), None)
    if has(JSON):
        return JSON
    if has(*TWO, NUMBERS):
        return TWO[0]
    return one or (WORDS if has(WORDS) else NUMBERS if has(NUMBERS, MERGES) else None)


def read_source(path: Path, config: Mapping[str, object], settings: Mapping[str, object]) -> Source:
    """Read the tokenizer of a folder that has one.

    Args:
        path: The folder.
        config: Its config.json.
        settings: Its tokenizer_config.json, which may be empty.

    Raises:
        RunError: A file is damaged, or says what no tokenizer here does.
    """
    found = _found(path)
    assert found is not None, "`is_there` was asked before"
    if found == JSON:
        return Source(
            text=read_text(path / JSON), file=JSON, notes=_disagreeing(path, config, settings)
        )
    return _read(found, given_of(path, config, settings))


def _read(found: str, given: Given) -> Source:
    readers: dict[str, Callable[[Given], Source]] = {
        WORDS: word_piece,
        NUMBERS: byte_level,
        TWO[0]: two_sides,
    }
    try:
        return readers.get(found, lambda one: pieces(one, found))(given)
    except ValueError as problem:
        raise RunError(
            f"{given.path / found} is not the tokenizer of a {given.kind} ({brief(problem)}). Copy "
            "the whole folder."
        ) from None


def _disagreeing(
    path: Path, config: Mapping[str, object], settings: Mapping[str, object]
) -> list[str]:
    """Return a note if a SentencePiece file beside tokenizer.json numbers its tokens otherwise."""
    name = next((one for one in PIECES if (path / one).is_file()), None)
    if name is None:
        return []
    try:
        other = json.loads(_read(name, given_of(path, config, settings)).text)
        own = json.loads(read_text(path / JSON))
        numbers, others = _numbers(own), _numbers(other)
        if all(number == others.get(token, number) for token, number in numbers.items()):
            return []
        why = "they number tokens otherwise"
    except (RunError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as problem:
        why = brief(problem)
    return [f"{JSON} is read, not {name} ({why})."]


def _numbers(values: Mapping[str, Any]) -> dict[str, int]:
    held = values["model"]["vocab"]
    if isinstance(held, list):
        return {token: number for number, (token, _) in enumerate(held)}
    return dict(held)
