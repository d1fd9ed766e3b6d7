"""Draw what a model heard: the mel spectrogram, where the tokens are in it, and cross-attention.

One SVG over one axis of time, so that a sound, its text and the weights stand above one another.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..html import Picture, in_words
from .bars import HEAT, INK, LINE, MARK, escaped, width_of

LEFT, TOP, ROW, GAP = 96, 20, 18, 10  # pixels: the labels' room, above, of a row, between parts
MEL_HEIGHT, SECOND, LEAST, MOST = 132, 150, 480, 2400  # pixels; a second is this wide
LETTER = 12 / 14  # of the widths that `width_of` gives
MOST_COLUMNS, MOST_TOKENS = 1500, 120  # frames of the picture; tokens with a row of weights
TITLE = {"en": "What was heard", "zh-Hant": "聽到了什麼"}
LEGENDS = {
    "ctc": {
        "en": "Above, the log-mel spectrogram that the encoder reads (80 bands, low ones below). "
        "Under it, where CTC places each token, and what CTC alone spells. Below, a row for each "
        "token: where its cross-attention is, mean over layers and heads; white is 0, full colour "
        "the largest weight, {most}. A weight is not a proof.",
        "zh-Hant": "上方是編碼器讀取的對數梅爾頻譜（80 個頻帶，低頻在下）。其下是 CTC 為每個詞元"
        "定出的位置，以及只靠 CTC 拼出的內容。下方每列一個詞元：它的交叉注意力落在何處"
        "（各層各頭的平均）；"
        "白色為 0，滿色為最大權重 {most}。權重不是證據。",
    },
    "attention": {
        "en": "Above, the log-mel spectrogram that the encoder reads (low bands below). Under it, "
        "where each token is by its cross-attention, because this run has no CTC. Below, a row for "
        "each token: where its cross-attention is, mean over layers and heads; white is 0, full "
        "colour the largest weight, {most}. A weight is not a proof.",
        "zh-Hant": "上方是編碼器讀取的對數梅爾頻譜（低頻在下）。其下是由交叉注意力推得的各詞元"
        "位置，"
        "因為這個模型沒有 CTC。下方每列一個詞元：它的交叉注意力落在何處（各層各頭的平均）；"
        "白色為 0，滿色為最大權重 {most}。權重不是證據。",
    },
}
# Colours of the spectrogram from quiet to loud, alike in light and dark.
SCALE = np.array([(12, 12, 38), (64, 30, 108), (150, 44, 96), (232, 102, 56), (252, 222, 140)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Hold what a model heard in one window of a sound.

    Args:
        text: What it wrote.
        start: Seconds of the window's begin in the sound.
        seconds: Its length.
        mel: Features (F, M), a frame each hundredth of a second.
        tokens: What to print for each token (T,).
        spans: Seconds [start, end) of each token, from the window's begin.
        by: What placed them: "ctc" or "attention".
        attention: Cross-attention, mean over layers and heads (T, S).
        alone: What CTC alone spells: (seconds, token) of each change of its likeliest token.
        is_whole: The sound has no other window.
    """

    text: str
    start: float
    seconds: float
    mel: np.ndarray
    tokens: list[str]
    spans: list[tuple[float, float]]
    by: str
    attention: np.ndarray
    alone: list[tuple[float, str]]
    is_whole: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return everything but the spectrogram for JSON; weights have five digits."""
        pairs = zip(self.tokens, self.spans, strict=True)
        return {
            "text": self.text,
            "start": round(self.start, 3),
            "seconds": round(self.seconds, 3),
            "whole": self.is_whole,
            "by": self.by,
            "tokens": [[name, round(a, 3), round(b, 3)] for name, (a, b) in pairs],
            "attention": np.round(self.attention.astype(float), 5).tolist(),
            "ctc_alone": [[round(at, 3), name] for at, name in self.alone],
            "frames": list(self.mel.shape),
        }


def picture(found: Heard) -> Picture:
    """Return the part of a page."""
    most = f"{float(found.attention.max(initial=0.0)):.3f}"
    texts = {name: text.format(most=most) for name, text in LEGENDS[found.by].items()}
    return Picture(TITLE, f'<p class="legend">{in_words(texts)}</p>{svg(found)}')  # type: ignore[arg-type]


def svg(found: Heard) -> str:
    """Return the SVG."""
    wide = min(MOST, max(LEAST, round(found.seconds * SECOND)))
    shown = min(len(found.tokens), MOST_TOKENS)
    marks = TOP + MEL_HEIGHT + GAP  # the row of placed tokens
    alone = marks + ROW + 6 if found.by == "ctc" else marks
    rows = alone + ROW + GAP
    height, width = rows + ROW * shown + 22, LEFT + wide + 12
    per = wide / max(found.seconds, 1e-3)
    names = {"en": "spectrogram, tokens and cross-attention over time"}
    drawn = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="hearing" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{names["en"]}: {escaped(found.text)}" data-left="{LEFT}" '
            f'data-wide="{wide}" data-seconds="{found.seconds:.3f}" '
            f'font-family="system-ui, sans-serif" font-size="12">'
        ),
        _image(_mel_pixels(found.mel), LEFT, TOP, wide, MEL_HEIGHT, "mel"),
        *_labels(found, marks, alone, per),
        *_placed(found, marks, per),
        *_alone(found, alone, per),
        *_weights(found, rows, wide, shown),
        *_axis(found.seconds, per, height),
    ]
    return "\n".join([*drawn, "</svg>"])


def _labels(found: Heard, marks: int, alone: int, per: float) -> list[str]:
    lines = [("mel", TOP + MEL_HEIGHT / 2), ("CTC" if found.by == "ctc" else "DTW", marks + 13)]
    lines += [("CTC argmax", alone + 13)] if found.by == "ctc" else []
    return [
        f'<text class="ink" fill="{INK}" x="{LEFT - 8}" y="{y:.0f}" text-anchor="end">{name}</text>'
        for name, y in lines
    ]


def _placed(found: Heard, top: int, per: float) -> list[str]:
    """Draw each token from its first to its last second; scripts read both."""
    drawn: list[str] = []
    free = 0.0  # a label that would cover another is left out; its title stays
    for number, (name, (a, b)) in enumerate(zip(found.tokens, found.spans, strict=True)):
        x, wide = LEFT + a * per, max(2.0, (b - a) * per)
        left = x + (wide - width_of(name) * LETTER) / 2
        label = (
            f'<text class="ink" fill="{INK}" x="{x + wide / 2:.1f}" y="{top + 13}" '
            f'text-anchor="middle">{escaped(name)}</text>'
        )
        label, free = (label, left + width_of(name) * LETTER) if left >= free else ("", free)
        drawn.append(
            f'<g class="placed" data-token="{number}" data-start="{a:.3f}" data-end="{b:.3f}">'
            f"<title>{escaped(name)}: {a:.2f}-{b:.2f} s</title>"
            f'<rect class="bar" fill="{HEAT}" fill-opacity="0.3" x="{x:.1f}" y="{top}" '
            f'width="{wide:.1f}" height="{ROW}" rx="2"/>{label}</g>'
        )
    return drawn


def _alone(found: Heard, top: int, per: float) -> list[str]:
    drawn: list[str] = []
    free = 0.0
    for at, name in found.alone:
        x = LEFT + at * per
        if x >= free:
            drawn.append(
                f'<text class="alone" fill="{MARK}" data-at="{at:.3f}" x="{x:.1f}" '
                f'y="{top + 13}">{escaped(name)}</text>'
            )
            free = x + width_of(name) * LETTER
    return drawn


def _weights(found: Heard, top: int, wide: int, shown: int) -> list[str]:
    """Draw a row of weights for each token; its numbers stand beside the picture for scripts."""
    if not shown:
        return []
    weights = found.attention[:shown]
    strong = weights / max(float(found.attention.max(initial=0.0)), 1e-9)
    pixels = np.zeros((*weights.shape, 4), dtype=np.uint8)
    pixels[..., :3] = [int(HEAT[place : place + 2], 16) for place in (1, 3, 5)]
    pixels[..., 3] = np.rint(255 * strong)
    drawn = [_image(pixels, LEFT, top, wide, ROW * shown, "weights")]
    for number, row in enumerate(weights):
        y = top + ROW * number
        values = " ".join(f"{value:.4f}".rstrip("0").rstrip(".") for value in row.tolist())
        drawn.append(
            f'<g class="row" data-weights="{values}"><text class="ink" fill="{INK}" x="{LEFT - 8}" '
            f'y="{y + 13}" text-anchor="end">{escaped(found.tokens[number])}</text>'
            f'<path class="edge" stroke="{LINE}" fill="none" d="M{LEFT} {y + ROW}h{wide}"/></g>'
        )
    return drawn


def _axis(seconds: float, per: float, height: int) -> list[str]:
    step = next((one for one in (0.1, 0.2, 0.5, 1, 2, 5) if one * per >= 60), 10)
    return [
        f'<text class="ink" fill="{INK}" x="{LEFT + at * per:.1f}" y="{height - 6}" '
        f'text-anchor="middle">{at:g} s</text>'
        for at in (round(step * number, 3) for number in range(int(seconds / step) + 1))
    ]


def _image(pixels: np.ndarray, x: float, y: float, width: float, height: float, name: str) -> str:
    data = base64.b64encode(png(pixels)).decode("ascii")
    return (
        f'<image class="{name}" x="{x}" y="{y}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" image-rendering="pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _mel_pixels(mel: np.ndarray) -> np.ndarray:
    """Map features (F, M) -> pixels (M, F, 3), low bands below."""
    values = mel.astype(np.float64)
    if len(values) > MOST_COLUMNS:
        edges = np.linspace(0, len(values), MOST_COLUMNS + 1).astype(int)[:-1]
        values = np.add.reduceat(values, edges) / np.diff([*edges, len(values)])[:, None]
    low, high = np.percentile(values, (2, 99.5)) if values.size else (0.0, 1.0)
    shares = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    steps = np.linspace(0, 1, len(SCALE))
    colours = [np.interp(shares, steps, SCALE[:, channel]) for channel in range(3)]
    return np.rint(np.stack(colours, -1)).astype(np.uint8).transpose(1, 0, 2)[::-1]


def png(pixels: np.ndarray) -> bytes:
    """Write pixels (H, W, 3 or 4) of 8 bits as a PNG file (W3C PNG, third edition)."""
    height, width, channels = pixels.shape
    rows = np.concatenate(
        (np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)), 1
    )  # filter 0

    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            chunk(b"IEND", b""),
        )
    )


def player(sound: Sequence[float] | np.ndarray, rate: int) -> str:
    """Return a player of samples between -1 and 1, for a page without a network."""
    samples = np.clip(np.asarray(sound, dtype=np.float64), -1, 1)
    data = np.rint(samples * 32767).astype("<i2").tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate,
        2, 16, b"data", len(data),
    )  # fmt: skip
    text = base64.b64encode(header + data).decode("ascii")
    return f'<audio controls src="data:audio/wav;base64,{text}"></audio>'
