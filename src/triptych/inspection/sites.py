"""Name the parts of a model that can be switched off: heads, whole sublayers, feed-forwards.

A name is STACK.LAYER.PART or STACK.LAYER.PART.HEAD, numbered from 1 as the page numbers them:
"decoder.2.cross.3" is the third head of the cross-attention in the decoder's second block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..model.attention import Attention
from ..model.block import Block, Stack
from ..model.config import RecurrentConfig

PARTS = ("self", "cross", "feed_forward")
FORM = re.compile(r"(encoder|decoder)\.(\d{1,4})\.(self|cross|feed_forward)(?:\.(\d{1,4}))?")


@dataclass(frozen=True, slots=True)
class Site:
    """Name one part of a model.

    Args:
        stack: "encoder" or "decoder".
        layer: From 0.
        part: One of PARTS.
        head: From 0; None: all that the part adds to the residual stream, its biases too.
    """

    stack: str
    layer: int
    part: str
    head: int | None = None

    def __str__(self) -> str:
        name = f"{self.stack}.{self.layer + 1}.{self.part}"
        return name if self.head is None else f"{name}.{self.head + 1}"

    @property
    def key(self) -> tuple[str, int, str]:
        """Return the part without the head."""
        return self.stack, self.layer, self.part


def is_recurrent(model: Any) -> bool:
    """Tell whether the model is the RNN encoder-decoder."""
    return isinstance(model.config, RecurrentConfig)


def stacks(model: Any) -> dict[str, Stack]:
    """Return the stacks of Transformer blocks by name."""
    if is_recurrent(model):
        return {}
    return {
        name: getattr(model, name)
        for name in ("encoder", "decoder")
        if getattr(model.config, name) is not None
    }


def parts_of(block: Block) -> Iterator[tuple[str, Any, Any]]:
    """Return the parts of a block in the order of its forward: name, module, residual branch."""
    yield "self", block.self_attention, block.self_attention_norm
    if block.cross_attention is not None:
        yield "cross", block.cross_attention, block.cross_attention_norm
    yield "feed_forward", block.feed_forward, block.feed_forward_norm


def sites(model: Any) -> list[Site]:
    """Return every head, and every part without heads, in the order of the computation.

    The RNN has one: the context that its attention, or its last encoder states, give the decoder.
    """
    if is_recurrent(model):
        return [Site("decoder", 0, "cross", 0)]
    found: list[Site] = []
    for stack, module in stacks(model).items():
        for layer, block in enumerate(module.each):
            for part, inner, _ in parts_of(block):
                heads = range(inner.heads) if isinstance(inner, Attention) else (None,)
                found += [Site(stack, layer, part, head) for head in heads]
    return found


def parsed(model: Any, names: Sequence[str]) -> list[Site]:
    """Return the sites that are named, each once.

    Raises:
        UsageError: A name has another form, or the model has no such part.
    """
    known = {str(one): one for one in sites(model)}
    if not is_recurrent(model):
        known |= {str(one): one for one in (Site(*site.key) for site in known.values())}
    found: list[Site] = []
    for name in names:
        if FORM.fullmatch(name) is None:
            raise UsageError(
                "'{name}' does not name a part of a model. Write STACK.LAYER.PART or "
                "STACK.LAYER.PART.HEAD, numbered from 1: decoder.2.cross.3 or "
                "encoder.1.feed_forward.",
                name=name,
            )
        if name not in known:
            raise UsageError(
                "This model has no part '{name}'. It has: {parts}.",
                name=name,
                parts="; ".join(_ranges(known.values())),
            )
        found.append(known[name])
    return list(dict.fromkeys(found))


def _ranges(known: Any) -> list[str]:
    """Return the parts of a model in short: "encoder.1-2.self.1-4"."""
    heads: dict[tuple[str, str], tuple[int, int]] = {}
    for one in known:
        layers, count = heads.get((one.stack, one.part), (0, 0))
        own = 0 if one.head is None else one.head + 1
        heads[one.stack, one.part] = max(layers, one.layer + 1), max(count, own)
    return [
        f"{stack}.{_upto(layers)}.{part}" + (f".{_upto(count)}" if count else "")
        for (stack, part), (layers, count) in heads.items()
    ]


def _upto(count: int) -> str:
    return "1" if count == 1 else f"1-{count}"
