"""Read JSONL of words with tags, or of texts with spans.

{"words": ["Ann", "sings"], "tags": ["B-PER", "O"]}, or
{"text": "Ann sings", "spans": [{"start": 0, "end": 3, "label": "PER"}]} with [start, end)
characters of the text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...errors import DataError, UsageError, unknown
from ..example import OnProblem
from ..segmentation import words as rules
from . import bio
from .json_lines import brief, first_object, is_object, is_text, object_of, text_of
from .tagged_sentence import OnRemark, TaggedSentence

WORDS, TAGS = ("words", "tokens"), ("tags", "ner_tags", "labels", "upos", "pos_tags")
TEXT, SPANS = "text", ("spans", "entities")
RULE = "unicode"  # how texts with spans are split into words, as task.words by default
Span = tuple[int, int, str]  # first character, character after the last, type


@dataclass(frozen=True, slots=True)
class JsonLayout:
    """Name the keys: of words and tags, or of the text and its spans."""

    kind: Literal["words", "spans"]
    words: str
    tags: str

    def __str__(self) -> str:
        if self.kind == "words":
            return f"JSONL with '{self.words}' and '{self.tags}'"
        return (
            f"JSONL with '{self.words}' and '{self.tags}', split into words by the rule "
            f"'{RULE}' (task.words)"
        )


def is_json(lines: Sequence[str]) -> bool:
    """Tell whether the first line that is not empty is a JSON object."""
    return is_object(next((line for line in lines if line.strip()), ""))


def layout_of(values: Mapping[str, object]) -> JsonLayout | None:
    """Find the keys of words and tags, or of text and spans, in a record; None without both."""
    words = next((key for key in WORDS if _is_list(values.get(key), str)), None)
    tags = next((key for key in TAGS if isinstance(values.get(key), list)), None)
    if words is not None and tags is not None:
        return JsonLayout("words", words, tags)
    spans = next((key for key in SPANS if _is_list(values.get(key), dict, list)), None)
    if isinstance(values.get(TEXT), str) and spans is not None:
        return JsonLayout("spans", TEXT, spans)
    return None


def sniff(lines: Sequence[str], where: str, fields: Sequence[str] | None = None) -> JsonLayout:
    """Find the keys, by `fields` or by the first record.

    Raises:
        UsageError: `fields` names impossible keys.
        DataError: The first record has no words and tags.
    """
    first = first_object(lines)
    if fields is not None:
        if len(fields) != 2:
            raise UsageError(
                f"data.fields names {len(fields)} keys; it must name two, those of the words and "
                "their tags, or of the text and its spans."
            )
        for name in fields:
            if name not in first:
                raise unknown("key", name, first, f"of {where} in data.columns or data.fields")
        kind = "spans" if isinstance(first[fields[0]], str) else "words"
        return JsonLayout(kind, *fields)
    found = layout_of(first)
    if found is None:
        raise DataError(
            f"{where}: the first record has {', '.join(first) or 'no key'}, where 'words' and "
            "'tags' (two lists) or 'text' and 'spans' are needed. Name other keys in data.columns "
            "(--columns words=KEY,tags=KEY)."
        )
    return found


def sentences(
    lines: Sequence[str], where: str, layout: JsonLayout, wrong: OnProblem, remark: OnRemark
) -> Iterator[TaggedSentence]:
    """Yield the sentences.

    wrong: gets the place and reason of each record that cannot be read. remark: gets what is left
    out or changed.
    """
    read = _words_and_tags if layout.kind == "words" else _text_and_spans
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            one = read(object_of(line), number, layout, remark)
        except ValueError as problem:
            wrong(f"{where}:{number}", str(problem))
            continue
        if one is not None:
            yield one


def _words_and_tags(
    values: dict[str, object], number: int, layout: JsonLayout, remark: OnRemark
) -> TaggedSentence | None:
    words, tags = (_list_of(values, key) for key in (layout.words, layout.tags))
    if len(words) != len(tags):
        raise ValueError(
            f"'{layout.words}' has {len(words)} words and '{layout.tags}' has {len(tags)} tags; "
            "every word needs one."
        )
    for place, word in enumerate(words, 1):
        if not is_text(word):
            raise ValueError(f"word {place} must be a text, got {brief(word)}.")
        if not word.strip():
            raise ValueError(f"no word: word {place} is empty or white space alone.")
    number_tag = next((tag for tag in tags if isinstance(tag, int | float)), None)
    if number_tag is not None:
        raise ValueError(
            f"'{layout.tags}' holds numbers ({number_tag}), and the file does not say which tags "
            'they stand for. Write the names, like "B-PER" (with the library datasets: '
            f"names = set.features['{layout.tags}'].feature.names), or name another key in "
            "data.columns (--columns tags=KEY)."
        )
    for place, tag in enumerate(tags, 1):
        if tag is not None and not is_text(tag):
            raise ValueError(f"tag {place} must be a text, got {brief(tag)}.")
    read = [" ".join(tag.split()) if isinstance(tag, str) else "" for tag in tags]
    if not words:
        remark("empty text", number, f"'{layout.words}' is an empty list; the record is left out")
        return None
    if "" in read:
        word = str(words[read.index("")])
        remark("no tag", number, f"'{word[:40]}' has none; the sentence is left out")
        return None
    text = values.get(TEXT)
    given = text if layout.words != TEXT and is_text(text) else None
    return TaggedSentence([str(word) for word in words], read, [number] * len(words), text=given)


def _text_and_spans(
    values: dict[str, object], number: int, layout: JsonLayout, remark: OnRemark
) -> TaggedSentence | None:
    text = text_of(values, layout.words)
    given = [] if values.get(layout.tags) is None else _list_of(values, layout.tags)
    if layout.tags not in values:
        raise ValueError(
            f"the key '{layout.tags}' is missing; write an empty list for a text without spans."
        )
    read = [_span(one, place, layout) for place, one in enumerate(given, 1)]
    places = rules.split(text, RULE)
    if not places:
        remark("empty text", number, f"'{layout.words}' holds no word; the record is left out")
        return None
    tags = bio.written(_in_words(text, places, read, number, remark), len(places), "bio")
    words = [text[start:end] for start, end in places]
    return TaggedSentence(words, tags, [number] * len(words), text=text, places=places)


def _span(value: object, place: int, layout: JsonLayout) -> Span:
    """Return a span. Raise ValueError for one without start, end and label."""
    start: object = None
    end: object = None
    label: object = None
    if isinstance(value, dict):
        start, end, label = (value.get(key) for key in ("start", "end", "label"))
    elif isinstance(value, list) and len(value) == 3:
        start, end, label = value
    ends = [one for one in (start, end) if isinstance(one, int) and not isinstance(one, bool)]
    if len(ends) < 2:
        raise ValueError(
            f"'{layout.tags}': span {place} needs start and end as numbers of characters and a "
            'label: {"start": 0, "end": 5, "label": "PER"} or [0, 5, "PER"].'
        )
    if not is_text(label) or not label.strip():
        raise ValueError(f"'{layout.tags}': span {place} needs a label, a text.")
    return ends[0], ends[1], " ".join(label.split())


def _in_words(
    text: str, places: rules.Words, found: Sequence[Span], number: int, remark: OnRemark
) -> list[tuple[str, int, int]]:
    """Return the spans in words: (type, first word, word after the last).

    The longest of overlapping spans is kept.
    """
    taken, kept = [False] * len(places), list[tuple[str, int, int]]()
    for start, end, label in sorted(set(found), key=lambda one: (one[0] - one[1], one)):
        shown = f"{label} [{start}, {end})"
        inside = start >= 0 and end <= len(text)
        reached = _reached(places, start, end) if inside and start < end else None
        if reached is None:
            reason = "no word" if inside else f"more than the text ({len(text)} characters)"
            remark("empty span", number, f"{shown} holds {reason}; it is left out")
            continue
        first, last = reached
        if any(taken[first:last]):
            remark("overlapping span", number, f"{shown} overlaps a longer one; it is left out")
            continue
        taken[first:last] = [True] * (last - first)
        kept.append((label, first, last))
        now = places[first][0], places[last - 1][1]
        stripped = text[start:end].strip()
        if now != (begin := text.index(stripped, start), begin + len(stripped)):
            words = text[now[0] : now[1]]
            remark("span inside a word", number, f"{shown} '{stripped}' is read as '{words}'")
    return kept


def _reached(places: rules.Words, start: int, end: int) -> tuple[int, int] | None:
    """Return the words [first, last) that a span holds; None if it holds none.

    A word of which less than half is inside is not held, unless there is no other.
    """
    first = bisect_right(places, start, key=lambda place: place[1])
    last = bisect_left(places, end, key=lambda place: place[0])
    shares = {
        word: (min(end, places[word][1]) - max(start, places[word][0]))
        / (places[word][1] - places[word][0])
        for word in range(first, last)
    }
    if not shares:
        return None
    held = [word for word, share in shares.items() if share >= 0.5] or [
        max(shares, key=lambda word: shares[word])
    ]
    return held[0], held[-1] + 1


def _list_of(values: dict[str, object], key: str) -> list[object]:
    if key not in values:
        raise ValueError(f"the key '{key}' is missing; there are {', '.join(values)}.")
    value = values[key]
    if not isinstance(value, list):
        raise ValueError(f"'{key}' must be a list, got {brief(value)}.")
    return value


def _is_list(value: object, *kinds: type) -> bool:
    return isinstance(value, list) and all(isinstance(one, kinds) for one in value)
