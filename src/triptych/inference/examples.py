"""Turn the user's input into an Example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.example import FIELDS, Example, not_texts
from ..data.formats.messages import messages_of, tools_of
from ..errors import UsageError, unknown
from ..tasks.task import Task

OPTIONAL_INPUTS = ("source_language", "target_language", "words", "suffix", "tools", "start", "end")


def example_of(
    task: Task, given: str | Mapping[str, object], place: str = "", to: str | None = None
) -> Example:
    """Return the Example that a task answers.

    Args:
        task: The task that answers.
        given: A text is the task's first input; a mapping names several.
        place: Where the input comes from, for errors.
        to: A target language, or one of the data's tasks.

    Raises:
        UsageError: A field is missing, is not a text, or is not read by the task.
    """
    wanted = [name for name in task.needs if FIELDS[name].role == "input"]
    values: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {task.input: given}
    if "messages" in values and "messages" in wanted:
        values["messages"] = messages_of(values["messages"], place or "An example", tools=True)
        if values.get("tools") is not None:
            values["tools"] = tools_of(values["tools"], place or "An example")
    for name in values:
        if (
            name not in (*wanted, *OPTIONAL_INPUTS)
            or (name == "suffix" and not task.spec.continues)
            or (name == "tools" and "messages" not in wanted)
        ):
            raise unknown(
                "input",
                name,
                wanted,
                f"of a run for {task.name}" + (f", in {place}" if place else ""),
            )
    missing = [name for name in wanted if name not in values and name not in OPTIONAL_INPUTS]
    if missing:
        raise UsageError(
            f"{place or 'An example'} has no {' and no '.join(missing)}; a run for "
            f"{task.name} needs it."
        )
    for name in not_texts(values):
        raise UsageError(
            f"{place or 'An example'}: '{name}' must be a text, not {type(values[name]).__name__}."
        )
    if to is not None:
        refuse_to(task)
        values["target_language"] = to
    return Example(**values, place=place)


def refuse_to(task: Task) -> None:
    """Raise UsageError if `to` would have no effect."""
    if task.spec.targets is None:
        raise UsageError(
            "--to names a target language, or one of several tasks; a run for "
            f"{task.name} has none."
        )
