"""The typed table of verbs: what each does, and what loads the function that does it.

A verb's module is imported when the verb is asked for, so `--help` imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Command = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Verb:
    """A command of `triptych`.

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
    from .evaluate import evaluate

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
    "predict": Verb(_predict, "Answer texts, or stdin line for line, with a run for any task."),
    "translate": Verb(_translate, "Translate texts, stdin line for line, or subtitles."),
    "summarize": Verb(
        _summarize, "Short texts of long ones: texts, whole files, or stdin line for line."
    ),
    "classify": Verb(_classify, "Labels or a number for texts, or for stdin line for line."),
    "tag": Verb(_tag, "Tags and entities of texts, or of stdin line for line."),
    "parse": Verb(_parse, "Dependency trees of sentences, or of stdin line for line."),
    "answer": Verb(
        _answer, "Find the answers to questions, in a passage or in a folder of documents."
    ),
    "embed": Verb(_embed, "Texts as vectors, for search."),
    "complete": Verb(_complete, "Write on from a prompt, for a run that writes text."),
    "chat": Verb(_chat, "Talk with a run, turn by turn, for a run that chats."),
    "inspect": Verb(_inspect, "Show what a run attended to, as one HTML file or as text."),
    "compare": Verb(_compare, "Runs side by side: scores, lengths, speed, attention."),
    "import": Verb(
        _import,
        "A folder of the library transformers (BERT, GPT-2, Llama, ...) or a llama2.c file as a "
        "run.",
    ),
    "export": Verb(_export, "A run as a folder that another library loads."),
    "info": Verb(_info, "What a run or a preset is; without a name, what is installed here."),
}
DATA_VERBS: dict[str, Verb] = {
    "list": Verb(_data_list, "Public sets that are known by name."),
    "fetch": Verb(_data_fetch, "Fetch a public set and check it against its SHA-256."),
    "check": Verb(
        _data_check, "What is wrong with data, with file and line; exits 1 where something is."
    ),
    "stats": Verb(_data_stats, "Counts, lengths, characters and scripts."),
}
