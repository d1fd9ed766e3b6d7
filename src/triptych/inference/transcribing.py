"""Write down long sounds window by window, with the time of every word.

A window ends where the sound is quiet, and memory holds one window, so a sound may have any length.
The times of words come from the CTC head (forced alignment), or without one from cross-attention
(dynamic time warping).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..data.batches.encoded import Encoded, collate
from ..data.example import Example
from ..data.features.audio import RATE, Samples
from ..data.features.clips import FRAMES_A_SECOND, clip_windows, has_sound
from ..decoding.ctc import align, warp
from ..errors import UsageError
from .answering import followed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..decoding.requests import DecodedText
    from ..decoding.settings import DecodingSettings
    from .predictor import Predictor

LINGER_SECONDS = 0.3  # that a word lasts after the last state that spells it, at most
WIDE = 0x2E80  # from here on characters are words of their own, as a rule
ENDS = tuple(".?!。？！…")
CUE_CHARACTERS, CUE_WIDE_CHARACTERS = 42, 18  # of a subtitle, and of a Chinese or Japanese one
CUE_SECONDS, PAUSE_SECONDS = 6.0, 0.8


@dataclass(frozen=True, slots=True)
class TimedWord:
    """Hold a word, with the space before it if there is one, and its seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Segment:
    """Hold the text of a window, its seconds, and the times of its words."""

    text: str
    start: float
    end: float
    words: list[TimedWord] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        words = [[one.text.strip(), round(one.start, 3), round(one.end, 3)] for one in self.words]
        return {
            "text": self.text,
            "start": round(self.start, 3),
            "end": round(self.end, 3),
            "words": words,
        }


def transcribe(
    predictor: Predictor,
    example: Example,
    settings: DecodingSettings | None = None,
    heard: Callable[[float], object] | None = None,
) -> Iterator[Segment]:
    """Yield the text of each window of a sound that has any, with times.

    Args:
        predictor: A run for transcription.
        example: Its sound.
        settings: How texts are decoded; None: the run's defaults.
        heard: Receives the seconds of each window once it is done.
    """
    window = window_of(predictor)
    if predictor.task.follow is not None:
        yield from _followed(predictor, example, settings or predictor.decoding, heard)
        return
    for start, samples in clip_windows(example, window):
        seconds = len(samples) / RATE
        if has_sound(samples):
            found = _heard(predictor, samples, settings or predictor.decoding, start, example.place)
            if found is not None:
                yield found
        if heard is not None:
            heard(seconds)


def window_of(predictor: Predictor) -> float:
    """Return the seconds of sound that a run reads at once.

    Raises UsageError for a run that reads no sound.
    """
    window = predictor.task.options.get("window")
    if "audio" not in predictor.task.needs or window is None:
        raise UsageError(
            "A run for {name} does not read sound. Use a run for transcription.",
            name=predictor.task.name,
        )
    return float(window)


def _followed(
    predictor: Predictor,
    example: Example,
    settings: DecodingSettings,
    heard: Callable[[float], object] | None,
) -> Iterator[Segment]:
    """Yield the pieces of text between the times that a model writes itself, window by window."""
    last = 0.0
    for raw in followed(predictor, example, settings):
        details = predictor.task.read([raw], example, predictor.tokenizers).details
        for one in details["segments"]:
            yield Segment(one["text"], one["start"], one["end"])
            last, before = one["end"], last
            if heard is not None:
                heard(max(0.0, last - before))


def _heard(
    predictor: Predictor, samples: Samples, settings: DecodingSettings, start: float, place: str
) -> Segment | None:
    """Return the text of one window; None if nothing was heard."""
    encoded, _ = predictor.encode(Example(audio=samples, place=place))
    if not encoded:
        return None
    encoded[0].index = 0
    best: DecodedText = predictor.raw(encoded[:1], settings)[0][0]
    text = best.text.strip()
    if not text:
        return None
    spans = token_states(predictor, encoded[0], best.tokens)
    stack = predictor.model.config.encoder
    scale = stack.frames_per_vector / FRAMES_A_SECOND
    pieces, last = predictor.tokenizers.target.pieces(best.tokens), len(samples) / RATE
    return Segment(text, start, start + last, timed_words(pieces, spans, scale, start, last))


