"""Write files and tensors whole or not at all: aside, flushed, then renamed. No pickle."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError, TrainingError, UsageError, brief

if TYPE_CHECKING:
    from torch import Tensor


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raise RunError where it is missing, cut off or damaged."""
    from safetensors.torch import load_file

    with _reading(path):
        return load_file(path)


@contextlib.contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """Open a safetensors file to read parts of it. Raise RunError as `read_tensors` does."""
    from safetensors import safe_open

    with _reading(path), safe_open(path, framework="pt") as held:
        yield held


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn an error of reading a safetensors file into a sentence."""
    from safetensors import SafetensorError

    try:
        yield
    except FileNotFoundError:
        raise RunError(
            "{path} is missing. Copy the whole run folder, or train it again.", path=path
        ) from None
    except (SafetensorError, ValueError) as error:
        size = path.stat().st_size
        raise RunError(
            "{path} ({size:,} bytes) is cut off or damaged ({error}). Copy it "
            "again, or train the run again.",
            path=path,
            size=size,
            error=error,
        ) from None
    except OSError as error:
        raise RunError(
            "{path} cannot be read: {value}.", path=path, value=error.strerror or error
        ) from None


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of a safetensors file from its header alone.

    The result is empty for a file that `read_tensors` will refuse.
    """
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= path.stat().st_size - 8 else {}
        shapes = {
            name: tuple(int(one) for one in info["shape"])
            for name, info in header.items()
            if name != "__metadata__"
        }
        return (
            shapes
            if all(min(one, default=0) >= 0 and math.prod(one) < 1 << 63 for one in shapes.values())
            else {}
        )
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return {}


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file. Raise RunError where it cannot be read."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise RunError(
            "{path} is missing. Copy the whole run folder, or train it again.", path=path
        ) from None
    except UnicodeDecodeError:
        raise RunError(
            "{path} is not UTF-8 text: the file is damaged. Copy it again, or train the run again.",
            path=path,
        ) from None
    except OSError as error:
        raise RunError(
            "{path} cannot be read: {strerror}.", path=path, strerror=error.strerror
        ) from None


def parsed(text: str, path: Path | str, way_out: str) -> Any:
    """Return the value of a JSON file's text.

    Raises RunError naming the line for invalid JSON, and for what cannot be read: brackets nested
    too deeply, a number of thousands of digits, half a character.

    Args:
        text: The content of the file.
        path: The file, for the message.
        way_out: A sentence that says what to do about a damaged file.
    """
    try:
        value = json.loads(text)
        if "\\u" in text:  # only an escape can bring half a character into it
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise RunError(
            "{path}:{lineno} is not valid JSON ({msg}): the file is cut off or damaged. {way_out}",
            path=path,
            lineno=error.lineno,
            msg=error.msg.removesuffix(" at").removesuffix(" starting"),
            way_out=way_out,
        ) from None
    except UnicodeEncodeError:
        raise RunError(
            "{path} holds half a character (an escape \\ud800 to \\udfff without its "
            "other half). {way_out}",
            path=path,
            way_out=way_out,
        ) from None
    except RecursionError:
        raise RunError(
            "{path} nests brackets too deeply to be read. {way_out}", path=path, way_out=way_out
        ) from None
    except ValueError as error:  # a whole number of more digits than Python reads
        raise RunError(
            "{path} holds a number that cannot be read ({brief}). {way_out}",
            path=path,
            brief=brief(error),
            way_out=way_out,
        ) from None
    return value


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all."""
    with whole(path) as aside:
        save_tensors(aside, tensors, metadata)


def write_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole(path) as aside:
        aside.write_bytes(content)


def in_training(path: Path, process: str) -> UsageError:
    """Return the error for a run that another process trains."""
    return UsageError(
        "{parent} is being trained now, by process {value}. Wait until it "
        "ends, stop it, or name another folder with --out.",
        parent=path.parent,
        value=process,
    )


@contextlib.contextmanager
def alone(path: Path, busy: Callable[[Path, str], UsageError] = in_training) -> Iterator[None]:
    """Lock the file `path`, which holds the number of this process, while the body runs.

    A killed process holds no lock. Raises UsageError where another process holds it: `busy` of the
    file and the process. Where the system or the disk has no such locks, nothing is locked.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with writing(path):
        file = path.open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise busy(path, file.read().strip() or "unknown") from None
        except OSError:
            yield
            return
        if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            with alone(path, busy):  # the holder removed it between our opening and locking
                yield
            return
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def whole(path: Path, is_shared: bool = False) -> Iterator[Path]:
    """Yield a file beside `path` that becomes `path` at the end.

    Where writing fails, `path` is left unchanged.

    Args:
        path: The file to be.
        is_shared: Several processes may write it at once; each then has a file of its own.
    """
    own = f".{platform.node()}.{os.getpid()}" if is_shared else ""
    aside = path.with_name(f".{path.name}{own}.writing")
    try:
        with writing(path):
            yield aside
            flush(aside)
            os.replace(aside, path)
            flush(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def save_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file in place; an error of the disk is an OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(
            {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()},
            path,
            metadata,
        )
        path.chmod(path.parent.stat().st_mode & 0o666)  # the library makes it private
    except SafetensorError as error:  # the library wraps the system's error in its own text
        number = errno.ENOSPC if "os error 28" in str(error) else errno.EIO
        raise OSError(number, str(error)) from error


def fingerprint(path: Path) -> dict[str, int | str]:
    """Return the size and SHA-256 of a file, by which it is recognised."""
    with open(path, "rb") as file:
        return {
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def flush(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_folder(source: Path, target: Path) -> None:
    """Rename `source` to `target`, which may exist."""
    if target.exists():  # no folder can be replaced in one step, so the old one is renamed first
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.rename(target, old)
        os.rename(source, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(source, target)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that becomes `path` at the end.

    Where writing fails, nothing is left. `path` may be an empty folder. What a killed process left
    is replaced.
    """
    path = Path(os.path.realpath(path))
    made = [folder for folder in path.parents if not folder.exists()]  # the nearest first
    aside = path.with_name(f".{path.name}.writing")
    try:
        with writing(path):
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            yield aside
            _become(aside, path)
            flush(path.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _become(aside: Path, path: Path) -> None:
    """Rename the folder `aside` to `path`, which is missing or empty.

    A mounted `path` cannot be replaced, so the content of `aside` is moved into it.
    """
    if path.is_dir():
        try:
            path.rmdir()
        except OSError:
            # config.json is moved last: where it exists, all other files do.
            for inside in sorted(aside.iterdir(), key=lambda one: one.name == "config.json"):
                shutil.move(inside, path / inside.name)
            aside.rmdir()
            return
    os.rename(aside, path)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the body into a sentence that says why nothing can be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TrainingError(
                "The disk is full: {path} could not be written. What was saved before "
                "is unchanged. Free some space.",
                path=path,
            ) from error
        raise RunError(
            "{path} cannot be written: {value}. Choose a folder that you may write to.",
            path=path,
            value=error.strerror or error,
        ) from error
