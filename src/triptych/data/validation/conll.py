"""Check files of words and tags line by line before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ...errors import DataError
from ..formats import bio, span_spelling
from ..formats.conll import check_tags, tagged_file
from ..formats.foreign.own_lines import own_lines
from ..formats.tagged_sentence import TaggedSentence
from .pairs import Problem, Report, as_problem, readable

FiledSentence = tuple[str, TaggedSentence]  # a file, and a sentence in it


def check(
    parts: Mapping[str, Sequence[str]],
    fields: Sequence[str] | None = None,
    encoding: str | None = None,
) -> Report:
    """Check all files and collect every problem.

    parts: "train", "validation", "test" -> file names.

    Errors: lines that cannot be read, sentences of the development and test parts that are also in
        another part.
    Warnings: broken spans, which training reads as conlleval does; what training leaves out or
        changes; tags that look like spans and are not read as spans; repeated sentences; labels
        that are not in the training part.
    """
    report, found = Report(), {}
    for part, names in parts.items():
        found[part] = [
            one for name in names for one in _file(name, fields, report.problems, encoding)
        ]
        report.pairs[part] = len(found[part])
    report.problems += _spans(one for part in found.values() for one in part)
    report.problems += _repeated(found)
    report.problems += _unseen(found)
    return report


def _file(
    name: str, fields: Sequence[str] | None, problems: list[Problem], encoding: str | None
) -> list[FiledSentence]:
    def wrong(place: str, reason: str) -> None:
        problems.append(Problem(place, reason))

    try:
        if not readable(name, problems, encoding):
            return []
        file = tagged_file(own_lines(name, encoding=encoding), name, fields, wrong)
    except DataError as problem:
        problems.append(as_problem(problem, name))
        return []
    problems += [Problem(f"{name}:{one.line}", str(one), "warning") for one in file.remarks]
    doubt = span_spelling.doubt(Counter(tag for one in file.sentences for tag in one.tags))
    problems += [Problem(name, doubt, "warning")] if doubt is not None else []
    return [(name, one) for one in file.sentences]


def _spans(found: Iterable[FiledSentence]) -> list[Problem]:
    found, problems = list(found), []
    scheme = bio.scheme_of(tag for _, one in found for tag in one.tags)
    if scheme == "plain":
        return []
    for name, one in found:
        check_tags(one, name, scheme, lambda place, reason: problems.append(Problem(place, reason)))
        for place in bio.broken(one.tags, scheme):
            before = one.tags[place - 1] if place else "the beginning of the sentence"
            if place == len(one.tags):
                reason = (
                    f"broken {scheme.upper()}: the sentence ends, and {before} leaves a span open"
                )
            else:
                reason = (
                    f"broken {scheme.upper()}: {one.tags[place]} ('{one.words[place]}') cannot "
                    f"follow {before}"
                )
            problems.append(
                Problem(f"{name}:{one.lines[min(place, len(one.tags) - 1)]}", reason, "warning")
            )
    return problems


def _repeated(found: Mapping[str, Sequence[FiledSentence]]) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[tuple[str, ...], tuple[str, str]] = {}
    for part, sentences_ in found.items():
        for name, one in sentences_:
            key, place = tuple(one.words), f"{name}:{one.lines[0]}"
            if key not in seen:
                seen[key] = part, place
            elif seen[key][0] == part:
                problems.append(
                    Problem(place, f"duplicate: the same sentence is at {seen[key][1]}", "warning")
                )
            elif len(key) > 3:  # short sentences like "Thank you ." occur everywhere
                problems.append(
                    Problem(
                        place, f"leak: this sentence is also in {seen[key][0]} ({seen[key][1]})"
                    )
                )
    return problems


def _unseen(found: Mapping[str, Sequence[FiledSentence]]) -> list[Problem]:
    """Report the first line of every label that is not in the training part."""
    known = Counter(tag for _, one in found.get("train", ()) for tag in one.tags)
    problems, reported = [], set(known)
    for part, sentences_ in found.items():
        for name, one in sentences_ if part != "train" and known else ():
            for line, tag in zip(one.lines, one.tags, strict=True):
                if tag not in reported:
                    reported.add(tag)
                    problems.append(
                        Problem(
                            f"{name}:{line}",
                            f"unseen label: '{tag}' is not in the training part",
                            "warning",
                        )
                    )
    return problems
