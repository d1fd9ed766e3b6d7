"""Compute an encoder and its head on padded batches, as a graph of ONNX does.

The model runs on packed rows; a graph has tensors of one shape. So here every place of a padded
batch is a row, and a mask keeps padding out of attention and of pooling. Weights and operations are
the model's own, attention is the plain reference of `model.ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..model.attention import Attention, Context
from ..model.heads.classifier import PARTS, Classifier
from ..model.heads.pooling import Pooled
from ..model.heads.span import Spans
from ..model.heads.tagger import Tagger
from ..model.heads.tokens import ZERO_INIT_GAIN, pair_weights
from ..model.layout import PackedLayout
from ..model.ops.reference import plain_attention
from ..model.positions import Learned, Sinusoidal
from ..model.transformer import Transformer

Given = dict[str, Tensor]  # the inputs of a graph by name, each (B, T)
Outputs = tuple[Tensor, ...]
FARTHEST = torch.finfo(torch.float32).min


class PaddedLayout(PackedLayout):
    """Describe the B * T places of a padded batch as rows; `mask` (B, T) is 1 at tokens."""

    def __init__(self, mask: Tensor) -> None:
        self.count, self.longest = mask.shape
        self.total = self.count * self.longest
        self.dense = False
        self.real = mask > 0
        self.lengths = mask.sum(1)
        self.grid = torch.arange(self.longest, device=mask.device)[None]
        self.positions = self.grid.expand(self.count, -1).reshape(-1)
        self.sequence = torch.arange(self.count, device=mask.device).repeat_interleave(self.longest)
        self.global_counts = None

    def pad(self, x: Tensor, longest: int | None = None) -> Tensor:
        """Map (B * T, ...) -> (B, T, ...)."""
        return x.reshape(self.count, self.longest, *x.shape[1:])

    def pack(self, x: Tensor) -> Tensor:
        """Map (B, T, ...) -> (B * T, ...)."""
        return x.reshape(-1, *x.shape[2:])


def _plain(*scored: Any) -> Tensor:
    return plain_attention(*scored)[0]


class _Rows(nn.Module):
    """Look up the row of each position without a check, which a graph cannot have."""

    def __init__(self, positions: Sinusoidal | Learned, count: int) -> None:
        super().__init__()
        is_learned = isinstance(positions, Learned)
        table = positions.weight if is_learned else positions(torch.arange(count))
        self.weight = nn.Parameter(table.detach(), requires_grad=False)

    def forward(self, positions: Tensor) -> Tensor:
        """Map positions (...) int64 -> (..., D)."""
        return functional.embedding(positions, self.weight)


class PaddedEncoder(nn.Module):
    """Map ids, mask and, if the model tells texts apart, segments (B, T) -> the head's outputs.

    Args:
        model: An encoder in float32; from now on its attention is the plain one.
        head: Its head, one of `HEADS`.
        names: The inputs in order, which `inputs_of` lists.
        options: Of the task.
        longest: Tokens that a graph reads, for a model whose positions have no limit.
    """

    def __init__(
        self,
        model: Transformer,
        head: nn.Module,
        names: list[str],
        options: dict[str, Any],
        longest: int,
    ) -> None:
        super().__init__()
        self.model, self.head, self.names, self.options = model, head, names, options
        self.compute = HEADS[type(head)]
        entrance: Any = model.encoder_entrance
        if entrance.positions is not None:
            entrance.positions = _Rows(entrance.positions, longest + entrance.first_position)
        if entrance.segments is not None:
            entrance.segments = _Rows(entrance.segments, 0)
        for part in model.modules():
            if isinstance(part, Attention) and part.softcap is None:
                part.packed = _plain

    def forward(self, *tensors: Tensor) -> Outputs:
        given = dict(zip(self.names, tensors, strict=True))
        mask, segments = given["attention_mask"], given.get("token_type_ids")
        model, context = self.model, Context()
        context.layout = layout = PaddedLayout(mask)
        own = layout.lengths[layout.sequence] if model.encoder.needs_lengths else None  # (B * T,)
        context.angles = model.encoder.angles(layout.positions, own)
        x = model.encoder_entrance(
            model.embedding(given["input_ids"].reshape(-1)),
            layout.positions,
            torch.float32,
            None,
            None if segments is None else segments.reshape(-1),
        )
        states = layout.pad(model.encoder(x, context))  # (B, T, D)
        return self.compute(self, states, given)


def _mean(x: Tensor, weights: Tensor) -> Tensor:
    """Average (B, T, D) with weights (B, T) -> (B, D)."""
    weights = weights.to(x.dtype)
    return (x * weights[:, :, None]).sum(1) / weights.sum(1).clamp_min(1)[:, None]


def _embedded(graph: PaddedEncoder, states: Tensor, given: Given) -> Outputs:
    """Return the states, and each text's vector (B, D)."""
    first = graph.options["pooling"] == "first"
    vectors = states[:, 0] if first else _mean(states, given["attention_mask"])
    if graph.options["normalize"]:
        vectors = vectors / vectors.norm(dim=1, keepdim=True)
    return states, vectors


