"""Turn a request into the text of a recipe, by the kind of files that the task learns from."""

from __future__ import annotations

from pathlib import Path

from ...data.formats.lines import refuse_nothing
from ...data.hub.repository import is_reference
from ...errors import UsageError, unknown
from ...tasks import classification, transcription, translation
from ...tasks.specs import SPECS
from . import clips, labelled, others, pairs
from .exportable import noted, refuse_without_class
from .public_set import table_of
from .request import DraftRequest
from .start import offer

TASKS = (
    translation.SPEC.name,
    classification.SPEC.name,
    *others.PLANS,
    transcription.SPEC.name,
)


def is_of_pairs(task: str) -> bool:
    """Tell whether a task learns from two sides."""
    return task == translation.SPEC.name


def refuse_unknown(task: str) -> None:
    """Raise UsageError for a task whose recipe is not drafted here."""
    if task in SPECS and task not in TASKS:
        raise UsageError(
            "triptych init drafts recipes for {names}. For {task} start from a packaged recipe.",
            names=", ".join(TASKS),
            task=task,
        )
    if task not in TASKS:
        raise unknown("task", task, TASKS)


def draft(request: DraftRequest, columns_given: str | None = None) -> str:
    """Return the text of a recipe for a user's files.

    Args:
        request: The task and the files.
        columns_given: The flag --columns as it was written, for the command that is suggested.

    Raises:
        DataError: Training on the files would fail; the text names file and line.
        UsageError: The columns are in doubt, the run to start from does not fit, or no class of
            the library transformers computes what should be exportable.
    """
    names = [name for names in request.others.values() for name in names]
    others = [Path(name) for name in names if not is_reference(name)]
    of_set = not is_of_pairs(request.task) and table_of(request) is not None
    given = None if of_set else request.train
    for path in (given, request.target, *others):
        if path is not None:
            refuse_nothing(path)
    if request.exportable:
        refuse_without_class(request.task)
    return noted(_drafted(request, columns_given), request)


def _drafted(request: DraftRequest, columns_given: str | None) -> str:
    if is_of_pairs(request.task):
        return pairs.recipe_text(request)
    if request.start is None:
        given = [] if columns_given is None else ["--columns", columns_given]
        offer(
            request.task,
            request.train,
            [
                "init",
                request.task,
                "--train",
                request.reference or request.train,
                *given,
                "--out",
                request.out,
            ],
            request.report,
        )
    if request.task == classification.SPEC.name:
        return labelled.recipe_text(request)
    if request.task == transcription.SPEC.name:
        return clips.recipe_text(request)
    return others.recipe_text(request)
