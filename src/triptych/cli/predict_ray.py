"""Answer the blocks of a file with actors of Ray Data, each of which loads the run once.

Every machine reaches the run, the input and the folder of parts by the same paths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..messages import message
from ..runs.run import Run
from .answering import Answers, Asked, answer_block
from .console import Counting

if TYPE_CHECKING:
    from ..inference.parts import Parts
    from ..inference.shares import LineFile


class BlockAnswerer:
    """Answer blocks in a process of Ray: it writes their parts and returns how long they are."""

    def __init__(self, asked: Asked, lines: LineFile, parts: Parts) -> None:
        import torch

        torch.set_num_threads(1)  # Ray gives an actor one core
        self.answers, self.lines, self.parts = Answers(asked), lines, parts
        self.counting = Counting(None, "", quiet=True)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for block in batch["block"]:
            answer_block(self.answers, self.lines, self.parts, int(block), self.counting)
        return batch


def refuse_without_ray() -> None:
    """Raise UsageError where Ray Data is not installed."""
    try:
        import ray.data  # noqa: F401  # type: ignore[import-not-found]
    except ImportError:
        raise UsageError(
            message('--ray needs Ray Data. Install it: pip install "triptych[ray]"')
        ) from None


def answer_by_ray(
    asked: Asked, lines: LineFile, parts: Parts, pending: Sequence[int], actors: int
) -> None:
    """Answer blocks with `actors` processes of a cluster, or of this machine.

    RAY_ADDRESS names the cluster; without it Ray starts on this machine. With a GPU each actor
    has one.
    """
    import ray  # type: ignore[import-not-found]
    import torch
    from ray.data import (  # type: ignore[import-not-found]
        ActorPoolStrategy,
        DataContext,
        from_items,
    )

    ray.init(ignore_reinit_error=True, log_to_driver=True)
    DataContext.get_current().enable_progress_bars = False
    asked = dataclasses.replace(asked, run=str(Run.open(asked.run).path.absolute()))
    lines = dataclasses.replace(lines, path=lines.path.absolute())
    parts = type(parts)(parts.folder.absolute(), parts.manifest)
    gpus, most = int(torch.cuda.is_available()), min(actors, len(pending))
    # A pool that must have more actors than fit would wait for ever; a cluster may still grow.
    fit = int(ray.cluster_resources().get("GPU" if gpus else "CPU", 1))
    blocks = from_items([{"block": block} for block in pending], override_num_blocks=len(pending))
    answered = blocks.map_batches(
        BlockAnswerer,
        fn_constructor_kwargs={"asked": asked, "lines": lines, "parts": parts},
        batch_size=1,
        compute=ActorPoolStrategy(min_size=max(1, min(most, fit)), max_size=most),
        num_gpus=gpus,
    )
    try:
        with Counting(sum(map(lines.length, pending)), message("texts")) as counting:
            for row in answered.iter_rows():
                counting.add(lines.length(int(row["block"])))
    finally:
        ray.shutdown()
