"""The loop's memory between steps, saved whole and taken up again, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeGuard, cast, get_args, get_origin, get_type_hints

from ..errors import RunError, TrainingError, brief
from ..runs.checkpoint import AVERAGES, MODEL, OPTIMIZER, Checkpoint, load_weights, weights_of
from ..runs.run import Run
from .averages import Averages
from .job import Job
from .optimizer import Optimizers

STATE_VERSION = 1
MOST = 1 << 53  # from here on not every whole number is a float


@dataclass
class IntervalSums:
    """Sums since the last line of metrics.jsonl."""

    steps: int = 0
    loss: float = 0.0
    norm: float = 0.0
    learning_rate: float = 0.0  # of the last step
    tokens: int = 0
    seconds: float = 0.0
    sums: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(
        self,
        loss: float,
        sums: Mapping[str, tuple[float, int]],
        tokens: int,
        norm: float,
        learning_rate: float,
    ) -> None:
        """Add a step: its loss, the (sum, count) of each loss, and the norm of its gradient."""
        self.steps += 1
        self.loss += loss
        self.norm += norm
        self.learning_rate = learning_rate
        self.tokens += tokens
        for name, (value, count) in sums.items():
            before = self.sums.get(name, [0.0, 0])
            self.sums[name] = [before[0] + value, before[1] + count]

    def means(self) -> dict[str, float]:
        """Return the mean of each loss, the one that is minimised first."""
        others = {
            name: value / max(1, count)
            for name, (value, count) in self.sums.items()
            if name != "loss"
        }
        return {"loss": self.loss / self.steps, **others}


@dataclass
class LoopState:
    """Everything that the loop remembers besides tensors and the order of the data. All of it is
    JSON.
    """

    step: int = 0
    seconds: float = 0.0  # in the loop, over all resumptions
    tokens: int = 0
    epoch: float = 0.0
    fraction: float = 0.0
    token_limit: int | None = None  # what memory held
    validated_step: int = 0
    validated_seconds: float = 0.0
    validated_tenths: int = 0
    saved_step: int = 0
    saved_seconds: float = 0.0
    metric: str | None = None
    best_score: float | None = None
    best_loss: float | None = None  # of the same validation; it decides between equal scores
    best_step: int | None = None
    stale: int = 0  # validations since the best
    stopped_early: bool = False
    metrics_bytes: int = 0
    interval: IntervalSums = field(default_factory=IntervalSums)


def save(job: Job, state: LoopState, optimizers: Optimizers, averages: Averages) -> Checkpoint:
    """checkpoints/step-N, and older ones pruned. Raises TrainingError naming the last good
    checkpoint on a full disk.
    """
    run = job.run
    try:
        state.metrics_bytes = run.metrics_size()
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
        checkpoint = run.write_checkpoint(state.step, tensors, values)
    except (TrainingError, RunError) as error:
        raise TrainingError(f"{error} {last_good(run, job.command)}") from error
    run.prune_checkpoints(job.settings.keep_checkpoints, state.best_step)
    return checkpoint


def restore(job: Job, optimizers: Optimizers, averages: Averages, notices: list[str]) -> LoopState:
    """The state of the newest whole checkpoint; a fresh one where there is none. Torn ones are told
    in `notices`.
    """
    checkpoint = job.run.latest_checkpoint(notices)
    if checkpoint is None:
        job.run.truncate_metrics(0)
        return LoopState()
    values, path = checkpoint.state(), checkpoint.path
    if not _is_table(values):
        raise RunError(
            f"{path / 'state.json'} is not a JSON object: it is damaged. Delete {path} to go on "
            "from the one before it."
        )
    if values.get("version") != STATE_VERSION:
        raise RunError(
            f"{path / 'state.json'} has version {values.get('version')}; this triptych reads "
            f"{STATE_VERSION}."
        )
    for key, wanted in (("optimizer", job.settings.optimizer), ("seed", job.settings.seed)):
        if values.get(key) != wanted:
            raise RunError(
                f"{path} was trained with training.{key} {values.get(key)!r}, not {wanted!r}. "
                "Resume with the run's own value, or train into a new folder."
            )
    load_weights(path / MODEL, checkpoint.tensors(MODEL), job.model, job.head)
    optimizers.load(checkpoint.tensors(OPTIMIZER), str(path / OPTIMIZER))
    averages.load(checkpoint.tensors(AVERAGES))
    try:
        state, position = _recalled(values, checkpoint.step, job, notices)
        job.batches.restore(position)
        job.run.truncate_metrics(state.metrics_bytes)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RunError(
            f"{path / 'state.json'} does not hold the state of a training "
            f"({type(error).__name__}: {brief(error)}): it is damaged, or of another version. "
            f"Delete {path} to go on from the checkpoint before it."
        ) from None
    return state


def _recalled(
    values: dict[str, Any], step: int, job: Job, notices: list[str]
) -> tuple[LoopState, dict[str, Any]]:  # fmt: skip
    """The loop's state and the place in the data; both start anew where the data is not that of the
    checkpoint.
    """
    state, position = _loop_of(values, step), _position_of(values)
    data: dict[str, Any] = dict(values.get("data", {}))
    if data.get("train", now := job.data.get("train")) != now:
        position = {
            **position,
            "epoch": position["epoch"] + 1,
            "shard": 0,
            "buffer": 0,
            "cursor": 0,
        }
        notices.append(
            f"The training data is not that of step {state.step}: a new pass over it begins."
        )
    if data.get("validation", now := job.data.get("validation")) != now:
        state.best_score = state.best_loss = state.best_step = None
        state.stale = 0
        notices.append(
            f"The validation data is not that of step {state.step}: scores from before do not "
            "count."
        )
    return state, position


def _loop_of(values: dict[str, Any], step: int) -> LoopState:
    """Read what the loop remembers. Raise an error of Python's for what it does not."""
    loop: dict[str, Any] = dict(values["loop"])
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
    """Tell whether a value of the loop's memory is of the type of its field, and in its range."""
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


def _is_table(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _position_of(values: dict[str, Any]) -> dict[str, Any]:
    """Read where in the data the training was. Raise an error of Python's for what is no place."""
    position: dict[str, Any] = dict(values["position"])
    for name in ("epoch", "shard", "buffer", "cursor", "number"):
        if type(position[name]) is not int or not 0 <= position[name] < MOST:
            raise ValueError(f"{name} is {brief(repr(position[name]), 60)}")
    return position


def last_good(run: Run, command: str) -> str:
    """The sentence that says from where one can go on."""
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        return "There is no checkpoint yet; start again."
    return f"The last good checkpoint is {checkpoint.path}; go on from it with: {command}"
