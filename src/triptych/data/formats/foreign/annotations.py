"""Share what the files of annotation tools have in common: texts, labels and spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..json_lines import is_text
from .json_records import Record, Unusable

STARTS = ("start", "start_offset")
ENDS = ("end", "end_offset")
LONG_LABEL = 25  # characters; labels are shorter on average
NO_LABEL = "without a label"


def text_under(record: Mapping[str, object], *keys: str) -> str:
    """Return the text under the first of the keys that is there. Raises Unusable if it is empty."""
    key = next((one for one in keys if one in record), keys[0])
    value = record.get(key)
    if not is_text(value) or not value.strip():
        raise Unusable(f"without a text under '{key}'")
    return value


def is_texts(value: object) -> bool:
    """Tell whether a value is a list of one or more texts."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def is_span(value: object) -> bool:
    """Tell whether a value is [start, end, label], or an object with these."""
    if isinstance(value, list):
        return len(value) == 3 and all(isinstance(one, int) for one in value[:2])
    return (
        isinstance(value, dict)
        and any(one in value for one in STARTS)
        and any(one in value for one in ENDS)
    )


def are_spans(value: object) -> bool:
    """Tell whether a value is a list of one or more spans."""
    return isinstance(value, list) and bool(value) and all(map(is_span, value))


def spans_of(given: object, text: str) -> list[Record]:
    """Return spans as {"start", "end", "label"}, counted in characters, in their order.

    Raises Unusable if one of them has no label or does not lie in the text.
    """
    found: list[Record] = []
    for one in given if isinstance(given, list) else []:
        start, end, label, quoted = _parts(one)
        if not isinstance(label, str) or not label.strip():
            raise Unusable("a span has no label in words")
        if (
            not isinstance(start, int)
            or not isinstance(end, int)
            or not 0 <= start < end <= len(text)
        ):
            raise Unusable("a span does not lie in the text")
        start, end = _placed(text, start, end, quoted)
        found.append({"start": start, "end": end, "label": label.strip()})
    return sorted(found, key=lambda span: (span["start"], span["end"]))  # type: ignore[return-value]


def _parts(one: object) -> tuple[object, object, object, object]:
    """Return start, end, label and text of a span."""
    if isinstance(one, list) and len(one) == 3:
        return one[0], one[1], one[2], None
    if not isinstance(one, dict):
        return None, None, None, None
    label = next((one[key] for key in ("label", "type", "tag", "labels") if one.get(key)), None)
    if isinstance(label, list):
        label = label[0]
    return (
        next((one[key] for key in STARTS if key in one), None),
        next((one[key] for key in ENDS if key in one), None),
        label,
        one.get("text"),
    )


def _placed(text: str, start: int, end: int, quoted: object) -> tuple[int, int]:
    """Return where a span stands whose tool may count UTF-16 units, two for an emoji."""
    if not isinstance(quoted, str) or not quoted or text[start:end] == quoted:
        return start, end
    units = text.encode("utf-16-le")
    first = len(units[: 2 * start].decode("utf-16-le", "ignore"))
    if text.startswith(quoted, first):
        return first, first + len(quoted)
    if text[start:end].split() == quoted.split():
        return start, end
    raise Unusable("a span does not hold the text that stands beside it")


def settled(
    records: Sequence[Record | Unusable], none_of_them: bool = False
) -> list[Record | Unusable]:
    """Write `labels`, a list, as `label` if no record of the file has several.

    none_of_them: an empty list among several labels means that none of them fits. Otherwise a
    record without a label was not annotated, and is left out.
    """
    several = any(_labels(one) is not None and len(_labels(one) or []) > 1 for one in records)
    found: list[Record | Unusable] = []
    for one in records:
        labels = _labels(one)
        if isinstance(one, Unusable) or labels is None:
            found.append(one)
        elif not labels and not (several and none_of_them):
            found.append(Unusable(NO_LABEL))
        elif several:
            found.append(one)
        else:
            rest = {key: value for key, value in one.items() if key not in ("labels", "text")}
            found.append({"text": one["text"], "label": labels[0], **rest})
    return found


def _labels(one: Record | Unusable) -> list[str] | None:
    labels = None if isinstance(one, Unusable) else one.get("labels")
    return labels if isinstance(labels, list) else None


def are_written(records: Sequence[Record | Unusable]) -> bool:
    """Tell whether the labels of a file are texts to be written: long, and nearly all different."""
    found = [label for one in records for label in _labels(one) or []]
    return (
        bool(found)
        and sum(map(len, found)) > LONG_LABEL * len(found)
        and 2 * len(set(found)) > len(found)
    )


def as_targets(records: Sequence[Record | Unusable]) -> list[Record | Unusable]:
    """Write `labels` as `target`: one text, or a list where several are given."""
    found: list[Record | Unusable] = []
    for one in records:
        labels = [label for label in _labels(one) or [] if label.strip()]
        if isinstance(one, Unusable):
            found.append(one)
        elif not labels:
            found.append(Unusable("without a target"))
        else:
            found.append(
                {"source": one["text"], "target": labels[0] if len(labels) == 1 else labels}
            )
    return found


def names_of(given: object) -> list[str]:
    """Return labels as texts without repetition. Raises Unusable if they are numbers of labels."""
    values = given if isinstance(given, list) else [given]
    names = [one.strip() for one in values if isinstance(one, str)]
    if len(names) < len(values):
        raise Unusable("labels are numbers without names (export them with their names)")
    return [name for name in dict.fromkeys(names) if name]
