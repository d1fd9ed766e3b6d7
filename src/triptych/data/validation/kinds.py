"""Find by their content what files hold, where no task says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import DataError, UsageError
from ...messages import message
from ..formats.clips import is_clips
from ..formats.columns import LEARNT, refuse_unknown_fields
from ..formats.columns import needs_of as columns_of
from ..formats.foreign.label_folders import is_labelled
from ..formats.foreign.own_lines import own_file
from ..formats.squad import is_question_file
from ..formats.tagged_content import CONLL_SUFFIXES, is_conll
from .chats import needs_of as chats_of
from .conllu import is_conllu
from .references import needs_of as references_of
from .texts import is_plain_text

if TYPE_CHECKING:
    from ..formats.choosing import Columns

Needs = tuple[str, ...]
PAIR = ("source", "target")
# The field that is learnt -> what the records are called in a count, and in a sentence.
RECORDS: Mapping[str, tuple[str, str]] = {
    "source": ("pairs", message("pairs of sentences")),
    "audio": ("clips", message("clips of sound with texts")),
    "text": ("plain texts", message("plain text")),
    "messages": ("conversations", message("conversations")),
    "chosen": ("conversations", message("conversations with a preferred answer")),
    "relations": ("trees", message("sentences with trees")),
    "answers": ("questions", message("questions on passages")),
    "tags": ("sentences", message("words with tags")),
    "label": ("texts", message("texts with a label")),
    "labels": ("texts", message("texts with several labels")),
    "value": ("texts", message("texts with a number")),
    "references": ("texts to write from", message("texts to write from")),
}
TREE = re.compile(r"\d+(?:[-.]\d+)?\t(?:[^\t]+\t){5}(?:\d+|_)\t(?:[^\t]+\t){2}[^\t]*")


def needs_of(
    names: Sequence[str], encoding: str | None = None, columns: Columns | None = None
) -> Needs:
    """Return the fields of the records in files: those of sentence pairs where nothing shows more.

    columns: the known columns, as in `data.columns`.
    """
    one = names[0] if len(names) == 1 else None
    if _all(names, lambda name: is_clips(name, encoding)):
        return ("audio", "target")
    if one is not None and Path(one).is_dir():
        return ("text", "label") if is_labelled(Path(one)) else ("text",)
    for find in (_trees, _conversations, _questions, _tags, _plain):
        found = find(names, encoding)
        if found is not None:
            return found
    if one is None or not Path(one).is_file():
        return _of_tables(names, encoding, columns) or PAIR
    found = labelled_needs(one, encoding, columns) or _written(one, encoding)
    if found is None and "text" in (columns or {}):
        refuse_unknown_fields(columns)
        raise UsageError(
            message(
                "--columns names the text and nothing to learn. Add label=COLUMN (or labels, or "
                "value), or name the task that reads the file: --task TASK.",
            )
        )
    return found or PAIR


def labelled_needs(
    name: str, encoding: str | None = None, columns: Columns | None = None
) -> Needs | None:
    """Return the fields of labelled texts; None if a file does not show that it has them."""
    try:
        return columns_of(name, columns, encoding)
    except DataError:  # The check of any file reports where it cannot be read.
        return None


def _of_tables(names: Sequence[str], encoding: str | None, columns: Columns | None) -> Needs | None:
    """Return the fields of several tables of labelled texts, None if they are something else."""
    found = [labelled_needs(name, encoding, columns) if Path(name).is_file() else None
             for name in names]  # fmt: skip
    return found[0] if len(found) > 1 and len(set(found)) == 1 else None


def learns_from(needs: Needs) -> str:
    """Return the field of RECORDS that records with these fields are learnt from."""
    if needs == PAIR:
        return PAIR[0]
    order = ("audio", "references", "answers", "relations", "tags", *LEARNT, "chosen", "messages")
    return next((name for name in order if name in needs), "text")


def _all(names: Sequence[str], is_one: Callable[[str], bool]) -> bool:
    return bool(names) and all(map(is_one, names))


def _trees(names: Sequence[str], encoding: str | None) -> Needs | None:
    def is_tree(name: str) -> bool:
        return is_conllu(name) or _holds_trees(name, encoding)

    return ("text", "words", "upos", "heads", "relations") if _all(names, is_tree) else None


def _holds_trees(name: str, encoding: str | None) -> bool:
    """Tell whether the first row of a file is one of CoNLL-U, with a head."""
    if Path(name.removesuffix(".gz")).suffix in CONLL_SUFFIXES or not Path(name).is_file():
        return False
    try:
        lines = own_file(name, encoding=encoding).lines
    except DataError:
        return False
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    return TREE.fullmatch(first) is not None


def _conversations(names: Sequence[str], encoding: str | None) -> Needs | None:
    return chats_of(names[0], encoding) if len(names) == 1 else None


def _questions(names: Sequence[str], encoding: str | None) -> Needs | None:
    needs = ("question", "passage", "answers")
    return needs if _all(names, lambda name: is_question_file(name, encoding)) else None


def _tags(names: Sequence[str], encoding: str | None) -> Needs | None:
    return ("text", "words", "tags") if _all(names, is_conll) else None


def _plain(names: Sequence[str], encoding: str | None) -> Needs | None:
    return ("text",) if len(names) == 1 and is_plain_text(names[0], encoding) else None


def _written(name: str, encoding: str | None) -> Needs | None:
    found = references_of(name, encoding)
    return None if found is None else (*found, "references")
