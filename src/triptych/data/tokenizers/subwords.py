"""Text to ids and back: subwords trained in place, nothing lost for any Unicode text.

Pieces hold the characters as they are, a word's leading space included; a character outside the
alphabet is spelt in its UTF-8 bytes (`<0xE8>`), so every text comes back as it was. A special
(`<begin>`, `<end>`, `<to:de>`) is never read out of a text: a user who types "<end>" gets the five
characters.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from ...errors import DataError, RunError, UsageError, brief, is_failure, unknown
from . import unigram

Kind = Literal["bpe", "code", "unigram", "characters", "bytes"]
KINDS = ("bpe", "code", "unigram", "characters", "bytes")
BEGIN, END, MASK = "<begin>", "<end>", "<mask>"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
BYTE_VALUE = {token: byte for byte, token in enumerate(BYTES)}
ALONE = "<"  # never joined to anything, so that no piece can spell a special
# written without spaces; U+30FC, the long vowel, belongs to no script
EAST = r"\p{Han}\p{Hiragana}\p{Katakana}\x{30FC}"
# A run of Chinese or Japanese, a word, a run of digits or one sign, each with the space before it;
# "<"; white space.
WORDS = (
    rf"<| ?[{EAST}]+| ?[[\p{{L}}\p{{M}}]&&[^{EAST}]]+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{M}}\p{{N}}<]|\s+"
)
# The same, but signs that stand together may be one piece ("):", "()", three quotes): 12 % more
# bytes a token of Python.
CODE_WORDS = WORDS.replace(r"\p{N}<]|\s+", r"\p{N}<]+|\s+")
CONTINUED = ""  # shown for a piece whose character is shown by the piece before


class Tokenizer:
    """Subwords with ids: 0 begin, 1 end, then tags, a mask where wanted, bytes and learnt pieces.
    No padding and no unknown.
    """

    begin_id, end_id = 0, 1
    # a piece holds the space before it, so a word on its own needs one to have the ids it has in a
    # sentence
    keeps_spaces = True

    def __init__(
        self, backend: tokenizers.Tokenizer, kind: str, tags: Sequence[str] = (), mask: bool = False
    ) -> None:
        self._backend = backend
        self._backend.encode_special_tokens = True
        self.kind = kind
        self.vocabulary_size: int = backend.get_vocab_size()
        self.tags: dict[str, int] = {tag: 2 + number for number, tag in enumerate(tags)}
        # by `train`; more than `vocabulary_size` where the texts support no more
        self.requested_size: int | None = None
        self.mask_id: int | None = 2 + len(self.tags) if mask else None
        self._first_text = 2 + len(self.tags) + mask
        tokens = [backend.id_to_token(number) for number in range(self.vocabulary_size)]
        if None in tokens:
            raise ValueError(f"no token has the id {tokens.index(None)}")
        self._tokens: list[str] = [token or "" for token in tokens]

    @classmethod
    def train(cls, texts: Iterable[str], kind: Kind = "bpe", vocabulary_size: int = 8000,
              tags: Sequence[str] = (), mask: bool = False) -> Tokenizer:  # fmt: skip
        """Learn subwords (BPE: Sennrich et al. 2016; unigram: Kudo 2018) from `texts`, the same for
        the same texts; or take the characters that occur in them ("characters"), or bytes alone
        ("bytes"). "code" is BPE that joins signs too.

        `vocabulary_size` counts specials, tags and the 256 bytes. A small corpus gives fewer:
        `requested_size` then exceeds the tokenizer's `vocabulary_size`. Raises UsageError for an
        unknown kind or a size that leaves no room.
        """
        if kind not in KINDS:
            raise unknown("tokenizer kind", kind, KINDS)
        assert len(set(tags)) == len(tags), "a tag given twice would shift the ids of all others"
        specials = [BEGIN, END, *(f"<to:{tag}>" for tag in tags), *([MASK] if mask else [])]
        room = vocabulary_size - len(specials) - len(BYTES)
        if kind == "bytes":
            return cls(
                _assemble({"vocabulary": [], "merges": []}, "bpe", specials), kind, tags, mask
            )
        if room < 1:
            raise UsageError(
                f"tokenizer.vocabulary_size is {vocabulary_size}; specials, tags and bytes alone "
                f"take {len(specials) + len(BYTES)}. Give at least "
                f"{len(specials) + len(BYTES) + 100}."
            )
        corpus = [text for text in texts if text]
        alphabet = _alphabet(corpus, room if kind == "characters" else max(1, room // 2))
        if kind == "characters":
            return cls(
                _assemble({"vocabulary": alphabet, "merges": []}, "bpe", specials), kind, tags, mask
            )
        corpus = _without_others(corpus, alphabet)
        learnt = (
            _learn_unigram(corpus, alphabet, room)
            if kind == "unigram"
            else _learn_bpe(corpus, alphabet, room, kind)
        )
        tokenizer = cls(_assemble(learnt, kind, specials), kind, tags, mask)
        tokenizer.requested_size = vocabulary_size
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, no begin and no end. Raises DataError for half a character (a lone
        surrogate).
        """
        return self._encoding(text).ids

    def _encoding(self, text: str) -> tokenizers.Encoding:
        """Raises DataError too where the library fails, as a tokenizer from elsewhere can make
        it.
        """
        try:
            return self._backend.encode(text, add_special_tokens=False)
        except TypeError:
            raise _half_character([text]) from None
        except BaseException as problem:
            raise _unreadable(problem, text) from None

    @property
    def end_ids(self) -> tuple[int, ...]:
        """All tokens that end an answer, `end_id` first."""
        return (self.end_id,)

    def prompt(self, text: str) -> list[int]:
        """Ids of a text that is to be written on, what stands before a text included."""
        return [self.begin_id, *self.encode(text)]

    def encode_within(self, text: str) -> list[int]:
        """Ids of `text` where it goes on from another one: those of `encode`, unless that begins
        every text with a space of its own.
        """
        return self.encode(text)

    def words(self, text: str) -> list[str]:
        """What `text` is cut into before subwords, in order; together they are the text."""
        splitter = self._backend.pre_tokenizer
        assert splitter is not None, "a tokenizer of this package cuts words first"
        return [word for word, _ in splitter.pre_tokenize_str(text)]

    def word_spans(self, text: str) -> list[tuple[int, int]]:
        """The characters [start, end) of `text` that each of `words` is."""
        ends = list(accumulate(len(word) for word in self.words(text)))
        return list(zip([0, *ends], ends, strict=False))

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and each one's characters [start, end) of `text`; the bytes of one character share
        its place.
        """
        ids, offsets, place = self.encode(text), [], 0
        # by hand: the library gives a run of several unknown characters one place
        for number in ids:
            token = self._tokens[number]
            byte = BYTE_VALUE.get(token)
            if byte is None:
                offsets.append((place, place + len(token)))
                place += len(token)
            else:
                place += byte & 0xC0 != 0x80  # not one that continues a character
                offsets.append((place - 1, place))
        return ids, offsets

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` for many, over all threads of the machine (TOKENIZERS_PARALLELISM=false:
        one).
        """
        try:
            return [
                encoding.ids
                for encoding in self._backend.encode_batch(list(texts), add_special_tokens=False)
            ]
        except TypeError:
            raise _half_character(texts) from None
        except BaseException as problem:
            raise _unreadable(problem, next(iter(texts), "")) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; specials and tags are left out, bytes that make no character become
        U+FFFD.
        """
        out = bytearray()
        for number in ids:
            if number >= self._first_text:
                token = self._tokens[number]
                byte = BYTE_VALUE.get(token)
                out += token.encode() if byte is None else bytes([byte])
        return out.decode("utf-8", "replace")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What to show for each id. The first byte of a character shows the whole character, those
        that follow nothing.
        """
        shown = [self._tokens[number] for number in ids]
        place = 0
        while place < len(shown):
            run = place
            while run < len(shown) and ids[run] >= self._first_text and shown[run] in BYTE_VALUE:
                run += 1
            if run > place:
                shown[place:run] = _show_bytes([BYTE_VALUE[token] for token in shown[place:run]])
            place = max(run, place + 1)
        return shown

    def with_begin(self) -> Tokenizer:
        """The same, with begin before every text that is written on, as models that are trained
        here read it.
        """
        return self

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the ids."""
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

    def to_huggingface(self, end: bool = True) -> dict[str, Any]:
        """A tokenizer.json for the library tokenizers alone, which puts begin and end around a text
        (and between two); with end=False, for a model that writes on, begin alone.
        """
        values = json.loads(self._backend.to_str())
        names = {"begin": self._tokens[self.begin_id], "end": self._tokens[self.end_id]}
        before, after = ({"SpecialToken": {"id": name, "type_id": 0}} for name in names.values())
        first, second = (
            {"Sequence": {"id": side, "type_id": number}} for number, side in enumerate("AB")
        )
        last = {"SpecialToken": {"id": names["end"], "type_id": 1}}
        values["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [before, first, *([after] if end else [])],
            "pair": [before, first, *([after] if end else []), second, *([last] if end else [])],
            "special_tokens": {
                name: {"id": name, "ids": [number], "tokens": [name]}
                for name, number in zip(names.values(), (self.begin_id, self.end_id), strict=True)
            },
        }
        return values

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        values = json.loads(text)
        own = values["triptych"]
        if own["kind"] == "imported":
            from .imported import ImportedTokenizer

            return ImportedTokenizer.from_json(text)
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

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Raises RunError where the file is missing, truncated or not a tokenizer."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                f"{path} is missing. Copy it back from where the run was trained, or train again."
            ) from None
        except BaseException as problem:
            # for a broken file the library raises plain Exception, or panics
            if not is_failure(problem):
                raise
            raise RunError(
                f"{path} is not a whole tokenizer file ({brief(problem)}). Copy it again or train "
                "again."
            ) from None


@dataclass(frozen=True, slots=True)
class Tokenizers:
    """The two sides' tokenizers; the same object twice when they share one vocabulary."""

    source: Tokenizer
    target: Tokenizer

    @property
    def shared(self) -> bool:
        return self.source is self.target

    def files(self) -> dict[str, str]:
        """Side ("shared", or "source" and "target") -> file name in a run folder."""
        return (
            {"shared": "tokenizer.json"}
            if self.shared
            else {side: f"tokenizer.{side}.json" for side in ("source", "target")}
        )

    def with_begin(self) -> Tokenizers:
        """See `Tokenizer.with_begin`."""
        source = self.source.with_begin()
        return Tokenizers(source, source if self.shared else self.target.with_begin())

    def save(self, folder: str | Path) -> None:
        for side, name in self.files().items():
            (self.target if side == "target" else self.source).save(Path(folder) / name)

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizers:
        folder = Path(folder)
        if (folder / "tokenizer.source.json").exists():
            return cls(
                Tokenizer.load(folder / "tokenizer.source.json"),
                Tokenizer.load(folder / "tokenizer.target.json"),
            )
        one = Tokenizer.load(folder / "tokenizer.json")
        return cls(one, one)


