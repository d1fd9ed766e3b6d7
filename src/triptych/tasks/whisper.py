"""Read long sound as Whisper does: windows of 30 seconds that begin where the last text ended.

Radford et al. 2022, section 3.8 and 2.3: an answer is pieces of text between times; what follows
the last complete piece is read again, at the beginning of the next window. A window whose answer
repeats itself or is improbable is drawn again at a higher temperature.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ..data.batches.encoded import Encoded
from ..data.example import Example
from ..data.features.audio import Samples
from ..data.features.clips import clip_windows, has_sound
from ..data.features.log_mel import whisper_log_mel
from ..data.features.long_sound import LongSound
from ..data.tokenizers.sides import Tokenizers
from ..data.tokenizers.subwords import Tokenizer
from ..decoding.requests import DecodedText, DecodingRequest
from ..decoding.settings import DecodingSettings
from ..errors import UsageError, unknown
from .speech_options import TranscriptionOptions
from .task import Prediction

NO_TIMES, TRANSLATE = "<|notimestamps|>", "<|translate|>"
INTO = "en"  # the language that it translates to
FRAMES_A_SECOND = 100
STEP_SECONDS = 0.02  # between two times
FRAMES_PER_STEP = 2
LEAST_LOG_PROBABILITY = -1.0  # mean nats of a token
MOST_COMPRESSION = 2.4  # bytes of a text beside its compressed bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold a piece of text and when it is said.

    start, end: seconds. tokens: without times.
    """

    start: float
    end: float
    tokens: tuple[int, ...]


def segments_of(
    tokens: Sequence[int], first_time: int, frames: int, start: float = 0.0
) -> tuple[list[Segment], int]:
    """Cut an answer at its times.

    Args:
        tokens: Of the answer, with times, without the end.
        first_time: The token of time 0.
        frames: How many frames the window has.
        start: Seconds of the sound before the window.

    Returns:
        The pieces of text, and after how many frames the next window begins.
    """
    is_time = [one >= first_time for one in tokens]
    closed = is_time[-2:] == [False, True]  # nothing is said after the last time
    cuts = [place for place in range(1, len(tokens)) if is_time[place - 1] and is_time[place]]
    if not cuts:
        times = [one - first_time for one in tokens if one >= first_time]
        end = frames // FRAMES_PER_STEP
        if times and times[-1]:
            end = times[-1]
        return [_segment(tokens, first_time, 0, end, start)], frames
    if closed:
        cuts.append(len(tokens))
    found: list[Segment] = []
    last = 0
    for cut in cuts:
        piece = tokens[last:cut]
        times = piece[0] - first_time, piece[-1] - first_time
        found.append(_segment(piece, first_time, *times, start))
        last = cut
    if closed:
        return found, frames
    return found, (tokens[last - 1] - first_time) * FRAMES_PER_STEP


def _segment(tokens: Sequence[int], first_time: int, begin: int, end: int, start: float) -> Segment:
    return Segment(
        round(start + begin * STEP_SECONDS, 3),
        round(start + end * STEP_SECONDS, 3),
        tuple(one for one in tokens if one < first_time),
    )


def compression(text: str) -> float:
    """Return how many times longer a text is than zlib makes it; a text that repeats is long."""
    content = text.encode()
    return len(content) / len(zlib.compress(content)) if content else 0.0


def is_poor(text: str, token_log_probabilities: Sequence[float]) -> bool:
    """Tell whether an answer repeats itself or is improbable, so that it is drawn again."""
    if compression(text) > MOST_COMPRESSION:
        return True
    count = len(token_log_probabilities)
    return bool(count) and sum(token_log_probabilities) / count < LEAST_LOG_PROBABILITY


# Prompts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prompt:
    """Hold how an answer begins.

    tokens: given. found: then the model chooses one token of each list, the language and the task.
    """

    tokens: tuple[int, ...]
    found: tuple[tuple[int, ...], ...] = ()


