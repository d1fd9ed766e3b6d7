"""Check plain text before training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import DataError
from ..example import FIELDS
from ..formats.columns import needs_of
from ..formats.foreign.fast_text import is_fast_text
from ..formats.lines import lines_of, read_bytes
from ..formats.table_format import sniff
from ..formats.tagged_content import is_conll
from ..formats.texts import CODE, as_it_is, files_in, texts_of
from ..split import SHARES, sentence_key
from .pairs import Problem, Report, as_problem, readable

LONG_LINE = 100_000  # characters
SMALL_SET = 40  # texts; a part of 2.5 % of fewer may be empty


def is_plain_text(name: str, encoding: str | None = None) -> bool:
    """Tell whether a name is that of plain text.

    That is a folder, code, JSONL with a text and no other field, or a text file whose first line is
    not a row of a table and that does not hold words with tags.
    """
    path = Path(name)
    plain = path.name.removesuffix(".gz").lower()
    if is_conll(name):
        return False
    if plain.endswith((".jsonl", ".ndjson")):
        return path.is_file() and _is_text_alone(path, encoding)
    if path.is_dir() or not plain.endswith((".txt", ".md")):
        return path.is_dir() or plain.endswith(CODE)
    if not path.is_file():
        return True
    raw = read_bytes(path)
    return b"\t" not in raw.lstrip().split(b"\n", 1)[0] and not is_fast_text(raw)


def _is_text_alone(path: Path, encoding: str | None) -> bool:
    """Tell whether a JSONL file's first object has a `text` and no key of other records."""
    try:
        columns = sniff(path, encoding=encoding).columns
        return (
            "text" in columns
            and not {*FIELDS, "prompt", "instruction"} & {*columns} - {"text"}
            and needs_of(path, encoding=encoding) is None
        )
    except DataError:
        return False


def check(
    names: Sequence[str],
    key: str = "text",
    verbatim: bool = False,
    is_split: bool = True,
    encoding: str | None = None,
) -> Report:
    """Check plain text and collect every problem.

    Found are bytes that are not text, characters that a conversion lost, very long lines,
    duplicates, and sets that are too small.

    Args:
        names: Files and folders.
        key: The key of a text in JSONL.
        verbatim: True if texts are learnt as they are written.
        encoding: That of the files, if it is not UTF-8.
        is_split: True if development and test texts are taken from these, which needs enough texts.
    """
    report, count = Report(), 0
    first_seen = report.inputs

    def wrong(place: str, reason: str) -> None:
        report.problems.append(Problem(place, f"unreadable: {reason}"))

    try:
        paths = files_in(names, verbatim)
    except DataError as problem:
        return Report([Problem(str(names[0]), str(problem))], {"train": 0})
    for path in paths:
        try:
            if not readable(path, report.problems, encoding):
                continue
            lines = lines_of(path, encoding=encoding)
            report.problems += _lines(lines, str(path))
            texts = list(texts_of(lines, path, key, as_it_is(path, verbatim), wrong))
        except DataError as problem:
            report.problems.append(as_problem(problem, path))
            continue
        count += len(texts)
        for one in texts:
            same = sentence_key(one.text or "")
            if same in first_seen:
                reason = f"duplicate: the same text is at {first_seen[same]}"
                report.problems.append(Problem(one.place, reason, "warning"))
            first_seen.setdefault(same, one.place)
    report.pairs = {"train": count}
    if (
        is_split
        and count < SMALL_SET
        and not any(problem.severity == "error" for problem in report.problems)
    ):
        share = f"{100 * SHARES['validation']:g} % are held out"
        reason = (
            f"few texts: {count}, of which {share}; name data.validation and data.test, or put "
            "empty lines between texts"
        )
        report.problems.append(Problem(str(names[0]), reason, "warning" if count else "error"))
    return report


def _lines(lines: Sequence[str], where: str) -> list[Problem]:
    found = []
    for number, line in enumerate(lines, 1):
        if "\ufffd" in line:
            found.append(
                Problem(
                    f"{where}:{number}",
                    "lost character: U+FFFD replaces one that a conversion did not know",
                    "warning",
                )
            )
        if "\x00" in line:
            found.append(
                Problem(
                    f"{where}:{number}", "zero byte: this may not be text, or be UTF-16", "warning"
                )
            )
        if len(line) > LONG_LINE:
            found.append(
                Problem(f"{where}:{number}", f"long line: {len(line):,} characters", "warning")
            )
    return found
