"""Define settings and sentences of the small run."""

from __future__ import annotations

WORDS = {
    "one": "eins",
    "two": "zwei",
    "three": "drei",
    "red": "rot",
    "blue": "blau",
    "dogs": "Hunde",
    "cats": "Katzen",
    "birds": "Vögel",
}
TINY = [
    "--model.preset",
    "transformer-tiny",
    "--model.width",
    "16",
    "--model.heads",
    "2",
    "--model.inner_width",
    "32",
    "--model.layers",
    "1",
    "--tokenizer.vocabulary_size",
    "330",
    "--training.learning_rate",
    "0.01",
    "--training.warmup_steps",
    "2",
    "--training.precision",
    "float32",
]


def pairs() -> list[tuple[str, str]]:
    english = [
        f"{number} {colour} {animal} {other}"
        for number in ("one", "two", "three")
        for colour in ("red", "blue")
        for animal in ("dogs", "cats", "birds")
        for other in WORDS
    ]
    return [(text, " ".join(WORDS[word] for word in text.split())) for text in english]
