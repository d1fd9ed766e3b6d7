"""triptych data list, fetch, check, stats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..errors import UsageError
from .console import table, talk

if TYPE_CHECKING:
    from ..data.check import Report
    from ..data.example import Example
    from ..data.parts import DataTable
    from ..data.sources import Files

SHOWN = 20  # problems of one kind
Json = Annotated[bool, Parameter(name="--json")]


def list_sets(*, json_: Json = False) -> int:
    """Public sets that are known by name, where each lies, and its licence.

    Parameters
    ----------
    json_
        One JSON object a line instead of a table.
    """
    from ..data.catalog import entries, find

    rows = [["set", "languages", "at hand", "licence", "what it is"]]
    for name, entry in entries().items():
        found = [find(name, file) for file in entry.files]
        hand = "built in" if not entry.files else "yes" if all(found) else "no"
        if json_:
            print(json.dumps({"name": name, "languages": entry.languages, "at_hand": hand != "no", "licence": entry.licence,
                              "description": entry.description, "notes": entry.notes}, ensure_ascii=False))  # fmt: skip
        rows.append([name, " ".join(entry.languages), hand, entry.licence, entry.description])
    if not json_:
        print(table(rows, right=False))
    return 0


def fetch(*sets: str) -> int:
    """Fetch public sets into the cache and check them against their SHA-256; prints where the files lie.

    Parameters
    ----------
    sets
        Names, as `triptych data list` shows them.
    """
    from ..data import catalog

    if not sets:
        raise UsageError(f"Name a set to fetch: {', '.join(catalog.entries())}.")
    for name in sets:
        paths = catalog.fetch(name, talk)
        if not paths:
            talk(f"{name} is built in; there is nothing to fetch.")
        for path in paths:
            print(path)
    return 0


def check(*what: str, source: str | None = None, target: str | None = None, json_: Json = False) -> int:
    """What is wrong with data, with file, line and reason. Exits 1 where there is anything to report.

    Parameters
    ----------
    what
        A recipe, a public set, one file with columns (two languages; or text and label), two aligned files, or a CoNLL-U file.
    source
        The source side's file, beside --target.
    target
        The target side's file.
    json_
        One JSON object a problem.
    """
    from ..data import check_conllu
    from ..data.check import Report, check_examples
    from ..data.check import check as check_files

    trees = what[0] if len(what) == 1 and check_conllu.is_conllu(what[0]) else None
    questions = _reading(what) if source is None and target is None and trees is None else None
    labelled = None if source or target or trees is not None or questions is not None else _labelled(what)
    if trees is not None:
        report = check_conllu.check(trees)
    elif questions is not None:
        report = questions
    elif labelled is not None:
        report = _check_labelled(labelled)
    else:
        parts, named = _files(what, source, target)
        if parts is not None:
            report = check_files(parts)
        else:
            assert named is not None, "either files or examples"
            report = Report(check_examples(named), {name: len(part) for name, part in named.items()})  # type: ignore[arg-type]
    seen: dict[str, int] = {}
    for problem in report.problems:
        kind = problem.reason.split(":")[0]
        seen[kind] = seen.get(kind, 0) + 1
        if json_:
            values = {"place": problem.place, "reason": problem.reason, "severity": problem.severity}
            print(json.dumps(values, ensure_ascii=False))
        elif seen[kind] <= SHOWN:
            print(f"{problem.severity}: {problem}")
    hidden = {kind: count - SHOWN for kind, count in seen.items() if count > SHOWN and not json_}
    for kind, count in hidden.items():
        talk(f"{kind}: {count:,} more; --json prints all.")
    errors = sum(problem.severity == "error" for problem in report.problems)
    pairs = ", ".join(f"{name} {count:,}" for name, count in report.pairs.items())
    kind = " texts" if labelled else " questions" if questions is not None else "" if trees else " pairs"
    talk(f"{pairs}{kind}; {errors:,} errors, {len(report.problems) - errors:,} warnings.")
    return int(bool(report.problems))


def _reading(what: tuple[str, ...]) -> Report | None:
    """The report on passages with questions, where that is what the words mean."""
    from ..data.catalog import SPLITS, entries
    from ..data.check import Report
    from ..data.check_reading import check, check_examples, is_squad
    from ..data.parts import DataTable, read_part
    from ..recipe import Recipe, packaged

    needs = ("question", "passage", "answers")
    if what and all(is_squad(name) for name in what):
        return check({"train": what})
    if len(what) != 1:
        return None
    first, data = what[0], None
    if first in packaged() or first.endswith(".toml") or Path(first).is_dir():
        recipe = Recipe.load(first)
        data = recipe.data if recipe.build_task().needs == needs else None
    elif first in entries() and "answers" in entries()[first].fields:
        data = DataTable(set=first)
    if data is None:
        return None
    if data.set is None:
        given = {part: names for part in SPLITS if (names := getattr(data, part)) is not None}
        return check({part: [names] if isinstance(names, str) else names for part, names in given.items()})
    splits = ("test",) if data.set == "xquad" and data.fold is None else SPLITS
    found: dict[str, Sequence[Example]] = {part: read_part(data, part, talk, needs) for part in splits}
    return Report(check_examples(found), {part: len(examples) for part, examples in found.items()})


def stats(*what: str, source: str | None = None, target: str | None = None, json_: Json = False) -> int:
    """Counts, lengths, characters and scripts of each part.

    Parameters
    ----------
    what
        A recipe, a public set, one file with columns (two languages; or text and label), or two aligned files.
    source
        The source side's file, beside --target.
    target
        The target side's file.
    json_
        One JSON object a part.
    """
    from ..data.check import stats as stats_of
    from ..data.check_columns import label_counts
    from ..data.sources import read

    labelled = None if source or target else _labelled(what)
    if labelled is not None:
        named = _read_labelled(labelled)
    else:
        parts, named = _files(what, source, target)
        if parts is not None:
            named = {name: read(files, report=talk) for name, files in parts.items()}
    assert named is not None, "either files or examples"
    for name, examples in named.items():
        found, labels = stats_of(examples), label_counts(examples)
        if json_:
            print(json.dumps({"part": name, **found, **({"labels": labels} if labels else {})}, ensure_ascii=False))
            continue
        keys = list(next(iter(found.values())))
        rows = [[name, *found], *([key, *(_text(side[key]) for side in found.values())] for key in keys)]
        print(table(rows))
        if labels:
            more = f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
            print(f"labels  {', '.join(f'{label} {count:,}' for label, count in list(labels.items())[:SHOWN])}{more}")
    return 0


def _labelled(what: tuple[str, ...]) -> tuple[DataTable, tuple[str, ...]] | None:
    """What the words mean where it is texts with labels or numbers: a data table and the fields; None where it is something else."""
    from ..data.catalog import entries
    from ..data.columns import LEARNT, needs_of
    from ..data.parts import DataTable
    from ..recipe import Recipe, packaged

    if len(what) != 1:
        return None
    first = what[0]
    if first in packaged() or first.endswith(".toml") or Path(first).is_dir():
        recipe = Recipe.load(first)
        if recipe.task.get("name") != "classification":
            return None
        return recipe.data, recipe.build_task().needs
    if first in entries():
        fields = entries()[first].fields
        return (DataTable(set=first), fields) if fields[0] == "text" and fields[-1] in LEARNT else None
    needs = needs_of(first) if Path(first).is_file() else None
    return None if needs is None else (DataTable(train=first), needs)


def _read_labelled(labelled: tuple[DataTable, tuple[str, ...]]) -> dict[str, list[Example]]:
    """Examples by part. A set's leaks are all there: this is to see them."""
    import dataclasses

    from ..data.catalog import SPLITS
    from ..data.columns import read as read_columns
    from ..data.parts import read_part

    data, needs = labelled
    if data.set is not None:
        data = dataclasses.replace(data, leaks="keep")
        return {part: read_part(data, part, talk, needs) for part in SPLITS}
    return {part: read_columns(names, data, needs, talk) for part, names in named_files(data).items()}


