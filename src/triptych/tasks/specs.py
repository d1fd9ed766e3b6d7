"""List every task in one typed table.

This module imports no torch: the module of a task imports it where a model is computed.
"""

from __future__ import annotations

from collections.abc import Mapping

from .. import own_code
from ..errors import UsageError, unknown
from . import (
    chat,
    classification,
    embedding,
    generative_answering,
    language_modelling,
    masked_words,
    parsing,
    preference,
    question_answering,
    question_generation,
    span_corruption,
    summarization,
    tagging,
    text_to_text,
    transcription,
    translation,
)
from .task import Task, TaskSpec, Verb

SPECS: dict[str, TaskSpec] = {
    one.SPEC.name: one.SPEC
    for one in (
        translation,
        transcription,
        embedding,
        classification,
        parsing,
        question_answering,
        masked_words,
        tagging,
        language_modelling,
        chat,
        preference,
        summarization,
        question_generation,
        generative_answering,
        text_to_text,
        span_corruption,
    )
}


def known() -> dict[str, TaskSpec]:
    """Return the tasks of the table, and those of the user's own file if one is given.

    Raises UsageError if that file gives a task the name of another.
    """
    code = own_code.current()
    if code is None or not code.tasks:
        return SPECS
    taken = sorted(SPECS.keys() & code.tasks.keys())
    if taken:
        raise UsageError(
            f"--code {code.path}: a task is called {taken[0]!r}, as one of triptych. Rename it."
        )
    return SPECS | dict(code.tasks)


def unknown_task(name: str) -> UsageError:
    """Return the error for a task that is neither of the table nor of the user's own file."""
    found = unknown("task", name, known())
    return UsageError(f"{found} A task of your own needs its file on this call: --code FILE.py")


def build_task(name: str, options: Mapping[str, object]) -> Task:
    """Build a known task. Raise UsageError for invalid options."""
    if name not in SPECS and (code := own_code.current()) is not None:
        code.used = True
    return known()[name].build(options)


def with_verb(verb: Verb) -> list[TaskSpec]:
    """Return the tasks that a command runs by name."""
    return [one for one in known().values() if verb in one.verbs]
