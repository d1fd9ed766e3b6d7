"""Hold out enough of a small set, and say what is too small and what there is to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...data.formats.columns import LEARNT
from ...data.load import load_split
from ...data.small import few_of_a_class, few_texts, share_for
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
    examples: list[Example],
    records: str,
    divides: bool = True,
    options: Mapping[str, object] | None = None,
) -> tuple[DataTable, list[Example]]:
    """Return the data table with a share to hold out that fits the set, and the training examples.

    Reports what is held out, what is too small, and what a simple model reaches.

    Args:
        request: The task; receives the reports.
        data: The user's files.
        examples: The training examples, as the usual split leaves them.
        records: What they are called.
        divides: False for plain text, whose records are of all lengths: nothing is done.
        options: Those of the task that decide what is learnt.
    """
    if not divides:
        return data, examples
    task = SPECS[request.task].build(options or {})
    by_class = task.needs[-1] in LEARNT
    missing = [part for part in PARTS if getattr(data, part) is None]
    share = share_for(len(examples))
    if missing and (share is not None or by_class):
        data = replace(data, split="stratified", held_out=share)
        examples = load_split(data, "train", None, task.needs)
    if missing and share is not None:
        sizes = {part: len(load_split(data, part, None, task.needs)) for part in missing}
        each = [
            message("{count:,} for {part}", count=count, part=Message(part))
            for part, count in sizes.items()
        ]
        held = each[0]
        if len(each) > 1:
            held = message("{one} and {other}", one=held, other=each[1])
        request.report(
            message(
                "Held out: {held} ({value:g} % of the {records} each: data.held_out). The usual "
                "2.5 % would be too few to measure anything on.",
                held=held,
                value=100 * share,
                records=records,
            )
        )
    _warn(task, data, examples, records, request.report)
    return data, examples


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
    if share_for(len(examples)) is None:
        return
    is_share = task.break_down is not None and task.needs[-1] != "tags"
    parts = {part: load_split(data, part, None, task.needs) for part in PARTS}
    few = few_texts(len(parts["test"]), "test", records, is_share)
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