def _check_labelled(labelled: tuple[DataTable, tuple[str, ...]]) -> Report:
    from ..data import check_columns
    from ..data.check import Report

    data, needs = labelled
    if data.set is None:
        return check_columns.check(named_files(data), needs, data.fields)
    named = _read_labelled(labelled)
    return Report(check_columns.check_examples(named), {name: len(part) for name, part in named.items()})


def named_files(data: DataTable) -> dict[str, list[str]]:
    """Part -> its files."""
    from ..data.catalog import SPLITS

    given = {part: names for part in SPLITS if (names := getattr(data, part)) is not None}
    return {part: [names] if isinstance(names, str) else list(names) for part, names in given.items()}


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _files(what: tuple[str, ...], source: str | None, target: str | None,
           ) -> tuple[dict[str, Files] | None, dict[str, list[Example]] | None]:  # fmt: skip
    """What the words mean: files by part, or a set's Examples by part."""
    from ..data.catalog import SPLITS, entries
    from ..data.parts import DataTable, files_of, read_part
    from ..recipe import Recipe, packaged

    if source is not None or target is not None:
        if source is None or what:
            raise UsageError("Name two aligned files as --source a.en --target a.de, or without flags: a.en a.de.")
        return {"train": files_of([source, *([target] if target else [])])}, None
    if not what:
        raise UsageError("Name what to look at: a recipe, a public set, one file with two columns, or two aligned files.")
    first = what[0]
    if len(what) == 1 and (first in packaged() or first.endswith(".toml") or Path(first).is_dir()):
        data = Recipe.load(first).data
        if data.set is None:
            given = {part: names for part in SPLITS if (names := getattr(data, part)) is not None}
            return {part: files_of(names, data.fields) for part, names in given.items()}, None
    elif len(what) == 1 and first in entries():
        data = DataTable(set=first)
    else:
        return {"train": files_of(list(what))}, None
    return None, {part: read_part(data, part, talk) for part in SPLITS}