def prompt_of(example: Example, tokenizer: Tokenizer, options: TranscriptionOptions) -> Prompt:
    """Return the tokens of language and task that an answer begins with.

    Raises UsageError for a language that the model does not know.
    """
    language = example.source_language or options.language
    wanted = example.target_language
    without = None if options.timestamps else tokenizer.number(NO_TIMES)
    last = () if without is None else (without,)
    if not tokenizer.marks_answers:
        if wanted not in (None, language):
            raise UsageError("This model writes the language that it hears: leave out --to.")
        return Prompt((*tokenizer.starts(), *last))
    for name in (language, wanted):
        if name is not None and name not in tokenizer.tags:
            raise unknown("language", name, tokenizer.tags, "of this model")
    if wanted not in (None, INTO, language):
        raise UsageError(
            "This model translates to {known} only, not to {name}.", known=INTO, name=wanted
        )
    begin, _, task = tokenizer.starts(language or INTO)
    if wanted == INTO != language:
        task = tokenizer.number(TRANSLATE) or task
    if language is None:
        every = tuple(tokenizer.tags.values())
        return Prompt((begin,), (every, (task,), *((one,) for one in last)))
    return Prompt((begin, tokenizer.tags[language], task, *last))


def starts(example: Example, tokenizers: Tokenizers, options: TranscriptionOptions) -> list[int]:
    """Return the tokens that a text to learn begins with. Raise UsageError without a language."""
    found = prompt_of(example, tokenizers.target, replace(options, timestamps=False))
    if found.found:
        raise UsageError(
            "This model writes several languages; name that of the sound: task.language = 'en'."
        )
    return list(found.tokens)


# Windows ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """Hold the place of a window in its sound.

    frame: its first; frames: how many are the sound's, not filled up. attempt: how often it was
    read before.
    """

    prompt: Prompt
    frame: int
    frames: int
    sound: LongSound | None = field(default=None, repr=False)
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """Hold what was read of a window: its pieces of text, its answers and the language's token."""

    segments: list[Segment]
    answers: list[DecodedText]
    language: int | None


def mels_of(options: TranscriptionOptions) -> int:
    """Return the mel bands of the front end."""
    return 128 if options.features.endswith("128") else 80


