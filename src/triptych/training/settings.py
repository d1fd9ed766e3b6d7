"""Settings of training: the recipe's tables `batches`, `training` and `validation`.

This module imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from ..checking import (
    LARGEST,
    Count,
    Note,
    NotNegative,
    Positive,
    Probability,
    Share,
    check_instance,
)

Schedule = Literal["inverse_square_root", "trapezoid", "linear", "cosine", "constant"]

# Scores of which less is better; of every other, more is.
LOWER_IS_BETTER = frozenset(
    {"loss", "perplexity", "bits_per_byte", "wer", "cer", "ser", "ser_toneless"}
)


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """Set how much data one step takes."""

    batch_tokens: Count = 4096  # source and target tokens of one micro-batch, without padding
    batch_examples: Count | None = None  # the most examples in a micro-batch
    # micro-batches in a step, over all processes
    accumulate: Count = 1
    buffer: Count = 100_000  # examples that are sorted by length together
    # probability of skipping a merge of the tokenizer (Provilkov et al. 2020); 0.1 for small sets
    bpe_dropout: Probability = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Set the training loop.

    A run ends at `steps`, `epochs` or `minutes`, whichever comes first; one of them must be given.
    """

    steps: Count | None = None  # optimizer steps
    # time in the loop, validation and checkpoints included, over all resumptions
    minutes: Positive | None = None
    # passes over the training data; the run ends with the step that completes the last one
    epochs: Positive | None = None
    # seed of initial weights, order of the data, dropout and masks
    seed: Annotated[int, Ge(0), Le(LARGEST)] = 1
    # muon: for the matrices inside blocks, and adamw for the rest
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: Positive = 1e-3  # the peak of the schedule
    # how the rate falls after its peak; trapezoid: constant, then linear
    schedule: Schedule = "inverse_square_root"
    warmup_steps: Annotated[int, Ge(0)] = 400  # steps over which the rate rises from 0 to its peak
    # the same as a share of the run, say 0.1, in place of warmup_steps
    warmup_share: Probability | None = None
    decay_start: Share = 0.4  # trapezoid: the share of the run after which the rate falls
    # linear, cosine, trapezoid: where the rate ends, as a share of the peak
    final_rate: Share = 0.02
    # decoupled decay of matrices (Loshchilov & Hutter 2019); embeddings, norms and biases have none
    weight_decay: NotNegative = 0.01
    beta1: Probability = 0.9  # Adam: decay of the mean of gradients (Kingma & Ba 2015)
    beta2: Probability = 0.98  # Adam: decay of the mean of squares, as in 2017, section 5.3
    epsilon: NotNegative = 1e-9  # Adam, as in 2017, section 5.3
    muon_momentum: Probability = 0.95  # decay of Muon's momentum
    # parts that are not trained, by name: "embedding", "encoder.blocks.0"
    freeze: str | list[str] | None = None
    # factor of the learning rate for each layer below the top (Howard & Ruder 2018; Clark et al.
    # 2020: 0.8)
    layer_decay: Annotated[float, Gt(0), Le(1), Note("1: all layers alike")] = 1.0
    # the head's learning rate as a multiple of the top layer's
    head_rate: Positive = 1.0
    # a run of the same task to distill (Sanh et al. 2019)
    teacher: str | None = None
    # temperature of the teacher's and the student's probabilities (Hinton et al. 2015)
    distill_temperature: Positive = 2.0
    # weight of the teacher's answers; the task's own loss has weight 1 (5 to 2 in DistilBERT)
    distill_weight: NotNegative = 2.5
    # weight of the cosine loss to the teacher's last states (1 to 2 in DistilBERT); 0: none
    cosine_weight: NotNegative = 0.5
    # sparse models: weight of each sparse block's balance loss; not given: 0.01 (Fedus et al. 2021,
    # section 2.2)
    balance_weight: NotNegative | None = None
    # sparse models: weight of each router's z-loss; not given: 0.001 (Zoph et al. 2022, section
    # 3.2)
    router_z_weight: NotNegative | None = None
    clip_norm: Positive | None = 1.0  # the largest norm of the gradient of one step
    # decay per step of averaged weights, e.g. 0.999, which are then validated and kept; 0: none
    average: Probability = 0.0
    # precision of activations; auto: bfloat16 if the processor supports it
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU if there is one
    # several processes (torchrun): ddp gives each the whole model, fsdp a share of its weights,
    # gradients and optimizer; auto: fsdp where they do not fit the device
    parallel: Literal["auto", "ddp", "fsdp"] = "auto"
    # fsdp: precision of the weights that processes send each other
    fsdp_precision: Literal["float32", "bfloat16"] = "float32"
    # fsdp: keep each process's share in the main memory instead of the GPU
    fsdp_offload: bool = False
    # steps between two lines of the log and of metrics.jsonl; not given: 50, and metrics.jsonl has
    # more lines at the beginning, so that any run of 50 steps or more has at least 50
    log_every_steps: Count | None = None
    # steps between two checkpoints; neither given: every 5 minutes
    checkpoint_every_steps: Count | None = None
    checkpoint_every_minutes: Positive | None = None  # minutes of training between two checkpoints
    keep_checkpoints: Count = 3  # how many of the last checkpoints to keep, besides the best
    # where checkpoints are copied to as well: a path or an address of fsspec, say s3://bucket/mine;
    # --resume fetches a newer one from there
    checkpoint_address: str | None = None

    def check(self) -> None:
        """Raise UsageError for values that cannot train."""
        check_instance(self, "training")

    def contradictions(self, table: str) -> Iterator[str]:
        """Yield a sentence for each missing limit or contradiction."""
        if self.steps is None and self.minutes is None and self.epochs is None:
            yield (
                f"Training needs an end: give {table}.steps (for example 2000), {table}.epochs "
                f"(for example 3) or {table}.minutes (for example 20)."
            )
        if self.warmup_share is not None and self.schedule == "inverse_square_root":
            yield (
                f"{table}.schedule 'inverse_square_root' falls from the step where warm-up ends, "
                f"so it needs {table}.warmup_steps. Leave out {table}.warmup_share, or take "
                "another schedule (linear, cosine, trapezoid, constant)."
            )
        if self.teacher is not None and not self.distill_weight + self.cosine_weight > 0:
            yield (
                f"{table}.teacher is set, but {table}.distill_weight and {table}.cosine_weight are "
                "both 0. Raise one, or remove the teacher."
            )

    @property
    def frozen(self) -> list[str]:
        """Return the parts named by `freeze`."""
        return [self.freeze] if isinstance(self.freeze, str) else list(self.freeze or [])


