"""List every task in one typed table.

This module imports no torch: the module of a task imports it where a model is computed.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    translation,
)
from .task import Task, TaskSpec, Verb

SPECS: dict[str, TaskSpec] = {
    one.SPEC.name: one.SPEC
    for one in (
        translation,
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


def build_task(name: str, options: Mapping[str, object]) -> Task:
    """Build a task of the table. Raise UsageError for invalid options."""
    return SPECS[name].build(options)


def with_verb(verb: Verb) -> list[TaskSpec]:
    """Return the tasks that a command runs by name."""
    return [one for one in SPECS.values() if verb in one.verbs]
