"""A tokenizer of another library's tokenizer.json behind the face of ours: WordPiece (BERT), bytes
(GPT-2), SentencePiece (Llama).

Its file is kept as it came, so that it can be given back. Only its ids count: truncation and
padding are switched off, and a special token that a user types ("[SEP]") is a text of five
characters like any other. Some put a space before the first word of a text: it is taken off again
where the ids begin with the begin token, and kept where a text goes on.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tokenizers

from ...errors import RunError, brief
from .byte_pieces import spelt
from .subwords import Tokenizer
from .tokenizer_file import encoded, put_before, read, spare_rows, token_of

KIND = "imported"
WITHOUT_SPACES = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
MASKS = ("[MASK]", "<mask>")
# stands before a text that goes on: no word of SentencePiece's holds the end of a line
BEFORE = "\n"


class ImportedTokenizer(Tokenizer):
    """begin_id and end_id are what the other library puts around a text ([CLS] and [SEP]); mask_id
    is None where there is no mask.

    end_ids: all tokens that end an answer, of which published models that talk have several.
    before: what the other library puts before a text that is written on, which may be nothing;
    None: begin, as runs that are trained here have it.

    keeps_spaces: pieces hold the space before a word. WordPiece does not: a word on its own and in
    a sentence have the same ids, and what a text is decoded to has spaces of the decoder's making.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        begin: str,
        end: str,
        mask: str | None,
        rows: int | None = None,
        ends: Sequence[int] = (),
        before: Sequence[int] | None = None,
    ) -> None:
        self._values = dict(values)
        decoder, self._space_first = _keeping_spaces(self._values.get("decoder"))
        self._backend = tokenizers.Tokenizer.from_str(
            json.dumps({**self._values, "decoder": decoder})
        )
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self.kind, self.tags, self.requested_size = KIND, {}, None
        self.specials = {"begin": begin, "end": end, "mask": mask}
        self.begin_id, self.end_id = self._id(begin), self._id(end)
        self.mask_id = None if mask is None else self._id(mask)
        self._rows, self._before = rows, None if before is None else list(before)
        self._ends = tuple(dict.fromkeys((self.end_id, *ends)))
        self._names = {
            number: token
            for token, number in self._backend.get_vocab(with_added_tokens=True).items()
        }
        self.vocabulary_size = max(max(self._names, default=-1) + 1, rows or 0)
        self._left_out = frozenset(
            added["id"] for added in self._values.get("added_tokens") or () if added.get("special")
        )
        self._byte_level = (decoder or {}).get("type") == "ByteLevel"
        self.keeps_spaces = _cutter(self._values) not in WITHOUT_SPACES

    @classmethod
    def take(
        cls, text: str, where: str, rows: int | None = None, config: Mapping[str, Any] | None = None
    ) -> ImportedTokenizer:
        """From the text of a tokenizer.json. rows: of the model's embedding; config: of
        tokenizer_config.json.

        Raises RunError where it is no such file, has more tokens than rows or puts nothing around a
        text.
        """
        values, backend = read(text, where, rows)
        around = encoded(backend, "", where).tokens
        if len(around) != 2:
            raise RunError(
                f"{where} puts {len(around)} special tokens around a text "
                f"({' '.join(around) or 'none'}); an encoder needs two, like [CLS] and [SEP]: its "
                "post_processor should say so."
            )
        named = token_of(backend, (config or {}).get("mask_token"))
        mask = next(
            (
                token
                for token in (named, *MASKS)
                if token and backend.token_to_id(token) is not None
            ),
            None,
        )
        return cls(values, around[0], around[1], mask, spare_rows(backend, rows))

    @classmethod
    def take_writer(
        cls, text: str, where: str, begin: Any, end: Any, rows: int | None = None
    ) -> ImportedTokenizer:
        """The tokenizer of a model that writes. begin, end: id or token, as config.json or
        tokenizer_config.json name them, or a list, of which the first stands at the end of a text
        that is learnt and each ends an answer; they may be the same. Raises RunError where one of
        them is not given or is not a token.
        """
        values, backend = read(text, where, rows)
        found: list[list[int]] = []
        for name, given in (("begin (bos_token_id)", begin), ("end (eos_token_id)", end)):
            numbers = []
            for place, one in enumerate(given if isinstance(given, list) and given else [given]):
                token = token_of(backend, one)
                number = None if token is None else backend.token_to_id(token)
                if number is None and place and type(one) is int and 0 <= one < (rows or 0):
                    number = one  # a row of the embedding that the tokenizer has no name for
                if number is None:
                    why = (
                        "is not said in config.json"
                        if one is None
                        else f"is {brief(repr(one))}, which is no token of its own"
                    )
                    raise RunError(
                        f"{where}: the token of the {name} {why}. Name one that the tokenizer has."
                    )
                numbers.append(number)
            found.append(numbers)
        first, last = (backend.id_to_token(numbers[0]) or "" for numbers in found)
        return cls(
            values,
            first,
            last,
            None,
            spare_rows(backend, rows),
            found[1],
            put_before(backend, where),
        )

    def _id(self, token: str) -> int:
        number = self._backend.token_to_id(token)
        if number is None:
            raise RunError(
                f"The tokenizer has no token '{token}', which it is said to put around a text."
            )
        return number

    @property
    def end_ids(self) -> tuple[int, ...]:
        return self._ends

    def prompt(self, text: str) -> list[int]:
        """Ids of a text that is to be written on, as the other library gives them to its model; of
        an empty one begin.
        """
        before = [self.begin_id] if self._before is None else self._before
        return [*before, *self.encode(text)] or [self.begin_id]

    def with_begin(self) -> ImportedTokenizer:
        other = copy.copy(self)
        other._before = None
        return other

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the ids of a text: not what ends an answer, nor what
        stands before a prompt.
        """
        return hashlib.sha256(self._as_json({}).encode()).hexdigest()

    def holds(self, token: str) -> bool:
        return self._backend.token_to_id(token) is not None

    def encode_within(self, text: str) -> list[int]:
        """Ids of `text` where it goes on from another one: no space is put before its first
        word.
        """
        if not self._space_first:
            return self.encode(text)
        before, ids = self.encode(BEFORE), self.encode(BEFORE + text)
        return ids[len(before) :] if ids[: len(before)] == before else self.encode(text)

    def words(self, text: str) -> list[str]:
        """What `text` is cut into before subwords, in order; without the spaces between, where the
        tokenizer drops them.
        """
        return [text[start:end] for start, end in self.word_spans(text)]

    def word_spans(self, text: str) -> list[tuple[int, int]]:
        """The characters [start, end) of `text` that each of `words` is."""
        encoding = self._encoding(text)
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word is not None:
                spans[word] = (spans.get(word, (start, end))[0], end)
        return list(spans.values())

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and each one's characters [start, end) of `text` as it was given, before lower-casing
        and the like.
        """
        encoding = self._encoding(text)
        return encoding.ids, [(start, end) for start, end in encoding.offsets]

    def decode(self, ids: Iterable[int]) -> str:
        """A text with these ids; special tokens are left out. Case, accents and spaces that were
        dropped do not come back.
        """
        given = list(ids)
        text = self._backend.decode(
            [number for number in given if number not in self._left_out], skip_special_tokens=False
        )
        return (
            text.removeprefix(" ")
            if self._space_first and given and given[0] == self.begin_id
            else text
        )

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What to show for each id: its token, "##" before one that goes on a word; of bytes the
        characters, or `<0xE8>` for a part.
        """
        shown = [self._names.get(number, "") for number in ids]
        return [spelt(token) for token in shown] if self._byte_level else shown

    def to_json(self) -> str:
        several = {"ends": list(self._ends)} if len(self._ends) > 1 else {}
        return self._as_json(
            several if self._before is None else {**several, "before": self._before}
        )

    def _as_json(self, more: Mapping[str, Any]) -> str:
        own = {
            "kind": KIND,
            "tags": [],
            **self.specials,
            **({"rows": self._rows} if self._rows is not None else {}),
            **more,
        }
        return json.dumps(
            {"triptych": own, "tokenizer": self._values}, ensure_ascii=False, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str) -> ImportedTokenizer:
        values = json.loads(text)
        own = values["triptych"]
        rows, ends, before = own.get("rows"), own.get("ends") or [], own.get("before")
        if not all(
            type(number) is int and number >= 0 for number in (*ends, *(before or []), rows or 0)
        ):
            raise RunError("rows, ends and before must be token numbers")
        return cls(
            values["tokenizer"], own["begin"], own["end"], own.get("mask"), rows, ends, before
        )

    def to_huggingface(self, end: bool = True) -> dict[str, Any]:
        """The tokenizer.json as it came; with end=False, for a model that writes on, it puts before
        a text what `prompt` does.
        """
        if end or self._before is not None or put_before(self._backend) == [self.begin_id]:
            return self._values
        begin = self.specials["begin"]
        mark, first, second = (
            {"SpecialToken": {"id": begin, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 0}},
        )
        template = {
            "type": "TemplateProcessing",
            "single": [mark, first],
            "pair": [mark, first, second],
            "special_tokens": {begin: {"id": begin, "ids": [self.begin_id], "tokens": [begin]}},
        }
        own = self._values.get("post_processor") or {}
        both = (
            {"type": "Sequence", "processors": [own, template]}
            if own.get("type") == "ByteLevel"
            else template
        )
        return {**self._values, "post_processor": both}


def _cutter(values: Mapping[str, Any]) -> str | None:
    """The kind of the pre-tokenizer, of several the first."""
    found = values.get("pre_tokenizer") or {}
    inner = found.get("pretokenizers") or [found]
    return inner[0].get("type") if inner else None


def _keeping_spaces(decoder: Mapping[str, Any] | None) -> tuple[dict[str, Any] | None, bool]:
    """The decoder without what takes off a text's first space, and whether there was such a
    thing.
    """
    if decoder is None:
        return None, False
    if decoder.get("type") == "Sequence":
        inner = [_keeping_spaces(one) for one in decoder["decoders"]]
        return {**decoder, "decoders": [one for one, _ in inner if one is not None]}, any(
            strips for _, strips in inner
        )
    if decoder.get("type") == "Strip" and decoder.get("start"):
        return (None if not decoder.get("stop") else {**decoder, "start": 0}), True
    if decoder.get("type") == "Metaspace" and decoder.get("prepend_scheme", "always") != "never":
        return {key: value for key, value in decoder.items() if key != "add_prefix_space"} | {
            "prepend_scheme": "never"
        }, True
    return dict(decoder), False
