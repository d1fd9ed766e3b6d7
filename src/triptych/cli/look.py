"""triptych inspect: what a run attended to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from .console import table, talk
from .use import decoding_changes

if TYPE_CHECKING:
    from ..inference.predictor import Predictor
    from ..inspection.trace import Trace

MOST = 3  # source words named for a target word


def inspect(
    run: str, text: str, /, *, html: Path | None = None, to: str | None = None, target: str | None = None,
    language: Literal["en", "zh-Hant"] = "en", overrides: Annotated[dict[str, str] | None, Parameter(parse=False)] = None,
) -> int:  # fmt: skip
    """Answer a text and show which source words each word of the answer attended to.

    Parameters
    ----------
    run
        Folder of a trained run.
    text
        The text to answer.
    html
        Write one self-contained page: source x target heat map for every layer and head.
    to
        Target language, for a run that knows several.
    target
        Look at this text as the answer, instead of searching for one.
    language
        The page's first language.
    """
    from ..inference.predictor import load
    from ..inspection.html import write

    predictor = load(run)
    if predictor.task.name == "tagging":
        return _tags(predictor, text, html, language)
    trace = predictor.trace(text, to=to, target=target, **decoding_changes(overrides))
    print(trace.target_text)
    if html is not None:
        write(html, [trace], language=language)
        talk(f"Written: {html}. It opens in a browser and needs no network.")
        return 0
    if not trace.attention:
        talk("This model has no attention: one vector carries the whole sentence, so there is nothing to show.")
        return 0
    print(table(_strongest(trace), right=False))
    talk("Attention weight, mean over layers and heads; it is not proof of a cause. All layers and heads: --html FILE.")
    return 0


def _tags(predictor: Predictor, text: str, html: Path | None, language: Literal["en", "zh-Hant"]) -> int:
    """A text's entities or tags, and a page that shows them in place."""
    from ..inspection.spans import write

    prediction = predictor.predict([text])[0]
    print(prediction.text)
    if html is not None:
        write(html, text, prediction.details or {"entities": []}, language=language)
        talk(f"Written: {html}. It opens in a browser and needs no network.")
    return 0


def _strongest(trace: Trace) -> list[list[str]]:
    """A row a target word: its log-probability and the source words with most weight."""
    mean = trace.attention["cross"].mean((0, 1))  # (T, S)
    rows = []
    for cell, weights, chance in zip(trace.target, mean, trace.log_probabilities, strict=True):
        best = sorted(range(len(weights)), key=lambda place: -weights[place])[:MOST]
        named = "  ".join(f"{trace.source[place].label} {100 * weights[place]:.0f} %" for place in best)
        rows.append([cell.label, f"{chance:.2f}", named])
    return rows
