"""The picture of an answer: where it stands in the passage, and how likely each token near it begins or ends it.

One self-contained page of SVG and text without a script; its style is named by its SHA-256 in the Content-Security-Policy.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..data.batching import collate
from ..data.example import Example
from ..errors import RunError, UsageError
from .html import _digest

if TYPE_CHECKING:
    from ..data.tokenizer import Tokenizers
    from ..decoding.settings import DecodingSettings
    from ..tasks.task import Prediction, Task

NEAR = 12  # tokens on either side of the answer that have bars
AROUND = 1500  # characters of the passage on either side of the answer
STEP, HEIGHT, TOP, BAR = 46, 90, 24, 14  # pixels: between tokens, of a full bar, above it, its width

Language = Literal["en", "zh-Hant"]
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Answer", "question": "Question", "passage": "Passage", "answer": "Answer", "none": "no answer in this passage",
        "bars": "How likely each token begins (left bar) and ends (right bar) the answer, in the window that holds it",
        "candidates": "Candidates", "text": "text", "place": "characters", "probability": "probability", "begins": "begins",
        "ends": "ends", "no_answer": "Score of no answer (nats above the best span)", "cut": "The passage is shown near the answer.",
    },
    "zh-Hant": {
        "title": "答案", "question": "問題", "passage": "文章", "answer": "答案", "none": "這段文章沒有答案",
        "bars": "在含有答案的視窗裡，每個詞元作為答案開頭（左條）與結尾（右條）的機率",
        "candidates": "候選答案", "text": "文字", "place": "字元位置", "probability": "機率", "begins": "開頭", "ends": "結尾",
        "no_answer": "無答案分數（比最佳片段高出的奈特數）", "cut": "只顯示答案附近的文章。",
    },
}  # fmt: skip

STYLE = """:root{color-scheme:light dark;--line:#8888;--start:#2f6fb0;--end:#c4651a;--mark:#ffe28a}
body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}h2{font-size:1rem;margin:1.6rem 0 .4rem}
.passage{white-space:pre-wrap;border:1px solid var(--line);border-radius:6px;padding:.8rem}
mark{background:var(--mark);color:#000;padding:0 .15em;border-radius:3px}
.bars{overflow-x:auto}svg text{font:12px system-ui,sans-serif;fill:currentColor;text-anchor:middle}
.start{fill:var(--start)}.end{fill:var(--end)}.inside{font-weight:700}.axis{stroke:var(--line)}
table{border-collapse:collapse}td,th{border-bottom:1px solid var(--line);padding:.2rem .8rem .2rem 0;text-align:left}
.key{display:inline-block;width:.8em;height:.8em;margin-right:.3em}.key.start{background:var(--start)}.key.end{background:var(--end)}
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One token of the passage: its text, its characters, how likely it begins and ends the answer."""

    text: str
    start: int
    end: int
    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class AnswerView:
    """What the picture shows. bars: tokens of the window in which the answer is likeliest, those near it."""

    question: str
    passage: str
    prediction: Prediction
    bars: list[Bar]


def view(model: Any, head: Any, task: Task, tokenizers: Tokenizers, labels: dict[str, Any], example: Example,
         settings: DecodingSettings) -> AnswerView:  # fmt: skip
    """Answer `example` and keep the probabilities around the answer. Raises UsageError where question or passage is empty."""
    import torch

    from ..model.spans import log_probabilities

    if task.name != "question-answering":
        raise UsageError(f"This picture is of an answer in a passage; a run for {task.name} has none.")
    if not (example.question or "").strip() or not (example.passage or "").strip():
        raise UsageError("There is nothing to show: the question or the passage is empty.")
    windows = task.encode(example, tokenizers, labels, "use", None)
    raw, chances = [], []
    for one in windows:  # one at a time: a picture is of one text
        batch = collate([one]).to(next(model.parameters()).device)
        raw += task.answer(model, head, batch, settings, tokenizers)
        with torch.inference_mode():
            logits = head(model, model(**batch.inputs), batch.inputs)
            chances.append(log_probabilities(logits, batch.inputs["source_lengths"])[0].exp().tolist())
    prediction = task.read(raw, example, tokenizers)
    scores = [found.spans[0][0] if found.spans else -math.inf for found in raw]
    window = scores.index(max(scores))
    return AnswerView(example.question or "", example.passage or "", prediction,
                      _bars(windows[window], chances[window], example.passage or "", prediction))  # fmt: skip


def _bars(window: Any, chances: list[list[float]], passage: str, prediction: Prediction) -> list[Bar]:
    """The tokens near the likeliest span; the bytes of one character are one bar."""
    first, offsets = window.about.first, window.about.offsets.tolist()
    bars: list[Bar] = []
    for (start, end), (begins, ends) in zip(offsets, chances[first : first + len(offsets)], strict=True):
        if bars and (start, end) == (bars[-1].start, bars[-1].end):
            last = bars.pop()
            begins, ends = begins + last.begins, ends + last.ends
        bars.append(Bar(passage[start:end], start, end, begins, ends))
    spans = prediction.details["candidates"]
    low, high = (spans[0]["start"], spans[0]["end"]) if spans else (0, 0)
    inside = [place for place, bar in enumerate(bars) if bar.end > low and bar.start < high] or [0]
    return bars[max(0, inside[0] - NEAR) : inside[-1] + NEAR + 1]


def page(shown: AnswerView, *, language: Language = "en") -> str:
    """The HTML text."""
    words = {name: html.escape(text) for name, text in WORDS[language].items()}
    details = shown.prediction.details
    rows = "".join(
        f"<tr><td>{html.escape(one['text'])}</td><td>{one['start']}–{one['end']}</td><td>{100 * one['probability']:.1f} %</td></tr>"
        for one in details["candidates"]
    )
    policy = f"default-src 'none'; style-src 'sha256-{_digest(STYLE)}'; base-uri 'none'; form-action 'none'"
    said = html.escape(shown.prediction.text) or words["none"]
    score = details["no_answer_score"]
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{words["title"]} · {html.escape(shown.question[:60])}</title><style>{STYLE}</style></head><body>
<h1>{words["question"]}: {html.escape(shown.question)}</h1>
<p>{words["answer"]}: <strong>{said}</strong></p>
<h2>{words["passage"]}</h2>{_passage(shown, words)}
<h2>{words["bars"]}</h2>
<p><span class="key start"></span>{words["begins"]} <span class="key end"></span>{words["ends"]}</p>
<div class="bars">{_svg(shown.bars, details)}</div>
<h2>{words["candidates"]}</h2>
<table><tr><th>{words["text"]}</th><th>{words["place"]}</th><th>{words["probability"]}</th></tr>{rows}</table>
<p>{words["no_answer"]}: {"–" if score is None else f"{score:.2f}"}</p>
</body></html>
"""


def _passage(shown: AnswerView, words: dict[str, str]) -> str:
    """The passage with the answer marked; of a long one what is near it."""
    text, start, end = shown.passage, shown.prediction.details["start"], shown.prediction.details["end"]
    if start is None:
        start = end = 0
    low, high = max(0, start - AROUND), min(len(text), end + AROUND)
    marked = f"<mark>{html.escape(text[start:end])}</mark>" if end > start else ""
    dots = ["…" if low > 0 else "", "…" if high < len(text) else ""]
    note = f"<p>{words['cut']}</p>" if any(dots) else ""
    return f'<div class="passage">{dots[0]}{html.escape(text[low:start])}{marked}{html.escape(text[end:high])}{dots[1]}</div>{note}'


def _svg(bars: Sequence[Bar], details: dict[str, Any]) -> str:
    spans = details["candidates"]
    low, high = (spans[0]["start"], spans[0]["end"]) if spans else (0, 0)
    parts = [f'<line class="axis" x1="0" y1="{TOP + HEIGHT}" x2="{STEP * len(bars)}" y2="{TOP + HEIGHT}"/>']
    for place, bar in enumerate(bars):
        middle = STEP * place + STEP / 2
        for name, value, left in (("start", bar.begins, middle - BAR - 1), ("end", bar.ends, middle + 1)):
            tall = HEIGHT * min(1.0, value)
            parts.append(f'<rect class="{name}" x="{left:.1f}" y="{TOP + HEIGHT - tall:.1f}" width="{BAR}" height="{tall:.1f}">'
                         f"<title>{100 * value:.2f} %</title></rect>")  # fmt: skip
        inside = ' class="inside"' if bar.end > low and bar.start < high else ""
        shown = bar.text.strip() or "␣"
        shown = shown if len(shown) <= 7 else f"{shown[:6]}…"
        parts.append(f'<text{inside} x="{middle:.1f}" y="{TOP + HEIGHT + 18}">{html.escape(shown)}</text>')
    return f'<svg width="{STEP * len(bars)}" height="{TOP + HEIGHT + 30}" role="img">{"".join(parts)}</svg>'


def write(path: str | Path, shown: AnswerView, *, language: Language = "en") -> Path:
    """Write the page to `path`, creating its folder. Raises RunError when that cannot be done."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(shown, language=language), encoding="utf-8")
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}. Choose another place for the page.") from error
    return path
