"""The table of tasks: from a task's name to what builds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from .task import Task

MODULES = {  # task -> module that builds it
    "translation": "translation",
    "embedding": "embedding",
    "classification": "classification",
    "parsing": "parsing",
    "question-answering": "question_answering",
    "masked-words": "masked_words",
    "tagging": "tagging",
    "language-modelling": "language_modelling",
    "chat": "chat",
    "preference": "preference",
    "summarization": "summarization",
    "question-generation": "question_generation",
    "generative-answering": "generative_answering",
    "text-to-text": "text_to_text",
    "span-corruption": "span_corruption",
}


def _builder(module: str) -> Callable[[Mapping[str, Any]], Task]:
    """Imports the module when a task is asked for, so that the names are known without it."""

    def build(options: Mapping[str, Any]) -> Task:
        return import_module(f".{module}", __package__).build(options)

    return build


TASKS: dict[str, Callable[[Mapping[str, Any]], Task]] = {
    name: _builder(module) for name, module in MODULES.items()
}
