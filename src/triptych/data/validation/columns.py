"""Check texts and their labels line by line, and count the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import DataError, nearest
from ..example import Example
from ..formats.choosing import Columns
from ..formats.columns import LEARNT, records
from ..formats.missing_labels import missing_labels
from ..pair_table import PairTable
from ..split import sentence_key
from .pairs import Problem, Report, as_problem, of_remarks, readable

PARTS = ("train", "validation", "test")


def check(
    parts: Mapping[str, Sequence[str]],
    needs: Sequence[str],
    columns: Columns | None = None,
    encoding: str | None = None,
) -> Report:
    """Check all files and collect every problem.

    parts: "train", "validation", "test" -> files; columns: the place of the fields;
    encoding: that of the files, if it is not UTF-8.
    """
    report, examples = Report(), {}
    for part, names in parts.items():
        for name in names:
            found: list[Problem] = []
            try:
                if readable(name, found, encoding):
                    examples.setdefault(part, []).extend(
                        _examples(name, columns, needs, found, encoding)
                    )
            except DataError as problem:
                found.append(as_problem(problem, name))
            report.problems += found
    report.problems += check_examples(examples)
    report.pairs = {name: len(part) for name, part in examples.items()}
    return report


def _examples(
    name: str,
    columns: Columns | None,
    needs: Sequence[str],
    found: list[Problem],
    encoding: str | None,
) -> list[Example]:
    """Return the Examples that training would read; add what it would skip or refuse to `found`."""
    examples, folder = [], Path(name).parent

    def wrong(place: str, reason: str) -> None:
        found.append(Problem(place, _kind(reason)))

    for example in records(
        name,
        columns,
        needs,
        wrong=wrong,
        remark=lambda one: found.extend(of_remarks(one)),
        encoding=encoding,
        left_out=lambda place, reason: found.append(
            Problem(place, f"no label: {reason.rstrip('.')}; the line is left out")
        ),
    ):
        example.place = str(folder / example.place)
        missing = [
            field
            for field in needs
            if field not in LEARNT and not (getattr(example, field) or "").strip()
        ]
        if missing:
            found.append(
                Problem(
                    example.place,
                    f"empty text: {' and '.join(missing)} is empty; the line is left out",
                )
            )
        else:
            examples.append(example)
    return examples


def _kind(reason: str) -> str:
    """Put the name of its kind before a reader's reason."""
    kinds = {"column(s)": "too few columns", "the label": "bad label", "the value": "bad value"}
    return (
        f"{next((kind for word, kind in kinds.items() if word in reason), 'unreadable')}: {reason}"
    )


def check_examples(parts: Mapping[str, Sequence[Example]]) -> list[Problem]:
    """List repeated texts, texts with two labels, leaks between parts, and unseen labels.

    Unseen are labels of validation and test that training lacks.
    """
    found: list[Problem] = []
    held: dict[str, tuple[str, Example]] = {}
    for name in PARTS:
        for example in parts.get(name, ()):
            key = _key(example)
            if key not in held:
                held[key] = (name, example)
                continue
            part, first = held[key]
            if part != name:
                found.append(
                    Problem(example.place, f"leak: this text is also in {part} ({first.place})")
                )
            elif _learnt(first) == _learnt(example):
                found.append(
                    Problem(
                        example.place,
                        f"duplicate: the same text is at {first.place}",
                        "warning",
                    )
                )
            if _learnt(first) != _learnt(example) and example.value is None:
                reason = (
                    f"two labels: {_label(example)} here, {_label(first)} for the same text at "
                    f"{first.place}"
                )
                found.append(Problem(example.place, reason, "warning"))
    return found + _labels(parts)


def _labels(parts: Mapping[str, Sequence[Example]]) -> list[Problem]:
    found: list[Problem] = []
    train = Counter(label for example in parts.get("train", ()) for label in _names(example))
    for example in parts.get("train", ()):
        rare = [label for label in _names(example) if train[label] == 1]
        if rare and len(train) > 1:
            found.append(
                Problem(example.place, f"rare label: only this text has '{rare[0]}'", "warning")
            )
    for label, count in missing_labels(train).items():
        first = next(one for one in parts["train"] if label in _names(one))
        texts = f"{count:,} texts have '{label}'" if count > 1 else f"1 text has '{label}'"
        reason = (
            f"missing label: {texts}, which usually stands for a missing value but is learnt as "
            "a class; empty the label to leave such a text out"
        )
        found.append(Problem(first.place, reason, "warning"))
    for name in PARTS[1:]:
        for example in parts.get(name, ()) if train else ():
            for label in _names(example):
                if label not in train:
                    found.append(Problem(example.place, f"unseen label: '{label}' is not in train"))
    if len(train) == 1:
        found.append(
            Problem(
                parts["train"][0].place,
                f"one label: all texts have '{next(iter(train))}', so there is nothing to learn",
            )
        )
    return found


def refuse_unseen(train: Sequence[Example], validation: Sequence[Example]) -> None:
    """Raise DataError for the first development text whose label no training text has."""
    if isinstance(validation, PairTable):  # has no labels
        return
    known = {label for example in train for label in _names(example)}
    for example in validation:
        for label in _names(example):
            if label not in known:
                close = nearest(label, known)
                hint = f" Did you mean '{close}'?" if close else ""
                raise DataError(
                    f"{example.place or 'A validation text'} has the label '{label}', which no "
                    f"training text has.{hint} Training has {len(known):,} labels. Correct the "
                    "label, or take the line out. triptych data check lists all."
                )


def label_counts(examples: Sequence[Example]) -> dict[str, int]:
    """Count the texts of each label, most frequent first; empty for numbers."""
    return dict(Counter(label for example in examples for label in _names(example)).most_common())


def counted(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """Count what is learnt: kind -> name -> how often, most frequent first.

    Kinds are labels, tags, upos, relations and questions; those without any are left out.
    """
    found = {"labels": label_counts(examples)}
    for kind in ("tags", "upos", "relations"):
        found[kind] = dict(
            Counter(
                name for example in examples for name in getattr(example, kind) or ()
            ).most_common()
        )
    asked = [example for example in examples if example.question is not None]
    found["questions"] = dict(
        Counter("answered" if example.answers else "without an answer" for example in asked)
    )
    return {kind: counts for kind, counts in found.items() if counts}


def _names(example: Example) -> list[str]:
    return [example.label] if example.label is not None else list(example.labels or ())


def _learnt(example: Example) -> object:
    return example.value if example.value is not None else sorted(_names(example))


def _label(example: Example) -> str:
    return ", ".join(f"'{name}'" for name in _names(example)) or "none"


def _key(example: Example) -> str:
    return sentence_key(example.text or "") + (
        "\t" + sentence_key(example.text_pair) if example.text_pair is not None else ""
    )