@dataclass(frozen=True, kw_only=True)
class ValidationSettings:
    """Set when the development data is scored, and what follows from the score."""

    # steps between two validations; neither given: every tenth of the run
    every_steps: Count | None = None
    every_minutes: Positive | None = None  # minutes of training between two validations
    # the score that decides which weights are best; None: the task's main one
    metric: str | None = None
    # stop after this many validations without improvement; None: never
    patience: Count | None = None
    keep: Literal["best", "last"] = "best"  # which weights the finished run keeps
    examples: Count | None = None  # validate on this many, evenly spaced; None: on all

    def check(self) -> None:
        """Raise UsageError for invalid values."""
        check_instance(self, "validation")


def better(
    metric: str,
    score: float,
    best: float | None,
    loss: float | None = None,
    best_loss: float | None = None,
) -> bool:
    """Tell whether `score` of `metric` beats `best`, or equals it with a `loss` below `best_loss`.

    Without the second rule the first of many equal scores would win: while BLEU is still 0, that
    is the weights that learnt least. NaN beats nothing, and every number beats NaN. An unknown loss
    (None) decides nothing.
    """
    if math.isnan(score):
        return False
    if best is None or math.isnan(best):
        return True
    if score != best:
        return score < best if metric in LOWER_IS_BETTER else score > best
    if loss is None or best_loss is None or math.isnan(loss):
        return False
    return math.isnan(best_loss) or loss < best_loss
