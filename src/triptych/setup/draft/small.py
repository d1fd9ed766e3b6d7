"""Hold out enough of a small set, and say what is too small and what there is to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...data.formats.columns import LEARNT
from ...data.load import load_split
from ...data.small import characters_of, few_of_a_class, share_for, share_of_text, too_few
from ...messages import Message, message
from ...tasks.specs import SPECS

if TYPE_CHECKING:
    from ...data.example import Example, Notify
    from ...data.table import DataTable
    from ...tasks.task import Task
    from .request import DraftRequest

MOST_TEXTS = 3_000  # on which a baseline is computed, in a few seconds
PARTS = ("validation", "test")
SPLIT = 'split = "stratified"            # an exact share, and that of every class\n'


def fitted(
    request: DraftRequest,
    data: DataTable,
    examples: Sequence[Example],
    records: str,
    options: Mapping[str, object] | None = None,
) -> tuple[DataTable, Sequence[Example]]:
    """Return the data table with a share to hold out that fits the set, and the training examples.

    Reports what is held out, what is too small, and what a simple model reaches.

    Args:
        request: The task; receives the reports.
        data: The user's files.
        examples: The training examples, as the usual split leaves them.
        records: What they are called.
        options: Those of the task that decide what is learnt.
    """
    task = SPECS[request.task].build(options or {})
    by_class = task.needs[-1] in LEARNT
    own = data.set is not None  # a public set has its own parts
    missing = [part for part in PARTS if getattr(data, part) is None and not own]
    share = _share(task, examples)
    if missing and (share is not None or by_class):
        data = replace(data, split="stratified", held_out=share)
        examples = load_split(data, "train", None, task.needs)
    if missing and share is not None:
        sizes = {part: len(load_split(data, part, None, task.needs)) for part in missing}
        request.report(_held_out(sizes, share, len(examples), records))
    _warn(task, data, examples, records, request.report)
    return data, examples


def _held_out(sizes: Mapping[str, int], share: float, count: int, records: str) -> Message:
    """Say how much is held out for each part; count: the records that are left for training."""
    if not any(sizes.values()):
        return message(
            "Nothing is held out: {count:,} {records} are too few for it, or all the same. Name "
            "other files with --validation FILE and --test FILE.",
            count=count,
            records=records if count > 1 else Message(records.removesuffix("s")),
        )
    each = [
        message("{count:,} for {part}", count=size, part=Message(part))
        for part, size in sizes.items()
    ]
    held = each[0]
    if len(each) > 1:
        held = message("{one} and {other}", one=held, other=each[1])
    return message(
        "Held out: {held} ({value:g} % of the {records} each: data.held_out). The usual "
        "2.5 % would be too few to measure anything on.",
        held=held,
        value=100 * share,
        records=records,
    )


def _share(task: Task, examples: Sequence[Example]) -> float | None:
    """Return the share to hold out for each part; None: the usual one. Texts vary in length."""
    if tuple(task.needs) == ("text",):
        return share_of_text(characters_of(examples))
    return share_for(len(examples))


def split_lines(data: DataTable) -> str:
    """Return the recipe's lines on what is held out, or nothing where it is the usual."""
    share = (
        ""
        if data.held_out is None
        else f"held_out = {data.held_out:<21g}# share of the records kept out, for each part\n"
    )
    return (SPLIT if data.split == "stratified" else "") + share


def _warn(
    task: Task, data: DataTable, examples: Sequence[Example], records: str, report: Notify
) -> None:
    """Report what is too small to learn from or to measure on, and what a simple model reaches.

    The simple model answers the validation part, so that the test is not looked at.
    """
    rare = few_of_a_class(examples)
    if rare:
        report(message("Note: {note}", note=rare))
    if _share(task, examples) is None:
        return
    is_share = task.break_down is not None and task.needs[-1] != "tags"
    parts = {part: load_split(data, part, None, task.needs) for part in PARTS}
    if not any(parts.values()):
        return  # said already
    few = too_few(parts["test"], "test", task.needs, records, is_share)
    if few:
        report(message("Note: {few} If you have more, name them with --test FILE.", few=few))
    _report_baseline(task, examples, parts["validation"], report)


def _report_baseline(
    task: Task, train: Sequence[Example], validation: Sequence[Example], report: Notify
) -> None:
    """Report the main metric of a simple model on the validation part, or how to get one."""
    from ...errors import TriptychError
    from ...inference.baseline import baseline, refuse_without_baseline

    beside = message("triptych evaluate RUN --baseline shows it beside the run.")
    try:
        refuse_without_baseline(task)
        if not validation or len(train) > MOST_TEXTS:
            return
        found = baseline(task, train, validation)
    except TriptychError as reason:
        if "pip install" in str(reason):
            report(
                message(
                    "A linear model can be hard to beat. {beside} {reason}",
                    beside=beside,
                    reason=reason,
                )
            )
        return
    main, value = next(iter(found.scores.values.items()))
    report(
        message(
            "To beat: {main} {value:.2f} on the {count:,} validation examples, which a simple "
            "model reaches ({model}; {seconds:.1f} s). {beside}",
            main=main,
            value=value,
            count=len(validation),
            model=found.model,
            seconds=found.seconds,
            beside=beside,
        )
    )
