"""Use another library's tokenizer.json: WordPiece (BERT), bytes (GPT-2), SentencePiece (Llama).

The file is kept unchanged, so that it can be exported again. Only its ids are used: truncation and
padding are switched off, and a special token that a user types ("[SEP]") is a text of five
characters like any other. Some tokenizers put a space before the first word of a text: it is
removed where the ids begin with the begin token, and kept where a text continues another.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import tokenizers

from ...errors import RunError, brief
from .answer_sides import LANGUAGE, Sides
from .byte_pieces import spelt
from .control import ControlTokens
from .imported_steps import cutter, cutting_marks, keeping_spaces
from .panics import may_not_end
from .subwords import Tokenizer
from .tokenizer_file import (
    Step,
    TokenizerJson,
    encoded,
    put_before,
    put_between,
    read,
    spare_rows,
    token_of,
)

KIND = "imported"
WITHOUT_SPACES = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
MASKS = ("[MASK]", "<mask>")
# Put before a text that continues another: no SentencePiece word holds the end of a line.
BEFORE = "\n"


class ImportedTokenizer(Tokenizer):
    """Encode and decode with another library's tokenizer.

    begin_id and end_id are the tokens that the other library puts around a text ([CLS] and [SEP]);
    mask_id is None if there is no mask.

    end_ids: all tokens that end an answer, of which published chat models have several.
    before: the tokens that the other library puts before a prompt, which may be none; None means
    the begin token, as in runs that are trained here.

    sides: of an encoder-decoder, what stands around a source and at the beginning of an answer.

    keeps_spaces: pieces hold the space before a word. WordPiece's do not: a word has the same ids
    alone and in a sentence, and the decoder decides about the spaces of a decoded text.
    """

    def __init__(
        self,
        values: TokenizerJson,
        begin: str,
        end: str,
        mask: str | None,
        rows: int | None = None,
        ends: Sequence[int] = (),
        before: Sequence[int] | None = None,
        sides: Sides | None = None,
    ) -> None:
        self._values = values.copy()
        decoder, self._space_first = keeping_spaces(self._values.get("decoder"))
        self._backend = tokenizers.Tokenizer.from_str(
            json.dumps({**self._values, **cutting_marks(self._values), "decoder": decoder})
        )
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self._guarded = may_not_end(self._values)
        self.kind, self.requested_size = KIND, None
        self.sides, self.tags = sides, {} if sides is None else dict(sides.languages)
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
        self.keeps_spaces = cutter(self._values) not in WITHOUT_SPACES

    @classmethod
    def take(
        cls,
        text: str,
        where: str,
        rows: int | None = None,
        config: Mapping[str, object] | None = None,
    ) -> ImportedTokenizer:
        """Read the text of a tokenizer.json for an encoder.

        rows: of the model's embedding; config: the content of tokenizer_config.json.

        Raises RunError if it is not such a file, has more tokens than rows, or does not put two
        special tokens around a text.
        """
        values, backend = read(text, where, rows)
        around = encoded(backend, "", where).tokens
        if len(around) != 2:
            raise RunError(
                f"{where} puts {len(around)} special tokens around a text "
                f"({' '.join(around) or 'none'}); an encoder needs two, like [CLS] and [SEP]. Set "
                "them in its post_processor."
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
        cls, text: str, where: str, begin: object, end: object, rows: int | None = None
    ) -> ImportedTokenizer:
        """Read the text of a tokenizer.json for a model that generates text.

        begin, end: an id or a token, as config.json or tokenizer_config.json name them, or a list:
        its first item ends a training text, and each of them ends an answer. Both may be the same.
        Raises RunError if one of them is missing or not a token.
        """
        values, backend = read(text, where, rows)
        found: list[list[int]] = []
        for name, given in (("begin (bos_token_id)", begin), ("end (eos_token_id)", end)):
            numbers = []
            for place, one in enumerate(given if isinstance(given, list) and given else [given]):
                token = token_of(backend, one)
                number = None if token is None else backend.token_to_id(token)
                if number is None and place and type(one) is int and 0 <= one < (rows or 0):
                    number = one  # a row of the embedding without a name in the tokenizer
                if number is None:
                    why = (
                        "is not given in config.json"
                        if one is None
                        else f"is {brief(repr(one))}, which is not one token"
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

    @classmethod
    def take_sides(
        cls, text: str, where: str, rows: int | None, ends: Sequence[int], sides: Sides
    ) -> ImportedTokenizer:
        """Read the text of a tokenizer.json for an encoder-decoder.

        ends: the tokens that end an answer. sides: `around` is what the file puts around a text.
        Raises RunError if a token is not in the file.
        """
        values, backend = read(text, where, rows)
        begin = sides.starts_of(next(iter(sides.languages), None))[0]
        names = [backend.id_to_token(number) for number in (begin, ends[0])]
        if not isinstance(names[0], str) or not isinstance(names[1], str):
            missing = begin if names[0] is None else ends[0]
            raise RunError(
                f"{where} has no token {missing}, which config.json names to begin or end an "
                "answer: these files are not of one model."
            )
        first, last = names[0], names[1]
        return cls(values, first, last, None, spare_rows(backend, rows), ends, sides=sides)

    def source_of(self, ids: Sequence[int], language: str | None = None) -> list[int]:
        if self.sides is None:
            return super().source_of(ids, language)
        before, after = self.sides.around_of(language)
        return [*before, *ids, *after]

    def starts(self, language: str | None = None) -> list[int]:
        return [self.begin_id] if self.sides is None else self.sides.starts_of(language)

    @property
    def marks_answers(self) -> bool:
        return self.sides is not None and LANGUAGE in self.sides.starts

    def number(self, token: str) -> int | None:
        return self._backend.token_to_id(token)

    def control(self, literal: str) -> ControlTokens:
        return ControlTokens(self._values, literal)

    def with_ends(self, ends: Sequence[int]) -> ImportedTokenizer:
        other = copy.copy(self)
        other._ends = tuple(dict.fromkeys((*self._ends, *ends)))
        return other

    @property
    def marks_sources(self) -> bool:
        return self.sides is not None and LANGUAGE in (*self.sides.before, *self.sides.after)

    def _id(self, token: str) -> int:
        number = self._backend.token_to_id(token)
        if number is None:
            raise RunError(
                f"The tokenizer has no token '{token}', which it should put around a text."
            )
        return number

    @property
    def end_ids(self) -> tuple[int, ...]:
        return self._ends

    @cached_property
    def between(self) -> list[int]:
        """Return the tokens that the other library puts between two texts: RoBERTa puts two."""
        return put_between(self._backend) or [self.end_id]

    def prompt(self, text: str) -> list[int]:
        """Return the ids of a prompt as the other library would pass them to its model.

        An empty prompt gives the begin token.
        """
        before = [self.begin_id] if self._before is None else self._before
        return [*before, *self.encode(text)] or [self.begin_id]

    def with_begin(self) -> ImportedTokenizer:
        other = copy.copy(self)
        other._before = None
        return other

    @cached_property
    def fingerprint(self) -> str:
        """Hash everything that decides the ids of a text with SHA-256.

        The tokens that end an answer or precede a prompt are not part of it.
        """
        return hashlib.sha256(self._as_json({}).encode()).hexdigest()

    def holds(self, token: str) -> bool:
        return self._backend.token_to_id(token) is not None

    def encode_within(self, text: str) -> list[int]:
        """Return the ids of `text` as continuation: no space is put before its first word."""
        if not self._space_first:
            return self.encode(text)
        before, ids = self.encode(BEFORE), self.encode(BEFORE + text)
        return ids[len(before) :] if ids[: len(before)] == before else self.encode(text)

    def words(self, text: str) -> list[str]:
        """Return the words that `text` is cut into before subwords, in order.

        Spaces between them are left out if the tokenizer drops them.
        """
        return [text[start:end] for start, end in self.word_spans(text)]

    def word_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters [start, end) of `text` of each of `words`."""
        encoding = self._encoding(text)
        spans: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word is not None:
                spans[word] = (spans.get(word, (start, end))[0], end)
        return list(spans.values())

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return ids and their characters [start, end) of `text` before any normalisation."""
        encoding = self._encoding(text)
        return encoding.ids, [(start, end) for start, end in encoding.offsets]

    @property
    def special_tokens(self) -> dict[int, str]:
        """Return the token of each id that no text can spell."""
        added = self._backend.get_added_tokens_decoder()
        return {number: token.content for number, token in added.items() if token.special}

    def decode(self, ids: Iterable[int]) -> str:
        """Return a text with these ids, without special tokens.

        Case, accents and spaces that the tokenizer dropped are not restored.
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
        """Return the display form of each id.

        It is the token, with "##" if it continues a word; byte tokens show characters, or `<0xE8>`
        for parts of one.
        """
        shown = [self._names.get(number, "") for number in ids]
        return [spelt(token) for token in shown] if self._byte_level else shown

    def to_json(self) -> str:
        several = {"ends": list(self._ends)} if len(self._ends) > 1 else {}
        return self._as_json(
            several if self._before is None else {**several, "before": self._before}
        )

    def _as_json(self, more: Mapping[str, object]) -> str:
        own = {
            "kind": KIND,
            "tags": [],
            **self.specials,
            **({"rows": self._rows} if self._rows is not None else {}),
            **({"sides": self.sides.to_json()} if self.sides is not None else {}),
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
        sides = Sides.from_json(own["sides"]) if "sides" in own else None
        return cls(
            values["tokenizer"],
            own["begin"],
            own["end"],
            own.get("mask"),
            rows,
            ends,
            before,
            sides,
        )

    def to_huggingface(self, begin: bool = True, end: bool = True) -> TokenizerJson:
        """Return the original tokenizer.json.

        With end=False, for a model that generates text, it puts before a text what `prompt` does.
        """
        if end or self._before is not None or put_before(self._backend) == [self.begin_id]:
            return self._values
        token = self.specials["begin"]
        mark, first, second = (
            {"SpecialToken": {"id": token, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"Sequence": {"id": "B", "type_id": 0}},
        )
        template: Step = {
            "type": "TemplateProcessing",
            "single": [mark, first],
            "pair": [mark, first, second],
            "special_tokens": {token: {"id": token, "ids": [self.begin_id], "tokens": [token]}},
        }
        own = self._values.get("post_processor") or {}
        both: Step = (
            {"type": "Sequence", "processors": [own, template]}
            if own.get("type") == "ByteLevel"
            else template
        )
        return {**self._values, "post_processor": both}
