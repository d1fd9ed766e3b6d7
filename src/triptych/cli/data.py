"""Run `triptych data list`, `fetch`, `check`, `stats`, `convert` and `shards`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import UsageError
from ..messages import Message, message
from .columns import parsed
from .console import field, label, put, table, talk

if TYPE_CHECKING:
    from ..data.validation.pairs import Problem, Report
    from ..setup.named_data import NamedData

SHOWN = 20  # problems of one kind that are printed
Json = Annotated[bool, Parameter(name="--json")]


def list_sets(*, json_: Json = False) -> int:
    """List the public data sets known by name, whether they are downloaded, and their licence.

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
    """Download public data sets into the cache and check their SHA-256.

    Training fetches what it needs by itself. Prints the paths of the files.

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
    task: str | None = None,
    source: str | None = None,
    target: str | None = None,
    columns: str | None = None,
    encoding: str | None = None,
    offline: bool = False,
    json_: Json = False,
) -> int:
    """Report problems in data with file, line and reason; the exit code is 1 if there are any.

    Parameters
    ----------
    what
        A recipe, a public set, a data set of the hub (hf:org/name), or files: with columns (two
        languages; or text and label), two aligned files, words with tags, trees, questions with
        passages, conversations, plain text, code, or a folder of texts; and files that other tools
        write.
    task
        The task that reads the files, like tagging; by default their content decides.
    source
        File of the source side, together with --target.
    target
        File of the target side, together with --source.
    columns
        Which columns or keys are read, as in `triptych init`: text=3,label=1.
    encoding
        Encoding of the files, like cp1252; by default UTF-8, or what a byte order mark says.
    offline
        Read data sets of the hub from what was fetched before, and ask nobody.
    json_
        Print one JSON object per problem.
    """
    from ..data.validation.pairs import Problem
    from ..setup.data_report import report_on

    found = _named(what, task, source, target, columns, encoding, offline)
    report, records = report_on(found, talk)
    if not report.problems:  # Otherwise the problems explain why a part is empty.
        place = ", ".join(what or [file for file in (source, target) if file])
        report.problems += [
            Problem(place, f"empty: no example for {name}")
            for name, count in report.pairs.items()
            if not count
        ]
    _put_problems(report.problems, json_)
    if found.guess is not None:
        talk(found.guess)
    talk(_counted(report, records))
    return int(bool(report.problems))


def convert(
    *files: Path,
    to: str | None = None,
    task: str | None = None,
    columns: str | None = None,
    encoding: str | None = None,
    out: Path | None = None,
    offline: bool = False,
) -> int:
    """Convert a file, also one of another tool, to a format that Triptych reads.

    Prints the path of what it wrote.

    Parameters
    ----------
    files
        A file, a folder named after labels, two aligned files, or a data set of the hub.
    to
        jsonl, tsv, csv, conll, conllu, text, srt or vtt, or the name of a file with such an ending;
        by default what the task reads best.
    task
        The task that reads the files, like tagging; by default their content decides.
    columns
        Which columns or keys are read, as in `triptych init`: text=3,label=1.
    encoding
        Encoding of the files, like cp1252; by default UTF-8, or what a byte order mark says.
    out
        The file to write; by default beside the first file. Never overwrites. A data set of the hub
        needs it.
    offline
        Read data sets of the hub from what was fetched before, and ask nobody.
    """
    from ..data.formats.encodings import known
    from ..data.hub.data_sets import located_name
    from ..data.hub.repository import go_offline, is_reference
    from ..setup.data_conversion import Conversion
    from ..setup.data_conversion import convert as converted

    if not files or len(files) > 2:
        raise UsageError("Name one file or folder to convert, or two aligned files.")
    if encoding is not None:
        known(encoding)
    if offline:
        go_offline()
    if out is None and any(map(is_reference, files)):
        raise UsageError(
            "Name the file to write for {name}: --out FILE.", name=" ".join(map(str, files))
        )
    paths = tuple(Path(located_name(str(one), "train", talk)) for one in files)
    asked = Conversion(
        files=paths, to=to, task=task, columns=parsed(columns), encoding=encoding, out=out
    )
    for path in converted(asked, talk):
        put(field(path))
    return 0


def shards(recipe: str, /, *, processes: int | None = None, ray: int | None = None) -> int:
    """Cut the texts of a streamed set into token shards, which training then reads.

    Goes on where it was interrupted. Prints the folder of the shards.

    Parameters
    ----------
    recipe
        A recipe with `data.stream`, or for plain text of more than about 1 GB.
    processes
        How many processes cut texts, by default one; the shards are the same for any number.
    ray
        How many actors of Ray cut texts (the extra `ray`): on the cluster at RAY_ADDRESS, or else
        on this machine. The shards are the same, and are written by this process.
    """
    from ..recipe.schema import Recipe
    from ..setup.shards import write_shards
    from .shards_ray import crew_of

    put(field(write_shards(Recipe.load(recipe), crew_of(processes, ray), talk)))
    return 0


def _counted(report: Report, records: str) -> Message:
    """Say how many records and problems there are."""
    counts = [*report.pairs.values()]
    records = records.removesuffix("s") if counts == [1] else records
    errors = sum(problem.severity == "error" for problem in report.problems)
    pairs = ", ".join(f"{name} {count:,}" for name, count in report.pairs.items())
    return message(
        "{pairs} {records}; {errors:,} errors, {warnings:,} warnings.",
        pairs=pairs or message("no"),
        records=Message(records),
        errors=errors,
        warnings=len(report.problems) - errors,
    )


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
        talk(
            message(
                "{kind}: {count:,} more; --json prints all of them.",
                kind=Message(kind),
                count=count,
            )
        )


def stats(
    *what: str,
    task: str | None = None,
    source: str | None = None,
    target: str | None = None,
    columns: str | None = None,
    encoding: str | None = None,
    offline: bool = False,
    json_: Json = False,
) -> int:
    """Print counts, lengths, characters and writing systems of each part.

    Parameters
    ----------
    what
        A recipe, a public set, or files, as `triptych data check` takes them.
    task
        The task that reads the files, like tagging; by default their content decides.
    source
        File of the source side, together with --target.
    target
        File of the target side, together with --source.
    columns
        Which columns or keys are read, as in `triptych init`: text=3,label=1.
    encoding
        Encoding of the files, like cp1252; by default UTF-8, or what a byte order mark says.
    offline
        Read data sets of the hub from what was fetched before, and ask nobody.
    json_
        Print one JSON object per part.
    """
    from ..data.validation.columns import counted
    from ..data.validation.pairs import stats as stats_of
    from ..setup.named_data import examples_of

    found = _named(what, task, source, target, columns, encoding, offline)
    if found.guess is not None:
        talk(found.guess)
    for name, examples in examples_of(found, talk).items():
        sides, counts = stats_of(examples), counted(examples)
        if json_:
            put(json.dumps({"part": name, **sides, **counts}, ensure_ascii=False))
            continue
        keys = list(next(iter(sides.values())))
        rows = [
            [name, *sides],
            *([key, *(_text(side[key]) for side in sides.values())] for key in keys),
        ]
        put(table(rows))
        for kind, labels in counts.items():
            more = f" and {len(labels) - SHOWN:,} more" if len(labels) > SHOWN else ""
            put(
                f"{kind}  "
                + ", ".join(
                    f"{field(label(name))} {count:,}"
                    for name, count in list(labels.items())[:SHOWN]
                )
                + more
            )
    return 0


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _named(
    what: tuple[str, ...],
    task: str | None,
    source: str | None,
    target: str | None,
    columns: str | None,
    encoding: str | None,
    offline: bool,
) -> NamedData:
    """Return what the arguments name. Raises UsageError as `named_data`."""
    from ..data.formats.encodings import known
    from ..data.hub.data_sets import located_name
    from ..data.hub.repository import go_offline
    from ..setup.named_data import PAIR_TASK, named_data

    if encoding is not None:
        known(encoding)
    if source is not None or target is not None:
        if source is None or what or task not in (None, PAIR_TASK):
            raise UsageError(
                "Name two aligned files as --source a.en --target a.de, or without flags: a.en "
                "a.de."
            )
        what, task = (source, *([target] if target else [])), PAIR_TASK
    if offline:
        go_offline()
    what = tuple(located_name(one, "train", talk) for one in what)
    return named_data(what, task, encoding, parsed(columns))
