"""Read source texts with one or several references to be generated, and questions on passages.

TSV, CSV or JSONL with the fields of the task by name or in order (source, target; passage, target;
question, passage, target; source, target, task). In JSONL a target can be a list: the first is for
training, and scores take the best of all. SQuAD's JSON serves tasks on questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import UsageError
from ..example import Example, Notify
from ..segmentation.sentences import split_sentences
from . import columns, squad

if TYPE_CHECKING:
    from ..table import DataTable

_sentences = lru_cache(maxsize=4096)(split_sentences)  # a passage has several questions


def read(
    names: Sequence[str],
    data: DataTable,
    needs: Sequence[str],
    report: Notify | None = None,
) -> list[Example]:
    """Read the Examples of one or several files; those with an empty field are left out.

    Their number is reported. data.columns, or data.fields in the order above, names the columns or
    keys. Raises DataError naming file and line of what cannot be read.
    """
    found: list[Example] = []
    for name in names:
        if squad.is_squad(name, data.encoding):
            if "passage" not in needs:
                raise UsageError(
                    f"{name} holds questions on passages; this task reads "
                    f"{', '.join(_columns(needs))}: TSV or JSONL."
                )
            found += written(
                squad.usable(
                    squad.questions_in(name, data, report), report, Path(name).name, is_span=False
                ),
                needs,
            )
        else:
            found += columns.read([name], data, _columns(needs), report)
    for one in found:
        one.source_language = data.source
    return found


def _columns(needs: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in needs if name != "references")


def written(
    examples: Sequence[Example], needs: Sequence[str], together: bool = False
) -> list[Example]:
    """Turn passages with questions and answers into texts to be generated.

    The targets are the answers if `needs` has the question, else the questions. A question is
    generated from the sentence that holds its answer (Du et al. 2017), or from the whole passage if
    it has no answer.

    together: the questions on one sentence become references of one Example, as evaluation there
        does.
    """
    usable = [
        one for one in examples if (one.question or "").strip() and (one.passage or "").strip()
    ]
    if "question" in needs:
        return [_answered(one) for one in usable]
    asked = [_asked(one) for one in usable]
    return grouped(asked) if together else asked


def _answered(example: Example) -> Example:
    """Take the answer that most references agree on as target; no text if there is no answer."""
    texts = [text for text, _ in example.answers or []]
    return Example(
        question=example.question,
        passage=example.passage,
        target=max(texts, key=texts.count, default=""),
        references=list(dict.fromkeys(texts)),
        source_language=example.source_language,
        place=example.place,
    )


def _asked(example: Example) -> Example:
    passage, places = example.passage or "", squad.standing(example)
    start, end = 0, len(passage)
    if places:
        first, last = places[0][1], places[0][1] + len(places[0][0])
        inside = [(low, high) for low, high in _sentences(passage) if low < last and high > first]
        start, end = (inside[0][0], inside[-1][1]) if inside else (start, end)
    return Example(
        passage=passage[start:end],
        target=(example.question or "").strip(),
        source_language=example.source_language,
        place=example.place,
    )


def grouped(examples: Sequence[Example]) -> list[Example]:
    """Make one Example for each passage, with all its targets as references.

    The first of them is its target.
    """
    found: dict[str, Example] = {}
    for one in examples:
        own = one.references if one.references is not None else [one.target or ""]
        kept = found.setdefault(one.passage or "", one)
        kept.references = list(own) if kept is one else [*(kept.references or []), *own]
    return list(found.values())


def to_score(examples: list[Example], needs: Sequence[str]) -> list[Example]:
    """Return the Examples as they are scored.

    Generated questions have all questions on one passage or sentence as references.
    """
    return (
        grouped(examples)
        if "references" in needs and "passage" in needs and "question" not in needs
        else examples
    )
