"""Test the name-map language: reversible to the last bit, strict both ways."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from triptych.errors import RunError
from triptych.interchange.name_map import NameMap
from triptych.interchange.rules import Ignore, Rename, Rule, Split, Tie, Withhold, prefixed, respelt


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Compare bit for bit, NaN included."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].contiguous().numpy().tobytes() == other[name].contiguous().numpy().tobytes()
        for name in one
    )


@st.composite
def maps(draw: st.DrawFn) -> tuple[NameMap, dict[str, Tensor], dict[str, Tensor]]:
    """Sample rules, tensors of ours that they cover, and tensors of theirs that are ignored."""
    rules: list[Rule] = []
    ours: dict[str, Tensor] = {}
    ignored: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    for number in range(draw(st.integers(1, 6))):
        layered = draw(st.booleans())
        place = ".{i}" if layered else ""
        layers = draw(st.integers(1, 12)) if layered else 1
        kind = draw(st.sampled_from(["rename", "split", "ignore"]))
        theirs = f"model.part{number}{place}.w"
        if kind == "ignore":
            rules.append(Ignore(theirs, "it is no weight"))
            ignored |= {theirs.format(i=layer): torch.arange(3) for layer in range(layers)}
            continue
        shape: tuple[int, ...] = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
        transpose = draw(st.booleans()) and len(shape) > 1
        if kind == "rename":
            parts, axis = [f"our{place}.part{number}.weight"], 0
            rules.append(
                Rename(theirs, parts[0], transpose=transpose, leading_axis=draw(st.booleans()))
            )
            sizes = [next(iter(shape))]
        else:
            axis = draw(st.integers(0, len(shape) - 1))
            sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=3))
            parts = [f"our{place}.part{number}.{letter}" for letter in "abc"[: len(sizes)]]
            rules.append(Split(theirs, tuple(parts), axis=axis, transpose=transpose))
        for layer in range(layers):
            for part, size in zip(parts, sizes, strict=True):
                whole = [*shape[:axis], size, *shape[axis + 1 :]]
                bits = torch.randint(
                    -(2**31), 2**31 - 1, whole, generator=generator, dtype=torch.int64
                ).to(torch.int32)
                ours[part.format(i=layer)] = bits.view(torch.float32)  # any bits, not-a-number too
    return NameMap(tuple(draw(st.permutations(rules)))), ours, ignored


@settings(max_examples=60, deadline=None)
@given(maps())
def test_there_and_back_is_bit_equal(
    drawn: tuple[NameMap, dict[str, Tensor], dict[str, Tensor]],
) -> None:
    names, ours, ignored = drawn
    wanted = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    theirs = names.to_theirs(ours)
    back, certificate = names.to_ours(theirs | ignored, wanted)
    assert same(back, ours) and list(back) == list(ours)
    assert same(names.to_theirs(back), theirs)
    assert (
        certificate.mapped == len(theirs)
        and certificate.filled == len(ours)
        and set(certificate.ignored) == set(ignored)
    )
    assert (
        certificate.parameters == sum(tensor.numel() for tensor in ours.values())
        and not certificate.casts
    )


@settings(max_examples=30, deadline=None)
@given(maps(), st.data())
def test_what_is_taken_away_or_added_is_named(
    drawn: tuple[NameMap, dict[str, Tensor], dict[str, Tensor]], data: st.DataObject
) -> None:
    names, ours, _ = drawn
    theirs = names.to_theirs(ours)
    if not theirs:
        return
    wanted = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    gone = data.draw(st.sampled_from(sorted(theirs)))
    with pytest.raises(RunError) as caught:
        names.to_ours(
            {name: tensor for name, tensor in theirs.items() if name != gone}
            | {"stranger": torch.ones(1)},
            wanted,
        )
    assert f"'{gone}' is missing" in str(caught.value) and "'stranger' has no place" in str(
        caught.value
    )


RULES = NameMap((
    Rename("layer.{i}.w", "blocks.{i}.weight", transpose=True),
    Split("layer.{i}.qkv", ("blocks.{i}.query", "blocks.{i}.key")),
    Tie("head.w", "table"), Rename("table", "embedding"), Ignore("position_ids", "which counts"),
    Withhold("head.temperature", "that model has none"),
))  # fmt: skip
WANTED = {
    "blocks.0.weight": (2, 3),
    "blocks.0.query": (4, 2),
    "blocks.0.key": (2, 2),
    "embedding": (5, 2),
}
GOOD = {
    "layer.0.w": torch.randn(3, 2),
    "layer.0.qkv": torch.randn(6, 2),
    "table": torch.randn(5, 2),
}


def test_all_that_is_wrong_is_said_at_once() -> None:
    bad = {
        "layer.0.w": torch.ones(2, 3),
        "layer.1.qkv": torch.ones(6, 2),
        "layer.00.w": torch.ones(1),
        "head.w": torch.ones(5, 2).long(),
    }
    with pytest.raises(RunError) as caught:
        RULES.to_ours(bad, WANTED, "old/")
    text = str(caught.value)
    assert text.startswith("old/ does not fit: ")
    for part in (
        "'layer.0.w' has shape (2, 3) instead of (3, 2)",
        "'layer.1.qkv' has no place",
        "'layer.00.w' has no place",
        "'table' is int64; expected a floating-point tensor",
        "'layer.0.qkv' is missing",
    ):
        assert part in text
    assert text.count("'layer.0.qkv'") == 1


def test_ties_are_checked_and_either_name_will_do() -> None:
    named, certificate = RULES.to_ours(
        {**GOOD, "head.w": GOOD["table"].clone(), "position_ids": torch.arange(4)}, WANTED
    )
    assert certificate.tied == {"head.w": "table"} and certificate.ignored == {
        "position_ids": "which counts"
    }
    assert "head.w" not in RULES.to_theirs(named)
    alone = {name: tensor for name, tensor in GOOD.items() if name != "table"} | {
        "head.w": GOOD["table"]
    }
    assert torch.equal(RULES.to_ours(alone, WANTED)[0]["embedding"], GOOD["table"])
    with pytest.raises(RunError, match="'head.w' differs from 'table'"):
        RULES.to_ours({**GOOD, "head.w": GOOD["table"] + 1}, WANTED)


def test_other_precisions_are_cast_recorded_and_given_back() -> None:
    half = {name: tensor.to(torch.bfloat16) for name, tensor in GOOD.items()}
    ours, certificate = RULES.to_ours(half, WANTED)
    assert all(tensor.dtype == torch.float32 for tensor in ours.values())
    assert certificate.casts == dict.fromkeys(half, "bfloat16")
    back = RULES.to_theirs(ours, certificate.casts)
    assert all(
        torch.equal(back[name], half[name]) and back[name].dtype == torch.bfloat16 for name in half
    )
    assert "Cast to float32: 3 tensors that were bfloat16." in certificate.lines()


def test_the_way_out_is_strict_too() -> None:
    ours, _ = RULES.to_ours(GOOD, WANTED)
    assert RULES.withheld([*ours, "head.temperature"]) == {
        "head.temperature": "that model has none"
    }
    assert RULES.to_theirs({**ours, "head.temperature": torch.ones(1)}).keys() == GOOD.keys()
    del ours["blocks.0.key"]
    with pytest.raises(
        RunError,
        match="'odd' has no name in the other library; 'blocks.0.key' is missing, a part of "
        "'layer.0.qkv'",
    ):
        RULES.to_theirs({**ours, "odd": torch.ones(1)})


def test_rules_of_a_model_within_another() -> None:
    inner = (Rename("norm.weight", "norm"), Ignore("ids", "no weight"), Tie("b", "norm.weight"))
    assert prefixed("bert.", inner) == (
        Rename("bert.norm.weight", "norm"),
        Ignore("bert.ids", "no weight"),
        Tie("bert.b", "bert.norm.weight"),
    )
    assert respelt(inner, {"norm.weight": "norm.gamma"})[0] == Rename("norm.gamma", "norm")
    with pytest.raises(AssertionError, match="placeholders differ"):
        NameMap((Rename("a.{i}", "b.{layer}"),))


def test_neighbours_become_halves_and_come_back() -> None:
    names = NameMap((Rename("q", "query", pairs=4), Rename("b", "bias", pairs=4)))
    theirs = {"q": torch.arange(16.0).view(8, 2), "b": torch.arange(8.0)}  # two heads of four rows
    ours, _ = names.to_ours(theirs, {"query": (8, 2), "bias": (8,)})
    assert ours["bias"].tolist() == [0, 2, 1, 3, 4, 6, 5, 7] and ours["query"][:, 0].tolist() == [
        0,
        4,
        2,
        6,
        8,
        12,
        10,
        14,
    ]
    assert same(names.to_theirs(ours), theirs)
