"""Triptych: one Transformer, three panels. This face loads what it names only when it is asked
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import train
    from .inference.interventions import Interventions
    from .inference.loading import load
    from .inference.predictor import Predictor
    from .recipe.schema import Recipe

__all__ = ["Interventions", "Predictor", "Recipe", "load", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        from .inference.predictor import Predictor as found
    elif name == "Interventions":
        from .inference.interventions import Interventions as found
    elif name == "load":
        from .inference.loading import load as found
    elif name == "Recipe":
        from .recipe.schema import Recipe as found
    elif name == "train":
        from .api import train as found
    else:
        raise AttributeError(f"module 'triptych' has no attribute '{name}'")
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
