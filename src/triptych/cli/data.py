"""Run `triptych data list`, `fetch`, `check` and `stats`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import UsageError
from .checks import report_on
from .console import field, put, table, talk
from .data_parts import labelled, names_recipe, read_labelled, read_others

if TYPE_CHECKING:
    from ..data.example import Example
    from ..data.formats.pairs import Files
    from ..data.validation.pairs import Problem

SHOWN = 20  # problems of one kind that are printed
Json = Annotated[bool, Parameter(name="--json")]


def list_sets(*, json_: Json = False) -> int:
    """List the public sets known by name, with place and licence.

    Parameters
    ----------
    json_
        Print one JSON object per line instead of a table.
    """
    from ..data.sets.catalog import entries
    from ..data.sets.files import find

    rows = [["set", "languages", "here", "licence", "what it is"]]
    for name, entry in entries().items():
        found = [find(entry, file) for file in entry.files]
        hand = "built in" if not entry.files else "yes" if all(found) else "no"
        if json_:
            put(
                json.dumps(
                    {
                        "name": name,
                        "languages": entry.languages,
                        "at_hand": hand != "no",
                        "licence": entry.licence,
                        "description": entry.description,
                        "notes": entry.notes,
                    },
                    ensure_ascii=False,
                )
            )
        rows.append([name, " ".join(entry.languages), hand, entry.licence, entry.description])
    if not json_:
        put(table(rows, right=False))
    return 0


def fetch(*sets: str) -> int:
    """Fetch public sets into the cache and check them against their SHA-256.

    Prints the folders that hold the files.

    Parameters
    ----------
    sets
        Names, as `triptych data list` shows them.
    """
    from ..data.sets.catalog import entries, entry
    from ..data.sets.files import fetch as fetch_files

    if not sets:
        raise UsageError(f"Name a set to fetch: {', '.join(entries())}.")
    for name in sets:
        paths = fetch_files(entry(name), talk)
        if not paths:
            talk(f"{name} is built in, so there is nothing to fetch.")
        for path in paths:
            put(field(path))
    return 0


def check(
    *what: str,
    source: str | None = None,
    target: str | None = None,
    encoding: str | None = None,
    json_: Json = False,
) -> int:
    """Report problems of data with file, line and reason; exit with 1 if there are any.

    Parameters
    ----------
    what
        A recipe, a public set, one file with columns (two languages; or text and label), two
        aligned files, a CoNLL-U file, files of words and tags (.conll, .iob2, .bio), or of
        questions with passages (SQuAD's JSON); conversations or preferences; plain text, JSONL with
        a text alone, code, or a folder of these.
    source
        The source side's file, together with --target.
    target
        The target side's file.
    encoding
        Encoding of the files, like cp1252, if they are neither UTF-8 nor have a byte order mark.
    json_
        Print one JSON object per problem.
    """
    from ..data.validation.pairs import Problem, Report, check_examples
    from ..data.validation.pairs import check as check_files

    _refuse_idle_encoding(what, encoding)
    found = report_on(what, encoding) if source is None and target is None else None
    if found is not None:
        report, records = found
    else:
        records = "pairs"
        parts, named = _files(what, source, target, encoding)
        if parts is not None:
            report = check_files(parts)
        else:
            assert named is not None, "there are either files or examples"
            report = Report(
                check_examples(named),  # type: ignore[arg-type]
                {name: len(part) for name, part in named.items()},
            )
    if not report.problems:  # Otherwise the problems explain why a part is empty.
        place = ", ".join(what or [file for file in (source, target) if file])
        report.problems += [
            Problem(place, f"empty: no example for {name}")
            for name, count in report.pairs.items()
            if not count
        ]
    _put_problems(report.problems, json_)
    errors = sum(problem.severity == "error" for problem in report.problems)
    pairs = ", ".join(f"{name} {count:,}" for name, count in report.pairs.items())
    talk(
        f"{pairs or 'no'} {records}; {errors:,} errors, {len(report.problems) - errors:,} warnings."
    )
    return int(bool(report.problems))


def _put_problems(problems: Sequence[Problem], as_json: bool) -> None:
    """Print problems, at most SHOWN of a kind unless as JSON."""
    seen: dict[str, int] = {}
    for problem in problems:
        kind = problem.reason.split(":")[0]
        seen[kind] = seen.get(kind, 0) + 1
        if as_json:
            values = {
                "place": problem.place,
                "reason": problem.reason,
                "severity": problem.severity,
            }
            put(json.dumps(values, ensure_ascii=False))
        elif seen[kind] <= SHOWN:
            put(field(f"{problem.severity}: {problem}"))
    hidden = {kind: count - SHOWN for kind, count in seen.items() if count > SHOWN and not as_json}
    for kind, count in hidden.items():
        talk(f"{kind}: {count:,} more; --json prints all of them.")


def stats(
    *what: str,
    source: str | None = None,
    target: str | None = None,
    encoding: str | None = None,
    json_: Json = False,
) -> int:
    """Print counts, lengths, characters and scripts of each part.

    Parameters
    ----------
    what
        A recipe, a public set, one file with columns (two languages; or text and label), two
        aligned files, words with tags, trees, questions with passages, conversations, or plain
        text.
    source
        The source side's file, together with --target.
    target
        The target side's file.
    encoding
        Encoding of the files, like cp1252, if they are neither UTF-8 nor have a byte order mark.
    json_
        Print one JSON object per part.
    """
    from ..data.formats.pairs import read
    from ..data.validation.columns import counted
    from ..data.validation.pairs import stats as stats_of

    _refuse_idle_encoding(what, encoding)
    texts = None if source or target else labelled(what, encoding)
    named: dict[str, list[Example]] | None = None
    if texts is not None:
        named = read_labelled(texts)
    elif not source and not target:
        named = read_others(what, encoding)
    if named is None:
        parts, named = _files(what, source, target, encoding)
        if parts is not None:
            named = {name: read(files, report=talk) for name, files in parts.items()}
    for name, examples in (named or {}).items():
        found, counts = stats_of(examples), counted(examples)
        if json_:
            put(json.dumps({"part": name, **found, **counts}, ensure_ascii=False))
            continue
        keys = list(next(iter(found.values())))
        rows = [
            [name, *found],
            *([key, *(_text(side[key]) for side in found.values())] for key in keys),
        ]
        put(table(rows))
        for kind, labels in counts.items():
            more = f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
            put(
                f"{kind}  "
                + ", ".join(
                    f"{field(label)} {count:,}" for label, count in list(labels.items())[:SHOWN]
                )
                + more
            )
    return 0


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _refuse_idle_encoding(what: tuple[str, ...], encoding: str | None) -> None:
    """Raise UsageError if --encoding is given for what is not a file, or names none."""
    from ..data.formats.encodings import known
    from ..data.sets.catalog import entries

    if encoding is None:
        return
    known(encoding)
    if len(what) == 1 and (names_recipe(what[0]) or what[0] in entries()):
        raise UsageError(
            f"--encoding is for files, and {what[0]} is a recipe or a set. A recipe names the "
            "encoding of its files as data.encoding."
        )


def _files(what: tuple[str, ...], source: str | None, target: str | None, encoding: str | None,
           ) -> tuple[dict[str, Files] | None, dict[str, list[Example]] | None]:  # fmt: skip
    """Return what the arguments name: files by part, or a set's Examples by part."""
    from ..data.load import files_of, load_split
    from ..data.sets.catalog import entries
    from ..data.sets.entry import SPLITS
    from ..data.table import DataTable
    from ..recipe.schema import Recipe

    table = DataTable(encoding=encoding)
    if source is not None or target is not None:
        if source is None or what:
            raise UsageError(
                "Name two aligned files as --source a.en --target a.de, or without flags: a.en "
                "a.de."
            )
        return {"train": files_of([source, *([target] if target else [])], table)}, None
    if not what:
        raise UsageError(
            "Name the data: a recipe, a public set, one file with two columns, or two "
            "aligned files."
        )
    first = what[0]
    if len(what) == 1 and names_recipe(first):
        data = Recipe.load(first).data
        if data.set is None:
            given = {part: names for part in SPLITS if (names := getattr(data, part)) is not None}
            return {part: files_of(names, data) for part, names in given.items()}, None
    elif len(what) == 1 and first in entries():
        data = DataTable(set=first)
    else:
        return {"train": files_of(list(what), table)}, None
    return None, {part: load_split(data, part, talk) for part in SPLITS}
