"""Text to ids and back: subwords trained in place, nothing lost for any Unicode text.

Pieces hold the characters as they are, a word's leading space included; a character outside the alphabet is spelt in its
UTF-8 bytes (`<0xE8>`), so every text comes back as it was. A special (`<begin>`, `<end>`, `<to:de>`) is never read out of a text:
a user who types "<end>" gets the five characters.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from ..errors import RunError, UsageError

BEGIN, END = "<begin>", "<end>"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
BYTE_VALUE = {token: byte for byte, token in enumerate(BYTES)}
# A word with its leading space, a run of digits, one sign, or white space; "<" always alone, so that no piece can spell a special.
WORDS = r"<| ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}<]|\s+"
CONTINUED = ""  # shown for a piece whose character is shown by the piece before


class Tokenizer:
    """Subwords with ids: 0 begin, 1 end, then tags, bytes and learnt pieces. There is no padding and no unknown."""

    begin_id, end_id = 0, 1

    def __init__(self, backend: tokenizers.Tokenizer, kind: str, tags: Sequence[str] = ()) -> None:
        self._backend = backend
        self._backend.encode_special_tokens = True
        self.kind = kind
        self.vocabulary_size: int = backend.get_vocab_size()
        self.tags: dict[str, int] = {tag: 2 + number for number, tag in enumerate(tags)}
        self._first_text = 2 + len(self.tags)
        self._tokens = [backend.id_to_token(number) or "" for number in range(self.vocabulary_size)]

    @classmethod
    def train(cls, texts: Iterable[str], kind: Literal["bpe", "unigram"] = "bpe", vocabulary_size: int = 8000,
              tags: Sequence[str] = ()) -> Tokenizer:  # fmt: skip
        """Learn subwords (BPE: Sennrich et al. 2016; unigram: Kudo 2018) from `texts`, the same for the same texts.

        `vocabulary_size` counts specials, tags and the 256 bytes; a small corpus gives fewer. Raises UsageError where the
        size leaves no room.
        """
        specials = [BEGIN, END, *(f"<to:{tag}>" for tag in tags)]
        room = vocabulary_size - len(specials) - len(BYTES)
        if room < 1:
            raise UsageError(
                f"tokenizer.vocabulary_size is {vocabulary_size}; specials, tags and bytes alone take "
                f"{len(specials) + len(BYTES)}. Give at least {len(specials) + len(BYTES) + 100}."
            )
        corpus = [text for text in texts if text]
        alphabet = _alphabet(corpus, room)
        learnt = _learn_bpe(corpus, alphabet, room) if kind == "bpe" else _learn_unigram(corpus, alphabet, room)
        return cls(_assemble(learnt, kind, specials), kind, tags)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, no begin and no end."""
        return self._backend.encode(text, add_special_tokens=False).ids

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and each one's characters [start, end) of `text`; the bytes of one character share its place."""
        encoding = self._backend.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._backend.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; specials and tags are left out, bytes that make no character become U+FFFD."""
        out = bytearray()
        for number in ids:
            if number >= self._first_text:
                token = self._tokens[number]
                byte = BYTE_VALUE.get(token)
                out += token.encode() if byte is None else bytes([byte])
        return out.decode("utf-8", "replace")

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """What to show for each id. The first byte of a character shows the whole character, those that follow nothing."""
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

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the ids."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        return json.dumps(
            {"triptych": {"kind": self.kind, "tags": list(self.tags)}, "tokenizer": json.loads(self._backend.to_str())},
            ensure_ascii=False, sort_keys=True,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        values = json.loads(text)
        return cls(tokenizers.Tokenizer.from_str(json.dumps(values["tokenizer"])), values["triptych"]["kind"], values["triptych"]["tags"])

    def save(self, path: str | Path) -> None:
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Raises RunError where the file is missing, truncated or not a tokenizer."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{path} is missing. Copy it back from where the run was trained, or train again.") from None
        except Exception as problem:  # the library raises plain Exception for a broken file
            raise RunError(f"{path} is not a whole tokenizer file ({problem}). Copy it again or train again.") from None


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
        return {"shared": "tokenizer.json"} if self.shared else {side: f"tokenizer.{side}.json" for side in ("source", "target")}

    def save(self, folder: str | Path) -> None:
        for side, name in self.files().items():
            (self.target if side == "target" else self.source).save(Path(folder) / name)

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizers:
        folder = Path(folder)
        if (folder / "tokenizer.source.json").exists():
            return cls(Tokenizer.load(folder / "tokenizer.source.json"), Tokenizer.load(folder / "tokenizer.target.json"))
        one = Tokenizer.load(folder / "tokenizer.json")
        return cls(one, one)


def _alphabet(corpus: Sequence[str], room: int) -> list[str]:
    """The most frequent characters, at most half of the room; ties by code point. Others are spelt in bytes."""
    counts: Counter[str] = Counter()
    for text in corpus:
        counts.update(text)
    usable = [(-count, character) for character, count in counts.items() if not 0xD800 <= ord(character) <= 0xDFFF]
    return sorted(character for _, character in sorted(usable)[: max(1, room // 2)])


def _words() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(tokenizers.Regex(WORDS), "isolated")


def _learn_bpe(corpus: Sequence[str], alphabet: list[str], room: int) -> dict:
    """{"vocabulary": pieces in order, "merges": pairs}."""
    learner = tokenizers.Tokenizer(models.BPE())
    learner.pre_tokenizer = _words()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=room, initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False, min_frequency=2
    )
    learner.train_from_iterator(corpus, trainer)
    model = json.loads(learner.to_str())["model"]
    return {"vocabulary": sorted(model["vocab"], key=model["vocab"].__getitem__), "merges": model["merges"]}


def _learn_unigram(corpus: Sequence[str], alphabet: list[str], room: int) -> dict:
    """{"vocabulary": pieces in order, "scores": log-probabilities}."""
    learner = tokenizers.Tokenizer(models.Unigram())
    learner.pre_tokenizer = _words()  # type: ignore[assignment]
    trainer = trainers.UnigramTrainer(vocab_size=room + 1, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
    known = set(alphabet)
    learner.train_from_iterator(("".join(c if c in known else " " for c in text) for text in corpus), trainer)
    # scores in steps of 1/1024 survive being written and read to the last bit, so a loaded tokenizer breaks ties alike
    learnt = json.loads(learner.to_str())["model"]["vocab"]
    pairs = [(piece, round(score * 1024) / 1024) for piece, score in learnt if piece != "<unk>"]
    missing = [character for character in alphabet if character not in {piece for piece, _ in pairs}]
    lowest = min((score for _, score in pairs), default=-10.0)
    pairs = pairs[: max(0, room - len(missing))] + [(character, lowest - 1) for character in missing]
    return {"vocabulary": [piece for piece, _ in pairs], "scores": [score for _, score in pairs]}


def _assemble(learnt: dict, kind: str, specials: list[str]) -> tokenizers.Tokenizer:
    reserved = [*specials, *BYTES]
    taken = set(reserved)
    pieces = [piece for piece in learnt["vocabulary"] if piece not in taken]
    if kind == "bpe":
        vocabulary = {token: number for number, token in enumerate([*reserved, *pieces])}
        merges = [tuple(pair) for pair in learnt["merges"]]
        model = models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True)
    else:
        scores = dict(zip(learnt["vocabulary"], learnt["scores"], strict=True))
        lowest = min(scores.values(), default=-10.0)
        table = [(token, lowest - 10.0) for token in reserved] + [(piece, scores[piece]) for piece in pieces]
        model = models.Unigram(table, unk_id=0, byte_fallback=True)
    backend = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = _words()  # type: ignore[assignment]
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])  # type: ignore[assignment]
    return backend


def _show_bytes(values: list[int]) -> list[str]:
    """One string a byte: a character stands at its first byte, bytes that make none as `<0xE8>`."""
    shown: list[str] = []
    while len(shown) < len(values):
        rest = bytes(values[len(shown) :])
        for size in range(1, 5):
            try:
                shown += [rest[:size].decode(), *[CONTINUED] * (size - 1)]
                break
            except UnicodeDecodeError:
                continue
        else:
            shown.append(BYTES[rest[0]])
    return shown
