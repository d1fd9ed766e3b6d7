"""Run `triptych translate`: `predict` for a translation run, and subtitles with their times."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..errors import DataError, UsageError
from ..messages import Message, message
from .answering import decoding_changes, report_drafts
from .console import Counting, is_terminal, put_bytes, talk
from .filing import UNFILED, Filing
from .inputs import spoken
from .language import help_text
from .loading import EngineName, Precision, load_run
from .notes import some
from .predict import Overrides, check_truncate, demand, predict, print_as_written

if TYPE_CHECKING:
    from ..data.formats.subtitle_kinds import SubtitleKind
    from ..data.formats.subtitle_units import Unit
    from ..data.formats.subtitles import Subtitles
    from ..inference.predictor import Predictor

STDIN = Path("-")
MOST_LINES = 2  # A cue with more lines is named in a notice.


@dataclass(frozen=True, kw_only=True)
class SubtitleFlags:
    """Hold the flags that translate a file of subtitles."""

    srt: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,  # - is stdin
            help=help_text(
                "A file of subtitles (.srt, .vtt, .ass), or - for stdin (.srt), cue by cue. Each "
                "cue is translated, or each line of it with a speaker's dash; numbers and times "
                "are kept, and the number of lines if it suffices. Written to stdout."
            ),
        ),
    ] = None
    line_width: Annotated[
        int | None,
        Parameter(
            help=help_text(
                "With --srt: the most characters per line; by default 42, or 18 for Chinese and "
                "Japanese."
            )
        ),
    ] = None
    format_: Annotated[
        Literal["srt", "vtt"] | None,
        Parameter(
            name="--format",
            help=help_text(
                "With --srt: the kind of subtitles that is written; by default that of the file, "
                "or .srt for .ass."
            ),
        ),
    ] = None
    encoding: Annotated[
        str | None,
        Parameter(
            help=help_text(
                "With --srt: encoding of the file, like cp1252, if it is not UTF-8 and has no "
                "byte order mark."
            )
        ),
    ] = None

    def refuse_idle(self) -> None:
        """Raise UsageError for flags that need a file of subtitles."""
        given = {
            "--line-width": self.line_width,
            "--format": self.format_,
            "--encoding": self.encoding,
        }
        for name, value in given.items():
            if value is not None:
                raise UsageError(
                    "{name} is for subtitles. Give a file of subtitles with --srt FILE.", name=name
                )


TEXTS = SubtitleFlags()  # no file of subtitles


def translate(
    run: str,
    /,
    *text: str,
    to: str | None = None,
    source_language: Annotated[str | None, Parameter(name="--from")] = None,
    jsonl: bool = False,
    truncate: int | None = None,
    draft: str | None = None,
    precision: Precision = "float32",
    engine: EngineName = "native",
    file: Annotated[SubtitleFlags, Parameter(name="*")] = TEXTS,
    filing: Annotated[Filing, Parameter(name="*")] = UNFILED,
    overrides: Overrides = None,
) -> int:
    """Translate texts, stdin line by line, or with --srt a file of subtitles.

    Parameters
    ----------
    run
        Folder of a run for translation.
    text
        One or several texts; with --out the file whose lines are translated.
    to
        Target language; needed if the run has several and its recipe has no task.default_target.
    source_language
        Language of the texts, for an imported model that reads several.
    jsonl
        Print one JSON object per text: the answer, its score, the number of tokens not read.
    truncate
        Read only the first N tokens (pieces of words) of a longer text, with a notice.
    draft
        Generate faster (needs --decoding.beams 1): tokens are guessed by a smaller run with the
        same tokenizers, or from repeated words (ngram), and checked several at once.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    engine
        What answers: Triptych itself (native), or the run converted for another runtime.
    """
    demand(run, "translate")
    check_truncate(truncate)
    options: dict[str, Any] = {
        "to": to,
        "source_language": source_language,
        "truncate": truncate,
        "draft": draft,
        "precision": precision,
        "engine": engine,
        "overrides": overrides,
    }
    if file.srt is None:
        file.refuse_idle()
        is_shown = not filing.is_given() and is_terminal(sys.stdout)
        if len(text) == 1 and not jsonl and truncate is None and is_shown:
            return print_as_written(run, text[0], options)
        return predict(run, *text, jsonl=jsonl, filing=filing, **options)
    filing.refuse_beside("--srt")
    _refuse_wrong(file, bool(text or jsonl))
    return _translate_file(run, file, options)


def _translate_file(run: str, file: SubtitleFlags, options: dict[str, Any]) -> int:
    from ..data.formats.subtitles import read_subtitles

    assert file.srt is not None, "a file of subtitles is given"
    if file.srt == STDIN:
        return _translate_stdin(run, file, options)
    # Errors in the file are raised before a model is loaded.
    subtitles = read_subtitles(file.srt, file.encoding)
    _warn_of_rolling(file.srt, subtitles)
    predictor = load_run(run, options["precision"], options["draft"], options["engine"])
    code = translate_subtitles(
        predictor,
        subtitles,
        options["to"],
        file.line_width,
        options["truncate"],
        file.format_,
        options["source_language"],
        **decoding_changes(options["overrides"]),
    )
    report_drafts(predictor)
    return code


def _translate_stdin(run: str, file: SubtitleFlags, options: dict[str, Any]) -> int:
    """Translate the subtitles of stdin, each as soon as it is whole."""
    from ..data.formats.lines import decode_text
    from ..data.formats.subtitles import Subtitles, stream_cues

    predictor = load_run(run, options["precision"], options["draft"], options["engine"])
    lines = (
        decode_text(raw, f"stdin:{number}", file.encoding).removeprefix("\ufeff")
        for number, raw in enumerate(sys.stdin.buffer, 1)
    )
    code = count = 0
    try:
        for cue in stream_cues(lines, "stdin"):
            code |= translate_subtitles(
                predictor,
                Subtitles([cue]),
                options["to"],
                file.line_width,
                options["truncate"],
                file.format_,
                options["source_language"],
                begins=not count,
                **decoding_changes(options["overrides"]),
            )
            count += 1
    finally:
        report_drafts(predictor)
    if not count:
        raise DataError("stdin holds no subtitle. Give one with --srt FILE, or pipe one in.")
    return code


def _warn_of_rolling(path: Path, subtitles: Subtitles) -> None:
    from ..data.formats.rolling_captions import unrolled

    if unrolled(subtitles.cues) is not None:
        talk(
            message(
                "Note: {path}: captions that roll: most cues repeat the line before, so lines are "
                "translated again and again, and each time without what follows.",
                path=path,
            )
        )


def _refuse_wrong(file: SubtitleFlags, has_texts: bool) -> None:
    """Raise UsageError for what does not go with a file of subtitles."""
    if has_texts:
        raise UsageError(
            message("--srt translates one file of subtitles. Leave out the texts and --jsonl.")
        )
    if file.line_width is not None and file.line_width < 8:
        raise UsageError(
            "--line-width is {width}; it must be 8 characters or more.", width=file.line_width
        )


def translate_subtitles(
    predictor: Predictor,
    subtitles: Any,
    to: str | None = None,
    line_width: int | None = None,
    truncate: int | None = None,
    kind: SubtitleKind | None = None,
    source_language: str | None = None,
    begins: bool = True,
    **decoding: object,
) -> int:
    """Write the translation to stdout, and to stderr what could not be kept or translated.

    begins: the head of a .vtt is written.

    Returns:
        The exit code: 1 where a cue could not be translated.
    """
    from ..data.formats.subtitle_units import translated, units
    from ..data.formats.subtitles import names as names_of

    for cue in names_of(subtitles):
        talk(
            message(
                "{place}: '{name}' is in the place of a cue's number; it is kept as it is, not "
                "translated.",
                place=cue.place,
                name=(cue.number or "").strip()[:60],
            )
        )
    parts = [unit for number, cue in enumerate(subtitles.cues) for unit in units(cue, number)]
    places, fixed = [cue.place for cue in subtitles.cues], spoken(predictor, source_language)
    texts, problems, unseen = _answers(predictor, parts, places, to, truncate, decoding, fixed)
    result = translated(subtitles, parts, texts, line_width)
    content = result.to_bytes(kind)
    put_bytes(content if begins else content.removeprefix(b"WEBVTT\n\n"))
    names = [cue.number.strip() if cue.number else cue.place for cue in subtitles.cues]
    for problem in problems:
        talk(message("triptych: {problem} The cue is left untranslated.", problem=problem))
    tall = [name for name, cue, before in zip(names, result.cues, subtitles.cues, strict=True)
            if len(cue.lines) > max(MOST_LINES, len(before.lines))]  # fmt: skip
    for words, cues in (
        (message("More than two lines were needed for cue {cues}.", cues=""), tall),
        (message("Truncated: cue {cues}.", cues=""), [names[place] for place in unseen]),
        (
            message(
                "Tags inside a text cannot be placed in its translation and were left out of cue "
                "{cues}.",
                cues="",
            ),
            list(dict.fromkeys(names[unit.cue] for unit in parts if unit.lost)),
        ),
    ):
        if cues:
            talk(Message(words.template, cues=some(cues)))
    return int(bool(problems))


def _answers(
    predictor: Predictor,
    parts: list[Unit],
    places: list[str],
    to: str | None,
    truncate: int | None,
    decoding: dict[str, object],
    fixed: dict[str, str],
) -> tuple[list[str | None], list[str], list[int]]:
    """Translate every unit. fixed: inputs that are the same for all.

    Returns:
        A text for each unit, None where it has no letter or could not be translated; the problems;
        and the places of the cues that were not read whole.
    """
    worded = [place for place, unit in enumerate(parts) if unit.has_words]
    given = [parts[place].text for place in worded]
    examples = [
        predictor.example(
            {predictor.task.input: text, **fixed} if fixed else text, places[parts[place].cue], to
        )
        for place, text in zip(worded, given, strict=True)
    ]
    problems: dict[int, str] = {}
    texts: list[str | None] = [None] * len(parts)
    unseen = []
    settings = predictor.settings(**decoding)
    with Counting(len(worded), message("subtitles")) as counting:
        answers = list(predictor.answer(examples, settings, truncate, problems, done=counting.add))
    for number, (place, prediction) in enumerate(zip(worded, answers, strict=True)):
        if number in problems:
            continue
        if not prediction.text.strip():
            problems[number] = message(
                "{place} got an empty translation.", place=examples[number].place
            )
            continue
        texts[place] = " ".join(prediction.text.split())
        if prediction.truncated_input_tokens:
            unseen.append(parts[place].cue)
    return texts, [problems[number] for number in sorted(problems)], list(dict.fromkeys(unseen))
