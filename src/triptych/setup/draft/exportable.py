"""Draft recipes whose runs a class of the library transformers computes, and tell which are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ...messages import clauses, message
from ...tasks import question_answering, summarization, tagging
from .request import DraftRequest

if TYPE_CHECKING:
    from ...convert.classes import Form

# Positions that a table can hold, where rotary ones have no class with two texts or two stacks.
POSITIONS = 'positions = "sinusoidal"        # which a class of transformers has'
SHORTCUT = (
    "shortcut = true                 # the words themselves, next to the states of the model\n"
)
PAIR = "pair = true                     # text and text_pair\n"
COMPARE = 'pooling = "compare"             # both means, their difference and product\n'
FIRST = """pooling = "first"               # the state of the first token, as classes there read
hidden = true
"""
# Lines of the table `task` that no class computes, by how they begin, and lines of `model`.
WITHOUT: dict[str, tuple[str, ...]] = {
    tagging.SPEC.name: ("decoding",),
    question_answering.SPEC.name: ("match_feature",),
}
MODEL: dict[str, tuple[str, ...]] = {
    question_answering.SPEC.name: (POSITIONS,),
    summarization.SPEC.name: (),
}


def option_lines(task: str, lines: Sequence[str]) -> list[str]:
    """Return a task's lines that a class computes."""
    return [line for line in lines if not line.startswith(WITHOUT.get(task, ()) or ("\n",))]


def classifier_lines(is_pair: bool, is_exportable: bool) -> tuple[str, str]:
    """Return how a classifier makes one vector of states: first and last lines of its options."""
    pair = PAIR if is_pair else ""
    if is_exportable:
        return pair + FIRST, ""
    return pair + (COMPARE if is_pair else ""), SHORTCUT


def classifier_options(is_pair: bool, is_exportable: bool) -> dict[str, str | bool]:
    """Return the same for a classifier that starts from a pretrained model."""
    pair: dict[str, str | bool] = {"pair": True} if is_pair else {}
    if is_exportable:
        return {**pair, "pooling": "first", "hidden": True}
    return {**pair, "pooling": "compare"} if is_pair else {}


def refuse_without_class(task: str) -> None:
    """Raise UsageError for a task that no class computes, whatever the recipe."""
    from ...convert.classes import has_class

    if not has_class(task):
        raise UsageError(
            "The library transformers has no class for {task}, so no recipe for it "
            "is exportable. Leave out --exportable.",
            task=task,
        )


def noted(text: str, request: DraftRequest) -> str:
    """Return the recipe's text with a comment on its export, and report what export loses.

    Raises:
        UsageError: An exportable recipe was wanted, and the model to start from has no class.
    """
    from ...convert.classes import export_class, has_class, refusals

    form = _form(text, request.task)
    problems = refusals(form)
    if not problems:
        if not request.exportable:
            return text
        name = export_class(form).architecture
        return _with_comment(
            text, message("triptych export RUN FOLDER writes its run as {name}.", name=name)
        )
    listed = clauses(problems)
    if request.exportable:
        raise UsageError(
            "No class of the library transformers computes this recipe: {listed}. "
            "Start from another model, or leave out --exportable.",
            listed=listed,
        )
    if not has_class(request.task):
        words = short = message(
            "triptych export cannot write a run of this recipe: transformers has no class for "
            "{task}.",
            task=request.task,
        )
    else:
        short = message(
            "triptych export cannot write a run of this recipe for the library transformers (the "
            "recipe says why). If you need that, add --exportable.",
        )
        words = message(
            "triptych export cannot write a run of this recipe for the library transformers, which "
            "has no class that computes the same ({listed}). If you need that, add --exportable.",
            listed=listed,
        )
    request.report(message("Export: {words}", words=short))
    return _with_comment(text, words)


def _with_comment(text: str, words: str) -> str:
    """Put a comment after the first lines, which are comments too."""
    first, second, rest = text.split("\n", 2)
    return "\n".join([first, second, f"# {words}", rest])


def _form(text: str, task: str) -> Form:
    """Return what decides about the class, from a recipe that is not trained yet."""
    from ...convert import open_origin
    from ...convert.classes import Form
    from ...recipe.schema import Recipe

    recipe = Recipe.parse(text, folder=Path())
    options = recipe.build_task().options
    if recipe.model.start is None:
        model = recipe.model.config()
        two = model.architecture == "encoder-decoder" and not recipe.tokenizer.shared
        return Form(task, options, model, 2 if two else 1)
    origin = open_origin(recipe.model.start, task).read_config()
    return Form(task, options, recipe.model.config(origin.model), len(origin.tokenizers))
