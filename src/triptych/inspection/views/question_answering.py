"""Draw an extractive answer.

The pictures show its place in the passage, how likely each token near it begins or ends it, and the
other candidates.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...data.batches.encoded import Encoded, collate
from ...data.example import Example
from ...errors import UsageError
from ...tasks.spans import WindowAnswers, trimmed
from ..html import Language, Picture, in_words
from .bars import escaped
from .labels import middle_cut

if TYPE_CHECKING:
    from ...data.tokenizers.sides import Tokenizers
    from ...decoding.settings import DecodingSettings
    from ...tasks.task import Labels, Prediction, Task

CONTEXT_TOKENS = 12  # tokens on either side of the answer that have bars
AROUND = 800  # characters of the passage on either side of the answer
STEP, HEIGHT, TOP, BAR = 46, 90, 8, 14  # pixels: between tokens, of a full bar, above it, its width
LONGEST = 7  # characters of a token that are shown below its bars
INK, START, END, LINE = "#1c2430", "#0b5cad", "#b3480f", "#d5dbe3"

WORDS: dict[str, dict[Language, str]] = {
    "title": {"en": "Answer in its passage", "zh-Hant": "答案在文章中的位置"},
    "question": {"en": "Question", "zh-Hant": "問題"},
    "answer": {"en": "Answer", "zh-Hant": "答案"},
    "none": {"en": "no answer in this passage", "zh-Hant": "這段文章沒有答案"},
    "cut": {"en": "The passage is shown near the answer.", "zh-Hant": "只顯示答案附近的文章。"},
    "bars": {"en": "Where the answer may begin and end", "zh-Hant": "答案可能的開頭與結尾"},
    "window": {
        "en": "Probability of each token near the answer, in the part of the text that holds it.",
        "zh-Hant": "在含有答案的那一段裡，答案附近各詞元的機率。",
    },
    "begins": {"en": "begins the answer", "zh-Hant": "答案的開頭"},
    "ends": {"en": "ends it", "zh-Hant": "答案的結尾"},
    "candidates": {"en": "Candidates", "zh-Hant": "候選答案"},
    "text": {"en": "text", "zh-Hant": "文字"},
    "place": {"en": "characters", "zh-Hant": "字元位置"},
    "probability": {"en": "probability", "zh-Hant": "機率"},
    "no_answer": {
        "en": "Score of no answer (nats above the best span):",
        "zh-Hant": "無答案的分數（比最佳片段高出的奈特數）：",
    },
}


@dataclass(frozen=True, slots=True)
class Bar:
    """Hold a token of the passage and its probabilities of beginning and ending the answer."""

    text: str
    start: int
    end: int
    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class AnswerView:
    """Hold what the pictures show.

    Args:
        question: The question.
        passage: The passage.
        prediction: The answer with its candidates.
        window: Number, from 1, of the window in which the answer is likeliest.
        bars: The tokens of that window near the answer.
    """

    question: str
    passage: str
    prediction: Prediction
    window: int
    bars: list[Bar]


def view(
    model: Any,
    head: Any,
    task: Task,
    tokenizers: Tokenizers,
    labels: Labels,
    example: Example,
    settings: DecodingSettings,
) -> AnswerView:
    """Answer `example` and keep the probabilities around the answer.

    Raises:
        UsageError: The question or the passage is empty, or the task has no passage.
    """
    import torch

    from ...model.heads.span import log_probabilities

    if task.spec.head != "span" or task.answer is None:
        raise UsageError(
            f"This picture shows an answer in a passage, which a run for {task.name} does not have."
        )
    passage = example.passage or ""
    if not (example.question or "").strip() or not passage.strip():
        raise UsageError("There is nothing to show: the question or the passage is empty.")
    windows, device = (
        task.encode(example, tokenizers, labels, "use", None),
        next(model.parameters()).device,
    )
    raw: list[WindowAnswers] = []
    for one in windows:  # One at a time, because a picture is of one text.
        raw += task.answer(model, head, collate([one]).to(device), settings, tokenizers)
    prediction = task.read(raw, example, tokenizers)
    spans = prediction.details["candidates"]
    best = (spans[0]["start"], spans[0]["end"]) if spans else (0, 0)
    likely = [
        max(
            (value for value, *place in one.spans if trimmed(passage, *place) == best),
            default=-math.inf,
        )
        for one in raw
    ]
    chosen = likely.index(max(likely))
    inputs = collate([windows[chosen]]).to(device).inputs
    with torch.inference_mode():
        logits = head(model, model(**inputs), inputs)
        chances = log_probabilities(logits, inputs["source_lengths"])[0].exp().tolist()
    return AnswerView(
        example.question or "",
        passage,
        prediction,
        chosen + 1,
        _bars(windows[chosen], chances, passage, best),
    )


def _bars(
    window: Encoded, chances: list[list[float]], passage: str, best: tuple[int, int]
) -> list[Bar]:
    """Return bars near the likeliest span; the bytes of one character make one bar."""
    first, offsets = window.metadata.first, window.metadata.offsets.tolist()
    bars: list[Bar] = []
    for (start, end), (begins, ends) in zip(
        offsets, chances[first : first + len(offsets)], strict=True
    ):
        if bars and (start, end) == (bars[-1].start, bars[-1].end):
            last = bars.pop()
            begins, ends = begins + last.begins, ends + last.ends
        bars.append(Bar(passage[start:end], start, end, begins, ends))
    inside = [
        place for place, bar in enumerate(bars) if bar.end > best[0] and bar.start < best[1]
    ] or [0]
    return bars[max(0, inside[0] - CONTEXT_TOKENS) : inside[-1] + CONTEXT_TOKENS + 1]


def pictures(shown: AnswerView) -> list[Picture]:
    """Draw the answer in its passage, the bars near it, and the table of candidates."""
    words = {name: in_words(texts) for name, texts in WORDS.items()}
    details = shown.prediction.details
    answer = html.escape(shown.prediction.text) or words["none"]
    place = (
        f"<dl><dt>{words['question']}</dt><dd>{html.escape(shown.question)}</dd><dt>{words['answer']}</dt>"
        f'<dd class="answer">{answer}</dd></dl>{_passage(shown, words)}'
    )
    keys = "".join(
        f'<span class="key {name}">{words[word]}</span> '
        for name, word in (("start", "begins"), ("end", "ends"))
    )
    bars = (
        f'<p class="legend">{words["window"]} {keys}</p>{_svg(shown.bars, details["candidates"])}'
    )
    rows = "".join(
        f'<tr><th scope="row">{html.escape(one["text"])}</th><td>{one["start"]}–{one["end"]}</td>'
        f"<td>{100 * one['probability']:.1f} %</td></tr>"
        for one in details["candidates"]
    )
    columns = "".join(
        f'<th scope="col">{words[name]}</th>' for name in ("text", "place", "probability")
    )
    score = details["no_answer_score"]
    table = (
        f'<table class="candidates"><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="legend">{words["no_answer"]} {"–" if score is None else f"{score:.2f}"}</p>'
    )
    return [
        Picture(WORDS["title"], place),
        Picture(WORDS["bars"], bars),
        Picture(WORDS["candidates"], table),
    ]


def _passage(shown: AnswerView, words: dict[str, str]) -> str:
    """Return the passage with the answer marked; of a long one only the part near it."""
    text, start, end = (
        shown.passage,
        shown.prediction.details["start"],
        shown.prediction.details["end"],
    )
    if start is None:
        start = end = 0
    low, high = max(0, start - AROUND), min(len(text), end + AROUND)
    marked = f'<mark class="answer">{html.escape(text[start:end])}</mark>' if end > start else ""
    dots = ["…" if low > 0 else "", "…" if high < len(text) else ""]
    note = f'<p class="legend">{words["cut"]}</p>' if any(dots) else ""
    return (
        "<p "
        f'class="text">{dots[0]}{html.escape(text[low:start])}{marked}{html.escape(text[end:high])}{dots[1]}</p>{note}'
    )


def _svg(bars: Sequence[Bar], spans: Sequence[dict[str, Any]]) -> str:
    """Draw two bars per token on one line."""
    low, high = (spans[0]["start"], spans[0]["end"]) if spans else (0, 0)
    width, height, floor = STEP * len(bars), TOP + HEIGHT + 30, TOP + HEIGHT
    aria = escaped(
        "; ".join(
            f"{bar.text.strip()} {100 * bar.begins:.1f} %, {100 * bar.ends:.1f} %" for bar in bars
        )
    )
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="answer-bars" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{aria}" '
            'font-family="system-ui, sans-serif" font-size="12" text-anchor="middle">'
        ),
        f'<rect class="track" fill="{LINE}" x="0" y="{floor}" width="{width}" height="1"/>',
    ]
    for place, bar in enumerate(bars):
        middle = STEP * place + STEP / 2
        for name, colour, value, left in (
            ("start", START, bar.begins, middle - BAR - 1),
            ("end", END, bar.ends, middle + 1),
        ):
            tall = HEIGHT * min(1.0, value)
            parts.append(
                f'<rect class="{name}" fill="{colour}" x="{left:.1f}" y="{floor - tall:.1f}" '
                f'width="{BAR}" height="{tall:.1f}">'
                f"<title>{100 * value:.2f} %</title></rect>"
            )
        weight = ' font-weight="700"' if bar.end > low and bar.start < high else ""
        whole = bar.text.strip() or "␣"
        parts.append(
            f'<text class="ink" fill="{INK}" x="{middle:.1f}" '
            f'y="{floor + 18}"{weight}><title>{escaped(whole)}</title>'
            f"{escaped(middle_cut(whole, LONGEST))}</text>"
        )
    return "\n".join([*parts, "</svg>"])
