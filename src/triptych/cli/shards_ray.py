"""Cut texts into tokens with actors of Ray, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

from ..data.batches.cutting import Crew, Cut, Cutter, Submit
from ..data.tokenizers.loading import from_json
from ..errors import DataError, UsageError
from ..messages import message
from .predict_ray import refuse_without_ray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESTARTS = 3  # of an actor that dies, which is given its texts again


class CuttingActor:
    """Cut texts in a process of Ray, which holds the tokenizer."""

    def __init__(self, tokenizer: str, shares: Mapping[str, float], missing: Sequence[str]) -> None:
        self.cutter = Cutter(from_json(tokenizer), shares, missing)

    def cut(self, texts: list[tuple[str, bool, bool]]) -> Cut:
        return self.cutter.cut(texts)


class RayCrew(Crew):
    """Cut texts in actors of Ray, in turn."""

    @contextmanager
    def begin(self, cutter: Cutter) -> Iterator[Submit]:
        """See `Crew.begin`."""
        import ray  # type: ignore[import-not-found]

        ray.init(ignore_reinit_error=True, log_to_driver=False)
        actor: Any = ray.remote(max_restarts=RESTARTS, max_task_retries=RESTARTS)(CuttingActor)
        given = cutter.tokenizer.to_json(), dict(cutter.shares), list(cutter.missing)
        actors = cycle([actor.remote(*given) for _ in range(self.size)])
        try:
            yield lambda texts: partial(ray.get, next(actors).cut.remote(texts))
        except ray.exceptions.RayActorError as problem:
            raise DataError(
                "An actor of Ray that cuts texts into tokens ended {times} times ({problem}). Run "
                "the same command again, which goes on from the last whole shard, with fewer "
                "--ray.",
                times=RESTARTS + 1,
                problem=str(problem).splitlines()[0],
            ) from None
        finally:
            ray.shutdown()


def crew_of(processes: int | None, ray: int | None) -> Crew:
    """Return who cuts. Raises UsageError for numbers below 1, both flags, or Ray missing."""
    for flag, number in (("--processes", processes), ("--ray", ray)):
        if number is not None and number < 1:
            raise UsageError("{flag} is {number}; it must be at least 1.", flag=flag, number=number)
    if ray is None:
        return Crew(processes or 1)
    if processes is not None:
        raise UsageError(
            message("--ray takes actors of Ray in place of --processes: give one of the two.")
        )
    refuse_without_ray()
    return RayCrew(ray)
