"""triptych translate: `predict` for a run that translates, and subtitles with their times."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .console import is_terminal, put_bytes, talk
from .predict import (
    Overrides,
    Precision,
    check_truncate,
    decoding_changes,
    demand,
    load_run,
    predict,
    print_as_written,
    some,
    tell_drafts,
)

if TYPE_CHECKING:
    from ..data.formats.subtitle_units import Unit
    from ..inference.predictor import Predictor

MOST_LINES = 2  # of a cue, before a notice names it


def translate(
    run: str,
    /,
    *text: str,
    srt: Path | None = None,
    line_width: int | None = None,
    to: str | None = None,
    jsonl: bool = False,
    truncate: int | None = None,
    draft: str | None = None,
    precision: Precision = "float32",
    overrides: Overrides = None,
) -> int:
    """Translate texts; without any, stdin line for line; with --srt a file of subtitles. Dials are
    given as --decoding.beams 5.

    Parameters
    ----------
    run
        Folder of a run for translation.
    text
        One or several texts.
    srt
        Subtitles (.srt, UTF-8). Each cue is translated, or each line of it that begins with a
        speaker's dash; numbers and times are kept as they are, and so are the numbers of lines
        where they suffice. The result is written to stdout.
    line_width
        With --srt: the most characters of a line. Without it 42, or 18 for Chinese and Japanese.
    to
        Target language, for a run that knows several.
    jsonl
        One JSON object a line: the answer, its score, how many input tokens were not seen.
    truncate
        Read only the first so many tokens of a longer text, and say so.
    draft
        A smaller run with the same tokenizers, or ngram. It proposes tokens, several of which the
        run checks at once (--decoding.draft_tokens); needs --decoding.beams 1.
    precision
        Of the arithmetic. auto takes bfloat16 where the processor multiplies it faster.
    """
    demand(run, "translate")
    check_truncate(truncate)
    dials: dict[str, Any] = {
        "to": to,
        "truncate": truncate,
        "draft": draft,
        "precision": precision,
        "overrides": overrides,
    }
    if srt is None:
        if line_width is not None:
            raise UsageError("--line-width is for subtitles: give them with --srt FILE.")
        if len(text) == 1 and not jsonl and truncate is None and is_terminal(sys.stdout):
            return print_as_written(run, text[0], dials)
        return predict(run, *text, jsonl=jsonl, **dials)
    if text or jsonl:
        raise UsageError(
            "--srt translates a file of subtitles as one: leave out the texts and --jsonl."
        )
    if line_width is not None and line_width < 8:
        raise UsageError(f"--line-width is {line_width}; it must be 8 characters or more.")
    from ..data.formats.subtitles import read_subtitles

    subtitles = read_subtitles(srt)  # what is wrong with the file is said before a model is loaded
    predictor = load_run(run, precision, draft)
    return translate_subtitles(
        predictor, subtitles, to, line_width, truncate, **decoding_changes(overrides)
    )


def translate_subtitles(
    predictor: Predictor,
    subtitles: Any,
    to: str | None = None,
    line_width: int | None = None,
    truncate: int | None = None,
    **decoding: Any,
) -> int:
    """Write the translation to stdout, and to stderr what could not be kept or translated. 1 where
    a cue could not.
    """
    from ..data.formats.subtitle_units import translated, units
    from ..data.formats.subtitles import names as names_of

    for cue in names_of(subtitles):
        talk(
            f"{cue.place}: '{(cue.number or '').strip()[:60]}' stands where a cue's number does; "
            "it is kept as it is, not translated."
        )
    parts = [unit for number, cue in enumerate(subtitles.cues) for unit in units(cue, number)]
    texts, problems, unseen = _answers(
        predictor, parts, [cue.place for cue in subtitles.cues], to, truncate, decoding
    )
    result = translated(subtitles, parts, texts, line_width)
    put_bytes(result.to_bytes())
    names = [cue.number.strip() if cue.number else cue.place for cue in subtitles.cues]
    for problem in problems:
        talk(f"triptych: {problem} It is left as it was.")
    tall = [name for name, cue, before in zip(names, result.cues, subtitles.cues, strict=True)
            if len(cue.lines) > max(MOST_LINES, len(before.lines))]  # fmt: skip
    for message, cues in (
        ("More than two lines are needed for cue", tall),
        ("Not all was seen of cue", [names[place] for place in unseen]),
        (
            "Tags inside a text have no place in its translation and were left out of cue",
            list(dict.fromkeys(names[unit.cue] for unit in parts if unit.lost)),
        ),
    ):
        if cues:
            talk(f"{message} {some(cues)}.")
    tell_drafts(predictor)
    return int(bool(problems))


def _answers(
    predictor: Predictor,
    parts: list[Unit],
    places: list[str],
    to: str | None,
    truncate: int | None,
    decoding: dict[str, Any],
) -> tuple[list[str | None], list[str], list[int]]:
    """A text for every unit, what could not be translated, and the cues of which not all was read.
    None stands for what has no letter and for what could not be translated.
    """
    spoken = [place for place, unit in enumerate(parts) if unit.has_words]
    examples = [
        predictor.example(parts[place].text, places[parts[place].cue], to) for place in spoken
    ]
    problems: dict[int, str] = {}
    texts: list[str | None] = [None] * len(parts)
    unseen = []
    answers = predictor.answer(examples, predictor.settings(**decoding), truncate, problems)
    for number, (place, prediction) in enumerate(zip(spoken, answers, strict=True)):
        if number in problems:
            continue
        if not prediction.text.strip():
            problems[number] = f"{examples[number].place} got an empty translation."
            continue
        texts[place] = " ".join(prediction.text.split())
        if prediction.truncated_input_tokens:
            unseen.append(parts[place].cue)
    return texts, [problems[number] for number in sorted(problems)], list(dict.fromkeys(unseen))
