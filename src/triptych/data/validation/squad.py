"""Check passages, questions and answers before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...errors import DataError
from ..example import Example
from ..formats.choosing import Columns
from ..formats.question_records import LocatedQuestion
from ..formats.squad import questions
from ..split import sentence_key
from .pairs import Problem, Report, as_problem, of_remarks


def check(
    parts: Mapping[str, Sequence[str]],
    columns: Columns | None = None,
    encoding: str | None = None,
) -> Report:
    """Check all files and collect every problem.

    parts: "train", "validation", "test" -> names of files. columns, encoding: as in
    the table `data`.
    """
    report, found = Report(), dict[str, list[LocatedQuestion]]()
    for name, files in parts.items():
        found[name] = []
        for file in files:
            try:
                found[name] += questions(
                    file,
                    wrong=_collect(report, "unreadable: {}"),
                    unusable=_collect(report, "unusable question: {} It is left out."),
                    columns=columns,
                    encoding=encoding,
                    remark=lambda one: report.problems.extend(of_remarks(one)),
                )
            except DataError as problem:
                report.problems.append(as_problem(problem, file))
    report.problems += check_questions(found)
    report.pairs = {name: len(part) for name, part in found.items()}
    return report


def _collect(report: Report, form: str) -> Callable[[str, str], None]:
    """Return a function that adds a problem to the report, with its reason in `form`."""
    return lambda place, reason: report.problems.append(Problem(place, form.format(reason)))


def check_questions(parts: Mapping[str, Sequence[LocatedQuestion]]) -> list[Problem]:
    """Report empty texts, misplaced answers, repeated questions, and passages in two parts."""
    problems: list[Problem] = []
    names: dict[str, str] = {}
    passages: dict[str, str] = {}
    for part, found in parts.items():
        for one in found:
            problems += _one(one)
            example = one.example
            if example.place in names:
                problems.append(
                    Problem(example.place, "repeated id: two questions have it", "warning")
                )
            names[example.place] = part
            key = sentence_key(example.passage or "")
            if passages.setdefault(key, part) != part and key:
                problems.append(
                    Problem(example.place, f"leak: its passage is also in {passages[key]}")
                )
    return problems


def check_examples(parts: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """Check Examples that were already read, as `check_questions` does."""
    return check_questions(
        {name: [LocatedQuestion(example) for example in part] for name, part in parts.items()}
    )


def _one(one: LocatedQuestion) -> list[Problem]:
    example, problems = one.example, []
    for name in ("question", "passage"):
        if not (getattr(example, name) or "").strip():
            problems.append(Problem(example.place, f"empty {name}: it is left out"))
    alone = not any(start >= 0 for _, start in example.answers or [])
    for reason in one.lost:
        more = "the question is left out" if alone else "its other answers are still learnt from"
        problems.append(
            Problem(
                example.place, f"wrong offset: {reason}; {more}", "error" if alone else "warning"
            )
        )
    problems += [
        Problem(example.place, f"{kind}: {reason}", "warning")
        for kind, reasons in (("moved answer", one.moved), ("other offsets", one.recounted))
        for reason in reasons
    ]
    return problems
