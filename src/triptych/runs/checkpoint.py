"""Read a checkpoint, and copy weights by name. Imports torch only where tensors are copied."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from .files import WAY_OUT
from .mapped import ALIGNMENT, MappedFile
from .shards import INDEX, ShardedTensors
from .storage import (
    fingerprint,
    flush,
    parsed,
    read_tensors,
    read_text,
    replace_folder,
    writing,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


MODEL, OPTIMIZER, AVERAGES, STATE, COMPLETE = (
    "model.safetensors", "optimizer.safetensors", "averages.safetensors", "state.json", "COMPLETE",
)  # fmt: skip


def folders_of(run: Path, step: int) -> tuple[Path, Path]:
    """Return the folder that a checkpoint is written into, and the one that it becomes."""
    folder = run / "checkpoints"
    return folder / f".step-{step}.writing", folder / f"step-{step}"


@contextlib.contextmanager
def begun(run: Path, step: int) -> Iterator[Path]:
    """Make an empty folder to write a checkpoint into; where the body fails, it is removed."""
    aside, final = folders_of(run, step)
    try:
        with writing(final):
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            yield aside
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def complete(
    run: Path,
    step: int,
    state: Mapping[str, object],
    marks: Mapping[str, Mapping[str, int | str]] | None = None,
) -> Checkpoint:
    """Add the state, flush all files, mark the checkpoint COMPLETE and rename its folder.

    Args:
        run: The run folder.
        step: The step of the checkpoint.
        state: Values of state.json.
        marks: Fingerprints of files that are flushed already.
    """
    aside, final = folders_of(run, step)
    (aside / STATE).write_text(json.dumps(state))
    found = dict(marks or {})
    for path in sorted(path for path in aside.rglob("*") if path.is_file()):
        if (name := path.relative_to(aside).as_posix()) not in found:
            found[name] = fingerprint(path)
            flush(path)
    (aside / COMPLETE).write_text(json.dumps(found, indent=1))
    flush(aside / COMPLETE)
    for folder in (aside, *(path for path in aside.iterdir() if path.is_dir())):
        flush(folder)
    replace_folder(aside, final)
    flush(final.parent)
    return Checkpoint(final, step)


@dataclass(frozen=True)
class Checkpoint:
    """Read the files of checkpoints/step-N."""

    path: Path
    step: int

    def problem(self) -> str | None:
        """Return what is wrong with its files, or None.

        Sizes and SHA-256 are compared with those in COMPLETE.
        """
        try:
            marks = json.loads((self.path / COMPLETE).read_bytes())
            for name, wanted in marks.items():
                path = self.path / name
                if not path.is_file():
                    return f"{path} is missing"
                if path.stat().st_size != wanted["bytes"]:
                    return f"{path} has {path.stat().st_size} bytes instead of {wanted['bytes']}"
                if fingerprint(path) != wanted:
                    return f"{path} does not have its SHA-256"
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return f"{self.path / COMPLETE} cannot be used ({error})"
        return None

    def state(self) -> dict[str, Any]:
        return parsed(read_text(self.path / STATE), self.path / STATE, WAY_OUT)

    def tensors(self, name: str) -> Mapping[str, Tensor]:
        """Return the tensors of one of its files; none where the file was not written.

        Those that several processes have written are put together.
        """
        if (self.path / name).exists():
            return read_tensors(self.path / name)
        kind = name.removesuffix(".safetensors")
        return ShardedTensors(self.path, kind) if (self.path / INDEX).exists() else {}

    def weights(self) -> Path:
        """Return the averaged weights where they exist, else the plain ones."""
        averages = self.path / AVERAGES
        return averages if averages.exists() else self.path / MODEL


def weights_of(model: nn.Module, head: nn.Module | None) -> dict[str, Tensor]:
    """Return parameters and buffers by public name, the head's under `head.`.

    Tied weights are listed once.
    """
    named = dict(model.state_dict())
    if head is not None:
        named |= {f"head.{name}": tensor for name, tensor in head.state_dict().items()}
    return named


def load_weights(
    path: Path,
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    head: nn.Module | None = None,
    mapped: MappedFile | None = None,
    place: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> None:
    """Copy `tensors` (read from `path`) into the modules.

    Args:
        path: The file, for messages.
        tensors: Weights by public name.
        model: Takes them.
        head: Takes those under `head.`.
        mapped: The file whose views are among the tensors: parameters become such a view where that
            changes no result, so that they take memory only where they are read.
        place: Maps a tensor and a weight of the model to what is copied into the weight; None: the
            tensor itself.

    Raises:
        RunError: Listing all mismatches at once.
    """
    import torch

    wanted = weights_of(model, head)
    problems = [f"'{name}' is missing" for name in wanted if name not in tensors]
    problems += [f"'{name}' has no place in this model" for name in tensors if name not in wanted]
    problems += [
        f"'{name}' has shape {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in tensors and tensors[name].shape != wanted[name].shape
    ]
    if problems:
        raise RunError(
            f"{path} does not fit the model that config.json describes: {'; '.join(problems)}."
        )
    parameters: dict[str, nn.Parameter] = {}
    if mapped is not None:
        parameters |= model.named_parameters()
        if head is not None:
            parameters |= {f"head.{name}": one for name, one in head.named_parameters()}
    with torch.no_grad():
        for name, tensor in wanted.items():
            if not _becomes_view(parameters.get(name), tensors[name]):
                tensor.copy_(tensors[name] if place is None else place(tensors[name], tensor))
                if mapped is not None:
                    mapped.drop()


def _becomes_view(parameter: nn.Parameter | None, tensor: Tensor) -> bool:
    """Let a parameter be `tensor` itself if kernels read both alike; tell whether that was done."""
    if parameter is None or tensor.data_ptr() % ALIGNMENT or not tensor.is_contiguous():
        return False
    if (tensor.dtype, tensor.device) != (parameter.dtype, parameter.device):
        return False
    parameter.data = tensor
    return True
