"""Check the records of a draft before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...data.table import DataTable
    from ...data.validation.pairs import Report


def check_tags(names: dict[str, list[str]], data: DataTable) -> Report:
    from ...data.validation.conll import check

    return check(names, data.listed(("words", "tags")), data.encoding)


def check_trees(names: dict[str, list[str]], data: DataTable) -> Report:
    from ...data.validation.conllu import check
    from ...data.validation.pairs import Report

    found = {part: check(path, data.encoding) for part, paths in names.items() for path in paths}
    problems = [problem for report in found.values() for problem in report.problems]
    return Report(problems, {part: sum(report.pairs.values()) for part, report in found.items()})


def check_questions(names: dict[str, list[str]], data: DataTable) -> Report:
    from ...data.validation.squad import check

    return check(names, data.columns, data.encoding)
