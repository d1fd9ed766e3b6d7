"""Choose what to draw of what runs have logged: a panel for each value, a line for each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import RunError, unknown
from ..messages import listed, message
from ..runs.curves import SPLITS, Axis, History, Point

TRAINING = ("learning_rate", "tokens_per_second")  # drawn below the scores
PLACES = ("step", "tokens", "seconds", "epoch")  # say where a line belongs, not how well it went
LOGARITHMIC = ("loss", "nll", "perplexity", "learning_rate", "gradient_norm")
MANY = 6  # scores; of more, the parts of others are left out
MOST_POINTS = 600  # of one line; a longer one is thinned


@dataclass(frozen=True)
class Series:
    """Hold one line of a panel.

    Args:
        run: Place of the run among those that are compared.
        split: "train" or "validation".
        points: (x, y) by rising x.
    """

    run: int
    split: str
    points: list[Point]


@dataclass(frozen=True)
class Panel:
    """Hold the lines of one value.

    Args:
        key: Its name in metrics.jsonl.
        series: Training before validation, in the order of the runs.
        log: The vertical axis is logarithmic.
    """

    key: str
    series: list[Series]
    log: bool


@dataclass(frozen=True)
class Curves:
    """Hold everything that one picture shows.

    Args:
        names: Of the runs.
        axis: What the horizontal axis measures.
        panels: In the order in which they are drawn.
    """

    names: list[str]
    axis: Axis
    panels: list[Panel]

    @property
    def splits(self) -> list[str]:
        """Return the splits that have a line somewhere."""
        found = {one.split for panel in self.panels for one in panel.series}
        return [split for split in SPLITS if split in found]


def curves_of(
    histories: Sequence[History],
    axis: Axis,
    log: bool,
    keys: Sequence[str] | None,
    tell: Callable[[str], None],
) -> Curves:
    """Return the panels of several runs.

    Args:
        histories: What the runs have logged.
        axis: What the horizontal axis measures.
        log: Draw losses, perplexity and rates on a logarithmic axis.
        keys: The values to draw; None: losses, scores, learning rate and speed.
        tell: Receives sentences about what is not drawn.

    Raises:
        UsageError: A key is not in any of the histories.
        RunError: No line has a place on the axis.
    """
    known = [key for one in histories for key in one.values() if key not in PLACES]
    for key in keys or ():
        if key not in known:
            raise unknown("metric", key, set(known))
    wanted = list(dict.fromkeys(keys)) if keys else _usual(histories, tell)
    panels: list[Panel] = []
    for key in wanted:
        series = [
            Series(place, split, one.points(split, key, axis))
            for split in SPLITS
            for place, one in enumerate(histories)
        ]
        panel = _panel(key, series, log and key in LOGARITHMIC)
        panels += [] if panel is None else [panel]
        _tell_infinite(histories, key, tell)
    if not panels:
        raise _nothing_to_draw(histories, axis, wanted)
    drawn = {one.run for panel in panels for one in panel.series}
    for place, one in enumerate(histories):
        if place not in drawn:
            tell(
                message(
                    "{name} has nothing that can be drawn by {axis} and is left out.",
                    name=one.name,
                    axis=axis,
                )
            )
    return Curves([one.name for one in histories], axis, panels)


def _nothing_to_draw(histories: Sequence[History], axis: Axis, keys: Sequence[str]) -> RunError:
    """Return the error for curves without a point: no place on the axis, or no finite value."""
    is_placed = any(
        one.points(split, key, "step") for one in histories for split in SPLITS for key in keys
    )
    if is_placed and axis != "step":
        return RunError("No line of these runs has a place by {axis}. Use --x step.", axis=axis)
    return RunError(
        "There is nothing to draw: {names} has no finite value in these runs. A loss that is nan "
        "or inf means that the training failed; a smaller training.learning_rate or "
        "training.precision float32 may help.",
        names=listed(keys),
    )


def _usual(histories: Sequence[History], tell: Callable[[str], None]) -> list[str]:
    """Return the values that are drawn if none are named."""
    scores = list(
        dict.fromkeys(
            key
            for one in histories
            for key in one.values("validation")
            if key not in (*PLACES, "loss")
        )
    )
    if len(scores) > MANY:
        parts = [one for one in scores if any(one.startswith(f"{whole}_") for whole in scores)]
        scores = [one for one in scores if one not in parts]
        if parts:
            tell(
                message(
                    "Not drawn: {names}. Name what to draw with --metrics.", names=listed(parts)
                )
            )
    return ["loss", *scores, *TRAINING]


def _panel(key: str, series: Sequence[Series], log: bool) -> Panel | None:
    """Return the panel of lines, without those that have no point; None if no line is left."""
    log = log and any(y > 0 for one in series for _, y in one.points)
    kept = [
        Series(one.run, one.split, thinned([pair for pair in one.points if pair[1] > 0 or not log]))
        for one in series
    ]
    kept = [one for one in kept if one.points]
    return Panel(key, kept, log) if kept else None


def thinned(points: list[Point], most: int = MOST_POINTS) -> list[Point]:
    """Return about `most` of the points: the lowest and the highest of each part, and the ends."""
    if len(points) <= most:
        return points
    parts = most // 2
    kept = {0, len(points) - 1}
    for part in range(parts):
        places = range(part * len(points) // parts, (part + 1) * len(points) // parts)
        kept.add(min(places, key=lambda place: points[place][1]))
        kept.add(max(places, key=lambda place: points[place][1]))
    return [points[place] for place in sorted(kept)]


def _tell_infinite(histories: Sequence[History], key: str, tell: Callable[[str], None]) -> None:
    for one in histories:
        count = sum(one.infinite(split, key) for split in SPLITS)
        if count:
            given = {"name": one.name, "count": count, "key": key}
            tell(
                message("{name}: a value of {key} is not finite and is left out.", **given)
                if count == 1
                else message(
                    "{name}: {count:,} values of {key} are not finite and are left out.", **given
                )
            )