def _alphabet(corpus: Sequence[str], room: int) -> list[str]:
    """The most frequent characters, at most `room`; ties by code point. Others are spelt in
    bytes.
    """
    counts: Counter[str] = Counter()
    for text in corpus:
        counts.update(text)
    usable = [
        (-count, character)
        for character, count in counts.items()
        if not 0xD800 <= ord(character) <= 0xDFFF
    ]
    return sorted(character for _, character in sorted(usable)[:room])


def _without_others(corpus: Sequence[str], alphabet: Sequence[str]) -> list[str]:
    """Characters outside the alphabet become "<", which joins to nothing: their neighbours are not
    learnt as neighbours.
    """
    others = set().union(*corpus).difference(alphabet)
    table = {ord(character): ALONE for character in others}
    return [text.translate(table) for text in corpus] if table else list(corpus)


def _words(kind: str = "bpe") -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(
        tokenizers.Regex(CODE_WORDS if kind == "code" else WORDS), "isolated"
    )


def _learn_bpe(corpus: Sequence[str], alphabet: list[str], room: int, kind: str = "bpe") -> dict:
    """{"vocabulary": pieces in order, "merges": pairs}."""
    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = _words(kind)  # type: ignore[assignment]
    # each merge joins two characters or more of the texts; the library takes memory for as many
    # pieces as it is told
    trainer = trainers.BpeTrainer(
        vocab_size=min(room, len(alphabet) + sum(map(len, corpus))),
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
        min_frequency=2,
    )
    learner.train_from_iterator(corpus, trainer)
    model = json.loads(learner.to_str())["model"]
    return {
        "vocabulary": sorted(model["vocab"], key=model["vocab"].__getitem__),
        "merges": model["merges"],
    }


