"""Write the token shards of a recipe before it is trained."""

from __future__ import annotations

from pathlib import Path

from ..data.batches.cutting import Crew
from ..data.example import Notify
from ..errors import UsageError
from ..recipe.schema import Recipe
from .data import load_data
from .resolve import resolve
from .tokenizer import find_tokenizers


def write_shards(recipe: Recipe, crew: Crew, report: Notify) -> Path:
    """Cut the texts of a streamed set with the tokenizer of its training; return the folder.

    Args:
        recipe: Names the texts and the tokenizer.
        crew: The processes that cut.
        report: Receives messages for the user.

    Raises:
        UsageError: The set is not streamed.
        DataError: The texts cannot be read, or the shards cannot be written.
    """
    resolved = resolve(
        recipe, Path(recipe.name), resume=False, dry=True, report=report, data_changed=False
    )
    data = load_data(resolved)
    if data.corpus is None:
        raise UsageError(
            "{name} is not streamed: its texts are read into memory. Set data.stream = true to "
            "train from token shards.",
            name=recipe.name,
        )
    _, tokenizers = find_tokenizers(data)
    return data.corpus.shards(tokenizers.target, crew=crew).folder
