"""Show a Prediction at a Python prompt and in a notebook. Imports no torch."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .task import Prediction

LONGEST_LINE = 80  # characters of an answer on one line
LONGEST_CELL = 4000  # characters of an answer in a notebook
MOST = 5  # labels, fillings of a place or other answers that are shown
CELL = "text-align: left; padding: 0.1em 0.8em 0.1em 0; border: 0; background: none"
TRACK = "display: inline-block; width: 10em; height: 0.8em; background: rgba(128, 128, 128, 0.25)"
BAR = "display: block; height: 100%; background: #4a90d9"


def text(prediction: Prediction) -> str:
    """Return a Prediction on one line: a long answer is cut off, and empty parts are left out."""
    parts = [repr(_cut(prediction.text))]
    if prediction.score is not None:
        parts.append(f"score={prediction.score:.4g}")
    if prediction.cut:
        parts.append("cut=True")
    if prediction.truncated_input_tokens:
        parts.append(f"truncated_input_tokens={prediction.truncated_input_tokens}")
    if prediction.details:
        parts.append(f"details={sorted(prediction.details)}")
    if prediction.alternatives:
        parts.append(f"alternatives={len(prediction.alternatives)}")
    return f"Prediction({', '.join(parts)})"


def markup(prediction: Prediction) -> str:
    """Return a Prediction as HTML that leaves the notebook's own style alone."""
    answer = html.escape(_cut(prediction.text, LONGEST_CELL)) or "<em>empty</em>"
    facts = [f"score {prediction.score:.4g}"] if prediction.score is not None else []
    if prediction.cut:
        facts.append("cut at its maximum length")
    if prediction.truncated_input_tokens:
        facts.append(f"truncated: {prediction.truncated_input_tokens:,} input tokens not read")
    note = f'<div style="opacity: 0.7">{" · ".join(facts)}</div>' if facts else ""
    return (
        '<div><div style="white-space: pre-wrap; font-weight: 600; overflow-wrap: anywhere">'
        f"{answer}</div>{note}{_details(prediction)}</div>"
    )


def _details(prediction: Prediction) -> str:
    """Return the likeliest labels or fillings with bars, or the other answers with their scores."""
    details = prediction.details
    if details.get("probabilities"):
        ranked = sorted(details["probabilities"].items(), key=lambda pair: -pair[1])
        return _bars([(str(name), value) for name, value in ranked])
    if details.get("masks"):
        places: list[dict[str, Any]] = details["masks"][:MOST]
        return "".join(
            f"<div>[MASK] {number}</div>"
            + _bars([(one["text"], one["probability"]) for one in place["fillings"]])
            for number, place in enumerate(places, 1)
        )
    rows = "".join(
        _row(["" if one.score is None else f"{one.score:.4g}", html.escape(_cut(one.text))])
        for one in prediction.alternatives[:MOST]
    )
    return f"<table>{rows}</table>" if rows else ""


def _bars(ranked: list[tuple[str, float]]) -> str:
    rows = "".join(
        _row([html.escape(_cut(name)), _bar(value), f"{value:.3f}"])
        for name, value in ranked[:MOST]
    )
    rest = len(ranked) - MOST
    more = f'<div style="opacity: 0.7">and {rest} more</div>' if rest > 0 else ""
    return f"<table>{rows}</table>{more}"


def _bar(value: float) -> str:
    share = f"{100 * min(1.0, max(0.0, value)):.1f}%"
    return f'<span style="{TRACK}"><span style="{BAR}; width: {share}"></span></span>'


def _row(cells: list[str]) -> str:
    inside = "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells)
    return f'<tr style="background: none">{inside}</tr>'


def _cut(text: str, most: int = LONGEST_LINE) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