def _learn_unigram(corpus: Sequence[str], alphabet: list[str], room: int) -> dict:
    """{"vocabulary": pieces in order, "scores": log-probabilities}. Candidates are the pieces of a
    larger BPE.
    """
    words: Counter[str] = Counter()
    splitter, known = _words(), set(alphabet)
    for text in corpus:
        words.update(word for word, _ in splitter.pre_tokenize_str(text))
    if ALONE not in known:
        del words[ALONE]
    candidates = [
        *alphabet,
        *_learn_bpe(corpus, alphabet, max(room, len(alphabet)) * 4)["vocabulary"],
    ]
    learnt = unigram.learn(words, candidates, room)
    # scores in steps of 1/1024 survive being written and read to the last bit, so a loaded
    # tokenizer breaks ties alike
    return {
        "vocabulary": list(learnt),
        "scores": [round(score * 1024) / 1024 for score in learnt.values()],
    }


def _assemble(learnt: dict, kind: str, specials: list[str]) -> tokenizers.Tokenizer:
    reserved = [*specials, *BYTES]
    taken = set(reserved)
    pieces = [piece for piece in learnt["vocabulary"] if piece not in taken]
    if kind != "unigram":
        vocabulary = {token: number for number, token in enumerate([*reserved, *pieces])}
        merges = [tuple(pair) for pair in learnt["merges"]]
        model = models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True)
    else:
        scores = dict(zip(learnt["vocabulary"], learnt["scores"], strict=True))
        lowest = min(scores.values(), default=-10.0)
        table = [(token, lowest - 10.0) for token in reserved] + [
            (piece, scores[piece]) for piece in pieces
        ]
        model = models.Unigram(table, unk_id=0, byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = _words(kind)  # type: ignore[assignment]
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])  # type: ignore[assignment]
    return backend


