"""triptych summarize: short texts of long ones."""

from __future__ import annotations

from pathlib import Path

from .predict import Overrides, Precision, demand, predict


def summarize(
    run: str,
    /,
    *text: str,
    file: list[Path] | None = None,
    to: str | None = None,
    jsonl: bool = False,
    truncate: int | None = None,
    precision: Precision = "float32",
    overrides: Overrides = None,
) -> int:
    """Summaries, a line each; without texts and files, of stdin line for line.

    Parameters
    ----------
    run
        Folder of a run for summarization, or of one for several tasks.
    text
        One or several texts; they may have several lines.
    file
        A file that is one text, with all its lines; several times for several.
    to
        What to do, for a run that knows several tasks.
    jsonl
        One JSON object a line: the summary, its score, and how many tokens of the text were not
            seen.
    truncate
        Read only the first so many tokens of a longer text, and say so; the run reads no more than
        its task.longest_source anyway.
    precision
        Of the arithmetic. auto takes bfloat16 where the processor multiplies it faster.
    """
    from ..data.formats.lines import lines_of

    demand(run, "summarize")
    whole = ["\n".join(lines_of(one)) for one in file or []]
    return predict(
        run,
        *text,
        *whole,
        to=to,
        jsonl=jsonl,
        truncate=truncate,
        precision=precision,
        overrides=overrides,
    )
