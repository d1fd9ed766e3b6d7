"""A Trace: one answer of a model with what is needed to look at it. The page, a notebook and the
file of `inspect` all read it.

Attention is recomputed exactly from queries and keys for the finished answer, so decoding is free
to use fused kernels. Traces of models without a decoder are made in `encoder.py`.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from ..data.example import Example
from ..data.tokenizers.sides import Tokenizers
from ..decoding.settings import DecodingSettings
from ..decoding.writing import decode
from ..errors import UsageError
from ..model.config import RecurrentConfig
from ..tasks.masked_words import GOES_ON
from ..tasks.task import Labels, Task
from .attribution import Attribution, exact
from .views.expected import Expected

TRACE_VERSION = 1
MOST_BYTES = 4  # of one character in UTF-8
# signs: a space stands before them and none behind; none stands behind
OPENING, JOINING = "([{", "'’-/"
# of one kind in one file; beyond that only means are kept, and the page says so
MOST_WEIGHTS = 4_000_000


class PieceDecoder(Protocol):
    """What is needed of a tokenizer."""

    begin_id: int
    end_id: int

    @property
    def end_ids(self) -> Sequence[int]: ...
    def decode(self, ids: Sequence[int], /) -> str: ...
    def pieces(self, ids: list[int]) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class TokenCell:
    """One thing to show: a token, or the tokens (bytes) that together make one character.

    text: exactly what it stands for ("" for a special token); label: what to print; start, end: its
    characters in the text, or None for a special token; tokens: the tokens' places in the sequence;
    pieces: their raw forms, shown on demand.
    """

    text: str
    label: str
    start: int | None
    end: int | None
    tokens: tuple[int, ...]
    pieces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """attention: kind ("cross", "encoder", "decoder", "causal") -> (L, H, T, S) fp32 over cells;
    row t is the cell *produced* at t.

    log_probabilities: (T,) nats, a cell's tokens added up. A model without a decoder produces
    nothing: target and log_probabilities are empty, target_text is its answer in words; window:
    (which, of how many) where a long text was read in windows; attribution: of its answer, over the
    source's cells. A model that only writes has its text as source; "causal" is what each token
    gives to itself and to those before it, target_text what it wrote, expected what it thought
    would come. notes: codes that the page turns
    into words: "no_attention", "means_only", "head_means_only", "cut" (the answer stopped at the
    maximum length), "not_shown" (what it wrote does not fit with the text), "unread" (of the text
    only the end was read before it wrote), "source_cut" (the end of a source that is too long was
    not read), "answer_here" (of several windows this one holds the answer).
    """

    source_text: str
    target_text: str
    source: list[TokenCell]
    target: list[TokenCell]
    attention: dict[str, np.ndarray]
    log_probabilities: list[float]
    label: str = ""
    notes: list[str] = field(default_factory=list)
    attribution: Attribution | None = None
    expected: Expected | None = None
    window: tuple[int, int] = (1, 1)
    trace_version: int = TRACE_VERSION

    def to_json(self) -> str:
        """One JSON object; weights are base64 of little-endian uint16, 65535 = 1."""
        attention, notes = {}, list(self.notes)
        for kind, weights in self.attention.items():
            weights, lost = _fitting(weights)
            notes += lost
            packed = np.rint(np.clip(weights, 0, 1) * 65535).astype("<u2")
            attention[kind] = {
                "shape": list(weights.shape),
                "values": base64.b64encode(packed.tobytes()).decode("ascii"),
            }
        content = {
            "trace_version": self.trace_version,
            "label": self.label,
            "source_text": self.source_text,
            "target_text": self.target_text,
            "source": [_cell_json(cell) for cell in self.source],
            "target": [_cell_json(cell) for cell in self.target],
            "log_probabilities": [round(value, 6) for value in self.log_probabilities],
            "attention": attention,
            "attribution": _attribution_json(self.attribution),
            "expected": None if self.expected is None else self.expected.to_json(),
            "window": list(self.window),
            "notes": sorted(set(notes)),
        }
        return json.dumps(content, ensure_ascii=False)


def _fitting(weights: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(L, H, T, S), or means over heads, then over layers too, where it is too large for a file;
    and the notes that say so.
    """
    if weights.size <= MOST_WEIGHTS:
        return weights, []
    by_layer = weights.mean(1, keepdims=True)
    if by_layer.size <= MOST_WEIGHTS:
        return by_layer, ["head_means_only"]
    return by_layer.mean(0, keepdims=True), ["means_only"]


