"""Read and write model.bin of CTranslate2, in its binary version 6.

The file holds named arrays with their shape and type, then names that are aliases of others. All
numbers are checked against the file's size before anything is allocated. `ctranslate2_models.py`
translates whole models.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..errors import RunError
from ..messages import Message, message
from ..runs.storage import whole

if TYPE_CHECKING:
    from torch import Tensor

VERSION, MODEL = 6, "model.bin"
MOST_DIMENSIONS = 8
BFLOAT16 = 5  # numpy has no such type: its bits are kept as uint16
TYPES = ("float32", "int8", "int16", "int32", "float16", "uint16")  # by their number in the file
NAMES = (*TYPES[:BFLOAT16], "bfloat16")
SCALE = "_scale"  # the ending of the name of an array's scales
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Content:
    """Hold a file: the name of its specification, its arrays, and names for the same arrays."""

    specification: str
    revision: int
    arrays: Mapping[str, Array]
    aliases: Mapping[str, str]
    types: Mapping[str, str]  # array -> name of its type

    def get(self, name: str) -> Array | None:
        """Return an array by its name or an alias of it."""
        return self.arrays.get(self.aliases.get(name, name))

    def tensor(self, name: str) -> Tensor | None:
        """Return an array as floating point, without its quantisation; None if it is missing.

        Integers are divided by their scales, one for each row or one for all.
        """
        import torch

        name = self.aliases.get(name, name)
        values = self.arrays.get(name)
        if values is None:
            return None
        if self.types[name] == NAMES[BFLOAT16]:
            return torch.from_numpy(values.copy()).view(torch.bfloat16)
        if values.dtype.kind != "i":
            return torch.from_numpy(values.copy())
        scale = self.get(name + SCALE)
        if scale is None:
            raise RunError("{name} is quantised, but has no {scale}.", name=name, scale=SCALE)
        rows = len(values) if values.ndim else 1
        if scale.size not in (1, rows) or not (np.isfinite(scale) & (scale != 0)).all():
            raise RunError("{name}{scale} does not fit {name}.", name=name, scale=SCALE)
        by_row = scale.reshape(-1, *[1] * max(0, values.ndim - 1)).astype(np.float32)
        return torch.from_numpy(values.astype(np.float32) / by_row)


def is_folder(path: str | Path) -> bool:
    """Tell whether `path` is a folder of CTranslate2: model.bin with a version of its files."""
    try:
        with (Path(path) / MODEL).open("rb") as file:
            version, length = struct.unpack("<IH", file.read(6))
            return 0 < version <= 64 and file.read(length).endswith(b"Spec\0")
    except (OSError, struct.error):
        return False


def specification_of(path: str | Path) -> str:
    """Return the name of the specification of a folder's model.bin."""
    with (Path(path) / MODEL).open("rb") as file:
        _, length = struct.unpack("<IH", file.read(6))
        return file.read(length).rstrip(b"\0").decode("utf-8", "replace")


def read_content(path: Path) -> Content:
    """Read a model.bin. Raises RunError for what is damaged or of another version."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).read()
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        value = getattr(error, "strerror", None) or error
        raise RunError("{path} cannot be read: {value}.", path=path, value=value) from None


class _Reader:
    """Walk through the bytes of a file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at, self.size = path, data, 0, len(data)

    def read(self) -> Content:
        version = self._number(4)
        if version != VERSION:
            raise RunError(
                "{path} is of binary version {version} of CTranslate2; triptych reads {known}. "
                "Convert the model again with ctranslate2 4.",
                path=self.path, version=version, known=VERSION,
            )  # fmt: skip
        specification, revision, count = self._text(), self._number(4), self._number(4)
        self._hold(count, 3 + 1 + 1 + 4)
        arrays: dict[str, Array] = {}
        types: dict[str, str] = {}
        for _ in range(count):
            name = self._text()
            if name in arrays:
                self._damaged(message("it holds {name} twice", name=name[:60]))
            types[name], arrays[name] = self._array(name)
        aliases = self._aliases(arrays)
        if self.at != self.size:
            self._damaged(message("it goes on for {more:,} bytes", more=self.size - self.at))
        return Content(
            specification=specification, revision=revision, arrays=arrays, aliases=aliases,
            types=types,
        )  # fmt: skip

    def _damaged(self, problem: Message) -> NoReturn:
        raise RunError(
            "{path} is damaged: {problem}. Copy the file again, or convert the model again with "
            "ctranslate2 4.",
            path=self.path, problem=problem,
        )  # fmt: skip

    def _hold(self, count: int, least: int) -> None:
        """Raise RunError if the rest of the file is too small for `count` items."""
        if count * least > self.size - self.at:
            self._damaged(
                message(
                    "at byte {at:,} it names {count:,} items, more than its {size:,} bytes hold",
                    at=self.at,
                    count=count,
                    size=self.size,
                )
            )

    def _number(self, width: int) -> int:
        self._hold(1, width)
        self.at += width
        return int.from_bytes(self.data[self.at - width : self.at], "little")

    def _text(self) -> str:
        length = self._number(2)
        self._hold(length, 1)
        self.at += length
        return self.data[self.at - length : self.at].rstrip(b"\0").decode("utf-8", "replace")

    def _array(self, name: str) -> tuple[str, Array]:
        rank = self._number(1)
        if rank > MOST_DIMENSIONS:
            self._damaged(message("{name} has {rank} dimensions", name=name[:60], rank=rank))
        shape = tuple(self._number(4) for _ in range(rank))
        number, size = self._number(1), self._number(4)
        if number >= len(TYPES):
            self._damaged(
                message("{name} is of the unknown type {number}", name=name[:60], number=number)
            )
        form, count = np.dtype(TYPES[number]), 1
        for one in shape:
            count *= one
        # The size has 32 bits only: that of a larger array is cut off there.
        if count * form.itemsize % (1 << 32) != size:
            self._damaged(message(
                "{name} {shape} of {size:,} bytes is not {type}",
                name=name[:60], shape=shape, size=size, type=NAMES[number],
            ))  # fmt: skip
        self._hold(count, form.itemsize)
        self.at += count * form.itemsize
        found = np.frombuffer(self.data, form, count, self.at - count * form.itemsize).copy()
        return NAMES[number], found.reshape(shape)

    def _aliases(self, arrays: Mapping[str, Array]) -> dict[str, str]:
        count = self._number(4)
        self._hold(count, 6)
        aliases: dict[str, str] = {}
        for _ in range(count):
            alias, name = self._text(), self._text()
            if name not in arrays or alias in arrays:
                self._damaged(
                    message("the alias {alias} names {name}", alias=alias[:60], name=name[:60])
                )
            aliases[alias] = name
        return aliases


def write_content(path: Path, content: Content) -> None:
    """Write a model.bin, whole or not at all."""
    parts = [struct.pack("<I", VERSION), _packed(content.specification)]
    parts += [struct.pack("<II", content.revision, len(content.arrays))]
    with whole(path) as aside, aside.open("wb") as file:
        file.write(b"".join(parts))
        for name, values in sorted(content.arrays.items()):
            form = f"<B{values.ndim}IBI"
            number, size = NAMES.index(content.types[name]), values.nbytes % (1 << 32)
            file.write(_packed(name) + struct.pack(form, values.ndim, *values.shape, number, size))
            file.write(np.ascontiguousarray(values).tobytes())
        file.write(struct.pack("<I", len(content.aliases)))
        for alias, name in sorted(content.aliases.items()):
            file.write(_packed(alias) + _packed(name))


def _packed(text: str) -> bytes:
    content = text.encode() + b"\0"
    return struct.pack("<H", len(content)) + content
