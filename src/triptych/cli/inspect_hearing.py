"""Show what a run hears in a file of sound: `triptych inspect RUN clip.wav`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..messages import message
from .inspect_shown import Options, Shown

if TYPE_CHECKING:
    from ..inference.predictor import Predictor


def hearing(predictor: Predictor, text: str, options: Options) -> Shown:
    """Show the spectrogram, cross-attention over time and the alignment of a sound."""
    from ..data.features.audio import RATE
    from ..inference.hearing import hear
    from ..inspection.html import Picture
    from ..inspection.views.hearing import picture, player

    if options.target is not None or options.passage is not None:
        raise UsageError(
            message("--target and --passage have no effect on a sound. Leave them out.")
        )
    example = predictor.example(text, text, options.to)
    found, samples = hear(predictor, example, predictor.settings(**options.decoding))
    drawn = picture(found)
    note = message(
        "Seconds of each token, and where its cross-attention is strongest. The spectrogram, all "
        "weights and a player: --html FILE."
    )
    if not found.is_whole:
        note = message(
            "Only the first window of {seconds:.1f} s is shown. Seconds of each token, and where "
            "its cross-attention is strongest. The spectrogram, all weights and a player: "
            "--html FILE.",
            seconds=found.seconds,
        )
    scale = found.seconds / max(1, found.attention.shape[-1])
    rows = [
        [name, f"{start:.2f}-{end:.2f} s", f"{scale * float(row.argmax()):.2f} s"]
        for name, (start, end), row in zip(found.tokens, found.spans, found.attention, strict=True)
    ]
    return Shown(
        answer=found.text,
        rows=rows,
        note=note,
        traces=[],
        pictures=[Picture(drawn.title, player(samples, RATE) + drawn.markup)],
        title=text.rpartition("/")[2],
        values=found.to_json(),
    )
