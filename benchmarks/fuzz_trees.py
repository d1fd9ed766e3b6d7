"""Damage JSON, JSONL, TOML and the headers of safetensors files: odd values at any path."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from fuzz_mutations import (
    ANY,
    Mutation,
    cell,
    decoded,
    encoded_again,
    flip,
    insert,
    number,
    order,
    truncate,
    whole,
)
from fuzz_values import RAW, TEXTS, VALUES


def _keys(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return list(tree)
    return list(range(len(tree))) if isinstance(tree, list) else []


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    return [path, *(one for key in _keys(tree) for one in _paths(tree[key], (*path, key)))]


def _changed(tree: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """Call `change` with the container and the last key of a path."""
    held = {"": tree}
    inner: Any = held
    for key in ("", *path)[:-1]:
        inner = inner[key]
    change(inner, ("", *path)[-1])
    return held.get("")


def _replaced(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    return _changed(tree, path, lambda held, key: held.__setitem__(key, value))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _chosen(tree: Any, rng: random.Random) -> tuple[Any, ...]:
    """Choose any path, or go a step at a time, which stays near the root of a large tree."""
    if rng.random() < 0.5:
        return rng.choice(_paths(tree))
    path: tuple[Any, ...] = ()
    while rng.random() < 0.8:
        keys = _keys(_at(tree, path))
        if not keys:
            break
        path = (*path, rng.choice(keys))
    return path


def in_tree(tree: Any, rng: random.Random) -> Any:
    """Put an odd value at a path, leave it out, repeat it, rename its key, or copy another."""
    path, what = _chosen(tree, rng), rng.randrange(10)
    if what < 5 or not path:
        return _replaced(tree, path, RAW.format(rng.randrange(len(VALUES))))
    here = _at(tree, path)
    if what == 5:
        return _changed(tree, path, lambda held, key: held.pop(key))
    if what == 6:
        return _replaced(tree, path, rng.choice(([here], {"a": here}, str(here), [here, here])))
    if what == 7:
        value = _at(tree, _chosen(tree, rng))
        return _replaced(tree, path, json.loads(json.dumps(value)))
    owner = _at(tree, path[:-1])
    if isinstance(owner, list):
        many = rng.choice((1, 1, 2000)) if len(json.dumps(here)) < 500 else 1
        owner[path[-1] : path[-1]] = [here] * many
    else:
        name = rng.choice((str(path[-1]).upper(), "", f"{path[-1]} ", "x", rng.choice(TEXTS[:60])))
        owner[name] = here if what == 8 else owner.pop(path[-1])
    return tree


def json_tree(content: bytes, rng: random.Random) -> bytes:
    """Change a JSON file at one path or several."""
    try:
        return encoded_again(_written(_several(json.loads(content), rng), rng))
    except (ValueError, RecursionError):  # an earlier mutation broke it
        return insert(content, rng)


def json_lines(content: bytes, rng: random.Random) -> bytes:
    """Change objects of a JSONL file."""
    lines = decoded(content).split("\n")
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.randrange(len(lines))
        try:
            lines[place] = _written(_several(json.loads(lines[place]), rng), rng, None)
        except (ValueError, RecursionError):
            lines[place] = rng.choice(TEXTS)
    return encoded_again("\n".join(lines))


def _several(tree: Any, rng: random.Random) -> Any:
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        tree = in_tree(tree, rng)
    return tree


def _written(tree: Any, rng: random.Random, indent: int | None = 2) -> str:
    indent = indent if rng.random() < 0.7 else None
    text = json.dumps(tree, indent=indent, ensure_ascii=rng.random() < 0.5)
    before, after = map(re.escape, RAW.split("{}"))
    return re.sub(f'"?{before}(\\d+){after}"?', lambda found: VALUES[int(found[1])], text)


TOML_VALUES = ("2026-01-01", "07:32:00", "1_0", "0x1F", "0x" + "F" * 5000, "0x1" + "0" * 16, "'a'")
TOML_VALUES += ('"""a"""', "inf", "+nan", "{a = 1}", "[[1], ['a']]", "1e5", "1_")
TABLES = ("model", "model.encoder", "task", "data", "x", "training.x")


def toml_values(content: bytes, rng: random.Random) -> bytes:
    """Change keys and values of a TOML file, line by line."""
    lines = decoded(content).split("\n")
    places = [place for place, line in enumerate(lines) if "=" in line]
    for _ in range(rng.choice((1, 1, 2, 4)) if places else 0):
        place = rng.choice(places)
        key, _, value = lines[place].partition("=")
        other = lines[rng.choice(places)].partition("=")
        what = rng.randrange(8)
        odd = rng.choice((*VALUES, *TOML_VALUES))
        if what < 4:
            lines[place] = f"{key}= {odd}"
        elif what == 4:
            lines[place] = f"{key}={other[2]}"
        elif what == 5:
            lines[place] = f"{other[0]}={value}"
        elif what == 6:
            lines[place] = f"{key.strip()}{rng.choice(('.x', '_', 's', ''))} = {odd}"
        else:
            lines[place] = f"[{rng.choice((key.strip(), *TABLES))}]\n{lines[place]}"
    return encoded_again("\n".join(lines))


def tensor_header(content: bytes, rng: random.Random) -> bytes:
    """Change the JSON header of a safetensors file; its length is mostly written anew."""
    size = int.from_bytes(content[:8], "little")
    try:
        tree = _several(json.loads(content[8 : 8 + size]), rng)
        header = encoded_again(_written(tree, rng, None))
    except (ValueError, RecursionError):
        return insert(content, rng)
    other = rng.choice((0, 1, len(header) + 1, 2**31, 2**63, 2**64 - 1))
    length = len(header) if rng.random() < 0.9 else other
    return length.to_bytes(8, "little") + header + content[8 + size :]


def tensor_values(content: bytes, rng: random.Random) -> bytes:
    """Write NaN, Inf, zeros or chance over values of a safetensors file, or cut it off."""
    start = 8 + int.from_bytes(content[:8], "little")
    if start >= len(content):
        return truncate(content, rng)
    place = rng.randrange(start, len(content))
    piece = rng.choice(
        (
            b"\x00\x00\xc0\x7f",
            b"\x00\x00\x80\x7f",
            b"\xff" * 400,
            b"\x00" * 4000,
            rng.randbytes(400),
        )
    )
    return content[:place] + piece + content[place + len(piece) :]


JSON: tuple[Mutation, ...] = (*ANY, *[json_tree] * 14)
JSONL: tuple[Mutation, ...] = (*ANY, *[json_lines] * 8, order, cell)
TOML: tuple[Mutation, ...] = (*ANY, *[toml_values] * 12, order, number)
TENSORS: tuple[Mutation, ...] = (
    flip,
    truncate,
    insert,
    whole,
    *[tensor_header] * 8,
    *[tensor_values] * 2,
)