def _attribution_json(found: Attribution | None) -> dict[str, Any] | None:
    if found is None:
        return None
    lists = {
        name: [float(f"{value:.6g}") for value in getattr(found, name)]
        for name in ("gradient_times_input", "gradient_norm")
    }
    return {"kind": found.kind, "of": found.of, "value": round(found.value, 6), **lists}


def _cell_json(cell: TokenCell) -> dict[str, Any]:
    return {
        "text": cell.text,
        "label": cell.label,
        "start": cell.start,
        "end": cell.end,
        "pieces": list(cell.pieces),
    }


def cells(tokenizer: PieceDecoder, ids: Sequence[int]) -> list[TokenCell]:
    """Tokens as they may be shown: a run of byte tokens that makes one character becomes one cell.
    Of a tokenizer that drops spaces (WordPiece) words stand apart again, as far as signs tell
    how.
    """
    raw, found, at, place = tokenizer.pieces(list(ids)), [], 0, 0
    keeps_spaces = getattr(tokenizer, "keeps_spaces", True)
    before = ""
    while at < len(ids):
        count, text = _whole(tokenizer.decode, list(ids[at : at + MOST_BYTES]))
        text = text if keeps_spaces else _apart(text, before)
        span = (place, place + len(text)) if text else (None, None)
        pieces = tuple(raw[at : at + count])
        found.append(
            TokenCell(
                text,
                _label(text, before) if text else pieces[0],
                *span,
                tuple(range(at, at + count)),
                pieces,
            )
        )
        before = text or before
        place += len(text)
        at += count
    return found


def _whole(decode: Callable[[Sequence[int]], str], ids: list[int]) -> tuple[int, str]:
    """How many of the first tokens make whole characters, and which."""
    for count in range(1, len(ids) + 1):
        text = decode(ids[:count])
        if "\ufffd" not in text:
            return count, text
    return 1, decode(ids[:1])


def _apart(text: str, before: str) -> str:
    """A piece of WordPiece as it reads behind `before`: what goes on a word without its mark, a
    word after a space.
    """
    if text.startswith(GOES_ON) and text != GOES_ON:
        return text.removeprefix(GOES_ON)
    first, last = text[:1], before[-1:]
    begins = _in_word(first) or first.isdecimal() or first in (*OPENING,)
    return f" {text}" if begins and last and last not in (*OPENING, *JOINING) else text


def _label(text: str, before: str) -> str:
    """Without the space in front; a dot marks a piece that goes on inside an alphabetic word; bare
    space is made visible.
    """
    shown = text.strip()
    if not shown:
        return "".join({"\n": "⏎", "\t": "⇥"}.get(character, "␣") for character in text)
    # invisible, like what joins emoji; no part of SVG
    if all(unicodedata.category(character) in ("Cf", "Cc") for character in shown):
        return " ".join(f"U+{ord(character):04X}" for character in shown)
    goes_on = _in_word(text[0]) and _in_word(before[-1:])
    return f"·{shown}" if goes_on else shown


def label_of(tokenizer: PieceDecoder, number: int, before: str = "") -> str:
    """What to print for one token after the text `before`; a piece of a character and a special
    token by their raw form.
    """
    text = tokenizer.decode([number])
    return _label(text, before) if text and "\ufffd" not in text else tokenizer.pieces([number])[0]


def labels_at(tokenizer: PieceDecoder, numbers: Sequence[int], before: str = "") -> list[str]:
    """What to print for tokens that may stand at one place after the text `before`: of those that
    would look alike spaces are shown.
    """
    return distinct_labels(
        [label_of(tokenizer, number, before) for number in numbers],
        [tokenizer.decode([number]) for number in numbers],
    )


def distinct_labels(labels: Sequence[str], texts: Sequence[str]) -> list[str]:
    """`labels`; where several are the same, those whose text begins with a space have a mark for
    it.
    """
    counts = Counter(labels)
    return [f"␣{label}" if counts[label] > 1 and text[:1] == " " and text.strip() else label
            for label, text in zip(labels, texts, strict=True)]  # fmt: skip


def _in_word(character: str) -> bool:
    """A letter of a script that writes spaces between words (below the East Asian blocks)."""
    return character.isalpha() and ord(character) < 0x2E80


