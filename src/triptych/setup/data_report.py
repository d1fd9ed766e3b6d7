"""Check data before training, by the kind of its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..data.example import Example, Notify, texts_of
from ..data.load import aligned, files_of, refuse_idle_columns, split_files
from ..data.sets.catalog import entry
from ..data.sets.files import locate
from ..data.sets.tagging import SPLIT_FILES
from ..data.split import sentence_key
from ..data.table import DataTable
from ..data.validation import (
    chats,
    clips,
    columns,
    conll,
    conllu,
    kinds,
    pairs,
    references,
    squad,
    texts,
)
from ..data.validation.pairs import Problem, Report, as_problem, left_out, together
from ..errors import DataError
from .named_data import NamedData, examples_of

Parts = Mapping[str, Sequence[str]]  # part -> names of files


def report_on(found: NamedData, notify: Notify) -> tuple[Report, str]:
    """Return the report on data, and what its records are called."""
    refuse_idle_columns(found.data, found.needs)
    learnt = found.learns_from
    if found.data.set is not None or found.data.train is None:
        return _on_set(found, notify)
    parts = split_files(found.data)
    report = CHECKS.get(learnt, _labelled)(found, parts)
    for names in parts.values() if learnt != "audio" else ():
        for name in names:
            report.problems += left_out(name, notify, found.data.encoding)
    return report, kinds.RECORDS[learnt][0]


def _each(found: NamedData, parts: Parts, check: Callable[[str], Report]) -> Report:
    """Check files one by one, and find records that are in two parts."""
    if not found.is_recipe and len(parts["train"]) == 1:
        return check(parts["train"][0])
    reports: dict[str, list[Report]] = {}
    for part, names in parts.items():
        reports[part] = []
        for name in names:
            try:
                reports[part].append(check(name))
            except DataError as problem:
                reports[part].append(Report([as_problem(problem, name)]))
    return together(reports)


def _pairs(found: NamedData, parts: Parts) -> Report:
    return pairs.check({part: files_of(names, found.data) for part, names in parts.items()})


def _clips(found: NamedData, parts: Parts) -> Report:
    data = found.data
    return clips.check(parts, data.columns, data.pattern, data.encoding)


def _labelled(found: NamedData, parts: Parts) -> Report:
    data, needs = found.data, found.needs
    return columns.check(parts, needs, data.named(needs), data.encoding)


def _trees(found: NamedData, parts: Parts) -> Report:
    return _each(found, parts, lambda name: conllu.check(name, found.data.encoding))


def _conversations(found: NamedData, parts: Parts) -> Report:
    encoding = found.data.encoding
    return _each(
        found, parts, lambda name: chats.check(name, found.needs, encoding, found.data.columns)
    )


def _questions(found: NamedData, parts: Parts) -> Report:
    return squad.check(parts, found.data.columns, found.data.encoding)


def _tags(found: NamedData, parts: Parts) -> Report:
    return conll.check(parts, found.data.listed(("words", "tags")), found.data.encoding)


def _written(found: NamedData, parts: Parts) -> Report:
    from ..data.formats.squad import is_squad

    data = found.data
    wanted = tuple(need for need in found.needs if need != "references")

    def check(name: str) -> Report:
        if "passage" in wanted and is_squad(name, data.encoding):
            return squad.check({"train": [name]}, encoding=data.encoding)
        return references.check(name, wanted, data.named(wanted), data.encoding)

    return _each(found, parts, check)


def _texts(found: NamedData, parts: Parts) -> Report:
    """Check plain text; one or two parts of a recipe that are split off training must fill."""
    data = found.data
    key = (data.listed(("text",)) or ["text"])[0]
    is_split = data.validation is None or data.test is None
    reports = {
        part: [texts.check(names, key, data.verbatim, is_split and part == "train", data.encoding)]
        for part, names in parts.items()
    }
    return together(reports) if found.is_recipe else reports["train"][0]


# The field of `kinds.RECORDS` -> the check of files; labelled texts are checked by `_labelled`.
CHECKS: dict[str, Callable[[NamedData, Parts], Report]] = {
    "source": _pairs,
    "audio": _clips,
    "text": _texts,
    "messages": _conversations,
    "chosen": _conversations,
    "relations": _trees,
    "answers": _questions,
    "tags": _tags,
    "references": _written,
}


def _on_set(found: NamedData, notify: Notify) -> tuple[Report, str]:
    """Report on a public set."""
    data, needs, learnt = found.data, found.needs, found.learns_from
    words = kinds.RECORDS[learnt][0]
    if learnt == "tags" and data.set in SPLIT_FILES:
        return _on_tags(data, notify), words
    one_part = data.set == "xquad" and data.fold is None
    examples = examples_of(found, notify, ("test",) if one_part else None)
    counts = {part: len(one) for part, one in examples.items()}
    if aligned(needs):
        return Report(pairs.check_examples(dict(examples)), counts), words
    if needs[0] == "text" and needs[-1] in kinds.LEARNT:
        return Report(columns.check_examples(examples), counts), words
    if "audio" in needs:
        return Report(clips.check_examples(examples), counts), words
    if "answers" in needs:
        return Report(squad.check_examples(examples), counts), words
    return Report(_leaks(examples), counts), "records"


def _on_tags(data: DataTable, notify: Notify) -> Report:
    assert data.set is not None, "only sets are in SPLIT_FILES"
    dataset = entry(data.set)
    files = {file.name: file for file in dataset.files}
    paths = {
        part: [str(locate(dataset, files[file], notify))]
        for part, file in SPLIT_FILES[data.set].items()
    }
    return conll.check(paths, data.listed(("words", "tags")))


def _leaks(examples: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Report records that are in two parts."""
    held: dict[str, tuple[str, str]] = {}
    problems: list[Problem] = []
    for name, part in examples.items():
        for one in part:
            given = (getattr(one, field) for field in ("passage", "source", "text"))
            text = next((text for text in given if text is not None), "")
            key = sentence_key(text if one.messages is None else "\n".join(texts_of(one.messages)))
            if key in held and held[key][0] != name:
                reason = f"leak: this text is also in {held[key][0]} ({held[key][1]})"
                problems.append(Problem(one.place, reason))
            held.setdefault(key, (name, one.place))
    return problems
