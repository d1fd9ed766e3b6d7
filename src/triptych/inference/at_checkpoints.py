"""Answer with the checkpoints of a run, to follow one of its heads through the training."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..data.example import Example
from ..data.load import evenly_spaced
from ..errors import UsageError
from ..messages import message
from ..model.build import build, without_draws
from ..model.lora import merged
from ..runs.checkpoint import load_weights
from ..runs.storage import read_tensors
from .aiming import Aimed, aimed_again
from .evaluation import loss_sums, means

if TYPE_CHECKING:
    from ..inspection.at_checkpoints import AtCheckpoints
    from ..inspection.sites import Site
    from .predictor import Predictor

MOST_CHECKPOINTS = 12


def at_checkpoints(
    predictor: Predictor,
    example: Example,
    found: Aimed,
    sites: Sequence[Site],
    *,
    token: int | None = None,
    development: Sequence[Example] = (),
    done: Callable[[float], object] | None = None,
) -> list[AtCheckpoints]:
    """Return what parts of a model do at each kept checkpoint, for the answer of its own weights.

    Args:
        predictor: A loaded run.
        example: The text.
        found: The answer, which every checkpoint is asked about.
        sites: The parts to follow.
        token: As in `Interventions`.
        development: Sentences whose loss is measured with and without each part.
        done: Called with 1 after each checkpoint.

    Raises:
        UsageError: The run keeps no checkpoints.
        RunError: One cannot be read.
    """
    from ..inspection.at_checkpoints import AtCheckpoints, AtStep, head_attention, without
    from ..inspection.interventions import ablated

    steps: dict[Site, list[AtStep]] = {site: [] for site in sites}
    for step, one in _loaded(predictor):
        probe = found.probe if one is predictor else aimed_again(one, example, found, token)
        loss = _loss(one, development) if development else None
        for site in sites:
            score, change = without(probe, site)
            at = AtStep(step, score, change, head_attention(one.model, site, probe.inputs), loss)
            if loss is not None:
                with ablated(one.model, [site]):
                    at = dataclasses.replace(at, loss_change=_loss(one, development) - loss)
            steps[site].append(at)
        if done is not None:
            done(1)
    return [AtCheckpoints(site, each, len(development)) for site, each in steps.items()]


def count_of(predictor: Predictor) -> int:
    """Return how many checkpoints are read, the run's own weights included."""
    kept = [] if predictor.run is None else predictor.run.checkpoints()
    return min(len(kept), MOST_CHECKPOINTS) + 1


def _loaded(predictor: Predictor) -> Iterator[tuple[int | None, Predictor]]:
    """Yield each checkpoint as a run of its own, oldest first, then the run itself."""
    kept = [] if predictor.run is None else predictor.run.checkpoints()
    if not kept:
        raise UsageError(
            message(
                "This run keeps no checkpoints, so no head can be followed through its training. "
                "Train with training.keep_checkpoints."
            )
        )
    with without_draws():
        model = build(predictor.model.config).eval()
        head = copy.deepcopy(predictor.head).float()
    for checkpoint in evenly_spaced(kept, MOST_CHECKPOINTS):
        path = checkpoint.weights()
        load_weights(path, merged(read_tensors(path)), model, head)
        model, head = model.to(predictor.device), head.to(predictor.device)
        yield checkpoint.step, dataclasses.replace(predictor, model=model, head=head)
    yield None, predictor


def _loss(predictor: Predictor, examples: Sequence[Example]) -> float:
    """Return the loss in nats, not smoothed, mean over the tokens of development sentences."""
    found = means(loss_sums(predictor, examples))
    return found.get("nll", next(iter(found.values())))
