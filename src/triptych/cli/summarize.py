"""triptych summarize: short texts of long ones."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from .predict import Overrides, Precision, predict

TASKS = ("summarization", "text-to-text")


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
    from ..runs.run import Run

    task = Run.open(run).read_config().task
    if task not in TASKS:
        raise UsageError(
            f"{run} is a run for {task}, not for {TASKS[0]}. Use: triptych predict {run}"
        )
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
