"""Run `triptych transcribe`: from files of sound to texts or subtitles."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..errors import DataError, UsageError
from ..messages import message
from .console import Counting, field, put, talk
from .loading import Precision, load_run
from .predict import Overrides, decoding_changes, demand

if TYPE_CHECKING:
    from ..data.example import Example
    from ..decoding.settings import DecodingSettings
    from ..inference.predictor import Predictor


def transcribe(
    run: str,
    /,
    *sound: str,
    srt: bool = False,
    jsonl: bool = False,
    to: str | None = None,
    source_language: Annotated[str | None, Parameter(name="--from")] = None,
    precision: Precision = "float32",
    overrides: Overrides = None,
) -> int:
    """Write down what is said in files of sound, in the files of a folder, or in stdin.

    Prints a text for each file, after its name and a tab where there are several. A long file is
    read window by window, cut where it is quiet.

    Parameters
    ----------
    run
        Folder of a run for transcription.
    sound
        Files (WAV, FLAC, MP3, Ogg) and folders; without any, one sound is read from stdin.
    srt
        Write subtitles with times (.srt), each as soon as it is known. For one file.
    jsonl
        Print one JSON object per window: the file, the text, its seconds, and those of each word.
    to
        Whisper: "en" translates to English.
    source_language
        Whisper: the language of the sound; by default the model finds it.
    precision
        Number format of the computation; auto uses bfloat16 where that is faster.
    """
    demand(run, "transcribe")
    examples = list(_examples(sound)) if sound else [_stdin()]
    if srt and (jsonl or len(examples) != 1):
        raise UsageError(message("--srt writes the subtitles of one file. Leave out the others."))
    predictor = load_run(run, precision)
    settings = predictor.settings(**decoding_changes(overrides))
    if to or source_language:
        if predictor.task.follow is None:
            raise UsageError(message("--from and --to are for a Whisper. Leave them out."))
        examples = [
            dataclasses.replace(one, source_language=source_language, target_language=to)
            for one in examples
        ]
    failed = 0
    with Counting(_seconds(examples), message("seconds of sound")) as counting:
        for one in examples:
            try:
                _write(predictor, one, settings, counting, srt, jsonl, len(examples) > 1)
            except DataError as problem:
                talk(message("triptych: {problem}", problem=problem.args[0]))
                failed += 1
    return int(failed > 0)


def _write(
    predictor: Predictor,
    example: Example,
    settings: DecodingSettings,
    counting: Counting,
    srt: bool,
    jsonl: bool,
    is_named: bool,
) -> None:
    """Write the text of one sound."""
    from ..inference import transcribing
    from ..tasks.transcription import joined

    segments = transcribing.transcribe(predictor, example, settings, counting.add)
    if srt:
        for number, cue in enumerate(transcribing.cues(segments), 1):
            put(transcribing.srt(number, cue), end="", flush=True)
    elif jsonl:
        for one in segments:
            values = {"file": example.place, **one.to_json()}
            put(json.dumps(values, ensure_ascii=False), flush=True)
    else:
        text = field(joined([one.text for one in segments]))
        if not text:
            talk(message("{name}: nothing was heard in it.", name=example.place))
        put(f"{field(example.place)}\t{text}" if is_named else text, flush=True)


def _examples(names: tuple[str, ...]) -> Iterator[Example]:
    """Yield the sounds that the arguments name. Raises DataError for a file that does not exist."""
    from ..data.example import Example
    from ..data.formats.clips import clips
    from ..data.formats.lines import missing

    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from clips(path, needs_text=False)
        elif not path.exists():
            raise missing(path)
        else:
            yield Example(audio=name, place=name)


def _stdin() -> Example:
    from ..data.example import Example

    content = sys.stdin.buffer.read()
    if not content:
        raise UsageError(message("Name files of sound, or give one to stdin: < talk.wav"))
    return Example(audio=content, place="stdin")


def _seconds(examples: list[Example]) -> int | None:
    """Return the seconds of all sounds; None where a header does not say."""
    from ..data.features.audio import audio_info

    total = 0.0
    for one in examples:
        if not isinstance(one.audio, str):
            return None
        try:
            total += audio_info(one.audio).seconds
        except DataError:  # reported when it is read
            continue
    return max(1, round(total)) if total else None
