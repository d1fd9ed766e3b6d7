"""Train subword tokenizers that lose nothing of any Unicode text.

Pieces hold the characters as they are, a word's leading space included; a character outside the
alphabet is spelt in its UTF-8 bytes (`<0xE8>`), so every text is decoded exactly. A special token
(`<begin>`, `<end>`, `<to:de>`) is never read from a text: a user who types "<end>" gets the five
characters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import tokenizers

from ...errors import DataError, brief, is_failure, unknown
from ..text_blocks import packed_ids
from .byte_pieces import BYTE_VALUE, show_bytes
from .known_words import KnownWords, WordPattern
from .learning import learn
from .panics import unheard
from .tokenizer_file import TokenizerJson

Found = TypeVar("Found")
TokenizerKind = Literal["bpe", "code", "unigram", "characters", "bytes"]
LONG = 10_000  # characters
FEWEST_TOGETHER = 64  # texts whose words are remembered
KINDS = ("bpe", "code", "unigram", "characters", "bytes")
BEGIN, END, MASK = "<begin>", "<end>", "<mask>"


class Tokenizer:
    """Encode text as subwords: ids 0 begin, 1 end, then tags, an optional mask, bytes and pieces.

    There is no padding token and no unknown token.
    """

    begin_id, end_id = 0, 1
    # A piece holds the space before it, so a word alone needs a space to get the ids that it has
    # in a sentence.
    keeps_spaces = True
    _guarded = False  # a pattern of its file may make the library panic
    _ahead: Mapping[str, list[int]] = {}  # texts that will be read soon -> their ids
    _known: KnownWords | None = None
    ahead_used = 0  # how often one of them was read

    def __init__(
        self, backend: tokenizers.Tokenizer, kind: str, tags: Sequence[str] = (), mask: bool = False
    ) -> None:
        self._backend = backend
        self._backend.encode_special_tokens = True
        self.kind = kind
        self.vocabulary_size: int = backend.get_vocab_size()
        self.tags: dict[str, int] = {tag: 2 + number for number, tag in enumerate(tags)}
        # Set by `train`; more than `vocabulary_size` if the texts do not support as many.
        self.requested_size: int | None = None
        self.mask_id: int | None = 2 + len(self.tags) if mask else None
        self._first_text = 2 + len(self.tags) + mask
        tokens = [backend.id_to_token(number) for number in range(self.vocabulary_size)]
        if None in tokens:
            raise ValueError(f"no token has the id {tokens.index(None)}")
        self._tokens: list[str] = [token or "" for token in tokens]

    @classmethod
    def train(cls, texts: Iterable[str], kind: TokenizerKind = "bpe", vocabulary_size: int = 8000,
              tags: Sequence[str] = (), mask: bool = False) -> Tokenizer:  # fmt: skip
        """Learn subwords from `texts`, the same for the same texts.

        kind: "bpe" (Sennrich et al. 2016), "code" (BPE that joins signs too), "unigram" (Kudo
        2018), "characters" (those in the texts) or "bytes".

        `vocabulary_size` counts special tokens, tags and the 256 bytes. A small corpus gives fewer:
        `requested_size` then exceeds the tokenizer's `vocabulary_size`. Raises UsageError for an
        unknown kind or a size that leaves no room.
        """
        if kind not in KINDS:
            raise unknown("tokenizer kind", kind, KINDS)
        assert len(set(tags)) == len(tags), "a repeated tag would shift the ids of all others"
        specials = [BEGIN, END, *(f"<to:{tag}>" for tag in tags), *([MASK] if mask else [])]
        tokenizer = cls(learn(texts, kind, vocabulary_size, specials), kind, tags, mask)
        if kind not in ("bytes", "characters"):
            tokenizer.requested_size = vocabulary_size
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """Return the ids of `text` without begin and end.

        Raises DataError for half a character (a lone surrogate).
        """
        known = self._ahead.get(text)
        if known is None:
            return self._encoding(text).ids
        self.ahead_used += 1
        return list(known)

    def know_ahead(self, ids: Mapping[str, list[int]]) -> None:
        """Take the ids of texts that `encode` will be asked for."""
        self._ahead = {**self._ahead, **ids}

    def forget_ahead(self) -> None:
        """Forget the texts that were encoded ahead."""
        self._ahead, self.ahead_used = {}, 0

    def _encoding(self, text: str) -> tokenizers.Encoding:
        """Encode `text`. Raises DataError also if the library fails, as for a broken import."""
        try:
            with unheard() if self._guarded else nullcontext():
                if len(text) < LONG:
                    return self._backend.encode(text, add_special_tokens=False)
                # In a batch the library lets other threads of Python run meanwhile.
                return self._backend.encode_batch([text], add_special_tokens=False)[0]
        except TypeError:
            raise _half_character([text]) from None
        except BaseException as problem:
            raise _unreadable(problem, text) from None

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Return all tokens that end an answer, `end_id` first."""
        return (self.end_id,)

    def source_of(self, ids: Sequence[int], language: str | None = None) -> list[int]:
        """Return a source with the tokens that an encoder-decoder reads around it.

        language: the source's, for a tokenizer that marks it.
        """
        return [*ids, self.end_id]

    def starts(self, language: str | None = None) -> list[int]:
        """Return the tokens that the answer of an encoder-decoder begins with.

        language: the target's, for a tokenizer that marks it there.
        """
        return [self.begin_id]

    def number(self, token: str) -> int | None:
        """Return the id of a special token, or None if there is none of this name."""
        return None

    @property
    def marks_answers(self) -> bool:
        """Tell whether a target language is marked in `starts`, not before the source."""
        return False

    @property
    def marks_sources(self) -> bool:
        """Tell whether `source_of` marks the language of a source."""
        return False

    @property
    def between(self) -> list[int]:
        """Return the tokens between the two texts of an input."""
        return [self.end_id]

    def prompt(self, text: str) -> list[int]:
        """Return the ids of a prompt, including the tokens before a text."""
        return [self.begin_id, *self.encode(text)]

    def encode_within(self, text: str) -> list[int]:
        """Return the ids of `text` as continuation of another.

        They equal those of `encode` unless that puts a space before every text.
        """
        return self.encode(text)

    def words(self, text: str) -> list[str]:
        """Return the words that `text` is cut into before subwords; together they are the text."""
        splitter = self._backend.pre_tokenizer
        assert splitter is not None, "a tokenizer of this package always has a pre-tokenizer"
        return [word for word, _ in splitter.pre_tokenize_str(text)]

    def word_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters [start, end) of `text` of each of `words`."""
        ends = list(accumulate(len(word) for word in self.words(text)))
        return list(zip([0, *ends], ends, strict=False))

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return ids and their characters [start, end) of `text`, one span for each character."""
        ids, offsets, place = self.encode(text), [], 0
        # Not by the library: it gives a run of several unknown characters one place.
        for number in ids:
            token = self._tokens[number]
            byte = BYTE_VALUE.get(token)
            if byte is None:
                offsets.append((place, place + len(token)))
                place += len(token)
            else:
                place += byte & 0xC0 != 0x80  # not a byte that continues a character
                offsets.append((place - 1, place))
        return ids, offsets

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode many texts on all threads of the machine (one if TOKENIZERS_PARALLELISM=false)."""
        known = self._words_for(texts)
        return self._reported(self._encode_batch if known is None else known.encode, texts)

    def encode_arrays(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of all texts one after the other, and where those of each end."""
        known = self._words_for(texts)
        found = None if known is None else self._reported(known.encode_arrays, texts)
        if found is not None:
            return found
        ids, ends = packed_ids(self.encode_batch(texts))
        return np.frombuffer(ids, np.uint32), np.frombuffer(ends, np.int64)

    def _words_for(self, texts: Sequence[str]) -> KnownWords | None:
        """Return the words that are remembered, where they help with these texts."""
        if len(texts) < FEWEST_TOGETHER or type(self) is not Tokenizer:
            return None
        if self._known is None:
            splitter = self._backend.pre_tokenizer
            assert splitter is not None, "a tokenizer of this package has a pre-tokenizer"
            self._known = KnownWords(WordPattern(splitter, self.kind == "code"), self._encode_batch)
        return self._known if self._known.pays else None

    def _reported(self, call: Callable[[Sequence[str]], Found], texts: Sequence[str]) -> Found:
        """Raise DataError where the library fails."""
        try:
            return call(texts)
        except TypeError:
            raise _half_character(texts) from None
        except BaseException as problem:
            raise _unreadable(problem, next(iter(texts), "")) from None

    def _encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        with unheard() if self._guarded else nullcontext():
            found = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in found]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids` without special tokens and tags; invalid bytes become U+FFFD."""
        out = bytearray()
        for number in ids:
            if number >= self._first_text:
                token = self._tokens[number]
                byte = BYTE_VALUE.get(token)
                out += token.encode() if byte is None else bytes([byte])
        return out.decode("utf-8", "replace")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the display form of each id.

        The first byte of a character shows the whole character, its other bytes show nothing.
        """
        shown = [self._tokens[number] for number in ids]
        place = 0
        while place < len(shown):
            run = place
            while run < len(shown) and ids[run] >= self._first_text and shown[run] in BYTE_VALUE:
                run += 1
            if run > place:
                shown[place:run] = show_bytes([BYTE_VALUE[token] for token in shown[place:run]])
            place = max(run, place + 1)
        return shown

    def with_begin(self) -> Tokenizer:
        """Return this tokenizer with begin before every prompt, as models trained here do."""
        return self

    @property
    def fingerprint(self) -> str:
        """Hash everything that decides the ids with SHA-256."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(
            {
                "triptych": {
                    "kind": self.kind,
                    "tags": list(self.tags),
                    **({"mask": True} if self.mask_id is not None else {}),
                },
                "tokenizer": json.loads(self._backend.to_str()),
            },
            ensure_ascii=False,
            sort_keys=True,
        )

    @property
    def special_tokens(self) -> dict[int, str]:
        """Return the token of each id that no text can spell: begin, end, tags and the mask."""
        return dict(enumerate(self._tokens[: self._first_text]))

    def to_huggingface(self, begin: bool = True, end: bool = True) -> TokenizerJson:
        """Return a tokenizer.json for the library tokenizers that puts begin and end around texts.

        Args:
            begin: Put begin before a text. False for the source of an encoder-decoder.
            end: Put end after a text. False for a model that generates text.
        """
        values: TokenizerJson = json.loads(self._backend.to_str())
        # tokenizer_config.json names begin, end and mask, but has no keys for tags.
        values["added_tokens"] = [
            {
                "id": number,
                "content": self._tokens[number],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for number in self.tags.values()
        ]
        names = {"begin": self._tokens[self.begin_id], "end": self._tokens[self.end_id]}
        before, after = ({"SpecialToken": {"id": name, "type_id": 0}} for name in names.values())
        first, second = (
            {"Sequence": {"id": side, "type_id": number}} for number, side in enumerate("AB")
        )
        last = {"SpecialToken": {"id": names["end"], "type_id": 1}}
        single = [*([before] if begin else []), first, *([after] if end else [])]
        values["post_processor"] = {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, second, *([last] if end else [])],
            "special_tokens": {
                name: {"id": name, "ids": [number], "tokens": [name]}
                for name, number in zip(names.values(), (self.begin_id, self.end_id), strict=True)
            },
        }
        return values

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Read the output of this class's `to_json`; `loading.from_json` reads every tokenizer."""
        values = json.loads(text)
        own = values["triptych"]
        if not all(isinstance(tag, str) for tag in own["tags"]):
            raise ValueError("a tag is not a text")
        return cls(
            tokenizers.Tokenizer.from_str(json.dumps(values["tokenizer"])),
            own["kind"],
            own["tags"],
            own.get("mask", False),
        )

    def save(self, path: str | Path) -> None:
        Path(path).write_text(self.to_json(), encoding="utf-8")


def _unreadable(problem: BaseException, text: str) -> BaseException:
    """Return the error to raise if the library stopped at `text`; Ctrl-C stays as it is."""
    if not is_failure(problem):
        return problem
    return DataError(
        f"The tokenizer cannot cut {text[:60]!a} into tokens ({brief(problem)}). Its "
        "tokenizer.json has no token for part of the text, or a pattern that takes too long. "
        "Give another text, or repair that file."
    )


def _half_character(texts: Sequence[str]) -> DataError:
    r"""Describe half a surrogate pair, which Python can hold (JSON's "\ud800") but UTF-8 cannot."""
    for text in texts:
        assert isinstance(text, str), f"expected a text, got {type(text).__name__}"
        for place, character in enumerate(text):
            if 0xD800 <= ord(character) <= 0xDFFF:
                return DataError(
                    f"Character {place + 1} of {text[:60]!a} is half a character "
                    f"(U+{ord(character):04X}, a lone surrogate), which no text file can hold. "
                    "Write it again, with the other half or without it."
                )
    raise AssertionError("the library refused a text for another reason")
