"""Read the files of Marian (Junczys-Dowmunt et al. 2018): its binary version 1, and npz.

The binary file begins with a table of names, types, shapes and sizes, which are all checked against
the file's size before anything is read; the tensors' bytes follow. An npz is a zip of numpy arrays,
of which those that hold objects (pickles) are refused.
"""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from ..errors import RunError
from ..messages import Message, message

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 1
HEADER = struct.Struct("<4Q")  # length of the name, type, length of the shape, bytes of the data
MOST_DIMENSIONS = 8
PADDING = 256  # the data of a tensor is filled up to a multiple of it
SETTINGS = "special:model.yml"
MULTIPLIER = "_QuantMultA"  # of activations, by which nothing here is multiplied
INT8 = 0x101  # of texts
FLOATS = {0x402: "<f2", 0x404: "<f4", 0x408: "<f8", INT8: "i1"}
# integers, stored transposed, and the float32 behind them that they were multiplied by. Their
# numbers differ between Marian and the branch that made the models of Bergamot.
QUANTISED = {0x4101: "i1", 0x10001: "i1", 0x4102: "<i2", 0x10002: "<i2"}
UNREAD = {
    0x802: "packed16",
    0x1801: "packed8avx2",
    0x2801: "packed8avx512",
    0x18001: "intgemm8ssse3",
    0x11001: "intgemm8avx2",
    0x12001: "intgemm8avx512",
    0x13001: "intgemm8avx512vnni",
    0x14002: "intgemm16sse2",
    0x11002: "intgemm16avx2",
    0x12002: "intgemm16avx512",
}  # laid out for one processor
MOST_EXPANSION = 20  # weights hardly shrink in a zip, so a much larger content is made to harm
Read = Callable[[], np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True, kw_only=True)
class MarianFile:
    """Hold what a file says of its tensors, which are read when they are asked for.

    shapes: of each tensor but settings and multipliers; settings: the text of its model.yml;
    quantised: how many tensors are of each type of integers.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    settings: str
    quantised: Mapping[str, int]
    reads: Mapping[str, Read]

    def tensor(self, name: str) -> Tensor:
        """Return a tensor of its shape as float32, without its quantisation."""
        import torch

        return torch.from_numpy(self.reads[name]().astype(np.float32))


def is_binary(path: Path) -> bool:
    """Tell whether a file begins as Marian's binary version 1, with room for its table."""
    try:
        with path.open("rb") as file:
            version, count, length = struct.unpack("<3Q", file.read(24))
        return version == VERSION and 0 < count < 1 << 20 and 0 < length < 1 << 10
    except (OSError, struct.error):
        return False


def is_npz(path: Path) -> bool:
    """Tell whether a file is an npz with Marian's settings."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{SETTINGS}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def read_file(path: Path) -> MarianFile:
    """Read the table of a file. Raises RunError if it is damaged or has types that are not read."""
    try:
        if path.suffix == ".npz":
            return _read_npz(path)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Table(path, data).read()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        value = getattr(error, "strerror", None) or error
        raise RunError("{path} cannot be read: {value}.", path=path, value=value) from None


def _damaged(path: Path, problem: Message) -> NoReturn:
    raise RunError("{path} is damaged: {problem}. Copy the file again.", path=path, problem=problem)


def _is_text(name: str) -> bool:
    return name.startswith("special:")


# Binary -------------------------------------------------------------------------------------------


class _Table:
    """Walk through the table of a binary file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at, self.size = path, data, 0, len(data)

    def read(self) -> MarianFile:
        version, count = struct.unpack("<2Q", self._take(16))
        if version != VERSION:
            raise RunError(
                "{path} is of binary version {version} of Marian; triptych reads {known}.",
                path=self.path, version=version, known=VERSION,
            )  # fmt: skip
        rows = [*HEADER.iter_unpack(self._take(HEADER.size, count))]
        names = [self._name(length) for length, *_ in rows]
        shapes = [self._shape(name, row[2]) for name, row in zip(names, rows, strict=True)]
        if len(set(names)) < count:
            twice = next(one for place, one in enumerate(names) if one in names[:place])
            _damaged(self.path, message("it holds {name} twice", name=twice[:60]))
        self._take(struct.unpack("<Q", self._take(8))[0])
        self._refuse_types(names, [row[1] for row in rows])
        reads: dict[str, Read] = {}
        quantised: dict[str, int] = {}
        settings = ""
        for name, shape, (_, kind, _, size) in zip(names, shapes, rows, strict=True):
            start = self._place(name, shape, kind, size)
            if name == SETTINGS:
                settings = self.data[start : self.at].split(b"\0")[0].decode("utf-8", "replace")
            if _is_text(name) or name.endswith(MULTIPLIER):
                continue
            read = _dequantised if kind in QUANTISED else _plain
            form = QUANTISED.get(kind) or FLOATS[kind]
            reads[name] = partial(read, self.path, name, start, shape, form)
            if kind in QUANTISED:
                label = f"intgemm{8 * np.dtype(form).itemsize}"
                quantised[label] = quantised.get(label, 0) + 1
        if self.at != self.size:
            _damaged(self.path, message("it goes on for {more:,} bytes", more=self.size - self.at))
        own = {name: shape for name, shape in zip(names, shapes, strict=True) if name in reads}
        return MarianFile(
            path=self.path, shapes=own, settings=settings, quantised=quantised, reads=reads
        )

    def _take(self, width: int, count: int = 1) -> bytes:
        """Return the next bytes. Raises RunError if the file ends before."""
        if width * count > self.size - self.at:
            _damaged(self.path, message(
                "at byte {at:,} it names {count:,} bytes, more than its {size:,} bytes hold",
                at=self.at, count=width * count, size=self.size,
            ))  # fmt: skip
        self.at += width * count
        return self.data[self.at - width * count : self.at]

    def _name(self, length: int) -> str:
        name = self._take(length)
        if not name.endswith(b"\0") or b"\0" in name[:-1] or not name[:-1].isascii():
            _damaged(self.path, message("{name} is not a name", name=repr(name[:60])))
        return name[:-1].decode()

    def _shape(self, name: str, length: int) -> tuple[int, ...]:
        if length > MOST_DIMENSIONS:
            _damaged(
                self.path, message("{name} has {rank} dimensions", name=name[:60], rank=length)
            )
        shape = struct.unpack(f"<{length}i", self._take(4, length))
        if any(one < 1 for one in shape):
            _damaged(self.path, message("{name} has the shape {shape}", name=name[:60],
                                        shape=shape))  # fmt: skip
        return shape

    def _refuse_types(self, names: list[str], kinds: list[int]) -> None:
        unread = {
            UNREAD.get(kind, f"{kind:#x}"): name
            for name, kind in zip(reversed(names), reversed(kinds), strict=True)
            if kind not in QUANTISED and (kind not in FLOATS or (kind == INT8) > _is_text(name))
        }
        if unread:
            raise RunError(
                "{path} holds tensors of types that are not read here: {types}. Triptych reads "
                "float32, float16, intgemm8 and intgemm16. Convert the model again with "
                "marian-conv --gemm-type float32.",
                path=self.path,
                types=", ".join(f"{kind} ({name[:60]})" for kind, name in [*unread.items()][:5]),
            )

    def _place(self, name: str, shape: tuple[int, ...], kind: int, size: int) -> int:
        """Return where the data of a tensor begin, and go behind them."""
        form, count = np.dtype(QUANTISED.get(kind) or FLOATS[kind]), 1
        for one in shape:
            count *= one
        needed = count * form.itemsize + 4 * (kind in QUANTISED)
        if not needed <= size < needed + PADDING:
            _damaged(self.path, message(
                "{name} {shape} has {size:,} bytes instead of {needed:,}",
                name=name[:60], shape=shape, size=size, needed=needed,
            ))  # fmt: skip
        start = self.at
        if size > self.size - start:
            _damaged(self.path, message(
                "{name} {shape} ends at byte {end:,}, but the file has {size:,}",
                name=name[:60], shape=shape, end=start + size, size=self.size,
            ))  # fmt: skip
        self.at += size
        return start


