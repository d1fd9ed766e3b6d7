"""Rename tensors between libraries with a small reversible language.

A rule is data, anchored to whole names. `{layer}` and similar placeholders match a whole number,
the same on both sides. "Theirs" are the other library's tensors, "ours" those of triptych.

    Rename("layer.{i}.query.weight", "blocks.{i}.self_attention.query.weight")  one tensor
    Rename("h.{i}.mlp.c_fc.weight", "blocks.{i}.feed_forward.inner.weight", transpose=True)
        theirs is (inputs, outputs)
    Rename("wq.{i}", "blocks.{i}.self_attention.query.weight", pairs=8)
        heads of 8 rows: theirs 0 1 2 3 4 5 6 7, ours 0 2 4 6 1 3 5 7
    Split("h.{i}.attn.c_attn.bias", ("...query.bias", "...key.bias", "...value.bias"))
        one of theirs, several of ours
    Split("...query_key_value.bias", ("...query.bias", "...key.bias", "...value.bias"), heads_of=64)
        the three of a head, then those of the next
    Tie("lm_head.weight", "wte.weight")
        two of their names for one tensor: they must be equal, and one is written back
    Ignore("position_ids", "a constant")
        theirs, without learnt values: left out, and named in the certificate
    Withhold("head.temperature", "...")
        ours, without a name of theirs

`name_map.py` applies rules to whole files. Imports torch only to handle tensors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PLACEHOLDER = re.compile(r"\{(\w+)\}")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rename:
    """Give one tensor another name.

    transpose: the last two axes change places; leading_axis: theirs begins with an axis of one.

    pairs: the width E of a head. Its rows are neighbours (2k, 2k + 1) in theirs, which rotary
    positions turn together (Su et al. 2021, section 3.4.2), and halves (k, k + E/2) in ours. 0: the
    order is the same. paired: only so many first rows of each head are paired; 0: all.
    """

    theirs: str
    ours: str
    transpose: bool = False
    leading_axis: bool = False
    pairs: int = 0
    paired: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.ours,)

    axis, heads_of = 0, 0


@dataclass(frozen=True)
class Split:
    """Split one tensor of theirs into several of ours along `axis`, after transposing.

    Their sizes are those of ours. heads_of: the width E of a head; theirs holds E rows of each of
    ours for the first head, then for the next. 0: all rows of one of ours, then of the next.
    """

    theirs: str
    ours: tuple[str, ...]
    axis: int = 0
    transpose: bool = False
    heads_of: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return self.ours

    leading_axis, pairs, paired = False, 0, 0


@dataclass(frozen=True)
class Tie:
    """Declare a second name of theirs for their tensor `same_as`.

    Either may be missing in a file; only `same_as` is written back.
    """

    theirs: str
    same_as: str


@dataclass(frozen=True)
class Ignore:
    """Ignore a tensor of theirs that has no place in ours. It is not written back."""

    theirs: str
    reason: str


@dataclass(frozen=True)
class Withhold:
    """Withhold a tensor of ours that has no place in theirs. A load fills it with `value`."""

    ours: str
    reason: str
    value: float | bool | None = None  # None: a load must not need it


Rule = Rename | Split | Tie | Ignore | Withhold


def prefixed(prefix: str, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Return the rules for names of theirs that begin with `prefix`."""
    return tuple(_with_names(rule, lambda name: prefix + name) for rule in rules)


def respelt(rules: Sequence[Rule], spelling: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules with another spelling of their names' endings."""

    def respell(name: str) -> str:
        return next(
            (name.removesuffix(old) + new for old, new in spelling.items() if name.endswith(old)),
            name,
        )

    return tuple(_with_names(rule, respell) for rule in rules)


def _with_names(rule: Rule, change: Callable[[str], str]) -> Rule:
    if isinstance(rule, Withhold):
        return rule
    if isinstance(rule, Tie):
        return Tie(change(rule.theirs), change(rule.same_as))
    return replace(rule, theirs=change(rule.theirs))


@cache
def pattern(name: str) -> re.Pattern[str]:
    """Compile a name as an anchored pattern.

    A placeholder is a whole number without leading zeros; repeated, it is the same number.
    """
    text, seen = "", set()
    for place, part in enumerate(PLACEHOLDER.split(name)):
        if place % 2 == 0:
            text += re.escape(part)
        else:
            text += f"(?P={part})" if part in seen else f"(?P<{part}>0|[1-9][0-9]*)"
            seen.add(part)
    return re.compile(text)


# Tensors ------------------------------------------------------------------------------------------


def their_shape(rule: Rename | Split, shapes: Sequence[Shape]) -> Shape:
    whole = list(shapes[0])
    if len(shapes) > 1:
        whole[rule.axis] = sum(shape[rule.axis] for shape in shapes)
    if rule.transpose:
        whole[-2:] = whole[:-3:-1]
    return (1, *whole) if rule.leading_axis else tuple(whole)


def taken_apart(
    rule: Rename | Split, tensor: Tensor, shapes: Sequence[Shape], laid_out: bool = True
) -> list[Tensor]:
    """Return our tensors of one of theirs, or views of it unless they are to be laid out."""
    if rule.leading_axis:
        tensor = tensor[0]
    if rule.transpose:
        tensor = tensor.transpose(-1, -2)
    if rule.pairs:
        tensor = _paired(tensor, rule, 2)
    if rule.heads_of:
        tensor = _by_head(tensor, rule.heads_of, (-1, len(shapes)))
    if len(shapes) == 1:
        parts: Sequence[Tensor] = (tensor,)
    else:
        parts = tensor.split([shape[rule.axis] for shape in shapes], rule.axis)
    return [part.contiguous() if laid_out else part for part in parts]


def put_together(rule: Rename | Split, parts: Sequence[Tensor]) -> Tensor:
    import torch

    whole = parts[0] if len(parts) == 1 else torch.cat(list(parts), rule.axis)
    if rule.pairs:
        whole = _paired(whole, rule, (rule.paired or rule.pairs) // 2)
    if rule.heads_of:
        whole = _by_head(whole, rule.heads_of, (len(parts), -1))
    if rule.transpose:
        whole = whole.transpose(-1, -2)
    return (whole[None] if rule.leading_axis else whole).contiguous()


def _paired(tensor: Tensor, rule: Rename | Split, columns: int) -> Tensor:
    """Read the paired rows of each head, a table of so many columns, column by column."""
    import torch

    heads = tensor.unflatten(0, (-1, rule.pairs))  # (H, E, ...)
    paired = rule.paired or rule.pairs
    table = heads[:, :paired].unflatten(1, (-1, columns))  # (H, a, b, ...)
    turned = table.transpose(1, 2).flatten(1, 2)
    return torch.cat((turned, heads[:, paired:]), 1).reshape(tensor.shape)


def _by_head(tensor: Tensor, width: int, order: tuple[int, int]) -> Tensor:
    """Exchange the two axes that the rows count by: heads and parts, each of `width` rows."""
    return tensor.unflatten(0, (*order, width)).transpose(0, 1).reshape(tensor.shape)
