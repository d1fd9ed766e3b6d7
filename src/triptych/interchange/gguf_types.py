"""Decode and encode the types of tensors in GGUF files.

A quantised row is a sequence of blocks, each with its scales (ggml-common.h of the project ggml).
The sums follow the reference decoders in order, so that results are equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 14  # blocks that are decoded at once, which bounds what is held beside the result
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class TensorType:
    """Describe a type: its number, weights and bytes of a block, and how a block is decoded."""

    name: str
    number: int
    block: int
    bytes: int
    decode: Callable[[Bytes], Floats] | None = None  # (blocks, bytes) -> (blocks, weights)


def _halves(columns: Bytes) -> Floats:
    """Decode pairs of bytes as float16."""
    return np.ascontiguousarray(columns).view(np.float16).astype(np.float32)


def _nibbles(columns: Bytes) -> Any:
    """Return the low halves of all bytes, then the high halves."""
    return np.concatenate([columns & 15, columns >> 4], axis=1)


def _q4_0(blocks: Bytes) -> Floats:
    return _halves(blocks[:, :2]) * (_nibbles(blocks[:, 2:]).astype(np.int8) - 8).astype(np.float32)


def _q4_1(blocks: Bytes) -> Floats:
    steps: Floats = _nibbles(blocks[:, 4:]).astype(np.float32)
    return _halves(blocks[:, :2]) * steps + _halves(blocks[:, 2:4])


def _q8_0(blocks: Bytes) -> Floats:
    return blocks[:, 2:].view(np.int8).astype(np.float32) * _halves(blocks[:, :2])


def _q4_k(blocks: Bytes) -> Floats:
    """Decode 8 groups of 32, whose scales and minima of 6 bits stand in 12 bytes."""
    packed = blocks[:, 4:16].reshape(-1, 3, 4)
    low, middle, high = packed[:, 0], packed[:, 1], packed[:, 2]
    scales = np.concatenate([low & 63, (high & 15) | ((low >> 2) & 48)], axis=1)
    minima = np.concatenate([middle & 63, (high >> 4) | ((middle >> 2) & 48)], axis=1)
    factors = _halves(blocks[:, :2]) * scales.astype(np.float32)  # (blocks, 8)
    offsets = _halves(blocks[:, 2:4]) * minima.astype(np.float32)
    halves = blocks[:, 16:].reshape(-1, 4, 1, 32) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1)
    steps = (halves & 15).reshape(-1, 8, 32).astype(np.float32)
    found = factors[..., None] * steps - offsets[..., None]
    return found.reshape(-1, 256).astype(np.float32, copy=False)


def _q6_k(blocks: Bytes) -> Floats:
    """Decode 16 groups of 16, each weight from 4 low bits and 2 high bits."""
    count = len(blocks)
    low = blocks[:, :128].reshape(count, 2, 1, 64) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1)
    shifts = np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    high = blocks[:, 128:192].reshape(count, 2, 1, 32) >> shifts
    steps = (low & 15).reshape(count, 8, 32) | ((high & 3) << 4).reshape(count, 8, 32)
    signed = (steps.astype(np.int8) - 32).reshape(count, 16, 16).astype(np.float32)
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32)
    factors = _halves(blocks[:, 208:210]) * scales
    return (factors[..., None] * signed).reshape(count, 256)


F32, F16, BF16 = (
    TensorType("F32", 0, 1, 4),
    TensorType("F16", 1, 1, 2),
    TensorType("BF16", 30, 1, 2),
)
Q8_0 = TensorType("Q8_0", 8, 32, 34, _q8_0)
TYPES = {
    one.number: one
    for one in (
        F32,
        F16,
        BF16,
        Q8_0,
        TensorType("Q4_0", 2, 32, 18, _q4_0),
        TensorType("Q4_1", 3, 32, 20, _q4_1),
        TensorType("Q4_K", 12, 256, 144, _q4_k),
        TensorType("Q6_K", 14, 256, 210, _q6_k),
    )
}
OTHERS = {  # types that are named in an error
    6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 13: "Q5_K", 15: "Q8_K", 16: "IQ2_XXS",
    17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
    24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0",
    39: "MXFP4", 40: "NVFP4",
}  # fmt: skip


def name_of_type(number: int) -> str:
    """Return the name of a type that is not read here."""
    return OTHERS.get(number, f"number {number}")


def dequantised(kind: TensorType, data: Bytes, shape: tuple[int, ...]) -> Tensor:
    """Return the tensor of a shape whose bytes are `data`."""
    import torch

    if kind.decode is None:
        types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
        return torch.from_numpy(np.array(data)).view(types[kind.name]).reshape(shape)
    blocks = data.reshape(-1, kind.bytes)
    found = np.empty((len(blocks), kind.block), np.float32)
    with np.errstate(all="ignore"):  # scales of a damaged file may be NaN or infinite
        for start in range(0, len(blocks), CHUNK):
            found[start : start + CHUNK] = kind.decode(np.asarray(blocks[start : start + CHUNK]))
    return torch.from_numpy(found).reshape(shape)


def quantised(kind: TensorType, tensor: Tensor) -> bytes:
    """Return the bytes of a tensor as F32, F16 or Q8_0."""
    values = tensor.detach().float().contiguous().numpy()
    if kind == F32:
        return values.tobytes()
    if kind == F16:
        return values.astype(np.float16).tobytes()
    assert kind == Q8_0, f"{kind.name} is only read"
    blocks = values.reshape(-1, kind.block)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    steps = blocks * inverse
    rounded = np.trunc(steps + np.copysign(np.float32(0.5), steps)).astype(np.int8)
    return np.concatenate(
        [scale.astype(np.float16).view(np.uint8), rounded.view(np.uint8)], axis=1
    ).tobytes()