@torch.inference_mode()
def token_states(
    predictor: Predictor, encoded: Encoded, tokens: Sequence[int], begin: Sequence[int] = ()
) -> list[tuple[int, int]]:
    """Return the encoder's states [first, last) of each token of a window's text.

    Args:
        predictor: A run for transcription.
        encoded: The window.
        tokens: The text.
        begin: The tokens before it, by default those that every text begins with.
    """
    model, head = predictor.model, predictor.head
    alone = Encoded({"source": encoded.inputs["source"]})
    inputs = collate([alone]).to(predictor.device).inputs
    if hasattr(head, "log_probabilities"):
        scores = head.log_probabilities(model.encode(inputs).states)
        if (found := align(scores.float().cpu().numpy(), tokens)) is not None:
            return found
    begin = begin or encoded.begins or predictor.tokenizers.target.starts()
    target = torch.tensor([*begin, *tokens], device=predictor.device)
    lengths = torch.tensor([len(target)], device=predictor.device)
    weights = model.attention_weights("cross", **inputs, target=target, target_lengths=lengths)
    upper = weights[len(weights) // 2 :, 0].float().mean((0, 1))  # (T, S) of the upper layers
    rows = upper[len(begin) - 1 : -1] if len(tokens) else upper[:0]
    rows = (rows - rows.mean(0)) / (rows.std(0, correction=0) + 1e-6)
    return warp(rows.cpu().numpy())


def timed_words(
    pieces: Sequence[str],
    spans: Sequence[tuple[int, int]],
    scale: float,
    start: float,
    most: float = np.inf,
) -> list[TimedWord]:
    """Join tokens to words, which begin with a space or are wide characters, with their seconds.

    Args:
        pieces: The text of each token.
        spans: Its states [first, last).
        scale: Seconds of a state.
        start: Seconds of the first state.
        most: Seconds of the window, after which no word ends.
    """
    texts: list[str] = []
    places: list[list[int]] = []
    for piece, (first, last) in zip(pieces, spans, strict=True):
        if not texts or _begins(piece, texts[-1]):
            texts.append(piece)
            places.append([first, last])
            continue
        if not texts[-1].strip():  # a space alone: the word lasts as its letters do
            places[-1][0] = first
        texts[-1] += piece
        places[-1][1] = last
    found = []
    for number, (text, (first, last)) in enumerate(zip(texts, places, strict=True)):
        following = places[number + 1][0] * scale if number + 1 < len(places) else most
        end = min(most, max(last * scale, min(following, last * scale + LINGER_SECONDS)))
        found.append(TimedWord(text, start + first * scale, start + end))
    return found


def _begins(piece: str, before: str) -> bool:
    """Tell whether a token begins a word after the word `before`."""
    if not before.strip() or not piece or piece in ENDS:
        return False
    return piece[0].isspace() or ord(piece[0]) >= WIDE or ord(before[-1]) >= WIDE


# Subtitles ----------------------------------------------------------------------------------------


def cues(segments: Iterator[Segment]) -> Iterator[TimedWord]:
    """Yield subtitles as soon as they are known: words up to a pause, a full line or 6 seconds."""
    for segment in segments:
        if not segment.words:  # the model wrote the times of whole pieces
            yield TimedWord(segment.text, segment.start, segment.end)
        held: list[TimedWord] = []
        for word in segment.words:
            if held and _is_over(held, word):
                yield _cue(held)
                held = []
            held.append(word)
        if held:
            yield _cue(held)


def _cue(words: Sequence[TimedWord]) -> TimedWord:
    text = "".join(one.text for one in words).strip()
    return TimedWord(text, words[0].start, words[-1].end)


def _is_over(held: Sequence[TimedWord], word: TimedWord) -> bool:
    """Tell whether a word begins another subtitle."""
    text = "".join(one.text for one in held).strip()
    wide = any(ord(sign) >= WIDE for sign in text)
    room = CUE_WIDE_CHARACTERS if wide else CUE_CHARACTERS
    return (
        text.endswith(ENDS)
        or len(text) + len(word.text) > room
        or word.end - held[0].start > CUE_SECONDS
        or word.start - held[-1].end > PAUSE_SECONDS
    )


def srt(number: int, cue: TimedWord) -> str:
    """Return a subtitle as .srt has it, with the empty line after it."""
    return f"{number}\n{_clock(cue.start)} --> {_clock(cue.end)}\n{cue.text}\n\n"


def _clock(seconds: float) -> str:
    total = round(seconds * 1000)
    minutes, rest = divmod(total, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02},{rest % 1000:03}"
