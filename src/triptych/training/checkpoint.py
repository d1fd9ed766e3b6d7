"""Save the whole state of the training loop, and restore it bit for bit."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeGuard, cast, get_args, get_origin, get_type_hints

from torch import Tensor

from ..errors import RunError, TrainingError, UsageError, brief
from ..messages import message
from ..runs.address import Address, fetch_newest
from ..runs.checkpoint import AVERAGES, MODEL, OPTIMIZER, Checkpoint, load_weights, weights_of
from ..runs.run import Run
from .averages import Averages
from .distributed import World
from .job import Job
from .local import Place, moved
from .optimizer import Optimizers

STATE_VERSION = 1
State = dict[str, Any]  # JSON of state.json, or of a table in it
ALONE = World()
MOST = 1 << 53  # above it, not every integer is a float


@dataclass
class IntervalSums:
    """Add up the steps since the last line of metrics.jsonl."""

    steps: int = 0
    loss: float = 0.0
    norm: float = 0.0
    learning_rate: float = 0.0  # that of the last step
    tokens: int = 0
    seconds: float = 0.0
    sums: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    # sparse block -> tokens that chose each expert, and how many were dropped
    loads: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(
        self,
        loss: float,
        sums: Mapping[str, tuple[float, int]],
        tokens: int,
        norm: float,
        learning_rate: float,
    ) -> None:
        """Add a step: its loss, the (sum, count) of each named loss, and its gradient's norm."""
        self.steps += 1
        self.loss += loss
        self.norm += norm
        self.learning_rate = learning_rate
        self.tokens += tokens
        for name, (value, count) in sums.items():
            before = self.sums.get(name, [0.0, 0])
            self.sums[name] = [before[0] + value, before[1] + count]

    def add_loads(self, loads: Mapping[str, list[int]]) -> None:
        """Add the tokens of each expert of a step."""
        for name, counts in loads.items():
            before = self.loads.get(name, [0.0] * len(counts))
            self.loads[name] = [old + new for old, new in zip(before, counts, strict=True)]

    def means(self) -> dict[str, float]:
        """Return the mean of each loss, beginning with the one that is minimised."""
        others = {
            name: value / max(1, count)
            for name, (value, count) in self.sums.items()
            if name != "loss"
        }
        return {"loss": self.loss / self.steps, **others}


@dataclass
class LoopState:
    """Hold the state of the loop besides tensors and the order of the data; all of it is JSON."""

    step: int = 0
    seconds: float = 0.0  # in the loop, over all resumptions
    tokens: int = 0
    epoch: float = 0.0
    fraction: float = 0.0
    token_limit: int | None = None  # the largest micro-batch that fits into memory
    validated_step: int = 0
    validated_seconds: float = 0.0
    validated_tenths: int = 0
    saved_step: int = 0
    saved_seconds: float = 0.0
    metric: str | None = None
    best_score: float | None = None
    best_loss: float | None = None  # from the same validation; it decides between equal scores
    best_step: int | None = None
    stale: int = 0  # validations since the best
    stopped_early: bool = False
    metrics_bytes: int = 0
    interval: IntervalSums = field(default_factory=IntervalSums)


@dataclass(frozen=True)
class Saved:
    """Hold what a checkpoint is made of: the loop's values and the tensors of each file."""

    values: State
    tensors: dict[str, dict[str, Tensor]]


def contents(job: Job, state: LoopState, optimizers: Optimizers, averages: Averages) -> Saved:
    """Return the whole state of a training."""
    state.metrics_bytes = job.run.metrics_size()
    values = {
        "version": STATE_VERSION,
        "optimizer": job.settings.optimizer,
        "seed": job.settings.seed,
        "position": job.batches.state(),
        "data": job.data,
        "loop": asdict(state),
    }
    tensors = {MODEL: weights_of(job.model, job.head), OPTIMIZER: optimizers.tensors()}
    if averages.tensors:
        tensors[AVERAGES] = {**tensors[MODEL], **averages.tensors}
    return Saved(values, tensors)


def save(job: Job, state: LoopState, optimizers: Optimizers, averages: Averages) -> Checkpoint:
    """Write checkpoints/step-N and prune older ones.

    Raises:
        TrainingError: It cannot be written, for example because the disk is full; the last good
            checkpoint is named.
    """
    with to_last_good(job):
        saved = contents(job, state, optimizers, averages)
        checkpoint = job.run.write_checkpoint(state.step, saved.tensors, saved.values)
    job.run.prune_checkpoints(job.settings.keep_checkpoints, state.best_step)
    return checkpoint


@contextlib.contextmanager
def to_last_good(job: Job) -> Generator[None]:
    """Add to an error of writing which checkpoint is whole, and how to go on from it."""
    try:
        yield
    except (TrainingError, RunError) as error:
        raise TrainingError(
            "{problem} {way}", problem=error, way=last_good(job.run, job.command)
        ) from error


