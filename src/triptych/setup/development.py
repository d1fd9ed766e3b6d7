"""Find the development sentences of a run where its data is."""

from __future__ import annotations

from ..data.example import Example
from ..data.load import evenly_spaced, load_split
from ..errors import TriptychError
from ..inference.predictor import Predictor
from ..recipe.schema import Recipe


def development_examples(predictor: Predictor, most: int, to: str | None = None) -> list[Example]:
    """Return up to `most` examples of a run's validation split; none where its data is not here.

    Args:
        predictor: A loaded run.
        most: They are evenly spaced over the split.
        to: Only those of this target language.
    """
    if predictor.run is None or most < 1:
        return []
    try:
        data, needs = Recipe.load(predictor.run.path, {}).data, predictor.task.needs
        examples = load_split(data, "validation", None, needs)
    except (TriptychError, OSError):
        return []
    kept = [
        one
        for one in examples
        if not predictor.is_empty(one) and (to is None or one.target_language == to)
    ]
    return evenly_spaced(kept, most)
