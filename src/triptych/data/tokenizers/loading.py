"""Load a tokenizer with the class that its file names."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import RunError, brief, is_failure
from .imported import KIND, ImportedTokenizer
from .subwords import Tokenizer


def from_json(text: str) -> Tokenizer:
    """Read a tokenizer from text, trained here or imported."""
    kind = json.loads(text)["triptych"]["kind"]
    return (ImportedTokenizer if kind == KIND else Tokenizer).from_json(text)


def load(path: str | Path) -> Tokenizer:
    """Read a tokenizer. Raises RunError if the file is missing, truncated or not a tokenizer."""
    try:
        return from_json(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(
            f"{path} is missing. Copy it again from where the run was trained, or train again."
        ) from None
    except BaseException as problem:
        # For a broken file the library raises plain Exception, or panics.
        if not is_failure(problem):
            raise
        raise RunError(
            f"{path} is not a whole tokenizer file ({brief(problem)}). Copy it again or train "
            "again."
        ) from None
