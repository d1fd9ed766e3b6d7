"""Build one self-contained page of an evaluation: scores, classes, confusions, surest mistakes.

It needs no network and no script: its policy allows its own style and nothing else, and which of
both languages is shown is decided by two radio buttons and the style.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from ..errors import RunError
from ..metrics.classes import Breakdown, ClassScores, Confusion, Mistake
from .html import Language, in_words
from .views.bars import escaped, number

MOST_MISTAKES, MOST_PAIRS, MOST_LABELS = 25, 10, 200
LONGEST_TEXT = 400  # characters shown of a text
LEVELS = (0.25, 0.5, 0.75)  # shares of a row from which a cell is darker
NO_ANSWER: dict[Language, str] = {"en": "(no answer)", "zh-Hant": "（沒有答案）"}
SCORES: dict[Language, str] = {"en": "Scores", "zh-Hant": "分數"}
METRIC: dict[Language, str] = {"en": "metric", "zh-Hant": "指標"}
RUN: dict[Language, str] = {"en": "this run", "zh-Hant": "這個模型"}
INTERVAL: dict[Language, str] = {"en": "95 %", "zh-Hant": "95 % 信賴區間"}
BASELINE: dict[Language, str] = {"en": "baseline", "zh-Hant": "基準"}
CLASSES: dict[str, dict[Language, str]] = {
    "texts": {"en": "Each class", "zh-Hant": "各類別"},
    "entities": {"en": "Each type of entity", "zh-Hant": "各種實體"},
    "words": {"en": "Each tag", "zh-Hant": "各標籤"},
}
COLUMNS: tuple[dict[Language, str], ...] = (
    {"en": "class", "zh-Hant": "類別"},
    {"en": "in the data", "zh-Hant": "資料中"},
    {"en": "precision", "zh-Hant": "精確率"},
    {"en": "recall", "zh-Hant": "召回率"},
    {"en": "F1", "zh-Hant": "F1"},
)
TRAINED: dict[Language, str] = {"en": "in training", "zh-Hant": "訓練集"}
CONFUSION: dict[Language, str] = {"en": "Confusion matrix", "zh-Hant": "混淆矩陣"}
LEGEND: dict[Language, str] = {
    "en": (
        "A row is a class of the data, a column an answer; columns have the numbers of the rows. "
        "A darker cell has more of its row:"
    ),
    "zh-Hant": "每一列是資料的類別，每一欄是模型的答案，欄的編號和列相同。顏色愈深，佔該列愈多：",
}
TOO_MANY: dict[Language, str] = {
    "en": "There are too many classes for a matrix:",
    "zh-Hant": "類別太多，不畫矩陣：",
}
RIGHT: dict[Language, str] = {"en": "right", "zh-Hant": "答對"}
WRONG: dict[Language, str] = {"en": "wrong", "zh-Hant": "答錯"}
PAIRS: dict[Language, str] = {"en": "Most frequent confusions", "zh-Hant": "最常見的混淆"}
MISTAKES: dict[Language, str] = {"en": "Surest mistakes", "zh-Hant": "最有把握的錯誤"}
NO_MISTAKES: dict[Language, str] = {"en": "No answer is wrong.", "zh-Hant": "沒有答錯。"}
OUGHT: dict[Language, str] = {"en": "data", "zh-Hant": "資料"}
GIVEN: dict[Language, str] = {"en": "answer", "zh-Hant": "答案"}


@dataclass(frozen=True, kw_only=True)
class Report:
    """Hold what a page of an evaluation shows.

    Args:
        title: The heading.
        rows: For each metric its name, its value, its interval and the baseline's value, as text.
        notes: Warnings.
        breakdown: The scores of each class.
        texts: The texts of the examples, by the places of the mistakes.
        trained: Class -> number of training texts, where it is known.
    """

    title: str
    rows: Sequence[tuple[str, str, str, str]]
    breakdown: Breakdown
    texts: Sequence[str]
    notes: Sequence[str] = ()
    trained: Mapping[str, int] = field(default_factory=dict[str, int])


def page(report: Report, language: Language = "en") -> str:
    """Return the HTML text. language: the one that is shown first."""
    folder = resources.files("triptych.inspection")
    style = (folder / "report.css").read_text("utf-8")
    digest = hashlib.sha256(style.encode("utf-8")).digest()
    fields = {
        "language": language,
        "title": escaped(report.title),
        "heading": _name(report.title),
        "english": " checked" if language == "en" else "",
        "chinese": " checked" if language != "en" else "",
        "style": style,
        "style_hash": base64.b64encode(digest).decode("ascii"),
        "sections": "\n".join(_sections(report)),
    }
    # One pass, so that no data is mistaken for a placeholder.
    pieces = (folder / "report.html").read_text("utf-8").split("{")
    return pieces[0] + "".join(
        fields[name] + rest for name, rest in (piece.split("}", 1) for piece in pieces[1:])
    )


def write(path: str | Path, report: Report, language: Language = "en") -> Path:
    """Write the page to `path`, creating its folder.

    Raises:
        RunError: The file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(report, language), encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"Cannot write {path}: {error.strerror or error}. Choose another place for the page."
        ) from error
    return path


