"""Run `triptych plot`: the learning curves of one or several runs in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..errors import UsageError
from ..messages import message
from .console import field, put, talk
from .language import page_language
from .outputs import PAGES

AXES = {"step": message("step"), "minutes": message("minutes"), "tokens": message("tokens")}


def plot(
    *run: str,
    out: Path = Path("curves.svg"),
    x: Literal["step", "minutes", "tokens"] = "step",
    metrics: str | None = None,
    log: bool = False,
    language: Literal["en", "zh-Hant"] | None = None,
) -> int:
    """Draw losses, scores, learning rate and speed of runs, one picture for all.

    A run that is still being trained can be drawn too.

    Parameters
    ----------
    run
        Folders of runs to compare; a folder of several seeds stands for all of them.
    out
        The picture: an .svg file, or an .html page that shows values under the mouse pointer.
    x
        What the horizontal axis measures: updates (step), minutes or tokens.
    metrics
        Draw only these values of metrics.jsonl, with commas between: loss,bleu,gradient_norm.
    log
        Draw losses, perplexity and rates on a logarithmic axis.
    language
        Language of the words in the picture; by default that of the command line.
    """
    if not run:
        raise UsageError(message("Name at least one run folder: triptych plot runs/phrasebook"))
    if out.suffix.lower() not in (".svg", *PAGES):
        raise UsageError(
            "{out} is neither .svg nor .html. Name the picture with --out curves.svg", out=out
        )
    from ..inspection.curves import curves_of
    from ..inspection.curves_page import page
    from ..inspection.curves_svg import svg
    from ..runs.curves import histories
    from ..runs.storage import write_file, writing

    keys = None if metrics is None else [one.strip() for one in metrics.split(",") if one.strip()]
    curves = curves_of(histories(run, talk), x, log, keys, talk)
    draw = page if out.suffix.lower() in PAGES else svg
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, draw(curves, language or page_language()).encode())
    count, panels = len(curves.names), len(curves.panels)
    talk(
        message(
            "{count} runs by {axis}, {panels} panels.", count=count, axis=AXES[x], panels=panels
        )
    )
    put(field(out))
    return 0
