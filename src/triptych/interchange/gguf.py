"""Read and write GGUF files, the container of llama.cpp, in versions 2 and 3.

A file holds typed metadata, a table of tensors and, from an aligned place on, their bytes (the
specification is docs/gguf.md of the project ggml). All numbers of a header are checked against the
file's size before anything is allocated. `gguf_types.py` decodes the tensors, `gguf_models.py`
translates a whole model.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..errors import RunError
from ..messages import Message, message
from ..runs.storage import whole
from .gguf_types import TYPES, TensorType, dequantised, name_of_type, quantised

if TYPE_CHECKING:
    from torch import Tensor

MAGIC, VERSIONS, ALIGNMENT = b"GGUF", (2, 3), 32
MOST_DIMENSIONS, LARGEST_ALIGNMENT = 4, 1 << 20
STRING, ARRAY, BOOL = 8, 9, 7
NUMBERS = {  # type of a value -> its form for struct
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", BOOL: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip


@dataclass(frozen=True)
class TensorPlace:
    """Describe a tensor in a file: its type, its shape with the rows first, and its bytes."""

    kind: TensorType
    shape: tuple[int, ...]
    start: int  # from the beginning of the file
    size: int  # bytes


@dataclass(kw_only=True)
class GgufFile:
    """Hold the metadata and the table of tensors of a file; tensors are read one by one."""

    path: Path
    version: int
    metadata: dict[str, Any] = field(repr=False)
    places: dict[str, TensorPlace] = field(repr=False)

    @property
    def types(self) -> dict[str, int]:
        """Count the tensors of each type, by its name."""
        found: dict[str, int] = {}
        for place in self.places.values():
            found[place.kind.name] = found.get(place.kind.name, 0) + 1
        return found

    def tensor(self, name: str) -> Tensor:
        """Read a tensor; quantised types become float32, the others keep their type."""
        place = self.places[name]
        try:
            data = np.memmap(self.path, np.uint8, "r", place.start, (place.size,))
        except (OSError, ValueError) as error:
            raise RunError("{path} cannot be read: {error}.", path=self.path, error=error) from None
        return dequantised(place.kind, data, place.shape)


def is_gguf(path: str | Path) -> bool:
    """Tell whether `path` is a GGUF file, or a folder with one and without a config.json."""
    path = Path(path)
    try:
        if path.is_dir():
            return not (path / "config.json").exists() and any(path.glob("*.gguf"))
        with path.open("rb") as file:
            return file.read(4) == MAGIC
    except OSError:
        return False


def file_of(path: str | Path) -> Path:
    """Return the GGUF file that `path` is, or that it is a folder of."""
    path = Path(path)
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.gguf"))
    if len(found) != 1:
        names = ", ".join(one.name for one in found) or "none"
        raise RunError(
            "{path} must hold one GGUF file, but it holds {names}. Name the file.",
            path=path, names=names,
        )  # fmt: skip
    return found[0]


def read_gguf(path: str | Path) -> GgufFile:
    """Read the header of a file. Raises RunError for what is damaged or not read here."""
    path = file_of(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).read()
    except (OSError, ValueError) as error:  # an empty file cannot be mapped
        if path.is_file() and path.stat().st_size == 0:
            raise RunError("{path} is empty. Copy the file again.", path=path) from None
        value = getattr(error, "strerror", None) or error
        raise RunError("{path} cannot be read: {value}.", path=path, value=value) from None


class _Reader:
    """Walk through the bytes of a header."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at, self.size = path, data, 0, len(data)

    def read(self) -> GgufFile:
        if self.data[:4] != MAGIC:
            raise RunError("{path} is not a GGUF file: it begins otherwise.", path=self.path)
        self.at = 4
        version = self._number(4)
        if version not in VERSIONS:
            if version.to_bytes(4, "little")[::-1] in [one.to_bytes(4, "little") for one in (2, 3)]:
                raise RunError(
                    "{path} has its numbers in the order of big-endian machines, which is not "
                    "read here. Take the little-endian file.",
                    path=self.path,
                )
            raise RunError(
                "{path} is of GGUF version {version}; triptych reads versions 2 and 3. Convert "
                "the model again with a newer llama.cpp.",
                path=self.path, version=version,
            )  # fmt: skip
        tensors, pairs = self._number(8), self._number(8)
        self._hold(pairs, 13)  # an empty key, its type, one byte
        metadata: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._text()
            if key in metadata:
                self._damaged(message("it gives {key} twice", key=key[:60]))
            metadata[key] = self._value(self._number(4), key)
        self._hold(tensors, 24)
        table = [self._tensor() for _ in range(tensors)]
        return GgufFile(
            path=self.path, version=version, metadata=metadata,
            places=self._placed(table, self._alignment(metadata)),
        )  # fmt: skip

    # Parts of a header ----------------------------------------------------------------------------

    def _damaged(self, problem: Message) -> NoReturn:
        raise RunError(
            "{path} is damaged: {problem}. Copy the file again.",
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
        length = self._number(8)
        self._hold(length, 1)
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8", "replace")

    def _value(self, kind: int, key: str) -> Any:
        if kind == STRING:
            return self._text()
        if kind == ARRAY:
            inner, count = self._number(4), self._number(8)
            if inner == STRING:
                self._hold(count, 8)
                return [self._text() for _ in range(count)]
            if inner not in NUMBERS:
                self._damaged(message("{key} is a list of type {kind}", key=key[:60], kind=inner))
            form = np.dtype(NUMBERS[inner])
            self._hold(count, form.itemsize)
            self.at += count * form.itemsize
            return np.frombuffer(self.data, form, count, self.at - count * form.itemsize).copy()
        if kind not in NUMBERS:
            self._damaged(message("{key} is of the unknown type {kind}", key=key[:60], kind=kind))
        size = struct.calcsize(NUMBERS[kind])
        self._hold(1, size)
        self.at += size
        return struct.unpack_from(NUMBERS[kind], self.data, self.at - size)[0]

    def _alignment(self, metadata: Mapping[str, Any]) -> int:
        value = metadata.get("general.alignment", ALIGNMENT)
        if type(value) is not int or not 0 < value <= LARGEST_ALIGNMENT or value & (value - 1):
            self._damaged(message("general.alignment is {value}", value=repr(value)[:60]))
        return value

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """Return the name, the sizes with the rows first, the number of the type, the offset."""
        name, count = self._text(), self._number(4)
        if count > MOST_DIMENSIONS:
            self._damaged(message("{name} has {count:,} dimensions", name=name[:60], count=count))
        sizes = tuple(self._number(8) for _ in range(count))
        return name, sizes[::-1], self._number(4), self._number(8)

    def _placed(
        self, table: Sequence[tuple[str, tuple[int, ...], int, int]], alignment: int
    ) -> dict[str, TensorPlace]:
        """Check the places of all tensors against the file and each other."""
        start = -(-self.at // alignment) * alignment
        places: dict[str, TensorPlace] = {}
        unknown: dict[str, str] = {}
        for name, shape, number, offset in table:
            shown = name[:60]
            kind = TYPES.get(number)
            if kind is None:
                unknown.setdefault(name_of_type(number), shown)
                continue
            count = 1
            for size in shape:
                count *= size
            if name in places:
                self._damaged(message("it holds {name} twice", name=shown))
            if not count or (shape or (1,))[-1] % kind.block or offset % alignment:
                self._damaged(message(
                    "{name} of type {kind} has the shape {shape} and the offset {offset}",
                    name=shown, kind=kind.name, shape=shape, offset=offset,
                ))  # fmt: skip
            size = count // kind.block * kind.bytes
            if start + offset + size > self.size:
                self._damaged(message(
                    "{name} {shape} of type {kind} ends at byte {end:,}, but the file has {size:,}",
                    name=shown, shape=shape, kind=kind.name, end=start + offset + size,
                    size=self.size,
                ))  # fmt: skip
            places[name] = TensorPlace(kind, shape, start + offset, size)
        if unknown:
            raise RunError(
                "{path} holds tensors of types that are not read here: {types}. Triptych reads "
                "{read}. Take a file of one of these, F16 or Q8_0 for example.",
                path=self.path,
                types=", ".join(f"{kind} ({name})" for kind, name in list(unknown.items())[:5]),
                read=", ".join(one.name for one in TYPES.values()),
            )
        ordered = sorted(places.items(), key=lambda item: item[1].start)
        for (name, one), (other, next_one) in pairwise(ordered):
            if one.start + one.size > next_one.start:
                self._damaged(
                    message("{name} and {other} overlap", name=name[:60], other=other[:60])
                )
        return places


# Writing ------------------------------------------------------------------------------------------


def write_gguf(
    path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, tuple[TensorType, Tensor]]
) -> None:
    """Write a file of version 3, whole or not at all.

    metadata: whole numbers are written as uint32 (int32 below 0), other numbers as float32, lists
    as arrays of their first item's type, numpy arrays as they are.
    """
    header = bytearray(MAGIC)
    header += struct.pack("<IQQ", VERSIONS[-1], len(tensors), len(metadata))
    for key, value in metadata.items():
        header += _packed_text(key) + _packed_value(value)
    offset = 0
    for name, (kind, tensor) in tensors.items():
        sizes = tuple(reversed(tensor.shape))
        header += _packed_text(name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        header += struct.pack("<IQ", kind.number, offset)
        offset += _aligned(tensor.numel() // kind.block * kind.bytes)
    header += bytes(_aligned(len(header)) - len(header))
    with whole(path) as aside, aside.open("wb") as file:
        file.write(header)
        for kind, tensor in tensors.values():
            content = quantised(kind, tensor)
            file.write(content)
            file.write(bytes(_aligned(len(content)) - len(content)))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _packed_text(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


def _packed_value(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        number = next(one for one, form in NUMBERS.items() if np.dtype(form) == value.dtype)
        return struct.pack("<IIQ", ARRAY, number, value.size) + value.tobytes()
    if isinstance(value, list):
        texts = b"".join(_packed_text(one) for one in value)
        return struct.pack("<IIQ", ARRAY, STRING, len(value)) + texts
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _packed_text(value)
    number = BOOL if isinstance(value, bool) else 6 if isinstance(value, float) else 4
    if number == 4 and value < 0:
        number = 5
    return struct.pack("<I", number) + struct.pack(NUMBERS[number], value)
