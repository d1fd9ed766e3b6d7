"""A tokenizer from its file: the class that reads it is decided by what the file says of itself."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import RunError, brief, is_failure
from .imported import KIND, ImportedTokenizer
from .subwords import Tokenizer


def from_json(text: str) -> Tokenizer:
    """The tokenizer that a text holds, learnt here or imported."""
    kind = json.loads(text)["triptych"]["kind"]
    return (ImportedTokenizer if kind == KIND else Tokenizer).from_json(text)


def load(path: str | Path) -> Tokenizer:
    """Read a tokenizer. Raises RunError where the file is missing, truncated or not a tokenizer."""
    try:
        return from_json(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing. Copy it back from where the run was trained, or train again."
        ) from None
    except BaseException as problem:
        # for a broken file the library raises plain Exception, or panics
        if not is_failure(problem):
            raise
        raise RunError(
            f"{path} is not a whole tokenizer file ({brief(problem)}). Copy it again or train "
            "again."
        ) from None
