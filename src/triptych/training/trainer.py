"""Train any task with any model: one loop that yields progress.

A step adds the gradients of `accumulate` micro-batches, clips, and moves the weights. If the run is
limited in steps, what follows a step (a line of metrics, a validation, a checkpoint) depends only
on its number, so a run that was killed and resumed gives the same bits as one that was not.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import signal
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any, cast

import torch

from ..errors import TrainingError, UsageError
from ..messages import message
from ..model.interface import AnyNetwork
from ..runs.allocator import keep_freed_pages
from ..runs.checkpoint import MODEL, weights_of
from . import checkpoint, wording
from .averages import Averages
from .checkpoint import IntervalSums, LoopState, last_good, to_last_good
from .distributed import World, is_lost, lost, world
from .due import checkpoint_is_due, is_over, line_is_due, validation_is_due
from .guards import Interrupt
from .job import Event, Job, Progress
from .optimizer import Optimizers, clip, gradient_norm
from .parallel import is_sharding, placing, regather, shard_model
from .precision import choose_device, choose_precision
from .refusals import named_weights
from .routers import ExpertLoad
from .saving import Saver
from .schedule import fraction_done, rate
from .settings import better
from .step import Stepper
from .transfer import freeze

__all__ = ["Job", "Progress", "train"]


def train(job: Job) -> Generator[Progress, None, None]:
    """Train to the limit of the settings, early stopping or an interrupt, and yield progress.

    The last event is "finished": model.safetensors is written. Ctrl-C during an update takes effect
    at its end (a validation is aborted, and repeated later): the state is saved, the event
    "interrupted" tells how to resume, and the next step of the iterator raises KeyboardInterrupt.
    SIGTERM does the same and raises SystemExit(143). A second Ctrl-C ends the run at once, with the
    checkpoints that it has. While the iterator is suspended no signal handler is changed; if it is
    closed or interrupted there, the last complete update is saved.

    Raises:
        TrainingError: The loss is NaN, memory is too small for one example, or the disk is full.
        UsageError: The settings cannot train, or another process trains in the folder.
        RunError: A checkpoint does not fit.
    """
    job.settings.check()
    job.validation.check()
    with job.run.alone() if world().is_main else contextlib.nullcontext():
        yield from _guarded(Loop(job, Interrupt()))


def _guarded(loop: Loop) -> Iterator[Progress]:
    """Run the loop with signals held, and save the last update if it ends while suspended."""
    course, interrupt, within = loop.run(), loop.interrupt, False
    interrupt.stays = loop.is_sharded  # no process can save alone
    if threading.current_thread() is threading.main_thread():
        atexit.register(loop.save_alone)  # for a suspended iterator when the program exits
    try:
        while True:
            with interrupt:
                within = True
                progress = next(course, None)
                within = False
            if progress is None:
                break
            # A held interrupt is reported first.
            if not interrupt.asked or progress.event == "interrupted":
                yield progress
    except BaseException as error:
        is_alone = loop.world.size > 1 and is_lost(error)
        # torchrun sends SIGTERM to the others where one has died, so it is no wish of the user.
        if is_alone and interrupt.asked != signal.SIGINT:
            way = last_good(loop.job.run, loop.job.command)
            raise TrainingError("{lost} {way}", lost=lost(), way=way) from error
        if interrupt.asked and loop.world.size > 1 and isinstance(error, RuntimeError):
            interrupt.deliver()  # another process has stopped, so a sum over processes failed
        if not within:
            held = interrupt.asked
            with interrupt:
                loop.save_alone()
            if interrupt.asked != held:
                interrupt.deliver()
        raise
    finally:
        interrupt.restore()  # one may have come while handlers were being installed
        atexit.unregister(loop.save_alone)
    if interrupt.asked:
        interrupt.deliver()


class Loop:
    """Run one training from its start, or from a checkpoint, to its end."""

    def __init__(self, job: Job, interrupt: Interrupt) -> None:
        self.job, self.settings, self.interrupt = job, job.settings, interrupt
        self.world: World = world()
        self.world.refuse_fewer(job.accumulate)
        self.device = choose_device(self.settings.device)
        if self.device.type == "cpu":
            keep_freed_pages()
        model = cast(AnyNetwork, job.model)
        model.precision = choose_precision(self.settings.precision, self.device)
        named = named_weights(job.model, job.head)
        self.frozen = freeze(named, self.settings.frozen)
        self.is_sharded = is_sharding(job.model, named, self.settings, self.world, self.device)
        if self.is_sharded:
            shard_model(job.model, job.head, self.settings, self.world, self.device)
        else:
            job.model.to(self.device)
        job.head.to(self.device)
        self.optimizers = Optimizers(named_weights(job.model, job.head), self.settings)
        self.parameters = self.optimizers.parameters
        self.averages = Averages(self.parameters, self.settings.average)
        self.stepper = Stepper(job, self.world, self.device, self.parameters, self.is_sharded)
        self.saver = Saver(job, self.world, self.optimizers, self.averages, self.is_sharded)
        self.state = LoopState()
        self.started = time.monotonic()
        self.lasting = 0.0  # seconds before this process resumed the run

    # The course of a run --------------------------------------------------------------------------

    def run(self) -> Iterator[Progress]:
        """Do what is due after an update, one thing at a time, then the next update.

        What is due follows from the state alone, so a run that was stopped right after an update
        catches up when it is resumed.
        """
        yield from self._begin()
        while True:
            seconds, self.interrupt.asked, failed = self.world.agree(
                self._seconds(), self.interrupt.asked, self.saver.has_failed
            )
            self.state.seconds = seconds
            self.state.fraction = self._fraction(self.state.step)
            yield from self._written(failed=failed)
            if self.interrupt.asked:
                yield from self._saved()
                yield from self._written(wait=True)
                words = wording.stopped(self.state.step, self.job.command)
                yield self._event("interrupted", message=words)
                return
            yield from self._notices()
            self._log()
            if self.job.validate is not None and validation_is_due(self.state, self.job.validation):
                yield from self._validate()
            elif checkpoint_is_due(self.state, self.settings):
                yield from self._saved()
            elif is_over(self.state):
                break
            else:
                yield self._step()
        yield from self._saved()
        yield from self._written(wait=True)
        yield self._finish()

    def save(self) -> Progress | None:
        """Save the state unless it is saved already; call it between two steps of `run`."""
        state = self.state
        if state.step == 0 or state.saved_step == state.step:
            return None
        state.saved_step, state.saved_seconds = state.step, state.seconds
        state.seconds = self._seconds()
        words = self.saver.save(state)
        return None if words is None else self._event("checkpoint", message=words)

    def save_alone(self) -> None:
        """Save as `save` does and wait for its copy, where no other process is needed for it."""
        if not self.is_sharded:
            self.save()
            self.saver.written(wait=True)

    def _written(self, wait: bool = False, failed: bool = False) -> Iterator[Progress]:
        """Report the sharded checkpoint that became whole since, or fail with its writer."""
        if (words := self.saver.written(wait or failed)) is not None:
            yield self._event("checkpoint", message=words)

    def _saved(self) -> Iterator[Progress]:
        if (saved := self.save()) is not None:
            yield saved

    def _begin(self) -> Iterator[Progress]:
        job = self.job
        notices: list[str] = []
        if job.resume:
            self.state = checkpoint.restore(
                job, self.optimizers, self.averages, notices, self.world, placing(self.is_sharded)
            )
            if self.state.step:
                notices.append(message("Resumed from step {step}.", step=self.state.step))
            patience = job.validation.patience  # it may have changed since the checkpoint
            self.state.stopped_early = patience is not None and self.state.stale >= patience
        elif job.run.latest_checkpoint() is not None:
            raise UsageError(
                "{path} already holds checkpoints. Go on with: {command}; or name "
                "another folder with --out.",
                path=job.run.path,
                command=job.command,
            )
        else:
            if self.world.is_main:
                checkpoint.refuse_held_address(job)
            job.run.truncate_metrics(0)  # left by an attempt that saved nothing
        if self.frozen:
            notices.append(self.frozen)
        if not self.is_sharded:
            self.world.share_weights(weights_of(job.model, job.head).values())
        self.stepper.token_limit = self.state.token_limit
        self.lasting, self.started = self.state.seconds, time.monotonic()
        self.state.fraction = self._fraction(self.state.step)
        self.state.validated_tenths = min(
            self.state.validated_tenths, int(self.state.fraction * 10)
        )
        job.model.train()
        job.head.train()
        for notice in notices:
            yield self._event("notice", message=notice)

    def _step(self) -> Progress:
        began, state = time.monotonic(), self.state
        number = state.step + 1
        pieces = self.job.batches.next_batches(self.job.accumulate)
        gradient = self.stepper.gradient(number, pieces)
        norm = float(gradient_norm(self.parameters.values(), self.world.total))
        if not (math.isfinite(gradient.loss) and math.isfinite(norm)):
            problem = self.stepper.not_finite(number, pieces, gradient, norm)
            raise TrainingError(
                "{problem} {way}", problem=problem, way=last_good(self.job.run, self.job.command)
            )
        clip(self.parameters.values(), norm, self.settings.clip_norm)
        learning_rate = rate(self.settings, number, state.fraction, self._fraction(number))
        self.optimizers.step(learning_rate)
        self.optimizers.forget_gradients()
        self.averages.update(number)
        state.step, state.token_limit = number, self.stepper.token_limit
        state.tokens += gradient.tokens
        state.fraction = self._fraction(number)
        state.epoch = round(float(self.job.batches.epoch), 6)
        state.interval.add(gradient.loss, gradient.sums, gradient.tokens, norm, learning_rate)
        state.interval.add_loads(gradient.loads)
        state.interval.seconds += time.monotonic() - began
        return self._event(
            "step",
            loss=gradient.loss,
            learning_rate=learning_rate,
            gradient_norm=norm,
            tokens=gradient.tokens,
            experts=ExpertLoad.of(gradient.loads).range if gradient.loads else None,
        )

    def _finish(self) -> Progress:
        """Write the final weights."""
        job, state = self.job, self.state
        chosen = self.saver.write_model(state)
        words = wording.finished(state, chosen, job.run.path / MODEL)
        return self._event("finished", tokens=state.tokens, message=words)

    # What follows a step --------------------------------------------------------------------------

    def _log(self) -> None:
        """Write a line of metrics where one is due, over the steps since the last one."""
        state, interval = self.state, self.state.interval
        if not interval.steps or not line_is_due(state.step, self.settings):
            return
        self._write(
            {
                "step": state.step,
                "split": "train",
                **interval.means(),
                **_of_experts(interval.loads),
                "learning_rate": interval.learning_rate,
                "gradient_norm": interval.norm / interval.steps,
                "tokens": state.tokens,
                "epoch": state.epoch,
                "seconds": round(self._seconds(), 3),
                "tokens_per_second": round(interval.tokens / max(1e-9, interval.seconds), 1),
            }
        )
        state.interval = IntervalSums()

    def _validate(self) -> Iterator[Progress]:
        """Score the development data; an interrupt aborts it without a result."""
        job, state = self.job, self.state
        found: dict[str, float] | None = {}
        if self.world.is_main or self.is_sharded:  # shards are gathered by all, or none
            regather(job.model)
            for module in (job.model, job.head):
                module.eval()
            with self.averages.in_place(), torch.no_grad():
                found = self._scores()
                regather(job.model)
            for module in (job.model, job.head):
                module.train()
        if found is None:
            return
        scores: dict[str, float] = self.world.broadcast(found)
        metric = job.validation.metric or next(iter(scores))
        if metric not in scores:
            raise UsageError(
                f"validation.metric '{metric}' is not among the scores of this task: "
                f"{', '.join(scores)}."
            )
        if state.metric != metric:  # a resumed run may have another metric
            state.best_score = state.best_loss = None
        loss = scores.get("loss")
        is_best = better(metric, scores[metric], state.best_score, loss, state.best_loss)
        if is_best:
            state.metric, state.best_score, state.best_loss = metric, scores[metric], loss
            state.best_step, state.stale = state.step, 0
        else:
            state.stale += 1
        state.stopped_early = (
            job.validation.patience is not None and state.stale >= job.validation.patience
        )
        state.validated_step, state.validated_seconds = state.step, state.seconds
        state.validated_tenths = int(state.fraction * 10)
        self._write(
            {
                "step": state.step,
                "split": "validation",
                **scores,
                "best": is_best,
                "epoch": state.epoch,
                "seconds": round(self._seconds(), 3),
            }
        )
        words = wording.validated(state.step, scores, is_best)
        yield self._event("validation", scores=scores, best=is_best, message=words)

    def _scores(self) -> dict[str, float] | None:
        """Return the scores, or None after an interrupt.

        With several processes an interrupt takes effect afterwards: the others wait for the scores,
        or compute them too.
        """
        assert self.job.validate is not None, "the job has no validation"
        self.interrupt.breaks_off = self.world.size == 1
        try:
            return dict(self.job.validate(self.job.model))
        except KeyboardInterrupt:
            if self.world.size > 1:
                raise
            self.interrupt.asked = self.interrupt.asked or signal.SIGINT
            return None
        finally:
            self.interrupt.breaks_off = False

    # Helpers --------------------------------------------------------------------------------------

    def _fraction(self, step: int) -> float:
        """Return the share of the run that is done after `step`, whose micro-batches are drawn."""
        return fraction_done(self.settings, step, self.state.seconds, float(self.job.batches.epoch))

    def _seconds(self) -> float:
        return self.lasting + time.monotonic() - self.started

    def _write(self, record: dict[str, object]) -> None:
        if self.world.is_main:
            with to_last_good(self.job):
                self.job.run.append_metrics(record)

    def _notices(self) -> Iterator[Progress]:
        notices, self.stepper.notices = self.stepper.notices, []
        for notice in notices:
            yield self._event("notice", message=notice)

    def _event(self, event: Event, **more: Any) -> Progress:
        progress = Progress(
            event, self.state.step, self.state.fraction, self._seconds(), self.state.epoch
        )
        return replace(progress, **more)


def _of_experts(loads: dict[str, list[float]]) -> dict[str, object]:
    """Return what a line of metrics says of experts: nothing for a dense model."""
    if not loads:
        return {}
    load = ExpertLoad.of(loads)
    return {"dropped": load.range[2], "experts": load.shares, "experts_dropped": load.dropped}
