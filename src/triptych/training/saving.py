"""Save checkpoints and the final weights of a training, whole or sharded over processes."""

from __future__ import annotations

import threading

from ..messages import Message, message
from ..model.lora import merged
from ..runs.address import Address
from ..runs.checkpoint import Checkpoint, weights_of
from ..runs.run import Run
from ..runs.storage import read_tensors
from . import checkpoint
from .averages import Averages
from .checkpoint import LoopState, contents, to_last_good
from .distributed import World
from .job import Job
from .optimizer import Optimizers
from .parallel import gathered, regather, sharded_writer


class Saver:
    """Write the state of a training loop.

    Args:
        job: What is trained.
        processes: Those that train it.
        optimizers: Their state is saved.
        averages: They are saved, and are the final weights where there are any.
        is_sharded: Every process writes its part, and all must call the same methods.
    """

    def __init__(
        self,
        job: Job,
        processes: World,
        optimizers: Optimizers,
        averages: Averages,
        is_sharded: bool,
    ) -> None:
        self.job, self.processes = job, processes
        self.optimizers, self.averages = optimizers, averages
        self.writer = sharded_writer(job.run, processes) if is_sharded else None
        where = job.settings.checkpoint_address if processes.is_main else None
        self.copier = None if where is None else Copier(Address(where), job.run)

    def save(self, state: LoopState) -> Message | None:
        """Write a checkpoint, and return what to say of it.

        That of a sharded model is only begun: `written` tells when it is whole.
        """
        job = self.job
        if self.writer is None:
            if not self.processes.is_main:
                return None
            saved = checkpoint.save(job, state, self.optimizers, self.averages)
            if self.copier is not None:
                with to_last_good(job):
                    self.copier.begin(saved)
            return _saved(saved)
        regather(job.model)
        keep, best = job.settings.keep_checkpoints, state.best_step

        def then(saved: Checkpoint) -> None:
            job.run.prune_checkpoints(keep, best)
            if self.copier is not None:
                self.copier.copy(saved)

        with to_last_good(job):
            held = contents(job, state, self.optimizers, self.averages)
            self.writer.begin(
                state.step,
                held.tensors,
                held.values,
                then,
            )
        return None

    def written(self, wait: bool = False) -> Message | None:
        """Return what to say of a checkpoint of a sharded model that became whole.

        Args:
            wait: Wait for the one that is being written or copied.

        Raises:
            TrainingError: It could not be written or copied.
        """
        if wait and self.copier is not None:
            with to_last_good(self.job):
                self.copier.wait()
        if self.writer is None:
            return None
        if wait:
            with to_last_good(self.job):
                self.writer.wait()
        found = self.writer.written()
        return None if found is None else _saved(found)

    @property
    def has_failed(self) -> bool:
        """Tell whether a checkpoint could not be written, which `written` will raise."""
        return self.writer is not None and self.writer.problem is not None

    def write_model(self, state: LoopState) -> int:
        """Write model.safetensors: the best validated weights or the last, averaged if wanted.

        Returns:
            The step of the weights.
        """
        job = self.job
        regather(job.model)
        weights = gathered({**weights_of(job.model, job.head), **self.averages.tensors})
        chosen, source = state.step, None
        if (
            self.processes.is_main
            and job.validation.keep == "best"
            and state.best_step is not None
            and state.best_step != state.step
        ):
            best = next(
                (found for found in job.run.checkpoints() if found.step == state.best_step), None
            )
            if best is not None and best.problem() is None:
                chosen, source = best.step, best.weights()
        if self.processes.is_main:
            with to_last_good(job):
                job.run.write_model(merged(weights if source is None else read_tensors(source)))
        return chosen


class Copier:
    """Copy checkpoints to an address, one after the other, beside the training."""

    def __init__(self, address: Address, run: Run) -> None:
        self.address, self.run = address, run
        self._thread: threading.Thread | None = None
        self._problem: Exception | None = None

    def begin(self, checkpoint: Checkpoint) -> None:
        """Copy a checkpoint in a thread, once the one before is copied."""
        self.wait()
        self._thread = threading.Thread(target=self._copy, args=(checkpoint,), daemon=True)
        self._thread.start()

    def copy(self, checkpoint: Checkpoint) -> None:
        """Copy a checkpoint, and remove those there that the run no longer keeps."""
        self.address.put(checkpoint)
        self.address.prune([one.step for one in self.run.checkpoints()])

    def wait(self) -> None:
        """Wait until nothing is being copied. Raise RunError if it failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._problem is not None:
            problem, self._problem = self._problem, None
            raise problem

    def _copy(self, checkpoint: Checkpoint) -> None:
        try:
            self.copy(checkpoint)
        except Exception as problem:
            self._problem = problem


def _saved(found: Checkpoint) -> Message:
    return message("Saved {path}.", path=found.path)
