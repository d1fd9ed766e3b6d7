"""A tokenizer of another library's tokenizer.json behind the face of ours: WordPiece (BERT), bytes (GPT-2), SentencePiece (Llama).

Its file is kept as it came, so that it can be given back. Only its ids count: truncation and padding are switched off, and a special
token that a user types ("[SEP]") is a text of five characters like any other. Some put a space before the first word of a text: it is
taken off again where the ids begin with the begin token, and kept where a text goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tokenizers

from ..errors import RunError
from .tokenizer import Tokenizer

KIND = "imported"
WITHOUT_SPACES = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
MASKS = ("[MASK]", "<mask>")
BEFORE = "\n"  # stands before a text that goes on: no word of SentencePiece's holds the end of a line


class ImportedTokenizer(Tokenizer):
    """begin_id and end_id are what the other library puts around a text ([CLS] and [SEP]); mask_id is None where there is no mask.

    keeps_spaces: pieces hold the space before a word. WordPiece does not: a word on its own and in a sentence have the same ids,
    and what a text is decoded to has spaces of the decoder's making.
    """

    def __init__(self, values: Mapping[str, Any], begin: str, end: str, mask: str | None, rows: int | None = None) -> None:
        self._values = dict(values)
        decoder, self._space_first = _keeping_spaces(self._values.get("decoder"))
        self._backend = tokenizers.Tokenizer.from_str(json.dumps({**self._values, "decoder": decoder}))
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self.kind, self.tags, self.requested_size = KIND, {}, None
        self.specials = {"begin": begin, "end": end, "mask": mask}
        self.begin_id, self.end_id = self._id(begin), self._id(end)
        self.mask_id = None if mask is None else self._id(mask)
        self._rows = rows
        size = self._backend.get_vocab_size()
        self.vocabulary_size = max(size, rows or 0)
        self._tokens = [self._backend.id_to_token(number) or "" for number in range(self.vocabulary_size)]
        self._left_out = frozenset(added["id"] for added in self._values.get("added_tokens") or () if added.get("special"))
        self._byte_level = (decoder or {}).get("type") == "ByteLevel"
        self.keeps_spaces = _cutter(self._values) not in WITHOUT_SPACES

    @classmethod
    def take(cls, text: str, where: str, rows: int | None = None, config: Mapping[str, Any] | None = None) -> ImportedTokenizer:
        """From the text of a tokenizer.json. rows: of the model's embedding; config: of tokenizer_config.json.

        Raises RunError where it is no such file, has more tokens than rows or puts nothing around a text.
        """
        values, backend = _read(text, where, rows)
        around = backend.encode("", add_special_tokens=True).tokens
        if len(around) != 2:
            raise RunError(
                f"{where} puts {len(around)} special tokens around a text ({' '.join(around) or 'none'}); an encoder needs two, "
                "like [CLS] and [SEP]: its post_processor should say so."
            )
        size = backend.get_vocab_size()
        named = (config or {}).get("mask_token")
        named = named.get("content") if isinstance(named, Mapping) else named
        mask = next((token for token in (named, *MASKS) if token and backend.token_to_id(token) is not None), None)
        return cls(values, around[0], around[1], mask, None if rows == size else rows)

    @classmethod
    def take_writer(cls, text: str, where: str, begin: Any, end: Any, rows: int | None = None) -> ImportedTokenizer:
        """The tokenizer of a model that writes. begin, end: id (of several the first) or token, as config.json or tokenizer_config.json
        name them; they may be the same. Raises RunError where one of them is not said or is no token."""
        values, backend = _read(text, where, rows)
        found = []
        for name, given in (("begin (bos_token_id)", begin), ("end (eos_token_id)", end)):
            one = given[0] if isinstance(given, list) and given else given
            token = backend.id_to_token(one) if isinstance(one, int) and one >= 0 else one
            if not isinstance(token, str) or backend.token_to_id(token) is None:
                said = "is not said in config.json" if one is None else f"is {one!r}, which is no token of its own"
                raise RunError(f"{where}: the token of the {name} {said}. Name one that the tokenizer has.")
            found.append(token)
        return cls(values, found[0], found[1], None, None if rows == backend.get_vocab_size() else rows)

    def _id(self, token: str) -> int:
        number = self._backend.token_to_id(token)
        if number is None:
            raise RunError(f"The tokenizer has no token '{token}', which it is said to put around a text.")
        return number

    def holds(self, token: str) -> bool:
        return self._backend.token_to_id(token) is not None

    def encode_within(self, text: str) -> list[int]:
        """Ids of `text` where it goes on from another one: no space is put before its first word."""
        if not self._space_first:
            return self.encode(text)
        before, ids = self.encode(BEFORE), self.encode(BEFORE + text)
        return ids[len(before) :] if ids[: len(before)] == before else self.encode(text)

    def words(self, text: str) -> list[str]:
        """What `text` is cut into before subwords, in order; without the spaces between, where the tokenizer drops them."""
        return [text[start:end] for start, end in self.word_spans(text)]

    def word_spans(self, text: str) -> list[tuple[int, int]]:
        """The characters [start, end) of `text` that each of `words` is."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word is not None:
                spans[word] = (spans.get(word, (start, end))[0], end)
        return list(spans.values())

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and each one's characters [start, end) of `text` as it was given, before lower-casing and the like."""
        self.encode(text)  # for its refusal of half a character
        encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, [(start, end) for start, end in encoding.offsets]

    def decode(self, ids: Iterable[int]) -> str:
        """A text with these ids; special tokens are left out. Case, accents and spaces that were dropped do not come back."""
        given = list(ids)
        text = self._backend.decode([number for number in given if number not in self._left_out], skip_special_tokens=False)
        return text.removeprefix(" ") if self._space_first and given and given[0] == self.begin_id else text

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What to show for each id: its token, "##" before one that goes on a word; of bytes the characters, or `<0xE8>` for a part."""
        shown = [self._tokens[number] for number in ids]
        return [_spelt(token) for token in shown] if self._byte_level else shown

    def to_json(self) -> str:
        own = {"kind": KIND, "tags": [], **self.specials, **({"rows": self._rows} if self._rows is not None else {})}
        return json.dumps({"triptych": own, "tokenizer": self._values}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ImportedTokenizer:
        values = json.loads(text)
        own = values["triptych"]
        return cls(values["tokenizer"], own["begin"], own["end"], own.get("mask"), own.get("rows"))

    def to_huggingface(self, end: bool = True) -> dict[str, Any]:
        """The tokenizer.json as it came."""
        return self._values


def _cutter(values: Mapping[str, Any]) -> str | None:
    """The kind of the pre-tokenizer, of several the first."""
    found = values.get("pre_tokenizer") or {}
    inner = found.get("pretokenizers") or [found]
    return inner[0].get("type") if inner else None


def _read(text: str, where: str, rows: int | None) -> tuple[dict[str, Any], tokenizers.Tokenizer]:
    try:
        values, backend = json.loads(text), tokenizers.Tokenizer.from_str(text)
        backend.no_padding()
        backend.no_truncation()
    except Exception as problem:  # the library raises plain Exception for a broken file
        raise RunError(f"{where} is not a tokenizer.json that the library tokenizers reads ({problem}).") from None
    size = backend.get_vocab_size()
    if rows is not None and size > rows:
        raise RunError(f"{where} has {size:,} tokens and the model's embedding {rows:,} rows: these files are not of one model.")
    return values, backend


def _byte_values() -> dict[str, int]:
    """The character that stands for each byte in a byte-level piece (Radford et al. 2019, section 2.2): itself where it can be seen."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in seen]
    return {chr(byte): byte for byte in seen} | {chr(256 + place): byte for place, byte in enumerate(others)}


SEEN = _byte_values()


def _spelt(token: str) -> str:
    if any(character not in SEEN for character in token):
        return token
    data = bytes(SEEN[character] for character in token)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in data)


def _keeping_spaces(decoder: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
    """The decoder without what takes off a text's first space, and whether there was such a thing."""
    if decoder is None:
        return None, False
    if decoder.get("type") == "Sequence":
        inner = [_keeping_spaces(one) for one in decoder["decoders"]]
        return {**decoder, "decoders": [one for one, _ in inner if one is not None]}, any(strips for _, strips in inner)
    if decoder.get("type") == "Strip" and decoder.get("start"):
        return (None if not decoder.get("stop") else {**decoder, "start": 0}), True
    if decoder.get("type") == "Metaspace" and decoder.get("prepend_scheme", "always") != "never":
        return {key: value for key, value in decoder.items() if key != "add_prefix_space"} | {"prepend_scheme": "never"}, True
    return dict(decoder), False