def regroup(weights: np.ndarray, rows: list[TokenCell], columns: list[TokenCell]) -> np.ndarray:
    """(L, H, T tokens, S tokens) -> (L, H, T cells, S cells): what goes to a cell adds up, what
    comes from one is averaged.
    """
    summed = np.stack([weights[..., list(cell.tokens)].sum(-1) for cell in columns], -1)
    return np.stack([summed[..., list(cell.tokens), :].mean(-2) for cell in rows], -2).astype(
        np.float32
    )


@torch.no_grad()
def look(
    model: Any,
    source: Sequence[int],
    target: Sequence[int],
    begin: int,
    kinds: Sequence[str] = ("cross",),
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Forced reading of one answer: attention kind -> (L, H, T, S) in fp32 and each target token's
    log-probability (nats).

    source: ids as the encoder gets them; target: the produced ids, the end token included if there
        was one.
    """
    device = next(model.parameters()).device
    shifted = [begin, *target[:-1]]
    inputs = {
        "source": torch.tensor(source, device=device),
        "source_lengths": torch.tensor([len(source)], device=device),
        "target": torch.tensor(shifted, device=device),
        "target_lengths": torch.tensor([len(shifted)], device=device),
    }
    with exact(model):
        logits = model.project(model(**inputs)).float()  # (T, V)
        picked = logits.log_softmax(-1).gather(1, torch.tensor(target, device=device)[:, None])[
            :, 0
        ]
        found = {
            kind: model.attention_weights(kind=kind, **inputs)[:, 0].float().cpu().numpy()
            for kind in kinds
        }
    return found, picked.tolist()


def trace(
    model: Any,
    task: Task,
    tokenizers: Tokenizers,
    example: Example,
    *,
    labels: Labels,
    settings: DecodingSettings,
    label: str = "",
    kinds: Sequence[str] = ("cross",),
) -> Trace:
    """Answer one Example as the Task does (settings: DecodingSettings) and look at the best answer.

    With `example.target` set that text is looked at instead: forced, nothing is searched. Raises
    UsageError where the task learns no target text.
    """
    if example.target and "target" not in task.needs:
        raise UsageError(
            f"A run for {task.name} learns no answer of one text, so none can be given to look "
            "at: leave out the target."
        )
    encoded = task.encode(example, tokenizers, labels, "train" if example.target else "use", None)[
        0
    ]
    if example.target:
        answer = encoded.targets["tokens"].tolist()
    else:
        assert task.request is not None, "what has a decoder writes"
        request = task.request(encoded, settings, tokenizers)
        best = decode(model, [request], tokenizers.target)[0][0]
        answer = [*best.tokens, tokenizers.target.end_id] if best.finished else best.tokens
    source = encoded.inputs["source"].tolist()
    found = trace_tokens(
        model, source, answer, tokenizers.source, tokenizers.target, label=label, kinds=kinds
    )
    found.notes.extend(["source_cut"] * bool(encoded.unseen))
    return found


def trace_tokens(
    model: Any,
    source: Sequence[int],
    target: Sequence[int],
    source_tokenizer: PieceDecoder,
    target_tokenizer: PieceDecoder,
    *,
    label: str = "",
    kinds: Sequence[str] = ("cross",),
) -> Trace:
    """The Trace of one source and its answer, both as ids. A model without attention gives a Trace
    that says so.
    """
    sides = {
        "cross": ("target", "source"),
        "encoder": ("source", "source"),
        "decoder": ("target", "target"),
    }
    for kind in kinds:
        if kind not in sides:
            raise UsageError(f"Unknown attention '{kind}'. Allowed: {', '.join(sides)}.")
    notes = []
    if isinstance(model.config, RecurrentConfig) and not model.config.attention:
        kinds = ()
        notes.append("no_attention")
    attention, chances = look(model, source, target, target_tokenizer.begin_id, kinds)
    if not target or target[-1] != target_tokenizer.end_id:
        notes.append("cut")
    shown = {"source": cells(source_tokenizer, source), "target": cells(target_tokenizer, target)}
    grouped = {
        kind: regroup(weights, *(shown[side] for side in sides[kind]))
        for kind, weights in attention.items()
    }
    return Trace(
        source_text="".join(cell.text for cell in shown["source"]),
        target_text="".join(cell.text for cell in shown["target"]),
        source=shown["source"],
        target=shown["target"],
        attention=grouped,
        log_probabilities=[
            sum(chances[token] for token in cell.tokens) for cell in shown["target"]
        ],
        label=label,
        notes=notes,
    )