def _classified(graph: PaddedEncoder, states: Tensor, given: Given) -> Outputs:
    """Return logits (B, C); see `Classifier.forward`."""
    head, ids, mask = graph.head, given["input_ids"], given["attention_mask"]
    assert isinstance(head, Classifier), "chosen by its class"
    pooled, likeness = _pooled(head, states, given), None
    if head.shortcut:
        table = graph.model.embedding(ids) * states.shape[2] ** 0.5
        words = _pooled(head, table, given)
        pooled = torch.cat([pooled, words], 1)
        likeness = _overlaps(head, words, given)
    logits = head.outputs(pooled, None)
    if head.overlap is not None and likeness is not None:
        logits = logits + head.overlap(likeness)
    if head.bigrams is not None:
        pairs = pair_weights(head.bigrams, ids[:, :-1], ids[:, 1:])  # (B, T - 1, C)
        inside = mask[:, 1:].to(pairs.dtype)
        sums = (pairs * inside[:, :, None]).sum(1)
        logits = logits + sums / inside.sum(1).clamp_min(1).sqrt()[:, None]
    return (logits,)


def _pooled(head: Classifier, x: Tensor, given: Given) -> Tensor:
    """Map (B, T, D) -> (B, PARTS * D)."""
    mask = given["attention_mask"]
    if head.pooling == "first":
        return x[:, 0]
    if head.pooling == "max":
        return x.masked_fill((mask == 0)[:, :, None], FARTHEST).amax(1)
    if head.pooling == "mean":
        return _mean(x, mask)
    u, v = (_mean(x, mask * (given["token_type_ids"] == number)) for number in (0, 1))
    return torch.cat([u, v, (u - v).abs(), u * v], 1)


def _overlaps(head: Classifier, words: Tensor, given: Given) -> Tensor | None:
    """Return the cosines of two texts' mean rows and weighted bags of tokens (B, 2)."""
    if head.importance is None:
        return None
    ids, mask, segments = (
        given[name] for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    weights, empty = (
        head.importance[ids] * mask,
        words.new_zeros(words.shape[0], head.importance.shape[0]),
    )
    bags = [empty.scatter_add(1, ids, weights * (segments == number)) for number in (0, 1)]
    pairs = (words.chunk(PARTS["compare"], 1)[:2], bags)
    return ZERO_INIT_GAIN * torch.stack([_cosine(u, v) for u, v in pairs], 1)


def _cosine(u: Tensor, v: Tensor) -> Tensor:
    return torch.cosine_similarity(u, v, dim=1)


def _tagged(graph: PaddedEncoder, states: Tensor, given: Given) -> Outputs:
    """Return scores of labels (B, T, L), of which those at the first token of a word count."""
    head, ids = graph.head, given["input_ids"]
    assert isinstance(head, Tagger), "chosen by its class"
    if head.pooling != "first":
        states = _mean_of_words(states, given["word_starts"], given["attention_mask"])
    if head.layer is not None:
        states = head.layer(states, None)
    scores = head.output(states)
    if head.bigrams is not None:
        before, after = head.bigrams.chunk(2, 1)
        first, last = ids[:, :1], ids[:, -1:]  # what is beside them is never a word
        scores = scores + pair_weights(before, torch.cat([first, ids[:, :-1]], 1), ids)
        scores = scores + pair_weights(after, ids, torch.cat([ids[:, 1:], last], 1))
    return (scores,)


def _mean_of_words(states: Tensor, starts: Tensor, mask: Tensor) -> Tensor:
    """Average the states (B, T, D) of each word's tokens, and put them at its tokens."""
    after = torch.cat([mask[:, 1:], mask[:, :1] * 0], 1)  # the last token is the end
    number = starts.cumsum(1) - 1  # (B, T) the word of each token
    inside = (after * (number >= 0)).to(states.dtype)[:, :, None]
    places = number.clamp_min(0)[:, :, None].expand(states.shape)
    empty = torch.zeros_like(states)
    total = empty.scatter_add(1, places, states * inside)
    count = empty.scatter_add(1, places, inside.expand(states.shape))
    return total.gather(1, places) / count.gather(1, places).clamp_min(1)


def _found(graph: PaddedEncoder, states: Tensor, given: Given) -> Outputs:
    """Return logits of a span's first and last token (B, T); see `Spans.forward`."""
    head, mask, segments = graph.head, given["attention_mask"], given["token_type_ids"]
    assert isinstance(head, Spans), "chosen by its class"
    flat = states.flatten(0, 1)
    logits = head.span(flat if head.layer is None else head.layer(flat, None))
    after = torch.cat([mask[:, 1:], mask[:, :1] * 0], 1)  # 0 at the end and at padding
    places = torch.arange(mask.shape[1], device=mask.device)[None]
    possible = ((segments > 0) & (after > 0)) | (places == 0)
    logits = logits.view(*states.shape[:2], 2).masked_fill(~possible[:, :, None], float("-inf"))
    return logits[..., 0], logits[..., 1]


HEADS: dict[type[nn.Module], Callable[[PaddedEncoder, Tensor, Given], Outputs]] = {
    Classifier: _classified,
    Tagger: _tagged,
    Spans: _found,
    Pooled: _embedded,
}
# the outputs, and how many of their axes have free sizes: batch, or batch and length
OUTPUTS: dict[type[nn.Module], dict[str, int]] = {
    Classifier: {"logits": 1},
    Tagger: {"logits": 2},
    Spans: {"start_logits": 2, "end_logits": 2},
    Pooled: {"last_hidden_state": 2, "sentence_embedding": 1},
}