def restore(
    job: Job,
    optimizers: Optimizers,
    averages: Averages,
    notices: list[str],
    processes: World = ALONE,
    place: Place = moved,
) -> LoopState:
    """Return the state of the newest complete checkpoint, or a fresh one if there is none.

    The first process chooses it and truncates the metrics. Incomplete checkpoints are reported in
    `notices`. `place` cuts whole tensors for a process that holds parts.
    """
    found = _newest(job, notices) if processes.is_main else None
    step = processes.broadcast(None if found is None else found.step)
    if step is None:
        if processes.is_main:
            job.run.truncate_metrics(0)
        return LoopState()
    checkpoint = job.run.checkpoint(step)
    values, path = checkpoint.state(), checkpoint.path
    if not _is_table(values):
        raise RunError(
            "{path} is not a JSON object: it is damaged. Delete {folder} to go on "
            "from the one before it.",
            path=path / "state.json",
            folder=path,
        )
    if values.get("version") != STATE_VERSION:
        raise RunError(
            "{path} has version {version}; this triptych reads {state_version}.",
            path=path / "state.json",
            version=values.get("version"),
            state_version=STATE_VERSION,
        )
    for key, wanted in (("optimizer", job.settings.optimizer), ("seed", job.settings.seed)):
        if values.get(key) != wanted:
            raise RunError(
                "{path} was trained with training.{key} {old!r}, not {wanted!r}. "
                "Resume with the run's own value, or train into a new folder.",
                path=path,
                key=key,
                old=values.get(key),
                wanted=wanted,
            )
    load_weights(path / MODEL, checkpoint.tensors(MODEL), job.model, job.head, place=place)
    optimizers.load(checkpoint.tensors(OPTIMIZER), str(path / OPTIMIZER), place)
    averages.load(checkpoint.tensors(AVERAGES), place)
    try:
        state, position = _restored(values, checkpoint.step, job, notices)
        job.batches.restore(position)
        if processes.is_main:
            job.run.truncate_metrics(state.metrics_bytes)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RunError(
            f"{path / 'state.json'} does not hold the state of a training "
            f"({type(error).__name__}: {brief(error)}): it is damaged, or of another version. "
            f"Delete {path} to go on from the checkpoint before it."
        ) from None
    return state


def _newest(job: Job, notices: list[str]) -> Checkpoint | None:
    """Return the newest whole checkpoint of the run, or of its address if that has a newer one."""
    own, address = job.run.latest_checkpoint(notices), job.settings.checkpoint_address
    if address is None:
        return own
    newest = 0 if own is None else own.step
    return fetch_newest(Address(address), job.run.path, newest, notices) or own


def refuse_held_address(job: Job) -> None:
    """Raise UsageError where a new run would write among the checkpoints of another one."""
    address = job.settings.checkpoint_address
    if address is not None and Address(address).steps():
        raise UsageError(
            "{address} already holds checkpoints. Go on with: {command}; or give another "
            "training.checkpoint_address.",
            address=address,
            command=job.command,
        )


def _restored(
    values: State, step: int, job: Job, notices: list[str]
) -> tuple[LoopState, State]:  # fmt: skip
    """Return the loop's state and the position in the data.

    Where the data has changed since the checkpoint, the position or the best score starts anew.
    """
    state, position = _loop_of(values, step), _position_of(values)
    data: dict[str, object] = dict(values.get("data", {}))
    if data.get("train", now := job.data.get("train")) != now:
        position = {
            **position,
            "epoch": position["epoch"] + 1,
            "shard": 0,
            "buffer": 0,
            "cursor": 0,
        }
        notices.append(
            message(
                "The training data has changed since step {step}: a new pass over it begins.",
                step=state.step,
            )
        )
    if data.get("validation", now := job.data.get("validation")) != now:
        state.best_score = state.best_loss = state.best_step = None
        state.stale = 0
        notices.append(
            message(
                "The validation data has changed since step {step}: earlier scores do not count.",
                step=state.step,
            )
        )
    return state, position


def _loop_of(values: State, step: int) -> LoopState:
    """Read the loop's state; raise a TypeError, KeyError or ValueError if it is damaged."""
    loop: State = dict(values["loop"])
    loop["interval"] = interval = IntervalSums(**loop["interval"])
    state = LoopState(**loop)
    for held in (state, interval):
        for name, wanted in get_type_hints(type(held)).items():
            if not _fits(value := getattr(held, name), wanted):
                raise ValueError(f"{name} is {brief(repr(value), 60)}")
    if state.step != step or max(state.saved_step, state.validated_step) > step:
        raise ValueError(f"its steps are not those of step {step}")
    if not math.isfinite(state.seconds + state.epoch + state.fraction):
        raise ValueError("its clock is not a number")
    return state


def _fits(value: object, wanted: object) -> bool:
    """Tell whether a value has the type of its field and is in range."""
    parts = get_args(wanted) or (wanted,)
    if get_origin(wanted) is dict:
        return _is_table(value) and all(_are_floats(one) for one in value.values())
    if value is None or isinstance(value, (bool, str, IntervalSums)):
        return type(value) in parts
    if isinstance(value, int):
        return bool({int, float}.intersection(parts)) and 0 <= value < MOST
    return isinstance(value, float) and float in parts


def _are_floats(value: object) -> bool:
    return isinstance(value, list) and all(_fits(one, float) for one in cast("list[object]", value))


def _is_table(value: object) -> TypeGuard[State]:
    return isinstance(value, dict)


def _position_of(values: State) -> State:
    """Read the position in the data; raise a KeyError or ValueError if it is damaged."""
    position: State = dict(values["position"])
    for name in ("epoch", "shard", "buffer", "cursor", "number"):
        if type(position[name]) is not int or not 0 <= position[name] < MOST:
            raise ValueError(f"{name} is {brief(repr(position[name]), 60)}")
    return position


def last_good(run: Run, command: str) -> str:
    """Return a sentence that names the last good checkpoint and the command to resume."""
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        return message("There is no checkpoint yet; start again.")
    return message(
        "The last good checkpoint is {path}; go on from it with: {command}",
        path=checkpoint.path,
        command=command,
    )
