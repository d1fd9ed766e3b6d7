"""Hold what the files of a published folder say about its tokenizer, and read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..data.tokenizers.tokenizer_file import AddedToken, TokenizerJson
from ..errors import RunError, brief
from ..runs.storage import parsed
from .sentencepiece_tokenizers import added

NUMBERS = "vocab.json"
MOST_TOKENS = 4_000_000


@dataclass(kw_only=True)
class Source:
    """Hold a tokenizer as the text of a tokenizer.json.

    file: where it is from; target: that of the target side, of a Marian; notes: what the
    certificate says of it; kept: files that an export gives back unchanged.
    """

    text: str = field(repr=False)
    file: str
    target: str | None = field(default=None, repr=False)
    notes: list[str] = field(default_factory=list)
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Given:
    """Hold what a folder's JSON files say.

    names: the special tokens by role ("unk"), from tokenizer_config.json, else
    special_tokens_map.json.
    """

    path: Path
    kind: str
    rows: int
    settings: Mapping[str, Any]
    names: Mapping[str, str]

    @property
    def tokenizer_class(self) -> str:
        return str(self.settings.get("tokenizer_class") or "").removesuffix("Fast")

    def name(self, role: str, default: str) -> str:
        return self.names.get(role, default)


def given_of(path: Path, config: Mapping[str, object], settings: Mapping[str, object]) -> Given:
    mapped = path / "special_tokens_map.json"
    both = {**(read_object(mapped) if mapped.is_file() else {}), **settings}
    names: dict[str, str] = {}
    for key, value in both.items():
        token = value.get("content") if isinstance(value, dict) else value
        if key.endswith("_token") and isinstance(token, str) and token:
            names[key.removesuffix("_token")] = token
    rows = config.get("vocab_size")
    return Given(
        path,
        str(config.get("model_type")),
        rows if type(rows) is int else MOST_TOKENS,
        {"tokenizer_class": config.get("tokenizer_class"), **both},
        names,
    )


def more_tokens(given: Given, numbers: Mapping[str, int]) -> dict[str, int]:
    """Return the tokens that files list beside the vocabulary. Raises ValueError for a bad one."""
    path, found = given.path / "added_tokens.json", dict[str, int]()
    listed: dict[Any, object] = {}
    if path.is_file():
        listed |= read_object(path)
    table = given.settings.get("added_tokens_decoder")
    for number, token in (table if isinstance(table, dict) else {}).items():
        text = token.get("content") if isinstance(token, dict) else None
        listed[text] = int(number) if str(number).isdecimal() else number
    taken = {number: name for name, number in numbers.items()}
    for text, number in listed.items():
        if not isinstance(text, str) or type(number) is not int or not 0 <= number < given.rows:
            raise ValueError(
                f"the added token {brief(repr(text))} has the number {brief(repr(number))}, beyond "
                f"the vocabulary of {given.rows:,}"
            )
        if taken.get(number, text) != text or numbers.get(text, number) != number:
            raise ValueError(f"the number {number} is both {taken.get(number)!r} and {text!r}")
        found[text] = number
    return found


def listed(given: Given) -> list[str]:
    """Return the tokens that the settings call special."""
    table = given.settings.get("added_tokens_decoder")
    more = given.settings.get("additional_special_tokens")
    found = [one.get("content") if isinstance(one, dict) else one for one in more or ()]
    for token in table.values() if isinstance(table, dict) else ():
        if isinstance(token, dict) and token.get("special"):
            found.append(token.get("content"))
    return [one for one in found if isinstance(one, str)]


def specials(numbers: Mapping[str, int], names: Iterable[str]) -> list[AddedToken]:
    kept = [name for name in dict.fromkeys(names) if name in numbers]
    return [
        added(name, numbers[name], lstrip=name == "<mask>")
        for name in sorted(kept, key=numbers.__getitem__)
    ]


def vocabulary(path: Path) -> dict[str, int]:
    """Read a vocab.json. Raises RunError unless it numbers each token once."""
    values = read_object(path)
    numbers = [one for one in values.values() if type(one) is int and 0 <= one < MOST_TOKENS]
    if len(numbers) < len(values) or len(set(numbers)) < len(numbers) or not numbers:
        raise RunError(
            f"{path} must give each token a number of its own, from 0 to {MOST_TOKENS:,}. Copy it "
            "again."
        )
    return {name: number for name, number in values.items() if isinstance(number, int)}


def empty() -> TokenizerJson:
    return {"version": "1.0", "truncation": None, "padding": None}


def source_of(values: TokenizerJson, file: str, notes: Sequence[str] = ()) -> Source:
    return Source(text=written(values), file=file, notes=list(notes))


def written(values: TokenizerJson) -> str:
    return json.dumps(values, ensure_ascii=False)


def read_object(path: Path) -> dict[str, Any]:
    values = parsed(read_text(path), path, "Copy it again.")
    if not isinstance(values, dict):
        raise RunError(f"{path} is not a JSON object. Copy it again.")
    return values


def read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is not UTF-8 text (byte {error.start}). Copy it again.") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}.") from None
