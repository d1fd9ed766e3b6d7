"""A tokenizer of another library's tokenizer.json behind the face of ours: WordPiece (BERT, DistilBERT) and what else has that form.

Its file is kept as it came, so that it can be given back. Only its ids count: truncation and padding are switched off, and a special
token that a user types ("[SEP]") is a text of five characters like any other.
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


class ImportedTokenizer(Tokenizer):
    """begin_id and end_id are what the other library puts around a text ([CLS] and [SEP]); mask_id is None where there is no mask.

    keeps_spaces: pieces hold the space before a word. WordPiece does not: a word on its own and in a sentence have the same ids,
    and what a text is decoded to has spaces of the decoder's making.
    """

    def __init__(self, values: Mapping[str, Any], begin: str, end: str, mask: str | None, rows: int | None = None) -> None:
        self._values = dict(values)
        self._backend = tokenizers.Tokenizer.from_str(json.dumps(self._values))
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
        self.keeps_spaces = _cutter(self._values) not in WITHOUT_SPACES

    @classmethod
    def take(cls, text: str, where: str, rows: int | None = None, config: Mapping[str, Any] | None = None) -> ImportedTokenizer:
        """From the text of a tokenizer.json. rows: of the model's embedding; config: of tokenizer_config.json.

        Raises RunError where it is no such file, has more tokens than rows or puts nothing around a text.
        """
        try:
            values = json.loads(text)
            backend = tokenizers.Tokenizer.from_str(text)
            backend.no_padding()
            backend.no_truncation()
            around = backend.encode("", add_special_tokens=True).tokens
        except Exception as problem:  # the library raises plain Exception for a broken file
            raise RunError(f"{where} is not a tokenizer.json that the library tokenizers reads ({problem}).") from None
        if len(around) != 2:
            raise RunError(
                f"{where} puts {len(around)} special tokens around a text ({' '.join(around) or 'none'}); an encoder needs two, "
                "like [CLS] and [SEP]: its post_processor should say so."
            )
        size = backend.get_vocab_size()
        if rows is not None and size > rows:
            raise RunError(f"{where} has {size:,} tokens and the model's embedding {rows:,} rows: these files are not of one model.")
        named = (config or {}).get("mask_token")
        named = named.get("content") if isinstance(named, Mapping) else named
        mask = next((token for token in (named, *MASKS) if token and backend.token_to_id(token) is not None), None)
        return cls(values, around[0], around[1], mask, None if rows == size else rows)

    def _id(self, token: str) -> int:
        number = self._backend.token_to_id(token)
        if number is None:
            raise RunError(f"The tokenizer has no token '{token}', which it is said to put around a text.")
        return number

    def holds(self, token: str) -> bool:
        return self._backend.token_to_id(token) is not None

    def words(self, text: str) -> list[str]:
        """What `text` is cut into before subwords, in order; without the spaces between, where the tokenizer drops them."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word is not None:
                spans[word] = (spans.get(word, (start, end))[0], end)
        return [text[start:end] for start, end in spans.values()]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and each one's characters [start, end) of `text` as it was given, before lower-casing and the like."""
        self.encode(text)  # for its refusal of half a character
        encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, [(start, end) for start, end in encoding.offsets]

    def decode(self, ids: Iterable[int]) -> str:
        """A text with these ids; special tokens are left out. Case, accents and spaces that were dropped do not come back."""
        return self._backend.decode([number for number in ids if number not in self._left_out], skip_special_tokens=False)

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What to show for each id: its token, "##" before one that goes on a word."""
        return [self._tokens[number] for number in ids]

    def to_json(self) -> str:
        own = {"kind": KIND, "tags": [], **self.specials, **({"rows": self._rows} if self._rows is not None else {})}
        return json.dumps({"triptych": own, "tokenizer": self._values}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ImportedTokenizer:
        values = json.loads(text)
        own = values["triptych"]
        return cls(values["tokenizer"], own["begin"], own["end"], own.get("mask"), own.get("rows"))

    def to_huggingface(self) -> dict[str, Any]:
        """The tokenizer.json as it came."""
        return self._values


def _cutter(values: Mapping[str, Any]) -> str | None:
    """The kind of the pre-tokenizer, of several the first."""
    found = values.get("pre_tokenizer") or {}
    inner = found.get("pretokenizers") or [found]
    return inner[0].get("type") if inner else None
