"""Run the checks of `triptych data check`, by kind of data.

The kinds are labelled texts, words with tags, trees, questions, conversations and plain texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..data.sets.entry import SPLITS
from ..data.table import DataTable
from ..errors import DataError
from .console import talk
from .data_parts import What, labelled, names_recipe, read_labelled

if TYPE_CHECKING:
    from ..data.example import Example
    from ..data.validation.pairs import Report


def report_on(what: What, encoding: str | None = None) -> tuple[Report, str] | None:
    """Return the report on the data that the arguments name, and what its records are called.

    encoding: that of files that are named, if it is not UTF-8; a recipe names its own.

    None where the arguments name sentence pairs.
    """
    for kind, look in CHECKS.items():
        report = look(what, encoding)
        if report is not None:
            return report, kind
    return None


def _own_files(what: What, *learnt: str) -> tuple[DataTable, What, dict[str, list[str]]] | None:
    """Return the data table, the fields and the user's files by part of a recipe.

    None unless the argument names a recipe whose task learns from one of `learnt`.
    """
    from ..data.load import aligned, learnt_field, refuse_idle_columns, split_files
    from ..recipe.schema import Recipe

    if len(what) != 1 or not names_recipe(what[0]):
        return None
    recipe = Recipe.load(what[0])
    needs = recipe.build_task().needs
    if (
        recipe.data.set is not None
        or recipe.data.train is None
        or aligned(needs)
        or learnt_field(needs) not in learnt
    ):
        return None
    refuse_idle_columns(recipe.data, needs)
    return recipe.data, needs, split_files(recipe.data)


def _each(parts: dict[str, list[str]], check: Callable[[str], Report]) -> Report:
    """Check all files of a recipe one by one, and find records that are in two parts."""
    from ..data.validation.pairs import Report, as_problem, together

    found: dict[str, list[Report]] = {}
    for part, names in parts.items():
        found[part] = []
        for name in names:
            try:
                found[part].append(check(name))
            except DataError as problem:
                found[part].append(Report([as_problem(problem, name)]))
    return together(found)


def _trees(what: What, encoding: str | None) -> Report | None:
    """Check CoNLL-U files."""
    from ..data.validation import conllu as check_conllu

    own = _own_files(what, "relations")
    if own is not None:
        return _each(own[2], lambda name: check_conllu.check(name, own[0].encoding))
    return (
        check_conllu.check(what[0], encoding)
        if len(what) == 1 and check_conllu.is_conllu(what[0])
        else None
    )


def _checked_labels(what: What, encoding: str | None) -> Report | None:
    """Check texts with a label, several labels, or a number."""
    found = labelled(what, encoding)
    return None if found is None else _check_labelled(found)


def _others(what: What, encoding: str | None) -> Report | None:
    """Check a public set whose records are not pairs.

    All records are read, and those in two parts are reported.
    """
    from ..data.example import texts_of
    from ..data.load import aligned, load_split
    from ..data.sets.catalog import entries
    from ..data.split import sentence_key
    from ..data.validation.pairs import Problem, Report
    from ..recipe.schema import Recipe

    if len(what) != 1:
        return None
    first, table = what[0], None
    if names_recipe(first):
        recipe = Recipe.load(first)
        table, needs = recipe.data, recipe.build_task().needs
    elif first in entries():
        table, needs = DataTable(set=first), entries()[first].fields
    if table is None or aligned(needs):
        return None
    splits = entries()[table.set].splits if table.set is not None else SPLITS
    named = {split: load_split(table, split, talk, needs) for split in splits}
    report, held = Report(pairs={name: len(part) for name, part in named.items()}), {}
    for name, part in named.items():
        for example in part:
            texts = (
                getattr(example, field)
                for field in ("passage", "source", "text")
                if getattr(example, field) is not None
            )
            key = sentence_key(
                next(texts, "")
                if example.messages is None
                else "\n".join(texts_of(example.messages))
            )
            if key in held and held[key][0] != name:
                report.problems.append(
                    Problem(
                        example.place,
                        f"leak: this text is also in {held[key][0]} ({held[key][1]})",
                    )
                )
            held.setdefault(key, (name, example.place))
    return report


def _reading(what: What, encoding: str | None) -> Report | None:
    """Check passages with questions, where the arguments name such data."""
    from ..data.formats.squad import is_question_file
    from ..data.load import load_split, names_of, refuse_idle_columns
    from ..data.sets.catalog import entries
    from ..data.validation.pairs import Report
    from ..data.validation.squad import check, check_examples
    from ..recipe.schema import Recipe

    needs = ("question", "passage", "answers")
    if what and all(is_question_file(name, encoding) for name in what):
        return check({"train": what}, encoding=encoding)
    if len(what) != 1:
        return None
    first, data = what[0], None
    if names_recipe(first):
        recipe = Recipe.load(first)
        data = recipe.data if recipe.build_task().needs == needs else None
    elif first in entries() and "answers" in entries()[first].fields:
        data = DataTable(set=first)
    if data is None:
        return None
    refuse_idle_columns(data, needs)
    if data.set is None:
        given = {part: names for part in SPLITS if (names := getattr(data, part)) is not None}
        parts = {part: names_of(names) for part, names in given.items()}
        return check(parts, data.columns, data.encoding)
    splits = ("test",) if data.set == "xquad" and data.fold is None else SPLITS
    found: dict[str, Sequence[Example]] = {
        part: load_split(data, part, talk, needs) for part in splits
    }
    return Report(check_examples(found), {part: len(examples) for part, examples in found.items()})


def _tagged(what: What, encoding: str | None) -> Report | None:
    """Check words with tags, where the arguments name such data."""
    from ..data.load import names_of, refuse_idle_columns
    from ..data.sets.catalog import entry
    from ..data.sets.files import locate
    from ..data.sets.tagging import SPLIT_FILES
    from ..data.validation.conll import check, is_conll
    from ..recipe.schema import Recipe

    if what and all(is_conll(name) for name in what):
        return check({"train": what}, encoding=encoding)
    if len(what) != 1:
        return None
    name, fields = what[0], None
    if names_recipe(name):
        recipe = Recipe.load(name)
        needs = recipe.build_task().needs
        if "tags" not in needs:
            return None
        refuse_idle_columns(recipe.data, needs)
        name, fields = recipe.data.set or "", recipe.data.listed(("words", "tags"))
        if recipe.data.set is None:
            given = {
                part: names for part in SPLITS if (names := getattr(recipe.data, part)) is not None
            }
            parts = {part: names_of(names) for part, names in given.items()}
            return check(parts, fields, recipe.data.encoding)
    if name not in SPLIT_FILES:
        return None
    dataset = entry(name)
    files = {file.name: file for file in dataset.files}
    paths = {part: locate(dataset, files[file], talk) for part, file in SPLIT_FILES[name].items()}
    return check({part: [str(path)] for part, path in paths.items()}, fields)


def _written(what: What, encoding: str | None) -> Report | None:
    """Check a file of texts and the texts to be generated from them."""
    from ..data.formats.squad import is_squad
    from ..data.validation import references as check_written
    from ..data.validation import squad as check_reading

    own = _own_files(what, "references")
    if own is not None:
        data, wanted = own[0], tuple(need for need in own[1] if need != "references")
        return _each(
            own[2],
            lambda name: (
                check_reading.check({"train": [name]}, encoding=data.encoding)
                if is_squad(name, data.encoding)
                else check_written.check(name, wanted, data.named(wanted), data.encoding)
            ),
        )
    needs = check_written.needs_of(what[0], encoding) if len(what) == 1 else None
    return None if needs is None else check_written.check(what[0], needs, encoding=encoding)


def _conversations(what: What, encoding: str | None) -> Report | None:
    """Check a file of conversations, or of answers one of which is preferred."""
    from ..data.validation import chats as check_chats

    own = _own_files(what, "messages", "chosen")
    if own is not None:
        wanted = own[1]
        return _each(
            own[2], lambda name: check_chats.check(name, wanted, own[0].encoding, own[0].columns)
        )
    needs = check_chats.needs_of(what[0], encoding) if len(what) == 1 else None
    return None if needs is None else check_chats.check(what[0], needs, encoding)


def _check_labelled(found: tuple[DataTable, tuple[str, ...]]) -> Report:
    from ..data.load import split_files
    from ..data.validation import columns as check_columns
    from ..data.validation.pairs import Report

    data, needs = found
    if data.set is None:
        return check_columns.check(split_files(data), needs, data.named(needs), data.encoding)
    named = read_labelled(found)
    return Report(
        check_columns.check_examples(named), {name: len(part) for name, part in named.items()}
    )


def _plain_texts(what: What, encoding: str | None) -> Report | None:
    """Check text files, or folders of them; two aligned files are translations instead."""
    from ..data.sets.catalog import entries
    from ..data.validation import texts as check_texts
    from ..data.validation.pairs import together

    own = _own_files(what, "text")
    if own is not None:
        data, _, parts = own
        key = (data.listed(("text",)) or ["text"])[0]
        is_split = data.validation is None or data.test is None
        return together(
            {
                part: [
                    check_texts.check(
                        names, key, data.verbatim, is_split and part == "train", data.encoding
                    )
                ]
                for part, names in parts.items()
            }
        )
    first = what[0] if len(what) == 1 else None
    if first is None or first in entries() or names_recipe(first):
        return None
    plain = check_texts.is_plain_text(first, encoding)
    return check_texts.check(what, encoding=encoding) if plain else None


# What the records are called -> the check that reports on them, tried in this order.
CHECKS: dict[str, Callable[[What, str | None], Report | None]] = {
    "plain texts": _plain_texts,
    "conversations": _conversations,
    "trees": _trees,
    "questions": _reading,
    "sentences": _tagged,
    "texts": _checked_labels,
    "texts to write from": _written,
    "records": _others,
}
