"""Grow the tree of a beam search: every candidate considered, its fate, and the answer's path.

The tree is grown from the events of the very search that gave the answer.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..decoding.hypothesis import SearchStep
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.settings import DecodingSettings
from ..decoding.writing import decode
from .cells import MOST_BYTES, PieceDecoder, distinct_labels, label_of

ROOT = -1


@dataclass(frozen=True, slots=True)
class Branch:
    """Hold one candidate.

    Args:
        parent: Place of the branch that it grew from, ROOT for none.
        token: The token that it adds.
        label: The text to print for the token.
        depth: Tokens from the root, from 1.
        log_probability: Of all tokens from the root to this one, in nats.
        fate: As in `SearchStep`.
        score: By what the search ranks whole answers, for a finished or cut-off one.
    """

    parent: int
    token: int
    label: str
    depth: int
    log_probability: float
    fate: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class BeamTree:
    """Hold the tree of one search.

    Args:
        branches: Parents come before their children.
        best: Places of the answer's branches, from the root on.
        text: The answer.
        score: The score of the answer.
        beams: The width of the search.
    """

    branches: list[Branch]
    best: list[int]
    text: str
    score: float
    beams: int


def tree_of(model: Any, request: DecodingRequest, tokenizer: PieceDecoder) -> BeamTree:
    """Decode a request by beam search and return the tree of the search.

    If an answer runs past the context, the tree shows its first part.
    """
    events: list[SearchStep] = []
    ((answer, *_),) = decode(model, [request], tokenizer, on_event=events.append)
    return _grown(events, tokenizer, answer, request)


def _grown(
    events: Sequence[SearchStep],
    tokenizer: PieceDecoder,
    answer: DecodedText,
    request: DecodingRequest,
) -> BeamTree:
    tokens, each = answer.tokens, answer.token_log_probabilities
    prompt, settings = request.prompt, request.settings
    branches, best = grow(
        events, tokenizer, tokens, tokenizer.decode([prompt[-1]]) if prompt else ""
    )
    if len(each) > len(tokens) == len(best):
        at, nats = (best[-1], branches[best[-1]].log_probability) if best else (ROOT, 0.0)
        ends = [
            place
            for place, one in enumerate(branches)
            if one.parent == at and one.token in tokenizer.end_ids
        ]
        best += sorted(
            ends, key=lambda place: abs(branches[place].log_probability - nats - each[-1])
        )[:1]
    # The search counts a prompt's probability, the tree does not.
    before = branches[best[-1]].log_probability - sum(each[: len(best)]) if best and prompt else 0.0
    branches = [
        replace(
            one, log_probability=one.log_probability - before, score=_score(one, before, settings)
        )
        for one in branches
    ]
    return BeamTree(branches, best, answer.text, answer.score, settings.beams)


def _score(branch: Branch, before: float, settings: DecodingSettings) -> float | None:
    if branch.fate not in ("finished", "cut"):
        return None
    return (branch.log_probability - before) / branch.depth**settings.length_penalty


def grow(
    events: Sequence[SearchStep], tokenizer: PieceDecoder, answer: Sequence[int], before: str = ""
) -> tuple[list[Branch], list[int]]:
    """Return the branches of the first source and the places of the answer's path.

    Args:
        events: The steps of the search.
        tokenizer: Decodes the tokens.
        answer: Ids of the answer; the path follows them as far as it goes.
        before: The text that the answer continues.
    """
    branches: list[Branch] = []
    children: dict[tuple[int, int], int] = {}
    beams = [ROOT]
    for step in events:
        kept = []
        for source, beam, token, total, fate in zip(
            step.source, step.parent, step.token, step.log_probability, step.fate, strict=True
        ):
            if source != 0 or not math.isfinite(total):
                continue
            parent = beams[beam]
            depth = 1 if parent == ROOT else branches[parent].depth + 1
            children[parent, token] = len(branches)
            if fate == "kept":
                kept.append(len(branches))
            branches.append(
                Branch(
                    parent,
                    token,
                    _label(tokenizer, branches, parent, token, before),
                    depth,
                    total,
                    fate,
                )
            )
        beams = kept
    branches = _apart(tokenizer, branches)
    path, at = [], ROOT
    for token in answer:
        if (at, token) not in children:
            break
        at = children[at, token]
        path.append(at)
    return branches, path


def _apart(tokenizer: PieceDecoder, branches: Sequence[Branch]) -> list[Branch]:
    """Mark the spaces of sibling branches that would otherwise be printed alike."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, branch in enumerate(branches):
        places[branch.parent].append(place)
    labels: dict[int, str] = {}
    for several in places.values():
        texts = [tokenizer.decode([branches[place].token]) for place in several]
        labels |= dict(
            zip(
                several,
                distinct_labels([branches[place].label for place in several], texts),
                strict=True,
            )
        )
    return [replace(branch, label=labels[place]) for place, branch in enumerate(branches)]


def _label(
    tokenizer: PieceDecoder, branches: Sequence[Branch], parent: int, token: int, before: str
) -> str:
    """Return the text to print for a token; the last byte of a character shows it whole."""
    ids, at = [token], parent
    while "\ufffd" in tokenizer.decode(ids) and at != ROOT and len(ids) < MOST_BYTES:
        ids.insert(0, branches[at].token)
        at = branches[at].parent
    before = tokenizer.decode([branches[at].token]) if at != ROOT else before
    text = tokenizer.decode(ids)
    if len(ids) == 1 or "\ufffd" in text:
        return label_of(tokenizer, token, before)
    return text.strip() or label_of(tokenizer, token, before)
