"""Write learning curves as one self-contained page that opens from disk without a network."""

from __future__ import annotations

import html
import json
from importlib import resources

from .curves import Curves, Panel
from .curves_svg import (
    HEIGHT,
    LIGHT,
    WIDTH,
    WORDS,
    Language,
    panel_svg,
    scales,
    style,
)
from .html import digest


def page(curves: Curves, language: Language = "en") -> str:
    """Return the HTML text: a legend whose buttons hide runs, and panels that show values."""
    folder = resources.files("triptych.inspection")
    css = (folder / "curves.css").read_text("utf-8") + style()
    script = (folder / "curves.js").read_text("utf-8")
    words = WORDS[language]
    data = {
        "names": curves.names,
        "words": {key: words[key] for key in ("train", "validation")},
        "axis": words[curves.axis],
        "size": [WIDTH, HEIGHT],
        "panels": [_values(curves, panel) for panel in curves.panels],
    }
    fields = {
        "language": language,
        "title": html.escape(f"{words['title']}: {', '.join(curves.names)}"),
        "heading": words["title"],
        "style": css,
        "style_hash": digest(css),
        "script": script,
        "script_hash": digest(script),
        # "<" must not be in a script element's data, because a name could close the element.
        "data": json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        "legend": "".join(_button(run, name) for run, name in enumerate(curves.names)),
        "key": _key(curves, language),
        "panels": "\n".join(
            f'<figure tabindex="0" data-panel="{place}">{panel_svg(curves, panel, language)}'
            f'<p class="readout" role="status"></p></figure>'
            for place, panel in enumerate(curves.panels)
        ),
    }
    pieces = (folder / "curves.html").read_text("utf-8").split("{")
    return pieces[0] + "".join(
        fields[name] + rest for name, rest in (piece.split("}", 1) for piece in pieces[1:])
    )


def _button(run: int, name: str) -> str:
    return (
        f'<button type="button" aria-pressed="true" data-run="{run}">'
        f'<i class="swatch run-{run % len(LIGHT)}"></i>{html.escape(name)}</button>'
    )


def _key(curves: Curves, language: Language) -> str:
    """Return how training and validation are told apart."""
    if len(curves.splits) < 2:
        return ""
    words = WORDS[language]
    return (
        f'<span class="thin">{words["train"]}</span> <span class="thick">{words["validation"]}'
        "</span>"
    )


def _values(curves: Curves, panel: Panel) -> dict[str, object]:
    """Return the numbers of a panel, and how they are placed."""
    across, up = scales(curves, panel)
    return {
        "x": [across.low, across.high, across.start, across.end],
        "y": [up.low, up.high, up.start, up.end],
        "log": panel.log,
        "series": [
            {
                "run": one.run,
                "split": one.split,
                "points": [[float(f"{x:.6g}"), float(f"{y:.5g}")] for x, y in one.points],
            }
            for one in panel.series
        ],
    }
