"""Triptych: one Transformer, three panels. This face loads what it names only when it is asked
for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import train
    from .inference.loading import load
    from .inference.predictor import Predictor
    from .recipe.schema import Recipe

__all__ = ["Predictor", "Recipe", "load", "train"]
__version__ = "0.1.0"

_PLACES = {
    "Predictor": ".inference.predictor",
    "load": ".inference.loading",
    "Recipe": ".recipe.schema",
    "train": ".api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'triptych' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_PLACES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
