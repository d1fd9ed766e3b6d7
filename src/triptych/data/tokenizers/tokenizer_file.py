"""Read a tokenizer.json of the library tokenizers, and check it against a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

import tokenizers
from tokenizers import models

from ...errors import RunError, brief, is_failure
from .panics import unheard


class Step(TypedDict, total=False):
    """Describe a step of a tokenizer.json: a pre-tokenizer, post-processor or decoder.

    It has the keys of its type, of which only those that are used are named.
    """

    type: str
    pretokenizers: list[Step]  # of a Sequence
    processors: list[Step]
    decoders: list[Step]
    start: int  # of Strip
    stop: int
    content: str
    pattern: dict[str, str]  # of Split
    behavior: str
    invert: bool
    prepend: str  # of Prepend
    prepend_scheme: str  # of Metaspace
    add_prefix_space: bool
    single: list[dict[str, dict[str, object]]]  # of TemplateProcessing
    pair: list[dict[str, dict[str, object]]]
    special_tokens: dict[str, dict[str, object]]


class AddedToken(TypedDict):
    """Describe a token that a tokenizer.json lists beside its model."""

    id: int
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: bool


class TokenizerJson(TypedDict, total=False):
    """Describe the content of a tokenizer.json."""

    version: str
    truncation: object
    padding: object
    added_tokens: list[AddedToken] | None
    normalizer: object
    pre_tokenizer: Step | None
    post_processor: Step | None
    decoder: Step | None
    model: object


def read(text: str, where: str, rows: int | None) -> tuple[TokenizerJson, tokenizers.Tokenizer]:
    """Return the values of a file, and the library's tokenizer.

    Raises RunError if it is not such a file, or does not fit an embedding of `rows` rows.
    """
    try:
        values, backend = json.loads(text), tokenizers.Tokenizer.from_str(text)
        backend.no_padding()
        backend.no_truncation()
        names = backend.get_vocab(with_added_tokens=True)
        json.dumps(values, ensure_ascii=False).encode()
    except BaseException as problem:
        # For a broken file the library raises plain Exception, or panics.
        if not is_failure(problem):
            raise
        raise RunError(
            f"{where} is not a tokenizer.json that the library tokenizers reads ({brief(problem)})."
        ) from None
    size, last = len(names), max(names, key=names.__getitem__, default="")
    if rows is not None and size > rows:
        raise RunError(
            f"{where} has {size:,} tokens but the model's embedding has {rows:,} rows: these files "
            "are not of one model."
        )
    if rows is not None and names and names[last] >= rows:
        raise RunError(
            f"{where} gives the token {last[:40]!r} the number {names[last]:,}, but the model's "
            f"embedding has {rows:,} rows: these files are not of one model."
        )
    unknown = (
        backend.model.unk_token
        if isinstance(backend.model, (models.WordPiece, models.WordLevel))
        else None
    )
    if unknown is not None and unknown not in names:
        raise RunError(
            f"{where} has no token {unknown[:40]!r}, which it names as the unknown token. Add it "
            "to the vocabulary."
        )
    return values, backend


def spare_rows(backend: tokenizers.Tokenizer, rows: int | None) -> int | None:
    """Return the rows of the embedding if it has more than the tokenizer has numbers."""
    numbers = backend.get_vocab(with_added_tokens=True).values()
    return None if rows == max(numbers, default=-1) + 1 else rows


def token_of(backend: tokenizers.Tokenizer, given: object) -> str | None:
    """Return the token that a config file names by a number, a text or an object with content."""
    given = given.get("content") if isinstance(given, Mapping) else given
    if type(given) is int:
        return backend.id_to_token(given) if 0 <= given < 1 << 32 else None
    if not isinstance(given, str) or any("\ud800" <= character <= "\udfff" for character in given):
        return None
    return given if backend.token_to_id(given) is not None else None


def encoded(backend: tokenizers.Tokenizer, text: str, where: str) -> tokenizers.Encoding:
    """Encode a text with the post-processor's tokens. Raises RunError if the library fails."""
    try:
        with unheard():
            return backend.encode(text, add_special_tokens=True)
    except BaseException as problem:
        if not is_failure(problem):
            raise
        raise RunError(
            f"{where} cannot cut even the text {text!r} into tokens ({brief(problem)}). Copy it "
            "again."
        ) from None


def put_before(backend: tokenizers.Tokenizer, where: str = "The tokenizer") -> list[int]:
    """Return the tokens that the post-processor puts before a text.

    The library transformers (5) follows it alone and ignores add_bos_token beside a tokenizer.json.
    """
    encoding = encoded(backend, "a", where)
    place = next((place for place, side in enumerate(encoding.sequence_ids) if side is not None), 0)
    return encoding.ids[:place]


def put_between(backend: tokenizers.Tokenizer) -> list[int]:
    """Return the tokens that the post-processor puts between two texts."""
    encoding = backend.encode("a", "a", add_special_tokens=True)
    sides = encoding.sequence_ids
    if 0 not in sides or 1 not in sides:
        return []
    return encoding.ids[len(sides) - sides[::-1].index(0) : sides.index(1)]


def tokens_by_id(values: Mapping[str, Any], rows: int) -> list[str]:
    """Return the token of each row of an embedding; `[PAD7]` where row 7 has none."""
    vocabulary = (values.get("model") or {}).get("vocab") or {}
    pairs = (
        vocabulary.items()
        if isinstance(vocabulary, Mapping)
        else ((token, number) for number, (token, _) in enumerate(vocabulary))
    )
    found = [f"[PAD{number}]" for number in range(rows)]
    for token, number in pairs:
        found[number] = token
    for added in values.get("added_tokens") or []:
        found[added["id"]] = added["content"]
    return found