def _show_bytes(values: list[int]) -> list[str]:
    """One string a byte: a character stands at its first byte, bytes that make none as `<0xE8>`."""
    shown: list[str] = []
    while len(shown) < len(values):
        rest = bytes(values[len(shown) : len(shown) + 4])
        for size in range(1, 5):
            try:
                shown += [rest[:size].decode(), *[CONTINUED] * (size - 1)]
                break
            except UnicodeDecodeError:
                continue
        else:
            shown.append(BYTES[rest[0]])
    return shown


def _unreadable(problem: BaseException, text: str) -> BaseException:
    """The error to raise where the library stopped at `text`: what is not its failure (Ctrl-C)
    stays as it is.
    """
    if not is_failure(problem):
        return problem
    return DataError(
        f"The tokenizer cannot cut {text[:60]!a} into tokens ({brief(problem)}). Its "
        "tokenizer.json has no token for what the text holds, or a pattern that takes too long: "
        "give another text, or repair that file."
    )


def _half_character(texts: Sequence[str]) -> DataError:
    """Python can hold half a surrogate pair (from JSON's "\\ud800"); UTF-8, and so any file,
    cannot.
    """
    for text in texts:
        assert isinstance(text, str), f"a text is wanted, not {type(text).__name__}"
        for place, character in enumerate(text):
            if 0xD800 <= ord(character) <= 0xDFFF:
                return DataError(
                    f"Character {place + 1} of {text[:60]!a} is half a character "
                    f"(U+{ord(character):04X}, a lone surrogate), which no text file can hold. "
                    "Write it out anew, with the other half or without it."
                )
    raise AssertionError("the library refused a text for another reason")
