"""Write checkpoints of a sharded model beside the training: each process its own part.

Shards are safetensors, written by torch's distributed checkpoint (DCP); a JSON index says where the
parts of each tensor are. The weights are written whole as well, so that a checkpoint is used as
that of one process. No file is a pickle (decision 044).
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, distributed
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.device_mesh import init_device_mesh

from ..errors import TrainingError, TriptychError, brief
from ..runs.checkpoint import AVERAGES, MODEL, Checkpoint, begun, complete, folders_of
from ..runs.run import Run
from ..runs.shards import INDEX, VERSION, ShardedTensors, index_of
from ..runs.storage import fingerprint, flush, save_tensors, write_file, writing
from .distributed import World
from .sharding import staged

Tensors = Mapping[str, Mapping[str, Tensor]]  # "model.safetensors" -> name -> tensor
Marks = dict[str, dict[str, int | str]]  # file -> its fingerprint
WHOLE = (MODEL, AVERAGES)  # files that are written whole too


class ShardWriter:
    """Write one checkpoint after the other in a thread; every process must call the same methods.

    The thread sends its messages through a group of its own, so that it can wait for other
    processes while the training goes on.
    """

    def __init__(self, run: Run, processes: World) -> None:
        self.run, self.processes = run, processes
        self.group: Any = cast(Any, distributed).new_group(backend="gloo")
        self.mesh = init_device_mesh("cpu", (processes.size,))
        self.problem: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._written: Checkpoint | None = None

    def begin(
        self,
        step: int,
        tensors: Tensors,
        state: Mapping[str, object],
        then: Callable[[Checkpoint], None],
    ) -> None:
        """Copy the tensors, and write them in a thread once the checkpoint before is whole.

        Args:
            step: The step of the checkpoint.
            tensors: By the name of a file and their own.
            state: Values of state.json, which the first process writes.
            then: Called by the first process with the checkpoint, once it is whole.
        """
        self.wait()
        copies = {
            name: {key: staged(tensor, self.mesh) for key, tensor in values.items()}
            for name, values in tensors.items()
            if values
        }

        def write() -> None:
            try:
                checkpoint = self._write(step, copies, state)
                if self.processes.is_main:
                    then(checkpoint)
                    self._written = checkpoint
            except (Exception, CheckpointException) as problem:
                self.problem = problem

        self._thread = threading.Thread(target=write, name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until nothing is being written. Raise TrainingError if a process failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.problem is not None:
            problem, self.problem = self.problem, None
            raise problem

    def written(self) -> Checkpoint | None:
        """Return the checkpoint that became whole since the last call, in the first process."""
        found, self._written = self._written, None
        return found

    def _write(self, step: int, tensors: Tensors, state: Mapping[str, object]) -> Checkpoint:
        aside, final = folders_of(self.run.path, step)
        with contextlib.ExitStack() as stack:
            with self._together(final):
                if self.processes.is_main:
                    stack.enter_context(begun(self.run.path, step))
            for name, values in tensors.items():
                self._write_shards(aside / Path(name).stem, values, final)
            marks: Marks = {}
            with self._together(final):
                marks = self._marks(aside)
            for others in self.processes.gather(marks, self.group):
                marks |= others
            with self._together(final):
                if self.processes.is_main:
                    self._join(aside, tensors, marks)
                    complete(self.run.path, step, state, marks)
        return Checkpoint(final, step)

    def _write_shards(self, folder: Path, tensors: Mapping[str, Tensor], final: Path) -> None:
        """Let every process write its part of some tensors into a folder."""
        storage = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        try:
            cast(Any, dcp).save(
                dict(tensors), storage_writer=storage, process_group=self.group, no_dist=False
            )
        except CheckpointException as error:
            rank, (problem, _) = min(error.failures.items())
            raise _failed(rank, problem, final) from None

    def _marks(self, aside: Path) -> Marks:
        """Flush the shards that this process has written, and return their fingerprints."""
        own = sorted(aside.glob(f"*/shard-{self.processes.rank + 1:05d}-*"))
        for path in own:
            flush(path)
        return {path.relative_to(aside).as_posix(): fingerprint(path) for path in own}

    def _join(self, aside: Path, tensors: Tensors, marks: Marks) -> None:
        """Write the index of the shards, and whole weights beside them."""
        missing = next((name for name in marks if not (aside / name).is_file()), None)
        if missing is not None:
            raise TrainingError(
                "{path} was written by another process and cannot be read by the first. The run "
                "folder must be on a disk that all processes share.",
                path=aside / missing,
            )
        kinds = {name: Path(name).stem for name in tensors}
        index = {kind: index_of(aside / kind) for kind in kinds.values()}
        values = {"version": VERSION, "processes": self.processes.size, "tensors": index}
        write_file(aside / INDEX, json.dumps(values).encode())
        for name in WHOLE:
            if name in kinds:
                parts = ShardedTensors(aside, kinds[name])
                save_tensors(aside / name, {key: parts[key] for key in parts})

    @contextlib.contextmanager
    def _together(self, final: Path) -> Generator[None]:
        """Let all processes raise the same error if the body fails in one of them."""
        problem: str | None = None
        try:
            with writing(final):
                yield
        except TriptychError as error:
            problem = str(error)
        for rank, text in enumerate(self.processes.gather(problem, self.group)):
            if text is not None:
                raise TrainingError("Process {rank}: {problem}", rank=rank, problem=text)


def _failed(rank: int, problem: BaseException, path: Path) -> TrainingError:
    """Return the error for shards that a process could not write."""
    cause: BaseException = problem
    if isinstance(problem, OSError):
        try:
            with writing(path):
                raise problem
        except TriptychError as error:
            cause = error
    return TrainingError("Process {rank}: {problem}", rank=rank, problem=brief(cause, 400))
