"""Hold a model of another format in the form of a Hugging Face folder. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True)
class PublishedModel:
    """Hold what a folder of the library transformers would hold.

    Args:
        path: The file or folder that was read.
        config: The content of config.json.
        tensors: The tensors by their names there.
        tokenizer: The text of tokenizer.json; empty if the format holds none.
        tokenizer_config: The content of tokenizer_config.json.
        generation_config: The content of generation_config.json; it may be empty.
        files: Size and SHA-256 of each file that was read.
        types: How many tensors are stored in each type, by its name.
    """

    path: Path
    config: dict[str, object]
    tensors: dict[str, Tensor] = field(repr=False)
    tokenizer: str = field(default="", repr=False)
    tokenizer_config: dict[str, object] = field(default_factory=dict)
    generation_config: dict[str, object] = field(default_factory=dict)
    files: dict[str, dict[str, int | str]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
