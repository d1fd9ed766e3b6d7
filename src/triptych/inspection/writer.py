"""Trace decoder-only models.

A trace holds each token's attention to itself and to the tokens before it, what was expected after
it, and how surprising it was. A text longer than the context is read in windows that do not
overlap, as an evaluation reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .attribution import exact
from .cells import PieceDecoder, TokenCell, cells, labels_at, regroup
from .trace import Trace
from .views.expected import Expected, TokenChoice, Total, ranked

MOST_CHOICES = 10  # next tokens shown at a place
CHUNK = 512  # positions whose logits are held at a time


@dataclass(frozen=True, kw_only=True)
class Script:
    """Hold the text to trace.

    Args:
        ids: The begin token and the given text.
        own: What the model generated after it.
        ended: The model generated the end token as well.
        bytes: Length of the given text in UTF-8; None: of what the ids decode to.
    """

    ids: list[int]
    own: list[int]
    ended: bool = False
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """Hold what was read of N tokens.

    Args:
        nats: (N,) -log p of each, NaN for the first.
        top: Ids and probabilities (N, K) of what may follow each.
        end: (N,) log-probability of the end token after each.
    """

    nats: np.ndarray
    top: tuple[np.ndarray, np.ndarray]
    end: np.ndarray


def trace_writer(
    model: Any,
    tokenizer: PieceDecoder,
    script: Script,
    *,
    context: int,
    most: int = 6,
    answer: str = "",
    label: str = "",
) -> list[Trace]:
    """Return a Trace of each of the first `most` windows; their totals count all windows.

    What the model generated is left out where it does not fit the context of `context` tokens
    together with the text (the note "not_shown").
    """
    fits = len(script.ids) + len(script.own) <= context
    own = script.own if fits else []
    ids = [*script.ids, *own]
    starts = list(range(0, len(ids), context))
    read = _read(model, ids, starts, context, tokenizer.end_id)
    given, written = len(script.ids), Total(0, 0, 0.0)
    nats = read.nats
    size = script.bytes if script.bytes is not None else _bytes_of(tokenizer, script.ids)
    total = Total(given - 1, size, float(nats[1:given].sum()), float(-read.end[given - 1]))
    if own:
        end_nats = float(-read.end[-1]) if script.ended else None
        written = Total(len(own), _bytes_of(tokenizer, own), float(nats[given:].sum()), end_nats)
    follows = [*ids[1:], tokenizer.end_id if (own and script.ended) else None]
    traces = []
    for number, start in enumerate(starts[:most], 1):
        window = ids[start : start + context]
        shown = cells(tokenizer, window)
        expected = Expected(
            [_sum(nats[[start + token for token in cell.tokens]]) for cell in shown],
            _choices(tokenizer, shown, start, read, follows),
            sum(start + cell.tokens[0] < given for cell in shown), total, written,
        )  # fmt: skip
        traces.append(
            Trace(
                source_text="".join(cell.text for cell in shown),
                target_text=answer,
                source=shown,
                target=[],
                log_probabilities=[],
                attention={"causal": regroup(_attention(model, window), shown, shown)},
                label=label,
                window=(number, len(starts)),
                notes=[] if fits else ["not_shown"],
                expected=expected,
            )
        )
    return traces


@torch.no_grad()
def _read(model: Any, ids: Sequence[int], starts: Sequence[int], context: int, end: int) -> _Read:
    device, count = next(model.parameters()).device, len(ids)
    nats, ends = np.full(count, np.nan), np.zeros(count)
    tops: list[tuple[np.ndarray, np.ndarray]] = []
    with exact(model):
        for start in starts:
            window = torch.tensor(ids[start : start + context], device=device)
            # (T, D)
            states = model(target=window, target_lengths=torch.tensor([len(window)], device=device))
            for first in range(0, len(window), CHUNK):
                # (C, V)
                chances = model.project(states[first : first + CHUNK]).float().log_softmax(-1)
                at = start + first
                known = torch.tensor(ids[at + 1 : at + 1 + len(chances)], device=device)
                picked = chances[: len(known)].gather(1, known[:, None])[:, 0]
                nats[at + 1 : at + 1 + len(known)] = -picked.double().cpu().numpy()
                ends[at : at + len(chances)] = chances[:, end].double().cpu().numpy()
                values, numbers = chances.topk(min(MOST_CHOICES, chances.shape[1]), -1)
                tops.append((numbers.cpu().numpy(), values.exp().cpu().numpy()))
    numbers, values = (np.concatenate([one[side] for one in tops]) for side in (0, 1))
    return _Read(nats, (numbers, values), ends)


@torch.no_grad()
def _attention(model: Any, ids: Sequence[int]) -> np.ndarray:
    """Return (L, H, T, T) fp32: row t is what token t gives to itself and to those before it."""
    device = next(model.parameters()).device
    inputs = {
        "target": torch.tensor(ids, device=device),
        "target_lengths": torch.tensor([len(ids)], device=device),
    }
    with exact(model):
        return model.attention_weights(kind="decoder", **inputs)[:, 0].float().cpu().numpy()


def _choices(
    tokenizer: PieceDecoder,
    shown: Sequence[TokenCell],
    start: int,
    read: _Read,
    follows: Sequence[int | None],
) -> list[list[TokenChoice]]:
    found = []
    for place, cell in enumerate(shown):
        at = start + cell.tokens[-1]
        came = follows[at]
        chance = (
            None
            if came is None
            else float(np.exp(read.end[at] if at + 1 == len(follows) else -read.nats[at + 1]))
        )
        whole = (
            shown[place + 1]
            if place + 1 < len(shown) and len(shown[place + 1].tokens) > 1
            else None
        )
        found.append(
            ranked(
                read.top[0][at].tolist(),
                read.top[1][at].tolist(),
                None if came is None or chance is None else (came, chance),
                lambda numbers, before=cell.text: labels_at(tokenizer, numbers, before),
                None if whole is None else whole.label,
            )
        )
    return found


def _bytes_of(tokenizer: PieceDecoder, ids: Sequence[int]) -> int:
    """Return the length of tokens in UTF-8.

    Of a character that is cut off only the bytes that are there count, not those of U+FFFD.
    """
    text = tokenizer.decode(ids)
    if "\ufffd" not in text:
        return len(text.encode())
    return sum(
        len(cell.tokens) if "\ufffd" in cell.text else len(cell.text.encode())
        for cell in cells(tokenizer, ids)
    )


def _sum(values: np.ndarray) -> float | None:
    return None if np.isnan(values).any() else float(values.sum())
