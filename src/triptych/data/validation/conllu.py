"""Check a CoNLL-U file line by line: columns, ids, heads, relations, trees, text, duplicates."""

from __future__ import annotations

from pathlib import Path

from ..formats.conllu import ParsedSentence, aligned, sentences, surface_tokens, tree_of
from ..formats.lines import lines_of
from ..split import sentence_key
from .pairs import Problem, Report, readable

UPOS = frozenset(
    [
        "ADJ",
        "ADP",
        "ADV",
        "AUX",
        "CCONJ",
        "CONJ",
        "DET",
        "INTJ",
        "NOUN",
        "NUM",
        "PART",
        "PRON",
        "PROPN",
        "PUNCT",
        "SCONJ",
        "SYM",
        "VERB",
        "X",
    ]
)  # CONJ is from version 1


def is_conllu(path: str) -> bool:
    return Path(path.removesuffix(".gz")).suffix in (".conllu", ".conll-u")


def check(path: str, encoding: str | None = None) -> Report:
    """Check a file and collect every problem.

    Errors are what training would refuse; warnings deserve a second look.
    """
    report = Report(pairs={"sentences": 0})
    if not readable(path, report.problems, encoding):
        return report

    def wrong(place: str, reason: str) -> None:
        report.problems.append(Problem(place, reason))

    good, seen = 0, {}
    for sentence in sentences(lines_of(path, encoding=encoding), path, wrong):
        good += tree_of(sentence, path, wrong) is not None
        report.problems += _oddities(sentence, path)
        forms = tuple(row[1] for row in sentence.words)
        if forms in seen and len(forms) > 3:
            report.problems.append(
                Problem(
                    f"{path}:{sentence.line}",
                    f"duplicate: the same words are at {path}:{seen[forms]}",
                    "warning",
                )
            )
        seen.setdefault(forms, sentence.line)
        report.inputs.setdefault(sentence_key(" ".join(forms)), f"{path}:{sentence.line}")
    report.problems.sort(key=lambda one: int(one.place.rsplit(":", 1)[1]))
    report.pairs = {"sentences": good}
    return report


def _oddities(sentence: ParsedSentence, path: str) -> list[Problem]:
    found = []
    for row, line in zip(sentence.words, sentence.lines, strict=True):
        if row[3] not in UPOS:
            found.append(
                Problem(
                    f"{path}:{line}",
                    f"unknown part of speech: '{row[3]}' is not one of Universal Dependencies",
                    "warning",
                )
            )
        if (row[6] == "0") != (row[7].split(":")[0] == "root"):
            found.append(
                Problem(
                    f"{path}:{line}",
                    f"root relation: head {row[6]} with relation '{row[7]}'",
                    "warning",
                )
            )
    if (
        sentence.text is not None
        and aligned(sentence.text, [form for form, *_ in surface_tokens(sentence)]) is None
    ):
        found.append(
            Problem(
                f"{path}:{sentence.line}",
                "text mismatch: '# text' does not hold the words in order",
                "warning",
            )
        )
    return found
