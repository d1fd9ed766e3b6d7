"""Make texts of random tokens, to run a model where its data is not here."""

from __future__ import annotations

from typing import Any

import numpy as np

LENGTHS = (3, 17)  # tokens of a text, at least and fewer than


def random_texts(tokenizer: Any, count: int, seed: int = 1) -> list[str]:
    """Return texts of several lengths that decode random tokens."""
    generator, found = np.random.default_rng(seed), list[str]()
    while len(found) < count:
        ids = generator.integers(0, tokenizer.vocabulary_size, int(generator.integers(*LENGTHS)))
        text = " ".join(tokenizer.decode(ids.tolist()).replace("\ufffd", " ").split())
        if text:
            found.append(text)
    return found