def encode(
    example: Example, tokenizers: Tokenizers, options: TranscriptionOptions
) -> list[Encoded]:
    """Encode the first window of a sound in use, or without times all, cut at quiet places.

    Silence gives nothing.
    """
    prompt, mels = prompt_of(example, tokenizers.target, options), mels_of(options)
    if options.timestamps:
        blocks = partial(_blocks, example)
        sound = LongSound(blocks, mels, options.window)
        return [] if sound.is_silent else [_encoded(prompt, sound, 0)]
    found: list[Encoded] = []
    for start, samples in clip_windows(example, options.window):
        if has_sound(samples):
            frames = whisper_log_mel(samples, mels, options.window).T.copy()
            window = Window(prompt, round(start * FRAMES_A_SECOND), len(samples) // 160)
            found.append(Encoded({"source": frames}, metadata=window))
    return found


def _blocks(example: Example) -> Iterator[Samples]:
    return (samples for _, samples in clip_windows(example, None))


def _encoded(prompt: Prompt, sound: LongSound, frame: int, attempt: int = 0) -> Encoded:
    features, frames = sound.window(frame)
    return Encoded({"source": features}, metadata=Window(prompt, frame, frames, sound, attempt))


def request(
    encoded: Encoded,
    settings: DecodingSettings,
    tokenizers: Tokenizers,
    *,
    options: TranscriptionOptions,
) -> DecodingRequest:
    """Return the request for the text of a window."""
    window: Window = encoded.metadata
    found = [list(one) for one in window.prompt.found] or None
    settings = replace(settings, first_tokens=found)
    if not options.timestamps:
        settings = replace(settings, timestamps=None)
    if settings.max_length is not None:  # of what follows the language and the task
        without = not options.timestamps and tokenizers.target.number(NO_TIMES) is not None
        most = settings.max_length - without + len(window.prompt.found)
        settings = replace(settings, max_length=max(1, most))
    if window.attempt:
        temperature = options.temperatures[window.attempt]
        settings = replace(settings, temperature=temperature, beams=1, n_best=1)
    source = encoded.inputs["source"]
    return DecodingRequest(settings=settings, source=source, prompt=window.prompt.tokens)


def follow(
    encoded: Encoded,
    answers: Sequence[DecodedText],
    tokenizers: Tokenizers,
    *,
    options: TranscriptionOptions,
) -> tuple[Heard | None, Encoded | None]:
    """Return what was read of a window, and the window that is read next.

    Nothing was read of a window that is to be read again.
    """
    window: Window = encoded.metadata
    best, tokenizer, prompt = answers[0], tokenizers.target, window.prompt
    count, sound = len(prompt.found), window.sound
    language = None
    if tokenizer.marks_answers:
        language = best.tokens[0] if count and best.tokens else prompt.tokens[1]
    if count and best.tokens:
        prompt = Prompt((*prompt.tokens, *best.tokens[:count]))
    first = first_time(tokenizer)
    text = tokenizer.decode(_words(best.tokens[count:], first))
    start = window.frame / FRAMES_A_SECOND
    if not options.timestamps or sound is None:
        end = start + window.frames / FRAMES_A_SECOND
        piece = Segment(start, end, tuple(best.tokens[count:]))
        return Heard([piece], list(answers), language), None
    each = best.token_log_probabilities[count:]
    if window.attempt + 1 < len(options.temperatures) and is_poor(text, each):
        return None, _encoded(window.prompt, sound, window.frame, window.attempt + 1)
    segments, frames = segments_of(best.tokens[count:], first, window.frames, start)
    frame = window.frame + (frames or window.frames)
    after = _encoded(prompt, sound, frame) if frame < sound.frames else None
    return Heard(segments, list(answers), language), after


def first_time(tokenizer: Tokenizer) -> int:
    """Return the token of time 0; past all tokens without times."""
    without = tokenizer.number(NO_TIMES)
    return tokenizer.vocabulary_size if without is None else without + 1


def _words(tokens: Sequence[int], first: int) -> list[int]:
    return [one for one in tokens if one < first]


# Answers ------------------------------------------------------------------------------------------


def read(raw: Sequence[Heard], example: Example, tokenizers: Tokenizers) -> Prediction:
    """Return the text of all windows, with its segments and its language as details."""
    tokenizer = tokenizers.target
    best = [one.answers[0] for one in raw]
    each = [nats for one in best for nats in one.token_log_probabilities]
    total = sum(one.log_probability for one in best)
    segments = [one for heard in raw for one in heard.segments]
    codes = {number: name for name, number in tokenizer.tags.items()}
    language = codes.get(raw[0].language) if raw and raw[0].language is not None else None
    texts = [tokenizer.decode(one.tokens) for one in segments]
    shown = [
        {"start": one.start, "end": one.end, "text": text.strip()}
        for one, text in zip(segments, texts, strict=True)
        if text.strip()
    ]
    text = tokenizer.decode([token for one in segments for token in one.tokens])
    first = first_time(tokenizer)
    return Prediction(
        text=text.strip(),
        score=total / max(1, len(each)),
        log_probability=total,
        tokens=[token for one in best for token in one.tokens],
        token_log_probabilities=each,
        alternatives=[
            Prediction(
                text=tokenizer.decode(_words(one.tokens, first)).strip(),
                score=one.score,
                log_probability=one.log_probability,
                tokens=one.tokens,
                cut=not one.finished,
            )
            for one in (raw[0].answers[1:] if len(raw) == 1 else ())
        ],
        cut=any(not one.finished for one in best),
        details={"segments": shown, **({"language": language} if language else {})},
    )
