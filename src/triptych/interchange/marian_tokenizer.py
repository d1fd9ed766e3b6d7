"""Read the vocabulary of a model of Marian.

It is a SentencePiece file, or a tokenizer.json made of one; or two such files, for the source and
the target, and a list of numbers for the pieces of both, as the models of OPUS-MT have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ..data.tokenizers.tokenizer_file import TokenizerJson
from ..errors import RunError, brief
from ..runs.storage import parsed
from . import sentencepiece_file
from . import sentencepiece_tokenizers as layouts
from .flat_yaml import read_numbers
from .sentencepiece_families import TWO
from .sentencepiece_file import Kind, Piece
from .tokenizer_given import read_text, written

END, UNKNOWN = "</s>", "<unk>"
STARTS = ("<pad>", "<start>", "<zero>")  # a name for the zero vector before the first word
JSON = "tokenizer.json"


@dataclass(kw_only=True)
class Vocabulary:
    """Hold a vocabulary as the text of a tokenizer.json, and the numbers of its special tokens.

    Args:
        target: That of the target, if it is another.
        file: Where it is from.
        rows: Tokens, with `start`, which Marian has no row for.
        start: The token before the first word, whose vector is zero.
    """

    text: str = field(repr=False)
    target: str | None = field(default=None, repr=False)
    file: str
    rows: int
    start: int
    end: int
    unknown: int
    notes: list[str] = field(default_factory=list)


def read_vocabulary(folder: Path, named: object, rows: int) -> Vocabulary:
    """Read the vocabulary of both sides.

    Args:
        folder: The model's folder.
        named: The files that its settings name, if they do.
        rows: Rows of the embedding.

    Raises:
        RunError: There is none, there are several, or it has more tokens than there are rows.
    """
    listed = {one for one in named if isinstance(one, str)} if isinstance(named, list) else set()
    found = [one for one in sorted(listed) if Path(one).name == one and (folder / one).is_file()]
    numbers = [one for one in found if one.endswith((".yml", ".yaml"))]
    numbers = numbers or sorted(one.name for one in folder.glob("*vocab*.y*ml"))
    if numbers and all((folder / name).is_file() for name in TWO):
        return _of_two(folder, numbers[0], rows)
    found = [one for one in found if one not in numbers]
    found = found or sorted(one.name for one in folder.glob("*.spm"))
    pieces = [one for one in found if one.endswith(".spm")]
    if len(pieces) > 1:
        raise RunError(
            "{path} has two vocabularies, {names}; triptych reads models of Marian with one for "
            "both sides.",
            path=folder, names=brief(", ".join(pieces)),
        )  # fmt: skip
    if pieces:
        return _of_pieces(folder / pieces[0], rows)
    if (folder / JSON).is_file():
        return _of_json(folder / JSON, rows)
    raise RunError(
        "{path} has no vocabulary. Put the model's SentencePiece file (….spm) or a tokenizer.json "
        "beside it.",
        path=folder,
    )  # fmt: skip


def _of_two(folder: Path, name: str, rows: int) -> Vocabulary:
    """Read the two files of pieces and the numbers of both."""
    numbers = read_numbers(read_text(folder / name), str(folder / name))
    _refuse_size(folder / name, len(numbers), rows)
    lacking = [one for one in (END, UNKNOWN) if one not in numbers]
    if lacking or sorted(numbers.values()) != list(range(len(numbers))):
        raise RunError(
            "{path} must number its tokens from 0 on, {names} too. Copy it again.",
            path=folder / name, names=f"{END}, {UNKNOWN}",
        )  # fmt: skip
    start = _start(folder / name, set(numbers))
    specials = [END, UNKNOWN, start, *(one for one in numbers if one[:2] == ">>")]
    numbers |= {f" unused {place}": place for place in range(len(numbers), rows)} | {start: rows}
    texts: list[str] = []
    notes: list[str] = []
    for one in TWO:
        held = sentencepiece_file.read(folder / one)
        layout = layouts.numbered(held, numbers, specials, UNKNOWN)
        layout.single, layout.pair = layouts.ENDED
        texts.append(written(layouts.tokenizer_json(held, layout)))
        count = layouts.without_numbers(held, numbers)
        if count:
            notes.append(
                f"{one}: {count:,} pieces have no number in {name}; others spell their texts."
            )
    return Vocabulary(
        text=texts[0], target=texts[1], file=TWO[0], rows=rows + 1, start=rows, end=numbers[END],
        unknown=numbers[UNKNOWN], notes=notes,
    )  # fmt: skip


def _refuse_size(path: Path, count: int, rows: int) -> None:
    if count > rows:
        raise RunError(
            "{path} has {count:,} tokens, but the model has {rows:,} rows: they belong to "
            "different models. Copy both again.",
            path=path, count=count, rows=rows,
        )  # fmt: skip


def _of_pieces(path: Path, rows: int) -> Vocabulary:
    held = sentencepiece_file.read(path)
    _refuse_size(path, len(held.pieces), rows)
    spare = [Piece(f"unused {place}", 0.0, Kind.UNUSED) for place in range(len(held.pieces), rows)]
    names = {one.text for one in held.pieces}
    held.pieces += spare
    layout = layouts.as_numbered(held, [_start(path, names)])
    layout.single, layout.pair = layouts.ENDED
    numbers = {one.text: place for place, one in enumerate(layout.pieces)}
    if END not in numbers:
        raise RunError("{path} has no token {name}. Copy it again.", path=path, name=END)
    try:
        text = written(layouts.tokenizer_json(held, layout))
    except ValueError as problem:
        raise RunError(
            "{path} is not the vocabulary of a Marian ({problem}). Copy it again.",
            path=path, problem=brief(problem),
        ) from None  # fmt: skip
    return Vocabulary(
        text=text, file=path.name, rows=rows + 1, start=rows, end=numbers[END],
        unknown=held.unknown,
    )  # fmt: skip


def _start(path: Path, names: set[str]) -> str:
    found = next((one for one in STARTS if one not in names), None)
    if found is None:
        raise RunError(
            "{path} has tokens {names} already, so none is left for the beginning of an answer.",
            path=path, names=", ".join(STARTS),
        )  # fmt: skip
    return found


def _of_json(path: Path, rows: int) -> Vocabulary:
    """Read a tokenizer.json, and add what Marian adds itself: the end and a beginning."""
    values: Any = parsed(read_text(path), path, "Copy it again.")
    model = values.get("model") if isinstance(values, dict) else None
    vocabulary: Any = model.get("vocab") if isinstance(model, dict) else None
    if (
        model is None
        or not isinstance(vocabulary, list)
        or not all(
            isinstance(one, list) and len(one) == 2 and isinstance(one[0], str)
            for one in vocabulary
        )
    ):
        raise RunError(
            "{path} is not a unigram tokenizer, as Marian's SentencePiece files are. Put that file "
            "(….spm) beside the model.",
            path=path,
        )  # fmt: skip
    _refuse_size(path, len(vocabulary), rows)
    names = [one[0] for one in vocabulary]
    numbers = {name: place for place, name in enumerate(names)}
    lacking = [one for one in (END, UNKNOWN) if one not in numbers]
    if lacking:
        raise RunError("{path} has no token {name}. Copy it again.", path=path, name=lacking[0])
    spare = [f" unused {place}" for place in range(len(names), rows)]
    start = _start(path, set(names))
    model["vocab"] = [*vocabulary, *([one, 0.0] for one in (*spare, start))]
    numbers[start] = rows
    own: TokenizerJson = cast(Any, values)
    tags = [one for one in names if one[:2] == ">>" and one[-2:] == "<<"]
    listed = (END, UNKNOWN, start, *tags)
    own["added_tokens"] = [layouts.added(one, numbers[one]) for one in listed]
    own["post_processor"] = layouts.template(*layouts.ENDED, numbers)
    return Vocabulary(
        text=json.dumps(own, ensure_ascii=False), file=path.name, rows=rows + 1, start=rows,
        end=numbers[END], unknown=numbers[UNKNOWN],
    )  # fmt: skip
