"""Save checkpoints and the final weights of a training, whole or sharded over processes."""

from __future__ import annotations

from ..messages import Message, message
from ..model.lora import merged
from ..runs.checkpoint import weights_of
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

    def save(self, state: LoopState) -> Message | None:
        """Write a checkpoint, and return what to say of it.

        That of a sharded model is only begun: `written` tells when it is whole.
        """
        job = self.job
        if self.writer is None:
            if not self.processes.is_main:
                return None
            saved = checkpoint.save(job, state, self.optimizers, self.averages)
            return _saved(saved)
        regather(job.model)
        keep, best = job.settings.keep_checkpoints, state.best_step
        with to_last_good(job):
            held = contents(job, state, self.optimizers, self.averages)
            self.writer.begin(
                state.step,
                held.tensors,
                held.values,
                lambda _: job.run.prune_checkpoints(keep, best),
            )
        return None

    def written(self, wait: bool = False) -> Message | None:
        """Return what to say of a checkpoint of a sharded model that became whole.

        Args:
            wait: Wait for the one that is being written.

        Raises:
            TrainingError: It could not be written.
        """
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


def _saved(found: checkpoint.Checkpoint) -> Message:
    return message("Saved {path}.", path=found.path)
