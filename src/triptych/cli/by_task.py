"""Run the verbs that call `predict` under a task's own name, each with the options it can use."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from .filing import UNFILED, Filing
from .loading import EngineName, Precision
from .predict import Overrides, demand, predict, print_as_written
from .prompting import NOTHING, Prompting


def classify(
    run: str,
    /,
    *text: str,
    jsonl: bool = False,
    truncate: int | None = None,
    precision: Precision = "float32",
    engine: EngineName = "native",
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    overrides: Overrides = None,
) -> int:
    """Classify texts, or stdin line by line: a label, several labels or a number for each.

    For a run that compares two texts, a tab separates them.

    Parameters
    ----------
    run
        Folder of a run for classification.
    text
        One or several texts; with --out the file whose lines are answered.
    jsonl
        Print one JSON object per text: the label, the probability of every label, the number of
        tokens not read.
    truncate
        Read only the first N tokens of a longer text, with a notice; by default all of it is read.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    demand(run, "classify")
    return predict(
        run,
        *text,
        jsonl=jsonl,
        truncate=truncate,
        precision=precision,
        engine=engine,
        filing=filing,
        overrides=overrides,
    )


def tag(
    run: str,
    /,
    *text: str,
    words: bool = False,
    jsonl: bool = False,
    truncate: int | None = None,
    precision: Precision = "float32",
    engine: EngineName = "native",
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    overrides: Overrides = None,
) -> int:
    """Tag texts, or stdin line by line: entities in brackets, or a tag for each word.

    Parameters
    ----------
    run
        Folder of a run for tagging.
    text
        One or several texts; with --out the file whose lines are answered.
    words
        The text is already split into words by spaces; by default Triptych splits it.
    jsonl
        Print one JSON object per text: words and tags, or entities with their places in the text.
    truncate
        Read only the first N tokens of a longer text, with a notice; by default all of it is read.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    demand(run, "tag")
    return predict(
        run,
        *text,
        words=words,
        jsonl=jsonl,
        truncate=truncate,
        precision=precision,
        engine=engine,
        filing=filing,
        overrides=overrides,
    )


def parse(
    run: str,
    /,
    *text: str,
    words: bool = False,
    jsonl: bool = False,
    truncate: int | None = None,
    precision: Precision = "float32",
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    overrides: Overrides = None,
) -> int:
    """Parse sentences, or stdin line by line, and print dependency trees in CoNLL-U's columns.

    Parameters
    ----------
    run
        Folder of a run for parsing.
    text
        One or several texts; with --out the file whose lines are answered.
    words
        The text is already split into words by spaces; by default Triptych splits it.
    jsonl
        Print one JSON object per text: for each word its head and relation.
    truncate
        Read only the first N tokens of a longer text, with a notice; by default all of it is read.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    """
    demand(run, "parse")
    return predict(
        run,
        *text,
        words=words,
        jsonl=jsonl,
        truncate=truncate,
        precision=precision,
        filing=filing,
        overrides=overrides,
    )


def complete(
    run: str,
    /,
    *text: str,
    jsonl: bool = False,
    truncate: int | None = None,
    draft: str | None = None,
    precision: Precision = "float32",
    engine: EngineName = "native",
    prompting: Annotated[Prompting, Parameter(name="*")] = NOTHING,
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    overrides: Overrides = None,
) -> int:
    """Continue texts, or stdin line by line, with a run that generates text or code.

    The answer to a single text appears while it is generated.

    Parameters
    ----------
    run
        Folder of a run for language modelling.
    text
        One or several texts; with --out the file whose lines are answered.
    jsonl
        Print one JSON object per text: the answer, its score, the number of tokens not read.
    truncate
        Read only the first N tokens of a longer text, with a notice.
    draft
        Generate faster: tokens are guessed by a smaller run with the same tokenizer, or from
        repeated words (ngram), and checked several at once. Probabilities do not change.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    demand(run, "complete")
    options = {
        "draft": draft,
        "precision": precision,
        "engine": engine,
        "prompting": prompting,
        "overrides": overrides,
    }
    is_prompted = prompting.examples is not None or prompting.template is not None
    is_whole = filing.is_given() or jsonl or truncate is not None or is_prompted
    if len(text) != 1 or is_whole or sys.stdout.closed:
        return predict(run, *text, jsonl=jsonl, truncate=truncate, filing=filing, **options)
    return print_as_written(run, text[0], options)
