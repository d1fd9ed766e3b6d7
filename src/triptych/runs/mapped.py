"""Read safetensors files piece by piece, and write one, in the memory of a single piece.

Tensors are views of the mapped file. Its pages count as memory of the process once they are read,
until `MappedFile.drop` gives them back; they are read again when they are needed.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from .storage import opened_tensors, whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PIECE = 1 << 22  # numbers that are converted or looked at together
ALIGNMENT = 64  # bytes at which every kernel reads as it reads a tensor of its own


@dataclass
class MappedFile:
    """Hold the tensors of a file as views of it."""

    tensors: dict[str, Tensor] = field(repr=False)
    pages: mmap.mmap | None = field(default=None, repr=False)

    def drop(self) -> None:
        """Give the memory of what was read back. No tensor may have been written to."""
        advice = getattr(mmap, "MADV_DONTNEED", None)
        if self.pages is not None and advice is not None:
            self.pages.madvise(advice)

    def drop_part(self, tensor: Tensor) -> None:
        """Give the memory of a view of the file back, up to the pages that it shares with others.

        A tensor that is no view of the file, or that may have been written to, keeps its memory.
        """
        advice = getattr(mmap, "MADV_DONTNEED", None)
        if self.pages is None or advice is None or tensor.is_inference() or tensor._version:
            return
        begin = tensor.data_ptr() - next(iter(self.tensors.values())).untyped_storage().data_ptr()
        end = begin + tensor.numel() * tensor.element_size()
        first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
        last = end // mmap.PAGESIZE * mmap.PAGESIZE
        if begin >= 0 and end <= len(self.pages) and first < last:
            self.pages.madvise(advice, first, last - first)


def map_tensors(path: Path) -> MappedFile:
    """Map a safetensors file. Raise RunError where it is missing, cut off or damaged."""
    with opened_tensors(path) as held:
        names = list(held.keys())
        kinds = {name: held.get_slice(name).get_dtype() for name in names}
        others = [name for name in names if kinds[name] not in _dtypes()]
        if others or not names:  # a type that has no number here
            return MappedFile({name: held.get_tensor(name) for name in names})
    import torch

    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(size))
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    content = torch.frombuffer(pages, dtype=torch.uint8)
    tensors: dict[str, Tensor] = {}
    for name in names:
        begin, end = (8 + size + place for place in header[name]["data_offsets"])
        kind, own = _dtypes()[kinds[name]], content[begin:end]
        if begin % kind.itemsize:
            own = own.clone()
        tensors[name] = own.view(kind).view(header[name]["shape"])
    return MappedFile(tensors, pages)


def _dtypes() -> dict[str, torch.dtype]:
    """Return the types of numbers by the format's names."""
    import torch

    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
             torch.int16, torch.int8, torch.uint8)  # fmt: skip
    names = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8")
    return {**dict(zip(names, kinds, strict=True)), "BOOL": torch.bool}


def pieces(tensor: Tensor) -> Iterator[Tensor]:
    """Yield the rows of a tensor in pieces of at most PIECE numbers, at least a row each."""
    if tensor.dim() == 0 or tensor.numel() <= PIECE:
        yield tensor
        return
    yield from tensor.split(max(1, PIECE // max(1, tensor.numel() // tensor.shape[0])))


def write_mapped(
    path: Path, tensors: Mapping[str, Tensor], after: Callable[[], None] = lambda: None
) -> None:
    """Write tensors to a safetensors file in float32, whole or not at all, piece by piece.

    Other types than floating point stay. The file is the one that `write_tensors` writes, but its
    numbers begin at a multiple of ALIGNMENT. `after` is called after each tensor.
    """
    kinds = {kind: name for name, kind in _dtypes().items()}
    header: dict[str, object] = {}
    place = 0
    ordered = sorted(tensors, key=lambda name: (-written_type(tensors[name]).itemsize, name))
    for name in ordered:
        kind = written_type(tensors[name])
        end = place + kind.itemsize * math.prod(tensors[name].shape)
        header[name] = {
            "dtype": kinds[kind], "shape": list(tensors[name].shape), "data_offsets": [place, end],
        }  # fmt: skip
        place = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    with whole(path) as aside:
        with open(aside, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            _write(file, (tensors[name] for name in ordered), after)
        aside.chmod(aside.parent.stat().st_mode & 0o666)


def written_type(tensor: Tensor) -> torch.dtype:
    """Return the type in which a run holds a tensor."""
    import torch

    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def _write(file: BinaryIO, tensors: Iterable[Tensor], after: Callable[[], None]) -> None:
    for tensor in tensors:
        kind = written_type(tensor)
        for piece in pieces(tensor.detach()):
            numbers: Any = piece.to("cpu", kind).reshape(-1).contiguous().numpy()
            file.write(numbers.data)
        after()