def _sections(report: Report) -> Iterator[str]:
    found = report.breakdown
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in report.notes)
    yield _section(SCORES, notes + _scores(report.rows))
    yield _section(CLASSES[found.unit], _classes(report))
    if found.confusion is not None:
        yield _section(CONFUSION, _confusion(found.confusion))
        pairs = found.confusion.pairs()[:MOST_PAIRS]
        if pairs:
            items = "".join(f"<li>{_verdict(*pair)}</li>" for pair in pairs)
            yield _section(PAIRS, f"<ol>{items}</ol>")
    if found.unit == "texts":
        yield _section(MISTAKES, _mistakes(found.mistakes, report.texts))


def _section(title: Mapping[Language, str], markup: str) -> str:
    return f"<section><h2>{in_words(title)}</h2>{markup}</section>"


def _name(label: str) -> str:
    """Return a label of the data as markup; it may be written from right to left."""
    return f"<bdi>{escaped(label)}</bdi>" if label else in_words(NO_ANSWER)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Return a table whose first column is its heading."""
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _scores(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Leave out the columns that are empty in all rows."""
    heads = [in_words(one) for one in (METRIC, RUN, INTERVAL, BASELINE)]
    kept = [place for place in range(4) if place < 2 or any(row[place] for row in rows)]
    return _table(
        [heads[place] for place in kept],
        [[html.escape(row[place]) for place in kept] for row in rows],
    )


def _classes(report: Report) -> str:
    first, support, *others = (in_words(one) for one in COLUMNS)
    trained = report.trained
    heads = [first, *([in_words(TRAINED)] if trained else []), support, *others]
    rows = [
        [
            _name(name),
            *([f"{trained.get(name, 0):,}"] if trained else []),
            f"{one.support:,}",
            *_values(one),
        ]
        for name, one in report.breakdown.classes.items()
    ]
    kind = "classes trained" if trained else "classes"
    return f'<div class="scroll" tabindex="0">{_table(heads, rows, kind)}</div>'


def _values(one: ClassScores) -> tuple[str, str, str]:
    """Return precision, recall and F1 as markup; a dash for a class that does not occur."""
    if not one.occurs:
        return "–", "–", "–"
    meter = (
        f'<meter min="0" max="100" value="{one.f1:.1f}"></meter> '
        f'<span class="figure">{one.f1:.1f}</span>'
    )
    return f"{one.precision:.1f}", f"{one.recall:.1f}", meter


def _confusion(found: Confusion) -> str:
    if len(found.labels) > MOST_LABELS:
        return f"<p>{in_words(TOO_MANY)} {len(found.labels):,} &gt; {MOST_LABELS}</p>"
    swatches = " ".join(
        f'<span class="swatch {letter}4">{in_words(words)}</span>'
        for letter, words in (("r", RIGHT), ("w", WRONG))
    )
    heads = "".join(
        f'<th scope="col" title="{escaped(label)}">{place}</th>'
        for place, label in enumerate(found.labels, 1)
    )
    rows = "".join(
        f'<tr><th scope="row" title="{escaped(label)}"><span class="number">{place}</span> '
        f'<span class="label">{_name(label)}</span></th>'
        f"{''.join(_cells(found, place - 1))}</tr>"
        for place, label in enumerate(found.labels, 1)
        if sum(found.counts[place - 1])
    )
    return (
        f'<p class="legend">{in_words(LEGEND)} {swatches}</p>'
        '<div class="scroll" tabindex="0"><table class="confusion">'
        f'<thead><tr><th scope="col"></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _cells(found: Confusion, row: int) -> Iterator[str]:
    whole = sum(found.counts[row])
    for column, count in enumerate(found.counts[row]):
        if not count:
            yield "<td></td>"
            continue
        level = 1 + sum(count / whole >= share for share in LEVELS)
        title = f"{found.labels[row]} → {found.labels[column]}: {count}"
        kind = "r" if row == column else "w"
        yield f'<td class="{kind}{level}" title="{escaped(title)}">{count}</td>'


def _verdict(reference: str, answer: str, said: int | str) -> str:
    """Return one line: what the data says, what was answered, and how often or how surely."""
    return (
        f'<span class="verdict">{in_words(OUGHT)} <b>{_name(reference)}</b>, {in_words(GIVEN)} '
        f'<b class="wrong">{_name(answer)}</b>: {said}</span>'
    )


def _mistakes(mistakes: Sequence[Mistake], texts: Sequence[str]) -> str:
    if not mistakes:
        return f"<p>{in_words(NO_MISTAKES)}</p>"
    shown = "".join(
        f"<li><p>{escaped(_cut(texts[one.place]))}</p>"
        f"{_verdict(one.reference, one.answer, html.escape(number(one.probability)))}</li>"
        for one in mistakes[:MOST_MISTAKES]
    )
    count = f"{min(len(mistakes), MOST_MISTAKES)} / {len(mistakes):,}"
    return f'<p class="soft">{count}</p><ol>{shown}</ol>'


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
