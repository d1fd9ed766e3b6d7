"""Find what the arguments of `triptych data` name, and read it as Examples by part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..data.sets.entry import SPLITS
from ..data.table import DataTable
from ..errors import DataError
from .console import talk

if TYPE_CHECKING:
    from ..data.example import Example


What = tuple[str, ...]


def labelled(what: What, encoding: str | None = None) -> tuple[DataTable, tuple[str, ...]] | None:
    """Return the data table and the fields of texts with labels or numbers.

    encoding: that of a file that is named, if it is not UTF-8.

    None where the arguments name something else.
    """
    from ..data.formats.columns import LEARNT, needs_of
    from ..data.sets.catalog import entries
    from ..data.validation.conll import is_conll
    from ..recipe.schema import Recipe

    if len(what) != 1:
        return None
    first = what[0]
    if names_recipe(first):
        recipe = Recipe.load(first)
        needs = recipe.build_task().needs
        return (recipe.data, needs) if needs[0] == "text" and needs[-1] in LEARNT else None
    if first in entries():
        fields = entries()[first].fields
        return (
            (DataTable(set=first), fields) if fields[0] == "text" and fields[-1] in LEARNT else None
        )
    if is_conll(first):
        return None
    try:
        needs = needs_of(first, encoding=encoding) if Path(first).is_file() else None
    except DataError:  # The check of any file reports where it cannot be read.
        return None
    return None if needs is None else (DataTable(train=first, encoding=encoding), needs)


def names_recipe(name: str) -> bool:
    """Tell whether a name is that of a recipe or a run, and not of a folder of texts."""
    from ..recipe.schema import packaged

    return (
        name in packaged()
        or name.endswith(".toml")
        or (Path(name).is_dir() and (Path(name) / "recipe.toml").is_file())
    )


def read_labelled(found: tuple[DataTable, tuple[str, ...]]) -> dict[str, list[Example]]:
    """Return the examples by part, with all leaks of a set, so that they can be seen."""
    import dataclasses

    from ..data.load import load_split, reader_of, split_files

    data, needs = found
    if data.set is not None:
        data = dataclasses.replace(data, leaks="keep")
        return {part: load_split(data, part, talk, needs) for part in SPLITS}
    return {
        part: reader_of(needs)(names, data, needs, talk)
        for part, names in split_files(data).items()
    }


def read_others(what: What, encoding: str | None = None) -> dict[str, list[Example]] | None:
    """Return the examples by part of tags, trees, questions, conversations or plain texts.

    encoding: that of files that are named, if it is not UTF-8.

    None where the arguments name something else.
    """
    from ..data.formats.squad import is_question_file
    from ..data.load import load_split, reader_of
    from ..data.sets.catalog import entries
    from ..data.validation.chats import needs_of as chats_of
    from ..data.validation.conll import is_conll
    from ..data.validation.conllu import is_conllu
    from ..data.validation.references import needs_of
    from ..data.validation.texts import is_plain_text
    from ..recipe.schema import Recipe

    first = what[0] if what else ""
    if len(what) == 1 and names_recipe(first):
        recipe = Recipe.load(first)
        data, needs = recipe.data, recipe.build_task().needs
    elif len(what) == 1 and first in entries():
        data, needs = DataTable(set=first), entries()[first].fields
    else:
        kinds = {  # fields -> a test of whether a file is of that kind
            ("messages",): lambda name: chats_of(name, encoding) == ("messages",),
            ("messages", "chosen", "rejected"): lambda name: (
                chats_of(name, encoding) == ("messages", "chosen", "rejected")
            ),
            ("question", "passage", "answers"): lambda name: is_question_file(name, encoding),
            ("text", "words", "upos", "heads", "relations"): is_conllu,
            ("text", "words", "tags"): is_conll,
            ("text",): lambda name: is_plain_text(name, encoding) and len(what) == 1,
        }
        for needs, is_one in kinds.items():
            if what and all(is_one(name) for name in what):
                table = DataTable(encoding=encoding)
                return {"train": reader_of(needs)(list(what), table, needs, talk)}
        needs = needs_of(first, encoding) if len(what) == 1 else None
        return (
            None
            if needs is None
            else {
                "train": reader_of((*needs, "references"))(
                    [first], DataTable(encoding=encoding), (*needs, "references"), talk
                )
            }
        )
    if needs[0] == "source":
        return None
    splits = entries()[data.set].splits if data.set is not None else SPLITS
    return {part: load_split(data, part, talk, needs) for part in splits}