def _plain(path: Path, name: str, start: int, shape: tuple[int, ...], form: str) -> Any:
    return np.memmap(path, form, "r", start, shape)


def _dequantised(path: Path, name: str, start: int, shape: tuple[int, ...], form: str) -> Any:
    """Return float32 of a matrix, which is stored transposed unless it is an embedding."""
    values = np.memmap(path, form, "r", start, shape)
    factor = np.frombuffer(np.memmap(path, "u1", "r", start + values.nbytes, (4,)).tobytes(), "<f4")
    if not np.isfinite(factor).all() or not factor.all():
        _damaged(path, message("{name} is multiplied by {factor}", name=name[:60],
                               factor=float(factor[0])))  # fmt: skip
    stored = values if name.endswith("Wemb") else values.reshape(shape[::-1]).T
    return stored.astype(np.float32) / factor


# npz ----------------------------------------------------------------------------------------------


def _read_npz(path: Path) -> MarianFile:
    reads: dict[str, Read] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    settings = ""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(one.file_size for one in entries) > MOST_EXPANSION * path.stat().st_size:
            _damaged(path, message("its content is more than {times} times its size",
                                   times=MOST_EXPANSION))  # fmt: skip
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            shape, form = _header(path, archive, entry)
            if name in shapes:
                _damaged(path, message("it holds {name} twice", name=name[:60]))
            if name == SETTINGS and form.itemsize == 1:
                content = _array(path, entry.filename)
                settings = content.tobytes().split(b"\0")[0].decode("utf-8", "replace")
            if _is_text(name):
                continue
            if form.kind != "f":
                raise RunError(
                    "{path} holds tensors of types that are not read here: {types}. Triptych reads "
                    "float32, float16, intgemm8 and intgemm16. Convert the model again with "
                    "marian-conv --gemm-type float32.",
                    path=path, types=f"{form} ({name[:60]})",
                )  # fmt: skip
            shapes[name], reads[name] = shape, partial(_array, path, entry.filename)
    return MarianFile(path=path, shapes=shapes, settings=settings, quantised={}, reads=reads)


def _header(
    path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array, from its first bytes. Objects are refused."""
    form: Any = np.lib.format
    with archive.open(entry) as file:
        version = form.read_magic(file)
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
        start = file.tell()
    count = 1
    for one in shape:
        count *= one
    if dtype.hasobject or is_fortran or count * dtype.itemsize + start != entry.file_size:
        _damaged(path, message(
            "{name} {shape} of type {kind} does not fill its {size:,} bytes",
            name=entry.filename[:60], shape=shape, kind=str(dtype), size=entry.file_size,
        ))  # fmt: skip
    return tuple(shape), dtype


def _array(path: Path, entry: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        data = io.BytesIO(archive.read(entry))
    return cast(Any, np.lib.format).read_array(data, allow_pickle=False)
