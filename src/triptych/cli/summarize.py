"""Run `triptych summarize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .filing import UNFILED, Filing
from .loading import EngineName, Precision
from .predict import Overrides, demand, predict


def summarize(
    run: str,
    /,
    *text: str,
    file: list[Path] | None = None,
    encoding: str | None = None,
    to: str | None = None,
    jsonl: bool = False,
    truncate: int | None = None,
    precision: Precision = "float32",
    engine: EngineName = "native",
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    overrides: Overrides = None,
) -> int:
    """Summarize texts, whole files, or stdin line by line; prints one summary per line.

    Parameters
    ----------
    run
        Folder of a run for summarization, or of one for several text-to-text tasks.
    text
        One or several texts; a text may have several lines. With --out the file whose lines are
        summarized.
    file
        A file that is one text, with all its lines; can be given several times.
    encoding
        Encoding of the files, like cp1252; by default UTF-8, or what a byte order mark says.
    to
        For a run that learnt several tasks: which one.
    jsonl
        Print one JSON object per text: the summary, its score, the number of tokens not read.
    truncate
        Read only the first N tokens (pieces of words) of a longer text, with a notice; the run
        never reads more than task.longest_source of its recipe.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    from ..data.formats.lines import lines_of

    demand(run, "summarize")
    if file:
        filing.refuse_beside("--file")
    whole = ["\n".join(lines_of(one, encoding=encoding)) for one in file or []]
    return predict(
        run,
        *text,
        *whole,
        to=to,
        jsonl=jsonl,
        truncate=truncate,
        precision=precision,
        engine=engine,
        filing=filing,
        overrides=overrides,
    )
