"""List the verbs in a typed table: what each does, and what loads its function.

A verb's module is imported only when the verb runs or its own help is printed, so `triptych --help`
imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Command = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Verb:
    """Describe a command of `triptych`.

    Args:
        load: Imports and returns the function.
        help: What the command does, in one line.
    """

    load: Callable[[], Command]
    help: str


def _init() -> Command:
    from .init import init

    return init


def _train() -> Command:
    from .train import train

    return train


def _evaluate() -> Command:
    from .evaluate_seeds import evaluate

    return evaluate


def _predict() -> Command:
    from .predict import predict

    return predict


def _translate() -> Command:
    from .subtitles import translate

    return translate


def _summarize() -> Command:
    from .summarize import summarize

    return summarize


def _classify() -> Command:
    from .predict import classify

    return classify


def _tag() -> Command:
    from .predict import tag

    return tag


def _parse() -> Command:
    from .predict import parse

    return parse


def _answer() -> Command:
    from .answer import answer

    return answer


def _embed() -> Command:
    from .answer import embed

    return embed


def _complete() -> Command:
    from .predict import complete

    return complete


def _chat() -> Command:
    from .chat import chat

    return chat


def _inspect() -> Command:
    from .inspect import inspect

    return inspect


def _compare() -> Command:
    from .compare import compare

    return compare


def _plot() -> Command:
    from .plot import plot

    return plot


def _import() -> Command:
    from .convert import import_

    return import_


def _export() -> Command:
    from .convert import export

    return export


def _info() -> Command:
    from .info import info

    return info


def _data_list() -> Command:
    from .data import list_sets

    return list_sets


def _data_fetch() -> Command:
    from .data import fetch

    return fetch


def _data_check() -> Command:
    from .data import check

    return check


def _data_stats() -> Command:
    from .data import stats

    return stats


VERBS: dict[str, Verb] = {
    "init": Verb(
        _init, "Write a recipe for your own files, with a forecast of minutes and memory."
    ),
    "train": Verb(
        _train, "Train what a recipe describes: a packaged name, a .toml file or a run folder."
    ),
    "evaluate": Verb(_evaluate, "Score a run on its test split or on other data."),
    "predict": Verb(_predict, "Answer texts, or stdin line by line, with a run for any task."),
    "translate": Verb(_translate, "Translate texts, stdin line by line, or subtitles."),
    "summarize": Verb(_summarize, "Summarize texts, whole files, or stdin line by line."),
    "classify": Verb(_classify, "Classify texts, or stdin line by line: labels or a number."),
    "tag": Verb(_tag, "Tag texts, or stdin line by line: tags and entities."),
    "parse": Verb(_parse, "Parse sentences, or stdin line by line: dependency trees."),
    "answer": Verb(
        _answer, "Find the answers to questions in a passage or in a folder of documents."
    ),
    "embed": Verb(_embed, "Turn texts into vectors, for search."),
    "complete": Verb(_complete, "Continue a prompt with a run that generates text."),
    "chat": Verb(_chat, "Chat with a run that was trained on conversations."),
    "inspect": Verb(_inspect, "Show what a run attended to, as one HTML file or as text."),
    "compare": Verb(_compare, "Compare runs side by side: scores, lengths, speed, attention."),
    "plot": Verb(_plot, "Draw the learning curves of runs: one SVG picture or HTML page."),
    "import": Verb(
        _import,
        "Turn a folder of the library transformers (BERT, GPT-2, Llama, ...) or a llama2.c file "
        "into a run.",
    ),
    "export": Verb(_export, "Write a run as a folder that another library loads."),
    "info": Verb(_info, "Describe a run or a preset; without a name, what is installed here."),
}
DATA_VERBS: dict[str, Verb] = {
    "list": Verb(_data_list, "List the public sets known by name."),
    "fetch": Verb(_data_fetch, "Fetch a public set and check it against its SHA-256."),
    "check": Verb(
        _data_check, "Report problems of data with file and line; exit with 1 if there are any."
    ),
    "stats": Verb(_data_stats, "Print counts, lengths, characters and scripts."),
}
